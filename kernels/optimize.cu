/* optimize.cu -- gradient norm, clipped optimizer step and Polyak average over one flat array of
 * parameters. Traffic per parameter: norm 4 B (in L2 after the backward pass); Adam 28 B, RMSProp
 * 20 to 28 B, SGD 20 B, and 2 B more where the same pass writes the bf16 copy; Polyak 12 B. The
 * step reads the norm on the device: nothing comes back to the host. Arrays are 16-byte aligned,
 * four numbers per access. */
#include "kernels/ops.h"
#include "common/base/rules.h"
#include "kernels/bf16.h"
#include "kernels/reduce.h"

static const int BLOCK = 256, NORM_BLOCKS_MAX = 512, STEP_BLOCKS_MAX = 2048;

/* ---- norm ---- */

static __global__ void __launch_bounds__(256)
    grad_norm(int64_t n, const float *__restrict__ g, float *norm, void *scratch) {
    unsigned *counter = (unsigned *)scratch;
    double *partial = (double *)(counter + VLY_SCRATCH_COUNTERS);
    const int64_t stride = (int64_t)gridDim.x * BLOCK,
                  from = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    float lanes[4] = {0, 0, 0, 0};
    double sum = 0.0;
    int since = 0; /* few additions in float, then the sum moves to double */
    for (int64_t i = from; i < n / 4; i += stride) {
        const float4 v = reinterpret_cast<const float4 *>(g)[i];
        lanes[0] += v.x * v.x, lanes[1] += v.y * v.y, lanes[2] += v.z * v.z, lanes[3] += v.w * v.w;
        if (++since == 16) {
            sum += ((double)lanes[0] + lanes[1]) + ((double)lanes[2] + lanes[3]);
            lanes[0] = lanes[1] = lanes[2] = lanes[3] = 0.0f;
            since = 0;
        }
    }
    sum += ((double)lanes[0] + lanes[1]) + ((double)lanes[2] + lanes[3]);
    for (int64_t i = n / 4 * 4 + from; i < n; i += stride) sum += (double)g[i] * g[i];
    const double mine = vly_block_sum(sum);
    bool done;
    const double total = vly_grid_sum<double, 1>(&mine, partial, counter, &done);
    if (done && threadIdx.x == 0) {
        const float value = (float)sqrt(total);
        norm[0] = value;
        norm[1] = vly_finite(value) ? 0.0f : 1.0f;
    }
}

vly_status vly_grad_norm_launch(int64_t n, const float *grad, float *norm, void *scratch,
                                cudaStream_t stream) {
    VLY_NEED(n > 0 && grad && norm && scratch && (uintptr_t)grad % 16 == 0);
    const int64_t blocks = vly_ceil_div(n, BLOCK * 8);
    VLY_LAUNCH(grad_norm, (unsigned)(blocks < NORM_BLOCKS_MAX ? blocks : NORM_BLOCKS_MAX), BLOCK, 0,
               stream, n, grad, norm, scratch);
    return VLY_OK;
}

/* ---- step ---- */

/* What every block works out for itself from the norm and the step count. */
typedef struct {
    vly_step_scalars scalars;
    int refused;    /* the step is not applied */
    int suspicious; /* every element is checked before the step is applied */
} step_state;

/* Numbers this large can overflow a weight or a moment although the gradient is finite. */
#define LARGE_NORM 1e12f
#define LARGE_RATE 1e3f

static __device__ __forceinline__ step_state step_state_of(const vly_optimizer &o,
                                                           const vly_params &p, const float *norm,
                                                           const vly_hyper *h) {
    step_state s;
    s.scalars = vly_rule_step(&o, h, norm[0], *p.step + 1);
    s.refused = norm[1] != 0.0f || !vly_finite(norm[0]) || !vly_finite(s.scalars.lr);
    s.suspicious = !s.refused && (norm[0] > LARGE_NORM || s.scalars.lr > LARGE_RATE ||
                                  s.scalars.lr < -LARGE_RATE);
    return s;
}

