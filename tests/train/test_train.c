#include <stdatomic.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

enum { BUFFERS = 256 };

/* A run in memory with its settings, and copies of its state. */
typedef struct {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    int64_t stop_at, save_at; /* rounds */
    void *saved[BUFFERS];     /* made by on_save at save_at */
    int buffers;
    int saves, episodes;
    double first_seen;
} run;

static int saw(void *arg, const vly_train_report *report) {
    run *r = arg;
    CHECK(report->rounds > 0 && report->steps > 0 && report->window <= 100);
    return (report->rounds == r->save_at ? VLY_TRAIN_SAVE : 0) |
           (report->rounds >= r->stop_at ? VLY_TRAIN_STOP : 0);
}

static void episode(void *arg, const vly_episode *e, int64_t steps) {
    run *r = arg;
    CHECK(e->length > 0 && steps > 0);
    r->episodes++;
}

static vly_status save(void *arg, vly_train *t) {
    run *r = arg;
    vly_buffer list[BUFFERS];
    r->saves++;
    r->buffers = vly_train_buffers(t, list, BUFFERS);
    CHECK(r->buffers <= BUFFERS);
    for (int i = 0; i < r->buffers; i++) {
        for (int k = 0; k < i; k++) CHECK(strcmp(list[i].name, list[k].name) != 0);
        free(r->saved[i]);
        r->saved[i] = malloc(vly_buffer_bytes(&list[i]) + 1);
        CHECK_OK(vly_train_read(t, &list[i], r->saved[i]));
    }
    return VLY_OK;
}

static double patience_s; /* of the runs that are opened from here on */
static vly_sync *others;  /* likewise */

static void open_run(run *r, const char *env, const char *settings, int workers) {
    memset(r, 0, sizeof *r);
    settings_resolve(&r->config, env, "classic", settings);
    r->config.run.workers = workers;
    r->stop_at = 1 << 30;
    CHECK_OK(vly_env_open(&r->env, env, NULL));
    CHECK_OK(vly_compute_create_cpu(&r->c, 2));
    const vly_train_options o = {.compute = r->c,
                                 .env = &r->env,
                                 .config = &r->config,
                                 .arg = r,
                                 .patience_s = patience_s,
                                 .sync = others,
                                 .on_update = saw,
                                 .on_episode = episode,
                                 .on_save = save};
    CHECK_OK(vly_train_create(&r->t, &o));
}

static void close_run(run *r) {
    vly_train_destroy(r->t);
    r->c->destroy(r->c);
    r->env.close(&r->env);
    for (int i = 0; i < BUFFERS; i++) free(r->saved[i]);
}

static void restore(run *to, const run *from) {
    vly_buffer list[BUFFERS];
    CHECK_EQ(vly_train_buffers(to->t, list, BUFFERS), from->buffers);
    for (int i = 0; i < from->buffers; i++)
        CHECK_OK(vly_train_write(to->t, &list[i], from->saved[i]));
    CHECK_OK(vly_train_restored(to->t));
}

static void same_state(const run *a, const run *b, const char *what) {
    vly_buffer list[BUFFERS];
    CHECK_EQ(a->buffers, b->buffers);
    CHECK(vly_train_buffers(a->t, list, BUFFERS) == a->buffers);
    for (int i = 0; i < a->buffers; i++)
        if (memcmp(a->saved[i], b->saved[i], vly_buffer_bytes(&list[i])) != 0) {
            fprintf(stderr, "%s: %s differs\n", what, list[i].name);
            exit(TEST_FAIL);
        }
}

static void go(run *r, int64_t stop_at) {
    vly_train_result result;
    r->stop_at = stop_at;
    CHECK_OK(vly_train_run(r->t, &result));
    CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
    CHECK(result.report.rounds == stop_at ||
          (r->t && vly_train_algo(r->t)->schedule == VLY_SCHEDULE_ASYNC &&
           result.report.rounds > stop_at));
}

