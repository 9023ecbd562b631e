/* The entropy bonus of PPO and its schedule: with one observation, no rewards and no discount there is no advantage,
 * so that the steps of a linear policy are those of the bonus alone, worked out by hand. */
#include <math.h>
#include "common/learn/algo.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/check.h"

enum { ACTIONS = 3, T = 4, SEEN = 64 };
#define RATE 1e-3

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_algo *a;
    vly_config config;
} bench;

static vly_real *find(vly_algo *a, const char *name) {
    vly_buffer list[64];
    const int n = a->buffers(a, list, 64);
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) return list[i].data;
    return NULL;
}

static void set(bench *b, const char *key, const char *text) {
    CHECK_OK(vly_config_set(&b->config, key, text));
}

static void open_bench(bench *b, const char *entropy_steps) {
    static vly_env env = {.name = "by hand", .players = 1, .tasks = 1};
    env.action = vly_space_discrete(ACTIONS);
    env.obs = (vly_obs_spec){
        .dtype = VLY_F32, .ndim = 1, .shape = {1}, .stack = 1, .scale = 1, .bytes = 4};
    CHECK_OK(vly_config_defaults(&b->config));
    set(b, "run.algo", "ppo"), set(b, "run.precision", "fp32"), set(b, "run.envs", "1");
    set(b, "optim.kind", "sgd"), set(b, "optim.max_grad_norm", "0");
    set(b, "ppo.lr", "1e-3"), set(b, "ppo.anneal", "false"), set(b, "ppo.rollout", "4");
    set(b, "ppo.epochs", "1"), set(b, "ppo.minibatches", "1"), set(b, "ppo.value_coef", "0");
    set(b, "ppo.gamma", "1"), set(b, "ppo.normalize_advantage", "false"),
        set(b, "ppo.overlap", "off");
    set(b, "ppo.entropy_coef", "0.2"), set(b, "ppo.entropy_steps", entropy_steps);
    b->config.net.hidden.n = 0;
    CHECK_OK(vly_compute_create_cpu(&b->c, 1));
    CHECK_OK(b->c->queue_create(b->c, VLY_QUEUE_LEARN, &b->q));
    const vly_algo_args args = {.compute = b->c,
                                .env = &env,
                                .config = &b->config,
                                .seed = 3,
                                .actors = 1,
                                .groups = 1,
                                .queue = b->q};
    CHECK_OK(vly_algo_create(&b->a, "ppo", &args));
}

static void close_bench(bench *b) {
    b->a->destroy(b->a);
    b->c->queue_destroy(b->q);
    b->c->destroy(b->c);
}

static void arrive(bench *b, uint8_t flags) {
    vly_rows at;
    const uint8_t age = 0;
    CHECK(b->a->place(b->a, 0, &at));
    memcpy(at.obs, &(float){SEEN}, sizeof(float));
    *at.reward = *at.score = 0, *at.flags = flags;
    CHECK_OK(b->a->arrived(b->a, b->q, 0, &age));
}

/* Weights and biases after one update at `steps`: one step of RATE along `weight` times the gradient of the
 * entropy. */
static void step_of(bench *b, int64_t steps, int64_t update, double weight) {
    const vly_real *w = find(b->a, "policy.head.weight"), *bias = find(b->a, "policy.head.bias");
    double w0[ACTIONS], bias0[ACTIONS], p[ACTIONS], total = 0, entropy = 0, most = 0;
    for (int k = 0; k < ACTIONS; k++) {
        w0[k] = (double)w[k], bias0[k] = (double)bias[k];
        total += exp(w0[k] * SEEN + bias0[k]);
    }
    for (int k = 0; k < ACTIONS; k++) {
        p[k] = exp(w0[k] * SEEN + bias0[k]) / total;
        entropy -= p[k] * log(p[k]);
    }
    for (int t = 0; t < T; t++) {
        CHECK_OK(b->a->act(b->a, b->q, &(int){0}, 1));
        CHECK_OK(b->c->queue_sync(b->q));
        arrive(b, 0);
    }
    CHECK_OK(b->a->learn(b->a, b->q, &(vly_progress){.steps = steps, .updates = update}));
    CHECK_OK(b->c->queue_sync(b->q));
    for (int k = 0; k < ACTIONS; k++) {
        const double up = -RATE * weight * p[k] * (log(p[k]) + entropy);
        CHECK_NEAR(w[k], w0[k] + SEEN * up, 2e-7);
        CHECK_NEAR(bias[k], bias0[k] + up, 2e-8);
        most = fmax(most, SEEN * fabs(up));
    }
    CHECK(weight == 0 || most > 2e-5); /* there was a step to see */
}

static void the_bonus_falls_to_nothing(void) {
    static bench b;
    open_bench(&b, "1000");
    arrive(&b, VLY_ROW_RESET);
    step_of(&b, 0, 0, 0.2);
    step_of(&b, 250, 1, 0.15);
    step_of(&b, 1000, 2, 0);
    step_of(&b, 5000, 3, 0);
    close_bench(&b);
}

static void without_a_schedule_it_stays(void) {
    static bench b;
    open_bench(&b, "0");
    arrive(&b, VLY_ROW_RESET);
    step_of(&b, 0, 0, 0.2);
    step_of(&b, 1000000, 1, 0.2);
    close_bench(&b);
}

int main(void) {
    the_bonus_falls_to_nothing();
    without_a_schedule_it_stays();
    return TEST_PASS;
}
