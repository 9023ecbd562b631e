#include "cpu/dist/dist_tabular.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/clock.h"
#include "common/philox.h"

enum { BLOCK = 32, EVERY = 64, BLOCK_MOST = 4096, KEEP = 100000, WAIT_MS = 200, ROUND_MS = 10000, TTL_MS = 5000, RETURNS = 16 };
enum { MAGIC = 0x31544c56, MAGIC_BLOCK = 0x31584c56 };

const char *vly_tab_scheme_name(vly_tab_scheme scheme) {
    static const char *const names[] = {"share", "shard-state", "shard-time", "merge-mean", "merge-max", "merge-visits", "gossip", "allreduce"};
    return names[scheme];
}

/* A table on the wire: this, then (states x actions) floats, visits and, for shards, a byte per pair: owned. */
typedef struct {
    uint32_t magic;
    int32_t rank, states, actions, finished, returns;
    int64_t round, steps, episodes;
    uint64_t sent, received, shared;
    float score[RETURNS];
} wire_table;

/* Transitions on the wire: this, then count of them. */
typedef struct {
    uint32_t magic;
    int32_t rank, count, spare;
} wire_block;

static size_t table_bytes(int states, int actions) {
    return sizeof(wire_table) + (size_t)states * (size_t)actions * (sizeof(float) + sizeof(uint32_t) + 1);
}

struct vly_tab {
    vly_sync sync;
    vly_store *store;
    vly_tab_options o;
    int states, actions;
    uint64_t calls;               /* of merge */
    wire_table head;              /* round, steps, episodes ... of this worker */
    bool stopped;
    vly_real *table;              /* the learner's, borrowed from the last merge */
    uint32_t *visits;
    unsigned char *message;       /* one table */
    unsigned char *other;         /* another's */
    int8_t *owned;                /* (states, actions): 1 mine, -1 another's, 0 not asked yet */
    vly_transition *in;           /* what comes back from exchange */
    int in_count, in_room;
    vly_transition *out;          /* (world, block): on their way */
    int *out_count;               /* (world) */
    char cursor[VLY_STORE_CURSOR];
};

/* ---- transitions ---- */

static vly_status keep_in(vly_tab *t, const vly_transition *x, int n) {
    if (t->in_count + n > t->in_room) {
        const int room = 2 * (t->in_count + n);
        vly_transition *more = realloc(t->in, (size_t)room * sizeof *more);
        if (!more) return vly_fail(VLY_ENOMEM, "tabular: out of memory for %d transitions", room);
        t->in = more, t->in_room = room;
    }
    memcpy(t->in + t->in_count, x, (size_t)n * sizeof *x);
    t->in_count += n;
    return VLY_OK;
}

static vly_status take_block(void *arg, const void *data, size_t bytes) {
    vly_tab *t = arg;
    wire_block head;
    if (bytes < sizeof head) return VLY_OK; /* not ours: ignored */
    memcpy(&head, data, sizeof head);
    if (head.magic != MAGIC_BLOCK || head.count < 0 || head.count > BLOCK_MOST || bytes != sizeof head + (size_t)head.count * sizeof(vly_transition))
        return VLY_OK;
    if (t->o.scheme == VLY_TAB_SHARE && head.rank == t->o.rank) return VLY_OK; /* learned from already */
    vly_transition block[BLOCK_MOST];
    memcpy(block, (const unsigned char *)data + sizeof head, (size_t)head.count * sizeof block[0]);
    return keep_in(t, block, head.count);
}

static vly_status send_block(vly_tab *t, int to) {
    unsigned char message[sizeof(wire_block) + BLOCK_MOST * sizeof(vly_transition)];
    const wire_block head = {MAGIC_BLOCK, t->o.rank, t->out_count[to], 0};
    const size_t bytes = sizeof head + (size_t)head.count * sizeof(vly_transition);
    char inbox[32];
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, t->out + (size_t)to * (size_t)t->o.block, (size_t)head.count * sizeof(vly_transition));
    t->head.shared += (uint64_t)head.count;
    t->out_count[to] = 0;
    if (t->o.scheme == VLY_TAB_SHARE) return vly_store_append(t->store, "transitions", message, bytes, KEEP);
    snprintf(inbox, sizeof inbox, "inbox:%d", to);
    return vly_store_push(t->store, inbox, message, bytes, 0, NULL);
}

