/* Running moments: of what the network reads, for a target network those of now, and of one process:
 * where several learn together they are refused. */
#include <math.h>
#include "tests/kit/learning.h"

enum { BUFFERS = 256 };

/* The weights `name`, of as many numbers as an observation has. */
static void read_numbers(vly_train *t, const char *name, float *out) {
    vly_buffer list[BUFFERS];
    const int n = vly_train_buffers(t, list, BUFFERS);
    int at = 0;
    while (at < n && strcmp(list[at].name, name)) at++;
    CHECK(at < n && list[at].shape[0] == 2);
    CHECK_OK(vly_train_read(t, &list[at], out));
}

/* Both mountain cars show a position in [-1.2, 0.6] and a speed in [-0.07, 0.07], the position near
 * -0.5 for a long time. */
static void moments_are_of_scaled_observations(const char *name, const char *settings) {
    const float scale = 0.25f;
    float mean[2], normal[2];
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    char text[512];
    snprintf(text, sizeof text,
             "run.preset=none run.envs=4 run.steps=2000 net.hidden=8 net.normalize=true %s",
             settings);
    settings_resolve(&config, name, "classic", text);
    CHECK_OK(vly_env_open(&env, name, NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    env.obs.scale = scale;
    const vly_train_options o = {.compute = c, .env = &env, .config = &config};
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_train_run(t, &result));
    read_numbers(t, "input.mean", mean), read_numbers(t, "input.scale", normal);
    if (!(mean[0] > -0.75f * scale && mean[0] < -0.25f * scale))
        fprintf(stderr, "%s: the mean position is %g\n", settings, (double)mean[0]);
    CHECK(mean[0] > -0.75f * scale && mean[0] < -0.25f * scale);
    CHECK(1 / normal[1] < 0.071f * scale); /* a deviation is at most half the range */
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
}

static void what_normalises_is_of_the_networks_input(void) {
    static const char numbers[] = "mountaincar_continuous";
    moments_are_of_scaled_observations("mountaincar", "run.algo=ppo ppo.rollout=64");
    moments_are_of_scaled_observations("mountaincar", "run.algo=a2c");
    moments_are_of_scaled_observations("mountaincar", "run.algo=impala pool.schedule=sync");
    moments_are_of_scaled_observations("mountaincar",
                                       "run.algo=dqn dqn.learning_starts=500 replay.capacity=2000");
    moments_are_of_scaled_observations(
        numbers, "run.algo=sac sac.batch=32 sac.learning_starts=500 replay.capacity=2000");
    moments_are_of_scaled_observations(
        numbers, "run.algo=td3 td3.batch=32 td3.learning_starts=500 replay.capacity=2000");
}

/* led: as the learner of actors elsewhere, not as one of several. */
static vly_status create(const char *settings, bool led) {
    vly_algo *a = NULL;
    vly_config config;
    vly_sync together = {.world = 2};
    vly_env env = {.name = "vector", .players = 1, .tasks = 1};
    env.action = vly_space_discrete(2);
    env.obs = (vly_obs_spec){VLY_F32, 1, {4, 0, 0}, 1, 1.0f, 4 * sizeof(float)};
    settings_resolve(&config, "vector", "none", settings);
    const vly_algo_args args = {.env = &env,
                                .config = &config,
                                .sync = led ? NULL : &together,
                                .led = led,
                                .actors = 4,
                                .groups = 1};
    return vly_algo_create(&a, config.run.algo, &args);
}

/* `out`: what the words say to leave out. */
static void refuses(const char *algo, const char *settings, const char *out) {
    char text[256], words[256];
    snprintf(text, sizeof text, "run.algo=%s run.preset=none run.envs=4 %s", algo, settings);
    for (int led = 0; led < 2; led++) {
        CHECK_EQ(create(text, led), VLY_EUNSUPPORTED);
        snprintf(words, sizeof words, "%s: several processes", algo);
        CHECK(strstr(vly_error_text(), words) != NULL);
        snprintf(words, sizeof words, "leave out %s, or", out);
        CHECK(strstr(vly_error_text(), words) != NULL);
    }
}

static void several_processes_are_told_what_to_leave_out(void) {
    static const char *const algos[] = {"ppo", "a2c", "impala", "dqn"};
    for (int i = 0; i < 4; i++) refuses(algos[i], "net.normalize=true", "--net.normalize");
    refuses("ppo", "ppo.normalize_reward=true", "normalize_reward");
    refuses("impala", "impala.normalize_reward=true", "normalize_reward");
    refuses("impala", "net.normalize=true impala.normalize_reward=true",
            "--net.normalize and normalize_reward");
}

static const void *data_of(const vly_buffer *list, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) return list[i].data;
    fprintf(stderr, "no buffer %s\n", name);
    exit(TEST_FAIL);
}

/* TD3's moves every thousand updates here, its moments with each row that arrives. */
static void a_target_policy_normalises_by_the_moments_of_now(void) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_net *net;
    vly_train_result result;
    vly_buffer list[BUFFERS];
    int width;
    settings_resolve(&config, "pendulum", "classic",
                     "run.algo=td3 run.preset=none run.steps=300 net.hidden=16 net.normalize=true "
                     "td3.batch=16 td3.learning_starts=100 td3.policy_every=1000 replay.ratio=16 "
                     "replay.capacity=1000");
    CHECK_OK(vly_env_open(&env, "pendulum", NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    const vly_train_options o = {.compute = c, .env = &env, .config = &config};
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_train_run(t, &result));
    CHECK(result.report.updates > 100);
    const vly_algo_args args = {.compute = c, .env = &env, .config = &config};
    CHECK_OK(vly_algo_net(&net, &args));
    const int64_t at = vly_net_moments(net, &width);
    const int n = vly_train_buffers(t, list, BUFFERS);
    CHECK(n <= BUFFERS && at >= 0 && width == 3);
    const vly_real *target = (const vly_real *)data_of(list, n, "target.policy") + at;
    const double *seen = data_of(list, n, "moments.observation"); /* count, mean, squares */
    for (int k = 0; k < width; k++) {
        CHECK_NEAR(target[k], seen[width + k], 1e-6);
        CHECK_NEAR(target[width + k] * sqrt(seen[2 * width + k] / seen[k] + 1e-8), 1, 1e-6);
    }
    vly_net_destroy(net);
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
}

int main(void) {
    what_normalises_is_of_the_networks_input();
    a_target_policy_normalises_by_the_moments_of_now();
    several_processes_are_told_what_to_leave_out();
    return TEST_PASS;
}
