#include "envs/atari/human.h"
#include <stddef.h>
#include <string.h>

static const struct {
    const char *game;
    double random, human;
} table[] = {
#define XX(game, random, human) {#game, random, human},
#include "envs/atari/human.def"
#undef XX
};

bool vly_atari_human(const char *game, double *random, double *human) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].game, game)) continue;
        *random = table[i].random, *human = table[i].human;
        return true;
    }
    return false;
}
