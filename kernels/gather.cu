/* gather.cu -- frame stacks from stored single frames, unpacked to the network's type. Traffic at
 * 84 x 84 x 4: 28 kB in and 28 kB (u8), 56 kB (bf16) or 113 kB (f32) out per row; bound by memory.
 *
 * The frames of a stack interleave per pixel (NHWC). Four frames of one channel, the Atari case,
 * take the quick path: a thread loads 4 pixels of each frame as one word, transposes 4 x 4 bytes
 * and writes 16 neighbours. */
#include "kernels/ops.h"
#include "common/base/rules.h"
#include "kernels/bf16.h"

static const int BLOCK = 256;

typedef struct {
    vly_frames frames;
    const int32_t *row;
    int64_t first;
    int pixels, channels, blocks_per_row;
} gather_args;

static __device__ __forceinline__ int64_t stored_row(const gather_args &g, int i) {
    return g.row ? g.row[i] : g.first + i;
}

/* Byte `at` of each word: one pixel of the four frames. */
static __device__ __forceinline__ uint32_t pixel_of_frame(const uint32_t *frame, int at) {
    uint32_t word = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) word |= (frame[k] >> (8 * at) & 0xffu) << (8 * k);
    return word;
}

/* Four pixels of four frames, 16 bytes a store. */
static __device__ __forceinline__ void store_pixels(uint8_t *x, const uint32_t w[4], float) {
    *reinterpret_cast<uint4 *>(x) = make_uint4(w[0], w[1], w[2], w[3]);
}
static __device__ __forceinline__ float frame_value(uint32_t word, int k, float scale) {
    return scale * (float)(word >> (8 * k) & 255u);
}
static __device__ __forceinline__ void store_pixels(float *x, const uint32_t w[4], float s) {
#pragma unroll
    for (int p = 0; p < 4; p++)
        reinterpret_cast<float4 *>(x)[p] =
            make_float4(frame_value(w[p], 0, s), frame_value(w[p], 1, s), frame_value(w[p], 2, s),
                        frame_value(w[p], 3, s));
}
static __device__ __forceinline__ uint2 pixel_bf16(uint32_t w, float s) {
    return make_uint2(vly_pack_bf16(frame_value(w, 0, s), frame_value(w, 1, s)),
                      vly_pack_bf16(frame_value(w, 2, s), frame_value(w, 3, s)));
}
static __device__ __forceinline__ void store_pixels(vly_bf16 *x, const uint32_t w[4], float s) {
#pragma unroll
    for (int p = 0; p < 4; p += 2) {
        const uint2 a = pixel_bf16(w[p], s), b = pixel_bf16(w[p + 1], s);
        reinterpret_cast<uint4 *>(x)[p / 2] = make_uint4(a.x, a.y, b.x, b.y);
    }
}

template <class T>
static __global__ void __launch_bounds__(256) gather_stack4(gather_args g, T *__restrict__ x) {
    const int i = (int)(blockIdx.x / (unsigned)g.blocks_per_row);
    const int quad = (int)(blockIdx.x % (unsigned)g.blocks_per_row) * BLOCK + (int)threadIdx.x;
    if (quad * 4 >= g.pixels) return;
    const int64_t row = stored_row(g, i);
    uint32_t frame[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const int64_t at = vly_rule_frame(&g.frames, row, k);
        frame[k] = at < 0 ? 0u
                          : *reinterpret_cast<const uint32_t *>(g.frames.frames + at + 4 * quad);
    }
    uint32_t pixel[4];
#pragma unroll
    for (int p = 0; p < 4; p++) pixel[p] = pixel_of_frame(frame, p);
    store_pixels(x + ((int64_t)i * g.pixels + 4 * quad) * 4, pixel, g.frames.obs.scale);
}

template <class S, class T>
static __global__ void __launch_bounds__(256) gather_any(gather_args g, T *__restrict__ x) {
    const int i = (int)(blockIdx.x / (unsigned)g.blocks_per_row);
    const int e = (int)(blockIdx.x % (unsigned)g.blocks_per_row) * BLOCK + (int)threadIdx.x;
    const int depth = g.channels * g.frames.obs.stack, size = g.pixels * depth;
    if (e >= size) return;
    const int p = e / depth, k = e % depth / g.channels, c = e % g.channels;
    const int64_t at = vly_rule_frame(&g.frames, stored_row(g, i), k);
    const float v = at < 0 ? 0.0f
                           : vly_load_real(reinterpret_cast<const S *>(g.frames.frames + at) +
                                           p * g.channels + c);
    vly_store_real(x + (int64_t)i * size + e, g.frames.obs.scale * v);
}

