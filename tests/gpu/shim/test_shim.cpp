/* The shim catches what it says it catches: each kernel here is wrong in one way, or right in a way
 * that needs the shim's promise. */
#include "kernels/mma.h"
#include "kernels/reduce.h"
#include "kernels/scan.h"
#include "tests/gpu/shim/copies.h"
#include "tests/gpu/shim/warpgroups.h"
#include "tests/kit/check.h"

static const unsigned BLOCK = 64;

static __global__ void half_a_barrier(float *) {
    if (threadIdx.x < 32) __syncthreads();
}

static __global__ void two_barriers(float *) {
    if (threadIdx.x % 2)
        __syncthreads();
    else
        __syncthreads();
}

static __global__ void shuffle_without_all(float *out) {
    if (threadIdx.x % 32 < 16) out[threadIdx.x] = __shfl_sync(VLY_FULL_WARP, 1.0f, 0);
}

static __global__ void shuffle_from_outside(float *out) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(0xffffu, 1.0f, 16);
}

static __global__ void much_shared(float *out) {
    VLY_SHARED(float, tile, [(48 << 10) / 4 + 4]);
    out[threadIdx.x] = tile[0];
}

static __global__ void dynamic_bytes(float *out) {
    VLY_DYNAMIC_SHARED(float, tile);
    tile[threadIdx.x] = 2.0f;
    out[threadIdx.x] = tile[threadIdx.x];
}

static __global__ void reads_before_the_barrier(float *out) {
    VLY_SHARED(float, tile, [BLOCK]);
    tile[threadIdx.x] = 1.0f;
    out[threadIdx.x] = tile[(threadIdx.x + 33) % BLOCK]; /* no __syncthreads: may be poison */
}

[[maybe_unused]] static __global__ void writes_past_shared(float *) {
    VLY_SHARED(float, tile, [BLOCK]);
    tile[threadIdx.x] = 0.0f;
    if (threadIdx.x == 0) *(&tile[0] + BLOCK) = 1.0f;
}

[[maybe_unused]] static __global__ void writes_past_the_end(float *out, int n) {
    if (threadIdx.x == 0) out[n] = 1.0f;
}

