/* mma.h -- tensor-core instructions as functions of a warp, with a twin for the shim that moves the
 * same fragments between the same lanes (device code). PTX ISA, "Matrix multiply-accumulate:
 * mma.sync.m16n8k16 / m16n8k8, ldmatrix".
 *
 * Lane l = 4 g + t. D (16 x 8): d[0], d[1] at (g, 2t), (g, 2t + 1); d[2], d[3] eight rows below.
 */
#ifndef VLY_KERNELS_MMA_H
#define VLY_KERNELS_MMA_H
#include "kernels/bf16.h"
#include "kernels/reduce.h"

#if defined(VLY_SHIM)
#define VLY_HAS_MMA 1
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define VLY_HAS_MMA 1
#else
#define VLY_HAS_MMA 0 /* Turing has neither bf16 nor tf32: these kernels are not launched there */
#endif

/* Nearest tf32 (10 bits of mantissa), ties away from zero, as cvt.rna.tf32. */
static __device__ __forceinline__ float vly_to_tf32(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint32_t r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return __uint_as_float(r);
#else
    const uint32_t bits = __float_as_uint(x);
    return (bits & 0x7f800000u) == 0x7f800000u ? x : __uint_as_float((bits + 0x1000u) & ~0x1fffu);
#endif
}

/* Two bytes as two bf16 numbers, exactly: 2^23 + b is a float whose last bits are b. */
static __device__ __forceinline__ uint32_t vly_bf16_of_bytes(uint16_t two) {
    const float first = __uint_as_float(0x4b000000u | (two & 255u)) - 8388608.0f,
                second = __uint_as_float(0x4b000000u | two >> 8) - 8388608.0f;
    return __float_as_uint(first) >> 16 | (__float_as_uint(second) & 0xffff0000u);
}

#ifdef VLY_SHIM

/* r[i]: two elements of the i-th 8 x 8 matrix, whose row j starts at the address of lane 8 i + j.
 */
static inline void vly_ldmatrix4(uint32_t r[4], const vly_bf16 *row, bool transposed) {
    const int l = (int)vly_shim::lane(), g = l / 4, t = l % 4;
    const char *all = static_cast<const char *>(
        vly_shim::join_warp(VLY_FULL_WARP, &row, sizeof row, VLY_SHIM_HERE));
    for (int i = 0; i < 4; i++) {
        const vly_bf16 *at[8];
        for (int j = 0; j < 8; j++) memcpy(&at[j], all + 16 * (8 * i + j), sizeof at[j]);
        const vly_bf16 first = transposed ? at[2 * t][g] : at[g][2 * t],
                       second = transposed ? at[2 * t + 1][g] : at[g][2 * t + 1];
        r[i] = (uint32_t)first | (uint32_t)second << 16;
    }
}

static inline float vly_half_of(uint32_t word, int which) {
    return vly_from_bf16((vly_bf16)(which ? word >> 16 : word & 0xffffu));
}

/* d += a (16 x 16) b (16 x 8), bf16 in, f32 out. */
static inline void vly_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
    const int l = (int)vly_shim::lane(), g = l / 4, t = l % 4;
    uint32_t as[32][4], bs[32][2];
    const uint4 mine_a = {a[0], a[1], a[2], a[3]};
    const char *all =
        static_cast<const char *>(vly_shim::join_warp(VLY_FULL_WARP, &mine_a, 16, VLY_SHIM_HERE));
    for (int i = 0; i < 32; i++) memcpy(as[i], all + 16 * i, 16);
    const uint2 mine_b = {b[0], b[1]};
    all = static_cast<const char *>(vly_shim::join_warp(VLY_FULL_WARP, &mine_b, 8, VLY_SHIM_HERE));
    for (int i = 0; i < 32; i++) memcpy(bs[i], all + 16 * i, 8);
    for (int i = 0; i < 4; i++) {
        const int column = 2 * t + (i & 1);
        float sum = d[i];
        for (int k = 0; k < 16; k++)
            sum += vly_half_of(as[4 * g + k % 8 / 2][(k / 8) * 2 + i / 2], k & 1) *
                   vly_half_of(bs[4 * column + k % 8 / 2][k / 8], k & 1);
        d[i] = sum;
    }
}

/* d += a (16 x 8) b (8 x 8), tf32 in, f32 out. */
static inline void vly_mma_tf32(float d[4], const float a[4], const float b[2]) {
    const int l = (int)vly_shim::lane(), g = l / 4, t = l % 4;
    float as[32][4], bs[32][2];
    const float4 mine_a = {a[0], a[1], a[2], a[3]};
    const char *all =
        static_cast<const char *>(vly_shim::join_warp(VLY_FULL_WARP, &mine_a, 16, VLY_SHIM_HERE));
    for (int i = 0; i < 32; i++) memcpy(as[i], all + 16 * i, 16);
    const float2 mine_b = {b[0], b[1]};
    all = static_cast<const char *>(vly_shim::join_warp(VLY_FULL_WARP, &mine_b, 8, VLY_SHIM_HERE));
    for (int i = 0; i < 32; i++) memcpy(bs[i], all + 16 * i, 8);
    for (int i = 0; i < 4; i++) {
        const int column = 2 * t + (i & 1);
        float sum = d[i];
        for (int k = 0; k < 8; k++)
            sum += as[4 * g + k % 4][(k / 4) * 2 + i / 2] * bs[4 * column + k % 4][k / 4];
        d[i] = sum;
    }
}

#elif VLY_HAS_MMA

static __device__ __forceinline__ void vly_ldmatrix4(uint32_t r[4], const vly_bf16 *row,
                                                     bool transposed) {
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    if (transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(at)
                     : "memory");
}

static __device__ __forceinline__ void vly_mma_bf16(float d[4], const uint32_t a[4],
                                                    const uint32_t b[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ void vly_mma_tf32(float d[4], const float a[4],
                                                    const float b[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])),
                   "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
                   "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

#else

static __device__ __forceinline__ void vly_ldmatrix4(uint32_t *, const vly_bf16 *, bool) {}
static __device__ __forceinline__ void vly_mma_bf16(float *, const uint32_t *, const uint32_t *) {}
static __device__ __forceinline__ void vly_mma_tf32(float *, const float *, const float *) {}

#endif
#endif
