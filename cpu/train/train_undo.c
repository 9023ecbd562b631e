#include <stdlib.h>
#include <string.h>
#include "cpu/train/train_impl.h"

/* A phase is a rollout and its update; with overlap a rollout beside the update of the one before.
 * One that lasts longer than this is not waited for. */
double vly_train_patience_s(const vly_train *t) {
    return t->o.patience_s > 0 ? t->o.patience_s : 0.2;
}

static double phase_s(const vly_train *t) {
    return (double)(uv_hrtime() - t->undo.begun_ns) * 1e-9;
}

/* What stops between updates of its own needs none, and members of a fleet have passed things on. */
static bool can_go_back(const vly_train *t) {
    return !t->algo->cuts && !t->o.sync && !t->o.eval;
}

static bool allocate_undo(vly_train *t) {
    train_undo *u = &t->undo;
    if (u->list) return true;
    u->n = vly_train_buffers(t, NULL, 0);
    u->list = calloc((size_t)u->n, sizeof *u->list);
    if (!u->list) return false;
    vly_train_buffers(t, u->list, u->n);
    u->bytes = 0;
    for (int i = 0; i < u->n; i++) u->bytes += vly_buffer_bytes(&u->list[i]);
    u->memory = malloc((t->algo->set_aside ? 2 : 1) * u->bytes + 1);
    if (!u->memory) free(u->list), u->list = NULL;
    return u->list != NULL;
}

static vly_status keep_moment(vly_train *t, uint8_t *to) {
    const train_undo *u = &t->undo;
    VLY_TRY(t->source->save(t->source, t->pool_state, t->pool_bytes));
    for (int i = 0; i < u->n; to += vly_buffer_bytes(&u->list[i++]))
        VLY_TRY(vly_train_read(t, &u->list[i], to));
    return VLY_OK;
}

/* With overlap the first update is of the second phase: the first says nothing of how long it is. */
static bool is_to_be_kept(const vly_train *t, bool overlapped) {
    const train_undo *u = &t->undo;
    return u->phases <= (overlapped ? 1 : 0) || u->last_s >= vly_train_patience_s(t);
}

vly_status vly_train_keep(vly_train *t, bool overlapped) {
    train_undo *u = &t->undo;
    u->last_s = u->phases ? phase_s(t) : 0;
    const bool kept = can_go_back(t) && is_to_be_kept(t, overlapped) && allocate_undo(t);
    u->phases++;
    u->begun_ns = uv_hrtime();
    u->held = false;
    uint8_t *to = kept ? u->memory : NULL;
    if (kept && overlapped && u->learned == u->memory) to += u->bytes;
    if (kept) VLY_TRY(keep_moment(t, to));
    u->acted = overlapped ? u->learned : to;
    u->learned = to;
    u->updates = t->counters.updates;
    u->was_dirty = t->dirty;
    u->held = u->acted && u->learned;
    return VLY_OK;
}

bool vly_train_gives_up(const vly_train *t) {
    return t->undo.held && atomic_load(&t->stop_asked) && phase_s(t) >= vly_train_patience_s(t);
}

/* At the end of the i-th, where the moments differ. The trainer's own come last. */
static size_t learned_bytes(const vly_train *t, int i) {
    const train_undo *u = &t->undo;
    const int algos = t->algo->buffers(t->algo, NULL, 0);
    return u->acted == u->learned || i >= algos ? 0 : t->algo->learned(t->algo, &u->list[i]);
}

vly_status vly_train_go_back(vly_train *t) {
    train_undo *u = &t->undo;
    size_t at = 0;
    for (int i = 0; i < u->n; i++) {
        const size_t bytes = vly_buffer_bytes(&u->list[i]), own = learned_bytes(t, i),
                     rest = bytes - own;
        if (own) memcpy(u->acted + at + rest, u->learned + at + rest, own);
        VLY_TRY(vly_train_write(t, &u->list[i], u->acted + at));
        at += bytes;
    }
    t->counters.updates = u->updates;
    t->learner.state = LEARNER_IDLE;
    VLY_TRY(vly_train_restored(t));
    t->dirty = u->was_dirty || t->counters.updates == 0;
    t->stop = VLY_STOP_INTERRUPTED;
    return VLY_OK;
}

void vly_train_free_undo(vly_train *t) {
    free(t->undo.list);
    free(t->undo.memory);
}
