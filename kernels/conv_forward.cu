/* conv_forward.cu -- convolutions and linear layers forward: Y (M, N) = patches of X (M, K) times
 * W (N, K), bias and activation as the tile is written. FLOPs: 2 M N K, with M output pixels, N
 * channels, K patch size. Traffic: inputs through L2 once per 128 x BN tile; nothing unfolded.
 *
 * A narrow batch has few tiles, each with a long product: k is then split over blocks, and the last
 * block of a tile adds up the parts in order. Layers that read the same input are one launch. */
#include "kernels/conv_impl.h"
#include "kernels/reduce.h"

struct forward_problem {
    typedef patches_along_k A;
    typedef matrix_along_k B;
    A a;
    B b;
    const float *bias;
    conv_sink y;
    float scale;
    vly_act act;
    bool add;
    float *partial;    /* (splits, rows, columns) */
    unsigned *arrived; /* one per tile, 0 between kernels */
    int depth;         /* numbers along k of one split */
    __device__ __forceinline__ float activated(float sum, int n) const {
        float v = scale * sum + (bias ? bias[n] : 0.0f);
        if (act == VLY_ACT_RELU)
            v = v <= 0.0f ? 0.0f : v;
        else if (act == VLY_ACT_TANH)
            v = vly_tanhf(v);
        return v;
    }
    __device__ __forceinline__ void write(int m, int n, float first, float second) const {
        if (m >= a.p.rows || n >= b.rows) return;
        const int64_t at = (int64_t)m * b.rows + n;
        const bool both = n + 1 < b.rows;
        float u = activated(first, n), v = both ? activated(second, n + 1) : 0.0f;
        if (add) { /* y is f32 */
            const float *old = static_cast<const float *>(y.data) + at;
            u += old[0];
            v += both ? old[1] : 0.0f;
        }
        write2(y, at, u, v, both, b.rows % 2 == 0);
    }
    __device__ __forceinline__ void keep(int split, int m, int n, float first, float second) const {
        if (m >= a.p.rows || n >= b.rows) return;
        float *to = partial + ((int64_t)split * a.p.rows + m) * b.rows + n;
        to[0] = first;
        if (n + 1 < b.rows) to[1] = second;
    }
    __device__ __forceinline__ void write_sum(int splits, int m, int n) const {
        if (m >= a.p.rows || n >= b.rows) return;
        const float *from = partial + (int64_t)m * b.rows + n;
        const bool both = n + 1 < b.rows;
        const int64_t next = (int64_t)a.p.rows * b.rows;
        float first = 0.0f, second = 0.0f;
        for (int s = 0; s < splits; s++, from += next) {
            first += from[0];
            second += both ? from[1] : 0.0f;
        }
        write(m, n, first, second);
    }
};

typedef struct {
    forward_problem part[VLY_FORWARD_PARTS];
    unsigned second; /* first tile along y of the second part */
} forward_group;

/* Three blocks of the narrowest tile per multiprocessor: left alone, the compiler aims at four and
 * spills. 0: its own choice. */
template <class Math, int BN>
static __global__ void __launch_bounds__(Math::THREADS, (BN == 32 ? 3 : 0))
    conv_forward(const __grid_constant__ forward_group g) {
    const bool second = blockIdx.y >= g.second;
    const forward_problem &p = g.part[second];
    const int m = (int)blockIdx.x * VLY_TILE_M,
              n = (int)(blockIdx.y - (second ? g.second : 0)) * BN, split = (int)blockIdx.z,
              splits = (int)gridDim.z, from = split * p.depth,
              to = p.b.columns < from + p.depth ? p.b.columns : from + p.depth;
    typename Math::template sums<BN> sums;
    vly_product<Math, BN>(p, m, n, from, to, sums);
    if (splits == 1) {
        sums.each(
            [&](int i, int j, float first, float second) { p.write(m + i, n + j, first, second); });
        return;
    }
    sums.each([&](int i, int j, float first, float second) {
        p.keep(split, m + i, n + j, first, second);
    });
    if (!vly_last_of(p.arrived + blockIdx.x * gridDim.y + blockIdx.y, (unsigned)splits)) return;
    sums.each([&](int i, int j, float, float) { p.write_sum(splits, m + i, n + j); });
}

