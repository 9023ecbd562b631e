/* A block of experience from the store, with bytes that are not as they were: refused, or its
 * frames are unpacked within their memory. Blocks are made from the input by the actor's own code,
 * packed and not packed, and then patched; or they are the input as it is.
 *   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_block &&
 *   build-fuzz/fuzz_block tests/fuzz/block */
#include "tests/fuzz/input.h"
#ifndef VLY_HAVE_REDIS
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    (void)data, (void)bytes;
    return 0;
}
#else
#include <math.h>
#include "cpu/fleet/block.h"
#include "cpu/fleet/frame.h"
#include "cpu/ops/compute_cpu.h"

enum { LANES = 2, STEPS = 5, N_STEP = 2, ACTIONS = 3, ROWS = 12, KINDS = 3 };

typedef struct {
    vly_block_shape shape;
    vly_block_maker *maker;
    vly_replay *ring;
    vly_real *value;
} source;

static vly_compute *c;
static vly_queue *q;

/* A vector, an image that is packed, and one that is packed and stacked. */
static vly_obs_spec obs_of(int kind) {
    const int side = kind ? 24 : 4;
    vly_obs_spec o = {.dtype = kind ? VLY_U8 : VLY_F32,
                      .ndim = kind ? 3 : 1,
                      .shape = {side, kind ? side : 1, 1},
                      .stack = kind == 2 ? 4 : 1,
                      .scale = 1};
    o.bytes = kind ? (size_t)side * (size_t)side : 16;
    return o;
}

static void open_source(source *s, int kind) {
    const vly_replay_options o = {
        .obs = obs_of(kind), .actors = LANES, .groups = 1, .capacity = ROWS * LANES, .n_step = 2};
    s->shape = (vly_block_shape){obs_of(kind), ACTIONS, LANES, STEPS, N_STEP};
    if (!c) fuzz_check(vly_compute_create_cpu(&c, 1) == VLY_OK);
    if (!q) fuzz_check(c->queue_create(c, VLY_QUEUE_ACT, &q) == VLY_OK);
    fuzz_check(vly_replay_create(&s->ring, c, &o) == VLY_OK);
    fuzz_check(vly_block_maker_create(&s->maker, &s->shape) == VLY_OK);
    s->value = calloc((size_t)(s->ring->T * s->ring->N) * ACTIONS, sizeof *s->value);
    fuzz_check(s->value);
}

static void fill_ring(source *s, fuzz_input *in) {
    const size_t bytes = s->shape.obs.bytes;
    for (int64_t row = 0; row < s->ring->T * s->ring->N; row++) {
        memset(s->ring->frames + (size_t)row * bytes, (int)fuzz_byte(in), bytes);
        s->ring->action[row] = (int)(fuzz_byte(in) % ACTIONS);
        s->ring->reward[row] = (float)fuzz_byte(in);
        s->ring->flags[row] = (uint8_t)(fuzz_byte(in) & 7);
    }
}

/* Everything that a learner draws: two frames beside each other, up to a stack and the steps to the
 * bootstrap. */
static void read_frames(const vly_block_view *v, const uint8_t *data, size_t bytes) {
    enum { MOST = 6 };
    uint8_t *out = malloc(MOST * v->head.frame_bytes);
    fuzz_check(out);
    for (int lane = 0; lane < (int)v->head.lanes; lane++)
        for (int first = 0; first < v->rows; first++) {
            size_t offset, n;
            const int count = v->rows - first < MOST ? v->rows - first : MOST;
            vly_block_range(v, lane, first, count, &offset, &n);
            if (offset > bytes || n > bytes - offset) continue; /* the store has less */
            uint8_t *range = malloc(n ? n : 1);                 /* its end is watched */
            fuzz_check(range);
            memcpy(range, data + offset, n);
            vly_error_clear();
            if (vly_block_frames(v, lane, first, count, range, n, out) != VLY_OK)
                fuzz_check(vly_error_text()[0] != '\0');
            free(range);
        }
    free(out);
}

static void check_block(const source *s, const void *notice, size_t bytes, const uint8_t *data,
                        size_t data_bytes) {
    vly_block_view v;
    void *copy = malloc(bytes ? bytes : 1);
    fuzz_check(copy);
    memcpy(copy, notice, bytes);
    vly_error_clear();
    if (vly_block_check(copy, bytes, &s->shape, &v) != VLY_OK) {
        fuzz_check(vly_error_text()[0] != '\0');
    } else {
        for (uint32_t i = 0; i < v.head.lanes * v.head.steps; i++)
            fuzz_check(v.record[i].action == -1 || /* no transition: nothing else of it is read */
                       (v.record[i].action >= 0 && v.record[i].action < ACTIONS &&
                        v.record[i].boot <= N_STEP && isfinite(v.record[i].priority)));
        read_frames(&v, data, data_bytes);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static source sources[KINDS];
    static uint8_t notice[1 << 16], frames[1 << 16];
    fuzz_input in = {data, bytes};
    const unsigned choice = fuzz_byte(&in);
    source *s = &sources[choice % KINDS];
    if (!s->maker) open_source(s, (int)(choice % KINDS));
    if (choice & 128) {
        check_block(s, in.at, in.left, data, bytes);
        return 0;
    }
    vly_block b;
    const int from = (int)(fuzz_byte(&in) % ROWS), steps = 1 + (int)(fuzz_byte(&in) % STEPS);
    fill_ring(s, &in);
    const vly_block_source of = {s->ring, s->value, ACTIONS, 0.99f, 1};
    fuzz_check(vly_block_make(s->maker, &of, from, steps, &b) == VLY_OK);
    fuzz_check(b.notice_bytes <= sizeof notice && b.data_bytes <= sizeof frames);
    memcpy(notice, b.notice, b.notice_bytes);
    memcpy(frames, b.data, b.data_bytes);
    fuzz_patch(&in, notice, b.notice_bytes);
    fuzz_patch(&in, frames, b.data_bytes);
    check_block(s, notice, b.notice_bytes - (choice & 64 && b.notice_bytes ? 1 : 0), frames,
                b.data_bytes);
    return 0;
}
#endif
