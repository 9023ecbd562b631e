/* --impala.normalize_reward: what V-trace reads are the rewards divided by the deviation of all
 * discounted returns so far, which this test sums up by itself. */
#include <math.h>
#include "common/learn/algo.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

enum { ACTORS = 6, GROUPS = 3, LENGTH = 7, ROUNDS = 40, MOST = ACTORS * LENGTH * (ROUNDS + 2) };

static const double gamma_used = 0.9;
static vly_rows placed[GROUPS];
static double carry[ACTORS], returns[MOST];
static int counted, updates;

static bool (*real_place)(vly_algo *a, int group, vly_rows *rows);
static bool remember_rows(vly_algo *a, int group, vly_rows *rows) {
    if (!real_place(a, group, rows)) return false;
    placed[group] = *rows;
    return true;
}

static vly_status (*real_arrived)(vly_algo *a, vly_queue *q, int group, const uint8_t *age);
static vly_status sum_rewards(vly_algo *a, vly_queue *q, int group, const uint8_t *age) {
    const int each = ACTORS / GROUPS;
    for (int i = 0; i < each; i++) {
        double *sum = &carry[group * each + i];
        const uint8_t flags = placed[group].flags[i];
        if (flags & (VLY_ROW_RESET | VLY_ROW_FAILED)) {
            *sum = 0;
            continue;
        }
        *sum = gamma_used * *sum + (double)placed[group].reward[i];
        CHECK(counted < MOST);
        returns[counted++] = *sum;
        if (flags & VLY_ROW_ENDED) *sum = 0;
    }
    return real_arrived(a, q, group, age);
}

static double deviation(void) {
    double mean = 0, squares = 0;
    for (int i = 0; i < counted; i++) mean += returns[i] / counted;
    for (int i = 0; i < counted; i++) squares += (returns[i] - mean) * (returns[i] - mean);
    return sqrt(squares / counted);
}

/* Every reward of CartPole is 1, but on rows that start an episode. */
static vly_status (*real_vtrace)(vly_queue *q, const vly_vtrace_args *args);
static vly_status check_rewards(vly_queue *q, const vly_vtrace_args *args) {
    const double unit = fmin(1 / deviation(), 10);
    for (int i = 0; i < args->T * args->N; i++)
        CHECK_NEAR(args->reward[i], args->flags[i] & VLY_ROW_RESET ? 0 : unit, 1e-5 * unit);
    updates++;
    return real_vtrace(q, args);
}

static int stop_at_last(void *arg, const vly_train_report *report) {
    (void)arg;
    return report->rounds >= ROUNDS ? VLY_TRAIN_STOP : 0;
}

int main(void) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    settings_resolve(&config, "cartpole", "classic",
                     "run.algo=impala run.envs=6 pool.groups=3 impala.rollout=7 impala.gamma=0.9 "
                     "pool.schedule=sync impala.normalize_reward=true");
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    real_vtrace = c->vtrace, c->vtrace = check_rewards;
    const vly_train_options o = {
        .compute = c, .env = &env, .config = &config, .on_update = stop_at_last};
    CHECK_OK(vly_train_create(&t, &o));
    vly_algo *algo = vly_train_algo(t);
    real_place = algo->place, algo->place = remember_rows;
    real_arrived = algo->arrived, algo->arrived = sum_rewards;
    CHECK_OK(vly_train_run(t, &result));
    CHECK_EQ(updates, ROUNDS);
    CHECK(counted > ACTORS * LENGTH * ROUNDS / 2 && deviation() > 1);
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
    return TEST_PASS;
}
