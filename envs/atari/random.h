/* random.h -- how the Atari peers draw whole numbers and seeds, so that their games can be
 * replayed.
 *
 *   vly_mt19937 mt;
 *   vly_mt19937_seed(&mt, 7);
 *   uint32_t n = vly_uniform_int(&mt, 30);            // std::uniform_int_distribution(0, 29)
 *
 *   uint32_t words[2];
 *   // np.random.SeedSequence(123).generate_state(2)
 *   vly_seed_sequence(123, words, 2);
 *   vly_integers rng;
 *   vly_integers_seed(&rng, words[0]);                // np.random.default_rng(words[0])
 *   uint32_t k = vly_integers_below(&rng, 30);        // rng.integers(0, 30)
 *
 * All state is plain memory. Golden values: tests/atari/test_atari_random.c.
 */
#ifndef VLY_ENVS_ATARI_RANDOM_H
#define VLY_ENVS_ATARI_RANDOM_H
#include <stdint.h>
#include "envs/numpy_rng.h"

/* Uniform in [0, n) from a source of 32 random bits, exactly: Lemire (2019), "Fast random integer
 * generation in an interval". libstdc++ (from GCC 11 on) and NumPy both draw this way. */
#define VLY_LEMIRE(n, next32)                                            \
    do {                                                                 \
        uint64_t m_ = (uint64_t)(next32) * (n);                          \
        if ((uint32_t)m_ < (n)) {                                        \
            const uint32_t least_ = (0u - (n)) % (n);                    \
            while ((uint32_t)m_ < least_) m_ = (uint64_t)(next32) * (n); \
        }                                                                \
        return (uint32_t)(m_ >> 32);                                     \
    } while (0)

static inline uint32_t vly_uniform_int(vly_mt19937 *mt, uint32_t n) {
    VLY_LEMIRE(n, vly_mt19937_next(mt));
}

/* The first n words of NumPy's SeedSequence for one integer. */
static inline void vly_seed_sequence(uint64_t seed, uint32_t *words, int n) {
    uint32_t pool[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0, 0}, hash = 0x43b0d7e5u;
    for (int i = 0; i < 4; i++) pool[i] = vly_seedseq_hash(pool[i], &hash, 0x931e8875u);
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++) {
            if (from == to) continue;
            const uint32_t other = vly_seedseq_hash(pool[from], &hash, 0x931e8875u);
            const uint32_t mixed = 0xca01f9ddu * pool[to] - 0x4973f715u * other;
            pool[to] = mixed ^ (mixed >> 16);
        }
    hash = 0x8b51f9ddu;
    for (int i = 0; i < n; i++) words[i] = vly_seedseq_hash(pool[i & 3], &hash, 0x58f38dedu);
}

/* NumPy's Generator over PCG64 drawing small integers: each 64 bits serve two draws. */
typedef struct {
    vly_pcg64 pcg;
    uint32_t half, has_half;
} vly_integers;

static inline void vly_integers_seed(vly_integers *rng, uint64_t seed) {
    vly_pcg64_seed(&rng->pcg, seed);
    rng->half = rng->has_half = 0;
}

static inline uint32_t vly_integers_next32(vly_integers *rng) {
    if (rng->has_half) {
        rng->has_half = 0;
        return rng->half;
    }
    const uint64_t x = vly_pcg64_next(&rng->pcg);
    rng->half = (uint32_t)(x >> 32), rng->has_half = 1;
    return (uint32_t)x;
}

static inline uint32_t vly_integers_below(vly_integers *rng, uint32_t n) {
    if (n < 2) return 0; /* NumPy draws nothing for a range of one */
    VLY_LEMIRE(n, vly_integers_next32(rng));
}
#endif
