/* Actions that come late, as a device's do: the run goes on meanwhile, and sleeps when there is
 * nothing to do. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "common/learn/algo.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

enum { ROUNDS = 12 };
static const long LATE_NS = 20000000;

static atomic_int under_way, made, arrived_meanwhile, most_under_way;

typedef struct {
    void (*fn)(void *arg);
    void *arg;
} late;

static void *deliver(void *arg) {
    late l = *(late *)arg;
    free(arg);
    nanosleep(&(struct timespec){.tv_nsec = LATE_NS}, NULL);
    atomic_fetch_sub(&under_way, 1); /* first: the run may ask for the next ones at once */
    l.fn(l.arg);
    return NULL;
}

/* Instead of the processor's own, which calls at once. */
static vly_status notify_late(vly_queue *q, void (*fn)(void *arg), void *arg) {
    pthread_t thread;
    late *l = malloc(sizeof *l);
    *l = (late){fn, arg};
    (void)q;
    const int now = atomic_fetch_add(&under_way, 1) + 1;
    if (now > atomic_load(&most_under_way)) atomic_store(&most_under_way, now);
    atomic_fetch_add(&made, 1);
    CHECK_EQ(pthread_create(&thread, NULL, deliver, l), 0);
    CHECK_EQ(pthread_detach(thread), 0);
    return VLY_OK;
}

static vly_status (*real_arrived)(vly_algo *a, vly_queue *q, int group, const uint8_t *age);
static vly_status count_arrival(vly_algo *a, vly_queue *q, int group, const uint8_t *age) {
    if (atomic_load(&under_way) > 0) atomic_fetch_add(&arrived_meanwhile, 1);
    return real_arrived(a, q, group, age);
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

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void open_run(vly_config *config, vly_env *env, vly_compute **c, vly_train **t, int *saves) {
    static const char *const settings[][2] = {{"run.env", "cartpole"}, {"run.algo", "impala"},
                                              {"run.envs", "16"},      {"impala.rollout", "5"},
                                              {"pool.chunk", "1"},     {"pool.batch", "4"}};
    vly_assignments given = {0};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        CHECK_OK(vly_assignments_add(&given, settings[i][0], settings[i][1], "test"));
    CHECK_OK(vly_algo_resolve(config, &given, "cartpole", "classic"));
    vly_assignments_free(&given);
    config->run.workers = 2;
    CHECK_OK(vly_env_open(env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(c, 1));
    (*c)->notify = notify_late;
    const vly_train_options o = {.compute = *c,
                                 .env = env,
                                 .config = config,
                                 .arg = saves,
                                 .on_update = saw,
                                 .on_save = save};
    CHECK_OK(vly_train_create(t, &o));
    vly_algo *algo = vly_train_algo(*t);
    real_arrived = algo->arrived;
    algo->arrived = count_arrival;
}

static void groups_come_back_while_actions_are_made(void) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    int saves = 0;
    open_run(&config, &env, &c, &t, &saves);
    const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    CHECK_OK(vly_train_run(t, &result));
    const double took = seconds(CLOCK_MONOTONIC) - wall,
                 busy = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    CHECK_EQ(result.stop, VLY_STOP_INTERRUPTED);
    CHECK(result.report.rounds >= ROUNDS && saves == 2);
    CHECK(atomic_load(&made) >= 8 && atomic_load(&most_under_way) == 1); /* one batch at a time */
    CHECK(atomic_load(&arrived_meanwhile) >= 4);
    CHECK(took >= 1e-9 * (double)LATE_NS * (atomic_load(&made) - 1)); /* no action was used before
                                                                         it was there */
    if (busy > 0.5 * took) {
        fprintf(stderr, "busy for %.3f s of %.3f\n", busy, took);
        exit(TEST_FAIL);
    }
    vly_train_destroy(t);
    while (atomic_load(&under_way) > 0) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    c->destroy(c);
    env.close(&env);
}

int main(void) {
    groups_come_back_while_actions_are_made();
    return TEST_PASS;
}
