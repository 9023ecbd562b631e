#include "cpu/fleet/tables_impl.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/base/clock.h"

/* Episodes of one table that are reported: more are not believed. */
enum { REPORT_MOST = 1 << 20 };

struct vly_tab_hub {
    vly_store *store;
    vly_tab_scheme scheme;
    int ttl_ms;
    int world, states, actions;
    unsigned char **tables; /* (world) newest of each rank, NULL before the first */
    vly_tab_head *heads;    /* (world) */
    uint32_t *fresh;        /* (world, cells) visits that are not merged yet */
    float *kept;            /* (cells) last merged value: kept where no rank has new visits */
    unsigned char *merged, *incoming;
    int64_t merges;
    bool *pending;     /* (world) waits for the merge of its round */
    int64_t *heard_ms; /* (world) */
    int64_t polled_ms;
    void (*on_episode)(void *arg, double score);
    void *episode_arg;
};

static bool has_centre(vly_tab_scheme s) {
    return s == VLY_TAB_MERGE_MEAN || s == VLY_TAB_MERGE_MAX || s == VLY_TAB_MERGE_VISITS;
}

static bool is_shard(vly_tab_scheme s) {
    return s == VLY_TAB_SHARD_STATE || s == VLY_TAB_SHARD_TIME;
}

/* Weight of rank r's value of a cell. MERGE_MEAN and MERGE_VISITS count only ranks with new
 * visits: the others repeat the last merged value and would slow its change. */
static double weight_of(const vly_tab_hub *h, int r, size_t i, size_t cells) {
    const uint32_t fresh = h->fresh[(size_t)r * cells + i];
    if (is_shard(h->scheme)) return vly_tab_owned(h->tables[r], cells, i);
    if (h->scheme == VLY_TAB_MERGE_MEAN) return fresh > 0;
    if (h->scheme == VLY_TAB_MERGE_VISITS) return fresh;
    if (h->scheme == VLY_TAB_GOSSIP) return vly_tab_visits(h->tables[r], cells, i);
    /* an unvisited cell has no learned value */
    return vly_tab_visits(h->tables[r], cells, i) > 0;
}

/* Computes one cell of the fleet's table. */
static void combine_cell(const vly_tab_hub *h, size_t i, double *value, uint64_t *visits) {
    const size_t cells = (size_t)h->states * (size_t)h->actions;
    double sum = 0, weight = 0, largest = -INFINITY;
    *visits = 0;
    for (int r = 0; r < h->world; r++) {
        if (!h->tables[r]) continue;
        const double x = (double)vly_tab_value(h->tables[r], i), w = weight_of(h, r, i, cells);
        *visits += vly_tab_visits(h->tables[r], cells, i);
        sum += w * x, weight += w;
        if (w > 0 && x > largest) largest = x;
    }
    *value = weight <= 0                      ? (double)h->kept[i]
             : h->scheme == VLY_TAB_MERGE_MAX ? largest
                                              : sum / weight;
}

static vly_status publish_merged(vly_tab_hub *h) {
    const size_t cells = (size_t)h->states * (size_t)h->actions;
    const vly_tab_head head = {.magic = VLY_TAB_MAGIC,
                               .rank = -1,
                               .states = h->states,
                               .actions = h->actions,
                               .round = ++h->merges};
    memset(h->merged, 0, vly_tab_table_bytes(h->states, h->actions));
    memcpy(h->merged, &head, sizeof head);
    for (size_t i = 0; i < cells; i++) {
        double value;
        uint64_t visits;
        combine_cell(h, i, &value, &visits);
        const float x = (float)value;
        h->kept[i] = x;
        memcpy(h->merged + sizeof head + i * sizeof x, &x, sizeof x);
    }
    return vly_store_set(h->store, "merged", h->merged, vly_tab_table_bytes(h->states, h->actions));
}

static void report_episodes(vly_tab_hub *h, const vly_tab_head *before, const vly_tab_head *now) {
    const bool again = now->episodes < before->episodes; /* the worker was restarted */
    const int64_t ended = again ? now->episodes : now->episodes - before->episodes;
    for (int64_t i = ended < REPORT_MOST ? ended : REPORT_MOST; h->on_episode && i > 0; i--)
        h->on_episode(h->episode_arg,
                      i <= now->returns ? (double)now->score[now->returns - i] : NAN);
}

