/* tree.cu -- prioritized replay: a sum tree of radix 16 over fixed-point priorities, in device
 * memory. A level's 16 children are 128 B, one cache line; 1 M leaves are 8 MB + 0.5 MB, resident
 * in L2. A descent reads 5 lines, an update touches 5. Sums are integers: exact whatever the order
 * of the atomics, equal to the CPU's. */
#include "kernels/ops.h"
#include "common/base/rules.h"
#include "kernels/reduce.h"

typedef unsigned long long ull; /* what 64-bit atomics take */

/* Replaces a leaf. At most one thread per leaf calls it in a kernel. */
static __device__ __forceinline__ void replace_leaf(const vly_tree &tree, int64_t leaf,
                                                    uint64_t value) {
    const uint64_t delta = value - tree.sum[0][leaf]; /* modulo 2^64: sums come out right */
    vly_store_relaxed(&tree.sum[0][leaf], value);
    if (delta == 0) return;
    int64_t node = leaf;
    for (int level = 1; level < tree.levels; level++) {
        node /= VLY_TREE_RADIX;
        atomicAdd((ull *)&tree.sum[level][node], (ull)delta);
    }
    atomicAdd((ull *)&tree.total[0], (ull)delta);
}

/* ---- set ---- */

enum { TILE = 256 };

/* Whether i is the last entry for its row in the batch. n^2 / 2 comparisons from shared memory: at
 * the batches of replay (512) that takes less time than the launches of a sort. All threads of the
 * block call it. */
static __device__ __forceinline__ bool is_last(int n, const int32_t *__restrict__ row, int i) {
    VLY_SHARED(int32_t, tile, [TILE]);
    const int32_t mine = i < n ? row[i] : -1;
    bool last = true;
    for (int base = (int)blockIdx.x * TILE; base < n; base += TILE) {
        __syncthreads();
        const int at = base + (int)threadIdx.x;
        tile[threadIdx.x] = at < n ? row[at] : -1;
        __syncthreads();
        for (int k = 0; k < TILE; k++) last = last && !(tile[k] == mine && base + k > i);
    }
    return last;
}

static __global__ void __launch_bounds__(256)
    tree_set(vly_tree tree, int n, const int32_t *row, const float *priority, const vly_hyper *h,
             bool raw) {
    const int i = (int)(blockIdx.x * TILE + threadIdx.x);
    const bool last = is_last(n, row, i);
    if (i >= n || row[i] < 0 || row[i] >= tree.capacity) return;
    if (vly_load_relaxed(&tree.sum[0][row[i]]) == 0) return; /* removed since it was sampled */
    const uint64_t value = vly_rule_priority(priority[i], h, raw);
    atomicMax((ull *)&tree.total[1], (ull)value);
    if (last) replace_leaf(tree, row[i], value);
}

vly_status vly_tree_set_launch(const vly_tree *tree, int n, const int32_t *row,
                               const float *priority, const vly_hyper *hyper, bool raw,
                               cudaStream_t stream) {
    VLY_NEED(tree && n >= 0 && row && priority && (raw || hyper));
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(tree_set, (unsigned)vly_ceil_div(n, TILE), TILE, 0, stream, *tree, n, row, priority,
               hyper, raw);
    return VLY_OK;
}

/* ---- insert ---- */

static __global__ void __launch_bounds__(256)
    tree_insert(vly_tree tree, int64_t first, int n, const uint8_t *flags) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const uint64_t one = (uint64_t)VLY_PRIORITY_ONE, largest = vly_load_relaxed(&tree.total[1]),
                   fresh = largest > one ? largest : one;
    if (flags && i == 0)
        atomicMax((ull *)&tree.total[1],
                  (ull)one); /* other threads may read it before or after: `fresh` is the same */
    const int64_t leaf = first + i;
    if (i >= n || leaf < 0 || leaf >= tree.capacity) return;
    replace_leaf(tree, leaf, flags && !(flags[i] & VLY_ROW_IGNORED) ? fresh : 0);
}

