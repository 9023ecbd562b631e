/* stages.h -- the product of tile.h with operands that travel to shared memory by themselves, several
 * steps ahead of the multiplication (device code).
 *
 * A step's tiles are a stage; STAGES of them are a ring. While one is multiplied, the copies of the
 * STAGES - 1 that follow are under way, and no register holds a number that is not yet needed. The
 * operands are copied as they lie in memory: bf16 numbers in chunks of 16 bytes, images of bytes in
 * chunks of 8, which become bf16 when the fragments are read. Sums are formed in the order of
 * vly_bf16_math: the same bits. warpgroups.h has the arithmetic by wgmma, for which this is not so.
 */
#ifndef VLY_KERNELS_STAGES_H
#define VLY_KERNELS_STAGES_H
#include "kernels/tile.h"
#include "kernels/warpgroups.h"

/* An arithmetic with stages has, beside what tile.h asks for: element_a, the element of A as it is
 * copied; `tile`, how an operand lies in shared memory; ALIGNMENT of the stages; publish(), called by
 * each thread between the arrival of its copies and the barrier; and sums whose begin() is called
 * before the next copies are begun and whose end() after, for multiplications that take their time. */
struct vly_bf16_stages : vly_bf16_math {
    typedef vly_bf16 element_a;
    enum { STAGES = 4, ALIGNMENT = 16 };
    template <class E, int ROWS, bool ALONG_K> using tile = vly_tile<E, ROWS, DEPTH, ALONG_K>;
    static __device__ __forceinline__ void publish() {}

    template <int BN> struct sums : vly_bf16_math::sums<BN> {
        template <class TA, class TB, bool, bool, class EA>
        __device__ __forceinline__ void begin(const EA *, const vly_bf16 *) {}
        template <class TA, class TB, bool A_ALONG_K, bool B_ALONG_K, class EA>
        __device__ __forceinline__ void end(const EA *a, const vly_bf16 *b) {
            this->template multiply<TA, TB, A_ALONG_K, B_ALONG_K>(a, b);
        }
    };
};
struct vly_u8_stages : vly_bf16_stages {
    typedef uint8_t element_a;
};

/* One stage in dynamic shared memory. */
template <class Math, int BN, class P> struct vly_stage {
    typedef typename Math::element_a EA;
    typedef typename Math::element EB;
    typedef typename Math::template tile<EA, VLY_TILE_M, P::A::ALONG_K> TA;
    typedef typename Math::template tile<EB, BN, P::B::ALONG_K> TB;
    enum { A_BYTES = TA::SIZE * sizeof(EA), BYTES = A_BYTES + TB::SIZE * sizeof(EB) };
    static_assert(A_BYTES % Math::ALIGNMENT == 0 && BYTES % Math::ALIGNMENT == 0,
                  "all tiles are aligned");
    /* Dynamic shared memory is aligned to 16 bytes. */
    enum { ALL = Math::STAGES * BYTES + Math::ALIGNMENT - 16 };
    static __device__ __forceinline__ unsigned char *first(unsigned char *memory) {
        if constexpr (Math::ALIGNMENT > 16)
            memory += -vly_shared_address(memory) & (Math::ALIGNMENT - 1u);
        return memory;
    }
};

