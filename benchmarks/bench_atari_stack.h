/* bench_atari_stack.h -- agent steps whose observations are delivered as the peers deliver them:
 * uint8 (N,4,84,84) in memory of the caller, the newest frame last.
 *
 *   vly_bench_stack s;
 *   VLY_TRY(vly_bench_stack_open(&s, game, 32, 2));       // 32 actors, two threads
 *   vly_bench_rate(options, vly_bench_stack_steps, &s, &result);
 *   vly_bench_stack_close(&s);                            // also after a failed open
 *
 * An environment writes its newest frame into its place of the next stack; the three older ones are
 * copied from the last stack, zeros after a reset. ALE's preset of an environment is stepped
 * through the actor pool; with several threads in two groups, so that one group's stacks are made
 * while the other group steps.
 */
#ifndef VLY_BENCHMARKS_BENCH_ATARI_STACK_H
#define VLY_BENCHMARKS_BENCH_ATARI_STACK_H
#include "cpu/actors/pool.h"
#include "envs/atari/games.h"

typedef struct {
    vly_env env;
    vly_pool *pool;
    int actors, groups, now[2]; /* now: which of a group's two stacks is the newest */
    uint8_t *stack[2], *flags;  /* (N,4,84,84) each */
    float *reward, *score;
    int32_t *action;
    uint32_t random;
} vly_bench_stack;

vly_status vly_bench_stack_open(vly_bench_stack *s, const vly_atari_game *game, int actors,
                                int threads);
/* Every actor steps a few times; returns the steps. */
double vly_bench_stack_steps(void *arg);
void vly_bench_stack_close(vly_bench_stack *s);
#endif
