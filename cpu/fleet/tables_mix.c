#include "cpu/fleet/tables_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "common/base/clock.h"
#include "common/base/philox.h"

/* AHEAD: rounds that a rank goes on while another stands still. */
enum { WAIT_MS = 200, AHEAD = 2 };

/* Until then a rank or the hub is waited for. */
static int64_t round_deadline(const vly_tab *t) {
    return vly_now_ms() + 2 * (int64_t)t->o.ttl_ms;
}

vly_status vly_tab_check_stop(vly_tab *t) {
    uint64_t stop = 0;
    size_t got;
    const vly_status status = vly_store_get(t->store, "stop", &stop, sizeof stop, &got);
    if (status == VLY_OK) t->stopped = true;
    return status == VLY_ENOTFOUND ? VLY_OK : status;
}

static void copy_table(vly_tab *t, const unsigned char *message) {
    for (size_t i = 0; i < (size_t)t->states * (size_t)t->actions; i++)
        t->table[i] = vly_tab_value(message, i);
}

/* Reads rank r's table into t->other. A rank learns from the values that others own: one that did all
 * its steps while another got no processor would have learned from zeros. So it waits until r has
 * gone on too, or has finished, or did not move until the deadline. */
static vly_status fetch_shard(vly_tab *t, int r) {
    vly_tab_pace *pace = &t->pace[r];
    const int64_t deadline = round_deadline(t);
    char key[32];
    vly_tab_key(key, sizeof key, r);
    for (;;) {
        vly_tab_head head = {0};
        const vly_status status = vly_tab_fetch(t->store, key, t->states, t->actions, t->other,
                                                &head);
        if (status != VLY_OK && status != VLY_ENOTFOUND) return status;
        if (head.round != pace->seen)
            *pace = (vly_tab_pace){.seen = head.round, .at = t->head.round};
        pace->given_up |= vly_now_ms() > deadline;
        if (head.finished || pace->given_up || t->head.round - pace->at < AHEAD) return status;
        VLY_TRY(vly_tab_check_stop(t));
        if (t->stopped) return status;
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
}

/* Copies the values of the pairs that other ranks own. */
static vly_status copy_shards(vly_tab *t) {
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    for (int r = 0; r < t->o.world; r++) {
        if (r == t->o.rank) continue;
        const vly_status status = fetch_shard(t, r);
        if (status == VLY_ENOTFOUND) continue;
        VLY_TRY(status);
        for (size_t i = 0; i < cells; i++)
            if (vly_tab_owned(t->other, cells, i)) t->table[i] = vly_tab_value(t->other, i);
    }
    return VLY_OK;
}

static vly_status mix_with_random_neighbour(vly_tab *t) {
    if (t->o.world < 2) return VLY_OK;
    const vly_u32x4 r = vly_philox(t->o.seed, VLY_STREAM_TEST, t->calls, (uint32_t)t->o.rank);
    const int other = (t->o.rank + 1 + (int)vly_below(r.v[0], (uint32_t)t->o.world - 1)) %
                      t->o.world;
    char key[32];
    vly_tab_head head;
    vly_tab_key(key, sizeof key, other);
    const vly_status status = vly_tab_fetch(t->store, key, t->states, t->actions, t->other, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    if (head.steps < t->head.steps / 2) return VLY_OK; /* it has this one to learn from */
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    /* weighted by visits, so that a neighbour with little experience changes little */
    for (size_t i = 0; i < cells; i++) {
        const double theirs = vly_tab_visits(t->other, cells, i),
                     both = theirs + (double)t->visits[i], mine = (double)t->table[i],
                     change = (double)vly_tab_value(t->other, i) - mine;
        if (theirs > 0) t->table[i] = (vly_real)(mine + theirs / both * change);
    }
    return VLY_OK;
}

/* Reads rank r's table of this round into t->other, or a finished rank's last table. Waits until
 * the deadline or the end of the run, and then returns the rank's newest table, or VLY_ENOTFOUND if
 * it has none. A rank that was waited for in vain is waited for again once it goes on, and then has
 * to catch up: it does not wait for those that are ahead. */
static vly_status fetch_round(vly_tab *t, int r, int64_t deadline, vly_tab_head *head) {
    vly_tab_pace *pace = &t->pace[r];
    char key[32], latest[32];
    vly_tab_round_key(key, sizeof key, t->head.round, r);
    vly_tab_key(latest, sizeof latest, r);
    for (;;) {
        vly_status status = vly_tab_fetch(t->store, key, t->states, t->actions, t->other, head);
        if (status != VLY_ENOTFOUND) return status;
        uint64_t stop = 0;
        size_t got;
        *head = (vly_tab_head){0};
        status = vly_tab_fetch(t->store, latest, t->states, t->actions, t->other, head);
        if (status == VLY_OK && (head->finished || head->round >= t->head.round + VLY_TAB_ROUNDS))
            return VLY_OK;
        if (head->round != pace->seen) *pace = (vly_tab_pace){.seen = head->round};
        pace->given_up |= vly_now_ms() > deadline;
        if (pace->given_up || vly_store_get(t->store, "stop", &stop, sizeof stop, &got) == VLY_OK)
            return status;
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
}

/* Averages each cell over the ranks that have visited it, in their tables of this round. Ranks that
 * are gone are left out; of a finished rank its last table counts. */
static vly_status average_all(vly_tab *t) {
    const size_t cells = (size_t)t->states * (size_t)t->actions;
    const int64_t deadline = round_deadline(t);
    vly_tab_head head;
    double *sum = calloc(2 * cells, sizeof *sum), *weight = sum + cells;
    if (!sum) return vly_fail(VLY_ENOMEM, "tabular: out of memory");
    for (size_t i = 0; i < cells; i++) {
        weight[i] = t->visits[i] > 0;
        sum[i] = weight[i] * (double)t->table[i];
    }
    vly_status status = VLY_OK;
    for (int r = 0; r < t->o.world && status == VLY_OK; r++) {
        if (r == t->o.rank) continue;
        status = fetch_round(t, r, deadline, &head);
        const bool counts = status == VLY_OK && (head.finished || head.round == t->head.round);
        for (size_t i = 0; counts && i < cells; i++) {
            const double visited = vly_tab_visits(t->other, cells, i) > 0;
            sum[i] += visited * (double)vly_tab_value(t->other, i);
            weight[i] += visited;
        }
        if (status == VLY_ENOTFOUND) status = VLY_OK;
    }
    for (size_t i = 0; status == VLY_OK && i < cells; i++)
        if (weight[i] > 0) t->table[i] = (vly_real)(sum[i] / weight[i]);
    free(sum);
    return status;
}

static vly_status publish_round(vly_tab *t) {
    char key[32], old[32];
    vly_tab_round_key(key, sizeof key, t->head.round, t->o.rank);
    vly_tab_round_key(old, sizeof old, t->head.round - VLY_TAB_ROUNDS, t->o.rank);
    VLY_TRY(vly_store_delete(t->store, old));
    return vly_store_set(t->store, key, t->message, vly_tab_table_bytes(t->states, t->actions));
}

/* Waits until the hub has merged this round: an earlier merge would undo what this worker has
 * learned since. Returns VLY_ENOTFOUND if the hub does not answer; the next round then includes
 * this one. */
static vly_status wait_merged(vly_tab *t) {
    const int64_t deadline = round_deadline(t);
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
        VLY_TRY(vly_tab_check_stop(t));
    }
    return VLY_ENOTFOUND;
}

static vly_status merge_with_hub(vly_tab *t) {
    vly_tab_head head;
    bool accepted;
    VLY_TRY(vly_store_push(t->store, "tables", t->message,
                           vly_tab_table_bytes(t->states, t->actions), 4 * t->o.world, &accepted));
    vly_status status = wait_merged(t);
    if (status == VLY_OK)
        status = vly_tab_fetch(t->store, "merged", t->states, t->actions, t->other, &head);
    if (status == VLY_ENOTFOUND) return VLY_OK;
    VLY_TRY(status);
    copy_table(t, t->other);
    return VLY_OK;
}

vly_status vly_tab_mix(vly_tab *t) {
    switch (t->o.scheme) {
    case VLY_TAB_SHARE: return VLY_OK;
    case VLY_TAB_SHARD_STATE:
    case VLY_TAB_SHARD_TIME: return copy_shards(t);
    case VLY_TAB_GOSSIP: return mix_with_random_neighbour(t);
    case VLY_TAB_ALLREDUCE: VLY_TRY(publish_round(t)); return average_all(t);
    default: return merge_with_hub(t);
    }
}
