/* impala.h -- IMPALA (Espeholt et al. 2018): actors run ahead of the learner with slightly old
 * weights, V-trace corrects for it.
 *
 * Unrolls are slots of T + 1 steps of one group's M actors: frames in device memory, time-major
 * within the slot and preceded by the frames that stacked observations reach back to; all else on
 * the host. A slot is filled by its group, waits its turn, is learned from, and is free again once
 * the group has also moved on (row T of a slot is row 0 of the group's next).
 */
#ifndef VLY_COMMON_LEARN_IMPALA_H
#define VLY_COMMON_LEARN_IMPALA_H
#include "common/learn/algo.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Synchronous when config pool.schedule says so: the same updates, every group in each, lag 0. */
vly_status vly_impala_create(vly_algo **out, const vly_algo_args *args);

#ifdef __cplusplus
}
#endif
#endif
