/* The thread of a run sleeps in its event loop, and nowhere else: what waits in another place, or a
 * pool that reports to another loop, fails here. And what is on that loop runs meanwhile. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/lead.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

enum { STEP_US = 2000, SHARED_STEP_US = 10000 };

static void (*real_step)(const vly_env *env, void *states, int n, vly_actions action, vly_rows out);
/* Long, and without the processor: its waiting is all that a run does. */
static void slow_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    usleep(STEP_US);
    real_step(env, states, n, action, out);
}

static pthread_t run_thread;
static atomic_int stepping;

/* The run's own thread helps, and on a busy machine it would make all steps before another thread
 * has one: it is quick, and goes on when another is in a step, which is long. */
static void shared_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    if (pthread_equal(pthread_self(), run_thread)) {
        for (int i = 0; i < 100000 && atomic_load(&stepping) == 0; i++) usleep(100);
        real_step(env, states, n, action, out);
        return;
    }
    atomic_fetch_add(&stepping, 1);
    usleep(SHARED_STEP_US);
    real_step(env, states, n, action, out);
    atomic_fetch_sub(&stepping, 1);
}

typedef struct {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    int64_t rounds;
    int ticks, ticks_at_end;
} looping;

static int stop_after(void *arg, const vly_train_report *report) {
    looping *l = arg;
    l->ticks_at_end = l->ticks;
    return report->rounds >= l->rounds ? VLY_TRAIN_STOP : VLY_TRAIN_GO_ON;
}

static void open_looping(looping *l, const char *settings, uv_loop_t *loop) {
    memset(l, 0, sizeof *l);
    settings_resolve(&l->config, "cartpole", "classic", settings);
    l->rounds = 1 << 30;
    CHECK_OK(vly_env_open(&l->env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&l->c, 1));
    real_step = l->env.step, l->env.step = slow_step;
    const vly_train_options o = {.compute = l->c,
                                 .env = &l->env,
                                 .config = &l->config,
                                 .loop = loop,
                                 .arg = l,
                                 .on_update = stop_after};
    CHECK_OK(vly_train_create(&l->t, &o));
}

static void close_looping(looping *l) {
    vly_train_destroy(l->t);
    l->c->destroy(l->c);
    l->env.close(&l->env);
}

/* All but a part of the time that it waited for environments it slept in the loop's own wait. The
 * rest is what an asynchronous run does beside it, and what a busy machine takes. */
static void waiting_is_sleeping_in_the_loop(void) {
    looping l;
    vly_train_result result;
    open_looping(&l,
                 "run.algo=impala run.envs=4 pool.chunk=2 pool.batch=4 impala.rollout=5 "
                 "run.workers=2",
                 NULL);
    l.rounds = 30;
    CHECK_OK(vly_train_run(l.t, &result));
    const double waited = result.report.phase_s[VLY_PHASE_ENV];
    CHECK(waited > 0.1 && result.report.sleeps > 50);
    if (result.report.asleep_s < 0.8 * waited) {
        fprintf(stderr, "waited for %.3f s, %.3f s of it in the loop\n", waited,
                result.report.asleep_s);
        exit(TEST_FAIL);
    }
    close_looping(&l);
}

static void a_synchronous_run_sleeps_in_the_loop(void) {
    looping l;
    vly_train_result result;
    open_looping(&l,
                 "run.algo=ppo run.envs=4 pool.groups=2 pool.chunk=1 ppo.rollout=8 run.workers=4 "
                 "ppo.minibatches=1 ppo.epochs=1",
                 NULL);
    l.rounds = 5;
    l.env.step = shared_step;
    run_thread = pthread_self();
    CHECK_OK(vly_train_run(l.t, &result));
    CHECK(result.report.sleeps >= 5 && result.report.asleep_s > 0);
    close_looping(&l);
}

static void on_tick(uv_timer_t *timer) {
    looping *l = timer->data;
    l->ticks++;
}

