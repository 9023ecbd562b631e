/* bf16.h -- bfloat16: the upper half of a float, rounded to nearest even. */
#ifndef VLY_CPU_BF16_H
#define VLY_CPU_BF16_H
#include <stdint.h>
#include <string.h>

static inline float vly_bf16_to_f32(uint16_t x) {
    const uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t vly_bf16_from_f32(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    return (uint16_t)(f == f ? rounded : bits >> 16 | 0x40); /* a NaN stays a quiet NaN */
}
#endif
