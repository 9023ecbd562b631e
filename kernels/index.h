/* index.h -- the arithmetic of addresses that kernels over images share.
 *
 *   const vly_divider wide = vly_divider_of(out_w);           // on the host, at launch
 *   const int y = vly_quotient(pixel, wide), x = pixel - y * (int)wide.d;
 */
#ifndef VLY_KERNELS_INDEX_H
#define VLY_KERNELS_INDEX_H
#include "common/base/compute.h"
#include "kernels/launch.h"

/* Division by a number known at launch (Granlund and Montgomery 1994), for n < 2^31. */
typedef struct {
    uint32_t d, magic;
    int shift;
} vly_divider;

static inline vly_divider vly_divider_of(int d) {
    vly_divider v = {(uint32_t)d, 0, 0};
    while ((1u << v.shift) < v.d) v.shift++;
    if (d > 1) v.magic = (uint32_t)(((1ull << 32) * ((1ull << v.shift) - v.d)) / v.d + 1);
    return v;
}
static __device__ __forceinline__ int vly_quotient(int n, vly_divider v) {
    return (int)((__umulhi((uint32_t)n, v.magic) + (uint32_t)n) >> v.shift);
}

/* The widest access (8, 4 or 1 numbers) that a run of numbers, repeated at multiples of the
 * strides, allows. */
static inline int vly_access_width(const void *p, vly_dtype type, int run, int stride1,
                                   int stride2) {
    for (int vec = 8; vec > 1; vec /= 2) {
        const size_t bytes = (size_t)vec * vly_dtype_bytes(type), unit = bytes < 16 ? bytes : 16;
        if (vec != 2 && run % vec == 0 && stride1 % vec == 0 && stride2 % vec == 0 &&
            (uintptr_t)p % unit == 0)
            return vec;
    }
    return 1;
}
#endif
