/* conv.h -- convolutions and linear layers (1 x 1) as implicit matrix products: forward, input
 * gradient, weight gradient.
 *
 *   vly_conv c = vly_conv_of(&desc, VLY_MATH_BF16);
 *   const vly_forward_part layer = {&c, w, bias, y};
 *   VLY_TRY(vly_conv_forward_launch(&layer, 1, n, x, &split, stream));
 *
 * Nothing is unfolded in memory: a block gathers its tile of the patches as it goes. Images NHWC,
 * weights (out, kh, kw, in), in bf16 for VLY_MATH_BF16, else in f32. Sums are f32 in a fixed order;
 * the same (shape, n, device) gives the same bits. Enqueues and returns.
 */
#ifndef VLY_KERNELS_CONV_H
#define VLY_KERNELS_CONV_H
#include "common/base/compute.h"
#include "kernels/launch.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    VLY_MATH_FP32, /* fused multiply-adds: runs everywhere */
    VLY_MATH_TF32, /* tensor cores, 10 bits of mantissa; compute capability 8.0 */
    VLY_MATH_BF16  /* tensor cores, operands rounded to bf16; compute capability 8.0 */
} vly_math;

/* How operands reach a product. The second and third are for bf16 numbers (the forward pass: bytes
 * too) whose rows are multiples of 8 and whose arrays are aligned to 16 bytes; elsewhere the first is
 * used in their place. */
typedef enum {
    VLY_BY_REGISTERS, /* every type and shape */
    VLY_BY_COPIES,    /* asynchronous copies, several steps ahead: the same result; compute
                         capability 8.0 */
    VLY_BY_WARPGROUPS /* such copies and wgmma: sums in the hardware's order; where
                         vly_conv_has_warpgroups */
} vly_way;

typedef struct {
    vly_math math;
    vly_act act;
    vly_dtype x_type, y_type;
    int in_h, in_w, in_c, out_h, out_w, out_c, kernel, stride, pad;
    float x_scale;       /* factor applied to x */
    float w_scale;       /* factor applied to w before rounding; the forward pass divides by it */
    bool add;            /* forward: y += ... instead of y = act(... + bias) (f32 only) */
    const uint8_t *mask; /* linear: rows whose flags have mask_bits count as 0 (x in forward and dw,
                            dz in dx); NULL: none */
    uint8_t mask_bits;
    int tile_width; /* columns of a block's tile: 32, 64 or 128; 0: by the shape */
    vly_way way;
} vly_conv;

vly_conv vly_conv_of(const vly_layer_desc *desc, vly_math math);

/* Whether `way` can make a difference. */
bool vly_conv_forward_stages(const vly_conv *c);
bool vly_conv_dx_stages(const vly_conv *c);
bool vly_conv_dw_stages(const vly_conv *c);
/* Whether the current device has wgmma, and this build machine code for it (sm_90a). */
bool vly_conv_has_warpgroups(void);

/* Working memory for products whose k is split over blocks: vly_split_bytes, 0 in the beginning and
 * after each kernel where it counts. One per stream. */
typedef struct {
    void *memory;
    int multiprocessors;
} vly_split_memory;
size_t vly_split_bytes(int multiprocessors);

/* y = act(scale * conv(x, w) + bias); bias NULL: none. Two layers that read the same x may be one
 * launch. split NULL: no product is split. */
typedef struct {
    const vly_conv *conv;
    const void *w;
    const float *bias;
    void *y;
} vly_forward_part;
enum { VLY_FORWARD_PARTS = 2 };
vly_status vly_conv_forward_launch(const vly_forward_part *parts, int count, int n, const void *x,
                                   const vly_split_memory *split, cudaStream_t stream);

/* dx of the layer's x_type, times the slope of the activation `below`, whose output is x; written,
 * or added to. dz: the gradient before the activation, of y_type. */
typedef struct {
    void *dx;
    const void *x;
    vly_act below;
    bool add;
} vly_dx_target;
vly_status vly_conv_dx_launch(const vly_conv *c, int n, const void *dz, const void *w,
                              const vly_dx_target *to, cudaStream_t stream);

/* dw (out, kh, kw, in) and db (out) f32, overwritten or added to; db NULL: not wanted. partial:
 * vly_conv_dw_bytes of working memory for this n or more, of this call's own; NULL: one block per
 * tile processes all rows. */
typedef struct {
    const vly_conv *conv;
    int n;
    const void *x, *dz;
    float *dw, *db;
    bool accumulate;
    void *partial;
} vly_dw_call;
enum { VLY_DW_GROUP = 8 };
/* Up to VLY_DW_GROUP gradients of layers with one arithmetic at once, n > 0. */
vly_status vly_conv_dw_group_launch(const vly_dw_call *calls, int count, int multiprocessors,
                                    cudaStream_t stream);
size_t vly_conv_dw_bytes(const vly_conv *c, int n_max, int multiprocessors);

/* dz = dy * act'(y) in place, of y's type (rows, columns); db (columns) = its column sums,
 * overwritten or added to. partial: vly_bias_bytes of working memory. */
vly_status vly_activation_backward_launch(vly_dtype type, vly_act act, int64_t rows, int columns,
                                          const void *y, void *dy, float *db, bool accumulate,
                                          void *partial, cudaStream_t stream);
size_t vly_bias_bytes(int columns);

/* out[e] = (accumulate ? out[e] : 0) + scale * sum over s of partial[s * next + e], for e < n, in a
 * fixed order. */
typedef struct {
    const float *partial;
    float *out;
    int64_t n, next;
    int parts;
    float scale;
    bool accumulate;
} vly_partials;
enum { VLY_PARTIALS = 2 * VLY_DW_GROUP };
vly_status vly_partials_launch(const vly_partials *arrays, int count, cudaStream_t stream);
vly_status vly_sum_partials_launch(int64_t n, int parts, const float *partial, float scale,
                                   float *out, bool accumulate, cudaStream_t stream);
/* out = (accumulate ? out : 0) + bf16 numbers */
vly_status vly_add_bf16_launch(int64_t n, const void *low, float *out, bool accumulate,
                               cudaStream_t stream);
/* bf16 = rounded (scale * w) */
vly_status vly_weights_bf16_launch(int64_t n, const float *w, float scale, void *low,
                                   cudaStream_t stream);
/* dy *= the slope of act where its output is y */
vly_status vly_slope_launch(vly_dtype type, vly_act act, int64_t n, const void *y, void *dy,
                            cudaStream_t stream);
/* y = tanh(y), for engines whose library has no tanh. */
vly_status vly_tanh_launch(vly_dtype type, int64_t n, void *y, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
