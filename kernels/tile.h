/* tile.h -- one block's 128 x BN tile of a matrix product, for any kind of operand (device
 * code).
 *
 * Operands come as chunks of 8 numbers: along k (a row's neighbours in k) or across (8 rows'
 * numbers at one k). The tile in shared memory keeps the direction in which it was loaded, and the
 * fragment loads turn it: ldmatrix transposes for bf16. The next tile travels through registers
 * while this one is multiplied.
 *
 * Rows of shared memory are padded so that the eight addresses of an ldmatrix phase, and the 32 of
 * a tf32 fragment, fall into different banks.
 */
#ifndef VLY_KERNELS_TILE_H
#define VLY_KERNELS_TILE_H
#include "kernels/chunks.h"
#include "kernels/mma.h"

enum { VLY_TILE_M = 128, VLY_TILE_THREADS = 256 };

/* An operand's tile in shared memory. */
template <class E, int ROWS, int DEPTH, bool ALONG_K> struct vly_tile {
    enum {
        PAD = ALONG_K ? 16 / sizeof(E) : 8,
        STRIDE = (ALONG_K ? DEPTH : ROWS) + PAD,
        SIZE = (ALONG_K ? ROWS : DEPTH) * STRIDE,
        CHUNKS = ROWS * DEPTH / 8,
        PER_LINE = (ALONG_K ? DEPTH : ROWS) / 8,
        SLOTS = (CHUNKS + VLY_TILE_THREADS - 1) / VLY_TILE_THREADS
    };
    static __device__ __forceinline__ int at(int row, int k) {
        return ALONG_K ? row * STRIDE + k : k * STRIDE + row;
    }
    static __device__ __forceinline__ int line(int chunk) {
        return chunk / PER_LINE;
    } /* a row, or a k */
    static __device__ __forceinline__ int start(int chunk) {
        return chunk % PER_LINE * 8;
    } /* of the 8 numbers along the line */
    /* The coordinates of a chunk in the tile, across and along k, and where it lies. */
    static __device__ __forceinline__ int across(int chunk) {
        return ALONG_K ? line(chunk) : start(chunk);
    }
    static __device__ __forceinline__ int along(int chunk) {
        return ALONG_K ? start(chunk) : line(chunk);
    }
    static __device__ __forceinline__ int place(int chunk) {
        return line(chunk) * STRIDE + start(chunk);
    }
    /* Whether slot s of this thread has a chunk. */
    static __device__ __forceinline__ bool has(int chunk) {
        return CHUNKS % VLY_TILE_THREADS == 0 || chunk < CHUNKS;
    }
};

template <class E>
static __device__ __forceinline__ void vly_store_chunk(E *to, const vly_chunk8<E> &c) {
    const uint4 *from = reinterpret_cast<const uint4 *>(&c);
    for (int i = 0; i < (int)(sizeof c / 16); i++) reinterpret_cast<uint4 *>(to)[i] = from[i];
}

/* ---- the three kinds of arithmetic ---- */

/* 8 warps share the tile, WARPS_N side by side. */
template <int BN> struct vly_warps {
    enum {
        N = BN == 128 ? 4 : 2,
        M = 8 / N,
        WM = VLY_TILE_M / M,
        WN = BN / N,
        MT = WM / 16,
        NT = WN / 8
    };
};

/* The 16 x 16 numbers of A at (m, k) as vly_mma_bf16 takes them. */
template <class TA, bool ALONG_K>
static __device__ __forceinline__ void vly_fragment_a(uint32_t f[4], const vly_bf16 *a, int m,
                                                      int k) {
    const int l = (int)threadIdx.x & 31;
    if (ALONG_K)
        vly_ldmatrix4(f, a + TA::at(m + (l & 7) + (l >> 3 & 1) * 8, k + (l >> 4) * 8), false);
    else
        vly_ldmatrix4(f, a + TA::at(m + (l >> 3 & 1) * 8, k + (l & 7) + (l >> 4) * 8), true);
}

/* Bytes become bf16 numbers here. */
template <class TA, bool ALONG_K>
static __device__ __forceinline__ void vly_fragment_a(uint32_t f[4], const uint8_t *a, int m,
                                                      int k) {
    static_assert(ALONG_K, "bytes are read in pairs along k");
    const int l = (int)threadIdx.x & 31, g = l / 4, t = l % 4;
#pragma unroll
    for (int r = 0; r < 4; r++)
        f[r] = vly_bf16_of_bytes(*reinterpret_cast<const uint16_t *>(
            a + TA::at(m + g + (r & 1) * 8, k + 2 * t + (r >> 1) * 8)));
}

struct vly_bf16_math {
    typedef vly_bf16 element;
    enum { DEPTH = 32, STAGES = 1, THREADS = VLY_TILE_THREADS };
    static __device__ __forceinline__ vly_bf16 of(float v) { return vly_to_bf16(v); }
    static __device__ __forceinline__ vly_bf16 of_bf16(vly_bf16 v) { return v; }

