#include "cpu/fleet/experience_impl.h"
#include <string.h>

/* ---- priorities in the store: exact, for a leaf has at most 24 significant bits ---- */

static vly_status keep_slot(vly_experience *e, shard *d, int32_t at) {
    slot *s = &e->slot[at];
    const int n = transitions_of(s);
    for (int i = 0; i < n; i++)
        e->raw[i] = (vly_real)((double)e->tree.sum[0][leaf_of(e, at) + i] / VLY_PRIORITY_ONE);
    s->dirty = false;
    return vly_store_set(d->store, vly_shard_priority_key(s->view.head.life, s->view.head.seq).text,
                         e->raw, (size_t)n * sizeof *e->raw);
}

static vly_status keep_shard(vly_experience *e, shard *d) {
    int queued = 0;
    for (int64_t i = 0; i < d->count; i++) {
        const int32_t at = *order_at(e, d, i);
        if (!e->slot[at].dirty || !e->slot[at].live || !e->slot[at].stored) continue;
        if (queued++ == 0) VLY_TRY(vly_store_begin(d->store));
        VLY_TRY(keep_slot(e, d, at));
        if (queued < 4 * AT_ONCE) continue;
        VLY_TRY(vly_store_end(d->store));
        queued = 0;
    }
    return queued ? vly_store_end(d->store) : VLY_OK;
}

vly_status vly_experience_keep(vly_experience *e) {
    for (int i = 0; i < e->o.shards; i++) VLY_TRY(keep_shard(e, &e->shards[i]));
    return VLY_OK;
}

/* Reads the priorities of n slots from position `from` of a shard's order. */
static vly_status load_priorities(vly_experience *e, shard *d, int64_t from, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const vly_block_head *h = &e->slot[*order_at(e, d, from + i)].view.head;
        VLY_TRY(vly_store_ask(d->store, vly_shard_priority_key(h->life, h->seq).text, 0, 0));
    }
    for (int64_t i = 0; i < n; i++) {
        const int32_t at = *order_at(e, d, from + i);
        const slot *s = &e->slot[at];
        const void *data;
        size_t bytes;
        VLY_TRY(vly_store_answer(d->store, &data, &bytes));
        if (!s->live || bytes != (size_t)transitions_of(s) * sizeof *e->raw)
            continue; /* never sampled: its first priorities stay */
        memcpy(e->raw, data, bytes);
        for (int k = 0; k < transitions_of(s); k++) e->leaf[k] = (int32_t)(leaf_of(e, at) + k);
        VLY_TRY(
            e->c->tree_set(e->q, &e->tree, transitions_of(s), e->leaf, e->raw, &e->hyper, true));
    }
    return VLY_OK;
}

/* ---- what the store holds ---- */

typedef struct {
    vly_experience *e;
    shard *d;
    int64_t known; /* blocks in the shard's order before the sync */
    int64_t at;    /* number of the block being read */
    vly_status status;
} survey;

static int64_t find_known_block(const survey *v, const vly_block_head *h) {
    for (int64_t i = 0; i < v->known; i++) {
        const slot *s = &v->e->slot[*order_at(v->e, v->d, i)];
        if (s->view.head.life == h->life && s->view.head.seq == h->seq) return i;
    }
    return -1;
}

/* Marks blocks that the learner knows. They must come first in the list, because a restarted
 * store holds the older part of its data. */
static vly_status mark_known(void *arg, const void *data, size_t bytes) {
    survey *v = arg;
    vly_block_head h;
    if (bytes < sizeof h) return VLY_OK;
    memcpy(&h, data, sizeof h);
    const int64_t i = find_known_block(v, &h);
    if (i >= 0 && v->at == v->d->next) {
        v->e->slot[*order_at(v->e, v->d, i)].stored = true;
        v->d->next++;
    } else if (i >= 0) {
        (void)vly_experience_withdraw(v->e, *order_at(v->e, v->d, i)); /* it is read again */
    }
    v->at++;
    return VLY_OK;
}

/* Drops blocks that the store has lost, except those that the cache holds whole. These move to
 * the front of the order: they are evicted without the store. */
static void drop_lost(vly_experience *e, shard *d) {
    int64_t kept = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < d->count; i++) {
            const int32_t at = *order_at(e, d, i);
            const slot *s = &e->slot[at];
            if (s->stored != (pass == 1)) continue;
            if (s->stored || (s->live && in_cache(e, s))) {
                e->leaf[kept++] = at;
                continue;
            }
            e->report.lost += vly_experience_withdraw(e, at);
            e->free_slot[e->free_count++] = at;
        }
    for (int64_t i = 0; i < kept; i++) *order_at(e, d, i) = e->leaf[i];
    d->count = kept;
}

static vly_status sync_shard(vly_experience *e, int number) {
    shard *d = &e->shards[number];
    survey v = {.e = e, .d = d, .known = d->count};
    int count;
    VLY_TRY(vly_shard_read_state(d->store, &d->state));
    d->connection = vly_store_get_traffic(d->store).reconnects;
    d->next = v.at = d->state.head;
    for (int64_t i = 0; i < d->count; i++) e->slot[*order_at(e, d, i)].stored = false;
    while (d->count > 0 && v.at < d->state.tail) {
        VLY_TRY(vly_shard_notices(d->store, &d->state, v.at, AT_ONCE, mark_known, &v, &count));
        if (count == 0) break;
    }
    drop_lost(e, d);
    int64_t read = 0;
    const int64_t seen = d->state.seen;
    while (d->next < d->state.tail) { /* blocks counted before are not counted again */
        const bool new_ones = d->next >= seen;
        const int64_t most = new_ones ? d->state.tail - d->next : seen - d->next;
        VLY_TRY(vly_experience_read_shard(e, number, most < AT_ONCE ? (int)most : AT_ONCE, new_ones,
                                          &count));
        if (count == 0) break;
        read += count;
    }
    for (int64_t i = read < d->count ? d->count - read : 0; i < d->count; i += AT_ONCE)
        VLY_TRY(load_priorities(e, d, i, d->count - i < AT_ONCE ? d->count - i : AT_ONCE));
    return vly_shard_set_seen(d->store, d->next);
}

vly_status vly_experience_sync(vly_experience *e) {
    e->draws = 0;
    for (int i = 0; i < e->o.shards; i++) vly_store_forget(e->shards[i].store);
    for (int i = 0; i < e->o.shards; i++) VLY_TRY(sync_shard(e, i));
    return VLY_OK;
}