static __global__ void sums(float *out, int n) {
    const float v = (int)threadIdx.x < n ? (float)(threadIdx.x + 1) : 0.0f;
    const float sum = vly_block_sum(v);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

static __global__ void counts_down(float *out) { /* every thread hands its number to the next, in a
                                                    ring */
    VLY_SHARED(float, tile, [BLOCK]);
    float v = (float)threadIdx.x;
    for (int round = 0; round < (int)BLOCK; round++) {
        tile[(threadIdx.x + 1) % BLOCK] = v;
        __syncthreads();
        v = tile[threadIdx.x];
        __syncthreads();
    }
    out[threadIdx.x] = v;
}

static __global__ void adds(int *out, int v) {
    if (threadIdx.x == 0) *out += v;
}

static __global__ void multiplies_bf16(float *d, const vly_bf16 *a,
                                       const vly_bf16 *b) { /* 16 x 16 by 16 x 8 */
    VLY_SHARED(vly_bf16, as, [16][24]);
    VLY_SHARED(vly_bf16, bs, [16][24]); /* rows n, k along a row; the upper 8 rows are not used */
    const int l = (int)threadIdx.x;
    for (int e = l; e < 256; e += 32)
        as[e / 16][e % 16] = a[e], bs[e / 16][e % 16] = e / 16 < 8 ? b[e] : 0;
    __syncthreads();
    uint32_t fa[4], fb[4];
    float sum[4] = {0, 0, 0, 0};
    vly_ldmatrix4(fa, &as[(l & 7) + (l >> 3 & 1) * 8][(l >> 4) * 8], false);
    vly_ldmatrix4(fb, &bs[(l & 7) + (l >> 4) * 8][(l >> 3 & 1) * 8], false);
    vly_mma_bf16(sum, fa, fb);
    const int g = l / 4, t = l % 4;
    d[g * 8 + 2 * t] = sum[0], d[g * 8 + 2 * t + 1] = sum[1], d[(g + 8) * 8 + 2 * t] = sum[2],
                  d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

/* ---- for the race detector ---- */

[[maybe_unused]] static __global__ void adds_without_an_atomic(float *out) {
    out[0] += 1.0f;
}

[[maybe_unused]] static __global__ void blocks_write_the_same(float *out) {
    if (threadIdx.x == 0) out[0] = (float)blockIdx.x;
}

[[maybe_unused]] static __global__ void shuffles_order_nothing(float *out) {
    VLY_SHARED(float, tile, [BLOCK]);
    tile[threadIdx.x] = 1.0f;
    const float other = __shfl_xor_sync(VLY_FULL_WARP, 1.0f, 1);
    out[threadIdx.x] = other + tile[threadIdx.x ^ 1u];
}

[[maybe_unused]] static __global__ void a_warp_orders_its_lanes(float *out) {
    VLY_SHARED(float, tile, [BLOCK]);
    tile[threadIdx.x] = 1.0f;
    __syncwarp();
    out[threadIdx.x] = tile[threadIdx.x ^ 1u];
}

[[maybe_unused]] static __global__ void a_part_of_a_warp(float *out) {
    VLY_SHARED(float, tile, [32]);
    tile[threadIdx.x] = 1.0f;
    if (threadIdx.x < 16) __syncwarp(0xffffu);
    out[threadIdx.x] = threadIdx.x == 0 ? tile[20] : 0.0f; /* not of the mask */
}

[[maybe_unused]] static __global__ void reads_past_the_end(float *out, int n) {
    if (threadIdx.x == 0) out[0] = out[n];
}

[[maybe_unused]] static __global__ void reads_past_shared(float *out) {
    VLY_SHARED(float, tile, [BLOCK]);
    tile[threadIdx.x] = 0.0f;
    if (threadIdx.x == 0) out[0] = *(&tile[0] + BLOCK);
}

[[maybe_unused]] static __global__ void reads_four_at_an_odd_place(float *out) {
    if (threadIdx.x == 0)
        reinterpret_cast<float4 *>(out)[4] = *reinterpret_cast<const float4 *>(out + 1);
}

[[maybe_unused]] static __global__ void counts_with_atomics(int *out) {
    atomicAdd(out, 1);
}

[[maybe_unused]] static __global__ void reads_what_atomics_change(int *out, int *to) {
    atomicAdd(out, 1);
    to[threadIdx.x + blockIdx.x * blockDim.x] = *out;
}

/* Every function of reduce.h and scan.h twice in a row, with nothing else in between, and
 * vly_last_block behind writes of all threads. */
[[maybe_unused]] static __global__ void uses_everything_twice(float *out, float *partial,
                                                              unsigned *counter) {
    float v = (float)threadIdx.x;
    for (int i = 0; i < 2; i++) {
        const vly_affine f = {0.5f, v};
        v = vly_block_scan(f).b;
    }
    v = vly_block_last(v) + (float)threadIdx.x;
    v += vly_block_last(v);
    for (int i = 0; i < 2; i++) v += vly_block_sum(v);
    const float mine[3] = {v, 2 * v, 3 * v};
    bool done;
    const float total = vly_grid_sum<float, 3>(mine, partial, counter, &done);
    if (done && threadIdx.x < 3) out[threadIdx.x] = total;
}

[[maybe_unused]] static __global__ void the_last_reads_what_all_wrote(float *out, float *partial,
                                                                      unsigned *counter) {
    partial[blockIdx.x * blockDim.x + threadIdx.x] = 1.0f;
    if (!vly_last_block(counter)) return;
    float sum = 0.0f;
    for (unsigned b = 0; b < gridDim.x; b++) sum += partial[b * blockDim.x + threadIdx.x];
    out[threadIdx.x] = sum;
}

static cudaStream_t stream;
static float *memory;

static vly_status ran(void) {
    VLY_CUDA_TRY(cudaStreamSynchronize(stream));
    return VLY_OK;
}

template <class... Args>
static vly_status run(const char *, void (*kernel)(Args...), unsigned blocks, unsigned threads,
                      Args... args) {
    VLY_LAUNCH(kernel, blocks, threads, 0, stream, args...);
    return ran();
}

static void is_a_fault(vly_status status, const char *words) {
    if (status != VLY_ECUDA) fprintf(stderr, "no fault, expected: %s\n", words);
    CHECK_EQ(status, VLY_ECUDA);
    if (!strstr(vly_error_text(), words)) fprintf(stderr, "got: %s\n", vly_error_text());
    CHECK(strstr(vly_error_text(), words) != NULL);
    vly_shim_clear();
}

static void divergent_barriers_are_faults(void) {
    is_a_fault(run("", half_a_barrier, 1, BLOCK, memory), "never reached");
    is_a_fault(run("", two_barriers, 1, BLOCK, memory), "divergent barrier");
    is_a_fault(run("", shuffle_without_all, 1, BLOCK, memory), "divergent warp operation");
    is_a_fault(run("", shuffle_from_outside, 1, BLOCK, memory), "reads a lane");
}

static void a_race_is_seen_under_some_order(void) {
    int poisoned = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        vly_shim_seed(seed);
        CHECK_OK(run("", reads_before_the_barrier, 1, BLOCK, memory));
        for (unsigned i = 0; i < BLOCK; i++) poisoned += isnan(memory[i]);
    }
    CHECK(poisoned > 0);
}

static void writes_out_of_bounds_are_faults(void) {
#if defined(__SANITIZE_ADDRESS__)
    fprintf(stderr, "not shown under AddressSanitizer, which stops there itself\n");
#else
    is_a_fault(run("", writes_past_shared, 1, BLOCK, memory), "outside this array");
    const float mark = memory[4 * BLOCK];
    CHECK(isnan(mark) && isnan(memory[-1])); /* for a kernel that reads there */
    CHECK_OK(run("", writes_past_the_end, 1, BLOCK, memory, 4 * (int)BLOCK));
    CHECK(!vly_shim_check_guards());
    vly_shim_clear();
    memory[4 * BLOCK] = mark;
    CHECK(vly_shim_check_guards());
#endif
    CHECK_EQ(cudaMemcpyAsync(memory, memory, sizeof(float) * (4 * BLOCK + 1),
                             cudaMemcpyDeviceToDevice, stream),
             cudaErrorInvalidValue);
    cudaGetLastError();
}

static void an_async_copy_arrives_at_the_wait(void) {
    memory[100] = 5.0f;
    CHECK_OK(run("", reads_a_copy_too_early, 1, 32, memory, (const float *)memory + 100));
    CHECK(isnan(memory[0]) && memory[1] == 5.0f);
}

static void copies_have_a_size_a_place_and_zeros(void) {
    for (int i = 0; i < 4; i++) memory[100 + i] = (float)(i + 1);
    CHECK_OK(run("", copies_zeros_outside, 1, 32, memory, (const float *)memory + 100));
    const float want[] = {0, 0, 0, 0, 1, 2};
    for (int i = 0; i < 6; i++) CHECK_EQ(memory[i], want[i]);
    is_a_fault(run("", copies_to_an_odd_place, 1, 32, memory, (const float *)memory),
               "misaligned: an asynchronous copy");
    is_a_fault(run("", copies_to_memory, 1, 32, memory, (const float *)memory + 100),
               "what is not shared memory");
}

template <int FAULT> static vly_status pipelined(void) {
    for (int i = 0; i < 24; i++) memory[128 + i] = (float)i;
    return run("", pipelines<FAULT>, 1, BLOCK, memory, (const float *)memory + 128);
}

static void a_pipeline_is_right_in_every_order(void) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        vly_shim_seed(seed);
        CHECK_OK(pipelined<NO_FAULT>());
        for (unsigned i = 0; i < BLOCK; i++) CHECK_EQ(memory[i], 24 * 23 / 2);
    }
    CHECK_OK(pipelined<WAITS_FOR_TOO_LITTLE>());
    CHECK(isnan(memory[0])); /* also without the race detector */
}

