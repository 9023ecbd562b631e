#include "benchmarks/bench_atari_stack.h"
#include <stdlib.h>
#include <string.h>
#include "envs/atari/atari.h"

enum { FRAMES_STACKED = 4, STEPS_EACH = 64 };

/* Where group g writes its newest frames: the last frame of each stack of side k. */
static vly_rows newest_rows(const vly_bench_stack *s, int g, int k) {
    const size_t frame = s->env.obs.bytes;
    const vly_rows all = vly_rows_plain(s->stack[k] + (FRAMES_STACKED - 1) * frame,
                                        FRAMES_STACKED * frame, s->reward, s->score, s->flags);
    return vly_rows_at(all, (size_t)(g * (s->actors / s->groups)));
}

/* The frames before the newest, from the stacks of the step before. */
static void copy_older_frames(vly_bench_stack *s, int g) {
    const size_t frame = s->env.obs.bytes, whole = FRAMES_STACKED * frame, older = whole - frame;
    const int n = s->actors / s->groups, k = s->now[g];
    for (int i = g * n; i < (g + 1) * n; i++) {
        uint8_t *to = s->stack[k] + (size_t)i * whole;
        if (s->flags[i] & VLY_ROW_RESET)
            memset(to, 0, older);
        else
            memcpy(to, s->stack[!k] + (size_t)i * whole + frame, older);
    }
}

static vly_status submit_random(vly_bench_stack *s, int g) {
    const int n = s->actors / s->groups;
    for (int i = g * n; i < (g + 1) * n; i++) {
        s->random = s->random * 1664525u + 1013904223u;
        s->action[i] = (int32_t)((uint64_t)s->random * (uint32_t)s->env.action.n >> 32);
    }
    s->now[g] = !s->now[g];
    return vly_pool_submit_group(s->pool, g, vly_actions_of_ints(s->action + g * n),
                                 newest_rows(s, g, s->now[g]));
}

double vly_bench_stack_steps(void *arg) {
    vly_bench_stack *s = arg;
    double done = 0;
    for (int k = 0; k < STEPS_EACH; k++)
        for (int g = 0; g < s->groups; g++) {
            if (vly_pool_wait_group(s->pool, g, -1) != VLY_OK) return done;
            copy_older_frames(s, g);
            if (submit_random(s, g) != VLY_OK) return done;
            done += s->actors / s->groups;
        }
    return done;
}

static vly_status allocate(vly_bench_stack *s) {
    const size_t n = (size_t)s->actors;
    for (int k = 0; k < 2; k++)
        s->stack[k] = aligned_alloc(64, (n * FRAMES_STACKED * s->env.obs.bytes + 63) / 64 * 64);
    s->flags = malloc(n);
    s->reward = malloc(n * sizeof *s->reward);
    s->score = malloc(n * sizeof *s->score);
    s->action = malloc(n * sizeof *s->action);
    if (s->stack[0] && s->stack[1] && s->flags && s->reward && s->score && s->action) return VLY_OK;
    return vly_fail(VLY_ENOMEM, "no memory for the stacks of %d actors", s->actors);
}

vly_status vly_bench_stack_open(vly_bench_stack *s, const vly_atari_game *game, int actors,
                                int threads) {
    *s = (vly_bench_stack){.actors = actors, .groups = threads > 1 ? 2 : 1, .random = 1};
    vly_atari_options o = vly_atari_default_options();
    VLY_TRY(vly_atari_preset(&o, "ale"));
    o.stale_terminal = 0; /* the peer's vector environment shows the picture of an end */
    VLY_TRY(vly_atari_open(&s->env, game->name, &o));
    VLY_TRY(allocate(s));
    const vly_pool_options pool = {.actors = actors,
                                   .groups = s->groups,
                                   .workers = threads - 1,
                                   .caller_steps = threads > 1,
                                   .seed = 1};
    VLY_TRY(vly_pool_create(&s->pool, NULL, &s->env, &pool));
    for (int g = 0; g < s->groups; g++)
        VLY_TRY(vly_pool_reset_group(s->pool, g, newest_rows(s, g, 0)));
    return VLY_OK;
}

void vly_bench_stack_close(vly_bench_stack *s) {
    for (int g = 0; s->pool && g < s->groups; g++) (void)vly_pool_wait_group(s->pool, g, -1);
    if (s->pool) (void)vly_pool_destroy(s->pool);
    free(s->stack[0]), free(s->stack[1]), free(s->flags);
    free(s->reward), free(s->score), free(s->action);
    if (s->env.close) s->env.close(&s->env);
    *s = (vly_bench_stack){.actors = 0};
}
