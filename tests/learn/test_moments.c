/* Running moments are one process's: where several learn together they are refused. A target network
 * normalises by those of now. */
#include <math.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

static vly_status create(const char *settings) {
    vly_algo *a = NULL;
    vly_config config;
    vly_sync together = {.world = 2};
    vly_env env = {.name = "vector", .players = 1, .tasks = 1};
    env.action = vly_space_discrete(2);
    env.obs = (vly_obs_spec){VLY_F32, 1, {4, 0, 0}, 1, 1.0f, 4 * sizeof(float)};
    settings_resolve(&config, "vector", "none", settings);
    const vly_algo_args args = {
        .env = &env, .config = &config, .sync = &together, .actors = 4, .groups = 1};
    return vly_algo_create(&a, config.run.algo, &args);
}

/* `out`: what the words say to leave out. */
static void refuses(const char *algo, const char *settings, const char *out) {
    char text[256], words[256];
    snprintf(text, sizeof text, "run.algo=%s run.preset=none run.envs=4 %s", algo, settings);
    CHECK_EQ(create(text), VLY_EUNSUPPORTED);
    snprintf(words, sizeof words, "%s: several processes", algo);
    CHECK(strstr(vly_error_text(), words) != NULL);
    snprintf(words, sizeof words, "leave out %s, or", out);
    CHECK(strstr(vly_error_text(), words) != NULL);
}

static void several_processes_are_told_what_to_leave_out(void) {
    static const char *const algos[] = {"ppo", "a2c", "impala", "dqn"};
    for (int i = 0; i < 4; i++) refuses(algos[i], "net.normalize=true", "--net.normalize");
    refuses("ppo", "ppo.normalize_reward=true", "normalize_reward");
    refuses("impala", "impala.normalize_reward=true", "normalize_reward");
    refuses("impala", "net.normalize=true impala.normalize_reward=true",
            "--net.normalize and normalize_reward");
}

enum { BUFFERS = 64 };

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
    a_target_policy_normalises_by_the_moments_of_now();
    several_processes_are_told_what_to_leave_out();
    return TEST_PASS;
}