static void reductions_and_rings_are_right_in_every_order(void) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        vly_shim_seed(seed);
        CHECK_OK(run("", sums, 3, 256, memory, 201));
        for (int b = 0; b < 3; b++) CHECK_EQ(memory[b], 201 * 202 / 2);
        CHECK_OK(run("", counts_down, 1, BLOCK, memory));
        for (unsigned i = 0; i < BLOCK; i++) CHECK_EQ(memory[i], i);
    }
}

static void fragments_multiply(void) {
    vly_bf16 *a, *b;
    CHECK_EQ(cudaMalloc((void **)&a, 256 * 2), cudaSuccess);
    CHECK_EQ(cudaMalloc((void **)&b, 128 * 2), cudaSuccess);
    for (int i = 0; i < 256; i++) a[i] = vly_to_bf16((float)((i * 37) % 17 - 8));
    for (int i = 0; i < 128; i++)
        b[i] = vly_to_bf16((float)((i * 29) % 13 - 6)); /* (8, 16): b[n][k] */
    CHECK_OK(run("", multiplies_bf16, 1, 32, memory, (const vly_bf16 *)a, (const vly_bf16 *)b));
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 8; n++) {
            float want = 0;
            for (int k = 0; k < 16; k++)
                want += vly_from_bf16(a[m * 16 + k]) * vly_from_bf16(b[n * 16 + k]);
            CHECK_EQ(memory[m * 8 + n], want);
        }
    cudaFree(a);
    cudaFree(b);
}