/* ---- shapes ---- */

vly_conv vly_conv_of(const vly_layer_desc *d, vly_math math) {
    vly_conv c = {};
    const bool linear = d->kind == VLY_LINEAR;
    c.math = math, c.act = d->act, c.x_type = d->x_type, c.y_type = d->y_type;
    c.in_h = linear ? 1 : d->in_h, c.in_w = linear ? 1 : d->in_w, c.in_c = d->in_c,
    c.out_c = d->out_c;
    c.kernel = linear ? 1 : d->kernel, c.stride = linear ? 1 : d->stride,
    c.pad = linear ? 0 : d->pad;
    c.out_h = vly_out_size(c.in_h, c.kernel, c.stride, c.pad),
    c.out_w = vly_out_size(c.in_w, c.kernel, c.stride, c.pad);
    c.x_scale = d->x_scale, c.w_scale = 1.0f;
    return c;
}

vly_status vly_conv_check(const vly_conv *c, int n) {
    VLY_NEED(c && n >= 0 && c->in_c > 0 && c->out_c > 0 && c->out_h > 0 && c->out_w > 0);
    VLY_NEED((int64_t)n * c->out_h * c->out_w < INT32_MAX - VLY_TILE_M &&
             (int64_t)n * c->in_h * c->in_w < INT32_MAX - VLY_TILE_M);
    VLY_NEED((int64_t)c->kernel * c->kernel * (c->in_c > c->out_c ? c->in_c : c->out_c) <
             INT32_MAX / 2);
    VLY_NEED(!c->mask || (c->kernel == 1 && c->in_h == 1 && c->in_w == 1));
    VLY_NEED(c->out_c < 65536 * 32 && c->in_c < 65536 * 32);
    VLY_NEED(c->tile_width == 0 || c->tile_width == 32 || c->tile_width == 64 ||
             c->tile_width == 128);
    return VLY_OK;
}

/* ---- splits ---- */

static const int64_t STEPS_LEAST = 4, SPLITS_MAX = 32;

/* One wave of blocks, but some steps of k each. */
static int64_t splits_for(int64_t steps, int64_t tiles, const vly_split_memory *split) {
    if (!split || !split->memory) return 1;
    const int64_t wave = split->multiprocessors / tiles, most = steps / STEPS_LEAST,
                  splits = wave < most ? wave : most;
    return splits < 2 ? 1 : splits > SPLITS_MAX ? SPLITS_MAX : splits;
}

static size_t counter_bytes(int multiprocessors) {
    return vly_ceil_div(multiprocessors * (int64_t)sizeof(unsigned), 256) * 256;
}

size_t vly_split_bytes(int multiprocessors) {
    return counter_bytes(multiprocessors) +
           (size_t)multiprocessors * VLY_TILE_M * 128 * sizeof(float);
}

namespace {
struct forward_call {
    const vly_split_memory *split;
    cudaStream_t stream;
    forward_group g;
    int count;
    unsigned gx;

