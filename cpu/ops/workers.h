/* workers.h -- a few threads that share the blocks of one operation.
 *
 *   VLY_TRY(vly_workers_create(&w, 2));                  // 2 threads, the caller's included
 *   // fn(arg, block, slot) for every block, then returns
 *   vly_workers_run(w, blocks, fn, arg);
 *
 * Idle threads sleep, after some 30 us in which they look for more. The first run that can use them
 * starts them. The blocks of thread i of T are those from blocks * i / T on, and whoever is done takes
 * what others have left: which thread runs a block is not fixed. Results stay the same if every
 * block writes its own part and sums over blocks are added in the order of blocks afterwards. Several
 * threads may run jobs at the same time.
 */
#ifndef VLY_CPU_WORKERS_H
#define VLY_CPU_WORKERS_H
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct vly_workers vly_workers;
/* slot: 0 .. threads - 1, one per thread inside this run: names its scratch memory. */
typedef void (*vly_block_fn)(void *arg, int block, int slot);

/* threads < 1: one per processor. */
vly_status vly_workers_create(vly_workers **out, int threads);
void vly_workers_destroy(vly_workers *w);
int vly_workers_threads(const vly_workers *w);
void vly_workers_run(vly_workers *w, int blocks, vly_block_fn fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
