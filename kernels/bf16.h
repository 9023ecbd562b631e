/* bf16.h -- bfloat16 as its 16 bits, rounded to nearest even: the same on host, device and shim. */
#ifndef VLY_KERNELS_BF16_H
#define VLY_KERNELS_BF16_H
#include <string.h>
#include "kernels/launch.h"
#ifdef __CUDACC__
#include <cuda_bf16.h>
#endif

typedef uint16_t vly_bf16;

static __host__ __device__ __forceinline__ float vly_from_bf16(vly_bf16 x) {
#ifdef __CUDA_ARCH__
    return __uint_as_float((uint32_t)x << 16);
#else
    const uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
#endif
}

static __host__ __device__ __forceinline__ vly_bf16 vly_to_bf16(float x) {
#ifdef __CUDA_ARCH__
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff; /* NaN, as the device writes it */
    return (vly_bf16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
#endif
}

/* Two neighbours as one word, the first in the low half. */
static __host__ __device__ __forceinline__ uint32_t vly_pack_bf16(float first, float second) {
#ifdef __CUDA_ARCH__
    const __nv_bfloat162 both = __floats2bfloat162_rn(first, second);
    return (uint32_t)__bfloat16_as_ushort(both.x) | (uint32_t)__bfloat16_as_ushort(both.y) << 16;
#else
    return (uint32_t)vly_to_bf16(first) | (uint32_t)vly_to_bf16(second) << 16;
#endif
}

static __host__ __device__ __forceinline__ float vly_load_real(const float *p) {
    return *p;
}
static __host__ __device__ __forceinline__ float vly_load_real(const vly_bf16 *p) {
    return vly_from_bf16(*p);
}
static __host__ __device__ __forceinline__ float vly_load_real(const uint8_t *p) {
    return (float)*p;
}
static __host__ __device__ __forceinline__ void vly_store_real(float *p, float v) {
    *p = v;
}
static __host__ __device__ __forceinline__ void vly_store_real(vly_bf16 *p, float v) {
    *p = vly_to_bf16(v);
}
#endif
