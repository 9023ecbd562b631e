#include "cpu/fleet/block.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/rules.h"
#include "cpu/fleet/frame.h"

/* Frames of a lane are packed in groups: the first on its own, the others against it, so each
 * frame needs at most one other. */
enum { MAGIC = 0x32424c56, GROUP = 8 };

struct vly_block_maker {
    vly_block_shape shape;
    uint8_t *notice, *data;
    size_t data_most;
    vly_frame_packer *packer;
};

static bool is_packed(size_t frame_bytes) {
    return frame_bytes >= VLY_FRAME_PACK_FROM;
}

static size_t rows_most(const vly_block_shape *s) {
    return (size_t)s->lanes_most * (size_t)(s->obs.stack - 1 + s->steps_most + s->n_step);
}

static size_t notice_bytes(const vly_block_head *h) {
    const size_t rows = (size_t)h->lanes * (h->history + h->steps + h->ahead);
    return sizeof *h + (size_t)h->lanes * h->steps * sizeof(vly_block_record) +
           (h->packed ? (rows + 1) * sizeof(uint32_t) : 0);
}

size_t vly_block_notice_most(const vly_block_shape *s) {
    const size_t transitions = (size_t)s->lanes_most * (size_t)s->steps_most;
    return sizeof(vly_block_head) + transitions * sizeof(vly_block_record) +
           (rows_most(s) + 1) * sizeof(uint32_t);
}

size_t vly_block_data_most(const vly_block_shape *s) {
    return rows_most(s) *
           (is_packed(s->obs.bytes) ? vly_frame_packed_most(s->obs.bytes) : s->obs.bytes);
}

/* ---- making ---- */

/* As vly_rule_nstep, and the TD error from the values computed when the rows were acted on. */
static vly_block_record record_of(const vly_block_source *s, int64_t row, int n_step) {
    const vly_replay *r = s->ring;
    int32_t boot_row;
    const int32_t at = (int32_t)row;
    vly_block_record out = {.action = -1};
    int32_t action;
    vly_real n_return, discount;
    const vly_hyper hyper = {.gamma = s->gamma, .reward_scale = s->reward_scale};
    const vly_nstep_args args = {.rows = {r->T, r->N, r->reward, r->action, r->flags},
                                 .n = 1,
                                 .steps = n_step,
                                 .row = &at,
                                 .hyper = &hyper,
                                 .action = &action,
                                 .n_return = &n_return,
                                 .discount = &discount,
                                 .bootstrap_row = &boot_row};
    vly_rule_nstep(&args, 0);
    if (action < 0) return out;
    const int64_t ahead = (boot_row - row) / r->N;
    out.action = (int16_t)action;
    out.boot = (uint8_t)(ahead < 0 ? ahead + r->T : ahead);
    out.age = r->age ? r->age[row] : 0;
    out.n_return = (float)n_return, out.discount = (float)discount;
    const vly_real *next = s->value + (int64_t)boot_row * s->actions;
    const vly_real after = discount != 0 ? discount * next[vly_rule_argmax(s->actions, next)] : 0;
    const float error =
        (float)fabs((double)(s->value[row * s->actions + action] - (n_return + after)));
    out.priority = isfinite(error) ? error : 0;
    return out;
}

static vly_status add_frame(vly_block_maker *m, const uint8_t *frame, const uint8_t *base,
                            size_t *at) {
    const size_t bytes = m->shape.obs.bytes;
    size_t length = bytes;
    if (is_packed(bytes))
        VLY_TRY(vly_frame_pack(m->packer, frame, base, bytes, m->data + *at, m->data_most - *at,
                               &length));
    else
        memcpy(m->data + *at, frame, bytes);
    *at += length;
    return VLY_OK;
}