static vly_status read_blocks(vly_tab *t) {
    int count;
    char inbox[32];
    if (t->o.scheme == VLY_TAB_SHARE) return vly_store_read(t->store, "transitions", t->cursor, 1000, 0, take_block, t, &count);
    snprintf(inbox, sizeof inbox, "inbox:%d", t->o.rank);
    return vly_store_pop_many(t->store, inbox, 1000, take_block, t, &count);
}

/* Contiguous ranges of pairs. */
static int state_owner(const vly_tab *t, int64_t pair) { return (int)(pair * t->o.world / ((int64_t)t->states * t->actions)); }

static vly_status owner_of(vly_tab *t, const vly_transition *x, int *owner) {
    const int64_t pair = (int64_t)x->state * t->actions + x->action;
    if (t->o.scheme == VLY_TAB_SHARD_STATE || !t->owned) {
        *owner = t->states ? state_owner(t, pair) : t->o.rank;
        return VLY_OK;
    }
    if (t->owned[pair] == 0) { /* met for the first time: mine, unless another was faster */
        char key[48];
        int64_t who;
        snprintf(key, sizeof key, "owner:%lld", (long long)pair);
        VLY_TRY(vly_store_claim(t->store, key, t->o.rank, &who));
        if (who < 0 || who >= t->o.world) who = t->o.rank;
        t->owned[pair] = (int8_t)(who == t->o.rank ? 1 : -1 - (int)(who > 120 ? 120 : who));
    }
    *owner = t->owned[pair] == 1 ? t->o.rank : -1 - t->owned[pair];
    return VLY_OK;
}

static vly_status exchange(vly_sync *s, const vly_transition *mine, int n, const vly_transition **theirs, int *count) {
    vly_tab *t = (vly_tab *)s;
    bool sent = false;
    t->in_count = 0;
    for (int i = 0; i < n; i++) {
        int to = 0;
        if (t->o.scheme != VLY_TAB_SHARE) VLY_TRY(owner_of(t, &mine[i], &to));
        if (t->o.scheme == VLY_TAB_SHARE || to == t->o.rank) VLY_TRY(keep_in(t, &mine[i], 1));
        if (t->o.scheme != VLY_TAB_SHARE && to == t->o.rank) continue;
        t->out[(size_t)to * (size_t)t->o.block + (size_t)t->out_count[to]++] = mine[i];
        if (t->out_count[to] == t->o.block) {
            VLY_TRY(send_block(t, to));
            sent = true;
        }
    }
    if (sent || t->calls % (uint64_t)t->o.block == 0) VLY_TRY(read_blocks(t));
    *theirs = t->in;
    *count = t->in_count;
    return VLY_OK;
}

/* ---- tables ---- */

static void pack(const vly_tab *t, unsigned char *to, const wire_table *head) {
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    unsigned char *values = to + sizeof *head, *visits = values + cells * sizeof(float), *owned = visits + cells * sizeof(uint32_t);
    memcpy(to, head, sizeof *head);
    for (size_t i = 0; i < cells; i++) {
        const float x = (float)t->table[i];
        const bool mine = t->o.scheme == VLY_TAB_SHARD_STATE ? state_owner(t, (int64_t)i) == t->o.rank : t->owned[i] == 1;
        memcpy(values + i * sizeof x, &x, sizeof x);
        memcpy(visits + i * sizeof(uint32_t), &t->visits[i], sizeof(uint32_t));
        owned[i] = mine;
    }
}

static float value_in(const unsigned char *message, size_t i) {
    float x;
    memcpy(&x, message + sizeof(wire_table) + i * sizeof x, sizeof x);
    return x;
}
static uint32_t visits_in(const unsigned char *message, size_t cells, size_t i) {
    uint32_t x;
    memcpy(&x, message + sizeof(wire_table) + cells * sizeof(float) + i * sizeof x, sizeof x);
    return x;
}
static bool owned_in(const unsigned char *message, size_t cells, size_t i) {
    return message[sizeof(wire_table) + cells * (sizeof(float) + sizeof(uint32_t)) + i] != 0;
}

