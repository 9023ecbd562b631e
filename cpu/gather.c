/* gather.c -- a network's input from stored frames: stacks, converts, scales. Reads and writes every pixel once;
 * rows are shared among the threads. */
#include <string.h>
#include "common/rules.h"
#include "cpu/bf16.h"
#include "cpu/ops.h"
#ifndef VLY_REAL_DOUBLE
#include "cpu/exact_simd.h"
#endif

enum { ROWS = 8, STACK_MAX = 16 };

typedef struct {
    const vly_cpu *cpu;
    const vly_frames *f;
    int n;
    const int32_t *row;
    int64_t first;
    vly_dtype type;
    uint8_t *x;
    size_t numbers, channels; /* of one frame; of one of its pixels */
} gather_call;

static float pixel(const vly_obs_spec *obs, const uint8_t *frame, size_t i) {
    float f;
    if (obs->dtype == VLY_U8) return frame[i];
    memcpy(&f, frame + 4 * i, sizeof f);
    return f;
}

/* `count` numbers of a frame from `from` on (NULL: zeros) to x[at ...]. */
static void put(const gather_call *g, size_t at, const uint8_t *frame, size_t from, size_t count) {
    const vly_obs_spec *obs = &g->f->obs;
    uint8_t *const to = g->x + at * vly_dtype_bytes(g->type);
    if (!frame) memset(to, 0, count * vly_dtype_bytes(g->type));
    else if (g->type == VLY_U8) memcpy(to, frame + from, count);
    else if (g->type == VLY_BF16)
        for (size_t i = 0; i < count; i++) ((uint16_t *)(void *)to)[i] = vly_bf16_from_f32(obs->scale * pixel(obs, frame, from + i));
    else
        for (size_t i = 0; i < count; i++) ((vly_real *)(void *)to)[i] = obs->scale * pixel(obs, frame, from + i);
}

/* Four frames of bytes, one channel: the Atari stack. False when it is something else. */
static bool four_frames(const gather_call *g, const uint8_t *const *frame, size_t at) {
#ifndef VLY_REAL_DOUBLE
    static const uint8_t nothing[1 << 14];
    if (g->type != VLY_U8 || g->f->obs.stack != 4 || g->channels != 1 || g->numbers > sizeof nothing) return false;
    g->cpu->exact->interleave4((int64_t)g->numbers, frame[0] ? frame[0] : nothing, frame[1] ? frame[1] : nothing, frame[2] ? frame[2] : nothing,
                               frame[3] ? frame[3] : nothing, g->x + at);
    return true;
#else
    (void)g, (void)frame, (void)at;
    return false;
#endif
}

static void one_row(const gather_call *g, int i) {
    const int stack = g->f->obs.stack;
    const size_t at = (size_t)i * g->numbers * (size_t)stack;
    const uint8_t *frame[STACK_MAX];
    for (int k = 0; k < stack; k++) {
        const int64_t from = vly_rule_frame(g->f, g->row ? g->row[i] : g->first + i, k);
        frame[k] = from < 0 ? NULL : g->f->frames + from;
    }
    if (stack == 1) {
        put(g, at, frame[0], 0, g->numbers);
        return;
    }
    if (four_frames(g, frame, at)) return;
    for (int k = 0; k < stack; k++)
        for (size_t j = 0; j < g->numbers; j += g->channels) put(g, at + j * (size_t)stack + (size_t)k * g->channels, frame[k], j, g->channels);
}

static void some_rows(void *arg, int block, int slot) {
    (void)slot;
    const gather_call *g = arg;
    for (int i = block * ROWS; i < g->n && i < (block + 1) * ROWS; i++) one_row(g, i);
}

vly_status vly_cpu_gather(vly_queue *q, const vly_frames *f, int n, const int32_t *row, int64_t first, vly_dtype type, void *x) {
    VLY_NEED("gather", f && n >= 0 && x && f->frames && f->rows >= 1);
    const vly_obs_spec *obs = &f->obs;
    VLY_NEED("gather", obs->dtype == VLY_U8 || obs->dtype == VLY_F32);
    VLY_NEED("gather", obs->stack >= 1 && obs->stack <= STACK_MAX && (obs->stack == 1 || f->age));
    VLY_NEED("gather", type == VLY_F32 || type == VLY_BF16 || (type == VLY_U8 && obs->dtype == VLY_U8));
    gather_call g = {.cpu = vly_cpu_of(q), .f = f, .n = n, .row = row, .first = first, .type = type, .x = x};
    g.numbers = obs->bytes / (obs->dtype == VLY_U8 ? 1 : 4);
    g.channels = obs->ndim == 3 ? (size_t)obs->shape[2] : g.numbers;
    VLY_NEED("gather", g.channels >= 1 && g.numbers >= 1 && (g.numbers / g.channels) * g.channels == g.numbers);
    vly_cpu_run(vly_cpu_of(q), 10.0 * n * (double)g.numbers * obs->stack, (n + ROWS - 1) / ROWS, some_rows, &g);
    return VLY_OK;
}
