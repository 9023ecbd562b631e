/* bench_atari.h -- one Atari game by the second: part of the suite `envs`.
 *
 *   GAME/raw     console frames with random actions, nothing drawn that nobody sees
 *   GAME/drawn   the same, every frame drawn
 *   GAME/obs84   agent steps of one environment (four frames each), its stack of four 84 x 84
 *                pictures in the caller's memory
 *   GAME/stack84/T   the same for 32 environments on T threads (bench_atari_stack.h)
 *
 * With `vs` "ale" ale-py does the same in turn, a sample of ours and a sample of its own:
 * GAME/raw/ale, its ale.act; GAME/obs84/ale, its AtariVectorEnv; and GAME/.../ratio, the median of
 * the samples' ratios. It runs as a process of its own, of $VLY_PYTHON or build/peers
 * (tests/kit/peers.sh makes that). */
#ifndef VLY_BENCHMARKS_BENCH_ATARI_H
#define VLY_BENCHMARKS_BENCH_ATARI_H
#include "common/record/bench.h"
#include "envs/atari/games.h"

vly_status vly_bench_atari(const vly_bench_options *options, const vly_atari_game *game);

#endif
