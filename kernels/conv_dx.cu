/* conv_dx.cu -- input gradients of convolutions and linear layers: dX (M, N) = dZ shifted back by
 * each tap (M, K) times W (K, N), one product per residue of the pixel's position modulo the stride,
 * so that no multiplication meets a hole between strides. FLOPs 2 M N K over all residues, up to
 * four of which are one launch. The slope of the activation below is applied as a tile is written. */
#include "kernels/conv_impl.h"
#include "kernels/slope.h"

enum { RESIDUES = 4 };

struct dx_problem {
    typedef slopes_along_k A;
    typedef weights_across B;
    A a;
    B b;
    int first_y, first_x; /* of the residue's pixels */
};

/* Where a gradient goes, the same for all residues. */
typedef struct {
    conv_sink dx;
    int in_h, in_w, in_c, stride;
    const void *x; /* of dx's type, where `below` is an activation */
    vly_act below;
    bool add;
} dx_target;

typedef struct {
    dx_problem residue[RESIDUES];
    dx_target to;
} dx_group;

static __device__ __forceinline__ float dx_number_at(const void *data, vly_dtype type, int64_t i) {
    return type == VLY_BF16 ? vly_load_real(static_cast<const vly_bf16 *>(data) + i)
                            : static_cast<const float *>(data)[i];
}

static __device__ __forceinline__ float finished_slope(const dx_target &t, int64_t at, float v) {
    if (t.below != VLY_ACT_NONE)
        v *= vly_activation_slope(t.below, dx_number_at(t.x, t.dx.type, at));
    return t.add ? dx_number_at(t.dx.data, t.dx.type, at) + v : v;
}

static __device__ __forceinline__ void write_dx(const dx_target &t, const dx_problem &p, int m,
                                                int n, float first, float second) {
    if (m >= p.a.s.rows || n >= t.in_c) return;
    const int image = vly_quotient(m, p.a.s.pixels), rest = m - image * (int)p.a.s.pixels.d,
              j = vly_quotient(rest, p.a.s.wide);
    const int y = p.first_y + j * t.stride,
              x = p.first_x + (rest - j * (int)p.a.s.wide.d) * t.stride;
    const int64_t at = (((int64_t)image * t.in_h + y) * t.in_w + x) * t.in_c + n;
    const bool both = n + 1 < t.in_c;
    first = finished_slope(t, at, first);
    if (both) second = finished_slope(t, at + 1, second);
    write2(t.dx, at, first, second, both, t.in_c % 2 == 0);
}

template <class Math, int BN>
static __global__ void __launch_bounds__(Math::THREADS)
    conv_dx(const __grid_constant__ dx_group g) {
    const dx_problem &p = g.residue[blockIdx.z];
    const int m = (int)blockIdx.x * VLY_TILE_M, n = (int)blockIdx.y * BN;
    if (m >= p.a.s.rows) return; /* the whole block: residues differ in size */
    typename Math::template sums<BN> sums;
    vly_product<Math, BN>(p, m, n, 0, p.a.s.columns, sums);
    sums.each([&](int i, int j, float first, float second) {
        write_dx(g.to, p, m + i, n + j, first, second);
    });
}

/* ---- launcher ---- */

