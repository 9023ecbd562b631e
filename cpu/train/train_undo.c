#include <stdlib.h>
#include "cpu/train/train_impl.h"

/* A phase is a rollout and its update. One that lasts longer than this is not waited for. */
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
    size_t bytes = 0;
    for (int i = 0; i < u->n; i++) bytes += vly_buffer_bytes(&u->list[i]);
    u->memory = malloc(bytes + 1);
    if (!u->memory) free(u->list), u->list = NULL;
    return u->list != NULL;
}

vly_status vly_train_keep(vly_train *t) {
    train_undo *u = &t->undo;
    u->last_s = u->begun_ns ? phase_s(t) : 0;
    const bool first = u->begun_ns == 0;
    u->begun_ns = uv_hrtime();
    u->held = false;
    if (!can_go_back(t) || (!first && u->last_s < vly_train_patience_s(t)) || !allocate_undo(t))
        return VLY_OK;
    VLY_TRY(t->source->save(t->source, t->pool_state, t->pool_bytes));
    uint8_t *to = u->memory;
    for (int i = 0; i < u->n; to += vly_buffer_bytes(&u->list[i++]))
        VLY_TRY(vly_train_read(t, &u->list[i], to));
    u->was_dirty = t->dirty;
    u->held = true;
    return VLY_OK;
}

bool vly_train_gives_up(const vly_train *t) {
    return t->undo.held && atomic_load(&t->stop_asked) && phase_s(t) >= vly_train_patience_s(t);
}

vly_status vly_train_go_back(vly_train *t) {
    train_undo *u = &t->undo;
    const uint8_t *from = u->memory;
    for (int i = 0; i < u->n; from += vly_buffer_bytes(&u->list[i++]))
        VLY_TRY(vly_train_write(t, &u->list[i], from));
    VLY_TRY(vly_train_restored(t));
    t->dirty = u->was_dirty || t->counters.updates == 0;
    t->stop = VLY_STOP_INTERRUPTED;
    return VLY_OK;
}

void vly_train_free_undo(vly_train *t) {
    free(t->undo.list);
    free(t->undo.memory);
}
