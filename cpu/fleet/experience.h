/* experience.h -- the learner's side of replay memory that lives in a store (cpu/fleet/shard.h).
 *
 *   VLY_TRY(vly_experience_open(&e, &options));  // finds what is there: after a restart too
 *   VLY_TRY(vly_experience_take(e, 16, &blocks));
 *       // new blocks become samples; old ones are evicted
 *   VLY_TRY(vly_experience_draw(e, beta));
 *       // a batch by priority; asks the store for its frames ...
 *   VLY_TRY(vly_experience_fetch(e, feed));  // ... which come while something else is computed
 *   VLY_TRY(vly_experience_learned(e, feed));
 *       // new priorities of the batch that was fetched before
 *   VLY_TRY(vly_experience_keep(e));  // priorities into the store: those of blocks that changed
 *
 * Here are the notices and an exact sum tree over all transitions that are announced
 * (common/base/compute.h: stratified, equal draws on every machine); the frames stay in the store.
 * Blocks that fit into a cache are fetched once, whole, as they are (compressed), and sampled
 * without the store; of the others the range that a transition needs.
 *
 * The store may die and come back with all, some or none of what it had: sync() finds what is left,
 * keeps what the cache still holds whole, and counts the rest as lost. What it cannot lose:
 * priorities newer than the last keep().
 *
 * One thread. Two batches may be on their way at once; until the last is fetched nothing but draw,
 * fetch and learned may be called. After an error of fetch or draw call sync.
 */
#ifndef VLY_CPU_FLEET_EXPERIENCE_H
#define VLY_CPU_FLEET_EXPERIENCE_H
#include "common/learn/feed.h"
#include "cpu/fleet/shard.h"

typedef struct {
    const char *url, *run;
    vly_block_shape shape;
    int shards, batch;
    int64_t capacity;    /* transitions, over all shards */
    int64_t shard_bytes; /* budget of a shard in the store */
    int64_t cache_bytes; /* 0: none */
    int retry_ms;        /* as of vly_store_options */
    float alpha, priority_eps;
    uint64_t seed;
    /* A block that nobody counted before; may be NULL. */
    void (*on_block)(void *arg, const vly_block_head *head);
    void *arg;
} vly_experience_options;

typedef struct {                            /* since open */
    int64_t blocks, transitions, bytes;     /* taken */
    int64_t evicted, lost, missed, corrupt; /* transitions; transitions that the store lost; blocks
                                               that never came, or were no blocks */
    int64_t sampled, from_cache;            /* transitions */
    int64_t live, waiting;                  /* transitions now; blocks in the store not taken yet */
    int64_t stored_bytes;                   /* in the store, all shards, as of the last take */
} vly_experience_report;

typedef struct vly_experience vly_experience;
vly_status vly_experience_open(vly_experience **out, const vly_experience_options *options);
void vly_experience_close(vly_experience *e);
/* After a lost connection. */
vly_status vly_experience_sync(vly_experience *e);
/* After VLY_ENOSPACE: the store has less memory than the shards were promised; from now on they do
 * with an eighth less than they have. */
vly_status vly_experience_shrink(vly_experience *e);
vly_status vly_experience_take(vly_experience *e, int most, int *blocks);
vly_status vly_experience_draw(vly_experience *e, float beta);
vly_status vly_experience_fetch(vly_experience *e, vly_feed *feed);
vly_status vly_experience_learned(vly_experience *e, const vly_feed *feed);
vly_status vly_experience_keep(vly_experience *e);
void vly_experience_get_report(const vly_experience *e, vly_experience_report *out);

/* For tests: the tree, and the rows of the batch that was fetched last. Leaf = block's place *
 * stride + transition. */
const vly_tree *vly_experience_tree(const vly_experience *e);
const int32_t *vly_experience_rows(const vly_experience *e);
/* Which block a leaf belongs to, and which of its transitions it is; false: none. */
bool vly_experience_where(const vly_experience *e, int64_t leaf, uint64_t *life, uint64_t *seq,
                          int *transition);
#endif