struct wgmma_numbers {
    float *d;
    vly_bf16 *a, *b;
};

static wgmma_numbers numbers_for_wgmma(void) {
    wgmma_numbers x;
    CHECK_EQ(cudaMalloc((void **)&x.d, WGMMA_M * WGMMA_N * sizeof *x.d), cudaSuccess);
    CHECK_EQ(cudaMalloc((void **)&x.a, WGMMA_M * WGMMA_K * sizeof *x.a), cudaSuccess);
    CHECK_EQ(cudaMalloc((void **)&x.b, WGMMA_N * WGMMA_K * sizeof *x.b), cudaSuccess);
    for (int i = 0; i < WGMMA_M * WGMMA_K; i++) x.a[i] = vly_to_bf16((float)(i * 37 % 101 - 50));
    for (int i = 0; i < WGMMA_N * WGMMA_K; i++) x.b[i] = vly_to_bf16((float)(i * 29 % 97 - 48));
    return x;
}

static void free_numbers(const wgmma_numbers &x) {
    cudaFree(x.d), cudaFree(x.a), cudaFree(x.b);
}

template <int FAULT, int ACROSS_A = 0, int ACROSS_B = 0, bool FROM_REGISTERS = false>
static vly_status wgmma_with(const wgmma_numbers &x, unsigned bits = 3) {
    return run("", multiplies_wgmma<ACROSS_A, ACROSS_B, FAULT, FROM_REGISTERS>, 1, WGMMA_THREADS,
               x.d, (const vly_bf16 *)x.a, (const vly_bf16 *)x.b, bits);
}

static void is_the_product(vly_status status, const wgmma_numbers &x) {
    CHECK_OK(status);
    for (int m = 0; m < WGMMA_M; m++)
        for (int n = 0; n < WGMMA_N; n++) {
            float want = 0;
            for (int k = 0; k < WGMMA_K; k++)
                want += vly_from_bf16(x.a[m * WGMMA_K + k]) * vly_from_bf16(x.b[n * WGMMA_K + k]);
            CHECK_EQ(x.d[m * WGMMA_N + n], want);
        }
    memset(x.d, 0xff, WGMMA_M * WGMMA_N * sizeof *x.d);
}

static void warpgroups_multiply(void) {
    const wgmma_numbers x = numbers_for_wgmma();
    for (unsigned bits = 1; bits <= 3; bits++) {
        is_the_product(wgmma_with<WGMMA_RIGHT, 0, 0>(x, bits), x);
        is_the_product(wgmma_with<WGMMA_RIGHT, 0, 1>(x, bits), x);
        is_the_product(wgmma_with<WGMMA_RIGHT, 1, 0>(x, bits), x);
        is_the_product(wgmma_with<WGMMA_RIGHT, 1, 1>(x, bits), x);
        is_the_product(wgmma_with<WGMMA_RIGHT, 0, 1, true>(x, bits), x);
    }
    free_numbers(x);
}

/* By hand: piece 1 of line 3 of 128 bytes lies where piece 1 ^ 3 would; of line 5 of 64 bytes, piece
 * 1 ^ (5 / 2). */
