/* wgmma.h -- products of whole warpgroups on tensor cores (wgmma, sm_90a only), with a twin for the
 * shim that decodes the same descriptors and moves the same fragments (device code). PTX ISA,
 * "Asynchronous warpgroup level matrix instructions".
 *
 *   vly_copies_wait<0>();
 *   vly_wgmma_publish();           // what this thread wrote to shared memory, for wgmma to read
 *   __syncthreads();               // what the other threads wrote too
 *   vly_wgmma_fence();             // registers: before the first, and after any other use of them
 *   vly_wgmma<64, 0, 0>(d, vly_matrix_of(a, 16, 1024, 1), vly_matrix_of(b, 16, 1024, 1));
 *   vly_wgmma_commit();            // what was begun since the last is a group
 *   vly_wgmma_wait<0>();           // until then d is not read, and what a and b name not written
 *
 * A warpgroup is four warps, the first of which is a multiple of four. D (64 x N): warp w has rows 16 w
 * to 16 w + 15, as vly_mma_bf16 has them: d[j][..] at columns 8 j to 8 j + 7. A comes from shared
 * memory or, as vly_mma_bf16 takes it, from registers. The order in which products of one
 * instruction are added up is the hardware's: results differ from vly_mma_bf16's in their last bits.
 */
#ifndef VLY_KERNELS_WGMMA_H
#define VLY_KERNELS_WGMMA_H
#include "kernels/async.h"
#include "kernels/bf16.h"

#if defined(VLY_SHIM)
#define VLY_HAS_WGMMA 1
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define VLY_HAS_WGMMA 1
#else
#define VLY_HAS_WGMMA 0 /* also sm_90 without the a: these kernels are not launched there */
#endif

/* The descriptor of a matrix of bf16 numbers at address `at` of shared memory. It is made of lines of 128
 * bytes (swizzle 1), 64 (2) or 32 (3), 8 lines in a row, whose pieces of 16 bytes are permuted: bits 4
 * to 6 (4 to 5, 4) of an address are those of the plain layout exclusive-or bits 7 to 9 (7 to 8, 7).
 *   Along k, a line is a row: `stride` bytes from 8 rows to the next 8; `leading` plays no part, and `at`
 *   may lie within the first line.
 *   Across (transposed), a line is a k: `stride` bytes from 8 of k to the next 8, `leading` bytes from
 *   the rows of one line to those of the next.
 * The first line lies at a multiple of 1024 bytes (512, 256). */
static __device__ __forceinline__ uint64_t vly_matrix_of(unsigned at, unsigned leading,
                                                         unsigned stride, unsigned swizzle) {
    return (uint64_t)((at & 0x3ffffu) >> 4) | (uint64_t)(leading >> 4) << 16 |
           (uint64_t)(stride >> 4) << 32 | (uint64_t)swizzle << 62;
}

#if defined(VLY_SHIM)

static inline void vly_wgmma_publish() {
    vly_shim::proxy_fence(VLY_SHIM_HERE);
}
static inline void vly_wgmma_fence() {
    vly_shim::wgmma_fence(VLY_SHIM_HERE);
}
static inline void vly_wgmma_commit() {
    vly_shim::wgmma_commit(VLY_SHIM_HERE);
}
template <int LEFT> static inline void vly_wgmma_wait() {
    vly_shim::wgmma_wait(LEFT, VLY_SHIM_HERE);
}
template <int BN, int ACROSS_A, int ACROSS_B>
static inline void vly_wgmma(float (&d)[BN / 8][4], uint64_t a, uint64_t b) {
    vly_shim::wgmma({&d[0][0], BN, a, nullptr, b, ACROSS_A != 0, ACROSS_B != 0}, VLY_SHIM_HERE);
}
template <int BN, int ACROSS_B>
static inline void vly_wgmma(float (&d)[BN / 8][4], const uint32_t (&a)[4], uint64_t b) {
    vly_shim::wgmma({&d[0][0], BN, 0, a, b, false, ACROSS_B != 0}, VLY_SHIM_HERE);
}
template <class T> static inline void vly_wgmma_hold(T &) {}

#elif VLY_HAS_WGMMA

static __device__ __forceinline__ void vly_wgmma_publish() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
static __device__ __forceinline__ void vly_wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
static __device__ __forceinline__ void vly_wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int LEFT> static __device__ __forceinline__ void vly_wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(LEFT) : "memory");
}

/* The compiler does not move a use of these registers over this line: it cannot tell that an
 * instruction which it has passed still writes or reads them. */
