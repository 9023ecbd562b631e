/* numpy_rng.h -- NumPy's two generators, number for number.
 *
 *   vly_pcg64 rng;
 *   vly_pcg64_seed(&rng, 7);                       // np.random.Generator(PCG64(SeedSequence(7)))
 *   double u = vly_pcg64_uniform(&rng, -0.05, 0.1); //   .uniform(-0.05, 0.05)
 *
 *   vly_mt19937 old;
 *   vly_mt19937_seed(&old, 7);                     // np.random.RandomState(7)
 *   double v = vly_mt19937_double(&old);           //   .rand()
 *
 * Gymnasium's environments draw from the first, MinAtar's from the second, so an episode can only
 * be compared with theirs by drawing the same numbers. Plain memory, no pointers inside.
 * References: O'Neill, "PCG" (HMC-CS-2014-0905; XSL-RR 128/64 output); Matsumoto & Nishimura,
 * "Mersenne Twister" (ACM TOMACS 1998); NumPy NEP 19 for SeedSequence.
 */
#ifndef VLY_ENVS_NUMPY_RNG_H
#define VLY_ENVS_NUMPY_RNG_H
#include <stdint.h>

typedef struct {
    uint64_t state_hi, state_lo, inc_hi, inc_lo;
} vly_pcg64;

__extension__ typedef unsigned __int128 vly_u128;

static inline void vly_pcg64_advance(vly_pcg64 *rng) {
    const vly_u128 mult = ((vly_u128)0x2360ED051FC65DA4u << 64) | 0x4385DF649FCCF645u;
    const vly_u128 inc = ((vly_u128)rng->inc_hi << 64) | rng->inc_lo;
    vly_u128 s = ((vly_u128)rng->state_hi << 64) | rng->state_lo;
    s = s * mult + inc;
    rng->state_hi = (uint64_t)(s >> 64), rng->state_lo = (uint64_t)s;
}

static inline uint64_t vly_pcg64_next(vly_pcg64 *rng) {
    vly_pcg64_advance(rng);
    const uint64_t x = rng->state_hi ^ rng->state_lo;
    const unsigned turn = (unsigned)(rng->state_hi >> 58);
    return (x >> turn) | (x << (-turn & 63));
}

/* Uniform in [0, 1): 53 bits. */
static inline double vly_pcg64_double(vly_pcg64 *rng) {
    return (double)(vly_pcg64_next(rng) >> 11) * (1.0 / 9007199254740992.0);
}

static inline double vly_pcg64_uniform(vly_pcg64 *rng, double low, double width) {
    return low + width * vly_pcg64_double(rng);
}

static inline uint32_t vly_seedseq_hash(uint32_t value, uint32_t *hash, uint32_t mult) {
    value ^= *hash;
    *hash *= mult;
    value *= *hash;
    return value ^ (value >> 16);
}

/* SeedSequence(seed).generate_state(4, uint64), then PCG64's own initialisation. */
static inline void vly_pcg64_seed(vly_pcg64 *rng, uint64_t seed) {
    uint32_t pool[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0, 0}, hash = 0x43b0d7e5u;
    for (int i = 0; i < 4; i++) pool[i] = vly_seedseq_hash(pool[i], &hash, 0x931e8875u);
    for (int from = 0; from < 4; from++) {
        for (int to = 0; to < 4; to++) {
            if (from == to) continue;
            const uint32_t other = vly_seedseq_hash(pool[from], &hash, 0x931e8875u);
            const uint32_t mixed = 0xca01f9ddu * pool[to] - 0x4973f715u * other;
            pool[to] = mixed ^ (mixed >> 16);
        }
    }
    uint64_t word[4];
    hash = 0x8b51f9ddu;
    for (int i = 0; i < 4; i++) {
        const uint64_t low = vly_seedseq_hash(pool[2 * i & 3], &hash, 0x58f38dedu);
        const uint64_t high = vly_seedseq_hash(pool[(2 * i + 1) & 3], &hash, 0x58f38dedu);
        word[i] = low | high << 32;
    }
    rng->inc_hi = word[2] << 1 | word[3] >> 63, rng->inc_lo = word[3] << 1 | 1;
    rng->state_hi = rng->state_lo = 0;
    vly_pcg64_advance(rng);
    const vly_u128 start = ((vly_u128)word[0] << 64) | word[1];
    const vly_u128 sum = start + (((vly_u128)rng->state_hi << 64) | rng->state_lo);
    rng->state_hi = (uint64_t)(sum >> 64), rng->state_lo = (uint64_t)sum;
    vly_pcg64_advance(rng);
}

