/* A checkpoint that could not be written is not the best one: the next may be. */
#include <unistd.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/run/saver.h"
#include "envs/registry.h"
#include "tests/kit/settings.h"

static char folder[64] = "/tmp/volley-saver-XXXXXX";
static vly_saver s;
static int saves;

static int after_enough_episodes(void *arg, const vly_train_report *r) {
    (void)arg;
    return r->window >= VLY_SAVER_BEST_EPISODES ? VLY_TRAIN_STOP : VLY_TRAIN_GO_ON;
}

/* Both of the same state. */
static vly_status save_twice(void *arg, vly_train *t) {
    char best[96];
    (void)arg, (void)t;
    snprintf(best, sizeof best, "%s/best.safetensors", folder);
    s.folder = "/dev/null/checkpoints";
    CHECK(vly_saver_save(&s) != VLY_OK);
    CHECK(s.failed && s.path[0] == '\0');
    s.folder = folder;
    CHECK_OK(vly_saver_save(&s));
    CHECK(access(best, F_OK) == 0);
    saves++;
    return VLY_OK;
}

int main(void) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    char command[96];
    CHECK(mkdtemp(folder) != NULL);
    settings_resolve(&config, "cartpole", "classic", "run.algo=ppo run.seed=1");
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    const vly_train_options o = {.compute = c,
                                 .env = &env,
                                 .config = &config,
                                 .on_update = after_enough_episodes,
                                 .on_save = save_twice};
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_saver_open(&s, t, &config, env.name, folder, folder));
    CHECK_OK(vly_train_run(t, &result));
    CHECK_EQ(saves, 1);
    vly_saver_close(&s);
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK_EQ(system(command), 0);
    return TEST_PASS;
}
