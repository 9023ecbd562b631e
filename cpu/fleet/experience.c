#include "cpu/fleet/experience_impl.h"
#include <stdlib.h>
#include <string.h>
#include "cpu/ops/compute_cpu.h"

/* ---- slots ---- */

static int64_t live_transitions(const vly_experience *e, int32_t at) {
    int64_t n = 0;
    for (int i = 0; i < transitions_of(&e->slot[at]); i++)
        n += e->tree.sum[0][leaf_of(e, at) + i] != 0;
    return n;
}

int64_t vly_experience_withdraw(vly_experience *e, int32_t at) {
    slot *s = &e->slot[at];
    if (!s->live) return 0;
    const int64_t n = live_transitions(e, at);
    (void)e->c->tree_insert(e->q, &e->tree, leaf_of(e, at), transitions_of(s), NULL);
    s->live = s->dirty = false;
    e->report.live -= n;
    return n;
}

static vly_status evict_oldest(vly_experience *e, shard *d) {
    const int32_t at = *order_at(e, d, 0);
    const slot *s = &e->slot[at];
    if (s->stored) {
        VLY_TRY(
            vly_shard_evict(d->store, d->state.head, s->view.head.life, s->view.head.seq, s->cost));
        d->state.head++;
        d->state.bytes -= s->cost;
    }
    e->report.evicted += vly_experience_withdraw(e, at);
    d->first = (d->first + 1) % e->slots, d->count--;
    e->free_slot[e->free_count++] = at;
    return VLY_OK;
}

static shard *fullest_shard(vly_experience *e) {
    shard *most = &e->shards[0];
    for (int i = 1; i < e->o.shards; i++)
        if (e->shards[i].count > most->count) most = &e->shards[i];
    return most;
}

/* ---- blocks come in ---- */

/* Sequence numbers that were skipped belong to blocks that the store lost. */
static void count_missed(vly_experience *e, const vly_block_head *h) {
    actor_seen *a = NULL;
    for (int i = 0; i < e->actor_count && !a; i++)
        if (e->actors[i].life == h->life) a = &e->actors[i];
    if (!a) {
        a = &e->actors[e->actor_count < ACTORS ? e->actor_count++ : (int)(h->life % ACTORS)];
        /* a restarted learner counts from this block */
        *a = (actor_seen){h->life, h->seq - 1};
    }
    if (h->seq > a->seq + 1) e->report.missed += (int64_t)(h->seq - a->seq - 1);
    if (h->seq > a->seq) a->seq = h->seq;
}

/* Sets the first priorities, which the actor computed. Rows without an action get none. */
static vly_status insert_priorities(vly_experience *e, int32_t at) {
    const slot *s = &e->slot[at];
    const int n = transitions_of(s);
    for (int i = 0; i < n; i++) {
        const bool none = s->view.record[i].action < 0;
        e->flags[i] = none ? VLY_ROW_RESET : 0;
        e->report.live += !none;
        e->leaf[i] = (int32_t)(leaf_of(e, at) + i);
        e->raw[i] = (vly_real)s->view.record[i].priority;
    }
    VLY_TRY(e->c->tree_insert(e->q, &e->tree, leaf_of(e, at), n, e->flags));
    return e->c->tree_set(e->q, &e->tree, n, e->leaf, e->raw, &e->hyper, false);
}

static void report_block(vly_experience *e, const slot *s) {
    e->report.blocks++, e->report.bytes += s->cost;
    for (int i = 0; i < transitions_of(s); i++)
        e->report.transitions += s->view.record[i].action >= 0;
    count_missed(e, &s->view.head);
    if (e->o.on_block) e->o.on_block(e->o.arg, &s->view.head);
}

/* Gives a notice a slot at the end of its shard's order. An invalid notice gets one too, so that
 * order and list keep the same length; it has no transitions and is evicted like the others. */
