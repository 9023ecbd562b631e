/* PPO with overlap: a rollout is acted with the weights from before the update that runs beside it.
 * Which weights those are never depends on how long anything takes. */
#include <unistd.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

enum { ENVS = 8, STEPS = 16, ROLLOUTS = 6, ROWS = ENVS * STEPS, BUFFERS = 256 };

static void (*real_step)(const vly_env *env, void *states, int n, vly_actions action, vly_rows out);
static vly_status (*real_loss)(vly_queue *q, const vly_policy_loss_args *args);
static int32_t taken[2 * ROLLOUTS * ROWS]; /* actions, in the order of the steps */
static int steps_taken, slow_env_us, slow_learner_us, saves;

static void record_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    if (n == ENVS) { /* a single one is tried to see what a step costs */
        CHECK(steps_taken + n <= 2 * ROLLOUTS * ROWS);
        memcpy(taken + steps_taken, action.data, (size_t)n * sizeof *taken);
        steps_taken += n;
    }
    if (slow_env_us) usleep((useconds_t)slow_env_us);
    real_step(env, states, n, action, out);
}

static vly_status slow_loss(vly_queue *q, const vly_policy_loss_args *args) {
    if (slow_learner_us) usleep((useconds_t)slow_learner_us);
    return real_loss(q, args);
}

static int save_every_second(void *arg, const vly_train_report *report) {
    (void)arg;
    return report->rounds % 2 ? VLY_TRAIN_GO_ON : VLY_TRAIN_SAVE;
}

static vly_status count_save(void *arg, vly_train *t) {
    (void)arg, (void)t;
    saves++;
    return VLY_OK;
}

/* A hash of the whole state after ROLLOUTS rollouts or, as rows that reset are not counted, a few
 * more; `taken` has their actions. */
static uint64_t run(const char *settings, bool saving) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    vly_buffer list[BUFFERS];
    char text[512];
    uint64_t hash = 14695981039346656037ull;
    snprintf(text, sizeof text,
             "run.algo=ppo run.envs=%d pool.groups=1 pool.chunk=%d ppo.rollout=%d "
             "ppo.minibatches=2 ppo.epochs=2 run.steps=%d run.workers=2 %s",
             ENVS, ENVS, STEPS, ROLLOUTS * ROWS, settings);
    settings_resolve(&config, "cartpole", "classic", text);
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 2));
    real_step = env.step, env.step = record_step;
    real_loss = c->policy_loss, c->policy_loss = slow_loss;
    const vly_train_options o = {.compute = c,
                                 .env = &env,
                                 .config = &config,
                                 .on_update = saving ? save_every_second : NULL,
                                 .on_save = count_save};
    CHECK_OK(vly_train_create(&t, &o));
    steps_taken = 0;
    CHECK_OK(vly_train_run(t, &result));
    CHECK_EQ(result.stop, VLY_STOP_BUDGET);
    CHECK(steps_taken >= ROLLOUTS * ROWS);
    CHECK_EQ(result.report.rounds * ROWS, steps_taken); /* the last is learned from too */
    const int n = vly_train_buffers(t, list, BUFFERS);
    for (int i = 0; i < n; i++) {
        const unsigned char *bytes = list[i].data;
        for (size_t k = 0; k < vly_buffer_bytes(&list[i]); k++)
            hash = (hash ^ bytes[k]) * 1099511628211ull;
    }
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
    return hash;
}

static int equal_rollouts(const int32_t *a, const int32_t *b) {
    int n = 0;
    while (n < ROLLOUTS && !memcmp(a + n * ROWS, b + n * ROWS, ROWS * sizeof *a)) n++;
    return n;
}

/* Without learning all rollouts are the first weights'. With it the second is another one; with
 * overlap the second is not yet, the third is. */
static void acting_is_one_update_behind(void) {
    int32_t frozen[2 * ROLLOUTS * ROWS];
    run("ppo.lr=0", false);
    memcpy(frozen, taken, sizeof taken);
    run("ppo.overlap=off", false);
    CHECK_EQ(equal_rollouts(frozen, taken), 1);
    run("ppo.overlap=on", false);
    CHECK_EQ(equal_rollouts(frozen, taken), 2);
}