static __device__ __forceinline__ bool
steps_to_finite(const vly_optimizer &o, const vly_step_scalars &s, const vly_params &p, int64_t i) {
    float w = p.param[i], m = p.m ? p.m[i] : 0.0f, v = p.v ? p.v[i] : 0.0f;
    vly_rule_optimize(&o, s, p.grad[i], &w, &m, &v);
    return vly_finite(w) && vly_finite(m) && vly_finite(v);
}

/* Whether some element would not be finite: the block looks at all of them. */
static __device__ __forceinline__ bool
block_finds_overflow(const vly_optimizer &o, const vly_step_scalars &s, const vly_params &p) {
    float bad = 0.0f;
    for (int64_t i = threadIdx.x; i < p.n; i += BLOCK)
        if (!steps_to_finite(o, s, p, i)) bad = 1.0f;
    VLY_SHARED(int, found, [1]);
    const float sum = vly_block_sum(bad);
    if (threadIdx.x == 0) found[0] = sum != 0.0f;
    __syncthreads();
    return found[0] != 0;
}

static __device__ __forceinline__ void step_weight(const vly_optimizer &o,
                                                   const vly_step_scalars &s, float g, float &w,
                                                   float &m, float &v) {
    vly_rule_optimize(&o, s, g, &w, &m, &v);
}

static __device__ __forceinline__ uint2 bf16_of(const vly_params &p, int64_t i, float4 w) {
    return make_uint2(
        vly_pack_bf16(vly_low_scale(p.scaled, i) * w.x, vly_low_scale(p.scaled, i + 1) * w.y),
        vly_pack_bf16(vly_low_scale(p.scaled, i + 2) * w.z, vly_low_scale(p.scaled, i + 3) * w.w));
}

template <vly_optimizer_kind kind>
static __device__ __forceinline__ void step_apply(const vly_optimizer &o, const vly_step_scalars &s,
                                                  const vly_params &p, int64_t from,
                                                  int64_t stride) {
    for (int64_t i = from; i < p.n / 4; i += stride) {
        const float4 g = reinterpret_cast<const float4 *>(p.grad)[i];
        float4 w = reinterpret_cast<float4 *>(p.param)[i];
        float4 m = make_float4(0, 0, 0, 0), v = make_float4(0, 0, 0, 0);
        if (p.m) m = reinterpret_cast<float4 *>(p.m)[i];
        if (p.v) v = reinterpret_cast<float4 *>(p.v)[i];
        step_weight(o, s, g.x, w.x, m.x, v.x);
        step_weight(o, s, g.y, w.y, m.y, v.y);
        step_weight(o, s, g.z, w.z, m.z, v.z);
        step_weight(o, s, g.w, w.w, m.w, v.w);
        reinterpret_cast<float4 *>(p.param)[i] = w;
        if (p.m) reinterpret_cast<float4 *>(p.m)[i] = m;
        if (p.v && kind != VLY_SGD) reinterpret_cast<float4 *>(p.v)[i] = v;
        if (p.low) reinterpret_cast<uint2 *>(p.low)[i] = bf16_of(p, 4 * i, w);
    }
    for (int64_t i = p.n / 4 * 4 + from; i < p.n; i += stride) {
        float w = p.param[i], m = p.m ? p.m[i] : 0.0f, v = p.v ? p.v[i] : 0.0f;
        step_weight(o, s, p.grad[i], w, m, v);
        p.param[i] = w;
        if (p.m) p.m[i] = m;
        if (p.v && kind != VLY_SGD) p.v[i] = v;
        if (p.low) ((vly_bf16 *)p.low)[i] = vly_to_bf16(vly_low_scale(p.scaled, i) * w);
    }
}

static __device__ __forceinline__ void count_step(const vly_params &p, bool refused,
                                                  const float *norm, float *stats) {
    if (!refused) *p.step += 1;
    if (!stats) return;
    if (refused) {
        stats[VLY_STAT_NONFINITE] += 1.0f;
        return;
    }
    stats[VLY_STAT_GRAD_NORM] += norm[0];
    stats[VLY_STAT_STEPS] += 1.0f;
}

/* All of a step. A suspicious one is the first block's alone, which sees all elements before it
 * changes one. The last block to finish counts, since the others read the count. */