enum { VLY_MT_WORDS = 624, VLY_MT_SHIFT = 397 };
typedef struct {
    uint32_t key[VLY_MT_WORDS];
    int32_t at;
} vly_mt19937;

static inline void vly_mt19937_seed32(vly_mt19937 *rng, uint32_t seed) {
    for (uint32_t i = 0; i < VLY_MT_WORDS; i++) {
        rng->key[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
    }
    rng->at = VLY_MT_WORDS;
}

/* RandomState(seed); NumPy takes no integer above 2^32 - 1, there this is RandomState([lo, hi]). */
static inline void vly_mt19937_seed(vly_mt19937 *rng, uint64_t seed) {
    if (seed <= UINT32_MAX) {
        vly_mt19937_seed32(rng, (uint32_t)seed);
        return;
    }
    const uint32_t word[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t *key = rng->key, i = 1;
    vly_mt19937_seed32(rng, 19650218u);
    for (uint32_t k = 0; k < VLY_MT_WORDS; k++) {
        key[i] = (key[i] ^ ((key[i - 1] ^ (key[i - 1] >> 30)) * 1664525u)) + word[k & 1] + (k & 1);
        if (++i == VLY_MT_WORDS) key[0] = key[VLY_MT_WORDS - 1], i = 1;
    }
    for (uint32_t k = 1; k < VLY_MT_WORDS; k++) {
        key[i] = (key[i] ^ ((key[i - 1] ^ (key[i - 1] >> 30)) * 1566083941u)) - i;
        if (++i == VLY_MT_WORDS) key[0] = key[VLY_MT_WORDS - 1], i = 1;
    }
    key[0] = 0x80000000u;
}

static inline uint32_t vly_mt19937_twist(uint32_t high, uint32_t low) {
    const uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return (y >> 1) ^ (-(low & 1) & 0x9908b0dfu);
}

static inline void vly_mt19937_refill(vly_mt19937 *rng) {
    uint32_t *key = rng->key;
    const int tail = VLY_MT_WORDS - VLY_MT_SHIFT;
    for (int i = 0; i < tail; i++)
        key[i] = key[i + VLY_MT_SHIFT] ^ vly_mt19937_twist(key[i], key[i + 1]);
    for (int i = tail; i < VLY_MT_WORDS - 1; i++)
        key[i] = key[i - tail] ^ vly_mt19937_twist(key[i], key[i + 1]);
    key[VLY_MT_WORDS - 1] = key[VLY_MT_SHIFT - 1] ^
                            vly_mt19937_twist(key[VLY_MT_WORDS - 1], key[0]);
    rng->at = 0;
}

static inline uint32_t vly_mt19937_next(vly_mt19937 *rng) {
    if (__builtin_expect(rng->at == VLY_MT_WORDS, 0)) vly_mt19937_refill(rng);
    uint32_t y = rng->key[rng->at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ (y >> 18);
}

/* Uniform in [0, 1): 53 bits of two words. */
static inline double vly_mt19937_double(vly_mt19937 *rng) {
    const uint32_t high = vly_mt19937_next(rng) >> 5, low = vly_mt19937_next(rng) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

/* RandomState.randint(n), n > 0: masked rejection; n == 1 draws nothing. */
static inline uint32_t vly_mt19937_below(vly_mt19937 *rng, uint32_t n) {
    if (n == 1) return 0;
    const uint32_t mask = UINT32_MAX >> __builtin_clz(n - 1);
    uint32_t value;
    do value = vly_mt19937_next(rng) & mask;
    while (value >= n);
    return value;
}
#endif
