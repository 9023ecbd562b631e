/* Algorithms learn elsewhere than in CartPole: each environment's bar is its own, met inside a budget
 * that was set from several seeds, and not met by the agent that lacks what is tested. */
#include "tests/kit/built.h"
#include "tests/kit/learning.h"
#include "tests/kit/sanitized.h"

static vly_train_result reach(const char *env, const char *family, const char *settings) {
    char short_run[1024];
    snprintf(short_run, sizeof short_run, "%s run.steps=6k", settings);
    return learn(env, family, SANITIZED ? short_run : settings);
}

static bool reached(vly_train_result r) {
    return SANITIZED || r.stop == VLY_STOP_TARGET;
}

/* Six seeds: 19,300 to 24,400. */
static void ppo_swings_acrobot_up(void) {
    CHECK(reached(reach("acrobot", "classic",
                        "run.algo=ppo run.steps=50k run.until_return=-100 run.seed=1")));
    CHECK(reached(reach("acrobot", "classic",
                        "run.algo=ppo run.steps=50k run.until_return=-100 run.seed=2")));
}

/* The bars of benchmarks/learning_table.py, inside twice the steps that three seeds needed. */
static void presets_learn_the_small_environments(void) {
    static const char *const pairs[][2] = {
        {"acrobot", "run.algo=a2c run.until_return=-100 run.steps=30k"},
        {"gridworld", "run.algo=a2c run.until_return=0.85 run.steps=30k"},
        {"windy", "run.algo=a2c run.until_return=-20 run.steps=60k"},
        {"windy", "run.algo=ppo run.until_return=-20 run.steps=40k"},
        {"cliffwalking", "run.algo=dqn run.until_return=-60 run.steps=40k"},
        {"deepsea", "run.algo=qlearning run.until_return=0.9"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char settings[128];
        snprintf(settings, sizeof settings, "%s run.seed=1", pairs[i][1]);
        CHECK(reached(reach(pairs[i][0], "classic", settings)));
    }
}

/* A random player earns 2.6. */
static void ppo_shoots_invaders(void) {
    CHECK(reached(reach("minatar/space_invaders", "minatar",
                        "run.algo=ppo run.steps=250k run.until_return=15 run.seed=1 net.hidden=64 "
                        "ppo.rollout=64 ppo.minibatches=4")));
}

/* Random actions do not reach the flag within the 200 steps of an episode. Twelve seeds: 1.6 M
 * to 3.9 M. */
static void tables_drive_up_the_mountain(void) {
    CHECK(reached(reach("mountaincar", "classic",
                        "run.algo=sarsa run.until_return=-110 run.seed=1 run.steps=5M")));
}

/* The bar is short of the environment's -110, which some seeds miss. Three seeds: 143,000
 * to 359,000. */
static void prioritized_dqn_drives_up_the_mountain(void) {
    CHECK(
        reached(reach("mountaincar", "classic", "run.algo=dqn run.until_return=-150 run.seed=2")));
}

#define RECALL                                                                                \
    "run.algo=ppo run.envs=16 run.steps=60k run.until_return=0.95 net.hidden=16 ppo.lr=5e-3 " \
    "ppo.rollout=64 ppo.minibatches=2 ppo.epochs=4 "

/* tests/plugins/recall.c: what was seen six steps ago decides. Three seeds: 9,000 to 12,600. */
static void an_lstm_remembers_and_a_feed_forward_net_does_not(void) {
    const char *env = built_file(VLY_TEST_PLUGIN_RECALL);
    CHECK(reached(reach(env, "plugin", RECALL "run.seed=1 net.lstm=16")));
    CHECK(reached(reach(env, "plugin", RECALL "run.seed=2 net.lstm=16")));
    const vly_train_result without = reach(env, "plugin", RECALL "run.seed=1");
    CHECK(without.stop == VLY_STOP_BUDGET && without.report.return_mean_100 < 0.5);
}

int main(void) {
    if (SANITIZED)
        SKIP_PART("under a sanitizer: a few updates each; the bars are the plain build's");
    ppo_swings_acrobot_up();
    presets_learn_the_small_environments();
    ppo_shoots_invaders();
    tables_drive_up_the_mountain();
    prioritized_dqn_drives_up_the_mountain();
    an_lstm_remembers_and_a_feed_forward_net_does_not();
    return TEST_PASS;
}