static vly_status accept_table(vly_tab_hub *h, const unsigned char *message,
                               const vly_tab_head *head) {
    const int r = head->rank;
    if (r < 0 || r >= h->world) return VLY_OK;
    const size_t bytes = vly_tab_table_bytes(h->states, h->actions),
                 cells = (size_t)h->states * (size_t)h->actions;
    if (h->tables[r] && head->round == h->heads[r].round && head->finished == h->heads[r].finished)
        return VLY_OK; /* accepted before */
    report_episodes(h, &h->heads[r], head);
    for (size_t i = 0; i < cells; i++) {
        const uint32_t now = vly_tab_visits(message, cells, i),
                       before = h->tables[r] ? vly_tab_visits(h->tables[r], cells, i) : 0;
        /* fewer visits than before: the worker was restarted */
        h->fresh[(size_t)r * cells + i] += now >= before ? now - before : now;
    }
    if (!h->tables[r]) h->tables[r] = malloc(bytes);
    if (!h->tables[r])
        return vly_fail(VLY_ENOMEM, "tabular: out of memory for %d tables", h->world);
    memcpy(h->tables[r], message, bytes);
    h->heads[r] = *head;
    h->heard_ms[r] = vly_now_ms();
    return VLY_OK;
}

/* Reads every rank's newest table: for progress, and for the fleet's table where there is no
 * centre. */
static vly_status poll_tables(vly_tab_hub *h) {
    char key[32];
    vly_tab_head head;
    for (int r = 0; r < h->world; r++) {
        vly_tab_key(key, sizeof key, r);
        const vly_status status = vly_tab_fetch(h->store, key, h->states, h->actions, h->incoming,
                                                &head);
        if (status == VLY_ENOTFOUND) continue;
        VLY_TRY(status);
        VLY_TRY(accept_table(h, h->incoming, &head));
    }
    return VLY_OK;
}

/* Merges once every living, unfinished worker has sent its table, so that each visit counts
 * once, in the round in which it was made. */
