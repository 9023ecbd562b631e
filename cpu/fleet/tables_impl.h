/* tables_impl.h -- the inside of tables kept together through the store.
 *
 *   tables.c        a worker's side: what its learner calls
 *   tables_moves.c  transitions between workers (SHARE, SHARD_*)
 *   tables_mix.c    tables between workers (SHARD_*, GOSSIP, ALLREDUCE), and the hub (MERGE_*)
 *   tables_wire.c   a table as it lies in the store
 *   tables_hub.c    the learner's side
 */
#ifndef VLY_CPU_FLEET_TABLES_IMPL_H
#define VLY_CPU_FLEET_TABLES_IMPL_H
#include <string.h>
#include "cpu/fleet/tables.h"

enum {
    VLY_TAB_BLOCK_MOST = 4096,
    VLY_TAB_RETURNS = 16,
    VLY_TAB_TTL_MS = 5000,
    VLY_TAB_MAGIC = 0x31544c56
};

/* ---- a table on the wire ---- */

/* This, then (states x actions) floats, visits and, for shards, a byte per pair: owned. */
typedef struct {
    uint32_t magic;
    int32_t rank, states, actions, finished, returns;
    int64_t round, steps, updates, episodes;
    uint64_t sent, received, shared;
    float score[VLY_TAB_RETURNS];
} vly_tab_head;

size_t vly_tab_table_bytes(int states, int actions);
/* One number of a table in the store's form; `cells`: states x actions. */
static inline float vly_tab_value(const unsigned char *message, size_t i) {
    float x;
    memcpy(&x, message + sizeof(vly_tab_head) + i * sizeof x, sizeof x);
    return x;
}
static inline uint32_t vly_tab_visits(const unsigned char *message, size_t cells, size_t i) {
    uint32_t x;
    memcpy(&x, message + sizeof(vly_tab_head) + cells * sizeof(float) + i * sizeof x, sizeof x);
    return x;
}
static inline bool vly_tab_owned(const unsigned char *message, size_t cells, size_t i) {
    return message[sizeof(vly_tab_head) + cells * (sizeof(float) + sizeof(uint32_t)) + i] != 0;
}

/* The name of a rank's table. */
void vly_tab_key(char *key, size_t bytes, int rank);
/* Another rank's table into `to`; VLY_ENOTFOUND while it has none. */
vly_status vly_tab_fetch(vly_store *store, const char *key, int states, int actions,
                         unsigned char *to, vly_tab_head *head);

/* ---- a worker ---- */

struct vly_tab {
    vly_sync sync;
    vly_store *store;
    vly_tab_options o;
    int states, actions;
    uint64_t calls;    /* of merge */
    vly_tab_head head; /* round, steps, episodes ... of this worker */
    bool stopped;
    vly_real *table; /* the learner's, borrowed from the last merge */
    uint32_t *visits;
    unsigned char *message; /* one table */
    unsigned char *other;   /* another's */
    int8_t *owned;          /* (states, actions): 1 mine, -1 another's, 0 not asked yet */
    vly_transition *in;     /* what comes back from exchange */
    int in_count, in_room;
    vly_transition *out; /* (world, block): on their way */
    int *out_count;      /* (world) */
    char cursor[VLY_STORE_CURSOR];
};

/* Contiguous ranges of pairs. */
int vly_tab_state_owner(const vly_tab *t, int64_t pair);
/* Transitions that are full or, at the end, not quite: on their way to `to` (SHARE: to everyone).
 */
vly_status vly_tab_send_block(vly_tab *t, int to);
vly_status vly_tab_exchange(vly_sync *s, const vly_transition *mine, int n,
                            const vly_transition **theirs, int *count);
/* The others' tables into this one's, by the scheme; this one was packed into t->message just now.
 */
vly_status vly_tab_mix(vly_tab *t);
/* The run is over: t->stopped. */
vly_status vly_tab_check_stop(vly_tab *t);
#endif