static const struct {
    const char *env, *settings;
} runs[] = {
    {"cartpole", "run.algo=ppo run.envs=8 ppo.rollout=16 ppo.minibatches=4 ppo.epochs=3"},
    {"cartpole", "run.algo=ppo run.envs=6 pool.groups=3 ppo.rollout=8 ppo.minibatches=3 net.lstm=8 "
                 "ppo.value_clip=0.2"},
    {"cartpole", "run.algo=ppo run.envs=4 ppo.rollout=16 ppo.target_kl=0.005 ppo.epochs=8"},
    {"cartpole", "run.algo=a2c run.envs=16 a2c.rollout=5"},
    {"cartpole", "run.algo=impala run.envs=8 impala.rollout=10 pool.schedule=sync"},
    {"cartpole", "run.algo=impala run.envs=8 impala.rollout=7 pool.schedule=sync net.lstm=12"},
    {"cartpole", "run.algo=dqn run.envs=4 dqn.learning_starts=100 dqn.target_every=7 dqn.batch=16 "
                 "replay.capacity=2000"},
    {"cartpole", "run.algo=dqn run.envs=4 dqn.learning_starts=100 dqn.target_every=7 dqn.batch=16 "
                 "replay.capacity=2000 replay.prioritized=true "
                 "dqn.n_step=3 dqn.dueling=true"},
    {"minatar/breakout", "run.algo=ppo run.envs=4 ppo.rollout=16 ppo.minibatches=2 ppo.epochs=2"},
    {"gridworld", "run.algo=qlearning run.envs=6 pool.groups=2"},
    {"cliffwalking", "run.algo=sarsa run.envs=3"},
};

/* 9 updates straight; 4, saved, restored elsewhere, and 5 more. */
static void a_resumed_run_goes_on_bit_for_bit(void) {
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (strstr(runs[i].settings, "dqn") && !vly_algo_find("dqn")) continue;
        const int64_t half = strstr(runs[i].settings, "dqn") ? 60 : 4,
                      whole = strstr(runs[i].settings, "dqn") ? 140 : 9;
        run straight, first, second;
        open_run(&straight, runs[i].env, runs[i].settings, 2);
        go(&straight, whole);
        open_run(&first, runs[i].env, runs[i].settings, 1);
        go(&first, half);
        CHECK_EQ(first.saves, 1);
        open_run(&second, runs[i].env, runs[i].settings, 3);
        restore(&second, &first);
        go(&second, whole);
        same_state(&straight, &second, runs[i].settings);
        close_run(&straight);
        close_run(&first);
        close_run(&second);
    }
}

static void workers_do_not_change_a_bit(void) {
    static const int workers[] = {1, 2, 8};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        if (strstr(runs[i].settings, "dqn") && !vly_algo_find("dqn")) continue;
        run r[3];
        for (int k = 0; k < 3; k++) {
            open_run(&r[k], runs[i].env, runs[i].settings, workers[k]);
            go(&r[k], 6);
            if (k > 0) same_state(&r[0], &r[k], "workers");
        }
        CHECK_EQ(r[0].episodes, r[2].episodes);
        for (int k = 0; k < 3; k++) close_run(&r[k]);
    }
}

static void another_seed_is_another_run(void) {
    run a, b;
    open_run(&a, "cartpole", "run.algo=ppo run.envs=4 ppo.rollout=8", 1);
    open_run(&b, "cartpole", "run.algo=ppo run.envs=4 ppo.rollout=8 run.seed=2", 1);
    go(&a, 2);
    go(&b, 2);
    CHECK(memcmp(a.saved[0], b.saved[0], 64) != 0);
    close_run(&a);
    close_run(&b);
}

static void saving_midway_changes_nothing(void) {
    run a, b;
    open_run(&a, "cartpole", runs[0].settings, 2);
    open_run(&b, "cartpole", runs[0].settings, 2);
    b.save_at = 3;
    go(&a, 7);
    go(&b, 7);
    CHECK_EQ(a.saves, 1);
    CHECK_EQ(b.saves, 2);
    same_state(&a, &b, "saving");
    close_run(&a);
    close_run(&b);
}

static void a_stop_names_its_reason(void) {
    run r;
    vly_train_result result;
    open_run(&r, "cartpole", "run.algo=ppo run.envs=4 ppo.rollout=8 run.steps=100", 1);
    CHECK_OK(vly_train_run(r.t, &result));
    CHECK_EQ(result.stop, VLY_STOP_BUDGET);
    CHECK(result.report.steps >= 100 && result.report.steps < 100 + 32);
    close_run(&r);
    open_run(&r, "cartpole", "run.algo=ppo run.envs=16 ppo.rollout=32 run.until_return=12", 1);
    CHECK_OK(vly_train_run(r.t, &result));
    CHECK_EQ(result.stop, VLY_STOP_TARGET);
    CHECK_EQ(result.report.window, 100);
    close_run(&r);
}