vly_status vly_block_make(vly_block_maker *m, const vly_block_source *source, int64_t from,
                          int steps, vly_block *block) {
    const vly_block_shape *s = &m->shape;
    const vly_replay *r = source->ring;
    if (r->N > s->lanes_most || steps < 1 || steps > s->steps_most ||
        r->o.obs.bytes != s->obs.bytes)
        return vly_fail(VLY_EINVAL, "a block of %d steps of %lld environments; at most %d of %d",
                        steps, (long long)r->N, s->steps_most, s->lanes_most);
    vly_block_head *h = (vly_block_head *)(void *)m->notice;
    *h = (vly_block_head){.magic = MAGIC,
                          .lanes = (uint32_t)r->N,
                          .steps = (uint32_t)steps,
                          .ahead = (uint32_t)s->n_step,
                          .history = (uint32_t)(s->obs.stack - 1),
                          .frame_bytes = (uint32_t)s->obs.bytes,
                          .packed = is_packed(s->obs.bytes)};
    vly_block_record *record = (vly_block_record *)(void *)(m->notice + sizeof *h);
    uint32_t *offset = (uint32_t *)(record + r->N * steps);
    const int rows = (int)(h->history + h->steps + h->ahead);
    size_t at = 0;
    block->record = record, block->transitions = 0;
    for (int64_t lane = 0; lane < r->N; lane++) {
        for (int k = 0; k < steps; k++) {
            *record = record_of(source, (from + k) % r->T * r->N + lane, s->n_step);
            block->transitions += record++->action >= 0;
        }
        const uint8_t *first = NULL;
        for (int k = 0; k < rows; k++) {
            const int64_t step = ((from - (int64_t)h->history + k) % r->T + r->T) % r->T;
            const uint8_t *frame = r->frames + (size_t)(step * r->N + lane) * s->obs.bytes;
            if (h->packed) *offset++ = (uint32_t)at;
            if (k % GROUP == 0) first = frame;
            VLY_TRY(add_frame(m, frame, k % GROUP == 0 ? NULL : first, &at));
        }
    }
    if (h->packed) *offset = (uint32_t)at;
    h->data_bytes = at;
    block->head = h, block->notice = m->notice, block->data = m->data;
    block->notice_bytes = notice_bytes(h), block->data_bytes = at;
    return VLY_OK;
}

/* ---- reading ---- */

static bool head_matches(const vly_block_head *h, const vly_block_shape *s) {
    return h->lanes >= 1 && h->lanes <= (uint32_t)s->lanes_most && h->steps >= 1 &&
           h->steps <= (uint32_t)s->steps_most && h->ahead == (uint32_t)s->n_step &&
           h->history == (uint32_t)(s->obs.stack - 1) && h->frame_bytes == s->obs.bytes &&
           h->packed == is_packed(s->obs.bytes) && h->returns <= VLY_BLOCK_RETURNS &&
           h->agent_steps >= 0 && h->data_bytes <= vly_block_data_most(s);
}

static bool record_is_valid(const vly_block_record *r, const vly_block_shape *s) {
    if (r->action < 0) return r->action == -1;
    return r->action < s->actions && r->boot <= s->n_step && isfinite(r->n_return) &&
           isfinite(r->discount) && isfinite(r->priority) && r->priority >= 0;
}

vly_status vly_block_check(const void *notice, size_t bytes, const vly_block_shape *s,
                           vly_block_view *view) {
    if (bytes < sizeof view->head)
        return vly_fail(VLY_ECORRUPT, "a block of experience is damaged: %zu bytes are too few",
                        bytes);
    memcpy(&view->head, notice, sizeof view->head);
    const vly_block_head *h = &view->head;
    if (h->magic != MAGIC || !head_matches(h, s) || bytes != notice_bytes(h))
        return vly_fail(VLY_ECORRUPT,
                        "a block of experience is damaged or has another configuration");
    const size_t transitions = (size_t)h->lanes * h->steps;
    view->rows = (int)(h->history + h->steps + h->ahead);
    view->record = (const vly_block_record *)(const void *)((const uint8_t *)notice + sizeof *h);
    view->offset = h->packed ? (const uint32_t *)(view->record + transitions) : NULL;
    for (size_t i = 0; i < transitions; i++)
        if (!record_is_valid(&view->record[i], s))
            return vly_fail(VLY_ECORRUPT, "a block of experience holds an invalid transition");
    const size_t frames = (size_t)h->lanes * (size_t)view->rows;
    if (!h->packed)
        return h->data_bytes == frames * h->frame_bytes
                   ? VLY_OK
                   : vly_fail(VLY_ECORRUPT,
                              "a block of experience is damaged: wrong size of frames");
    for (size_t i = 0; i < frames; i++)
        if (view->offset[i] > view->offset[i + 1])
            return vly_fail(VLY_ECORRUPT,
                            "a block of experience is damaged: frame offsets decrease");
    if (view->offset[0] != 0 || view->offset[frames] != h->data_bytes)
        return vly_fail(VLY_ECORRUPT, "a block of experience is damaged: frames are missing");
    return VLY_OK;
}

