/* Unrolls as messages: an actor's process sends them, the learner's process reads them.
 *
 *   head | version (T) | observations (history + T + 1, C) | ages, if frames are stacked
 *        | reward, flags (T + 1, C) | masks (T + 1, C, width), if there are any
 *        | action (T, C, parts), log-probability (T, C)
 *        | recurrent state (C, H) twice
 *
 * with C columns; the receiver cuts them into slots of its own M. Little-endian,
 * unaligned, checked on arrival: messages are untrusted.
 */
#include "common/base/finite.h"
#include "common/learn/impala_impl.h"

enum { MAGIC = 0x31524c56 };

typedef struct {
    uint32_t magic;
    int32_t T, columns, history, hidden, actions, parts, masked, unused[2];
    uint64_t observation_bytes;
} head;
_Static_assert(sizeof(head) == 48, "heads are compared byte by byte: no padding");

static size_t frame_rows(const impala *a) {
    return (size_t)(a->history + a->T + 1);
}

size_t vly_impala_unroll_bytes(const impala *a, int columns) {
    const size_t C = (size_t)columns, T = (size_t)a->T;
    const size_t frame = a->obs.bytes + (a->age ? 1 : 0);
    return sizeof(head) + T * sizeof(int64_t) +
           C * (frame_rows(a) * frame + (T + 1) * 5 + T * (size_t)(4 * a->parts + 4) +
                (a->allowed ? (T + 1) * (size_t)a->width : 0) + 2 * (size_t)a->H * sizeof(float));
}

/* Rows of M columns on our side, of C in the message; `message` points at our first column. */
typedef struct {
    impala *a;
    vly_queue *q;
    uint8_t *message; /* written when out, read when in */
    bool out;
    int slot, first, columns; /* of the message: first is our slot's first column */
} parcel;

static vly_status move_rows(parcel *p, void *ours, bool device, size_t rows, size_t size) {
    const size_t M = (size_t)p->a->M * size, C = (size_t)p->columns * size;
    uint8_t *theirs = p->message + (size_t)p->first * size;
    vly_compute *c = p->a->c;
    device = device && !c->info.is_host;
    for (size_t r = 0; r < rows; r++) {
        uint8_t *mine = (uint8_t *)ours + r * M, *other = theirs + r * C;
        if (p->out && device)
            VLY_TRY(c->download(p->q, other, mine, M));
        else if (device)
            VLY_TRY(c->upload(p->q, mine, other, M));
        else
            memcpy(p->out ? other : mine, p->out ? mine : other, M);
    }
    p->message += rows * C;
    return VLY_OK;
}

static vly_status move_slot(parcel *p) {
    impala *a = p->a;
    const int64_t frame = vly_impala_frame_row(a, p->slot, -a->history),
                  host = vly_impala_host_row(a, p->slot, 0);
    const int64_t step = vly_impala_step_row(a, p->slot, 0), state = (int64_t)p->slot * a->M * a->H;
    const size_t T = (size_t)a->T, versions = T * sizeof(int64_t);
    void *const version = a->version + (int64_t)p->slot * a->T;
    memcpy(p->out ? (void *)p->message : version, p->out ? version : (const void *)p->message,
           versions);
    p->message += versions;
    VLY_TRY(
        move_rows(p, a->frames + (size_t)frame * a->obs.bytes, true, frame_rows(a), a->obs.bytes));
    if (a->age) VLY_TRY(move_rows(p, a->age_host + frame, false, frame_rows(a), 1));
    VLY_TRY(move_rows(p, a->reward + host, false, T + 1, sizeof(float)));
    VLY_TRY(move_rows(p, a->flags + host, false, T + 1, 1));
    if (a->allowed)
        VLY_TRY(move_rows(p, vly_impala_allowed_at(a, p->slot, 0), false, T + 1, (size_t)a->width));
    VLY_TRY(move_rows(p, vly_impala_action_at(a, p->slot, 0), false, T,
                      (size_t)a->parts * sizeof(int32_t)));
    VLY_TRY(move_rows(p, a->logp + step, false, T, sizeof(float)));
    if (a->H == 0) return VLY_OK;
    const size_t width = (size_t)a->H * sizeof(vly_real);
    VLY_TRY(move_rows(p, a->h0 + state, true, 1, width));
    return move_rows(p, a->cell0 + state, true, 1, width);
}

/* ---- out ---- */

static head head_of(const impala *a, int columns) {
    return (head){.magic = MAGIC,
                  .T = a->T,
                  .columns = columns,
                  .history = a->history,
                  .hidden = a->H,
                  .actions = a->width,
                  .parts = a->parts,
                  .masked = a->allowed != NULL,
                  .observation_bytes = a->obs.bytes};
}

vly_status vly_impala_hand_over(impala *a, vly_queue *q) {
    vly_sync *s = a->learner.sync;
    const size_t bytes = vly_impala_unroll_bytes(a, a->M);
    while (a->numbers[READY] > 0) {
        const int slot = a->ready[0];
        const head h = head_of(a, a->M);
        memcpy(a->parcel, &h, sizeof h);
        parcel p = {.a = a,
                    .q = q,
                    .message = a->parcel + sizeof h,
                    .out = true,
                    .slot = slot,
                    .columns = a->M};
        VLY_TRY(move_slot(&p));
        VLY_TRY(a->c->queue_sync(q));
        VLY_TRY(s->unrolls->send(s, a->parcel, bytes));
        a->busy[slot] &= ~SLOT_LEARN;
        vly_impala_drop_ready(a, 0, 1);
    }
    VLY_TRY(s->unrolls->refresh(s, q, &a->learner.params, &a->pub.version));
    a->numbers[VERSION] = a->pub.version;
    return vly_exec_prepare(a->acting, q, a->act_param);
}

