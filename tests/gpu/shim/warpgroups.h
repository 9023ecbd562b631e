/* warpgroups.h -- kernels of test_shim.cpp with wgmma: right, or wrong in one way. */
#ifndef VLY_TESTS_GPU_SHIM_WARPGROUPS_H
#define VLY_TESTS_GPU_SHIM_WARPGROUPS_H
#include "kernels/warpgroups.h"

enum { WGMMA_M = 64, WGMMA_N = 32, WGMMA_K = 16, WGMMA_THREADS = 128 };

enum wgmma_fault {
    WGMMA_RIGHT,
    NO_REGISTER_FENCE,
    NOT_COMMITTED,
    NOT_WAITED_FOR,
    READ_TOO_EARLY,
    NOT_PUBLISHED,
    PUBLISHED_TOO_LATE,
    WRITTEN_TOO_EARLY,
    AT_AN_ODD_PLACE,
    BEYOND_THE_ARRAY,
    NOT_ALIKE,
    HALF_A_GROUP
};

/* Where number (row, k) of an operand lies whose lines are 16, 32 or 64 numbers long (1, 2, 3 permuted
 * bits). */
static inline unsigned wgmma_place(unsigned bits, bool across, unsigned row, unsigned k) {
    const unsigned line = 16u << bits, wide = line / 2;
    const unsigned plain = across ? row / wide * 16 * line + k * line + row % wide * 2
                                  : row * line + k * 2;
    return plain ^ (plain >> 7 & ((1u << bits) - 1u)) << 4;
}

static inline uint64_t wgmma_matrix(unsigned at, unsigned bits, bool across) {
    const unsigned line = 16u << bits;
    return vly_matrix_of(at, across ? 16 * line : 16, 8 * line, 4 - bits);
}

/* d (64 x 32) = a (64, 16) b (32, 16) transposed */
template <int ACROSS_A, int ACROSS_B, int FAULT, bool FROM_REGISTERS = false>
static __global__ void multiplies_wgmma(float *d, const vly_bf16 *a, const vly_bf16 *b,
                                        unsigned bits) {
    VLY_SHARED(unsigned char, raw, [8192 + 4096 + 1008]);
    unsigned char *const tile = raw + (-vly_shared_address(raw) & 1023u);
    const unsigned t = threadIdx.x, l = t % 32, at = vly_shared_address(tile);
    for (unsigned e = t; e < WGMMA_M * WGMMA_K; e += WGMMA_THREADS)
        *(vly_bf16 *)(tile + wgmma_place(bits, ACROSS_A, e / WGMMA_K, e % WGMMA_K)) = a[e];
    for (unsigned e = t; e < WGMMA_N * WGMMA_K; e += WGMMA_THREADS)
        *(vly_bf16 *)(tile + 8192 + wgmma_place(bits, ACROSS_B, e / WGMMA_K, e % WGMMA_K)) = b[e];
    if (FAULT != NOT_PUBLISHED && FAULT != PUBLISHED_TOO_LATE) vly_wgmma_publish();
    __syncthreads();
    if (FAULT == PUBLISHED_TOO_LATE) vly_wgmma_publish();
    float sum[WGMMA_N / 8][4] = {};
    const unsigned from = at +
                          (FAULT == AT_AN_ODD_PLACE    ? 128
                           : FAULT == BEYOND_THE_ARRAY ? 8192
                                                       : 0) +
                          (FAULT == NOT_ALIKE && t >= 96 ? 4096 : 0);
    if (FAULT != HALF_A_GROUP || t < 64) {
        if (FAULT != NO_REGISTER_FENCE) vly_wgmma_fence();
        const uint64_t mb = wgmma_matrix(at + 8192, bits, ACROSS_B);
        if constexpr (FROM_REGISTERS) {
            uint32_t f[4];
            for (unsigned r = 0; r < 4; r++)
                memcpy(&f[r],
                       a + (t / 32 * 16 + l / 4 + r % 2 * 8) * WGMMA_K + l % 4 * 2 + r / 2 * 8, 4);
            vly_wgmma<WGMMA_N, ACROSS_B>(sum, f, mb);
        } else {
            vly_wgmma<WGMMA_N, ACROSS_A, ACROSS_B>(sum, wgmma_matrix(from, bits, ACROSS_A), mb);
        }
        if (FAULT != NOT_COMMITTED) vly_wgmma_commit();
        if (FAULT == WRITTEN_TOO_EARLY) tile[t] = 0;
        if (FAULT == READ_TOO_EARLY) d[t] = sum[0][0];
        if (FAULT != NOT_WAITED_FOR) vly_wgmma_wait<0>();
    }
    if (FAULT == READ_TOO_EARLY) return;
    for (unsigned j = 0; j < WGMMA_N / 8; j++)
        for (unsigned e = 0; e < 4; e++)
            d[(t / 32 * 16 + l / 4 + e / 2 * 8) * WGMMA_N + 8 * j + l % 4 * 2 + e % 2] = sum[j][e];
}
#endif
