/* Evaluation and single steps of an environment that always fails: they end, and the words name it. */
#include <stdatomic.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

enum { RESTARTS = 20, CALLS_MOST = 1000 };

static atomic_int calls;
static void fail_every_row(const vly_env *env, void *states, int n, vly_actions actions,
                           vly_rows out) {
    (void)env, (void)states, (void)actions;
    CHECK(atomic_fetch_add(&calls, 1) < CALLS_MOST); /* it does not end */
    memset(out.flags, VLY_ROW_FAILED, (size_t)n);
}

static vly_train *open_failing(const vly_config *config, const vly_env *env, vly_compute *c,
                               int actors) {
    const vly_train_options o = {.compute = c,
                                 .env = env,
                                 .config = config,
                                 .eval = true,
                                 .eval_actors = actors,
                                 .eval_seed = 3};
    vly_train *t;
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_train_restored(t));
    atomic_store(&calls, 0);
    return t;
}

static void names_the_failures(void) {
    CHECK(strstr(vly_error_text(), "cartpole failed "));
    CHECK(strstr(vly_error_text(), "more than --pool.restarts 20"));
}

int main(void) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train_moment moment;
    double returns[4];
    settings_resolve(&config, "cartpole", "classic", "run.algo=ppo pool.restarts=20");
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    env.step = fail_every_row;
    vly_train *t = open_failing(&config, &env, c, 4);
    CHECK_EQ(vly_train_evaluate(t, 4, returns, NULL), VLY_EPEER);
    names_the_failures();
    vly_train_destroy(t);
    t = open_failing(&config, &env, c, 1);
    for (int i = 0; i <= RESTARTS; i++) CHECK_OK(vly_train_step(t, &moment)); /* the first resets */
    CHECK_EQ(vly_train_step(t, &moment), VLY_EPEER);
    names_the_failures();
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
    return TEST_PASS;
}
