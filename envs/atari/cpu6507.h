/* cpu6507.h -- the processor; for the files of this folder only.
 *
 * Granular by instruction, as the reference: the cycles of an instruction are counted before its
 * one data access. */
#ifndef VLY_ENVS_ATARI_CPU6507_H
#define VLY_ENVS_ATARI_CPU6507_H
#include "envs/atari/bus.h"

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
enum {
    VLY_INSTRUCTIONS_PER_FRAME = 250,
    VLY_FAST_CYCLES = 490
}; /* shorter frames find more faults per second */
#else
/* An ALE frame ends after this many instructions. An instruction takes at least two cycles, so
 * VLY_FAST_CYCLES are always fewer. */
enum { VLY_INSTRUCTIONS_PER_FRAME = 25000, VLY_FAST_CYCLES = 49000 };
#endif
enum { VLY_N = 0x80, VLY_V = 0x40, VLY_D = 0x08, VLY_I = 0x04, VLY_Z = 0x02, VLY_C = 0x01 };

/* Registers as after a reset, the program counter from the vector. */
void vly_cpu_reset(vly_run *r);
/* One instruction, through the general bus. */
void vly_cpu_step(vly_run *r);

/* Decimal mode for all bytes, including the reference's results for bytes that are not BCD.
 * carry: in and out; overflow: nonzero if V is set. */
static inline int vly_from_bcd(uint8_t v) {
    return 10 * (v >> 4) + (v & 15);
}

static inline uint8_t vly_decimal_add(uint8_t a, uint8_t v, unsigned *carry, unsigned *overflow) {
    int sum = vly_from_bcd(a) + vly_from_bcd(v) + (int)*carry;
    *carry = sum > 99;
    sum = (sum & 0xff) % 100;
    const uint8_t out = (uint8_t)(sum / 10 << 4 | sum % 10);
    *overflow = (a ^ out) & (v ^ out) & 0x80;
    return out;
}

/* A difference that is still negative indexes before the reference's table, into the preceding
 * one. */
static inline uint8_t vly_decimal_subtract(uint8_t a, uint8_t v, unsigned *carry,
                                           unsigned *overflow) {
    const int borrow = !*carry;
    int d = vly_from_bcd(a) - vly_from_bcd(v) - borrow;
    if (d < 0) d += 100;
    const uint8_t out = d < 0 ? (uint8_t)vly_from_bcd((uint8_t)d)
                              : (uint8_t)(d / 10 % 10 << 4 | d % 10);
    *carry = a >= v + borrow;
    *overflow = (a ^ out) & (v ^ out) & 0x80;
    return out;
}

#endif