/* A stop from within the k-th update counted from here on. */
static struct {
    vly_status (*loss)(vly_queue *q, const vly_dqn_loss_args *args);
    vly_train *train;
    int left;
} stopping;

static vly_status stop_in_loss(vly_queue *q, const vly_dqn_loss_args *args) {
    if (stopping.left-- == 1) vly_train_stop(stopping.train);
    return stopping.loss(q, args);
}

static void stop_in_update(run *r, int k) {
    stopping.loss = r->c->dqn_loss, stopping.train = r->t, stopping.left = k;
    r->c->dqn_loss = stop_in_loss;
}

/* 256 updates in a learn(), stopped in the k-th and again in one after it: each time the run ends
 * with that update, and what goes on from what was saved ends where an uninterrupted run does. */
static void a_stop_within_many_updates_loses_none(void) {
    static const int ks[] = {1, 100, 255, 256};
    const char *settings = "run.algo=dqn run.envs=4 dqn.learning_starts=100 dqn.target_every=7 "
                           "dqn.batch=16 replay.capacity=2000 replay.prioritized=true "
                           "replay.ratio=1024 run.steps=112";
    vly_train_result result;
    run straight;
    open_run(&straight, "cartpole", settings, 1);
    CHECK_OK(vly_train_run(straight.t, &result));
    CHECK_EQ(result.stop, VLY_STOP_BUDGET);
    const int64_t updates = result.report.updates, learns = updates / 256;
    CHECK(learns >= 2 && updates % 256 == 0);
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        run first, second, third;
        const int64_t last = updates - 256 + ks[i]; /* in the last learn(), the budget is spent */
        open_run(&first, "cartpole", settings, 1);
        stop_in_update(&first, ks[i]);
        CHECK_OK(vly_train_run(first.t, &result));
        CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
        CHECK_EQ(result.report.updates, ks[i]);
        CHECK_EQ(first.saves, 1);
        open_run(&second, "cartpole", settings, 2);
        restore(&second, &first);
        stop_in_update(&second, (int)last - ks[i]);
        CHECK_OK(vly_train_run(second.t, &result));
        CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
        CHECK_EQ(result.report.updates, last);
        open_run(&third, "cartpole", settings, 1);
        restore(&third, &second);
        CHECK_OK(vly_train_run(third.t, &result));
        CHECK_EQ(result.stop, VLY_STOP_BUDGET);
        CHECK_EQ(result.report.updates, updates);
        same_state(&straight, third.saves ? &third : &second,
                   settings); /* none: nothing was left */
        close_run(&first);
        close_run(&second);
        close_run(&third);
    }
    close_run(&straight);
}

/* With overlap: what is full is learned from before a run rests. */
static void rest_after(run *r, int rounds) {
    vly_train_result result;
    r->stop_at = rounds - 1;
    CHECK_OK(vly_train_run(r->t, &result));
    CHECK_EQ(result.report.rounds, rounds);
}

/* A stop from within the k-th step or loss counted from here on, whichever worker takes it. */
static struct {
    void (*step)(const vly_env *env, void *states, int n, vly_actions action, vly_rows out);
    vly_status (*loss)(vly_queue *q, const vly_policy_loss_args *args);
    vly_train *train;
    atomic_int left;
} phase;

static void stop_in_a_step(const vly_env *env, void *states, int n, vly_actions action,
                           vly_rows out) {
    if (atomic_fetch_sub(&phase.left, 1) == 1) vly_train_stop(phase.train);
    phase.step(env, states, n, action, out);
}

static vly_status stop_in_a_policy_loss(vly_queue *q, const vly_policy_loss_args *args) {
    if (atomic_fetch_sub(&phase.left, 1) == 1) vly_train_stop(phase.train);
    return phase.loss(q, args);
}

