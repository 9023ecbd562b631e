#include "cpu/fleet/experience_impl.h"
#include <string.h>

/* The frames of a transition: its history, itself, and up to its bootstrap row. */
static void frames_of(const slot *s, int transition, int *lane, int *first, int *count) {
    const int steps = (int)s->view.head.steps;
    *lane = transition / steps, *first = transition % steps;
    *count = (int)s->view.head.history + 1 + s->view.record[transition].boot;
}

static shard *shard_of(const vly_experience *e, const slot *s) {
    return &e->shards[s->shard];
}

vly_status vly_experience_draw(vly_experience *e, float beta) {
    if (e->draws == DRAWS)
        return vly_fail(VLY_EINVAL, "experience: %d batches are drawn already; fetch one first",
                        DRAWS);
    const int mine = (e->oldest + e->draws) % DRAWS;
    const int32_t *drawn = e->drawn[mine];
    e->hyper.beta = beta;
    VLY_TRY(e->c->tree_sample(e->q, &e->tree, e->o.batch, &e->rng, &e->hyper, e->drawn[mine],
                              e->weight[mine]));
    e->rng.step++, e->draws++;
    for (int i = 0; i < e->o.batch; i++) {
        int transition, lane, first, count;
        size_t offset, bytes;
        if (drawn[i] < 0) continue;
        const slot *s = slot_of(e, drawn[i], &transition);
        if (in_cache(e, s)) continue;
        frames_of(s, transition, &lane, &first, &count);
        vly_block_range(&s->view, lane, first, count, &offset, &bytes);
        VLY_TRY(vly_store_ask(shard_of(e, s)->store,
                              vly_shard_data_key(s->view.head.life, s->view.head.seq).text, offset,
                              bytes));
    }
    for (int i = 0; i < e->o.shards; i++) VLY_TRY(vly_store_asked(e->shards[i].store));
    return VLY_OK;
}

static vly_status write_sample(vly_experience *e, vly_feed *f, int i) {
    int transition, lane, first, count;
    size_t offset, bytes;
    const void *data;
    const int32_t at = vly_feed_row(f, i);
    const slot *s = slot_of(e, e->row[i], &transition);
    const vly_block_record *r = &s->view.record[transition];
    frames_of(s, transition, &lane, &first, &count);
    vly_block_range(&s->view, lane, first, count, &offset, &bytes);
    if (in_cache(e, s)) {
        data = cache_at(e, s->cached) + offset;
        e->report.from_cache++;
    } else {
        VLY_TRY(vly_store_answer(shard_of(e, s)->store, &data, &bytes));
    }
    VLY_TRY(vly_block_frames(&s->view, lane, first, count, data, bytes,
                             f->host.frames + (size_t)i * (size_t)f->window * f->obs.bytes));
    f->host.age[at] = r->age;
    f->host.age[at + r->boot] = (uint8_t)(r->age + r->boot < 255 ? r->age + r->boot : 255);
    f->host.bootstrap_row[i] = at + r->boot;
    f->host.action[i] = r->action, f->host.n_return[i] = r->n_return,
    f->host.discount[i] = r->discount;
    e->report.sampled++;
    return VLY_OK;
}

static void clear_sample(vly_feed *f, int i) {
    f->host.bootstrap_row[i] = vly_feed_row(f, i);
    f->host.action[i] = -1;
    f->host.n_return[i] = f->host.discount[i] = f->host.weight[i] = 0;
}

vly_status vly_experience_fetch(vly_experience *e, vly_feed *f) {
    int transition;
    if (e->draws == 0) return vly_fail(VLY_EINVAL, "experience: nothing was drawn");
    const vly_real *weight = e->weight[e->oldest];
    memcpy(e->row, e->drawn[e->oldest], (size_t)e->o.batch * sizeof *e->row);
    e->oldest = (e->oldest + 1) % DRAWS, e->draws--;
    for (int i = 0; i < e->o.batch; i++) {
        f->host.row[i] = vly_feed_row(f, i);
        clear_sample(f, i);
        const vly_status status = e->row[i] < 0 ? VLY_OK : write_sample(e, f, i);
        if (status == VLY_EPEER || status == VLY_EIO) return status;
        if (status == VLY_OK) f->host.weight[i] = e->row[i] < 0 ? 0 : weight[i];
        if (status == VLY_OK) continue;
        const slot *s = slot_of(e, e->row[i], &transition);
        /* the store has lost the frames, or they are damaged */
        const int64_t gone = vly_experience_withdraw(e, (int32_t)(s - e->slot));
        e->report.lost += gone;
    }
    return VLY_OK;
}

vly_status vly_experience_learned(vly_experience *e, const vly_feed *f) {
    int transition;
    for (int i = 0; i < e->o.batch; i++)
        if (e->row[i] >= 0) slot_of(e, e->row[i], &transition)->dirty = true;
    return e->c->tree_set(e->q, &e->tree, e->o.batch, e->row, f->host.td_abs, &e->hyper, false);
}
