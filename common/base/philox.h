/* philox.h -- stateless random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 *   vly_u32x4 r = vly_philox(seed, VLY_STREAM_ACT, step, env);
 *   float u = vly_unit(r.v[0]);                       // uniform in (0, 1)
 *
 * The same (seed, stream, step, lane) gives the same numbers on every thread and device,
 * which is what makes a run independent of the number of workers. Nothing is stored.
 */
#ifndef VLY_COMMON_BASE_PHILOX_H
#define VLY_COMMON_BASE_PHILOX_H
#include <stdint.h>
#include "common/base/hd.h"

typedef struct {
    uint32_t v[4];
} vly_u32x4;

/* One stream for each use: two uses of one (seed, step, lane) must never share a stream. */
enum {
    VLY_STREAM_INIT = 1,    /* network initialisation */
    VLY_STREAM_ACT = 2,     /* actions */
    VLY_STREAM_SHUFFLE = 3, /* minibatch order */
    VLY_STREAM_REPLAY = 4,  /* replay sampling */
    VLY_STREAM_ENV = 5,     /* environment seeds */
    VLY_STREAM_TEST = 6,
    VLY_STREAM_BOOTSTRAP = 7, /* resamples of scores */
    VLY_STREAM_LEARN = 8      /* actions drawn while learning */
};

VLY_HD vly_u32x4 vly_philox(uint64_t seed, uint32_t stream, uint64_t step, uint32_t lane) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)step, c1 = (uint32_t)(step >> 32), c2 = lane, c3 = stream;
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    vly_u32x4 out = {{c0, c1, c2, c3}};
    return out;
}

/* 23 random bits as a float strictly inside (0, 1): safe under log. */
VLY_HD float vly_unit(uint32_t bits) {
    return ((float)(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
}

/* Uniform in [0, n), n > 0, by multiplication; the bias is below n / 2^32. */
VLY_HD uint32_t vly_below(uint32_t bits, uint32_t n) {
    return (uint32_t)(((uint64_t)bits * n) >> 32);
}
#endif