static __global__ void __launch_bounds__(256) gather_bytes(gather_args g, uint8_t *__restrict__ x) {
    const int i = (int)(blockIdx.x / (unsigned)g.blocks_per_row);
    const int e = (int)(blockIdx.x % (unsigned)g.blocks_per_row) * BLOCK + (int)threadIdx.x;
    const int depth = g.channels * g.frames.obs.stack, size = g.pixels * depth;
    if (e >= size) return;
    const int p = e / depth, k = e % depth / g.channels, c = e % g.channels;
    const int64_t at = vly_rule_frame(&g.frames, stored_row(g, i), k);
    x[(int64_t)i * size + e] = at < 0 ? (uint8_t)0 : g.frames.frames[at + p * g.channels + c];
}

template <class T> static vly_status gather_words(gather_args g, int n, T *x, cudaStream_t stream) {
    g.blocks_per_row = (int)vly_ceil_div(vly_ceil_div(g.pixels, 4), BLOCK);
    VLY_LAUNCH(gather_stack4<T>, (unsigned)(n * (int64_t)g.blocks_per_row), BLOCK, 0, stream, g, x);
    return VLY_OK;
}

template <class S, class T>
static vly_status gather_elements(gather_args g, int n, T *x, cudaStream_t stream) {
    VLY_LAUNCH((gather_any<S, T>), (unsigned)(n * (int64_t)g.blocks_per_row), BLOCK, 0, stream, g,
               x);
    return VLY_OK;
}

vly_status vly_gather_launch(const vly_frames *f, int n, const int32_t *row, int64_t first,
                             vly_dtype type, void *x, cudaStream_t stream) {
    VLY_NEED(f && f->frames && f->rows > 0 && n >= 0 && x && f->obs.stack > 0);
    VLY_NEED(f->age || f->obs.stack == 1);
    VLY_NEED(f->obs.dtype == VLY_U8 || f->obs.dtype == VLY_F32);
    VLY_NEED(type == VLY_U8 || type == VLY_F32 || type == VLY_BF16);
    VLY_NEED(type != VLY_U8 || f->obs.dtype == VLY_U8);
    if (n == 0) return VLY_OK;
    gather_args g = {*f, row, first, 1, 1, 0};
    if (f->obs.ndim == 3)
        g.pixels = f->obs.shape[0] * f->obs.shape[1], g.channels = f->obs.shape[2];
    else
        g.channels = f->obs.shape[0];
    g.blocks_per_row = (int)vly_ceil_div((int64_t)g.pixels * g.channels * f->obs.stack, BLOCK);
    VLY_NEED((int64_t)n * g.blocks_per_row <= INT32_MAX);
    const bool words = f->obs.dtype == VLY_U8 && f->obs.stack == 4 && g.channels == 1 &&
                       g.pixels % 4 == 0 && f->obs.bytes % 4 == 0 &&
                       (uintptr_t)f->frames % 4 == 0 && (uintptr_t)x % 16 == 0;
    if (words && type == VLY_U8) return gather_words(g, n, (uint8_t *)x, stream);
    if (words && type == VLY_BF16) return gather_words(g, n, (vly_bf16 *)x, stream);
    if (words) return gather_words(g, n, (float *)x, stream);
    if (type == VLY_U8) {
        VLY_LAUNCH(gather_bytes, (unsigned)(n * (int64_t)g.blocks_per_row), BLOCK, 0, stream, g,
                   (uint8_t *)x);
        return VLY_OK;
    }
    if (f->obs.dtype == VLY_U8)
        return type == VLY_BF16 ? gather_elements<uint8_t>(g, n, (vly_bf16 *)x, stream)
                                : gather_elements<uint8_t>(g, n, (float *)x, stream);
    return type == VLY_BF16 ? gather_elements<float>(g, n, (vly_bf16 *)x, stream)
                            : gather_elements<float>(g, n, (float *)x, stream);
}
