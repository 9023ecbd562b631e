#include "cpu/fleet/tables_impl.h"
#include <stdio.h>
#include <stdlib.h>

enum { KEEP = 100000, MAGIC_BLOCK = 0x31584c56 };

/* A message of transitions: this header, then `count` transitions. */
typedef struct {
    uint32_t magic;
    int32_t rank, count, spare;
} wire_block;

static vly_status keep_transitions(vly_tab *t, const vly_transition *x, int n) {
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

static vly_status read_block(void *arg, const void *data, size_t bytes) {
    vly_tab *t = arg;
    wire_block head;
    if (bytes < sizeof head) return VLY_OK; /* not a block of transitions: ignored */
    memcpy(&head, data, sizeof head);
    if (head.magic != MAGIC_BLOCK || head.count < 0 || head.count > VLY_TAB_BLOCK_MOST ||
        bytes != sizeof head + (size_t)head.count * sizeof(vly_transition))
        return VLY_OK;
    if (t->o.scheme == VLY_TAB_SHARE && head.rank == t->o.rank)
        return VLY_OK; /* this rank's own: learned from already */
    vly_transition block[VLY_TAB_BLOCK_MOST];
    memcpy(block, (const unsigned char *)data + sizeof head, (size_t)head.count * sizeof block[0]);
    return keep_transitions(t, block, head.count);
}

vly_status vly_tab_send_block(vly_tab *t, int to) {
    unsigned char message[sizeof(wire_block) + VLY_TAB_BLOCK_MOST * sizeof(vly_transition)];
    const wire_block head = {MAGIC_BLOCK, t->o.rank, t->out_count[to], 0};
    const size_t bytes = sizeof head + (size_t)head.count * sizeof(vly_transition);
    char inbox[32];
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, t->out + (size_t)to * (size_t)t->o.block,
           (size_t)head.count * sizeof(vly_transition));
    t->head.shared += (uint64_t)head.count;
    t->out_count[to] = 0;
    if (t->o.scheme == VLY_TAB_SHARE)
        return vly_store_append(t->store, "transitions", message, bytes, KEEP);
    snprintf(inbox, sizeof inbox, "inbox:%d", to);
    return vly_store_push(t->store, inbox, message, bytes, 0, NULL);
}

static vly_status read_blocks(vly_tab *t) {
    int count;
    char inbox[32];
    if (t->o.scheme == VLY_TAB_SHARE)
        return vly_store_read(t->store, "transitions", t->cursor, 1000, 0, read_block, t, &count);
    snprintf(inbox, sizeof inbox, "inbox:%d", t->o.rank);
    return vly_store_pop_many(t->store, inbox, 1000, read_block, t, &count);
}

static vly_status skip_block(void *arg, const void *data, size_t bytes) {
    (void)arg, (void)data, (void)bytes;
    return VLY_OK;
}

vly_status vly_tab_skip_log(vly_tab *t) {
    for (int count = 1; count > 0;)
        VLY_TRY(
            vly_store_read(t->store, "transitions", t->cursor, 1000, 0, skip_block, NULL, &count));
    return VLY_OK;
}

int vly_tab_state_owner(const vly_tab *t, int64_t pair) {
    return (int)(pair * t->o.world / ((int64_t)t->states * t->actions));
}

static vly_status owner_of(vly_tab *t, const vly_transition *x, int *owner) {
    const int64_t pair = (int64_t)x->state * t->actions + x->action;
    if (t->o.scheme == VLY_TAB_SHARD_STATE || !t->owned) {
        *owner = t->states ? vly_tab_state_owner(t, pair) : t->o.rank;
        return VLY_OK;
    }
    /* first visit: this rank owns the pair unless another rank has claimed it */
    if (t->owned[pair] == 0) {
        char key[48];
        int64_t who;
        vly_tab_claim_key(key, sizeof key, pair);
        VLY_TRY(vly_store_claim(t->store, key, t->o.rank, &who));
        if (who < 0 || who >= t->o.world) who = t->o.rank;
        t->owned[pair] = (int8_t)(who == t->o.rank ? 1 : -1 - (int)(who > 120 ? 120 : who));
    }
    *owner = t->owned[pair] == 1 ? t->o.rank : -1 - t->owned[pair];
    return VLY_OK;
}

vly_status vly_tab_exchange(vly_sync *s, const vly_transition *mine, int n,
                            const vly_transition **theirs, int *count) {
    vly_tab *t = (vly_tab *)s;
    bool sent = false;
    t->in_count = 0;
    for (int i = 0; i < n; i++) {
        int to = 0;
        if (t->o.scheme != VLY_TAB_SHARE) VLY_TRY(owner_of(t, &mine[i], &to));
        if (t->o.scheme == VLY_TAB_SHARE || to == t->o.rank)
            VLY_TRY(keep_transitions(t, &mine[i], 1));
        if (t->o.scheme != VLY_TAB_SHARE && to == t->o.rank) continue;
        t->out[(size_t)to * (size_t)t->o.block + (size_t)t->out_count[to]++] = mine[i];
        if (t->out_count[to] == t->o.block) {
            VLY_TRY(vly_tab_send_block(t, to));
            sent = true;
        }
    }
    if (sent || t->calls % (uint64_t)t->o.block == 0) VLY_TRY(read_blocks(t));
    *theirs = t->in;
    *count = t->in_count;
    return VLY_OK;
}
