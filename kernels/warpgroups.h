/* warpgroups.h -- the arithmetic of stages.h by wgmma (device code, sm_90a): two warpgroups share a tile
 * of 128 x BN, 64 rows each. A step is 64 numbers along k, so that a line along k is 128 bytes.
 *
 * Operands lie as wgmma's descriptors want them; copies put their chunks there. A of bytes becomes bf16
 * in registers, as in vly_u8_stages. The multiplication of a stage goes on while the copies of a later
 * one are begun; the barrier that follows its end frees its place. Three stages: two blocks of the
 * widest tile fit into the shared memory of a multiprocessor.
 *
 * Sums are formed in the hardware's order: other last bits than vly_bf16_math, within the tolerance
 * that the trials have for bf16 (gpu/trial.c).
 */
#ifndef VLY_KERNELS_WARPGROUPS_H
#define VLY_KERNELS_WARPGROUPS_H
#include "kernels/tile.h"
#include "kernels/wgmma.h"

enum { VLY_WGMMA_DEPTH = 64, VLY_WGMMA_ROWS = 64 /* of one warpgroup */ };

/* An operand in atoms of 8 lines: rows along k; or lines of 64 rows across (32 where there are no
 * more) for each k, the first 64 rows' before the others'. */
template <int ROWS, bool ALONG_K>
struct vly_wgmma_tile : vly_tile<vly_bf16, ROWS, VLY_WGMMA_DEPTH, ALONG_K> {
    typedef vly_tile<vly_bf16, ROWS, VLY_WGMMA_DEPTH, ALONG_K> plain;
    enum {
        LINE = !ALONG_K && ROWS == 32 ? 32 : 64, /* numbers */
        SWIZZLE = LINE == 64 ? 1 : 2,
        SIZE = ROWS * VLY_WGMMA_DEPTH,
        STRIDE_BYTES = 8 * LINE * 2,
        LEADING_BYTES = ALONG_K ? 16 : VLY_WGMMA_DEPTH * LINE * 2,
        STEP_BYTES = ALONG_K ? 16 * 2 : 2 * STRIDE_BYTES,  /* 16 along k */
        GROUP_BYTES = VLY_WGMMA_ROWS * VLY_WGMMA_DEPTH * 2 /* 64 rows */
    };
    static __device__ __forceinline__ int place(int chunk) {
        const int line = plain::line(chunk), at = plain::start(chunk) / 8, pieces = LINE / 8,
                  turn = LINE == 64 ? line & 7 : line >> 1 & 3;
        return (at / pieces * VLY_WGMMA_DEPTH + line) * LINE + ((at % pieces) ^ turn) * 8;
    }
    /* 16 numbers along k from k on, of all rows, in the tile at this address */
    static __device__ __forceinline__ uint64_t matrix(unsigned at, int k) {
        return vly_matrix_of(at + (unsigned)(k / 16 * STEP_BYTES), LEADING_BYTES, STRIDE_BYTES,
                             SWIZZLE);
    }
};

struct vly_bf16_wgmma : vly_bf16_math {
    typedef vly_bf16 element_a;
    enum {
        DEPTH = VLY_WGMMA_DEPTH,
        STAGES = 3,
        ALIGNMENT = 1024,
        THREADS = VLY_HAS_WGMMA ? VLY_TILE_THREADS : 32 /* a launch elsewhere fails */
    };
    template <class E, int ROWS, bool ALONG_K> using tile = vly_wgmma_tile<ROWS, ALONG_K>;
    static __device__ __forceinline__ void publish() { vly_wgmma_publish(); }

    template <int BN> struct sums {
        float d[BN / 8][4];

        __device__ __forceinline__ void clear() {
#pragma unroll
            for (int j = 0; j < BN / 8; j++) d[j][0] = d[j][1] = d[j][2] = d[j][3] = 0.0f;
        }

        template <class TA, class TB, bool A_ALONG_K, bool B_ALONG_K>
        __device__ __forceinline__ void begin(const vly_bf16 *a, const vly_bf16 *b) {
            const unsigned at_a = vly_shared_address(a) + threadIdx.x / 128 * TA::GROUP_BYTES,
                           at_b = vly_shared_address(b);
            vly_wgmma_hold(d);
            vly_wgmma_fence();
#pragma unroll
            for (int k = 0; k < DEPTH; k += 16)
                vly_wgmma<BN, !A_ALONG_K, !B_ALONG_K>(d, TA::matrix(at_a, k), TB::matrix(at_b, k));
            vly_wgmma_commit();
        }

        template <class TA, class TB, bool, bool>
        __device__ __forceinline__ void end(const vly_bf16 *, const vly_bf16 *) {
            vly_wgmma_wait<0>();
            vly_wgmma_hold(d);
        }

        /* f(row, column, first, second): two neighbours in a row of the tile */
        template <class F> __device__ __forceinline__ void each(F f) const {
            const int l = (int)threadIdx.x & 31, m = (int)threadIdx.x / 32 * 16 + l / 4;
#pragma unroll
            for (int j = 0; j < BN / 8; j++) {
                f(m, 8 * j + l % 4 * 2, d[j][0], d[j][1]);
                f(m + 8, 8 * j + l % 4 * 2, d[j][2], d[j][3]);
            }
        }
    };
};

/* A of bytes along k, rows padded as in vly_tile. */
struct vly_u8_wgmma : vly_bf16_wgmma {
    typedef uint8_t element_a;
    template <class E, int ROWS, bool ALONG_K>
    using tile = std::conditional_t<sizeof(E) == 1, vly_tile<E, ROWS, DEPTH, ALONG_K>,
                                    vly_wgmma_tile<ROWS, ALONG_K>>;

    template <int BN> struct sums : vly_bf16_wgmma::sums<BN> {
        uint32_t fa[DEPTH / 16][4]; /* theirs until the end */

        template <class TA, class TB, bool A_ALONG_K, bool B_ALONG_K>
        __device__ __forceinline__ void begin(const uint8_t *a, const vly_bf16 *b) {
            const unsigned at_b = vly_shared_address(b);
#pragma unroll
            for (int k = 0; k < DEPTH / 16; k++)
                vly_fragment_a<TA, A_ALONG_K>(fa[k], a, (int)threadIdx.x / 32 * 16, 16 * k);
            vly_wgmma_hold(fa);
            vly_wgmma_hold(this->d);
            vly_wgmma_fence();
#pragma unroll
            for (int k = 0; k < DEPTH / 16; k++)
                vly_wgmma<BN, !B_ALONG_K>(this->d, fa[k], TB::matrix(at_b, 16 * k));
            vly_wgmma_commit();
        }

        template <class TA, class TB, bool, bool>
        __device__ __forceinline__ void end(const uint8_t *, const vly_bf16 *) {
            vly_wgmma_wait<0>();
            vly_wgmma_hold(fa);
            vly_wgmma_hold(this->d);
        }
    };
};
#endif
