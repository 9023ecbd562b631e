/* Running moments are one process's: where several learn together they are refused. */
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

int main(void) {
    several_processes_are_told_what_to_leave_out();
    return TEST_PASS;
}
