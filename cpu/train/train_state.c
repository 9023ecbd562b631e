#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/train/train_impl.h"

vly_status vly_train_save(vly_train *t) {
    if (!t->o.on_save || !t->dirty) return VLY_OK;
    VLY_TRY(t->c->queue_sync(t->act));
    VLY_TRY(t->c->queue_sync(t->learn));
    VLY_TRY(t->source->save(t->source, t->pool_state, t->pool_bytes));
    t->dirty = false;
    return t->o.on_save(t->o.arg, t);
}

static void add_buffer(vly_buffer *out, int *n, int max, const char *name, vly_dtype dtype,
                       int64_t count, void *data) {
    if (*n < max) {
        out[*n] = (vly_buffer){
            .role = VLY_BUFFER_STATE, .dtype = dtype, .ndim = 1, .shape = {count}, .data = data};
        snprintf(out[*n].name, sizeof out[*n].name, "%s", name);
    }
    ++*n;
}

int vly_train_buffers(vly_train *t, vly_buffer *out, int max) {
    int n = t->algo->buffers(t->algo, out, max);
    if (t->o.eval) return n;
    add_buffer(out, &n, max, "train.counters", VLY_I64, sizeof t->counters / sizeof(int64_t),
               &t->counters);
    add_buffer(out, &n, max, "train.returns", VLY_F64, RETURNS, t->returns);
    add_buffer(out, &n, max, "train.lengths", VLY_I32, RETURNS, t->lengths);
    if (t->tasks)
        add_buffer(out, &n, max, "train.tasks", VLY_F64,
                   t->o.env->tasks * (int64_t)(sizeof *t->tasks / sizeof(double)), t->tasks);
    if (t->changes)
        add_buffer(out, &n, max, "train.changes", VLY_F64,
                   t->o.env->tasks * CHANGES * (int64_t)(sizeof *t->changes / sizeof(double)),
                   t->changes);
    add_buffer(out, &n, max, VLY_TRAIN_POOL, VLY_U8, (int64_t)t->pool_bytes, t->pool_state);
    return n;
}

vly_status vly_train_read(vly_train *t, const vly_buffer *buffer, void *host) {
    if (buffer->device) {
        VLY_TRY(t->c->download(t->act, host, buffer->data, vly_buffer_bytes(buffer)));
        return t->c->queue_sync(t->act);
    }
    memcpy(host, buffer->data, vly_buffer_bytes(buffer));
    return VLY_OK;
}

vly_status vly_train_write(vly_train *t, const vly_buffer *buffer, const void *host) {
    if (buffer->device) {
        VLY_TRY(t->c->upload(t->act, buffer->data, host, vly_buffer_bytes(buffer)));
        return t->c->queue_sync(t->act);
    }
    memcpy(buffer->data, host, vly_buffer_bytes(buffer));
    return VLY_OK;
}

vly_status vly_train_convert(vly_train *t, const void *host, size_t bytes) {
    return t->source->convert(t->source, t->o.env, host, bytes, t->pool_state);
}

/* A run may be resumed with another number of ranks: the totals of all become the first rank's. */
static void share_counts(vly_train *t) {
    train_counters *k = &t->counters;
    const int64_t steps = k->steps > k->fleet_steps ? k->steps : k->fleet_steps;
    const int64_t alone = k->episodes + k->episodes_shift,
                  episodes = alone > k->fleet_episodes ? alone : k->fleet_episodes;
    const bool first = !vly_train_has_ranks(t) || t->o.sync->rank == 0;
    k->steps = first ? steps : 0, k->fleet_steps = vly_train_has_ranks(t) ? steps : 0;
    k->episodes_shift = (first ? episodes : 0) - k->episodes,
    k->fleet_episodes = vly_train_has_ranks(t) ? episodes : 0;
}

static bool counters_are_sane(const train_counters *k) {
    return vly_is_count(k->steps) && vly_is_count(k->updates) && vly_is_count(k->episodes) &&
           vly_is_count(k->fleet_steps) && vly_is_count(k->fleet_episodes) &&
           k->episodes_shift > -VLY_COUNT_MOST && k->episodes_shift < VLY_COUNT_MOST;
}

/* Optimizers count their steps in whole numbers, and go on from what was saved. */
static vly_status check_step_count(vly_train *t, const vly_buffer *b) {
    int64_t steps = 0;
    if (b->role != VLY_BUFFER_OPTIMIZER || b->dtype != VLY_I64 ||
        vly_buffer_bytes(b) != sizeof steps)
        return VLY_OK;
    VLY_TRY(vly_train_read(t, b, &steps));
    return vly_is_count(steps)
               ? VLY_OK
               : vly_fail(VLY_ECORRUPT, "%s is %lld: no optimizer has made so many steps", b->name,
                          (long long)steps);
}

static vly_status check_optimizers(vly_train *t) {
    const int n = t->algo->buffers(t->algo, NULL, 0);
    vly_buffer *list = calloc((size_t)n + 1, sizeof *list);
    if (!list) return vly_fail(VLY_ENOMEM, "no memory for the list of a run's arrays");
    t->algo->buffers(t->algo, list, n);
    vly_status status = VLY_OK;
    for (int i = 0; i < n && status == VLY_OK; i++) status = check_step_count(t, &list[i]);
    free(list);
    return status;
}

vly_status vly_train_restored(vly_train *t) {
    VLY_TRY(check_optimizers(t));
    VLY_TRY(t->algo->restored(t->algo, t->act));
    if (t->o.eval) return VLY_OK;
    train_counters *k = &t->counters;
    if (k->version != 1)
        return vly_fail(VLY_EVERSION, "the run's counters have version %lld; this program reads 1",
                        (long long)k->version);
    if (!counters_are_sane(k))
        return vly_fail(VLY_ECORRUPT, "the run's counters are negative or out of range");
    for (int i = 0; t->tasks && i < t->o.env->tasks; i++)
        if (!vly_is_count_of_ones(t->tasks[i].episodes))
            return vly_fail(VLY_ECORRUPT, "the episodes of task %d are no number", i);
    VLY_TRY(vly_train_check_changes(t));
    share_counts(t);
    if (k->started == TRAIN_LEARNING && !t->algo->cuts)
        return vly_fail(VLY_ECORRUPT, "the run was saved within an update, which %s does not do",
                        t->algo->name);
    if (k->started && vly_train_has_ranks(t)) k->started = TRAIN_STARTED; /* they act together */
    if (t->o.sync && t->o.sync->rank > 0)
        t->counters.started = 0; /* the saved environments are the first rank's */
    if (k->started) VLY_TRY(t->source->load(t->source, t->pool_state, t->pool_bytes));
    vly_train_restart_rates(t); /* the steps before the resume are not this process's */
    t->dirty = false;
    return VLY_OK;
}