template <class Math, int BN, class P, class F>
static __device__ __forceinline__ void
vly_multiply_stages(const P &p, int m_first, int n_first, int k_from, int k_to,
                    typename Math::template sums<BN> &sums, F seen) {
    typedef vly_stage<Math, BN, P> S;
    typedef typename S::EA EA;
    typedef typename S::EB EB;
    typedef typename S::TA TA;
    typedef typename S::TB TB;
    VLY_DYNAMIC_SHARED(unsigned char, unaligned);
    unsigned char *const memory = S::first(unaligned);
    typename P::A::place pa[TA::SLOTS];
    typename P::B::place pb[TB::SLOTS];
    const int thread = (int)threadIdx.x;

#pragma unroll
    for (int s = 0; s < TA::SLOTS; s++)
        pa[s] = p.a.at(m_first + TA::across(thread + s * VLY_TILE_THREADS));
#pragma unroll
    for (int s = 0; s < TB::SLOTS; s++)
        pb[s] = p.b.at(n_first + TB::across(thread + s * VLY_TILE_THREADS));
    const auto a_of = [&](int stage) { return reinterpret_cast<EA *>(memory + stage * S::BYTES); };
    const auto b_of = [&](int stage) {
        return reinterpret_cast<EB *>(memory + stage * S::BYTES + S::A_BYTES);
    };
    const auto copy = [&](int stage, int k) {
#pragma unroll
        for (int s = 0; s < TA::SLOTS; s++) {
            const int chunk = thread + s * VLY_TILE_THREADS;
            if (TA::has(chunk))
                copy_chunk(p.a.source(), a_of(stage) + TA::place(chunk),
                           p.a.where(pa[s], k + TA::along(chunk), k_to));
        }
#pragma unroll
        for (int s = 0; s < TB::SLOTS; s++) {
            const int chunk = thread + s * VLY_TILE_THREADS;
            if (TB::has(chunk))
                copy_chunk(p.b.source(), b_of(stage) + TB::place(chunk),
                           p.b.where(pb[s], k + TB::along(chunk), k_to));
        }
    };
    const auto show = [&](int stage) { /* this thread's own chunks, once they have arrived */
#pragma unroll
                                       for (int s = 0; s < TB::SLOTS; s++) {
                                           const int chunk = thread + s * VLY_TILE_THREADS;
                                           if (TB::has(chunk))
                                               seen(*reinterpret_cast<const vly_chunk8<EB> *>(
                                                   b_of(stage) + TB::place(chunk)));
                                       }
    };

    sums.clear();
    int coming = k_from; /* of the next copy */
    for (int s = 0; s < Math::STAGES - 1; s++, coming += Math::DEPTH) {
        if (coming < k_to) copy(s, coming);
        vly_copies_commit();
    }
    int stage = 0, free_stage = Math::STAGES - 1;
    for (int k = k_from; k < k_to; k += Math::DEPTH, coming += Math::DEPTH) {
        vly_copies_wait<Math::STAGES - 2>();
        show(stage);
        Math::publish();
        __syncthreads(); /* all have arrived, and nobody reads free_stage any more */
        sums.template begin<TA, TB, P::A::ALONG_K, P::B::ALONG_K>(a_of(stage), b_of(stage));
        if (coming < k_to) copy(free_stage, coming);
        vly_copies_commit();
        sums.template end<TA, TB, P::A::ALONG_K, P::B::ALONG_K>(a_of(stage), b_of(stage));
        free_stage = stage;
        stage = stage + 1 == Math::STAGES ? 0 : stage + 1;
    }
}

/* ---- either way ---- */

struct vly_unseen {
    template <class C> __device__ __forceinline__ void operator()(const C &) const {}
};

template <class Math, int BN, class P, class F>
static __device__ __forceinline__ void vly_product(const P &p, int m_first, int n_first, int k_from,
                                                   int k_to, typename Math::template sums<BN> &sums,
                                                   F seen) {
    if constexpr ((int)Math::THREADS < (int)VLY_TILE_THREADS)
        sums.clear(); /* not launched on this architecture */
    else if constexpr (Math::STAGES > 1)
        vly_multiply_stages<Math, BN>(p, m_first, n_first, k_from, k_to, sums, seen);
    else
        vly_multiply<Math, BN>(p, m_first, n_first, k_from, k_to, sums, seen);
}
template <class Math, int BN, class P>
static __device__ __forceinline__ void vly_product(const P &p, int m_first, int n_first, int k_from,
                                                   int k_to,
                                                   typename Math::template sums<BN> &sums) {
    vly_product<Math, BN>(p, m_first, n_first, k_from, k_to, sums, vly_unseen());
}

/* Dynamic shared memory of a kernel with this product, asked for. */
template <class Math, int BN, class P, class Kernel>
static inline vly_status vly_product_shared(Kernel kernel, size_t *bytes) {
    *bytes = 0;
    if constexpr (Math::STAGES > 1) {
        *bytes = vly_stage<Math, BN, P>::ALL;
        VLY_CUDA_TRY(
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)*bytes));
    }
    return VLY_OK;
}
#endif
