/* compute_cuda.h -- the compute interface on a CUDA device: what the plugin libvolley_cuda.so
 * exports.
 *
 *   vly_compute *c;
 *   VLY_TRY(vly_compute_create_cuda(&c, 0, 1));
 *   ... c->destroy(c);
 *
 * Programs do not link this: common/base/compute_open.h opens the plugin where there is one, so
 * that nothing of CUDA is loaded on a machine without a GPU. cuBLASLt, cuDNN and NCCL are opened in
 * turn when they are found; without them the kernels of this project do all the work.
 */
#ifndef VLY_GPU_COMPUTE_CUDA_H
#define VLY_GPU_COMPUTE_CUDA_H
#include "common/base/compute.h"
#include "common/base/compute_open.h"
#ifdef __cplusplus
extern "C" {
#endif
#define VLY_EXPORT __attribute__((visibility("default")))
VLY_EXPORT extern const int vly_compute_cuda_abi;
VLY_EXPORT vly_status vly_compute_create_cuda(vly_compute **out, int device, int threads);
VLY_EXPORT void vly_cuda_plugin_errors(vly_error_buffer_fn buffer);
VLY_EXPORT void vly_cuda_plugin_describe(vly_cuda_info *info);
#ifdef __cplusplus
}
#endif
#endif