/* Another rank's table into `to`; VLY_ENOTFOUND while it has none. */
static vly_status fetch_table(vly_store *store, const char *key, int states, int actions, unsigned char *to, wire_table *head) {
    const size_t want = table_bytes(states, actions);
    size_t got = 0;
    VLY_TRY(vly_store_get(store, key, to, want, &got));
    memcpy(head, to, sizeof *head);
    if (got != want || head->magic != MAGIC || head->states != states || head->actions != actions)
        return vly_fail(VLY_EVERSION, "%s in the store is of another environment or program", key);
    for (size_t i = 0; i < (size_t)states * (size_t)actions; i++)
        if (!isfinite(value_in(to, i))) return vly_fail(VLY_ECORRUPT, "%s in the store is not finite", key);
    return VLY_OK;
}

static void table_key(char *key, size_t bytes, int rank) { snprintf(key, bytes, "table:%d", rank); }

static vly_status publish(vly_tab *t, bool finished) {
    char key[32];
    const vly_store_traffic traffic = vly_store_get_traffic(t->store);
    t->head.magic = MAGIC, t->head.rank = t->o.rank, t->head.states = t->states, t->head.actions = t->actions;
    t->head.finished = finished, t->head.round++;
    t->head.sent = traffic.sent_bytes, t->head.received = traffic.received_bytes;
    pack(t, t->message, &t->head);
    table_key(key, sizeof key, t->o.rank);
    return vly_store_set(t->store, key, t->message, table_bytes(t->states, t->actions));
}

static void adopt(vly_tab *t, const unsigned char *message) {
    for (size_t i = 0; i < (size_t)t->states * (size_t)t->actions; i++) t->table[i] = value_in(message, i);
}

/* What the others own replaces what I only have a copy of. */
static vly_status adopt_shards(vly_tab *t) {
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    char key[32];
    wire_table head;
    for (int r = 0; r < t->o.world; r++) {
        if (r == t->o.rank) continue;
        table_key(key, sizeof key, r);
        const vly_status status = fetch_table(t->store, key, t->states, t->actions, t->other, &head);
        if (status == VLY_ENOTFOUND) continue;
        VLY_TRY(status);
        for (size_t i = 0; i < cells; i++)
            if (owned_in(t->other, cells, i)) t->table[i] = value_in(t->other, i);
    }
    return VLY_OK;
}

