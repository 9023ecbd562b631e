/* finite.h -- whether floats that came from elsewhere, at any address, are numbers all. */
#ifndef VLY_COMMON_BASE_FINITE_H
#define VLY_COMMON_BASE_FINITE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* By the bits: a loop without branches. */
static inline bool vly_all_finite(const void *floats, size_t n) {
    const unsigned char *at = (const unsigned char *)floats;
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, at + i * sizeof bits, sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}
#endif