/* ---- in ---- */

static vly_status check_shape(const impala *a, const uint8_t *unroll, size_t bytes, int *columns) {
    head h;
    if (bytes < sizeof h) return vly_fail(VLY_ECORRUPT, "an unroll of %zu bytes", bytes);
    memcpy(&h, unroll, sizeof h);
    const head want = head_of(a, h.columns);
    const bool same = memcmp(&h, &want, sizeof h) == 0 && h.columns > 0 && h.columns % a->M == 0 &&
                      h.columns <= a->N;
    if (!same || bytes != vly_impala_unroll_bytes(a, h.columns))
        return vly_fail(
            VLY_ECORRUPT,
            "an unroll of %d steps of %d environments, %d actions: it comes from another run", h.T,
            h.columns, h.actions);
    *columns = h.columns;
    return VLY_OK;
}

/* Nothing that would index out of a table or poison the weights. Observations are any bytes, unless
 * they are floats. */
static bool unroll_is_sane(const impala *a, int slot) {
    const int64_t rows = (int64_t)(a->T + 1) * a->M, steps = (int64_t)a->T * a->M;
    const float *reward = a->reward + vly_impala_host_row(a, slot, 0),
                *logp = a->logp + vly_impala_step_row(a, slot, 0);
    const int64_t *version = a->version + (int64_t)slot * a->T;
    bool sane = vly_all_finite(reward, (size_t)rows) && vly_all_finite(logp, (size_t)steps);
    for (int64_t i = 0; i < steps; i++)
        sane = sane && vly_head_sane(&a->policy, vly_impala_action_at(a, slot, 0) + i * a->parts);
    for (int t = 0; t < a->T; t++) sane = sane && version[t] >= 0;
    return sane;
}

static bool observations_are_finite(const impala *a, const uint8_t *unroll, int columns) {
    const size_t n = frame_rows(a) * (size_t)columns * a->obs.bytes / sizeof(float);
    return a->obs.dtype != VLY_F32 ||
           vly_all_finite(unroll + sizeof(head) + (size_t)a->T * sizeof(int64_t), n);
}

/* The last of a message. */
static bool state_is_finite(const impala *a, const uint8_t *unroll, size_t bytes, int columns) {
    const size_t n = 2 * (size_t)a->H * (size_t)columns;
    return vly_all_finite(unroll + bytes - n * sizeof(float), n);
}

/* A receiver does not act: every slot that is not ready is free. */
static void become_receiver(impala *a) {
    for (int s = 0; s < a->slots; s++) a->busy[s] = 0;
    for (int i = 0; i < a->numbers[READY]; i++) a->busy[a->ready[i]] = SLOT_LEARN;
    a->receiver = true;
}

/* A learner that was restarted counts from an older version than its actors have seen. */
static void date(impala *a, int slot) {
    int64_t *version = a->version + (int64_t)slot * a->T;
    for (int t = 0; t < a->T; t++)
        if (version[t] > a->pub.version) version[t] = a->pub.version;
}

static int free_slots(const impala *a) {
    int n = 0;
    for (int s = 0; s < a->slots; s++) n += a->busy[s] == 0;
    return n;
}

vly_status vly_impala_receive(vly_algo *pub, vly_queue *q, const void *unroll, size_t bytes) {
    impala *a = (impala *)pub;
    int columns = 0, taken = 0;
    bool sane = true;
    VLY_TRY(check_shape(a, unroll, bytes, &columns));
    if (!a->receiver) become_receiver(a);
    const int slots = columns / a->M;
    if (free_slots(a) < slots)
        return vly_fail(VLY_ENOSPACE,
                        "no room for %d unrolls before those that wait are learned from", columns);
    sane = observations_are_finite(a, unroll, columns) &&
           state_is_finite(a, unroll, bytes, columns);
    for (; taken < slots && sane; taken++) {
        const int slot = vly_impala_free_slot(a);
        parcel p = {.a = a,
                    .q = q,
                    .message = (uint8_t *)(uintptr_t)unroll + sizeof(head),
                    .slot = slot,
                    .first = taken * a->M,
                    .columns = columns};
        VLY_TRY(move_slot(&p));
        if (a->age && a->age != a->age_host) {
            const int64_t row = vly_impala_frame_row(a, slot, -a->history);
            VLY_TRY(a->c->upload(q, a->age + row, a->age_host + row, frame_rows(a) * (size_t)a->M));
        }
        sane = unroll_is_sane(a, slot);
        date(a, slot);
        a->busy[slot] = SLOT_LEARN;
        a->ready[a->numbers[READY]++] = slot;
    }
    VLY_TRY(a->c->queue_sync(q)); /* the message is the caller's again */
    if (!sane)                    /* none of it */
        for (; taken > 0; taken--) a->busy[a->ready[--a->numbers[READY]]] = 0;
    pub->async.ready = (int)a->numbers[READY] * a->M;
    return sane ? VLY_OK : vly_fail(VLY_ECORRUPT, "an unroll holds numbers outside their range");
}
