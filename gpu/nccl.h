/* nccl.h -- training on several GPUs, one process per GPU: the vly_sync of one rank.
 *
 *   // every rank of the crew
 *   VLY_TRY(vly_nccl_sync_create(&sync, &(vly_nccl_options){compute, crew, ...}));
 *   ... train with it ...
 *   // after the graphs that captured it, before the device
 *   vly_nccl_sync_destroy(sync, failed);
 *
 * The mean gradient over all ranks is computed on a stream of its own, in two parts: that of the
 * last layers while the backward pass still computes the first ones. Both may be captured in a
 * graph. The weights of all ranks stay equal bit for bit, also with gradients in bf16, which halves
 * the traffic and rounds the mean. A fingerprint of the weights is compared every `compare_every`
 * updates.
 *
 * The communicator is non-blocking: set-up and every call have a deadline. A thread watches for
 * dead ranks (common/sync/crew.h), for errors of NCCL and for updates that exceed the deadline. It
 * then aborts the communicator, which ends the waiting kernels; vly_sync_gradients.check names the
 * rank.
 *
 * Part of the plugin; the program finds it with vly_cuda_symbol.
 */
#ifndef VLY_GPU_NCCL_H
#define VLY_GPU_NCCL_H
#include "common/sync/sync.h"
#include "common/sync/nccl_open.h"
#include "gpu/compute_cuda.h"

VLY_EXPORT vly_status vly_nccl_sync_create(vly_sync **out, const vly_nccl_options *options);
VLY_EXPORT void vly_nccl_sync_destroy(vly_sync *sync, bool failed);
#endif
