/* experience_impl.h -- the inside of a learner's experience, for cpu/fleet/experience*.c alone.
 *
 *   experience.c       blocks come in, the oldest are evicted
 *   experience_draw.c  batches go out, priorities come back
 *   experience_sync.c  priorities into the store; what a store that came back still has
 */
#ifndef VLY_CPU_FLEET_EXPERIENCE_IMPL_H
#define VLY_CPU_FLEET_EXPERIENCE_IMPL_H
#include "cpu/fleet/experience.h"

enum { SHARDS_MOST = 256, ACTORS = 1024, AT_ONCE = 64, DRAWS = 2 };

typedef struct { /* a block */
    bool live, stored, dirty;
    int shard;
    int64_t cached; /* where in the cache, counted from its beginning; -1: not */
    int64_t cost;
    vly_block_view view; /* into the slot's piece of notices */
} slot;

typedef struct {
    vly_store *store;
    vly_shard_state state;
    int64_t next;   /* number of the next block to take */
    int32_t *order; /* slots from the oldest, a ring */
    int64_t first, count;
    uint64_t connection; /* reconnects when it was surveyed last */
} shard;

typedef struct {
    uint64_t life, seq;
} actor_seen;

struct vly_experience {
    vly_experience_options o;
    vly_compute *c; /* of the tree, on the host */
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
    int64_t cache_end; /* bytes ever written */
    actor_seen actors[ACTORS];
    int actor_count;
    int32_t *row, *drawn[DRAWS]; /* fetched; on their way */
    int draws, oldest;           /* on their way; which comes first */
    int32_t *leaf;               /* of one block, or all slots: scratch */
    void *tree_memory;
    vly_real *weight[DRAWS], *raw;
    uint8_t *flags;
    vly_hyper hyper; /* alpha, priority_eps, beta */
    vly_experience_report report;
    /* while notices are read */
    struct {
        int shard;
        bool count; /* they are new */
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

/* The transitions of a slot can be sampled no longer. Returns how many there were. */
int64_t vly_experience_withdraw(vly_experience *e, int32_t at);
/* Blocks next .. next + most - 1 of a shard, as far as they are there; new_ones: nobody counted
 * them before. */
vly_status vly_experience_read_shard(vly_experience *e, int number, int most, bool new_ones,
                                     int *count);

#endif