static void stop_in_phase(run *r, bool in_step, int k) {
    phase.step = r->env.step, phase.loss = r->c->policy_loss, phase.train = r->t;
    atomic_store(&phase.left, k);
    if (in_step)
        r->env.step = stop_in_a_step;
    else
        r->c->policy_loss = stop_in_a_policy_loss;
}

/* A group is a chunk: a phase has as many calls of `step` as its rollout has rows of groups. */
static const struct {
    const char *env, *settings;
    int steps, losses; /* of a phase; losses 0: none */
} phases[] = {
    {"cartpole",
     "run.algo=ppo run.envs=8 pool.groups=1 pool.chunk=64 ppo.rollout=16 ppo.minibatches=4 "
     "ppo.epochs=3",
     16, 12},
    {"cartpole",
     "run.algo=ppo run.envs=6 pool.groups=1 pool.chunk=64 ppo.rollout=8 ppo.minibatches=3 "
     "ppo.epochs=4 net.lstm=8",
     8, 12},
    {"cartpole",
     "run.algo=ppo run.envs=4 pool.groups=1 pool.chunk=64 ppo.rollout=16 ppo.target_kl=1 "
     "ppo.epochs=3",
     16, 12},
    {"minatar/breakout",
     "run.algo=ppo run.envs=4 pool.groups=1 pool.chunk=64 ppo.rollout=16 ppo.minibatches=2 "
     "ppo.epochs=2",
     16, 4},
    {"cartpole", "run.algo=a2c run.envs=16 pool.groups=1 pool.chunk=64 a2c.rollout=5", 5, 1},
    {"cartpole", "run.algo=reinforce run.envs=4 pool.groups=1 pool.chunk=64 reinforce.rollout=32",
     32, 1},
    {"cartpole",
     "run.algo=impala run.envs=8 pool.groups=1 pool.chunk=64 impala.rollout=7 pool.schedule=sync",
     7, 1},
    {"gridworld", "run.algo=qlearning run.envs=6 pool.groups=1 pool.chunk=64 tabular.phase=9", 9,
     0},
    {"cartpole",
     "run.algo=ppo run.envs=8 pool.groups=4 pool.chunk=2 ppo.rollout=16 ppo.minibatches=2 "
     "ppo.epochs=1",
     64, 2},
    {"cliffwalking", "run.algo=sarsa run.envs=3 pool.groups=1 pool.chunk=64 tabular.phase=5", 5, 0},
};

/* Three phases are whole; the stop comes in the fourth, by the k-th step or loss since the start. */
static void goes_back(size_t i, bool in_step, int k) {
    vly_train_result result;
    run before, straight, first, second;
    patience_s = 0;
    open_run(&before, phases[i].env, phases[i].settings, 1);
    go(&before, 3);
    open_run(&straight, phases[i].env, phases[i].settings, 1);
    go(&straight, 6);
    patience_s = 1e-9; /* every phase is a long one */
    open_run(&first, phases[i].env, phases[i].settings, 1);
    stop_in_phase(&first, in_step, k);
    CHECK_OK(vly_train_run(first.t, &result));
    CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
    CHECK_EQ(result.report.rounds, 3);
    CHECK_EQ(first.saves, 1);
    same_state(&before, &first, phases[i].settings);
    open_run(&second, phases[i].env, phases[i].settings, 2);
    restore(&second, &first);
    go(&second, 6);
    same_state(&straight, &second, phases[i].settings);
    close_run(&before);
    close_run(&straight);
    close_run(&first);
    close_run(&second);
    patience_s = 0;
}

static void a_stop_within_a_long_phase_goes_back_to_its_beginning(void) {
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        const int steps = phases[i].steps, losses = phases[i].losses;
        goes_back(i, true, 3 * steps + 2);
        goes_back(i, true, 4 * steps); /* seen by the update */
        if (losses > 0) goes_back(i, false, 3 * losses + (losses + 1) / 2);
    }
}

