/* shard.h -- one shard of a replay memory in the store: blocks of experience, oldest first, within
 * a budget of bytes.
 *
 *   VLY_TRY(vly_store_open(&s, url, vly_shard_run(run, number).text, NULL));
 *       // its keys share one hash tag, so one node of a cluster has all of them
 *   actor:    VLY_TRY(vly_shard_push(s, &block, budget_bytes, queue_limit, &accepted));
 *       // not accepted: wait, then try again
 *   learner:  VLY_TRY(vly_shard_read_state(s, &state));
 *             VLY_TRY(vly_shard_notices(s, &state, from, most, each, arg, &count));
 *             VLY_TRY(vly_shard_evict(s, state.head, life, seq, cost));   // the oldest block
 *
 * Keys: "notices", the list of the blocks' notices; "b:LIFE:SEQ" and "p:LIFE:SEQ", a block's frames
 * and its newest priorities; "state", a hash of bytes (used in all), head and tail (blocks ever
 * evicted and pushed), seen (blocks the learner has taken). Each change is one script in the
 * server, so the state stays consistent if a client dies. The budget is enforced by refusing pushes
 * and by explicit eviction; Redis runs with `noeviction`. */
#ifndef VLY_CPU_FLEET_SHARD_H
#define VLY_CPU_FLEET_SHARD_H
#include "cpu/fleet/block.h"
#include "cpu/fleet/store.h"

typedef struct {
    int64_t bytes, head, tail, seen;
} vly_shard_state;

typedef struct {
    char text[128];
} vly_shard_name;
vly_shard_name vly_shard_run(const char *run, int number);
vly_shard_name vly_shard_data_key(uint64_t life, uint64_t seq);
vly_shard_name vly_shard_priority_key(uint64_t life, uint64_t seq);

/* Bytes of a block in the store, including priorities and keys. */
int64_t vly_shard_cost(const vly_block_head *head, size_t notice_bytes);

/* Not accepted if the block would exceed the budget, or if queue_limit blocks wait for the
 * learner. A block that is already stored is accepted without a change, so a push may be
 * repeated. */
vly_status vly_shard_push(vly_store *s, const vly_block *block, int64_t budget, int queue_limit,
                          bool *accepted);
vly_status vly_shard_read_state(vly_store *s, vly_shard_state *out);
/* Passes the notices of blocks from .. from + most - 1 to `each`, numbered since the shard was
 * created. */
vly_status vly_shard_notices(vly_store *s, const vly_shard_state *at, int64_t from, int most,
                             vly_status (*each)(void *arg, const void *data, size_t bytes),
                             void *arg, int *count);
vly_status vly_shard_set_seen(vly_store *s, int64_t seen);
/* Removes all blocks, those of another shape too. */
vly_status vly_shard_clear(vly_store *s);
/* Removes the oldest block if it is still number `head`. */
vly_status vly_shard_evict(vly_store *s, int64_t head, uint64_t life, uint64_t seq, int64_t cost);
#endif
