/* Actions that are ready later than they were asked for, as a device's are: the run goes on
 * meanwhile, and sleeps when there is nothing left to do. The second batch of actions is held back
 * until everything else has arrived; no claim depends on how long anything takes. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "common/learn/algo.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

enum { ROUNDS = 12, GROUPS = 16, BATCH = 4, HELD = 2 /* the batch of actions that is held back */ };

static atomic_int asked, ready, held_groups, arrived_meanwhile;
static int asked_at[GROUPS]; /* batches asked for when the group arrived; -1: it has not */
static clockid_t run_clock;
static double held_busy_s = -1; /* the run's processor time while there was nothing to do */

typedef struct {
    void (*fn)(void *arg);
    void *arg;
    int batch;
} late;

static void pause_ms(int ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static double run_seconds(void) {
    struct timespec t;
    CHECK_EQ(clock_gettime(run_clock, &t), 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void hold_until_all_others_arrived(void) {
    for (int ms = 0; atomic_load(&arrived_meanwhile) < GROUPS - atomic_load(&held_groups); ms++) {
        CHECK(ms < 120000); /* the run waits for actions instead of taking what arrives */
        pause_ms(1);
    }
    pause_ms(50); /* what it does with the last of them */
    const double before = run_seconds();
    pause_ms(200);
    held_busy_s = run_seconds() - before;
}

static void *deliver(void *arg) {
    late l = *(late *)arg;
    free(arg);
    if (l.batch == HELD) hold_until_all_others_arrived();
    atomic_store(&ready, l.batch); /* first: the run may ask for the next batch at once */
    l.fn(l.arg);
    return NULL;
}

/* Instead of the processor's own, which is done at once, and calls at once. */
static bool never_done_yet(vly_event *event) {
    (void)event;
    return false;
}

static vly_status notify_late(vly_queue *q, void (*fn)(void *arg), void *arg) {
    pthread_t thread;
    late *l = malloc(sizeof *l);
    (void)q;
    CHECK(l != NULL);
    *l = (late){fn, arg, atomic_load(&asked)};
    CHECK_EQ(pthread_create(&thread, NULL, deliver, l), 0);
    CHECK_EQ(pthread_detach(thread), 0);
    return VLY_OK;
}

static vly_status (*real_arrived)(vly_algo *a, vly_queue *q, int group, const uint8_t *age);
static vly_status check_arrival(vly_algo *a, vly_queue *q, int group, const uint8_t *age) {
    CHECK(atomic_load(&ready) > asked_at[group]); /* it acted on actions that were there */
    asked_at[group] = atomic_load(&asked);
    if (atomic_load(&asked) == HELD && atomic_load(&ready) < HELD)
        atomic_fetch_add(&arrived_meanwhile, 1);
    return real_arrived(a, q, group, age);
}

static vly_status (*real_act)(vly_algo *a, vly_queue *q, const int *groups, int count);
static vly_status count_groups(vly_algo *a, vly_queue *q, const int *groups, int count) {
    CHECK_EQ(atomic_load(&ready), atomic_load(&asked)); /* one batch at a time */
    if (atomic_fetch_add(&asked, 1) == HELD - 1) atomic_store(&held_groups, count);
    return real_act(a, q, groups, count);
}

static int saw(void *arg, const vly_train_report *report) {
    (void)arg;
    return (report->rounds == ROUNDS / 2 ? VLY_TRAIN_SAVE : 0) |
           (report->rounds >= ROUNDS ? VLY_TRAIN_STOP : 0);
}

/* Nothing may be in flight when a run is saved. */
static vly_status save(void *arg, vly_train *t) {
    (void)t;
    ++*(int *)arg;
    return VLY_OK;
}

static void open_run(vly_config *config, vly_env *env, vly_compute **c, vly_train **t, int *saves) {
    settings_resolve(config, "cartpole", "classic",
                     "run.algo=impala run.envs=16 impala.rollout=5 pool.chunk=1 pool.batch=4");
    config->run.workers = 2;
    CHECK_OK(vly_env_open(env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(c, 1));
    (*c)->notify = notify_late, (*c)->event_done = never_done_yet;
    const vly_train_options o = {.compute = *c,
                                 .env = env,
                                 .config = config,
                                 .arg = saves,
                                 .on_update = saw,
                                 .on_save = save};
    CHECK_OK(vly_train_create(t, &o));
    vly_algo *algo = vly_train_algo(*t);
    real_arrived = algo->arrived, real_act = algo->act;
    algo->arrived = check_arrival, algo->act = count_groups;
}

static void groups_come_back_while_actions_are_made(void) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    int saves = 0;
    for (int g = 0; g < GROUPS; g++) asked_at[g] = -1;
    open_run(&config, &env, &c, &t, &saves);
    CHECK_EQ(pthread_getcpuclockid(pthread_self(), &run_clock), 0);
    CHECK_OK(vly_train_run(t, &result));
    CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
    CHECK(result.report.rounds >= ROUNDS && saves == 2);
    CHECK_EQ(atomic_load(&held_groups), BATCH);
    CHECK_EQ(atomic_load(&arrived_meanwhile), GROUPS - BATCH);
    if (!(held_busy_s >= 0 && held_busy_s < 0.1)) {
        fprintf(stderr, "busy for %.3f s of 0.2 with nothing to do\n", held_busy_s);
        exit(TEST_FAIL);
    }
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
}

int main(void) {
    groups_come_back_while_actions_are_made();
    return TEST_PASS;
}
