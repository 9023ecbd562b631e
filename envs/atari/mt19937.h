/* mt19937.h -- the Mersenne Twister of std::mt19937 (Matsumoto and Nishimura 1998), because both of
 * ALE's random streams, the emulator's and the environment's, are draws of it.
 *
 *   vly_mt19937 r;
 *   vly_mt19937_seed(&r, 4753849);
 *   uint32_t u = vly_mt19937_next(&r);
 *
 * Plain state: copying it copies the stream.
 */
#ifndef VLY_ENVS_ATARI_MT19937_H
#define VLY_ENVS_ATARI_MT19937_H
#include <stdint.h>

typedef struct {
    uint32_t word[624];
    uint32_t next; /* index of the next word, 0 .. 624 */
} vly_mt19937;

static inline void vly_mt19937_seed(vly_mt19937 *r, uint32_t seed) {
    r->word[0] = seed;
    for (uint32_t i = 1; i < 624; ++i)
        r->word[i] = 1812433253u * (r->word[i - 1] ^ (r->word[i - 1] >> 30)) + i;
    r->next = 624;
}

static inline uint32_t vly_mt19937_twist_(uint32_t far, uint32_t high, uint32_t low) {
    uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ (y >> 1) ^ (-(y & 1u) & 0x9908b0dfu);
}

static inline void vly_mt19937_refill_(vly_mt19937 *r) {
    uint32_t *w = r->word;
    for (int i = 0; i < 227; ++i) w[i] = vly_mt19937_twist_(w[i + 397], w[i], w[i + 1]);
    for (int i = 227; i < 623; ++i) w[i] = vly_mt19937_twist_(w[i - 227], w[i], w[i + 1]);
    w[623] = vly_mt19937_twist_(w[396], w[623], w[0]);
    r->next = 0;
}

static inline uint32_t vly_mt19937_next(vly_mt19937 *r) {
    if (r->next >= 624) vly_mt19937_refill_(r);
    uint32_t y = r->word[r->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

#endif