static void tiles_lie_as_descriptors_say(void) {
    CHECK_EQ((vly_wgmma_tile<128, true>::place(3 * 8 + 1) * 2), 3 * 128 + 2 * 16);
    CHECK_EQ((vly_wgmma_tile<128, true>::place(75 * 8 + 7) * 2), 75 * 128 + 4 * 16);
    CHECK_EQ((vly_wgmma_tile<64, false>::place(5 * 8 + 1) * 2), 5 * 128 + 4 * 16);
    CHECK_EQ((vly_wgmma_tile<128, false>::place(5 * 16 + 9) * 2), 64 * 128 + 5 * 128 + 4 * 16);
    CHECK_EQ((vly_wgmma_tile<32, false>::place(5 * 4 + 1) * 2), 5 * 64 + 3 * 16);
    for (unsigned k = 0; k < 16; k++)
        for (unsigned row = 0; row < 32; row += 8)
            CHECK_EQ((unsigned)(vly_wgmma_tile<32, false>::place((int)(k * 4 + row / 8)) * 2),
                     wgmma_place(2, true, row, k));
    /* start, leading and stride offsets in units of 16 bytes, the swizzle in the last two bits */
    CHECK_EQ((vly_wgmma_tile<128, true>::matrix(3072, 16)), UINT64_C(0x40000040000100c2));
    CHECK_EQ((vly_wgmma_tile<128, false>::matrix(3072, 16)), UINT64_C(0x4000004002000140));
    CHECK_EQ((vly_wgmma_tile<32, false>::matrix(3072, 16)), UINT64_C(0x8000002001000100));
}

static void wrong_multiplications_are_faults(void) {
    const wgmma_numbers x = numbers_for_wgmma();
    is_a_fault(wgmma_with<NO_REGISTER_FENCE>(x), "without a wgmma.fence");
    is_a_fault(wgmma_with<NOT_COMMITTED>(x), "has not waited for");
    is_a_fault(wgmma_with<NOT_WAITED_FOR>(x), "has not waited for");
    is_a_fault(wgmma_with<AT_AN_ODD_PLACE>(x), "misaligned: the pattern");
    is_a_fault(wgmma_with<BEYOND_THE_ARRAY>(x), "leads out of a shared array");
    is_a_fault(wgmma_with<NOT_ALIKE>(x), "begin different multiplications");
    is_a_fault(wgmma_with<HALF_A_GROUP>(x), "a part of its warps left out");
    CHECK_OK(wgmma_with<READ_TOO_EARLY>(x));
    for (int i = 0; i < WGMMA_THREADS; i++) CHECK(isnan(x.d[i]));
#ifdef VLY_SHIM_RACES
    is_a_fault(wgmma_with<NOT_PUBLISHED>(x), "without fence.proxy.async");
    is_a_fault(wgmma_with<PUBLISHED_TOO_LATE>(x), "without fence.proxy.async");
    is_a_fault(wgmma_with<WRITTEN_TOO_EARLY>(x), "race: ");
#endif
    is_the_product(wgmma_with<WGMMA_RIGHT>(x), x);
    free_numbers(x);
}

static void streams_are_lazy_and_events_order_them(void) {
    cudaStream_t other;
    cudaEvent_t event;
    int *value;
    CHECK_EQ(cudaStreamCreateWithPriority(&other, cudaStreamNonBlocking, 0), cudaSuccess);
    CHECK_EQ(cudaEventCreateWithFlags(&event, 0), cudaSuccess);
    CHECK_EQ(cudaMalloc((void **)&value, sizeof *value), cudaSuccess);
    int host = 7, seen = 0;
    CHECK_EQ(cudaMemcpyAsync(value, &host, sizeof host, cudaMemcpyHostToDevice, other),
             cudaSuccess);
    host = 9; /* too early: the copy has not happened */
    CHECK_EQ(cudaEventRecord(event, other), cudaSuccess);
    CHECK_EQ(cudaMemcpyAsync(&seen, value, sizeof seen, cudaMemcpyDeviceToHost, stream),
             cudaSuccess); /* no wait: sees nothing of it */
    CHECK_OK(ran());
    CHECK(seen != 7 && seen != 9);
    CHECK_EQ(cudaStreamWaitEvent(stream, event, 0), cudaSuccess);
    CHECK_EQ(cudaMemcpyAsync(&seen, value, sizeof seen, cudaMemcpyDeviceToHost, stream),
             cudaSuccess);
    CHECK_OK(ran());
    CHECK_EQ(seen, 9);
    cudaStreamDestroy(other);
    cudaEventDestroy(event);
    cudaFree(value);
}

