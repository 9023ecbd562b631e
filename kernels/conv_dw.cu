/* conv_dw.cu -- weight and bias gradients of convolutions and linear layers: dW (M, N) = patches of
 * X (K, M) times dZ (K, N), K pixels of the batch. FLOPs 2 M N K.
 *
 * The gradients of several layers are one launch: K is split over blocks so that all have about the
 * same number of steps. Partial products are summed in order by a second kernel; where one block
 * does all of K it writes the gradient itself. Bias gradients are the column sums of dZ, which the
 * blocks of a product's first rows form as they load it. */
#include "kernels/conv_impl.h"

struct dw_problem {
    typedef patches_across A;
    typedef matrix_across B;
    A a;
    B b;
    float *weights, *bias; /* bias NULL: not wanted */
    int64_t next_split;    /* numbers between the parts of a gradient */
    float scale;           /* of the weights */
    bool add;
    int rows_per_split, across, tiles; /* tiles: across of them side by side */
    __device__ __forceinline__ void write(int split, int m, int n, float v) const {
        if (m >= a.p.columns || n >= b.columns) return;
        float *to = weights + split * next_split + (int64_t)n * a.p.columns + m;
        *to = (add ? *to : 0.0f) + scale * v;
    }
    __device__ __forceinline__ void write_bias(int split, int n, float v) const {
        if (n >= b.columns) return;
        float *to = bias + split * next_split + n;
        *to = (add ? *to : 0.0f) + v;
    }
};

typedef struct {
    dw_problem problem[VLY_DW_GROUP];
    unsigned first_block[VLY_DW_GROUP];
    int count;
} dw_group;

/* The columns that each thread summed, over all threads that summed the same ones, in order. */
template <int BN>
static __device__ __forceinline__ void finish_bias(const dw_problem &p, int split, int n,
                                                   const float mine[8]) {
    VLY_SHARED(float, sums, [VLY_TILE_THREADS * 8]);
    const int t = (int)threadIdx.x;
#pragma unroll
    for (int i = 0; i < 8; i++) sums[t * 8 + i] = mine[i];
    __syncthreads();
    if (t >= BN) return;
    float total = 0.0f;
    for (int l = t / 8; l < VLY_TILE_THREADS; l += BN / 8) total += sums[l * 8 + t % 8];
    p.write_bias(split, n + t, total);
}

/* Two blocks of the narrowest tile per multiprocessor, as of the next: left alone, the compiler aims
 * at three and spills. 0: its own choice. */
