/* driver.c -- steps several actors of one environment with given actions and writes their rows, for
 * tests/mujoco/peers.py.
 *
 *   mujoco_driver NAME OPTIONS STEPS SEED [SEED ...] <actions >rows
 *
 * actions: for each step and actor the numbers of an action as float32. rows: first that of each reset, then
 * for each step and actor: the observation and the reward as float32, the flags as one byte.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "envs/registry.h"

enum { ACTORS_MOST = 16 };

typedef struct {
    vly_env env;
    int n;
    uint8_t *states, *obs, flags[ACTORS_MOST];
    float reward[ACTORS_MOST], score[ACTORS_MOST], *actions;
} several;

static vly_rows all_rows(several *s) {
    return vly_rows_plain(s->obs, s->env.obs.bytes, s->reward, s->score, s->flags);
}

static void write_rows(const several *s) {
    for (int i = 0; i < s->n; i++) {
        fwrite(s->obs + (size_t)i * s->env.obs.bytes, 1, s->env.obs.bytes, stdout);
        fwrite(&s->reward[i], sizeof(float), 1, stdout);
        fwrite(&s->flags[i], 1, 1, stdout);
    }
}

static int allocate(several *s) {
    const size_t n = (size_t)s->n;
    s->states = aligned_alloc(64, n * s->env.state_bytes);
    s->obs = malloc(n * s->env.obs.bytes);
    s->actions = malloc(n * s->env.action.bytes);
    return s->states && s->obs && s->actions;
}

static int play(several *s, int steps) {
    const vly_actions actions = {s->actions, s->env.action.bytes};
    const size_t bytes = (size_t)s->n * s->env.action.bytes;
    write_rows(s);
    for (int i = 0; i < steps; i++) {
        if (fread(s->actions, 1, bytes, stdin) != bytes) return 0;
        s->env.step(&s->env, s->states, s->n, actions, all_rows(s));
        write_rows(s);
    }
    return fflush(stdout) == 0;
}

int main(int argc, char **argv) {
    several s = {.n = argc - 4};
    if (s.n < 1 || s.n > ACTORS_MOST) return 2;
    const vly_env_args args = {.extra = argv[2]};
    if (vly_env_open(&s.env, argv[1], &args) != VLY_OK) {
        fprintf(stderr, "mujoco_driver: %s\n", vly_error_text());
        return 1;
    }
    if (!allocate(&s)) return 1;
    for (int i = 0; i < s.n; i++)
        s.env.reset(&s.env, s.states + (size_t)i * s.env.state_bytes,
                    strtoull(argv[4 + i], NULL, 10), vly_rows_at(all_rows(&s), (size_t)i));
    const int whole = play(&s, atoi(argv[3]));
    s.env.close(&s.env);
    free(s.states), free(s.obs), free(s.actions);
    return !whole;
}