/* A query that is too early leaves an error behind, which a launch takes for its own. */
static void not_ready_is_an_error_until_it_is_cleared(void) {
    cudaEvent_t event;
    int *value;
    CHECK_EQ(cudaEventCreateWithFlags(&event, 0), cudaSuccess);
    CHECK_EQ(cudaMalloc((void **)&value, sizeof *value), cudaSuccess);
    CHECK_EQ(VLY_LAUNCH_RAW(adds, 1, 32, 0, stream, value, 3), cudaSuccess);
    CHECK_EQ(cudaEventRecord(event, stream), cudaSuccess);
    CHECK_EQ(cudaEventQuery(event), cudaErrorNotReady);
    CHECK_EQ(VLY_LAUNCH_RAW(adds, 1, 32, 0, stream, value, 3), cudaErrorNotReady);
    CHECK_EQ(cudaGetLastError(), cudaSuccess);
    CHECK_EQ(cudaEventQuery(event), cudaSuccess);
    CHECK_EQ(cudaEventQuery(event), cudaSuccess);
    cudaEventDestroy(event);
    cudaFree(value);
}

static void host_memory_is_mapped_where_it_was_asked_for(void) {
    void *plain, *mapped, *device;
    CHECK_EQ(cudaHostAlloc(&plain, 16, cudaHostAllocDefault), cudaSuccess);
    CHECK_EQ(cudaHostAlloc(&mapped, 16, cudaHostAllocMapped), cudaSuccess);
    CHECK_EQ(cudaHostGetDevicePointer(&device, plain, 0), cudaErrorInvalidValue);
    cudaGetLastError();
    CHECK_EQ(cudaHostGetDevicePointer(&device, mapped, 0), cudaSuccess);
    CHECK_OK(run("", adds, 1, 32, static_cast<int *>(device), 3));
    cudaFreeHost(plain);
    cudaFreeHost(mapped);
    vly_shim_clear();
}

static void a_graph_runs_when_it_is_launched(void) {
    int *value;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK_EQ(cudaMalloc((void **)&value, sizeof *value), cudaSuccess);
    *value = 0;
    CHECK_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    CHECK_EQ(VLY_LAUNCH_RAW(adds, 1, 32, 0, stream, value, 3), cudaSuccess);
    void *refused;
    CHECK_EQ(cudaMalloc(&refused, 4), cudaErrorStreamCaptureUnsupported);
    CHECK_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
    cudaGetLastError();
    CHECK_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    CHECK_OK(ran());
    CHECK_EQ(*value, 0);
    CHECK_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    for (int i = 0; i < 5; i++) CHECK_EQ(cudaGraphLaunch(exec, stream), cudaSuccess);
    CHECK_OK(ran());
    CHECK_EQ(*value, 15);
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaFree(value);
}

static void impossible_launches_are_refused(void) {
    CHECK(VLY_LAUNCH_RAW(adds, 0, 32, 0, stream, (int *)NULL, 3) != cudaSuccess);
    CHECK(VLY_LAUNCH_RAW(adds, 1, 2048, 0, stream, (int *)NULL, 3) != cudaSuccess);
    CHECK(VLY_LAUNCH_RAW(adds, 1, 32, 300 << 10, stream, (int *)NULL, 3) != cudaSuccess);
    cudaGetLastError();
}

static void large_shared_memory_is_asked_for(void) {
    enum { BYTES = 60 << 10 };
    is_a_fault(run("", much_shared, 1, BLOCK, memory), "48 KiB of static");
    CHECK_EQ(VLY_LAUNCH_RAW(dynamic_bytes, 1, BLOCK, BYTES, stream, memory), cudaErrorInvalidValue);
    CHECK(strstr(vly_shim_report(), "cudaFuncAttributeMaxDynamicSharedMemorySize") != NULL);
    cudaGetLastError();
    vly_shim_clear();
    CHECK_EQ(
        cudaFuncSetAttribute(dynamic_bytes, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES),
        cudaSuccess);
    CHECK_EQ(VLY_LAUNCH_RAW(dynamic_bytes, 1, BLOCK, BYTES, stream, memory), cudaSuccess);
    CHECK_OK(ran());
    CHECK_EQ(memory[0], 2);
}