static vly_status read_notice(void *arg, const void *data, size_t bytes) {
    vly_experience *e = arg;
    shard *d = &e->shards[e->reading.shard];
    while (e->free_count == 0) VLY_TRY(evict_oldest(e, fullest_shard(e)));
    const int32_t at = e->free_slot[--e->free_count];
    slot *s = &e->slot[at];
    *order_at(e, d, d->count++) = at;
    *s = (slot){.stored = true, .cached = -1, .shard = e->reading.shard};
    uint8_t *mine = e->notices + (size_t)at * e->notice_most;
    vly_status status = bytes <= e->notice_most ? VLY_OK : VLY_ECORRUPT;
    if (status == VLY_OK) memcpy(mine, data, bytes);
    if (status == VLY_OK) status = vly_block_check(mine, bytes, &e->o.shape, &s->view);
    d->next++;
    if (status != VLY_OK) {
        *s = (slot){.stored = true, .cached = -1, .shard = e->reading.shard};
        e->report.corrupt++;
        return VLY_OK;
    }
    s->live = true;
    s->cost = vly_shard_cost(&s->view.head, bytes);
    e->reading.fresh[e->reading.n++] = at;
    VLY_TRY(insert_priorities(e, at));
    if (e->reading.count) report_block(e, s);
    return VLY_OK;
}

/* Fetches the frames of these slots into the cache, replacing the oldest there. */
static vly_status cache_slots(vly_experience *e, vly_store *store, const int *which, int n) {
    if (e->o.cache_bytes == 0) return VLY_OK;
    for (int i = 0; i < n; i++) {
        const vly_block_head *h = &e->slot[which[i]].view.head;
        VLY_TRY(vly_store_ask(store, vly_shard_data_key(h->life, h->seq).text, 0, 0));
    }
    for (int i = 0; i < n; i++) {
        slot *s = &e->slot[which[i]];
        const void *data;
        size_t bytes;
        VLY_TRY(vly_store_answer(store, &data, &bytes));
        if (bytes != s->view.head.data_bytes || (int64_t)bytes > e->o.cache_bytes) continue;
        const int64_t room = e->o.cache_bytes - e->cache_end % e->o.cache_bytes;
        if ((int64_t)bytes > room) e->cache_end += room; /* a block does not wrap around the end */
        s->cached = e->cache_end;
        memcpy(cache_at(e, s->cached), data, bytes);
        e->cache_end += (int64_t)bytes;
    }
    return VLY_OK;
}

vly_status vly_experience_read_shard(vly_experience *e, int number, int most, bool new_ones,
                                     int *count) {
    shard *d = &e->shards[number];
    e->reading.shard = number, e->reading.count = new_ones, e->reading.n = 0;
    VLY_TRY(vly_shard_notices(d->store, &d->state, d->next, most < AT_ONCE ? most : AT_ONCE,
                              read_notice, e, count));
    if (*count == 0) return VLY_OK;
    if (new_ones) VLY_TRY(vly_shard_set_seen(d->store, d->next));
    return cache_slots(e, d->store, e->reading.fresh, e->reading.n);
}

static bool shard_is_full(const vly_experience *e, const shard *d, int64_t fresh) {
    return d->count > 0 &&
           (d->state.bytes > e->o.shard_bytes - e->o.shard_bytes / 8 || e->free_count < fresh);
}

/* Evicts until an eighth of the budget and `fresh` slots are free. All evictions are sent as one
 * batch. */
static vly_status make_room(vly_experience *e, shard *d, int64_t fresh) {
    if (!shard_is_full(e, d, fresh)) return VLY_OK;
    VLY_TRY(vly_store_begin(d->store));
    vly_status status = VLY_OK;
    while (shard_is_full(e, d, fresh) && status == VLY_OK) status = evict_oldest(e, d);
    const vly_status sent = vly_store_end(d->store);
    return status == VLY_OK ? sent : status;
}