template <vly_optimizer_kind kind>
static __global__ void __launch_bounds__(256)
    optimizer_step(vly_optimizer o, vly_params p, const float *norm, const vly_hyper *h,
                   float *stats, void *scratch) {
    VLY_SHARED(step_state, shared_state, [1]);
    if (threadIdx.x == 0) shared_state[0] = step_state_of(o, p, norm, h);
    __syncthreads();
    const step_state state = shared_state[0];
    o.kind = kind; /* a compile-time constant: removes the switch of the rule */
    int *const overflow = (int *)((unsigned *)scratch + VLY_SCRATCH_COUNTERS);
    int64_t from = (int64_t)blockIdx.x * BLOCK + threadIdx.x, stride = (int64_t)gridDim.x * BLOCK;
    const bool refused = state.refused != 0;
    bool applies = !refused;
    if (state.suspicious) {
        from = threadIdx.x, stride = BLOCK;
        applies = blockIdx.x == 0 && !block_finds_overflow(o, state.scalars, p);
        if (blockIdx.x == 0 && threadIdx.x == 0) *overflow = !applies;
    }
    if (applies) step_apply<kind>(o, state.scalars, p, from, stride);
    if (!vly_last_block((unsigned *)scratch) || threadIdx.x != 0) return;
    count_step(p, state.suspicious ? *overflow != 0 : refused, norm, stats);
}

#define LAUNCH_STEP(kind)                                                                    \
    VLY_LAUNCH((optimizer_step<kind>), blocks, BLOCK, 0, stream, *o, *p, norm, hyper, stats, \
               scratch)

vly_status vly_optimize_launch(const vly_optimizer *o, const vly_params *p, const float *norm,
                               const vly_hyper *hyper, float *stats, void *scratch,
                               cudaStream_t stream) {
    VLY_NEED(o && p && p->n > 0 && p->param && p->grad && p->step && norm && hyper && scratch);
    VLY_NEED(o->kind == VLY_SGD || p->v);
    VLY_NEED((o->kind != VLY_ADAM && o->kind != VLY_RMSPROP_CENTERED) || p->m);
    VLY_NEED(o->momentum == 0.0f || p->m || o->kind == VLY_ADAM);
    VLY_NEED((uintptr_t)p->param % 16 == 0 && (uintptr_t)p->grad % 16 == 0 &&
             (uintptr_t)p->m % 16 == 0 && (uintptr_t)p->v % 16 == 0 && (uintptr_t)p->low % 8 == 0);
    const int64_t wanted = vly_ceil_div(p->n, BLOCK * 4);
    const unsigned blocks = (unsigned)(wanted < STEP_BLOCKS_MAX ? wanted : STEP_BLOCKS_MAX);
    switch (o->kind) {
    case VLY_SGD: LAUNCH_STEP(VLY_SGD); break;
    case VLY_ADAM: LAUNCH_STEP(VLY_ADAM); break;
    case VLY_RMSPROP: LAUNCH_STEP(VLY_RMSPROP); break;
    case VLY_RMSPROP_TF: LAUNCH_STEP(VLY_RMSPROP_TF); break;
    case VLY_RMSPROP_CENTERED: LAUNCH_STEP(VLY_RMSPROP_CENTERED); break;
    }
    return VLY_OK;
}

/* ---- target networks ---- */

static __global__ void __launch_bounds__(256)
    polyak_average(int64_t n, float *__restrict__ target, const float *__restrict__ online,
                   const vly_hyper *h) {
    const float tau = h->tau;
    for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * BLOCK)
        target[i] = tau == 1.0f ? online[i] : (1.0f - tau) * target[i] + tau * online[i];
}

vly_status vly_polyak_launch(int64_t n, float *target, const float *online, const vly_hyper *hyper,
                             cudaStream_t stream) {
    VLY_NEED(n > 0 && target && online && hyper);
    const int64_t blocks = vly_ceil_div(n, BLOCK * 4);
    VLY_LAUNCH(polyak_average, (unsigned)(blocks < STEP_BLOCKS_MAX ? blocks : STEP_BLOCKS_MAX),
               BLOCK, 0, stream, n, target, online, hyper);
    return VLY_OK;
}