    void share_split_memory(int splits) {
        char *memory = static_cast<char *>(split->memory);
        float *next = reinterpret_cast<float *>(memory + counter_bytes(split->multiprocessors));
        for (int i = 0; i < count; i++) {
            g.part[i].arrived = reinterpret_cast<unsigned *>(memory);
            g.part[i].partial = next;
            next += (int64_t)splits * g.part[i].a.p.rows * g.part[i].b.rows;
        }
    }
    template <class Math, int BN> vly_status launch() {
        unsigned gy = 0;
        for (int i = 0; i < count; i++) {
            gy += (unsigned)vly_ceil_div(g.part[i].b.rows, BN);
            if (i == 0) g.second = gy;
        }
        const int64_t steps = vly_ceil_div(g.part[0].b.columns, Math::DEPTH),
                      wanted = splits_for(steps, (int64_t)gx * gy, split),
                      each = vly_ceil_div(steps, wanted);
        const unsigned splits = (unsigned)vly_ceil_div(steps, each);
        for (int i = 0; i < count; i++) g.part[i].depth = (int)each * Math::DEPTH;
        if (splits > 1) share_split_memory((int)splits);
        size_t shared;
        VLY_TRY((vly_product_shared<Math, BN, forward_problem>(conv_forward<Math, BN>, &shared)));
        VLY_LAUNCH((conv_forward<Math, BN>), dim3(gx, gy, splits), VLY_TILE_THREADS, shared, stream,
                   g);
        return VLY_OK;
    }
};
} // namespace

static forward_problem forward_part(const vly_forward_part *part, int n, const void *x) {
    const vly_conv *c = part->conv;
    forward_problem p = {};
    p.a.p = patches_of(c, n, x);
    p.b.m = source_of(part->w, weight_type(c), patch_size(c));
    p.b.rows = c->out_c, p.b.columns = patch_size(c);
    p.bias = part->bias, p.y.data = part->y, p.y.type = c->y_type;
    p.scale = c->x_scale / c->w_scale, p.act = c->act, p.add = c->add;
    return p;
}

bool vly_conv_forward_stages(const vly_conv *c) {
    const vly_forward_part part = {c, NULL, NULL, NULL};
    const forward_problem p = forward_part(&part, 1, NULL);
    return can_stage(p.a.p.x, p.b.m, true);
}

/* Elsewhere its kernels are bounded to fewer threads than they are launched with. */
bool vly_conv_has_warpgroups(void) {
    cudaFuncAttributes has = {};
    if (cudaFuncGetAttributes(&has, conv_forward<vly_bf16_wgmma, 64>) == cudaSuccess)
        return has.maxThreadsPerBlock >= VLY_TILE_THREADS;
    cudaGetLastError();
    return false;
}

static bool reads_alike(const vly_conv *a, const vly_conv *b) {
    return a->math == b->math && a->x_type == b->x_type && a->in_h == b->in_h &&
           a->in_w == b->in_w && a->in_c == b->in_c && a->kernel == b->kernel &&
           a->stride == b->stride && a->pad == b->pad;
}

vly_status vly_conv_forward_launch(const vly_forward_part *parts, int count, int n, const void *x,
                                   const vly_split_memory *split, cudaStream_t stream) {
    VLY_NEED(parts && count >= 1 && count <= VLY_FORWARD_PARTS && x);
    forward_call call = {split, stream, {}, count, 0};
    int widest = 0;
    for (int i = 0; i < count; i++) {
        const vly_conv *c = parts[i].conv;
        VLY_TRY(vly_conv_check(c, n));
        VLY_NEED(parts[i].w && parts[i].y && reads_alike(c, parts[0].conv));
        VLY_NEED(!c->add || (c->y_type == VLY_F32 && c->act == VLY_ACT_NONE));
        if (c->out_c > widest) widest = c->out_c;
        call.g.part[i] = forward_part(&parts[i], n, x);
    }
    if (n == 0) return VLY_OK;
    call.gx = (unsigned)vly_ceil_div(call.g.part[0].a.p.rows, VLY_TILE_M);
    const int width = tile_width(parts->conv, widest, call.gx);
    vly_way way = VLY_BY_WARPGROUPS;
    for (int i = 0; i < count; i++)
        way = common_way(way, parts[i].conv, call.g.part[i].a.p.x, call.g.part[i].b.m, true);
    if (parts->conv->x_type == VLY_U8) {
        if (way == VLY_BY_COPIES) return launch_width<vly_u8_stages>(call, width);
        if (way == VLY_BY_WARPGROUPS) return launch_width<vly_u8_wgmma>(call, width);
    }
    return launch_math(call, parts->conv->math, way, width);
}
