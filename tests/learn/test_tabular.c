/* Tabular learning against value iteration. */
#include <math.h>
#include "tests/kit/check.h"
#include "common/config/config.h"
#include "common/learn/tabular.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"

enum { CELLS_MAX = 64, ACTIONS = 4 };

static void set(vly_config *c, const char *key, const char *value) {
    CHECK_OK(vly_config_set(c, key, value));
}

static const vly_real *table_of(vly_train *t) {
    static vly_buffer list[256];
    const int n = vly_train_buffers(t, list, 256);
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].name, "table.q") == 0) return list[i].data;
    CHECK(!"there is a table");
    return NULL;
}

/* Trains and hands the table to `look`. */
static void train_on(const char *env_name, const char *extra, const char *algo,
                     const char *settings,
                     void (*look)(const vly_env *env, const vly_real *q, double gamma)) {
    vly_env env;
    vly_config config;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    char text[512], *word, *rest;
    const vly_env_args args = {.extra = extra};
    CHECK_OK(vly_config_defaults(&config));
    set(&config, "run.env", env_name), set(&config, "run.algo", algo),
        set(&config, "run.envs", "4");
    snprintf(text, sizeof text, "%s", settings);
    for (word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        *equals = '\0';
        set(&config, word, equals + 1);
    }
    CHECK_OK(vly_env_open(&env, env_name, &args));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    const vly_train_options o = {.compute = c, .env = &env, .config = &config};
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_train_run(t, &result));
    CHECK_EQ(result.stop, VLY_STOP_BUDGET);
    look(&env, table_of(t), (double)config.tabular.gamma);
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
}

static int greedy(const vly_real *row) {
    int best = 0;
    for (int a = 1; a < ACTIONS; a++) best = row[a] > row[best] ? a : best;
    return best;
}

/* The greedy way from `start`; returns the undiscounted return, deterministic environments only. */
static double walk(const vly_env *env, const vly_real *q, int start, int *visited_mask_row) {
    double sum = 0;
    int at = start;
    for (int steps = 0; steps < 200; steps++) {
        vly_outcome o[3];
        CHECK_EQ(env->model(env, at, greedy(q + at * ACTIONS), o, 3), 1);
        sum += o[0].reward;
        at = o[0].next;
        if (visited_mask_row) visited_mask_row[at]++;
        if (o[0].terminated) return sum;
    }
    return -1e9;
}

static void is_optimal(const vly_env *env, const vly_real *q, double gamma) {
    double best[CELLS_MAX * ACTIONS], largest = 0;
    CHECK_OK(vly_tabular_solve(env, gamma, best));
    CHECK_NEAR(walk(env, q, 0, NULL), (double)env->return_target, 1e-6);
    int at = 0; /* along the way it goes the values agree */
    for (int steps = 0; steps < 40; steps++) {
        vly_outcome o[3];
        int a = 0;
        for (int k = 1; k < ACTIONS; k++)
            a = best[at * ACTIONS + k] > best[at * ACTIONS + a] ? k : a;
        largest = fmax(largest, fabs(best[at * ACTIONS + a] -
                                     (double)q[at * ACTIONS + greedy(q + at * ACTIONS)]));
        CHECK_EQ(env->model(env, at, greedy(q + at * ACTIONS), o, 3), 1); /* of several best ways,
                                                                             the learned one */
        at = o[0].next;
        if (o[0].terminated) break;
    }
    fprintf(stderr, "largest error %.3g\n", largest);
    CHECK(largest < 1e-3);
}

static void is_near_optimal_on_ice(const vly_env *env, const vly_real *q, double gamma) {
    double best[CELLS_MAX * ACTIONS], sum = 0;
    CHECK_OK(vly_tabular_solve(env, gamma, best));
    for (int a = 0; a < ACTIONS; a++) sum += fabs(best[a] - (double)q[a]);
    fprintf(stderr, "ice error %.3g\n", sum / ACTIONS);
    CHECK(sum / ACTIONS < 0.02);
}

static void goes_along_the_cliff(const vly_env *env, const vly_real *q, double gamma) {
    (void)gamma;
    CHECK_NEAR(walk(env, q, 36, NULL), -13, 1e-9);
}

static void keeps_away_from_the_cliff(const vly_env *env, const vly_real *q, double gamma) {
    int seen[48] = {0}, edge = 0;
    (void)gamma;
    const double sum = walk(env, q, 36, seen);
    CHECK(sum < -13 && sum >= -23);
    for (int i = 25; i < 35; i++) edge += seen[i] > 0; /* the row above the cliff */
    CHECK(edge < 4);
}

static void value_iteration_has_the_known_values(void) {
    vly_env env;
    double q[CELLS_MAX * ACTIONS];
    CHECK_OK(vly_env_open(&env, "gridworld", NULL));
    CHECK_OK(vly_tabular_solve(&env, 1.0, q));
    double best = q[0];
    for (int a = 1; a < ACTIONS; a++) best = fmax(best, q[a]);
    CHECK_NEAR(best, (double)env.return_target, 1e-7);
    env.close(&env);
    CHECK_OK(vly_env_open(&env, "cliffwalking", NULL));
    CHECK_OK(vly_tabular_solve(&env, 1.0, q));
    best = q[36 * ACTIONS];
    for (int a = 1; a < ACTIONS; a++) best = fmax(best, q[36 * ACTIONS + a]);
    CHECK_NEAR(best, -13, 1e-9);
    env.close(&env);
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_EQ(vly_tabular_solve(&env, 1.0, q), VLY_EUNSUPPORTED);
    env.close(&env);
}