/* The third update and the fourth rollout are given up, and the third rollout with them. */
static void an_overlapped_phase_is_given_up_too(void) {
    static const char settings[] = "run.algo=ppo run.envs=8 pool.groups=2 pool.chunk=4 "
                                   "ppo.rollout=16 ppo.minibatches=4 ppo.epochs=3 ppo.overlap=on "
                                   "net.normalize=true ppo.normalize_reward=true";
    const int steps = 32, losses = 12;
    vly_train_result result;
    run before, straight, first, second;
    open_run(&before, "cartpole", settings, 1), rest_after(&before, 2);
    open_run(&straight, "cartpole", settings, 1), rest_after(&straight, 6);
    for (int in_step = 0; in_step < 2; in_step++) {
        patience_s = 1e-9;
        open_run(&first, "cartpole", settings, 1);
        stop_in_phase(&first, in_step, in_step ? 3 * steps + 3 : 2 * losses + 2);
        CHECK_OK(vly_train_run(first.t, &result));
        CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
        CHECK_EQ(result.report.rounds, 2);
        same_state(&before, &first, settings);
        patience_s = 0;
        open_run(&second, "cartpole", settings, 2);
        restore(&second, &first);
        rest_after(&second, 6);
        same_state(&straight, &second, settings);
        close_run(&first);
        close_run(&second);
    }
    close_run(&before);
    close_run(&straight);
}

static void a_short_phase_is_finished(void) {
    vly_train_result result;
    run r;
    patience_s = 1e6;
    open_run(&r, phases[0].env, phases[0].settings, 1);
    stop_in_phase(&r, true, 2 * phases[0].steps + 2);
    CHECK_OK(vly_train_run(r.t, &result));
    CHECK_EQ(result.report.rounds, 3);
    close_run(&r);
    patience_s = 0;
}

/* Nothing is there to go back to but the first observations: they are saved. */
static void a_stop_within_the_first_phase_saves_the_start(void) {
    vly_train_result result;
    run r, straight, second;
    open_run(&straight, phases[0].env, phases[0].settings, 1);
    go(&straight, 2);
    patience_s = 1e-9;
    open_run(&r, phases[0].env, phases[0].settings, 1);
    stop_in_phase(&r, true, 3);
    CHECK_OK(vly_train_run(r.t, &result));
    CHECK_EQ(result.report.rounds, 0);
    CHECK_EQ(result.report.steps, 0);
    CHECK_EQ(r.saves, 1);
    open_run(&second, phases[0].env, phases[0].settings, 1);
    restore(&second, &r);
    go(&second, 2);
    same_state(&straight, &second, "from the start");
    close_run(&straight);
    close_run(&r);
    close_run(&second);
    patience_s = 0;
}

/* What says that it was saved within an update of an algorithm that is not cut has been altered. */
static void an_update_that_cannot_be_cut_is_not_resumed(void) {
    run r;
    vly_buffer list[BUFFERS];
    open_run(&r, "cartpole", "run.algo=ppo run.envs=4 ppo.rollout=8", 1);
    go(&r, 2);
    const int n = vly_train_buffers(r.t, list, BUFFERS);
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, "train.counters")) ((int64_t *)list[i].data)[1] = 2;
    CHECK_EQ(vly_train_restored(r.t), VLY_ECORRUPT);
    close_run(&r);
}

static void not_a_number_ends_the_run_unsaved(void) {
    run r;
    vly_train_result result;
    open_run(&r, "cartpole", "run.algo=ppo run.envs=4 ppo.rollout=8", 1);
    go(&r, 2);
    vly_buffer list[BUFFERS];
    vly_train_buffers(r.t, list, BUFFERS);
    const float poison = NAN;
    memcpy(list[0].data, &poison, sizeof poison);
    CHECK_OK(vly_train_restored(r.t));
    r.saves = 0;
    CHECK_EQ(vly_train_run(r.t, &result), VLY_ENUMERIC);
    CHECK_EQ(result.stop, VLY_STOP_FAILED);
    CHECK_EQ(r.saves, 0);
    CHECK(strstr(vly_error_text(), "update 3") != NULL);
    close_run(&r);
}

