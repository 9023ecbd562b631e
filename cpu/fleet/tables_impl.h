/* tables_impl.h -- the parts of vly_tab and vly_tab_hub, for cpu/fleet/tables*.c alone.
 *
 *   tables.c        a worker: the functions its learner calls
 *   tables_moves.c  transitions between workers (SHARE, SHARD_*)
 *   tables_mix.c    tables between workers (SHARD_*, GOSSIP, ALLREDUCE) and with the hub (MERGE_*)
 *   tables_wire.c   the format of a table in the store
 *   tables_hub.c    the learner's side */
#ifndef VLY_CPU_FLEET_TABLES_IMPL_H
#define VLY_CPU_FLEET_TABLES_IMPL_H
#include <string.h>
#include "cpu/fleet/tables.h"

enum {
    VLY_TAB_BLOCK_MOST = 4096,
    VLY_TAB_RETURNS = 16,
    VLY_TAB_ROUNDS = 3, /* of ALLREDUCE: a rank's newest, kept in the store */
    VLY_TAB_MAGIC = 0x31544c56
};

static inline int vly_tab_ttl_ms(const vly_tab_options *o) {
    return o->ttl_ms > 0 ? o->ttl_ms : 5000;
}

/* ---- a table in the store ---- */

/* Followed by (states x actions) floats, as many visits, and a byte per pair: owned by this
 * rank. */
typedef struct {
    uint32_t magic;
    int32_t rank, states, actions, finished, returns;
    int64_t round, steps, updates, episodes;
    uint64_t sent, received, shared;
    float score[VLY_TAB_RETURNS];
} vly_tab_head;

size_t vly_tab_table_bytes(int states, int actions);
/* A value, a count of visits and the owner flag of cell i; `cells`: states x actions. */
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

/* The key of a rank's table. */
void vly_tab_key(char *key, size_t bytes, int rank);
void vly_tab_round_key(char *key, size_t bytes, int64_t round, int rank);
/* SHARD_TIME: the key of the rank that was the first to meet a state and action. */
void vly_tab_claim_key(char *key, size_t bytes, int64_t pair);
/* Whether a message is a table of this shape: VLY_EVERSION or VLY_ECORRUPT if not. Fills head. */
vly_status vly_tab_check(const unsigned char *message, size_t bytes, int states, int actions,
                         const char *key, vly_tab_head *head);
/* Reads another rank's table into `to`; VLY_ENOTFOUND if it has not published one. */
vly_status vly_tab_fetch(vly_store *store, const char *key, int states, int actions,
                         unsigned char *to, vly_tab_head *head);

/* The head alone, of whatever shape; VLY_ENOTFOUND if there is no table. */
vly_status vly_tab_peek(vly_store *store, const char *key, vly_tab_head *head);

/* ---- a worker ---- */

/* How another rank goes on: its last round that was seen, and this rank's round then. */
typedef struct {
    int64_t seen, at;
    bool given_up; /* it was waited for in vain */
} vly_tab_pace;

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
    unsigned char *other;   /* another rank's table */
    int8_t *owned;          /* (states, actions): 1 this rank's, -1 - r rank r's, 0 not known yet */
    vly_transition *in;     /* transitions that exchange returns */
    int in_count, in_room;
    vly_transition *out; /* (world, block): transitions not sent yet */
    int *out_count;      /* (world) */
    vly_tab_pace *pace;  /* (world): SHARD_*, ALLREDUCE */
    char cursor[VLY_STORE_CURSOR];
};

/* SHARD_STATE: the rank that owns a pair; each rank owns a contiguous range. */
int vly_tab_state_owner(const vly_tab *t, int64_t pair);
/* Sends the block of transitions for rank `to` (SHARE: for all ranks), full or not. */
vly_status vly_tab_send_block(vly_tab *t, int to);
/* SHARE: what others have sent so far is not learned from again. */
vly_status vly_tab_skip_log(vly_tab *t);
vly_status vly_tab_exchange(vly_sync *s, const vly_transition *mine, int n,
                            const vly_transition **theirs, int *count);
/* Combines other ranks' tables with this one's, which must be packed in t->message. */
vly_status vly_tab_mix(vly_tab *t);
/* Sets t->stopped if the run has ended. */
vly_status vly_tab_check_stop(vly_tab *t);
#endif