    template <int BN> struct sums {
        typedef vly_warps<BN> W;
        float d[W::MT][W::NT][4];

        __device__ __forceinline__ void clear() {
#pragma unroll
            for (int i = 0; i < W::MT; i++)
#pragma unroll
                for (int j = 0; j < W::NT; j++)
                    d[i][j][0] = d[i][j][1] = d[i][j][2] = d[i][j][3] = 0.0f;
        }

        template <class TA, class TB, bool A_ALONG_K, bool B_ALONG_K, class EA>
        __device__ __forceinline__ void multiply(const EA *a, const vly_bf16 *b) {
            const int l = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5,
                      m0 = warp / W::N * W::WM, n0 = warp % W::N * W::WN;
#pragma unroll
            for (int k = 0; k < DEPTH; k += 16) {
                uint32_t fa[W::MT][4], fb[W::NT][2];
#pragma unroll
                for (int i = 0; i < W::MT; i++)
                    vly_fragment_a<TA, A_ALONG_K>(fa[i], a, m0 + 16 * i, k);
#pragma unroll
                for (int j = 0; j < W::NT; j += 2) {
                    const int n = n0 + 8 * j;
                    uint32_t two[4];
                    if (B_ALONG_K)
                        vly_ldmatrix4(two,
                                      b + TB::at(n + (l & 7) + (l >> 4) * 8, k + (l >> 3 & 1) * 8),
                                      false);
                    else
                        vly_ldmatrix4(two,
                                      b + TB::at(n + (l >> 4) * 8, k + (l & 7) + (l >> 3 & 1) * 8),
                                      true);
                    fb[j][0] = two[0], fb[j][1] = two[1], fb[j + 1][0] = two[2],
                    fb[j + 1][1] = two[3];
                }
#pragma unroll
                for (int i = 0; i < W::MT; i++)
#pragma unroll
                    for (int j = 0; j < W::NT; j++) vly_mma_bf16(d[i][j], fa[i], fb[j]);
            }
        }

        /* f(row, column, first, second): two neighbours in a row of the tile */
        template <class F> __device__ __forceinline__ void each(F f) const {
            const int l = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5,
                      m0 = warp / W::N * W::WM, n0 = warp % W::N * W::WN;
#pragma unroll
            for (int i = 0; i < W::MT; i++)
#pragma unroll
                for (int j = 0; j < W::NT; j++) {
                    const int m = m0 + 16 * i + l / 4, n = n0 + 8 * j + l % 4 * 2;
                    f(m, n, d[i][j][0], d[i][j][1]);
                    f(m + 8, n, d[i][j][2], d[i][j][3]);
                }
        }
    };
};

struct vly_tf32_math {
    typedef float element;
    enum { DEPTH = 16, STAGES = 1, THREADS = VLY_TILE_THREADS };
    static __device__ __forceinline__ float of(float v) { return vly_to_tf32(v); }
    static __device__ __forceinline__ float of_bf16(vly_bf16 v) { return vly_from_bf16(v); }

    template <int BN> struct sums : vly_bf16_math::sums<BN> {
        typedef vly_warps<BN> W;
        template <class TA, class TB, bool, bool>
        __device__ __forceinline__ void multiply(const float *a, const float *b) {
            const int l = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5,
                      m0 = warp / W::N * W::WM, n0 = warp % W::N * W::WN;
            const int g = l / 4, t = l % 4;
#pragma unroll
            for (int k = 0; k < DEPTH; k += 8) {
                float fa[W::MT][4], fb[W::NT][2];
#pragma unroll
                for (int i = 0; i < W::MT; i++)
#pragma unroll
                    for (int r = 0; r < 4; r++)
                        fa[i][r] = a[TA::at(m0 + 16 * i + g + (r & 1) * 8, k + t + (r >> 1) * 4)];
#pragma unroll
                for (int j = 0; j < W::NT; j++)
#pragma unroll
                    for (int r = 0; r < 2; r++) fb[j][r] = b[TB::at(n0 + 8 * j + g, k + t + r * 4)];
#pragma unroll
                for (int i = 0; i < W::MT; i++)
#pragma unroll
                    for (int j = 0; j < W::NT; j++) vly_mma_tf32(this->d[i][j], fa[i], fb[j]);
            }
        }
    };
};

struct vly_fp32_math {
    typedef float element;
    enum { DEPTH = 16, STAGES = 1, THREADS = VLY_TILE_THREADS };
    static __device__ __forceinline__ float of(float v) { return v; }
    static __device__ __forceinline__ float of_bf16(vly_bf16 v) { return vly_from_bf16(v); }

