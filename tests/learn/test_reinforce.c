/* REINFORCE: the gradient of two rollouts worked out by hand, CartPole learned. That a run repeats
 * is claimed in tests/run/test_repeat.c. */
#include <math.h>
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/by_hand.h"

/* ---- by hand: a linear policy of two numbers, one actor, four steps, plain SGD ---- */

enum { OBS = 2, ACTIONS = 2, T = 4 };

typedef struct {
    float obs[OBS], reward;
    uint8_t flags;
} arrival;

typedef struct {
    by_hand by;
    vly_real *weight, *bias, *baseline; /* of the algorithm */
} bench;

static void open_bench(bench *b, float baseline) {
    char settings[256];
    snprintf(settings, sizeof settings,
             "run.algo=reinforce reinforce.rollout=%d reinforce.gamma=0.5 reinforce.lr=0.1 "
             "reinforce.anneal=false reinforce.entropy_coef=0 reinforce.baseline=%g",
             T, (double)baseline);
    by_hand_open(&b->by, OBS, ACTIONS, settings);
    CHECK(b->by.a->value == NULL && by_hand_find(&b->by, "value.head.weight") == NULL);
    b->weight = by_hand_find(&b->by, "policy.head.weight");
    b->bias = by_hand_find(&b->by, "policy.head.bias");
    b->baseline = by_hand_find(&b->by, "baseline");
    CHECK(b->weight && b->bias && !b->baseline == !(baseline > 0));
}

static void arrive(bench *b, const arrival *row) {
    by_hand_arrive(&b->by, row->obs, row->reward, row->flags);
}

/* Row t acts, row t + 1 answers; what the weights must be after learning from `returns` (NAN: the
 * action was ignored). */
static void learn_rollout(bench *b, const arrival *first, const arrival *rows,
                          const double *returns, int64_t update) {
    double weight[ACTIONS][OBS], bias[ACTIONS];
    int valid = 0;
    for (int t = 0; t < T; t++) valid += !isnan(returns[t]);
    for (int k = 0; k < ACTIONS; k++) {
        bias[k] = (double)b->bias[k];
        for (int i = 0; i < OBS; i++) weight[k][i] = (double)b->weight[k * OBS + i];
    }
    double z[ACTIONS], step_w[ACTIONS][OBS] = {{0}}, step_b[ACTIONS] = {0};
    const arrival *at = first;
    for (int t = 0; t < T; t++) {
        const int action = by_hand_act(&b->by);
        for (int k = 0; k < ACTIONS; k++)
            z[k] = bias[k] + weight[k][0] * (double)at->obs[0] + weight[k][1] * (double)at->obs[1];
        const double p1 = 1 / (1 + exp(z[0] - z[1])), p[ACTIONS] = {1 - p1, p1};
        for (int k = 0; k < ACTIONS && !isnan(returns[t]); k++) {
            const double up = returns[t] * ((k == action) - p[k]) / valid;
            step_b[k] += up;
            for (int i = 0; i < OBS; i++) step_w[k][i] += up * (double)at->obs[i];
        }
        arrive(b, at = &rows[t]);
    }
    by_hand_learn(&b->by, T * (update + 1), update);
    for (int k = 0; k < ACTIONS; k++) {
        CHECK_NEAR(b->bias[k], bias[k] + 0.1 * step_b[k], 1e-6);
        for (int i = 0; i < OBS; i++)
            CHECK_NEAR(b->weight[k * OBS + i], weight[k][i] + 0.1 * step_w[k][i], 1e-6);
    }
}

static const arrival start = {{0.5f, -1}, 0, VLY_ROW_RESET};
/* Two rewards and the end; the ignored action; one reward before the rollout is cut. */
static const arrival one[T] = {{{1, 2}, 1, 0},
                               {{-1, 0.5f}, 2, VLY_ROW_TERMINATED},
                               {{0.25f, 1}, 0, VLY_ROW_RESET},
                               {{2, -0.5f}, 3, 0}};
/* A reward and the time limit; the ignored action; two rewards. */
static const arrival two[T] = {{{1, 1}, 4, VLY_ROW_TRUNCATED},
                               {{0, -2}, 0, VLY_ROW_RESET},
                               {{1.5f, 0}, 1, 0},
                               {{-0.5f, 0.5f}, 1, 0}};

static void returns_end_with_the_episode_or_the_rollout(void) {
    static bench b;
    open_bench(&b, 0);
    arrive(&b, &start);
    learn_rollout(&b, &start, one, (double[]){1 + 0.5 * 2, 2, NAN, 3}, 0);
    learn_rollout(&b, &one[T - 1], two, (double[]){4, NAN, 1 + 0.5 * 1, 1}, 1);
    by_hand_close(&b.by);
}

static void the_baseline_is_the_mean_of_earlier_rollouts(void) {
    static bench b;
    const double m1 = (2 + 2 + 3) / 3.0, m2 = (4 + 1.5 + 1) / 3;
    open_bench(&b, 0.1f);
    arrive(&b, &start);
    learn_rollout(&b, &start, one, (double[]){2, 2, NAN, 3}, 0);
    CHECK_NEAR(*b.baseline, m1, 1e-6);
    learn_rollout(&b, &one[T - 1], two, (double[]){4 - m1, NAN, 1.5 - m1, 1 - m1}, 1);
    CHECK_NEAR(*b.baseline, m1 + (m2 - m1) / 2, 1e-6);
    learn_rollout(&b, &two[T - 1], one,
                  (double[]){2 - (m1 + m2) / 2, 2 - (m1 + m2) / 2, NAN, 3 - (m1 + m2) / 2}, 50);
    CHECK_NEAR(*b.baseline, 0.9 * (m1 + m2) / 2 + 0.1 * m1, 1e-6);
    by_hand_close(&b.by);
}

/* ---- CartPole ---- */

static vly_train_result train(const char *settings) {
    static vly_config config;
    vly_train_result result;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    char text[512];
    snprintf(text, sizeof text, "run.algo=reinforce %s", settings);
    settings_resolve(&config, "cartpole", "classic", text);
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    const vly_train_options o = {.compute = c, .env = &env, .config = &config};
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_train_run(t, &result));
    fprintf(stderr, "%s: %s after %lld steps, mean return %.1f, %.2f s\n", settings,
            vly_stop_name(result.stop), (long long)result.report.steps,
            result.report.return_mean_100, result.report.wall_s);
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
    return result;
}

static void cartpole_is_solved(void) { /* 12 seeds: median 144,000, most 244,300 */
    for (int seed = 1; seed <= 3; seed++) {
        char settings[64];
        snprintf(settings, sizeof settings, "run.until_return=475 run.steps=400k run.seed=%d",
                 seed);
        CHECK_EQ(train(settings).stop, VLY_STOP_TARGET);
    }
}

static void a_frozen_policy_does_not_pass(void) {
    const vly_train_result r = train("run.until_return=475 reinforce.lr=0 run.steps=100k");
    CHECK(r.stop == VLY_STOP_BUDGET && r.report.return_mean_100 < 60);
}

int main(void) {
    returns_end_with_the_episode_or_the_rollout();
    the_baseline_is_the_mean_of_earlier_rollouts();
    cartpole_is_solved();
    a_frozen_policy_does_not_pass();
    return TEST_PASS;
}
