/* experience.h -- the learner's side of a replay memory in the store (cpu/fleet/shard.h).
 *
 *   VLY_TRY(vly_experience_open(&e, &options));        // reads the blocks already in the store
 *   VLY_TRY(vly_experience_take(e, 16, &blocks));      // adds new blocks, evicts the oldest
 *   VLY_TRY(vly_experience_draw(e, beta));             // samples a batch, requests its frames
 *   ...                                                // compute while they arrive
 *   VLY_TRY(vly_experience_fetch(e, feed));            // the batch
 *   VLY_TRY(vly_experience_learned(e, feed));          // new priorities of the batch last fetched
 *   VLY_TRY(vly_experience_keep(e));                   // writes changed priorities to the store
 *
 * The notices and an exact sum tree over all transitions are in memory (common/base/compute.h:
 * stratified, equal draws on every machine); the frames stay in the store. Blocks that fit into the
 * cache are fetched whole, once, still compressed, and sampled without the store. Of other blocks,
 * the range of each sampled transition is fetched.
 *
 * If the store restarts with all, some or none of its data, sync() finds what is left, keeps blocks
 * that the cache holds whole, and counts the rest as lost. At most the priorities since the last
 * keep() are lost beyond that.
 *
 * One thread. At most two batches may be drawn and not yet fetched; while there are any, call only
 * draw, fetch and learned. After an error of draw or fetch call sync. */
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
    vly_store_options store;
    float alpha, priority_eps;
    uint64_t seed;
    bool fresh; /* removes what an earlier run of this name has left */
    /* Called for each block that no learner has counted yet; may be NULL. */
    void (*on_block)(void *arg, const vly_block_head *head);
    void *arg;
} vly_experience_options;

typedef struct { /* counted since open */
    /* of blocks taken */
    int64_t blocks, transitions, bytes;
    /* evicted: transitions; lost: transitions that the store lost; missed: blocks that never
     * arrived; corrupt: blocks that failed their check */
    int64_t evicted, lost, missed, corrupt;
    int64_t sampled, from_cache; /* transitions */
    /* live: transitions that can be sampled; waiting: blocks in the store, not taken yet */
    int64_t live, waiting;
    int64_t stored_bytes; /* in the store, all shards, as of the last take */
} vly_experience_report;

typedef struct vly_experience vly_experience;
vly_status vly_experience_open(vly_experience **out, const vly_experience_options *options);
void vly_experience_close(vly_experience *e);
/* Call after the connection was lost. */
vly_status vly_experience_sync(vly_experience *e);
/* Call after VLY_ENOSPACE: the store has less memory than the budgets of the shards. Lowers
 * their budget to what they hold now, of which one eighth is then evicted. */
vly_status vly_experience_shrink(vly_experience *e);
vly_status vly_experience_take(vly_experience *e, int most, int *blocks);
vly_status vly_experience_draw(vly_experience *e, float beta);
vly_status vly_experience_fetch(vly_experience *e, vly_feed *feed);
vly_status vly_experience_learned(vly_experience *e, const vly_feed *feed);
vly_status vly_experience_keep(vly_experience *e);
void vly_experience_get_report(const vly_experience *e, vly_experience_report *out);

/* For tests: the tree, and the leaves of the batch last fetched. Leaf = slot of the block *
 * stride + transition. */
const vly_tree *vly_experience_tree(const vly_experience *e);
const int32_t *vly_experience_rows(const vly_experience *e);
/* The block and the transition of a leaf; false if there is none. */
bool vly_experience_where(const vly_experience *e, int64_t leaf, uint64_t *life, uint64_t *seq,
                          int *transition);
#endif