template <class Math, int BN>
static __global__ void __launch_bounds__(Math::THREADS, (BN == 32 ? 2 : 0))
    conv_dw(const __grid_constant__ dw_group g) {
    int i = 0;
    while (i + 1 < g.count && blockIdx.x >= g.first_block[i + 1]) i++;
    const dw_problem &p = g.problem[i];
    const int block = (int)(blockIdx.x - g.first_block[i]), split = block / p.tiles,
              tile = block - split * p.tiles, m = tile % p.across * VLY_TILE_M,
              n = tile / p.across * BN;
    const int from = split * p.rows_per_split,
              to = p.a.p.rows < from + p.rows_per_split ? p.a.p.rows : from + p.rows_per_split;
    const bool first_rows = m == 0 && p.bias;
    float column[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    typename Math::template sums<BN> sums;
    vly_product<Math, BN>(p, m, n, from, to, sums, [&](const auto &chunk) {
        if (!first_rows) return;
#pragma unroll
        for (int e = 0; e < 8; e++) column[e] += vly_load_real(chunk.v + e);
    });
    sums.each([&](int y, int x, float first, float second) {
        p.write(split, m + y, n + x, first);
        p.write(split, m + y, n + x + 1, second);
    });
    if (first_rows) finish_bias<BN>(p, split, n, column);
}

/* ---- launchers ---- */

static int64_t numbers_of(const vly_conv *c) {
    return (int64_t)c->out_c * patch_size(c) + c->out_c;
}

static const int64_t ROWS_LEAST = 256, PARTS_MAX = 256;

/* Parts of one gradient that is computed alone: two waves of blocks. */
static int parts_alone(const vly_conv *c, int n, int multiprocessors) {
    const int64_t rows = (int64_t)n * c->out_h * c->out_w,
                  tiles = vly_ceil_div(patch_size(c), VLY_TILE_M) *
                          vly_ceil_div(c->out_c, c->out_c <= 32 ? 32 : 64);
    const int64_t wanted = 2 * (int64_t)multiprocessors / tiles,
                  most = vly_ceil_div(rows, ROWS_LEAST);
    const int64_t parts = wanted < most ? wanted : most;
    return parts < 1 ? 1 : (int)(parts > PARTS_MAX ? PARTS_MAX : parts);
}

size_t vly_conv_dw_bytes(const vly_conv *c, int n_max, int multiprocessors) {
    return (size_t)parts_alone(c, n_max, multiprocessors) * (size_t)numbers_of(c) * sizeof(float);
}

static int64_t dw_rows(const vly_dw_call *d) {
    return (int64_t)d->n * d->conv->out_h * d->conv->out_w;
}
static int64_t tiles_of(const vly_conv *c, int width) {
    return vly_ceil_div(patch_size(c), VLY_TILE_M) * vly_ceil_div(c->out_c, width);
}

/* Rows of the batch that a block processes: the work of all calls over two waves. */
static int64_t rows_per_block(const vly_dw_call *d, int count, int width, int multiprocessors) {
    int64_t work = 0;
    for (int i = 0; i < count; i++) work += dw_rows(&d[i]) * tiles_of(d[i].conv, width);
    const int64_t each = vly_ceil_div(work, 2 * (int64_t)multiprocessors);
    return each < ROWS_LEAST ? ROWS_LEAST : each;
}

static int parts_of(const vly_dw_call *d, int64_t rows_each, int multiprocessors) {
    const int64_t wanted = vly_ceil_div(dw_rows(d), rows_each);
    const int most = d->partial ? parts_alone(d->conv, d->n, multiprocessors) : 1;
    return wanted < most ? (int)wanted : most;
}

static dw_problem problem_of(const vly_dw_call *d, int width, int parts) {
    const vly_conv *c = d->conv;
    const int64_t weights = (int64_t)c->out_c * patch_size(c);
    dw_problem p = {};
    p.a.p = patches_of(c, d->n, d->x);
    p.b.m = source_of(d->dz, c->y_type, c->out_c);
    p.b.columns = c->out_c;
    p.across = (int)vly_ceil_div(p.a.p.columns, VLY_TILE_M);
    p.tiles = (int)tiles_of(c, width);
    p.rows_per_split = (int)(vly_ceil_div(vly_ceil_div(p.a.p.rows, parts), 32) * 32);
    p.next_split = numbers_of(c);
    const bool direct = parts == 1;
    float *partial = static_cast<float *>(d->partial);
    p.weights = direct ? d->dw : partial;
    p.bias = !d->db ? NULL : direct ? d->db : partial + weights;
    p.scale = direct ? c->x_scale : 1.0f, p.add = direct && d->accumulate;
    return p;
}

bool vly_conv_dw_stages(const vly_conv *c) {
    const vly_dw_call call = {c, 1, NULL, NULL, NULL, NULL, false, NULL};
    const dw_problem p = problem_of(&call, 32, 1);
    return can_stage(p.a.p.x, p.b.m, false);
}

namespace {
struct dw_launch {
    const dw_group *group;
    unsigned blocks;
    cudaStream_t stream;
    template <class Math, int BN> vly_status launch() {
        size_t shared;
        VLY_TRY((vly_product_shared<Math, BN, dw_problem>(conv_dw<Math, BN>, &shared)));
        VLY_LAUNCH((conv_dw<Math, BN>), blocks, VLY_TILE_THREADS, shared, stream, *group);
        return VLY_OK;
    }
};
} // namespace

/* All columns of a group have one width. */
static int group_width(const vly_dw_call *d, int count) {
    bool narrow = true;
    for (int i = 0; i < count; i++) narrow = narrow && d[i].conv->out_c <= 32;
    return d->conv->tile_width ? d->conv->tile_width : narrow ? 32 : 64;
}

static vly_partials partials_of(const vly_dw_call *d, int parts) {
    const int64_t weights = numbers_of(d->conv) - d->conv->out_c;
    vly_partials s = {};
    s.partial = static_cast<const float *>(d->partial);
    s.parts = parts, s.next = numbers_of(d->conv);
    s.n = weights, s.scale = d->conv->x_scale;
    s.out = d->dw, s.accumulate = d->accumulate;
    return s;
}

static vly_status check_dw(const vly_dw_call *d, vly_math math) {
    VLY_TRY(vly_conv_check(d->conv, d->n));
    VLY_NEED(d->n > 0 && d->x && d->dz && d->dw && d->conv->math == math);
    return VLY_OK;
}

vly_status vly_conv_dw_group_launch(const vly_dw_call *calls, int count, int multiprocessors,
                                    cudaStream_t stream) {
    VLY_NEED(calls && count >= 1 && count <= VLY_DW_GROUP);
    const int width = group_width(calls, count);
    const int64_t each = rows_per_block(calls, count, width, multiprocessors);
    dw_group g = {};
    vly_partials sums[2 * VLY_DW_GROUP];
    int summed = 0;
    int64_t blocks = 0;
    vly_way way = VLY_BY_WARPGROUPS;
    g.count = count;
    for (int i = 0; i < count; i++) {
        const vly_dw_call *d = &calls[i];
        VLY_TRY(check_dw(d, calls->conv->math));
        const int parts = parts_of(d, each, multiprocessors);
        g.problem[i] = problem_of(d, width, parts);
        way = common_way(way, d->conv, g.problem[i].a.p.x, g.problem[i].b.m, false);
        const int used = (int)vly_ceil_div(g.problem[i].a.p.rows, g.problem[i].rows_per_split);
        g.first_block[i] = (unsigned)blocks;
        blocks += (int64_t)g.problem[i].tiles * used;
        if (parts == 1) continue;
        sums[summed++] = partials_of(d, used);
        if (!d->db) continue;
        sums[summed] = sums[summed - 1];
        sums[summed].partial += sums[summed].n, sums[summed].n = d->conv->out_c;
        sums[summed].out = d->db, sums[summed].scale = 1.0f;
        summed++;
    }
    VLY_NEED(blocks <= INT32_MAX);
    dw_launch call = {&g, (unsigned)blocks, stream};
    VLY_TRY(launch_math(call, calls->conv->math, way, width));
    return summed ? vly_partials_launch(sums, summed, stream) : VLY_OK;
}
