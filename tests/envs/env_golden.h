/* env_golden.h -- replays a file recorded by tests/golden/envs.py; the format is described there.
 */
#ifndef VLY_TESTS_ENVS_ENV_GOLDEN_H
#define VLY_TESTS_ENVS_ENV_GOLDEN_H
#include "common/base/crc32.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

typedef struct {
    vly_env env;
    void *state;
    uint8_t obs[4096];
    float reward, score;
    uint8_t flags;
    int open;
    long steps, rows, ends;
    char line[256];
} golden;

static inline vly_rows golden_rows(golden *g) {
    vly_rows rows = vly_rows_plain(g->obs, sizeof g->obs, &g->reward, &g->score, &g->flags);
    return rows;
}

static inline uint32_t golden_row_crc(golden *g, uint32_t crc) {
    if (g->env.states > 0) {
        const int32_t index = g->env.state_index(&g->env, g->state);
        crc = vly_crc32(crc, &index, 4);
    } else {
        crc = vly_crc32(crc, g->obs, g->env.obs.bytes);
    }
    crc = vly_crc32(crc, &g->reward, 4);
    g->ends += (g->flags & VLY_ROW_ENDED) != 0;
    g->rows++;
    return vly_crc32(crc, &g->flags, 1);
}

static inline void golden_close(golden *g) {
    if (!g->open) return;
    free(g->state);
    g->env.close(&g->env);
    g->open = 0;
}

static inline void golden_run(golden *g) {
    char name[64], extra[128] = "";
    unsigned long long seed;
    int max_steps;
    CHECK(sscanf(g->line, "run %63s seed=%llu max_steps=%d extra=%127s", name, &seed, &max_steps,
                 extra) >= 3);
    golden_close(g);
    const vly_env_args args = {.max_steps = max_steps, .extra = extra};
    CHECK_OK(vly_env_open(&g->env, name, &args));
    CHECK(g->env.obs.bytes <= sizeof g->obs);
    g->open = 1;
    g->state = aligned_alloc(64, g->env.state_bytes);
    memset(g->state, 0xA5, g->env.state_bytes);
    g->env.reset(&g->env, g->state, seed, golden_rows(g));
}

/* A choice; of a box of one number the bits of that: low, seven in equal steps between, high, and one
 * above it, which the reference clips. */
static inline int32_t golden_action(const vly_space *space, int digit) {
    if (space->kind == VLY_SPACE_DISCRETE) return digit;
    const vly_bounds b = space->bounds[0];
    const float v = (float)(b.low + (b.high - b.low) * digit / 8);
    int32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline uint32_t golden_steps(golden *g, const char *digits) {
    uint32_t crc = 0;
    for (const char *d = digits; *d >= '0' && *d <= '9'; d++) {
        const int32_t action = golden_action(&g->env.action, *d - '0');
        g->env.step(&g->env, g->state, 1, vly_actions_of_ints(&action), golden_rows(g));
        CHECK(g->score == g->reward);
        crc = golden_row_crc(g, crc);
        g->steps++;
    }
    return crc;
}

/* Every row in `path` must equal that of this program's environment; returns the number of
 * rows. */
static inline long golden_replay(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) fprintf(stderr, "cannot open %s\n", path);
    CHECK(file != NULL);
    golden g = {.open = 0};
    char run[256] = "";
    while (fgets(g.line, sizeof g.line, file)) {
        if (strncmp(g.line, "run ", 4) == 0) {
            golden_run(&g);
            memcpy(run, g.line, sizeof run);
            g.steps = 0;
            continue;
        }
        CHECK(g.open);
        const char *space = strchr(g.line, ' ');
        CHECK(space != NULL);
        const uint32_t want = (uint32_t)strtoul(space + 1, NULL, 16);
        const uint32_t got = g.line[0] == '-' ? golden_row_crc(&g, 0) : golden_steps(&g, g.line);
        if (got != want)
            fprintf(stderr, "%s: differs within 100 steps before step %ld of: %s", path, g.steps,
                    run);
        CHECK(got == want);
    }
    CHECK(g.open && g.ends > 0);
    golden_close(&g);
    fclose(file);
    return g.rows;
}
#endif
