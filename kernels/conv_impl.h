/* conv_impl.h -- from a vly_conv to operands, tile width and launch: the host side that conv_forward.cu,
 * conv_dx.cu and conv_dw.cu share. */
#ifndef VLY_KERNELS_CONV_IMPL_H
#define VLY_KERNELS_CONV_IMPL_H
#include "kernels/conv_operands.h"

vly_status vly_conv_check(const vly_conv *c, int n);

static inline int patch_size(const vly_conv *c) {
    return c->kernel * c->kernel * c->in_c;
}

static inline conv_patches patches_of(const vly_conv *c, int n, const void *x) {
    conv_patches p = {};
    const int run = c->kernel * c->in_c;
    const int line_width = vly_access_width(x, c->x_type, run, c->stride * c->in_c,
                                            c->in_w * c->in_c),
              pixel_width = vly_access_width(x, c->x_type, c->in_c, 0, 0);
    p.lines = c->pad == 0 && line_width >= pixel_width;
    p.x.data = x, p.x.type = c->x_type, p.x.vec = p.lines ? line_width : pixel_width;
    p.rows = n * c->out_h * c->out_w, p.columns = patch_size(c);
    p.in_h = c->in_h, p.in_w = c->in_w, p.in_c = c->in_c, p.stride = c->stride, p.pad = c->pad;
    p.pixels = vly_divider_of(c->out_h * c->out_w), p.out_w = vly_divider_of(c->out_w);
    p.run = vly_divider_of(p.lines ? run : c->in_c), p.taps_w = vly_divider_of(c->kernel);
    p.mask = c->mask, p.mask_bits = c->mask_bits;
    return p;
}

static inline conv_source source_of(const void *data, vly_dtype type, int run) {
    const conv_source s = {data, type, vly_access_width(data, type, run, 0, 0)};
    return s;
}

static inline vly_dtype weight_type(const vly_conv *c) {
    return c->math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32;
}

/* Asynchronous copies move whole chunks of what the tiles hold: bf16 numbers, and bytes where the
 * product takes them as its A. */
static inline bool can_stage(const conv_source &a, const conv_source &b, bool takes_bytes) {
    return a.vec == 8 && b.vec == 8 && b.type == VLY_BF16 &&
           (a.type == VLY_BF16 || (takes_bytes && a.type == VLY_U8));
}

/* The way that all the layers of a launch can go. */
static inline vly_way common_way(vly_way so_far, const vly_conv *c, const conv_source &a,
                                 const conv_source &b, bool takes_bytes) {
    const vly_way own = can_stage(a, b, takes_bytes) ? c->way : VLY_BY_REGISTERS;
    return own < so_far ? own : so_far;
}

/* A wide tile reads its operands less often; a narrow one makes more blocks. */
static inline int tile_width(const vly_conv *c, int columns, int64_t blocks_of_a_column) {
    if (c->tile_width) return c->tile_width;
    const int64_t wide_blocks = blocks_of_a_column * vly_ceil_div(columns, 128);
    return columns <= 32 ? 32 : columns <= 64 || wide_blocks < 512 ? 64 : 128;
}

/* call.launch<Math, BN>() for the arithmetic and the width. */
template <class Math, class Call> static inline vly_status launch_width(Call &call, int width) {
    switch (width) {
    case 32: return call.template launch<Math, 32>();
    case 64: return call.template launch<Math, 64>();
    default: return call.template launch<Math, 128>();
    }
}
template <class Call>
static inline vly_status launch_math(Call &call, vly_math math, vly_way way, int width) {
    if (way == VLY_BY_WARPGROUPS) return launch_width<vly_bf16_wgmma>(call, width);
    if (way == VLY_BY_COPIES) return launch_width<vly_bf16_stages>(call, width);
    switch (math) {
    case VLY_MATH_TF32: return launch_width<vly_tf32_math>(call, width);
    case VLY_MATH_BF16: return launch_width<vly_bf16_math>(call, width);
    default: return launch_width<vly_fp32_math>(call, width);
    }
}
#endif