/* Timers of the caller's loop run while the run waits, and between steps that it makes itself. */
static void what_else_is_on_the_loop_runs_meanwhile(const char *settings) {
    looping l;
    vly_train_result result;
    uv_loop_t loop;
    uv_timer_t timer;
    CHECK_EQ(uv_loop_init(&loop), 0);
    open_looping(&l, settings, &loop);
    uv_timer_init(&loop, &timer);
    timer.data = &l;
    uv_timer_start(&timer, on_tick, 1, 1);
    l.rounds = 5;
    CHECK_OK(vly_train_run(l.t, &result));
    CHECK(l.ticks_at_end > 5);
    close_looping(&l);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0); /* the run has left nothing on it */
}

static void on_stop_time(uv_timer_t *timer) {
    looping *l = timer->data;
    vly_train_stop(l->t);
}

/* An asynchronous run comes to rest as soon as what is in flight is back, within an update. */
static void a_stop_is_an_event(void) {
    looping l;
    vly_train_result result;
    uv_loop_t loop;
    uv_timer_t timer;
    CHECK_EQ(uv_loop_init(&loop), 0);
    open_looping(&l, "run.algo=impala run.envs=4 impala.rollout=1000 run.workers=2", &loop);
    uv_timer_init(&loop, &timer);
    timer.data = &l;
    uv_timer_start(&timer, on_stop_time, 30, 0);
    CHECK_OK(vly_train_run(l.t, &result));
    CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
    CHECK_EQ(result.report.rounds, 0);
    close_looping(&l);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

/* ---- a leader waits for a descriptor ---- */

static vly_status wait_for_pipes(void *arg, vly_train *t) {
    looping *l = arg;
    int end[2];
    char byte = 7;
    for (int again = 0; again < 3; again++) { /* the same number, another pipe */
        CHECK_EQ(pipe(end), 0);
        const int before = l->ticks;
        CHECK(!vly_lead_await(t, end[0], false, 20));
        CHECK(l->ticks > before);
        CHECK(vly_lead_await(t, end[1], true, 10000));
        CHECK_EQ(write(end[1], &byte, 1), 1);
        CHECK(vly_lead_await(t, end[0], false, 10000));
        CHECK_EQ(read(end[0], &byte, 1), 1);
        CHECK(!vly_lead_await(t, end[0], false, 5));
        CHECK_EQ(write(end[1], &byte, 1), 1);
        CHECK(!vly_lead_await(t, -1, false, 20)); /* a byte that nobody waits for */
        CHECK(vly_lead_await(t, end[0], false, 10000));
        for (int i = 0; i < 2; i++) CHECK(vly_lead_await(t, end[i], false, -1));
        CHECK_EQ(close(end[0]), 0);
        CHECK_EQ(close(end[1]), 0);
    }
    vly_lead_finish(t);
    return VLY_OK;
}

static void a_leader_waits_on_the_loop(void) {
    looping l;
    vly_train_result result;
    uv_loop_t loop;
    uv_timer_t timer;
    CHECK_EQ(uv_loop_init(&loop), 0);
    open_looping(&l, "run.algo=ppo run.envs=4", &loop);
    vly_train_destroy(l.t);
    const vly_train_options o = {.compute = l.c,
                                 .env = &l.env,
                                 .config = &l.config,
                                 .loop = &loop,
                                 .lead = wait_for_pipes,
                                 .lead_arg = &l};
    CHECK_OK(vly_train_create(&l.t, &o));
    uv_timer_init(&loop, &timer);
    timer.data = &l;
    uv_timer_start(&timer, on_tick, 1, 1);
    CHECK_OK(vly_train_run(l.t, &result));
    close_looping(&l);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
}

int main(void) {
    waiting_is_sleeping_in_the_loop();
    a_synchronous_run_sleeps_in_the_loop();
    what_else_is_on_the_loop_runs_meanwhile(
        "run.algo=impala run.envs=4 impala.rollout=5 run.workers=2");
    what_else_is_on_the_loop_runs_meanwhile("run.algo=ppo run.envs=4 ppo.rollout=8 run.workers=1");
    a_stop_is_an_event();
    a_leader_waits_on_the_loop();
    return TEST_PASS;
}
