#include "common/config/learned.h"
#include <stddef.h>
#include <string.h>

/* clang-format off */
#define LEARNED(env, algo, preset, target, steps, least, most, seeds) \
    {env, algo, preset, target, target, steps, least, most, seeds},
#define UNLEARNED(env, algo, preset, target, reached, steps) \
    {env, algo, preset, target, reached, steps, steps, steps, 0},
static const vly_learned table[] = {
#include "common/config/learned.def"
};
/* clang-format on */
enum { ROWS = sizeof table / sizeof *table };

const vly_learned *vly_learned_list(int i) {
    return i >= 0 && i < ROWS ? &table[i] : NULL;
}

const vly_learned *vly_learned_find(const char *env, const char *algo, const char *preset) {
    for (int i = 0; i < ROWS; i++)
        if (!strcmp(table[i].env, env) && !strcmp(table[i].algo, algo) &&
            !strcmp(table[i].preset, preset))
            return &table[i];
    return NULL;
}