static vly_status close_round(vly_tab_hub *h) {
    int waiting = 0;
    for (int r = 0; r < h->world; r++) {
        const bool lives = h->tables[r] && !h->heads[r].finished &&
                           vly_now_ms() - h->heard_ms[r] < h->ttl_ms;
        if (lives && !h->pending[r]) return VLY_OK;
        waiting += h->pending[r];
    }
    if (waiting == 0) return VLY_OK;
    VLY_TRY(publish_merged(h));
    memset(h->fresh, 0,
           (size_t)h->world * (size_t)h->states * (size_t)h->actions * sizeof *h->fresh);
    for (int r = 0; r < h->world; r++) {
        char list[32];
        if (!h->pending[r]) continue;
        h->pending[r] = false;
        snprintf(list, sizeof list, "merged:%d", r);
        VLY_TRY(vly_store_delete(h->store, list));
        VLY_TRY(
            vly_store_push(h->store, list, &h->heads[r].round, sizeof h->heads[r].round, 0, NULL));
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
    vly_tab_head head;
    if (vly_tab_check(message, bytes, h->states, h->actions, "tables", &head) != VLY_OK)
        return VLY_OK; /* dropped */
    VLY_TRY(accept_table(h, message, &head));
    if (has_centre(h->scheme) && head.rank >= 0 && head.rank < h->world)
        h->pending[head.rank] = true;
    return close_round(h);
}

vly_status vly_tab_hub_stop(vly_tab_hub *h) {
    return vly_store_set(h->store, "stop", "1", 1);
}

vly_status vly_tab_hub_table(vly_tab_hub *h, vly_real *table, uint32_t *visits) {
    VLY_TRY(poll_tables(h));
    for (size_t i = 0; i < (size_t)h->states * (size_t)h->actions; i++) {
        double value;
        uint64_t seen;
        combine_cell(h, i, &value, &seen);
        table[i] = (vly_real)value;
        if (visits) visits[i] = seen > UINT32_MAX ? UINT32_MAX : (uint32_t)seen;
    }
    return VLY_OK;
}

void vly_tab_hub_report(const vly_tab_hub *h, vly_tab_report *out) {
    *out = (vly_tab_report){.merges = h->merges};
    for (int r = 0; r < h->world; r++) {
        const vly_tab_head *w = &h->heads[r];
        if (!h->tables[r]) continue;
        out->workers++;
        out->finished += w->finished != 0;
        out->steps += w->steps, out->updates += w->updates, out->episodes += w->episodes;
        out->sent_bytes += w->sent, out->received_bytes += w->received,
            out->transitions_shared += w->shared;
    }
}

void vly_tab_hub_on_episode(vly_tab_hub *h, void (*fn)(void *arg, double score), void *arg) {
    h->on_episode = fn;
    h->episode_arg = arg;
}

vly_status vly_tab_hub_create(vly_tab_hub **out, vly_store *store, const vly_tab_options *options,
                              int states, int actions) {
    const int world = options->world;
    vly_tab_hub *h = calloc(1, sizeof *h);
    if (!h) return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    h->store = store, h->scheme = options->scheme, h->world = world,
    h->ttl_ms = vly_tab_ttl_ms(options), h->states = states, h->actions = actions;
    h->tables = calloc((size_t)world, sizeof *h->tables);
    h->heads = calloc((size_t)world, sizeof *h->heads);
    h->fresh = calloc((size_t)world * (size_t)states * (size_t)actions, sizeof *h->fresh);
    h->kept = calloc((size_t)states * (size_t)actions, sizeof *h->kept);
    h->pending = calloc((size_t)world, sizeof *h->pending);
    h->heard_ms = calloc((size_t)world, sizeof *h->heard_ms);
    h->merged = malloc(vly_tab_table_bytes(states, actions));
    h->incoming = malloc(vly_tab_table_bytes(states, actions));
    if (!h->tables || !h->heads || !h->fresh || !h->kept || !h->pending || !h->heard_ms ||
        !h->merged || !h->incoming) {
        vly_tab_hub_destroy(h);
        return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    }
    *out = h;
    return VLY_OK;
}

static vly_status remove_table(vly_tab_hub *h, int r, const char *key, int64_t newest) {
    char name[48];
    for (int64_t round = newest; round > newest - VLY_TAB_ROUNDS; round--) {
        vly_tab_round_key(name, sizeof name, round, r);
        VLY_TRY(vly_store_delete(h->store, name));
    }
    snprintf(name, sizeof name, "inbox:%d", r);
    VLY_TRY(vly_store_delete(h->store, name));
    return vly_store_delete(h->store, key);
}

static vly_status begin_rank(vly_tab_hub *h, int r, bool resumed, int64_t steps) {
    char key[32];
    vly_tab_head head;
    vly_tab_key(key, sizeof key, r);
    const vly_status status = vly_tab_peek(h->store, key, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    if (!resumed && status != VLY_EPEER)
        return remove_table(h, r, key, status == VLY_OK ? head.round : 0);
    VLY_TRY(status);
    if (!head.finished || head.steps >= steps) return VLY_OK;
    head.finished = 0, head.round--; /* ALLREDUCE: its last table was of no round */
    return vly_store_set_range(h->store, key, 0, &head, sizeof head);
}

static vly_status remove_claims(vly_tab_hub *h) {
    const int64_t cells = (int64_t)h->states * h->actions;
    char key[48];
    for (int64_t i = 0; i < cells; i++) {
        if (i % 1000 == 0) VLY_TRY(vly_store_begin(h->store));
        vly_tab_claim_key(key, sizeof key, i);
        VLY_TRY(vly_store_delete(h->store, key));
        if (i % 1000 == 999 || i == cells - 1) VLY_TRY(vly_store_end(h->store));
    }
    return VLY_OK;
}

vly_status vly_tab_hub_begin(vly_tab_hub *h, bool resumed, int64_t steps) {
    for (int r = 0; r < h->world; r++) VLY_TRY(begin_rank(h, r, resumed, steps));
    if (resumed) return VLY_OK;
    if (h->scheme == VLY_TAB_SHARD_TIME) VLY_TRY(remove_claims(h));
    VLY_TRY(vly_store_delete(h->store, "tables"));
    VLY_TRY(vly_store_delete(h->store, "ranks"));
    return vly_store_delete(h->store, "transitions");
}

void vly_tab_hub_destroy(vly_tab_hub *h) {
    if (!h) return;
    for (int r = 0; h->tables && r < h->world; r++) free(h->tables[r]);
    free(h->tables), free(h->heads), free(h->fresh), free(h->kept), free(h->pending),
        free(h->heard_ms), free(h->merged), free(h->incoming);
    free(h);
}