static vly_status gossip(vly_tab *t) {
    if (t->o.world < 2) return VLY_OK;
    const vly_u32x4 r = vly_philox(t->o.seed, VLY_STREAM_TEST, t->calls, (uint32_t)t->o.rank);
    const int other = (t->o.rank + 1 + (int)vly_below(r.v[0], (uint32_t)t->o.world - 1)) % t->o.world;
    char key[32];
    wire_table head;
    table_key(key, sizeof key, other);
    const vly_status status = fetch_table(t->store, key, t->states, t->actions, t->other, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    for (size_t i = 0; i < cells; i++) { /* who has never been there has no say */
        if (visits_in(t->other, cells, i) == 0) continue;
        const vly_real theirs = value_in(t->other, i);
        t->table[i] = t->visits[i] == 0 ? theirs : (t->table[i] + theirs) / 2;
    }
    return VLY_OK;
}

/* Round k: everyone's k-th table, or a later one of who is ahead at its end; who has gone is not waited for. */
static vly_status average_all(vly_tab *t) {
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    const int64_t deadline = vly_now_ms() + ROUND_MS;
    char key[32];
    wire_table head;
    double *sum = calloc(2 * cells, sizeof *sum), *weight = sum + cells;
    if (!sum) return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    for (size_t i = 0; i < cells; i++) { /* who has never been there has no say */
        weight[i] = t->visits[i] > 0;
        sum[i] = weight[i] * (double)t->table[i];
    }
    vly_status status = VLY_OK;
    for (int r = 0; r < t->o.world && status == VLY_OK; r++) {
        if (r == t->o.rank) continue;
        snprintf(key, sizeof key, "round:%lld:%d", (long long)t->head.round, r);
        for (;;) {
            status = fetch_table(t->store, key, t->states, t->actions, t->other, &head);
            if (status != VLY_ENOTFOUND) break;
            char latest[32];
            uint64_t stop = 0;
            size_t got;
            table_key(latest, sizeof latest, r);
            status = fetch_table(t->store, latest, t->states, t->actions, t->other, &head);
            if (status == VLY_OK && head.finished) break; /* its last word */
            if (vly_now_ms() > deadline || vly_store_get(t->store, "stop", &stop, sizeof stop, &got) == VLY_OK) break;
            status = VLY_OK;
            nanosleep(&(struct timespec){0, 500000}, NULL);
        }
        if (status == VLY_ENOTFOUND) status = VLY_OK; /* gone, or never came */
        else if (status == VLY_OK && (head.finished || head.round == t->head.round)) {
            for (size_t i = 0; i < cells; i++) {
                const double say = visits_in(t->other, cells, i) > 0;
                sum[i] += say * (double)value_in(t->other, i);
                weight[i] += say;
            }
        }
    }
    for (size_t i = 0; status == VLY_OK && i < cells; i++)
        if (weight[i] > 0) t->table[i] = (vly_real)(sum[i] / weight[i]);
    free(sum);
    return status;
}

static vly_status publish_round(vly_tab *t) {
    char key[32], old[32];
    snprintf(key, sizeof key, "round:%lld:%d", (long long)t->head.round, t->o.rank);
    snprintf(old, sizeof old, "round:%lld:%d", (long long)t->head.round - 3, t->o.rank);
    VLY_TRY(vly_store_delete(t->store, old));
    return vly_store_set(t->store, key, t->message, table_bytes(t->states, t->actions));
}

static vly_status check_stop(vly_tab *t) {
    uint64_t stop = 0;
    size_t got;
    const vly_status status = vly_store_get(t->store, "stop", &stop, sizeof stop, &got);
    if (status == VLY_OK) t->stopped = true;
    return status == VLY_ENOTFOUND ? VLY_OK : status;
}

/* Until the hub has merged this round: what was merged before would undo what this worker has learned since. Gives up when the hub
 * is silent; then the next round will do. */
static vly_status wait_merged(vly_tab *t) {
    const int64_t deadline = vly_now_ms() + ROUND_MS;
    char list[32];
    snprintf(list, sizeof list, "merged:%d", t->o.rank);
    while (vly_now_ms() < deadline && !t->stopped) {
        const void *token;
        size_t bytes;
        int64_t round = 0;
        const vly_status status = vly_store_pop(t->store, list, WAIT_MS, &token, &bytes);
        if (status == VLY_OK && bytes == sizeof round) memcpy(&round, token, sizeof round);
        if (round >= t->head.round) return VLY_OK;
        if (status != VLY_OK && status != VLY_ENOTFOUND) return status;
        VLY_TRY(check_stop(t));
    }
    return VLY_ENOTFOUND;
}

static vly_status merge_with_hub(vly_tab *t) {
    wire_table head;
    bool accepted;
    VLY_TRY(vly_store_push(t->store, "tables", t->message, table_bytes(t->states, t->actions), 4 * t->o.world, &accepted));
    vly_status status = wait_merged(t);
    if (status == VLY_OK) status = fetch_table(t->store, "merged", t->states, t->actions, t->other, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    adopt(t, t->other);
    return VLY_OK;
}

static vly_status mix_tables(vly_tab *t) {
    switch (t->o.scheme) {
    case VLY_TAB_SHARE: return VLY_OK;
    case VLY_TAB_SHARD_STATE:
    case VLY_TAB_SHARD_TIME: return adopt_shards(t);
    case VLY_TAB_GOSSIP: return gossip(t);
    case VLY_TAB_ALLREDUCE: VLY_TRY(publish_round(t)); return average_all(t);
    default: return merge_with_hub(t);
    }
}

static vly_status grow(vly_tab *t, int states, int actions) {
    t->states = states, t->actions = actions;
    t->message = malloc(table_bytes(states, actions));
    t->other = malloc(table_bytes(states, actions));
    t->owned = calloc((size_t)states * (size_t)actions, 1);
    return t->message && t->other && t->owned ? VLY_OK : vly_fail(VLY_ENOMEM, "tabular: out of memory for %d x %d", states, actions);
}

static vly_status merge(vly_sync *s, int states, int actions, vly_real *table, uint32_t *visits) {
    vly_tab *t = (vly_tab *)s;
    if (t->states == 0) VLY_TRY(grow(t, states, actions));
    t->table = table, t->visits = visits;
    if (++t->calls % (uint64_t)t->o.every) return VLY_OK;
    char name[16], json[96];
    snprintf(name, sizeof name, "t%d", t->o.rank);
    snprintf(json, sizeof json, "{\"role\":\"tabular\",\"scheme\":\"%s\",\"steps\":%lld}", vly_tab_scheme_name(t->o.scheme), (long long)t->head.steps);
    VLY_TRY(vly_store_beat(t->store, name, json, TTL_MS));
    VLY_TRY(publish(t, false));
    VLY_TRY(mix_tables(t));
    return check_stop(t);
}

void vly_tab_note(vly_tab *t, int64_t steps, const double *returns, int count) {
    t->head.steps += steps;
    for (int i = 0; i < count; i++) {
        if (t->head.returns == RETURNS) {
            memmove(t->head.score, t->head.score + 1, (RETURNS - 1) * sizeof t->head.score[0]);
            t->head.returns--;
        }
        t->head.score[t->head.returns++] = (float)returns[i];
        t->head.episodes++;
    }
}

bool vly_tab_stopped(const vly_tab *t) { return t->stopped; }
vly_sync *vly_tab_sync(vly_tab *t) { return &t->sync; }

vly_status vly_tab_finish(vly_tab *t) {
    if (!t->table) return VLY_OK;
    for (int to = 0; to < t->o.world && t->out; to++)
        if (t->out_count[to] > 0) VLY_TRY(send_block(t, to));
    return publish(t, true);
}

vly_status vly_tab_create(vly_tab **out, vly_store *store, const vly_tab_options *options) {
    if (options->world < 1 || options->world > 120 || options->rank < 0 || options->rank >= options->world || options->block > BLOCK_MOST)
        return vly_fail(VLY_EINVAL, "tabular: rank %d of %d nodes (at most 120)", options->rank, options->world);
    vly_tab *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    t->store = store, t->o = *options;
    if (t->o.block < 1) t->o.block = BLOCK;
    if (t->o.every < 1) t->o.every = EVERY;
    strcpy(t->cursor, "0");
    t->out = calloc((size_t)t->o.world * (size_t)t->o.block, sizeof *t->out);
    t->out_count = calloc((size_t)t->o.world, sizeof *t->out_count);
    const bool moves = t->o.scheme == VLY_TAB_SHARE || t->o.scheme == VLY_TAB_SHARD_STATE || t->o.scheme == VLY_TAB_SHARD_TIME;
    t->sync = (vly_sync){.rank = t->o.rank, .world = 1, .exchange = moves ? exchange : NULL, .merge = merge};
    if (!t->out || !t->out_count) {
        vly_tab_destroy(t);
        return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    }
    *out = t;
    return VLY_OK;
}

void vly_tab_destroy(vly_tab *t) {
    if (!t) return;
    free(t->message), free(t->other), free(t->owned), free(t->in), free(t->out), free(t->out_count);
    free(t);
}

/* ---- the hub ---- */

struct vly_tab_hub {
    vly_store *store;
    vly_tab_scheme scheme;
    int world, states, actions;
    unsigned char **tables; /* (world) newest of each rank, NULL before the first */
    wire_table *heads;      /* (world) */
    uint32_t *fresh;        /* (world, cells) visits in the newest table that the one before had not */
    float *kept;            /* (cells) merged so far: stands where nobody has learned anew */
    unsigned char *merged, *incoming;
    int64_t merges;
    bool *pending;          /* (world) waits for the merge of its round */
    int64_t *heard_ms;      /* (world) */
    int64_t polled_ms;
};

static bool has_centre(vly_tab_scheme s) { return s == VLY_TAB_MERGE_MEAN || s == VLY_TAB_MERGE_MAX || s == VLY_TAB_MERGE_VISITS; }

static bool is_shard(vly_tab_scheme s) { return s == VLY_TAB_SHARD_STATE || s == VLY_TAB_SHARD_TIME; }

/* How much rank r's value of a cell counts. Means are over those who have learned something new there: the others
 * only repeat what was merged before, and would hold it back. */
static double weight_of(const vly_tab_hub *h, int r, size_t i, size_t cells) {
    const uint32_t fresh = h->fresh[(size_t)r * cells + i];
    if (is_shard(h->scheme)) return owned_in(h->tables[r], cells, i);
    if (h->scheme == VLY_TAB_MERGE_MEAN) return fresh > 0;
    if (h->scheme == VLY_TAB_MERGE_VISITS) return fresh;
    return visits_in(h->tables[r], cells, i) > 0; /* a zero that nobody learned is no maximum, and no part of a mean */
}

/* One cell of the fleet's table. */
static void combine(const vly_tab_hub *h, size_t i, double *value, uint64_t *visits) {
    const size_t cells = (size_t)h->states * (size_t)h->actions;
    double sum = 0, weight = 0, largest = -INFINITY;
    *visits = 0;
    for (int r = 0; r < h->world; r++) {
        if (!h->tables[r]) continue;
        const double x = (double)value_in(h->tables[r], i), w = weight_of(h, r, i, cells);
        *visits += visits_in(h->tables[r], cells, i);
        sum += w * x, weight += w;
        if (w > 0 && x > largest) largest = x;
    }
    *value = weight <= 0 ? (double)h->kept[i] : h->scheme == VLY_TAB_MERGE_MAX ? largest : sum / weight;
}

static vly_status publish_merged(vly_tab_hub *h) {
    const size_t cells = (size_t)h->states * (size_t)h->actions;
    const wire_table head = {.magic = MAGIC, .rank = -1, .states = h->states, .actions = h->actions, .round = ++h->merges};
    memset(h->merged, 0, table_bytes(h->states, h->actions));
    memcpy(h->merged, &head, sizeof head);
    for (size_t i = 0; i < cells; i++) {
        double value;
        uint64_t visits;
        combine(h, i, &value, &visits);
        const float x = (float)value;
        h->kept[i] = x;
        memcpy(h->merged + sizeof head + i * sizeof x, &x, sizeof x);
    }
    return vly_store_set(h->store, "merged", h->merged, table_bytes(h->states, h->actions));
}

static vly_status hear(vly_tab_hub *h, const unsigned char *message, const wire_table *head) {
    const int r = head->rank;
    if (r < 0 || r >= h->world || head->returns < 0 || head->returns > RETURNS) return VLY_OK;
    const size_t bytes = table_bytes(h->states, h->actions), cells = (size_t)h->states * (size_t)h->actions;
    if (h->tables[r] && head->round == h->heads[r].round && head->finished == h->heads[r].finished) return VLY_OK; /* heard already */
    for (size_t i = 0; i < cells; i++) {
        const uint32_t now = visits_in(message, cells, i), before = h->tables[r] ? visits_in(h->tables[r], cells, i) : 0;
        h->fresh[(size_t)r * cells + i] = now >= before ? now - before : now; /* fewer: it was started again */
    }
    if (!h->tables[r]) h->tables[r] = malloc(bytes);
    if (!h->tables[r]) return vly_fail(VLY_ENOMEM, "tabular: out of memory for %d tables", h->world);
    memcpy(h->tables[r], message, bytes);
    h->heads[r] = *head;
    h->heard_ms[r] = vly_now_ms();
    return VLY_OK;
}

/* Everyone's newest table, a few times a second: progress, and the fleet's table where there is no centre. */
static vly_status poll_tables(vly_tab_hub *h) {
    char key[32];
    wire_table head;
    for (int r = 0; r < h->world; r++) {
        table_key(key, sizeof key, r);
        const vly_status status = fetch_table(h->store, key, h->states, h->actions, h->incoming, &head);
        if (status == VLY_ENOTFOUND) continue;
        VLY_TRY(status);
        VLY_TRY(hear(h, h->incoming, &head));
    }
    return VLY_OK;
}

/* A round is over when everyone who lives and has not finished has brought its table: each visit counts once, in the
 * round that it was made in. */
static vly_status close_round(vly_tab_hub *h) {
    int waiting = 0;
    for (int r = 0; r < h->world; r++) {
        const bool lives = h->tables[r] && !h->heads[r].finished && vly_now_ms() - h->heard_ms[r] < TTL_MS;
        if (lives && !h->pending[r]) return VLY_OK;
        waiting += h->pending[r];
    }
    if (waiting == 0) return VLY_OK;
    VLY_TRY(publish_merged(h));
    memset(h->fresh, 0, (size_t)h->world * (size_t)h->states * (size_t)h->actions * sizeof *h->fresh);
    for (int r = 0; r < h->world; r++) {
        char list[32];
        if (!h->pending[r]) continue;
        h->pending[r] = false;
        snprintf(list, sizeof list, "merged:%d", r);
        VLY_TRY(vly_store_delete(h->store, list));
        VLY_TRY(vly_store_push(h->store, list, &h->heads[r].round, sizeof h->heads[r].round, 0, NULL));
    }
    return VLY_OK;
}

vly_status vly_tab_hub_serve(vly_tab_hub *h, int wait_ms) {
    const void *message;
    size_t bytes;
    if (vly_now_ms() - h->polled_ms >= 100) {
        VLY_TRY(poll_tables(h));
        h->polled_ms = vly_now_ms();
    }
    const vly_status status = vly_store_pop(h->store, "tables", wait_ms, &message, &bytes);
    if (status == VLY_ENOTFOUND) return close_round(h);
    VLY_TRY(status);
    wire_table head;
    if (bytes != table_bytes(h->states, h->actions)) return VLY_OK;
    memcpy(&head, message, sizeof head);
    if (head.magic != MAGIC || head.states != h->states || head.actions != h->actions) return VLY_OK;
    VLY_TRY(hear(h, message, &head));
    if (has_centre(h->scheme) && head.rank >= 0 && head.rank < h->world) h->pending[head.rank] = true;
    return close_round(h);
}

vly_status vly_tab_hub_stop(vly_tab_hub *h) { return vly_store_set(h->store, "stop", "1", 1); }

vly_status vly_tab_hub_table(vly_tab_hub *h, vly_real *table, uint32_t *visits) {
    VLY_TRY(poll_tables(h));
    for (size_t i = 0; i < (size_t)h->states * (size_t)h->actions; i++) {
        double value;
        uint64_t seen;
        combine(h, i, &value, &seen);
        table[i] = (vly_real)value;
        if (visits) visits[i] = seen > UINT32_MAX ? UINT32_MAX : (uint32_t)seen;
    }
    return VLY_OK;
}

void vly_tab_hub_report(const vly_tab_hub *h, vly_tab_report *out) {
    double sum = 0;
    *out = (vly_tab_report){.merges = h->merges};
    for (int r = 0; r < h->world; r++) {
        const wire_table *w = &h->heads[r];
        if (!h->tables[r]) continue;
        out->workers++;
        out->finished += w->finished != 0;
        out->steps += w->steps, out->episodes += w->episodes;
        out->sent_bytes += w->sent, out->received_bytes += w->received, out->transitions_shared += w->shared;
        for (int i = 0; i < w->returns && out->returns < 100; i++, out->returns++) sum += (double)w->score[i];
    }
    out->return_mean_100 = out->returns ? sum / out->returns : NAN;
}

vly_status vly_tab_hub_create(vly_tab_hub **out, vly_store *store, vly_tab_scheme scheme, int world, int states, int actions) {
    vly_tab_hub *h = calloc(1, sizeof *h);
    if (!h) return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    h->store = store, h->scheme = scheme, h->world = world, h->states = states, h->actions = actions;
    h->tables = calloc((size_t)world, sizeof *h->tables);
    h->heads = calloc((size_t)world, sizeof *h->heads);
    h->fresh = calloc((size_t)world * (size_t)states * (size_t)actions, sizeof *h->fresh);
    h->kept = calloc((size_t)states * (size_t)actions, sizeof *h->kept);
    h->pending = calloc((size_t)world, sizeof *h->pending);
    h->heard_ms = calloc((size_t)world, sizeof *h->heard_ms);
    h->merged = malloc(table_bytes(states, actions));
    h->incoming = malloc(table_bytes(states, actions));
    if (!h->tables || !h->heads || !h->fresh || !h->kept || !h->pending || !h->heard_ms || !h->merged || !h->incoming) {
        vly_tab_hub_destroy(h);
        return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    }
    *out = h;
    return VLY_OK;
}

void vly_tab_hub_destroy(vly_tab_hub *h) {
    if (!h) return;
    for (int r = 0; h->tables && r < h->world; r++) free(h->tables[r]);
    free(h->tables), free(h->heads), free(h->fresh), free(h->kept), free(h->pending), free(h->heard_ms), free(h->merged), free(h->incoming);
    free(h);
}
