/* Algorithms learn with other actions than one choice: numbers, several choices, masks. Each bar is
 * missed by the agent that lacks what is tested. Budgets were set from several seeds. */
#include "tests/kit/built.h"
#include "tests/kit/learning.h"
#include "tests/kit/sanitized.h"

static vly_train_result reach(const char *env, const char *family, const char *settings) {
    char short_run[1024];
    snprintf(short_run, sizeof short_run, "%s run.steps=3k", settings);
    return learn(env, family, SANITIZED ? short_run : settings);
}

static bool reached(vly_train_result r) {
    return SANITIZED || r.stop == VLY_STOP_TARGET;
}

/* A random player earns -1200. */
static void ppo_swings_the_pendulum_up(void) {
    CHECK(reached(reach("pendulum", "classic", "run.algo=ppo run.until_return=-200 run.seed=1")));
}

/* Through tanh, and with a deviation that the network gives for each state. */
static void ppo_swings_it_up_by_other_distributions(void) {
    static const char *const ways[] = {"net.squash=true", "net.deviation=state",
                                       "net.squash=true net.deviation=state"};
    for (int i = 0; i < 3; i++) {
        char settings[160];
        snprintf(settings, sizeof settings, "run.algo=ppo run.until_return=-200 run.seed=1 %s",
                 ways[i]);
        CHECK(reached(reach("pendulum", "classic", settings)));
    }
}

static void sac_swings_the_pendulum_up(void) {
    CHECK(reached(reach("pendulum", "classic",
                        "run.algo=sac run.steps=50k run.until_return=-250 run.seed=1")));
}

/* By moments that move while older observations are replayed. */
static void sac_normalises_what_it_replays(void) {
    CHECK(reached(reach("pendulum", "classic",
                        "run.algo=sac run.steps=50k run.until_return=-250 run.seed=1 "
                        "net.normalize=true")));
}

static void td3_swings_the_pendulum_up(void) {
    CHECK(reached(reach("pendulum", "classic",
                        "run.algo=td3 run.steps=60k run.until_return=-250 run.seed=1")));
}

static void sac_solves_cartpole_with_choices(void) {
    CHECK(reached(reach("cartpole", "classic",
                        "run.algo=sac run.steps=60k run.until_return=150 run.seed=1 run.envs=4 "
                        "net.hidden=64,64 sac.batch=64 sac.lr=1e-3 sac.learning_starts=500 "
                        "sac.target_entropy=0.2 replay.ratio=16 replay.capacity=50k")));
}

static void sac_reads_images_with_its_mlp(void) {
    const vly_train_result r = learn("minatar/breakout", "minatar",
                                     "run.algo=sac run.steps=400 run.envs=4 net.hidden=16,16 "
                                     "sac.batch=8 sac.learning_starts=100 replay.capacity=1000");
    CHECK(r.stop == VLY_STOP_BUDGET && r.report.updates > 0);
}

/* ---- several choices: at random 10.8 of 30 ---- */

#define CHOOSE "run.steps=120k run.envs=16 net.hidden=32 run.seed=1 "

static void several_choices_are_learned_at_once(void) {
    const char *env = built_file(VLY_TEST_PLUGIN_FACTORS);
    CHECK(reached(reach(env, "plugin",
                        CHOOSE "run.algo=ppo run.until_return=27 ppo.lr=5e-3 ppo.rollout=64 "
                               "ppo.gamma=0.5 ppo.entropy_coef=0")));
    CHECK(reached(reach(env, "plugin",
                        CHOOSE "run.algo=impala pool.schedule=sync run.until_return=20 "
                               "impala.lr=3e-3 impala.gamma=0.5 optim.eps=1e-3")));
    CHECK(reached(
        reach(env, "plugin", CHOOSE "run.algo=a2c run.until_return=20 a2c.lr=3e-3 a2c.gamma=0.5")));
    CHECK(reached(reach(env, "plugin",
                        CHOOSE "run.algo=ppo run.until_return=27 ppo.lr=5e-3 ppo.rollout=64 "
                               "ppo.gamma=0.5 ppo.entropy_coef=0 "
                               "env.args=masked=1")));
}

/* ---- masks: examples/masked_env.c; a closed door ends the game, and only the mask shows it. Open
 * doors at random earn 10 ---- */

#define DOORS "run.steps=100k run.envs=16 net.hidden=32 run.seed=1 run.until_return=12.5 "

static void masks_are_what_solves_the_doors(void) {
    const char *env = built_file(VLY_TEST_PLUGIN_MASKED);
    CHECK(reached(
        reach(env, "plugin", DOORS "run.algo=ppo ppo.lr=5e-3 ppo.rollout=64 ppo.gamma=0.5")));
    CHECK(reached(reach(
        env, "plugin", DOORS "run.algo=ppo net.lstm=16 ppo.lr=5e-3 ppo.rollout=64 ppo.gamma=0.5")));
    CHECK(reached(reach(env, "plugin",
                        DOORS "run.algo=impala pool.schedule=sync impala.lr=3e-3 impala.gamma=0.5 "
                              "optim.eps=1e-3")));
    CHECK(reached(reach(env, "plugin",
                        DOORS "run.algo=dqn dqn.lr=1e-3 dqn.batch=64 dqn.learning_starts=500 "
                              "dqn.gamma=0.9 dqn.target_every=200 dqn.eps_steps=10k "
                              "replay.capacity=20k")));
    CHECK(reached(reach(env, "plugin", DOORS "run.algo=a2c a2c.lr=3e-3 a2c.gamma=0.5")));
    CHECK(reached(reach(env, "plugin",
                        DOORS "run.algo=impala pool.schedule=sync net.lstm=16 impala.lr=3e-3 "
                              "impala.gamma=0.5 optim.kind=adam optim.eps=1e-5 run.steps=300k")));
    CHECK(reached(reach(env, "plugin",
                        DOORS "run.algo=apex apex.replay=local dqn.lr=1e-3 dqn.batch=64 "
                              "dqn.learning_starts=500 dqn.gamma=0.9 dqn.target_every=200 "
                              "replay.capacity=20k")));
    CHECK(reached(reach(env, "plugin",
                        DOORS "run.algo=sac sac.batch=64 sac.lr=1e-3 sac.learning_starts=500 "
                              "sac.gamma=0.9 replay.ratio=8 replay.capacity=20k")));
    const vly_train_result without = reach(env, "plugin",
                                           DOORS
                                           "run.algo=ppo ppo.lr=5e-3 ppo.rollout=64 ppo.gamma=0.5 "
                                           "env.args=masked=0");
    CHECK(without.stop == VLY_STOP_BUDGET && without.report.return_mean_100 < 3);
}

int main(void) {
    if (SANITIZED)
        SKIP_PART("under a sanitizer: a few updates each; the bars are the plain build's");
    ppo_swings_the_pendulum_up();
    ppo_swings_it_up_by_other_distributions();
    sac_swings_the_pendulum_up();
    sac_normalises_what_it_replays();
    td3_swings_the_pendulum_up();
    sac_solves_cartpole_with_choices();
    sac_reads_images_with_its_mlp();
    several_choices_are_learned_at_once();
    masks_are_what_solves_the_doors();
    return TEST_PASS;
}