vly_status vly_tree_insert_launch(const vly_tree *tree, int64_t first, int n, const uint8_t *flags,
                                  cudaStream_t stream) {
    VLY_NEED(tree && n >= 0);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(tree_insert, (unsigned)vly_ceil_div(n, 256), 256, 0, stream, *tree, first, n, flags);
    return VLY_OK;
}

/* ---- sample ---- */

/* 16 lanes per descent, two descents per warp: each lane holds one child, and a prefix sum finds
 * the one that contains the position. */
static __device__ __forceinline__ int64_t descend16(const vly_tree &tree, uint64_t position) {
    const int k = (int)(threadIdx.x & 15);
    int64_t node = 0;
    for (int level = tree.levels - 1; level >= 0; level--) {
        const uint64_t mine = tree.sum[level][node * VLY_TREE_RADIX + k];
        uint64_t upto = mine;
        for (int step = 1; step < 16; step <<= 1) {
            const uint64_t before = __shfl_up_sync(VLY_FULL_WARP, upto, step);
            if (k >= step) upto += before;
        }
        const unsigned half = __ballot_sync(VLY_FULL_WARP, position < upto) >> (threadIdx.x & 16) &
                              0xffffu;
        const int child = half ? __ffs((int)half) - 1
                               : 0; /* if the tree is empty, any leaf: the result is not used */
        const uint64_t skipped = __shfl_sync(VLY_FULL_WARP, upto - mine,
                                             (int)(threadIdx.x & 16) + child);
        position -= skipped;
        node = node * VLY_TREE_RADIX + child;
    }
    return node < tree.capacity ? node : tree.capacity - 1;
}

static __global__ void __launch_bounds__(256)
    tree_sample(vly_tree tree, int n, const vly_rng *rng, const vly_hyper *h, int32_t *row,
                float *weight, void *scratch) {
    unsigned *counter = (unsigned *)scratch;
    float *partial = (float *)(counter + VLY_SCRATCH_COUNTERS);
    const int i = (int)((blockIdx.x * blockDim.x + threadIdx.x) / 16);
    const uint64_t total = tree.total[0];
    const int64_t leaf = descend16(tree,
                                   i < n && total > 0 ? vly_rule_stratum(rng, i, n, total) : 0);
    float w = 0.0f;
    if (i < n && (threadIdx.x & 15) == 0) {
        row[i] = total > 0 ? (int32_t)leaf : -1;
        if (weight)
            weight[i] = w = total > 0 ? vly_rule_weight(tree.sum[0][leaf], total, h->beta) : 0.0f;
    }
    if (!weight) return;
    /* the batch's largest weight: exact whatever the order */
    VLY_SHARED(float, warps, [8]);
    const float largest = vly_warp_max(w);
    if ((threadIdx.x & 31) == 0) warps[threadIdx.x >> 5] = largest;
    __syncthreads();
    float mine = warps[0];
    for (int k = 1; k < 8; k++) mine = warps[k] > mine ? warps[k] : mine;
    if (threadIdx.x == 0) partial[blockIdx.x] = mine;
    if (!vly_last_block(counter)) return;
    float all = 0.0f;
    for (unsigned b = threadIdx.x & 31; b < gridDim.x; b += 32)
        all = partial[b] > all ? partial[b] : all;
    all = vly_warp_max(all);
    const float scale = all > 0.0f ? 1.0f / all : 0.0f;
    for (int k = (int)threadIdx.x; k < n; k += (int)blockDim.x) weight[k] *= scale;
}

vly_status vly_tree_sample_launch(const vly_tree *tree, int n, const vly_rng *rng,
                                  const vly_hyper *hyper, int32_t *row, float *weight,
                                  void *scratch, cudaStream_t stream) {
    VLY_NEED(tree && n >= 0 && rng && (hyper || !weight) && row && scratch);
    if (n == 0) return VLY_OK;
    const int64_t blocks = vly_ceil_div((int64_t)n * 16, 256);
    VLY_NEED(blocks * (int64_t)sizeof(float) + 1024 <= VLY_SCRATCH_BYTES);
    VLY_LAUNCH(tree_sample, (unsigned)blocks, 256, 0, stream, *tree, n, rng, hyper, row, weight,
               scratch);
    return VLY_OK;
}
