/* settings.h -- a run's configuration from words: "run.algo=ppo run.envs=8". The environment and its
 * family select presets. */
#ifndef VLY_TESTS_KIT_SETTINGS_H
#define VLY_TESTS_KIT_SETTINGS_H
#include "common/learn/algo.h"
#include "tests/kit/check.h"

static inline void settings_add(vly_assignments *given, const char *settings) {
    char text[1024], *rest = text;
    snprintf(text, sizeof text, "%s", settings);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        char *value = strchr(word, '=');
        if (!*word) continue; /* two spaces, or none at all */
        CHECK(value != NULL);
        *value++ = '\0';
        CHECK_OK(vly_assignments_add(given, word, value, "test"));
    }
}

static inline void settings_resolve(vly_config *config, const char *env, const char *family,
                                    const char *settings) {
    vly_assignments given = {0};
    CHECK_OK(vly_assignments_add(&given, "run.env", env, "test"));
    settings_add(&given, settings);
    CHECK_OK(vly_algo_resolve(config, &given, env, family));
    vly_assignments_free(&given);
}
#endif
