/* What is learned, beside the truth: environments whose optimum is computed, and one that only a memory
 * solves. */
#include "envs/registry.h"
#include "tests/kit/learning.h"
#include "tests/kit/sanitized.h"

static vly_train_result reach(const char *env, const char *settings) {
    char short_run[1024];
    snprintf(short_run, sizeof short_run, "%s run.steps=3k", settings);
    return learn(env, "classic", SANITIZED ? short_run : settings);
}

static bool reached(vly_train_result r) {
    return SANITIZED || r.stop == VLY_STOP_TARGET;
}

/* The optimum is -15; exploration costs a little. */
static void sarsa_crosses_the_wind(void) {
    CHECK(reached(reach("windy", "run.algo=sarsa run.until_return=-16.5 run.seed=1")));
    CHECK(reached(reach("windy", "run.algo=sarsa run.until_return=-16.5 run.seed=2")));
}

/* The environment's target is 95 % of what dynamic programming earns; the bar is 85 %. */
static void ppo_trades_near_the_optimum(void) {
    vly_env env;
    char settings[128];
    CHECK_OK(vly_env_open(&env, "storage", NULL));
    snprintf(settings, sizeof settings, "run.algo=ppo run.seed=1 run.until_return=%g",
             0.85 / 0.95 * (double)env.return_target);
    env.close(&env);
    CHECK(reached(reach("storage", settings)));
}

static void only_a_memory_balances_without_speeds(void) {
    CHECK(reached(reach("cartpole_hidden", "run.algo=ppo run.seed=1 run.until_return=150")));
    const vly_train_result without =
        reach("cartpole_hidden", "run.algo=ppo run.seed=1 run.steps=100k run.until_return=150 "
                                 "net.lstm=0");
    CHECK(without.stop == VLY_STOP_BUDGET && without.report.return_mean_100 < 100);
}

int main(void) {
    if (SANITIZED)
        SKIP_PART("under a sanitizer: a few updates each; the bars are the plain build's");
    sarsa_crosses_the_wind();
    ppo_trades_near_the_optimum();
    only_a_memory_balances_without_speeds();
    return TEST_PASS;
}