/* The input pixels at one residue modulo the stride, and the taps that reach them. */
static dx_problem residue_of(const vly_conv *c, int n, const void *dz, const void *w, int ry,
                             int rx) {
    dx_problem p = {};
    const int s = c->stride, first_y = ((ry - c->pad) % s + s) % s,
              first_x = ((rx - c->pad) % s + s) % s;
    const int high = first_y < c->in_h ? (c->in_h - first_y + s - 1) / s : 0,
              wide = first_x < c->in_w ? (c->in_w - first_x + s - 1) / s : 0;
    const int taps_y = ry < c->kernel ? (c->kernel - ry + s - 1) / s : 0,
              taps_x = rx < c->kernel ? (c->kernel - rx + s - 1) / s : 0;
    p.first_y = first_y, p.first_x = first_x;
    p.a.s.dz = source_of(dz, c->y_type, c->out_c);
    p.a.s.rows = n * high * wide, p.a.s.columns = taps_y * taps_x * c->out_c;
    p.a.s.out_h = c->out_h, p.a.s.out_w = c->out_w;
    p.a.s.first_y = (first_y + c->pad - ry) / s, p.a.s.first_x = (first_x + c->pad - rx) / s;
    p.a.s.pixels = vly_divider_of(high * wide > 0 ? high * wide : 1),
    p.a.s.wide = vly_divider_of(wide > 0 ? wide : 1);
    p.a.s.channels = vly_divider_of(c->out_c),
    p.a.s.taps_w = vly_divider_of(taps_x > 0 ? taps_x : 1);
    p.a.s.mask = c->mask, p.a.s.mask_bits = c->mask_bits;
    p.b.w = source_of(w, weight_type(c), c->in_c);
    p.b.in_c = c->in_c, p.b.patch = patch_size(c), p.b.kernel = c->kernel, p.b.stride = s,
    p.b.first_ky = ry, p.b.first_kx = rx;
    p.b.channels = p.a.s.channels, p.b.taps_w = p.a.s.taps_w;
    return p;
}

bool vly_conv_dx_stages(const vly_conv *c) {
    const dx_problem p = residue_of(c, 1, NULL, NULL, 0, 0);
    return can_stage(p.a.s.dz, p.b.w, false);
}

namespace {
struct dx_launch {
    const vly_conv *c;
    cudaStream_t stream;
    dx_group group;
    unsigned gx, count;
    template <class Math, int BN> vly_status launch() {
        size_t shared;
        VLY_TRY((vly_product_shared<Math, BN, dx_problem>(conv_dx<Math, BN>, &shared)));
        VLY_LAUNCH((conv_dx<Math, BN>), dim3(gx, (unsigned)vly_ceil_div(c->in_c, BN), count),
                   VLY_TILE_THREADS, shared, stream, group);
        return VLY_OK;
    }
    vly_status run() {
        if (count == 0) return VLY_OK;
        const dx_problem &first = group.residue[0];
        const vly_status status = launch_math(
            *this, c->math, common_way(VLY_BY_WARPGROUPS, c, first.a.s.dz, first.b.w, false),
            tile_width(c, c->in_c, (int64_t)gx * count));
        gx = count = 0;
        return status;
    }
};
} // namespace

vly_status vly_conv_dx_launch(const vly_conv *c, int n, const void *dz, const void *w,
                              const vly_dx_target *to, cudaStream_t stream) {
    VLY_TRY(vly_conv_check(c, n));
    VLY_NEED(dz && w && to && to->dx && c->w_scale == 1.0f && c->x_scale == 1.0f);
    VLY_NEED(to->below == VLY_ACT_NONE || to->x);
    if (n == 0) return VLY_OK;
    dx_launch call = {c, stream, {}, 0, 0};
    dx_target *t = &call.group.to;
    t->dx.data = to->dx, t->dx.type = c->x_type;
    t->in_h = c->in_h, t->in_w = c->in_w, t->in_c = c->in_c, t->stride = c->stride;
    t->x = to->x, t->below = to->below, t->add = to->add;
    for (int r = 0; r < c->stride * c->stride; r++) {
        const dx_problem p = residue_of(c, n, dz, w, r / c->stride, r % c->stride);
        if (p.a.s.rows == 0) continue;
        const unsigned blocks = (unsigned)vly_ceil_div(p.a.s.rows, VLY_TILE_M);
        call.group.residue[call.count++] = p;
        call.gx = blocks > call.gx ? blocks : call.gx;
        if (call.count == RESIDUES) VLY_TRY(call.run());
    }
    return call.run();
}