/* A model that is wrong at state 2, action 1. */
static vly_outcome wrong_outcome;
static int wrong_count;
static int (*real_model)(const vly_env *env, int state, int action, vly_outcome *out, int max);
static int wrong_model(const vly_env *env, int state, int action, vly_outcome *out, int max) {
    if (state != 2 || action != 1) return real_model(env, state, action, out, max);
    out[0] = wrong_outcome;
    return wrong_count;
}

static void a_wrong_model_is_refused_by_state_and_action(void) {
    static const struct {
        vly_outcome outcome;
        int count;
        const char *says;
    } cases[] = {{{1, -1, 64, 0}, 1, "leads to state 64, states are 0 to "},
                 {{1, -1, -1, 1}, 1, "leads to state -1"},
                 {{1, -1, 0, 0}, 65, "says 65 outcomes, it may write 64"},
                 {{1, -1, 0, 0}, -1, "says -1 outcomes"},
                 {{1, NAN, 0, 0}, 1, "has probability 1 and reward nan"},
                 {{INFINITY, 0, 0, 0}, 1, "has probability inf"}};
    vly_env env;
    double q[CELLS_MAX * ACTIONS];
    CHECK_OK(vly_env_open(&env, "gridworld", NULL));
    real_model = env.model, env.model = wrong_model;
    CHECK(env.states <= 64);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wrong_outcome = cases[i].outcome, wrong_count = cases[i].count;
        CHECK_EQ(vly_tabular_solve(&env, 0.9, q), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), cases[i].says) || (fputs(vly_error_text(), stderr), 0));
        CHECK(strstr(vly_error_text(), "model(state 2, action 1)") != NULL);
    }
    env.close(&env);
}

static void cells_cover_the_space(void) {
    vly_env env;
    vly_discretizer d;
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_OK(vly_discretizer_init(&d, &env, 7));
    CHECK_EQ(d.states, 7 * 7 * 7 * 7);
    const float low[4] = {-1e9f, -1e9f, -1e9f, -1e9f}, high[4] = {1e9f, 1e9f, 1e9f, 1e9f},
                zero[4] = {0}, none[4] = {NAN, NAN, NAN, NAN};
    CHECK_EQ(vly_discretizer_state(&d, low), 0);
    CHECK_EQ(vly_discretizer_state(&d, none), 0);
    CHECK_EQ(vly_discretizer_state(&d, high), d.states - 1);
    CHECK_EQ(vly_discretizer_state(&d, zero), d.states / 2);
    env.close(&env);
}

/* An environment nobody knows by name, as a plugin may bring it. */
static void bounds_are_the_environments_own(void) {
    static const vly_bounds narrow[] = {{-1, 1}, {0, 8}};
    static const vly_bounds wrong[][2] = {
        {{1, -1}, {0, 8}}, {{0, 0}, {0, 8}}, {{NAN, 1}, {0, 8}}, {{-INFINITY, INFINITY}, {0, 8}}};
    vly_env env = {.name = "mine", .bounds = narrow, .action = vly_space_discrete(2)};
    vly_discretizer d;
    env.obs = (vly_obs_spec){.dtype = VLY_F32, .ndim = 1, .shape = {2}, .stack = 1, .bytes = 8};
    CHECK_OK(vly_discretizer_init(&d, &env, 4));
    CHECK_EQ(d.states, 16);
    CHECK_EQ(vly_discretizer_state(&d, (float[]){-1, 0}), 0);
    CHECK_EQ(vly_discretizer_state(&d, (float[]){-0.51f, 1.9f}), 0);
    CHECK_EQ(vly_discretizer_state(&d, (float[]){-0.49f, 2.1f}), 5);
    CHECK_EQ(vly_discretizer_state(&d, (float[]){0.99f, 7.9f}), 15);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        env.bounds = wrong[i];
        CHECK_EQ(vly_discretizer_init(&d, &env, 4), VLY_EINVAL);
    }
    env.bounds = NULL;
    CHECK_EQ(vly_discretizer_init(&d, &env, 4), VLY_EUNSUPPORTED);
}

static void images_are_refused_by_name(void) {
    vly_env env;
    vly_algo *a;
    CHECK_OK(vly_env_open(&env, "minatar/breakout", NULL));
    const vly_algo_args args = {.env = &env};
    CHECK_EQ(vly_algo_create(&a, "sarsa", &args), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "sarsa does not learn in minatar/breakout"));
    CHECK(strstr(vly_error_text(), "--algo ppo") && !strstr(vly_error_text(), "qlearning"));
    env.close(&env);
}

int main(void) {
    images_are_refused_by_name();
    value_iteration_has_the_known_values();
    a_wrong_model_is_refused_by_state_and_action();
    cells_cover_the_space();
    bounds_are_the_environments_own();
    train_on("gridworld", NULL, "qlearning", "steps=60000 tabular.alpha_power=0", is_optimal);
    train_on("gridworld", NULL, "sarsa",
             "steps=200000 tabular.eps_end=0 tabular.eps_steps=80000 tabular.alpha_power=0",
             is_optimal);
    train_on("gridworld", "slip=0.3", "qlearning",
             "steps=600000 tabular.alpha_power=0.6 tabular.alpha=1 tabular.alpha_end=0.002 "
             "tabular.eps_end=0.4",
             is_near_optimal_on_ice);
    train_on("cliffwalking", NULL, "qlearning",
             "steps=200000 tabular.gamma=1 tabular.eps_start=0.1 tabular.eps_end=0.1",
             goes_along_the_cliff);
    train_on("cliffwalking", NULL, "sarsa",
             "steps=400000 tabular.gamma=1 tabular.eps_start=0.1 tabular.eps_end=0.1 "
             "tabular.alpha_end=0.05",
             keeps_away_from_the_cliff);
    return TEST_PASS;
}
