/* Algorithms learn: the committed presets reach CartPole-v1's 475 over the last 100 training
 * episodes inside a budget that was set from many seeds and that random or broken learning does not
 * meet. */
#include "tests/kit/learning.h"
#include "tests/kit/sanitized.h"

static void ppo_solves_cartpole(void) { /* 24 seeds: median 56,100, most 63,200 */
    CHECK_EQ(learn("cartpole", "classic", "run.algo=ppo run.until_return=475 run.seed=1").stop,
             VLY_STOP_TARGET);
    const vly_train_result second = learn("cartpole", "classic",
                                          "run.algo=ppo run.until_return=475 run.seed=2");
    CHECK(second.stop == VLY_STOP_TARGET && second.report.steps < 90000);
}

static void ppo_solves_cartpole_one_update_behind(void) {
    const vly_train_result r = learn("cartpole", "classic",
                                     "run.algo=ppo ppo.overlap=on run.until_return=475 run.seed=1");
    CHECK(r.stop == VLY_STOP_TARGET && r.report.steps < 120000);
}

static void a2c_solves_cartpole(void) { /* 10 seeds: median 80,900, most 94,000 */
    const vly_train_result r = learn("cartpole", "classic",
                                     "run.algo=a2c run.until_return=475 run.seed=1");
    CHECK(r.stop == VLY_STOP_TARGET && r.report.steps < 150000);
}

static void impala_solves_cartpole_in_step(void) {
    const vly_train_result r =
        learn("cartpole", "classic",
              "run.algo=impala pool.schedule=sync run.until_return=475 run.seed=1");
    CHECK(r.stop == VLY_STOP_TARGET && r.report.lag_max == 0);
}

static void impala_solves_cartpole_out_of_step(void) { /* the only one that chance may touch: 10
                                                          runs, most 133,500 of 300,000 */
    const vly_train_result r = learn("cartpole", "classic",
                                     "run.algo=impala run.until_return=475 run.seed=1");
    CHECK_EQ(r.stop, VLY_STOP_TARGET);
}

/* Seeds 1 to 3: 69,000 to 79,000. */
static void dqn_solves_cartpole_with_each_of_three_seeds(void) {
    if (SANITIZED) {
        SKIP_PART("under a sanitizer: DQN is trained to 475 in the plain build");
        return;
    }
    for (int seed = 1; seed <= 3; seed++) {
        char settings[96];
        snprintf(settings, sizeof settings, "run.algo=dqn run.until_return=475 run.seed=%d", seed);
        const vly_train_result r = learn("cartpole", "classic", settings);
        CHECK(r.stop == VLY_STOP_TARGET && r.report.steps < 150000);
    }
}

/* The bar is not met by doing nothing. */
static void a_frozen_policy_does_not_pass(void) {
    const vly_train_result r = learn("cartpole", "classic",
                                     "run.algo=ppo run.until_return=475 ppo.lr=0 run.steps=60k");
    CHECK(r.stop == VLY_STOP_BUDGET && r.report.return_mean_100 < 60);
}

int main(void) {
    ppo_solves_cartpole();
    ppo_solves_cartpole_one_update_behind();
    a2c_solves_cartpole();
    impala_solves_cartpole_in_step();
    impala_solves_cartpole_out_of_step();
    dqn_solves_cartpole_with_each_of_three_seeds();
    a_frozen_policy_does_not_pass();
    return TEST_PASS;
}
