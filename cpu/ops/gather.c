/* gather.c -- a network's input from stored frames: stacks, converts, scales. Reads a frame's bytes
 * once and writes the input once; a stack of four one-channel frames is a transposition that
 * compilers turn into byte shuffles. */
#include <string.h>
#include "common/base/rules.h"
#include "cpu/ops/bf16.h"
#include "cpu/ops/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/ops/exact_simd.h"
#endif

enum { STACK_MAX = 256, ZEROS = 1024 };
static const uint8_t zeros[ZEROS];

typedef struct {
    const vly_cpu *cpu;
    const vly_frames *f;
    const int32_t *row;
    int64_t first;
    vly_dtype type;
    void *x;
    size_t numbers, channels; /* of a frame; of a pixel */
} job;

/* ---- pieces of one frame; n numbers, `step` apart in the output ---- */

static void put_u8(uint8_t *restrict x, size_t step, const uint8_t *restrict from, size_t n) {
    if (step == 1)
        memcpy(x, from, n);
    else
        for (size_t i = 0; i < n; i++) x[i * step] = from[i];
}

static void put_real_u8(vly_real *restrict x, size_t step, const uint8_t *restrict from, size_t n,
                        float scale) {
    for (size_t i = 0; i < n; i++) x[i * step] = scale * from[i];
}

static void put_real_f32(vly_real *restrict x, size_t step, const float *restrict from, size_t n,
                         float scale) {
    for (size_t i = 0; i < n; i++) x[i * step] = scale * from[i];
}

static void put_bf16_u8(uint16_t *restrict x, size_t step, const uint8_t *restrict from, size_t n,
                        float scale) {
    for (size_t i = 0; i < n; i++) x[i * step] = vly_bf16_from_f32(scale * from[i]);
}

static void put_bf16_f32(uint16_t *restrict x, size_t step, const float *restrict from, size_t n,
                         float scale) {
    for (size_t i = 0; i < n; i++) x[i * step] = vly_bf16_from_f32(scale * from[i]);
}

static void put_numbers(const job *j, int64_t at, size_t step, const uint8_t *from, size_t n) {
    const float scale = j->f->obs.scale;
    const bool bytes = j->f->obs.dtype == VLY_U8;
    const float *numbers = (const float *)(const void *)from;
    if (j->type == VLY_U8)
        put_u8((uint8_t *)j->x + at, step, from, n);
    else if (j->type == VLY_BF16 && bytes)
        put_bf16_u8((uint16_t *)j->x + at, step, from, n, scale);
    else if (j->type == VLY_BF16)
        put_bf16_f32((uint16_t *)j->x + at, step, numbers, n, scale);
    else if (bytes)
        put_real_u8((vly_real *)j->x + at, step, from, n, scale);
    else
        put_real_f32((vly_real *)j->x + at, step, numbers, n, scale);
}

static void put_zeros(const job *j, int64_t at, size_t step, size_t n) {
    const size_t size = vly_dtype_bytes(j->type);
    uint8_t *x = (uint8_t *)j->x + (size_t)at * size;
    if (step == 1)
        memset(x, 0, n * size);
    else
        for (size_t i = 0; i < n; i++) memset(x + i * step * size, 0, size);
}

/* ---- one sample ---- */

/* Four one-channel frames to four-channel pixels. */
static void transpose4(const job *j, uint8_t *x, const uint8_t *const *from, size_t n) {
#ifndef VLY_REAL_DOUBLE
    j->cpu->exact->interleave4((int64_t)n, from[0], from[1], from[2], from[3], x);
#else
    (void)j;
    for (size_t i = 0; i < 4 * n; i++) x[i] = from[i % 4][i / 4];
#endif
}

static void gather_atari(const job *j, int64_t i, const uint8_t *const *frame) {
    uint8_t *x = (uint8_t *)j->x + (size_t)i * j->numbers * 4;
    for (size_t p = 0; p < j->numbers; p += ZEROS) {
        const size_t n = j->numbers - p < ZEROS ? j->numbers - p : ZEROS;
        const uint8_t *from[4];
        for (int k = 0; k < 4; k++) from[k] = frame[k] ? frame[k] + p : zeros;
        transpose4(j, x + 4 * p, from, n);
    }
}

static void gather_any(const job *j, int64_t i, const uint8_t *const *frame) {
    const size_t stack = (size_t)j->f->obs.stack, size = j->f->obs.dtype == VLY_U8 ? 1 : 4;
    const int64_t at = i * (int64_t)(j->numbers * stack);
    for (size_t k = 0; k < stack; k++) {
        if (stack == 1 || j->channels == 1 || j->channels == j->numbers) { /* one run of numbers */
            const size_t step = stack == 1 || j->channels == j->numbers ? 1 : stack;
            const int64_t to = at + (int64_t)(step == 1 ? k * j->numbers : k);
            if (frame[k])
                put_numbers(j, to, step, frame[k], j->numbers);
            else
                put_zeros(j, to, step, j->numbers);
            continue;
        }
        for (size_t p = 0; p < j->numbers; p += j->channels) {
            const int64_t to = at + (int64_t)(p * stack + k * j->channels);
            if (frame[k])
                put_numbers(j, to, 1, frame[k] + p * size, j->channels);
            else
                put_zeros(j, to, 1, j->channels);
        }
    }
}

static void gather_sample(void *arg, int i, int slot) {
    const job *j = arg;
    const vly_obs_spec *obs = &j->f->obs;
    const uint8_t *frame[STACK_MAX];
    (void)slot;
    for (int k = 0; k < obs->stack; k++) {
        const int64_t at = vly_rule_frame(j->f, j->row ? j->row[i] : j->first + i, k);
        frame[k] = at < 0 ? NULL : j->f->frames + at;
    }
    if (obs->stack == 4 && j->channels == 1 && j->numbers > 1 && j->type == VLY_U8)
        gather_atari(j, i, frame);
    else
        gather_any(j, i, frame);
}

vly_status vly_cpu_gather(vly_queue *q, const vly_frames *f, int n, const int32_t *row,
                          int64_t first, vly_dtype type, void *x) {
    VLY_NEED("gather", f && n >= 0 && x && f->frames && f->rows >= 1);
    const vly_obs_spec *obs = &f->obs;
    VLY_NEED("gather", obs->dtype == VLY_U8 || obs->dtype == VLY_F32);
    VLY_NEED("gather", obs->stack >= 1 && obs->stack <= STACK_MAX && (obs->stack == 1 || f->age));
    VLY_NEED("gather",
             type == VLY_F32 || type == VLY_BF16 || (type == VLY_U8 && obs->dtype == VLY_U8));
    const size_t numbers = obs->bytes / (obs->dtype == VLY_U8 ? 1 : 4);
    const size_t channels = obs->ndim == 3 ? (size_t)obs->shape[2] : numbers;
    VLY_NEED("gather", channels >= 1 && numbers % channels == 0);
    job j = {vly_cpu_of(q), f, row, first, type, x, numbers, channels};
    vly_cpu_run(vly_cpu_of(q), 4.0 * (double)n * (double)obs->bytes * obs->stack, n, gather_sample,
                &j);
    return VLY_OK;
}
