/* bench_mujoco.h -- what a MuJoCo task costs beside its physics: part of the suite `envs`.
 *
 *   NAME/actor   one actor steps through 2,000 random actions, again and again
 *   NAME/bare    the same simulation without an environment: mj_step() alone with the same controls, and
 *                mj_resetData() and mj_forward() where an episode starts; nothing is observed,
 *                rewarded, kept or drawn at random
 */
#ifndef VLY_BENCHMARKS_BENCH_MUJOCO_H
#define VLY_BENCHMARKS_BENCH_MUJOCO_H
#include "common/record/bench.h"

/* name: "mujoco/ant", whose library is here. */
vly_status vly_bench_mujoco(const vly_bench_options *options, const char *name);

#endif
