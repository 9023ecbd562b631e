/* random.h -- the random generators that the Atari peers use, so that their games can be replayed.
 *
 *   vly_mt19937 mt;
 *   vly_mt19937_seed(&mt, 7);
 *   uint32_t u = vly_mt19937_next(&mt);               // std::mt19937(7)()
 *   int n = vly_mt19937_below(&mt, 30);               // std::uniform_int_distribution(0, 29)
 *
 *   uint32_t words[2];
 *   vly_seed_sequence(123, words, 2);                 // np.random.SeedSequence(123).generate_state(2)
 *   vly_pcg64 rng;
 *   vly_pcg64_seed(&rng, words[0]);                   // np.random.default_rng(words[0])
 *   uint32_t k = vly_pcg64_below(&rng, 30);           // rng.integers(0, 30)
 *
 * All state is plain memory. Golden values: tests/test_atari_random.c.
 */
#ifndef VLY_ENVS_ATARI_RANDOM_H
#define VLY_ENVS_ATARI_RANDOM_H
#include <stdint.h>
#include "envs/atari/mt19937.h"

/* Uniform in [0, n) from a source of 32 random bits, exactly: Lemire (2019), "Fast random integer
 * generation in an interval". libstdc++ (from GCC 11 on) and NumPy both draw this way. */
#define VLY_LEMIRE(n, next32)                                                                      \
    do {                                                                                           \
        uint64_t m_ = (uint64_t)(next32) * (n);                                                    \
        if ((uint32_t)m_ < (n)) {                                                                  \
            const uint32_t least_ = (0u - (n)) % (n);                                              \
            while ((uint32_t)m_ < least_) m_ = (uint64_t)(next32) * (n);                           \
        }                                                                                          \
        return (uint32_t)(m_ >> 32);                                                               \
    } while (0)

static inline uint32_t vly_mt19937_below(vly_mt19937 *mt, uint32_t n) {
    VLY_LEMIRE(n, vly_mt19937_next(mt));
}

/* NumPy's SeedSequence (after O'Neill's seed_seq_fe) for one non-negative integer of up to 64 bits. */
static inline uint32_t vly_seed_hash(uint32_t value, uint32_t *constant, uint32_t multiplier) {
    value ^= *constant;
    *constant *= multiplier;
    value *= *constant;
    return value ^ (value >> 16);
}

static inline void vly_seed_sequence(uint64_t seed, uint32_t *words, int n) {
    const uint32_t entropy[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t pool[4], constant = 0x43b0d7e5u;
    for (int i = 0; i < 4; i++)
        pool[i] = vly_seed_hash(i < 2 ? entropy[i] : 0, &constant, 0x931e8875u);
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++) {
            if (from == to) continue;
            const uint32_t h = vly_seed_hash(pool[from], &constant, 0x931e8875u);
            const uint32_t mixed = 0xca01f9ddu * pool[to] - 0x4973f715u * h;
            pool[to] = mixed ^ (mixed >> 16);
        }
    constant = 0x8b51f9ddu;
    for (int i = 0; i < n; i++) words[i] = vly_seed_hash(pool[i & 3], &constant, 0x58f38dedu);
}

/* PCG64 (XSL-RR 128/64), NumPy's default generator, with its 32-bit half kept between calls. */
typedef struct {
    uint64_t state[2], increment[2]; /* low, high */
    uint32_t half, has_half;
} vly_pcg64;

static inline uint64_t vly_pcg64_next(vly_pcg64 *rng) {
    const unsigned __int128 multiplier =
        ((unsigned __int128)0x2360ed051fc65da4u << 64) | 0x4385df649fccf645u;
    unsigned __int128 s = ((unsigned __int128)rng->state[1] << 64) | rng->state[0];
    s = s * multiplier + (((unsigned __int128)rng->increment[1] << 64) | rng->increment[0]);
    rng->state[0] = (uint64_t)s, rng->state[1] = (uint64_t)(s >> 64);
    const uint64_t x = rng->state[0] ^ rng->state[1];
    const unsigned turn = (unsigned)(rng->state[1] >> 58);
    return (x >> turn) | (x << (-turn & 63));
}

static inline void vly_pcg64_seed(vly_pcg64 *rng, uint64_t seed) {
    uint32_t w[8];
    vly_seed_sequence(seed, w, 8);
    const unsigned __int128 start = ((unsigned __int128)w[1] << 96) | ((unsigned __int128)w[0] << 64) |
                                    ((uint64_t)w[3] << 32) | w[2];
    unsigned __int128 inc = ((unsigned __int128)w[5] << 96) | ((unsigned __int128)w[4] << 64) |
                            ((uint64_t)w[7] << 32) | w[6];
    inc = (inc << 1) | 1;
    const unsigned __int128 first = inc + start; /* after the first step from 0, plus the seed */
    rng->increment[0] = (uint64_t)inc, rng->increment[1] = (uint64_t)(inc >> 64);
    rng->state[0] = (uint64_t)first, rng->state[1] = (uint64_t)(first >> 64);
    rng->half = rng->has_half = 0;
    (void)vly_pcg64_next(rng);
}

static inline uint32_t vly_pcg64_next32(vly_pcg64 *rng) {
    if (rng->has_half) {
        rng->has_half = 0;
        return rng->half;
    }
    const uint64_t x = vly_pcg64_next(rng);
    rng->half = (uint32_t)(x >> 32), rng->has_half = 1;
    return (uint32_t)x;
}

static inline uint32_t vly_pcg64_below(vly_pcg64 *rng, uint32_t n) {
    if (n < 2) return 0; /* NumPy draws nothing for a range of one */
    VLY_LEMIRE(n, vly_pcg64_next32(rng));
}
#endif
