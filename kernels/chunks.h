/* chunks.h -- 8 neighbouring numbers of an operand: from memory to registers, in the element of the
 * arithmetic, or to shared memory as they are, by an asynchronous copy (device code). */
#ifndef VLY_KERNELS_CHUNKS_H
#define VLY_KERNELS_CHUNKS_H
#include "kernels/async.h"
#include "kernels/bf16.h"
#include "common/base/compute.h"

template <class E> struct alignas(16) vly_chunk8 { E v[8]; };

/* An array in memory. `vec` neighbouring numbers (8, 4 or 1) are aligned and read at once. */
typedef struct {
    const void *data;
    vly_dtype type;
    int vec;
} conv_source;

template <class Math>
static __device__ __forceinline__ void read1(const conv_source &s, int64_t at,
                                             typename Math::element *to) {
    if (s.type == VLY_F32)
        *to = Math::of(static_cast<const float *>(s.data)[at]);
    else if (s.type == VLY_BF16)
        *to = Math::of_bf16(static_cast<const vly_bf16 *>(s.data)[at]);
    else
        *to = Math::of((float)static_cast<const uint8_t *>(s.data)[at]);
}

template <class Math>
static __device__ __forceinline__ void unpack_u8(uint32_t word,
                                                 typename Math::element *to) { /* four bytes */
#pragma unroll
    for (int i = 0; i < 4; i++) to[i] = Math::of((float)(word >> (8 * i) & 255u));
}

template <class Math>
static __device__ __forceinline__ void
unpack_bf16(uint32_t word, typename Math::element *to) { /* two bf16 numbers */
    to[0] = Math::of_bf16((vly_bf16)(word & 0xffffu));
    to[1] = Math::of_bf16((vly_bf16)(word >> 16));
}

template <class Math>
static __device__ __forceinline__ void read4(const conv_source &s, int64_t at,
                                             typename Math::element *to) {
    if (s.type == VLY_F32) {
        const float4 v = *reinterpret_cast<const float4 *>(static_cast<const float *>(s.data) + at);
        to[0] = Math::of(v.x), to[1] = Math::of(v.y), to[2] = Math::of(v.z), to[3] = Math::of(v.w);
    } else if (s.type == VLY_BF16) {
        const uint2 v =
            *reinterpret_cast<const uint2 *>(static_cast<const vly_bf16 *>(s.data) + at);
        unpack_bf16<Math>(v.x, to), unpack_bf16<Math>(v.y, to + 2);
    } else {
        unpack_u8<Math>(
            *reinterpret_cast<const uint32_t *>(static_cast<const uint8_t *>(s.data) + at), to);
    }
}

template <class Math>
static __device__ __forceinline__ void read8(const conv_source &s, int64_t at,
                                             typename Math::element *to) {
    if (s.type == VLY_BF16) {
        const uint4 v =
            *reinterpret_cast<const uint4 *>(static_cast<const vly_bf16 *>(s.data) + at);
        unpack_bf16<Math>(v.x, to), unpack_bf16<Math>(v.y, to + 2), unpack_bf16<Math>(v.z, to + 4),
            unpack_bf16<Math>(v.w, to + 6);
    } else if (s.type == VLY_U8) {
        const uint2 v = *reinterpret_cast<const uint2 *>(static_cast<const uint8_t *>(s.data) + at);
        unpack_u8<Math>(v.x, to), unpack_u8<Math>(v.y, to + 4);
    } else {
        read4<Math>(s, at, to), read4<Math>(s, at + 4, to + 4);
    }
}

template <class C> static __device__ __forceinline__ void clear_chunk(C &c) {
#pragma unroll
    for (int i = 0; i < 8; i++) c.v[i] = 0;
}

/* where(i): the index of number i of the chunk (i is a multiple of vec), or -1 for zeros. */
template <class Math, class C, class F>
static __device__ __forceinline__ void read_chunk(const conv_source &s, C &c, F where) {
    clear_chunk(c);
    if (s.vec == 8) {
        const int64_t at = where(0);
        if (at >= 0) read8<Math>(s, at, c.v);
    } else if (s.vec == 4) {
#pragma unroll
        for (int i = 0; i < 8; i += 4) {
            const int64_t at = where(i);
            if (at >= 0) read4<Math>(s, at, c.v + i);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int64_t at = where(i);
            if (at >= 0) read1<Math>(s, at, c.v + i);
        }
    }
}

/* The same for a source of the element that the tile has, aligned to 8 numbers. */
template <class E, class F>
static __device__ __forceinline__ void copy_chunk(const conv_source &s, E *to, F where) {
    const int64_t at = where(0);
    vly_copy_async<8 * sizeof(E)>(to, static_cast<const E *>(s.data) + (at < 0 ? 0 : at), at >= 0);
}
#endif