/* With one environment an update is all of a round: each of its steps was refused. */
static void a_critic_of_no_numbers_ends_the_run_unsaved(void) {
    static const char *const settings[] = {
        "run.algo=sac run.envs=1 net.hidden=8 sac.batch=8 sac.learning_starts=20 "
        "replay.capacity=500",
        "run.algo=td3 run.envs=1 net.hidden=8 td3.batch=8 td3.learning_starts=20 "
        "replay.capacity=500"};
    for (int i = 0; i < 2; i++) {
        run r;
        vly_train_result result;
        vly_buffer list[BUFFERS];
        open_run(&r, "pendulum", settings[i], 1);
        go(&r, 60);
        const int n = vly_train_buffers(r.t, list, BUFFERS);
        int at = 0;
        while (at < n && strcmp(list[at].name, "target") != 0) at++;
        CHECK(at < n);
        float *target = list[at].data; /* of both critics */
        for (int64_t k = 0; k < list[at].shape[0]; k++) target[k] = NAN;
        CHECK_OK(vly_train_restored(r.t));
        r.saves = 0, r.stop_at = 200;
        CHECK_EQ(vly_train_run(r.t, &result), VLY_ENUMERIC);
        CHECK_EQ(result.stop, VLY_STOP_FAILED);
        CHECK_EQ(r.saves, 0);
        close_run(&r);
    }
}

/* Everything of the asynchronous schedule at once: it saves at rest, stops, and goes on from what
 * it saved. */
static void an_asynchronous_run_saves_and_goes_on(void) {
    static const char *const settings[] = {
        "run.algo=impala run.envs=32 impala.rollout=5",
        "run.algo=impala run.envs=7 impala.rollout=3 net.lstm=6",
        "run.algo=impala run.envs=16 impala.rollout=4 impala.max_lag=1 pool.batch=2 pool.chunk=1"};
    for (int i = 0; i < 3; i++) {
        run a, b;
        open_run(&a, "cartpole", settings[i], 3);
        a.save_at = 5;
        go(&a, 40);
        CHECK(a.saves == 2 && a.episodes > 0);
        open_run(&b, "cartpole", settings[i], 2);
        restore(&b, &a);
        vly_train_report before, after;
        vly_train_get_report(b.t, &before);
        CHECK(before.updates >= 40);
        go(&b, before.updates + 40);
        vly_train_get_report(b.t, &after);
        CHECK(after.steps > before.steps && after.lag_max < 20);
        close_run(&a);
        close_run(&b);
    }
}

/* Its unrolls wait again, and what waits for room has not acted; it goes on from there. */
static void a_stop_within_an_asynchronous_update_does_not_wait_for_it(void) {
    static const char *const settings[] = {
        "run.algo=impala run.envs=32 impala.rollout=5",
        "run.algo=impala run.envs=16 impala.rollout=3 net.lstm=6 pool.batch=2 pool.chunk=1"};
    for (int i = 0; i < 2; i++) {
        vly_train_result result;
        run a, b;
        patience_s = 1e-9;
        open_run(&a, "cartpole", settings[i], 3);
        stop_in_phase(&a, false, 20);
        CHECK_OK(vly_train_run(a.t, &result));
        CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
        CHECK_EQ(result.report.rounds, 19);
        CHECK_EQ(a.saves, 1);
        patience_s = 0;
        open_run(&b, "cartpole", settings[i], 2);
        restore(&b, &a);
        go(&b, 60);
        go(&a, 60); /* the same process, too */
        close_run(&a);
        close_run(&b);
    }
}

/* Another rank that does as this one does. */
static int agreed_stop;

static vly_status agree_with_itself(vly_sync *s, const vly_standing *mine, vly_standing *all) {
    *all = (vly_standing){s->world * mine->steps, s->world * mine->episodes, mine->stop};
    agreed_stop = mine->stop;
    return VLY_OK;
}

static vly_status reduce_with_itself(vly_sync *s, vly_queue *q, vly_real *grad, int64_t n) {
    (void)s, (void)q, (void)grad, (void)n;
    return VLY_OK;
}

/* One that ends before an update in which the others wait for it leaves them there. */
static void ranks_agree_on_the_stop_of_an_asynchronous_run(void) {
    static const vly_sync_gradients gradients = {.reduce = reduce_with_itself};
    vly_sync two = {.world = 2, .agree = agree_with_itself, .gradients = &gradients};
    for (int in_step = 0; in_step < 2; in_step++) {
        vly_train_result result;
        run r;
        others = &two, patience_s = 1e-9, agreed_stop = VLY_STOP_NONE;
        open_run(&r, "cartpole", "run.algo=impala run.envs=32 impala.rollout=5", 3);
        stop_in_phase(&r, in_step, in_step ? 1 : 20);
        CHECK_OK(vly_train_run(r.t, &result));
        CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
        CHECK_EQ(agreed_stop, VLY_STOP_INTERRUPTED);
        if (!in_step) CHECK_EQ(result.report.rounds, 20);
        others = NULL, patience_s = 0;
        close_run(&r);
    }
}