static void a_capture_takes_no_pageable_memory(void) {
    cudaGraph_t graph;
    float host[4] = {0}, *pinned;
    CHECK_EQ(cudaHostAlloc((void **)&pinned, sizeof host, 0), cudaSuccess);
    CHECK_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    CHECK_EQ(cudaMemcpyAsync(memory, host, sizeof host, cudaMemcpyHostToDevice, stream),
             cudaErrorStreamCaptureUnsupported);
    CHECK_EQ(cudaMemcpyAsync(host, memory, sizeof host, cudaMemcpyDeviceToHost, stream),
             cudaErrorStreamCaptureUnsupported);
    CHECK_EQ(cudaMemcpyAsync(memory, pinned, sizeof host, cudaMemcpyHostToDevice, stream),
             cudaSuccess);
    CHECK_EQ(cudaMemcpyAsync(pinned, memory, sizeof host, cudaMemcpyDeviceToHost, stream),
             cudaSuccess);
    cudaGetLastError();
    CHECK_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cudaGraphDestroy(graph);
    cudaFreeHost(pinned);
    vly_shim_clear();
}

/* How far the second stream of a capture is joined: not at all, before its last work, or behind
 * it. */
static cudaError_t captured_beside(int joins) {
    cudaStream_t other;
    cudaEvent_t fork, join;
    cudaGraph_t graph = NULL;
    CHECK_EQ(cudaStreamCreateWithPriority(&other, cudaStreamNonBlocking, 0), cudaSuccess);
    CHECK_EQ(cudaEventCreateWithFlags(&fork, 0), cudaSuccess);
    CHECK_EQ(cudaEventCreateWithFlags(&join, 0), cudaSuccess);
    CHECK_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    CHECK_EQ(cudaEventRecord(fork, stream), cudaSuccess);
    CHECK_EQ(cudaStreamWaitEvent(other, fork, 0), cudaSuccess);
    if (joins == 1) CHECK_EQ(cudaEventRecord(join, other), cudaSuccess);
    CHECK_EQ(VLY_LAUNCH_RAW(dynamic_bytes, 1, BLOCK, 1024, other, memory), cudaSuccess);
    if (joins == 2) CHECK_EQ(cudaEventRecord(join, other), cudaSuccess);
    if (joins) CHECK_EQ(cudaStreamWaitEvent(stream, join, 0), cudaSuccess);
    const cudaError_t error = cudaStreamEndCapture(stream, &graph);
    CHECK_EQ(graph != NULL, error == cudaSuccess);
    cudaGraphDestroy(graph);
    cudaGetLastError();
    vly_shim_clear();
    cudaEventDestroy(fork);
    cudaEventDestroy(join);
    cudaStreamDestroy(other);
    return error;
}

static void a_capture_joins_its_streams(void) {
    CHECK_EQ(captured_beside(0), cudaErrorStreamCaptureUnjoined);
    CHECK_EQ(captured_beside(1), cudaErrorStreamCaptureUnjoined);
    CHECK_EQ(captured_beside(2), cudaSuccess);
}

static void misaligned_vectors_are_faults(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    fprintf(stderr, "not shown under a sanitizer, which stops there itself or not at all\n");
#else
    is_a_fault(run("", reads_four_at_an_odd_place, 1, BLOCK, memory), "misaligned");
#endif
}

#ifdef VLY_SHIM_RACES
static void accesses_that_nothing_orders_are_faults(void) {
    is_a_fault(run("", adds_without_an_atomic, 1, BLOCK, memory), "race: ");
    is_a_fault(run("", blocks_write_the_same, 4, BLOCK, memory), "race: ");
    is_a_fault(run("", shuffles_order_nothing, 1, BLOCK, memory), "race: ");
    is_a_fault(run("", a_part_of_a_warp, 1, 32, memory), "race: ");
    is_a_fault(run("", reads_before_the_barrier, 1, BLOCK, memory), "race: ");
    is_a_fault(run("", reads_what_atomics_change, 2, BLOCK, (int *)memory, (int *)memory + BLOCK),
               "race: ");
    CHECK_OK(run("", a_warp_orders_its_lanes, 1, BLOCK, memory));
    CHECK_OK(run("", counts_with_atomics, 4, BLOCK, (int *)memory));
}

