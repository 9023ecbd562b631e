/* host_sync.h -- the vly_sync of ranks that are processes of one machine, through memory they
 * share: what bench_scaling uses where there are no GPUs. Gradients are summed in the order of
 * ranks, each rank a part of them.
 *
 *   // before the ranks are forked
 *   vly_host_meeting *m = vly_host_meeting_create(world, numbers);
 *   VLY_TRY(vly_host_sync_create(&sync, m, rank, world, numbers));
 */
#ifndef VLY_BENCHMARKS_HOST_SYNC_H
#define VLY_BENCHMARKS_HOST_SYNC_H
#include "common/learn/algo.h"

typedef struct vly_host_meeting vly_host_meeting;
vly_host_meeting *vly_host_meeting_create(int world, int64_t numbers); /* NULL: no memory */
void vly_host_meeting_destroy(vly_host_meeting *m, int world, int64_t numbers);
vly_status vly_host_sync_create(vly_sync **out, vly_host_meeting *m, int rank, int world,
                                int64_t numbers);
void vly_host_sync_destroy(vly_sync *s);
#endif
