/* compute_cpu.h -- the compute interface on this machine's processors.
 *
 *   vly_compute *c;
 *   VLY_TRY(vly_compute_create_cpu(&c, 2));    // 2 threads, the caller's included
 *   ... c->destroy(c);
 *
 * Every operation is finished when its call returns: queues only name an order. Convolutions and
 * matrix products are this folder's own (simd.h, bf16_simd.h), not a library's: a result is the same bits
 * whatever the number of threads, which oneDNN's convolution gradients are not
 * (benchmarks/onednn.c; the times are in benchmarks/LOG.md). Two threads may enqueue at the same
 * time on two queues (acting beside learning).
 */
#ifndef VLY_CPU_COMPUTE_CPU_H
#define VLY_CPU_COMPUTE_CPU_H
#include "common/base/compute.h"
#ifdef __cplusplus
extern "C" {
#endif
/* threads < 1: one per processor this process may use (cgroup limits respected). */
vly_status vly_compute_create_cpu(vly_compute **out, int threads);
#ifdef __cplusplus
}
#endif
#endif
