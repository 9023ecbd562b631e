/* slope.h -- the slope of an activation where its output is y (device code). */
#ifndef VLY_KERNELS_SLOPE_H
#define VLY_KERNELS_SLOPE_H
#include "common/base/compute.h"
#include "kernels/launch.h"

static __device__ __forceinline__ float vly_activation_slope(vly_act act, float y) {
    return act == VLY_ACT_RELU   ? (y > 0.0f ? 1.0f : 0.0f)
           : act == VLY_ACT_TANH ? 1.0f - y * y
                                 : 1.0f;
}
#endif
