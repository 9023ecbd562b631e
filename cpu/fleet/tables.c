#include "cpu/fleet/tables_impl.h"
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK = 32, EVERY = 64 };

const char *vly_tab_scheme_name(vly_tab_scheme scheme) {
    static const char *const names[] = {"share",     "shard-state",  "shard-time", "merge-mean",
                                        "merge-max", "merge-visits", "gossip",     "allreduce"};
    return names[scheme];
}

static void pack_table(const vly_tab *t, unsigned char *to, const vly_tab_head *head) {
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    unsigned char *values = to + sizeof *head, *visits = values + cells * sizeof(float),
                  *owned = visits + cells * sizeof(uint32_t);
    memcpy(to, head, sizeof *head);
    for (size_t i = 0; i < cells; i++) {
        const float x = (float)t->table[i];
        const bool mine = t->o.scheme == VLY_TAB_SHARD_STATE
                              ? vly_tab_state_owner(t, (int64_t)i) == t->o.rank
                              : t->owned[i] == 1;
        memcpy(values + i * sizeof x, &x, sizeof x);
        memcpy(visits + i * sizeof(uint32_t), &t->visits[i], sizeof(uint32_t));
        owned[i] = mine;
    }
}

static vly_status publish_table(vly_tab *t, bool finished) {
    char key[32];
    const vly_store_traffic traffic = vly_store_get_traffic(t->store);
    t->head.magic = VLY_TAB_MAGIC, t->head.rank = t->o.rank, t->head.states = t->states,
    t->head.actions = t->actions;
    t->head.finished = finished, t->head.round++;
    t->head.sent = traffic.sent_bytes, t->head.received = traffic.received_bytes;
    pack_table(t, t->message, &t->head);
    vly_tab_key(key, sizeof key, t->o.rank);
    return vly_store_set(t->store, key, t->message, vly_tab_table_bytes(t->states, t->actions));
}

static vly_status allocate_tables(vly_tab *t, int states, int actions) {
    t->states = states, t->actions = actions;
    t->message = malloc(vly_tab_table_bytes(states, actions));
    t->other = malloc(vly_tab_table_bytes(states, actions));
    t->owned = calloc((size_t)states * (size_t)actions, 1);
    return t->message && t->other && t->owned
               ? VLY_OK
               : vly_fail(VLY_ENOMEM, "tabular: out of memory for %d x %d", states, actions);
}

/* A rank that is started again goes on from its newest table. */
static vly_status take_up_table(vly_tab *t) {
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    char key[32];
    vly_tab_head head;
    vly_tab_key(key, sizeof key, t->o.rank);
    const vly_status status = vly_tab_fetch(t->store, key, t->states, t->actions, t->other, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    for (size_t i = 0; i < cells; i++) {
        t->table[i] = vly_tab_value(t->other, i);
        t->visits[i] = vly_tab_visits(t->other, cells, i);
        t->owned[i] = vly_tab_owned(t->other, cells, i);
    }
    return t->o.scheme == VLY_TAB_SHARE ? vly_tab_skip_log(t) : VLY_OK;
}

static vly_status merge_table(vly_sync *s, int states, int actions, vly_real *table,
                              uint32_t *visits) {
    vly_tab *t = (vly_tab *)s;
    const bool first = t->states == 0;
    if (first) VLY_TRY(allocate_tables(t, states, actions));
    t->table = table, t->visits = visits;
    if (first) VLY_TRY(take_up_table(t));
    if (++t->calls % (uint64_t)t->o.every) return VLY_OK;
    char name[16], json[96];
    snprintf(name, sizeof name, "t%d", t->o.rank);
    snprintf(json, sizeof json, "{\"role\":\"tabular\",\"scheme\":\"%s\",\"steps\":%lld}",
             vly_tab_scheme_name(t->o.scheme), (long long)t->head.steps);
    VLY_TRY(vly_store_beat(t->store, name, json, t->o.ttl_ms));
    VLY_TRY(publish_table(t, false));
    VLY_TRY(vly_tab_mix(t));
    return vly_tab_check_stop(t);
}

void vly_tab_note(vly_tab *t, int64_t steps, int64_t updates, const double *returns, int count) {
    t->head.steps += steps, t->head.updates += updates;
    for (int i = 0; i < count; i++) {
        if (t->head.returns == VLY_TAB_RETURNS) {
            memmove(t->head.score, t->head.score + 1,
                    (VLY_TAB_RETURNS - 1) * sizeof t->head.score[0]);
            t->head.returns--;
        }
        t->head.score[t->head.returns++] = (float)returns[i];
        t->head.episodes++;
    }
}

int64_t vly_tab_steps(const vly_tab *t) {
    return t->head.steps;
}
bool vly_tab_stopped(const vly_tab *t) {
    return t->stopped;
}
vly_sync *vly_tab_sync(vly_tab *t) {
    return &t->sync;
}

vly_status vly_tab_finish(vly_tab *t) {
    if (!t->table) return VLY_OK;
    for (int to = 0; to < t->o.world && t->out; to++)
        if (t->out_count[to] > 0) VLY_TRY(vly_tab_send_block(t, to));
    return publish_table(t, true);
}

static vly_status find_own_table(vly_tab *t) {
    char key[32];
    vly_tab_head head;
    vly_tab_key(key, sizeof key, t->o.rank);
    const vly_status status = vly_tab_peek(t->store, key, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    t->head = (vly_tab_head){.round = head.round,
                             .steps = head.steps,
                             .updates = head.updates,
                             .episodes = head.episodes,
                             .shared = head.shared};
    for (int r = 0; r < t->o.world; r++) t->pace[r].at = head.round;
    return VLY_OK;
}

static const vly_sync_tables moving_tables = {.exchange = vly_tab_exchange, .merge = merge_table};
static const vly_sync_tables merging_tables = {.merge = merge_table};

vly_status vly_tab_create(vly_tab **out, vly_store *store, const vly_tab_options *options) {
    if (options->world < 1 || options->world > 120 || options->rank < 0 ||
        options->rank >= options->world || options->block > VLY_TAB_BLOCK_MOST)
        return vly_fail(VLY_EINVAL, "tabular: rank %d of %d nodes (at most 120)", options->rank,
                        options->world);
    vly_tab *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    t->store = store, t->o = *options;
    if (t->o.block < 1) t->o.block = BLOCK;
    if (t->o.every < 1) t->o.every = EVERY;
    t->o.ttl_ms = vly_tab_ttl_ms(&t->o);
    strcpy(t->cursor, "0");
    t->out = calloc((size_t)t->o.world * (size_t)t->o.block, sizeof *t->out);
    t->out_count = calloc((size_t)t->o.world, sizeof *t->out_count);
    t->pace = calloc((size_t)t->o.world, sizeof *t->pace);
    const bool moves = t->o.scheme == VLY_TAB_SHARE || t->o.scheme == VLY_TAB_SHARD_STATE ||
                       t->o.scheme == VLY_TAB_SHARD_TIME;
    t->sync = (vly_sync){
        .rank = t->o.rank, .world = 1, .tables = moves ? &moving_tables : &merging_tables};
    const vly_status status = t->out && t->out_count && t->pace
                                  ? find_own_table(t)
                                  : vly_fail(VLY_ENOMEM, "tabular: out of memory");
    if (status != VLY_OK) {
        vly_tab_destroy(t);
        return status;
    }
    *out = t;
    return VLY_OK;
}

void vly_tab_destroy(vly_tab *t) {
    if (!t) return;
    free(t->message), free(t->other), free(t->owned), free(t->in), free(t->out), free(t->out_count);
    free(t->pace);
    free(t);
}