vly_status vly_experience_shrink(vly_experience *e) {
    int64_t bytes = 0, evicted = 0;
    for (int i = 0; i < e->o.shards; i++) bytes += e->shards[i].state.bytes;
    e->o.shard_bytes = bytes / e->o.shards;
    for (int i = 0; i < e->o.shards; i++) {
        evicted -= e->shards[i].count;
        VLY_TRY(make_room(e, &e->shards[i], 0));
        evicted += e->shards[i].count;
    }
    return evicted ? VLY_OK
                   : vly_fail(VLY_ENOSPACE, "the store is out of memory, and this run has no "
                                            "experience to evict: raise its maxmemory");
}

vly_status vly_experience_take(vly_experience *e, int most, int *blocks) {
    *blocks = 0;
    e->report.waiting = e->report.stored_bytes = 0;
    for (int i = 0; i < e->o.shards; i++) {
        shard *d = &e->shards[i];
        vly_shard_state now;
        int count = 0;
        VLY_TRY(vly_shard_read_state(d->store, &now));
        const bool again = vly_store_get_traffic(d->store).reconnects != d->connection;
        if (again || now.head != d->state.head || now.tail < d->next)
            return vly_experience_sync(e); /* the store may have lost data */
        d->state = now;
        const int64_t waiting = now.tail - d->next, fresh = waiting < AT_ONCE ? waiting : AT_ONCE;
        VLY_TRY(make_room(e, d, fresh < e->slots / 2 ? fresh : e->slots / 2));
        if (now.tail > d->next && most > *blocks)
            VLY_TRY(vly_experience_read_shard(e, i, most - *blocks, true, &count));
        *blocks += count;
        e->report.waiting += d->state.tail - d->next;
        e->report.stored_bytes += d->state.bytes;
    }
    return VLY_OK;
}

/* ---- life ---- */

void vly_experience_get_report(const vly_experience *e, vly_experience_report *out) {
    *out = e->report;
}
const vly_tree *vly_experience_tree(const vly_experience *e) {
    return &e->tree;
}
const int32_t *vly_experience_rows(const vly_experience *e) {
    return e->row;
}

bool vly_experience_where(const vly_experience *e, int64_t leaf, uint64_t *life, uint64_t *seq,
                          int *transition) {
    const slot *s = slot_of(e, (int32_t)leaf, transition);
    if (!s->live || *transition >= transitions_of(s)) return false;
    *life = s->view.head.life, *seq = s->view.head.seq;
    return true;
}

void vly_experience_close(vly_experience *e) {
    if (!e) return;
    for (int i = 0; e->shards && i < e->o.shards; i++) {
        vly_store_close(e->shards[i].store);
        free(e->shards[i].order);
    }
    void *const all[] = {e->shards,   e->slot, e->free_slot, e->notices, e->cache, e->row,
                         e->drawn[0], e->leaf, e->weight[0], e->raw,     e->flags, e->tree_memory};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    if (e->q) e->c->queue_destroy(e->q);
    if (e->c) e->c->destroy(e->c);
    free(e);
}