static void no_bit_depends_on_time(void) {
    static const char *const kinds[] = {"ppo.overlap=on", "ppo.overlap=on net.lstm=8",
                                        "ppo.overlap=on ppo.target_kl=0.003"};
    for (int i = 0; i < 3; i++) {
        const uint64_t expected = run(kinds[i], false);
        slow_env_us = 500; /* the learner waits */
        CHECK(run(kinds[i], false) == expected);
        slow_env_us = 0, slow_learner_us = 3000; /* the actors wait */
        CHECK(run(kinds[i], false) == expected);
        slow_learner_us = 0;
        saves = 0;
        CHECK(run(kinds[i], true) == expected);
        CHECK(saves >= ROLLOUTS / 2); /* each a round after it was asked for, at rest */
    }
}

static void ranks_are_refused(void) {
    vly_assignments given = {0};
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_sync sync = {.world = 2};
    CHECK_OK(vly_assignments_add(&given, "ppo.overlap", "on", "test"));
    CHECK_OK(vly_assignments_add(&given, "run.algo", "ppo", "test"));
    CHECK_OK(vly_algo_resolve(&config, &given, "cartpole", "classic"));
    vly_assignments_free(&given);
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    const vly_train_options o = {.compute = c, .env = &env, .config = &config, .sync = &sync};
    CHECK_EQ(vly_train_create(&t, &o), VLY_EUNSUPPORTED);
    CHECK(strstr(vly_error_text(), "--ppo.overlap") != NULL);
    c->destroy(c);
    env.close(&env);
}

/* What an option leaves to the device is chosen once, and is the run's from then on. */
static void auto_is_on_where_a_gpu_learns_alone(void) {
    vly_config config;
    const vly_env env = {.obs = {.bytes = 16}};
    const vly_compute_info processor = {.is_host = true}, gpu = {.is_host = false};
    CHECK_OK(vly_config_defaults(&config));
    CHECK_OK(vly_config_set(&config, "run.algo", "ppo"));
    const uint64_t before = vly_algo_config_hash(&config);
    vly_algo_settle(&config, &env, &processor, true);
    CHECK_EQ(config.ppo.overlap, VLY_PPO_OVERLAP_OFF);
    CHECK(vly_algo_config_hash(&config) == before);
    vly_algo_settle(&config, &env, &gpu, true);
    CHECK_EQ(config.ppo.overlap, VLY_PPO_OVERLAP_OFF);
    config.ppo.overlap = VLY_PPO_OVERLAP_AUTO;
    vly_algo_settle(&config, &env, &gpu, false);
    CHECK_EQ(config.ppo.overlap, VLY_PPO_OVERLAP_OFF);
    config.ppo.overlap = VLY_PPO_OVERLAP_AUTO;
    vly_algo_settle(&config, &env, &gpu, true);
    CHECK_EQ(config.ppo.overlap, VLY_PPO_OVERLAP_ON);
    CHECK(vly_algo_config_hash(&config) != before);
}

static void envs_are(const char *env_name, const char *family, const char *key, const char *value,
                     size_t obs_bytes, bool on_gpu, int envs, int rollout) {
    vly_config config;
    vly_assignments given = {0};
    const vly_env env = {.obs = {.bytes = obs_bytes}};
    const vly_compute_info device = {.is_host = !on_gpu};
    CHECK_OK(vly_assignments_add(&given, "run.algo", "ppo", "test"));
    CHECK_OK(vly_assignments_add(&given, key, value, "test"));
    CHECK_OK(vly_algo_resolve(&config, &given, env_name, family));
    vly_algo_settle(&config, &env, &device, true);
    CHECK_EQ(config.run.envs, envs);
    CHECK_EQ(config.ppo.rollout, rollout);
    vly_assignments_free(&given);
}

/* As many rows to an update as the preset has, unless their number or shape was given. */
static void what_is_left_open_is_fitted_to_the_device(void) {
    envs_are("cartpole", "classic", "run.seed", "1", 16, false, 8, 64);
    envs_are("cartpole", "classic", "run.seed", "1", 16, true, 64, 8);
    envs_are("cartpole", "classic", "run.envs", "auto", 16, false, 8, 64);
    envs_are("cartpole", "classic", "run.envs", "auto", 16, true, 64, 8);
    envs_are("cartpole", "classic", "run.envs", "24", 16, true, 24, 64);
    envs_are("cartpole", "classic", "ppo.rollout", "32", 16, true, 8, 32);
    envs_are("minatar/breakout", "minatar", "run.seed", "1", 400, true, 512, 16);
    envs_are("pong", "atari", "run.seed", "1", 84 * 84, true, 128, 16);
}

int main(void) {
    what_is_left_open_is_fitted_to_the_device();
    acting_is_one_update_behind();
    no_bit_depends_on_time();
    ranks_are_refused();
    auto_is_on_where_a_gpu_learns_alone();
    return TEST_PASS;
}