    /* Threads 16 x 16; thread (y, x) has rows y + 16 i and columns 2 x + 32 j, 2 x + 32 j + 1. */
    template <int BN> struct sums {
        enum { MT = VLY_TILE_M / 16, NT = BN / 32 };
        float d[MT][NT][2];

        __device__ __forceinline__ void clear() {
#pragma unroll
            for (int i = 0; i < MT; i++)
#pragma unroll
                for (int j = 0; j < NT; j++) d[i][j][0] = d[i][j][1] = 0.0f;
        }

        template <class TA, class TB, bool, bool>
        __device__ __forceinline__ void multiply(const float *a, const float *b) {
            const int y = (int)threadIdx.x >> 4, x = (int)threadIdx.x & 15;
#pragma unroll 4
            for (int k = 0; k < DEPTH; k++) {
                float fa[MT], fb[NT][2];
#pragma unroll
                for (int i = 0; i < MT; i++) fa[i] = a[TA::at(y + 16 * i, k)];
#pragma unroll
                for (int j = 0; j < NT; j++)
                    fb[j][0] = b[TB::at(2 * x + 32 * j, k)],
                    fb[j][1] = b[TB::at(2 * x + 32 * j + 1, k)];
#pragma unroll
                for (int i = 0; i < MT; i++)
#pragma unroll
                    for (int j = 0; j < NT; j++)
                        d[i][j][0] = fmaf(fa[i], fb[j][0], d[i][j][0]),
                        d[i][j][1] = fmaf(fa[i], fb[j][1], d[i][j][1]);
            }
        }

        template <class F> __device__ __forceinline__ void each(F f) const {
            const int y = (int)threadIdx.x >> 4, x = (int)threadIdx.x & 15;
#pragma unroll
            for (int i = 0; i < MT; i++)
#pragma unroll
                for (int j = 0; j < NT; j++) f(y + 16 * i, 2 * x + 32 * j, d[i][j][0], d[i][j][1]);
        }
    };
};

/* ---- the product ---- */

/* P: the problem. P::A and P::B are operands: `ALONG_K`, source(), a `place` made by at(fixed) from
 * the coordinate that stays (a row when along k, else the first of 8), and where(place, moving, end
 * of k), which gives the index of each number of a chunk. Then sums.each gives the tile. seen(chunk
 * of B) is called for each that this thread loads; across k they all start at
 * vly_column_of<BN>(). */
template <int BN> static __device__ __forceinline__ int vly_column_of() {
    return (int)threadIdx.x % (BN / 8) * 8;
}
template <class Math, int BN, class P, class F>
static __device__ __forceinline__ void
vly_multiply(const P &p, int m_first, int n_first, int k_from, int k_to,
             typename Math::template sums<BN> &sums, F seen) {
    typedef typename Math::element E;
    typedef vly_tile<E, VLY_TILE_M, Math::DEPTH, P::A::ALONG_K> TA;
    typedef vly_tile<E, BN, Math::DEPTH, P::B::ALONG_K> TB;
    VLY_SHARED(E, as, [2][TA::SIZE]);
    VLY_SHARED(E, bs, [2][TB::SIZE]);
    vly_chunk8<E> ca[TA::SLOTS], cb[TB::SLOTS];
    typename P::A::place pa[TA::SLOTS];
    typename P::B::place pb[TB::SLOTS];
    const int thread = (int)threadIdx.x;

#pragma unroll
    for (int s = 0; s < TA::SLOTS; s++) {
        const int chunk = thread + s * VLY_TILE_THREADS;
        pa[s] = p.a.at(m_first + TA::across(chunk));
    }
#pragma unroll
    for (int s = 0; s < TB::SLOTS; s++) {
        const int chunk = thread + s * VLY_TILE_THREADS;
        pb[s] = p.b.at(n_first + TB::across(chunk));
    }
    const auto fetch = [&](int k) {
#pragma unroll
        for (int s = 0; s < TA::SLOTS; s++) {
            const int chunk = thread + s * VLY_TILE_THREADS;
            if (TA::has(chunk))
                read_chunk<Math>(p.a.source(), ca[s], p.a.where(pa[s], k + TA::along(chunk), k_to));
        }
#pragma unroll
        for (int s = 0; s < TB::SLOTS; s++) {
            const int chunk = thread + s * VLY_TILE_THREADS;
            if (TB::has(chunk)) {
                read_chunk<Math>(p.b.source(), cb[s], p.b.where(pb[s], k + TB::along(chunk), k_to));
                seen(cb[s]);
            }
        }
    };
    const auto keep = [&](int buffer) {
#pragma unroll
        for (int s = 0; s < TA::SLOTS; s++) {
            const int chunk = thread + s * VLY_TILE_THREADS;
            if (TA::has(chunk)) vly_store_chunk(as[buffer] + TA::place(chunk), ca[s]);
        }
#pragma unroll
        for (int s = 0; s < TB::SLOTS; s++) {
            const int chunk = thread + s * VLY_TILE_THREADS;
            if (TB::has(chunk)) vly_store_chunk(bs[buffer] + TB::place(chunk), cb[s]);
        }
    };

    sums.clear();
    if (k_from >= k_to) return; /* the same for the whole block */
    fetch(k_from);
    keep(0);
    __syncthreads();
    int buffer = 0;
    for (int k = k_from; k < k_to; k += Math::DEPTH) {
        const bool more = k + Math::DEPTH < k_to;
        if (more) fetch(k + Math::DEPTH);
        sums.template multiply<TA, TB, P::A::ALONG_K, P::B::ALONG_K>(as[buffer], bs[buffer]);
        if (more) keep(buffer ^ 1);
        __syncthreads();
        buffer ^= 1;
    }
}
#endif