/* The first row needed to unpack `row`: its group's first. */
static int first_needed_row(const vly_block_view *v, int row) {
    return v->offset ? row - row % GROUP : row;
}

void vly_block_range(const vly_block_view *v, int lane, int first, int count, size_t *offset,
                     size_t *bytes) {
    const size_t lane_row = (size_t)lane * (size_t)v->rows,
                 i = lane_row + (size_t)first_needed_row(v, first),
                 j = lane_row + (size_t)(first + count);
    *offset = v->offset ? v->offset[i] : i * v->head.frame_bytes;
    *bytes = (v->offset ? v->offset[j] : j * v->head.frame_bytes) - *offset;
}

/* Unpacks frames first .. first + count - 1. If the group's first frame was not requested it is
 * unpacked into the last output slot, which is written last. */
static vly_status unpack_frames(const vly_block_view *v, const uint32_t *offset, int first,
                                int count, const uint8_t *range, uint8_t *out) {
    const size_t frame = v->head.frame_bytes;
    const int from = first_needed_row(v, first);
    uint8_t *base = out + (size_t)(count - 1) * frame;
    if (from < first)
        VLY_TRY(vly_frame_unpack(range, offset[from + 1] - offset[from], NULL, base, frame));
    for (int row = first; row < first + count; row++, out += frame) {
        VLY_TRY(vly_frame_unpack(range + (offset[row] - offset[from]),
                                 offset[row + 1] - offset[row], row % GROUP ? base : NULL, out,
                                 frame));
        if (row % GROUP == 0) base = out;
    }
    return VLY_OK;
}

vly_status vly_block_frames(const vly_block_view *v, int lane, int first, int count,
                            const void *range, size_t bytes, uint8_t *out) {
    size_t offset, want;
    vly_block_range(v, lane, first, count, &offset, &want);
    if (bytes != want)
        return vly_fail(VLY_ENOTFOUND,
                        "frames of a block of experience are missing from the store");
    if (v->offset)
        return unpack_frames(v, v->offset + (size_t)lane * (size_t)v->rows, first, count, range,
                             out);
    memcpy(out, range, bytes);
    return VLY_OK;
}

/* ---- life ---- */

void vly_block_maker_destroy(vly_block_maker *m) {
    if (!m) return;
    free(m->notice), free(m->data);
    vly_frame_packer_destroy(m->packer);
    free(m);
}

vly_status vly_block_maker_create(vly_block_maker **out, const vly_block_shape *shape) {
    if (shape->n_step < 1 || shape->n_step > VLY_BLOCK_NSTEP_MOST || shape->lanes_most < 1 ||
        shape->steps_most < 1 || shape->obs.bytes > VLY_FRAME_MOST ||
        vly_block_data_most(shape) > UINT32_MAX)
        return vly_fail(VLY_EINVAL,
                        "blocks of %d steps of %d environments, %d-step: a block is at most 4 GB, "
                        "n_step at most %d",
                        shape->steps_most, shape->lanes_most, shape->n_step, VLY_BLOCK_NSTEP_MOST);
    vly_block_maker *m = calloc(1, sizeof *m);
    if (!m) return vly_fail(VLY_ENOMEM, "blocks of experience: out of memory");
    m->shape = *shape;
    m->data_most = vly_block_data_most(shape);
    m->notice = malloc(vly_block_notice_most(shape));
    m->data = malloc(m->data_most);
    if (!m->notice || !m->data || vly_frame_packer_create(&m->packer) != VLY_OK) {
        vly_block_maker_destroy(m);
        return vly_fail(VLY_ENOMEM, "blocks of experience: out of memory");
    }
    *out = m;
    return VLY_OK;
}