static void copies_that_are_not_waited_for_are_faults(void) {
    is_a_fault(run("", reads_a_copy_too_early, 1, 32, memory, (const float *)memory + 100),
               "an asynchronous copy is under way");
    is_a_fault(pipelined<WAITS_FOR_TOO_LITTLE>(), "an asynchronous copy is under way");
    is_a_fault(pipelined<ONE_COMMIT_TOO_FEW>(), "an asynchronous copy is under way");
    is_a_fault(pipelined<NO_BARRIER>(), "race: ");
    is_a_fault(pipelined<RING_TOO_SMALL>(), "race: ");
    CHECK_OK(pipelined<NO_FAULT>());
}

static void reads_beyond_an_array_are_faults(void) {
    is_a_fault(run("", reads_past_the_end, 1, BLOCK, memory, 4 * (int)BLOCK), "array of 1024");
    is_a_fault(run("", reads_past_the_end, 1, BLOCK, memory, -1), "array of 1024");
    is_a_fault(run("", reads_past_shared, 1, BLOCK, memory), "array of 256");
    is_a_fault(run("", writes_past_shared, 1, BLOCK, memory), "array of 256");
    is_a_fault(run("", writes_past_the_end, 1, BLOCK, memory, 4 * (int)BLOCK), "array of 1024");
    is_a_fault(run("", reads_four_at_an_odd_place, 1, BLOCK, memory), "misaligned");
}

static vly_status headers(void) {
    float *partial;
    unsigned *counter;
    CHECK_EQ(cudaMalloc((void **)&partial, 4 * 256 * sizeof *partial), cudaSuccess);
    CHECK_EQ(cudaMalloc((void **)&counter, sizeof *counter), cudaSuccess);
    *counter = 0;
    const vly_status first = run("", uses_everything_twice, 4, 256, memory, partial, counter);
    *counter = 0;
    const vly_status second = first == VLY_OK ? run("", the_last_reads_what_all_wrote, 4, 256,
                                                    memory, partial, counter)
                                              : first;
    cudaFree(partial);
    cudaFree(counter);
    return second;
}

static bool headers_fault(const char *file, int line) {
    bool found = false;
    for (uint64_t seed = 1; seed <= 4 && !found; seed++) {
        vly_shim_seed(seed);
        vly_shim_drop(file, line);
        found = headers() != VLY_OK;
        vly_shim_drop("", 0);
        vly_shim_clear();
    }
    return found;
}

/* Each barrier and fence is needed by some use of its function. */
static void every_barrier_of_the_headers_is_needed(void) {
    const char *file;
    int line, count = 0;
    CHECK_OK(headers());
    for (size_t i = 0; vly_shim_site(i, &file, &line); i++) {
        if (!strstr(file, "reduce.h") && !strstr(file, "scan.h")) continue;
        const bool found = headers_fault(file, line);
        if (!found) fprintf(stderr, "without %s:%d nothing was found\n", file, line);
        CHECK(found);
        count++;
    }
    CHECK(count >= 10);
}
#endif

int main(void) {
    CHECK_EQ(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, 0), cudaSuccess);
    CHECK_EQ(cudaMalloc((void **)&memory, 4 * BLOCK * sizeof(float)), cudaSuccess);
    divergent_barriers_are_faults();
    warpgroups_multiply();
    tiles_lie_as_descriptors_say();
    wrong_multiplications_are_faults();
#ifdef VLY_SHIM_RACES
    accesses_that_nothing_orders_are_faults();
    reads_beyond_an_array_are_faults();
    copies_that_are_not_waited_for_are_faults();
    copies_have_a_size_a_place_and_zeros();
    every_barrier_of_the_headers_is_needed();
    cudaFree(memory);
    cudaStreamDestroy(stream);
    return TEST_PASS;
#endif
    a_race_is_seen_under_some_order();
    writes_out_of_bounds_are_faults();
    an_async_copy_arrives_at_the_wait();
    copies_have_a_size_a_place_and_zeros();
    a_pipeline_is_right_in_every_order();
    reductions_and_rings_are_right_in_every_order();
    fragments_multiply();
    streams_are_lazy_and_events_order_them();
    not_ready_is_an_error_until_it_is_cleared();
    host_memory_is_mapped_where_it_was_asked_for();
    a_graph_runs_when_it_is_launched();
    impossible_launches_are_refused();
    large_shared_memory_is_asked_for();
    a_capture_takes_no_pageable_memory();
    a_capture_joins_its_streams();
    misaligned_vectors_are_faults();
    cudaFree(memory);
    cudaStreamDestroy(stream);
    return TEST_PASS;
}