static void evaluation_plays_every_actors_share(void) {
    run r;
    open_run(&r, "cartpole", "run.algo=ppo run.envs=4 ppo.rollout=8", 1);
    go(&r, 2);
    const vly_train_options o = {.compute = r.c,
                                 .env = &r.env,
                                 .config = &r.config,
                                 .eval = true,
                                 .eval_actors = 7,
                                 .eval_seed = 3};
    double returns[2][20];
    int32_t lengths[2][20];
    for (int k = 0; k < 2; k++) {
        vly_train *t;
        vly_buffer list[BUFFERS], all[BUFFERS];
        CHECK_OK(vly_train_create(&t, &o));
        const int n = vly_train_buffers(t, list, BUFFERS), m = vly_train_buffers(r.t, all, BUFFERS);
        for (int i = 0; i < n; i++) {
            CHECK_EQ(list[i].role, VLY_BUFFER_WEIGHT);
            int at = 0;
            while (at < m && strcmp(all[at].name, list[i].name) != 0) at++;
            CHECK(at < m);
            CHECK_OK(vly_train_write(t, &list[i], r.saved[at]));
        }
        CHECK_OK(vly_train_restored(t));
        for (int i = 0; i < 20; i++) returns[k][i] = -1;
        CHECK_OK(vly_train_evaluate(t, 20, returns[k], lengths[k]));
        for (int i = 0; i < 20; i++) CHECK(returns[k][i] >= 8 && returns[k][i] == lengths[k][i]);
        CHECK_OK(vly_train_evaluate(t, 3, returns[0], lengths[0])); /* again, on the same run */
        CHECK_OK(vly_train_evaluate(t, 20, returns[0], lengths[0]));
        vly_train_destroy(t);
    }
    close_run(&r);
}

static void what_cannot_run_is_refused(void) {
    run r;
    open_run(&r, "cartpole", "run.algo=ppo run.envs=4 ppo.rollout=8", 1);
    vly_train *t;
    vly_train_options o = {.compute = r.c, .env = &r.env, .config = &r.config};
    r.config.pool.schedule = VLY_POOL_SCHEDULE_ASYNC;
    CHECK_EQ(vly_train_create(&t, &o), VLY_EINVAL);
    r.config.pool.schedule = VLY_POOL_SCHEDULE_AUTO;
    r.config.net.kind = VLY_NET_KIND_NATURE;
    CHECK_EQ(vly_train_create(&t, &o), VLY_EINVAL);
    r.config.net.kind = VLY_NET_KIND_AUTO;
    r.config.ppo.minibatches = 33;
    CHECK_EQ(vly_train_create(&t, &o), VLY_EINVAL);
    snprintf(r.config.run.algo, sizeof r.config.run.algo, "ppoo");
    CHECK_EQ(vly_train_create(&t, &o), VLY_ENOTFOUND);
    CHECK_EQ(vly_train_evaluate(r.t, 1, NULL, NULL), VLY_EINVAL);
    close_run(&r);
}

int main(void) {
    a_resumed_run_goes_on_bit_for_bit();
    workers_do_not_change_a_bit();
    another_seed_is_another_run();
    saving_midway_changes_nothing();
    a_stop_names_its_reason();
    a_stop_within_many_updates_loses_none();
    a_stop_within_a_long_phase_goes_back_to_its_beginning();
    an_overlapped_phase_is_given_up_too();
    a_short_phase_is_finished();
    a_stop_within_the_first_phase_saves_the_start();
    an_update_that_cannot_be_cut_is_not_resumed();
    not_a_number_ends_the_run_unsaved();
    a_critic_of_no_numbers_ends_the_run_unsaved();
    an_asynchronous_run_saves_and_goes_on();
    a_stop_within_an_asynchronous_update_does_not_wait_for_it();
    ranks_agree_on_the_stop_of_an_asynchronous_run();
    evaluation_plays_every_actors_share();
    what_cannot_run_is_refused();
    return TEST_PASS;
}
