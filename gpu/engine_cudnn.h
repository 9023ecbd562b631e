/* engine_cudnn.h -- plans of convolutions, apart from the layers that run them: a test makes them
 * without a GPU.
 *
 *   VLY_TRY(vly_cudnn_plan_create(&plan, &conv, 256, VLY_PASS_FORWARD, 0, workspace_bytes, 0,
 *                                 NULL));
 *
 * skip: how many of the plans that would do are passed over. json: a description of a device,
 * instead of device `index` of this machine; NULL otherwise.
 */
#ifndef VLY_GPU_ENGINE_CUDNN_H
#define VLY_GPU_ENGINE_CUDNN_H
#include "gpu/layer.h"
#include "gpu/cudnn_library.h"
typedef struct vly_cudnn_plan vly_cudnn_plan;
vly_status vly_cudnn_plan_create(vly_cudnn_plan **out, const vly_conv *c, int n, vly_pass pass,
                                 int skip, size_t workspace_most, int index, const char *json);
void vly_cudnn_plan_destroy(vly_cudnn_plan *p);
/* cuDNN's index of the chosen engine. */
int64_t vly_cudnn_plan_engine(const vly_cudnn_plan *p);
#endif
