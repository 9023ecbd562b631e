/* experience_impl.h -- the parts of vly_experience, for cpu/fleet/experience*.c alone.
 *
 *   experience.c       takes new blocks, evicts the oldest
 *   experience_draw.c  draws batches, sets their priorities
 *   experience_sync.c  writes priorities to the store; recovers after the store restarted */
#ifndef VLY_CPU_FLEET_EXPERIENCE_IMPL_H
#define VLY_CPU_FLEET_EXPERIENCE_IMPL_H
#include "cpu/fleet/experience.h"

enum { SHARDS_MOST = 256, ACTORS = 1024, AT_ONCE = 64, DRAWS = 2 };

typedef struct { /* a block */
    bool live, stored, dirty;
    int shard;
    int64_t cached; /* position in the cache, as a count of bytes ever written; -1: not cached */
    int64_t cost;
    vly_block_view view; /* into this slot's part of `notices` */
} slot;

typedef struct {
    vly_store *store;
    vly_shard_state state;
    int64_t next;   /* number of the next block to take */
    int32_t *order; /* ring of slots, oldest first */
    int64_t first, count;
    uint64_t connection; /* number of reconnects at the last sync */
} shard;

typedef struct {
    uint64_t life, seq;
} actor_seen;

struct vly_experience {
    vly_experience_options o;
    vly_compute *c; /* for the tree, on the host */
    vly_queue *q;
    vly_tree tree;
    vly_rng rng;
    shard *shards;
    int64_t stride; /* leaves of a slot */
    int32_t slots;
    slot *slot;
    int32_t *free_slot; /* a stack */
    int32_t free_count;
    uint8_t *notices;
    size_t notice_most;
    uint8_t *cache;
    int64_t cache_end; /* bytes ever written to it */
    actor_seen actors[ACTORS];
    int actor_count;
    int32_t *row;          /* leaves of the batch last fetched */
    int32_t *drawn[DRAWS]; /* leaves of the batches not fetched yet */
    int draws, oldest;     /* batches not fetched yet; index of the first */
    int32_t *leaf;         /* scratch: leaves of one block, or all slots */
    void *tree_memory;
    vly_real *weight[DRAWS], *raw;
    uint8_t *flags;
    vly_hyper hyper; /* alpha, priority_eps, beta */
    vly_experience_report report;
    /* state of vly_experience_read_shard */
    struct {
        int shard;
        bool count; /* no learner has counted them */
        int fresh[AT_ONCE], n;
    } reading;
};

static inline int64_t leaf_of(const vly_experience *e, int32_t s) {
    return s * e->stride;
}
static inline int transitions_of(const slot *s) {
    return (int)(s->view.head.lanes * s->view.head.steps);
}
static inline int32_t *order_at(const vly_experience *e, const shard *d, int64_t i) {
    return &d->order[(d->first + i) % e->slots];
}
static inline bool in_cache(const vly_experience *e, const slot *s) {
    return s->cached >= 0 && e->cache_end - s->cached <= e->o.cache_bytes;
}
static inline uint8_t *cache_at(const vly_experience *e, int64_t at) {
    return e->cache + at % e->o.cache_bytes;
}
static inline slot *slot_of(const vly_experience *e, int32_t leaf, int *transition) {
    *transition = (int)(leaf % e->stride);
    return &e->slot[leaf / e->stride];
}

/* Removes the transitions of a slot from the tree. Returns how many there were. */
int64_t vly_experience_withdraw(vly_experience *e, int32_t at);
/* Reads blocks next .. next + most - 1 of a shard, as far as they exist. new_ones: no learner
 * has counted them yet. */
vly_status vly_experience_read_shard(vly_experience *e, int number, int most, bool new_ones,
                                     int *count);

#endif