static vly_status allocate_experience(vly_experience *e) {
    const size_t slots = (size_t)e->slots, stride = (size_t)e->stride, batch = (size_t)e->o.batch;
    const size_t leaves = stride > slots ? stride : slots;
    VLY_TRY(vly_tree_plan(&e->tree, e->stride * e->slots));
    size_t words = VLY_TREE_RADIX;
    for (int l = 0; l < e->tree.levels; l++) words += (size_t)e->tree.width[l];
    e->tree_memory = aligned_alloc(256, (words * sizeof(uint64_t) + 255) / 256 * 256);
    e->shards = calloc((size_t)e->o.shards, sizeof *e->shards);
    e->slot = calloc(slots, sizeof *e->slot), e->free_slot = calloc(slots, sizeof *e->free_slot);
    e->notice_most = (vly_block_notice_most(&e->o.shape) + 63) / 64 * 64;
    e->notices = aligned_alloc(64, slots * e->notice_most);
    e->cache = e->o.cache_bytes ? malloc((size_t)e->o.cache_bytes) : NULL;
    e->row = calloc(batch, sizeof *e->row), e->drawn[0] = calloc(DRAWS * batch, sizeof *e->row),
    e->leaf = calloc(leaves, sizeof *e->leaf);
    e->weight[0] = calloc(DRAWS * batch, sizeof *e->raw), e->raw = calloc(stride, sizeof *e->raw),
    e->flags = calloc(stride, 1);
    if (!e->tree_memory || !e->shards || !e->slot || !e->free_slot || !e->notices ||
        (e->o.cache_bytes && !e->cache) || !e->row || !e->drawn[0] || !e->leaf || !e->weight[0] ||
        !e->raw || !e->flags)
        return vly_fail(VLY_ENOMEM,
                        "no memory for experience of %lld transitions (%zu bytes of notices, a "
                        "cache of %lld): lower --replay.capacity or --apex.cache",
                        (long long)e->o.capacity, slots * e->notice_most,
                        (long long)e->o.cache_bytes);
    for (int i = 1; i < DRAWS; i++)
        e->drawn[i] = e->drawn[0] + (size_t)i * batch,
        e->weight[i] = e->weight[0] + (size_t)i * batch;
    memset(e->tree_memory, 0, words * sizeof(uint64_t));
    uint64_t *at = e->tree_memory;
    for (int l = 0; l < e->tree.levels; at += e->tree.width[l++]) e->tree.sum[l] = at;
    e->tree.total = at;
    for (int32_t i = 0; i < e->slots; i++) e->free_slot[e->free_count++] = e->slots - 1 - i;
    return VLY_OK;
}

static vly_status open_shards(vly_experience *e) {
    VLY_TRY(vly_compute_create_cpu(&e->c, 1));
    VLY_TRY(e->c->queue_create(e->c, VLY_QUEUE_LEARN, &e->q));
    VLY_TRY(allocate_experience(e));
    for (int i = 0; i < e->o.shards; i++) {
        VLY_TRY(vly_store_open(&e->shards[i].store, e->o.url, vly_shard_run(e->o.run, i).text,
                               &e->o.store));
        if (e->o.fresh) VLY_TRY(vly_shard_clear(e->shards[i].store));
        e->shards[i].order = calloc((size_t)e->slots, sizeof *e->shards[i].order);
        if (!e->shards[i].order) return vly_fail(VLY_ENOMEM, "no memory for experience");
    }
    return vly_experience_sync(e);
}

vly_status vly_experience_open(vly_experience **out, const vly_experience_options *o) {
    const int64_t stride = (int64_t)o->shape.lanes_most * o->shape.steps_most,
                  slots = stride > 0 ? (o->capacity + stride - 1) / stride : 0;
    if (o->shards < 1 || o->shards > SHARDS_MOST || o->batch < 1 || slots < o->shards ||
        slots * stride > INT32_MAX)
        return vly_fail(VLY_EINVAL,
                        "experience of %lld transitions in blocks of %lld, %d shards: the capacity "
                        "must be between one block per shard and 2^31 transitions",
                        (long long)o->capacity, (long long)stride, o->shards);
    if (o->shape.n_step < 1 || o->shape.n_step > VLY_BLOCK_NSTEP_MOST)
        return vly_fail(VLY_EINVAL, "--dqn.n_step %d: at most %d with experience in a store",
                        o->shape.n_step, VLY_BLOCK_NSTEP_MOST);
    vly_experience *e = calloc(1, sizeof *e);
    if (!e) return vly_fail(VLY_ENOMEM, "no memory for experience");
    e->o = *o;
    e->stride = stride, e->slots = (int32_t)slots;
    e->rng.seed = o->seed;
    e->hyper = (vly_hyper){.alpha = o->alpha, .priority_eps = o->priority_eps};
    const vly_status status = open_shards(e);
    if (status != VLY_OK) {
        vly_experience_close(e);
        return status;
    }
    *out = e;
    return VLY_OK;
}
