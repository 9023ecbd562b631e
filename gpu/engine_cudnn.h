/* engine_cudnn.h -- plans of convolutions, apart from the layers that run them: a test makes them
 * without a GPU.
 *
 *   VLY_TRY(vly_cudnn_plan_take(&kept, &conv, 256, VLY_PASS_FORWARD, 0, workspace_bytes, 0, NULL));
 *   ... kept->plan ...
 *   vly_cudnn_plan_give_back(kept);
 *
 * json: a description of a device, instead of device `index` of this machine; NULL otherwise.
 */
#ifndef VLY_GPU_ENGINE_CUDNN_H
#define VLY_GPU_ENGINE_CUDNN_H
#include "gpu/layer.h"
#include "gpu/cudnn_library.h"

/* ---- engine_cudnn.c: making one ---- */

/* One of cuDNN's suggestions: first those of its heuristic, then those of its fallback. {0} is the
 * first. */
typedef struct {
    int list, at;
} vly_cudnn_place;
typedef struct vly_cudnn_plan vly_cudnn_plan;
/* The first plan that will do, from suggestion `from` on. */
vly_status vly_cudnn_plan_create(vly_cudnn_plan **out, const vly_conv *c, int n, vly_pass pass,
                                 vly_cudnn_place from, size_t workspace_most, int index,
                                 const char *json);
void vly_cudnn_plan_destroy(vly_cudnn_plan *p);
vly_cudnn_place vly_cudnn_plan_place(const vly_cudnn_plan *p);
/* cuDNN's index of the chosen engine. */
int64_t vly_cudnn_plan_engine(const vly_cudnn_plan *p);

/* ---- cudnn_plans.c: the plans of this process, each made once ---- */

/* A plan in use. What is given back is kept for the next layer of the shape, in this run or a later
 * one of the process; a plan has one user at a time, because cuDNN does not say of every engine
 * that two threads may execute it. Safe from any thread. */
typedef struct vly_cudnn_kept vly_cudnn_kept;
struct vly_cudnn_kept {
    vly_cudnn_plan *plan;
    /* private */
    struct vly_cudnn_shape *shape;
    int variant;
    vly_cudnn_kept *next;
};
/* variant: 0 is the first plan that will do, 1 the next, up to VLY_CUDNN_VARIANTS - 1. */
enum { VLY_CUDNN_VARIANTS = 3 };
vly_status vly_cudnn_plan_take(vly_cudnn_kept **out, const vly_conv *c, int n, vly_pass pass,
                               int variant, size_t workspace_most, int index, const char *json);
void vly_cudnn_plan_give_back(vly_cudnn_kept *kept);
#endif
