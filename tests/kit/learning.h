/* learning.h -- a training run as a test: what was reached, with which settings, in which time.
 *
 *   const vly_train_result r = learn("cartpole", "classic", "run.algo=ppo run.until_return=475");
 *   CHECK(r.stop == VLY_STOP_TARGET && r.report.steps < 90000);
 *
 * `family` selects presets. Arithmetic is fp32 on two threads, so that every processor of a vector
 * width gives the same run.
 */
#ifndef VLY_TESTS_KIT_LEARNING_H
#define VLY_TESTS_KIT_LEARNING_H
#include "cpu/ops/compute_cpu.h"
#include "cpu/train/train.h"
#include "envs/registry.h"
#include <stdbool.h>
#include "tests/kit/settings.h"

static inline vly_train_result learn(const char *env_name, const char *family,
                                     const char *settings) {
    vly_config config;
    vly_env env;
    vly_compute *c;
    vly_train *t;
    vly_train_result result;
    char text[1024];
    snprintf(text, sizeof text, "run.precision=fp32 %s", settings);
    settings_resolve(&config, env_name, family, text);
    const vly_env_args args = {.extra = config.env.args};
    CHECK_OK(vly_env_open(&env, env_name, config.env.args[0] ? &args : NULL));
    CHECK_OK(vly_compute_create_cpu(&c, 2));
    const vly_train_options o = {.compute = c, .env = &env, .config = &config};
    CHECK_OK(vly_train_create(&t, &o));
    CHECK_OK(vly_train_run(t, &result));
    fprintf(stderr, "%s %s: %s after %lld steps, mean return %.1f, %.2f s\n", env_name, settings,
            vly_stop_name(result.stop), (long long)result.report.steps,
            result.report.return_mean_100, result.report.wall_s);
    result.report.metrics = NULL;
    vly_train_destroy(t);
    c->destroy(c);
    env.close(&env);
    return result;
}
#endif