template <int N, int M> static __device__ __forceinline__ void vly_wgmma_hold(float (&r)[N][M]) {
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
        for (int j = 0; j < M; j++) asm volatile("" : "+f"(r[i][j])::"memory");
}
template <int N, int M> static __device__ __forceinline__ void vly_wgmma_hold(uint32_t (&r)[N][M]) {
#pragma unroll
    for (int i = 0; i < N; i++)
#pragma unroll
        for (int j = 0; j < M; j++) asm volatile("" : "+r"(r[i][j])::"memory");
}

/* clang-format off */
#define VLY_D8(j) "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3]), \
                  "+f"(d[j + 1][0]), "+f"(d[j + 1][1]), "+f"(d[j + 1][2]), "+f"(d[j + 1][3])
#define VLY_D32 VLY_D8(0), VLY_D8(2)
#define VLY_D64 VLY_D32, VLY_D8(4), VLY_D8(6)
#define VLY_D128 VLY_D64, VLY_D8(8), VLY_D8(10), VLY_D8(12), VLY_D8(14)
#define VLY_R32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"
#define VLY_R64 VLY_R32 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define VLY_R128 VLY_R64 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47" \
                         ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
/* d += a b; the operands after those of d have the numbers that follow */
#define VLY_WGMMA_TEXT(n, d, operands) \
    "{ .reg .pred adds; setp.ne.b32 adds, 1, 0; wgmma.mma_async.sync.aligned.m64n" n \
    "k16.f32.bf16.bf16 {" d "}, " operands "; }"
/* clang-format on */

template <int BN, int ACROSS_A, int ACROSS_B>
static __device__ __forceinline__ void vly_wgmma(float (&d)[BN / 8][4], uint64_t a, uint64_t b) {
    static_assert(BN == 32 || BN == 64 || BN == 128, "as wide as our tiles are");
    if constexpr (BN == 32)
        asm volatile(VLY_WGMMA_TEXT("32", VLY_R32, "%16, %17, adds, 1, 1, %18, %19")
                     : VLY_D32
                     : "l"(a), "l"(b), "n"(ACROSS_A), "n"(ACROSS_B)
                     : "memory");
    else if constexpr (BN == 64)
        asm volatile(VLY_WGMMA_TEXT("64", VLY_R64, "%32, %33, adds, 1, 1, %34, %35")
                     : VLY_D64
                     : "l"(a), "l"(b), "n"(ACROSS_A), "n"(ACROSS_B)
                     : "memory");
    else
        asm volatile(VLY_WGMMA_TEXT("128", VLY_R128, "%64, %65, adds, 1, 1, %66, %67")
                     : VLY_D128
                     : "l"(a), "l"(b), "n"(ACROSS_A), "n"(ACROSS_B)
                     : "memory");
}

template <int BN, int ACROSS_B>
static __device__ __forceinline__ void vly_wgmma(float (&d)[BN / 8][4], const uint32_t (&a)[4],
                                                 uint64_t b) {
    static_assert(BN == 32 || BN == 64 || BN == 128, "as wide as our tiles are");
    if constexpr (BN == 32)
        asm volatile(VLY_WGMMA_TEXT("32", VLY_R32, "{%16, %17, %18, %19}, %20, adds, 1, 1, %21")
                     : VLY_D32
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ACROSS_B)
                     : "memory");
    else if constexpr (BN == 64)
        asm volatile(VLY_WGMMA_TEXT("64", VLY_R64, "{%32, %33, %34, %35}, %36, adds, 1, 1, %37")
                     : VLY_D64
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ACROSS_B)
                     : "memory");
    else
        asm volatile(VLY_WGMMA_TEXT("128", VLY_R128, "{%64, %65, %66, %67}, %68, adds, 1, 1, %69")
                     : VLY_D128
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ACROSS_B)
                     : "memory");
}

#else

static __device__ __forceinline__ void vly_wgmma_publish() {}
static __device__ __forceinline__ void vly_wgmma_fence() {}
static __device__ __forceinline__ void vly_wgmma_commit() {}
template <int LEFT> static __device__ __forceinline__ void vly_wgmma_wait() {}
template <class T> static __device__ __forceinline__ void vly_wgmma_hold(T &) {}
template <int BN, int ACROSS_A, int ACROSS_B>
static __device__ __forceinline__ void vly_wgmma(float (&)[BN / 8][4], uint64_t, uint64_t) {}
template <int BN, int ACROSS_B>
static __device__ __forceinline__ void vly_wgmma(float (&)[BN / 8][4], const uint32_t (&)[4],
                                                 uint64_t) {}

#endif
#endif
