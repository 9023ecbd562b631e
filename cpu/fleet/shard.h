/* shard.h -- a shard of replay memory in the store: blocks of experience in the order they came,
 * within a budget.
 *
 *   VLY_TRY(vly_store_open(&s, url, vly_shard_run(run, number, name), NULL));
 *       // its keys share one hash tag: one node of a cluster
 *   actor:    VLY_TRY(vly_shard_push(s, &block, budget_bytes, queue_limit, &accepted));
 *       // refused: wait, try again
 *   learner:  VLY_TRY(vly_shard_look(s, &state));
 *             VLY_TRY(vly_shard_notices(s, &state, from, most, each, arg, &count));
 *             VLY_TRY(vly_shard_evict(s, &state, life, seq, cost, &done));  // the oldest
 *
 * Keys: "notices", a list of what lives; "b:LIFE:SEQ" and "p:LIFE:SEQ", a block's frames and its
 * newest priorities; "state", a hash of bytes (what all of it takes), head and tail (how many were
 * ever evicted and pushed), seen (how many the learner has taken). Every change is one script in
 * the server, so the numbers hold whoever dies when. The budget is kept by refusing and by
 * evicting, never by the server's own eviction: it works under `noeviction`.
 */
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

/* What a block takes in the store, priorities and keys included. */
int64_t vly_shard_cost(const vly_block_head *head, size_t notice_bytes);

/* Refused when the budget would be passed, or when queue_limit blocks wait for the learner. A block
 * that is there already counts as accepted: a push that was sent twice arrives once. */
vly_status vly_shard_push(vly_store *s, const vly_block *block, int64_t budget, int queue_limit,
                          bool *accepted);
vly_status vly_shard_look(vly_store *s, vly_shard_state *out);
/* Notices of blocks from .. from + most - 1, counted since the shard began. */
vly_status vly_shard_notices(vly_store *s, const vly_shard_state *at, int64_t from, int most,
                             vly_status (*each)(void *arg, const void *data, size_t bytes),
                             void *arg, int *count);
vly_status vly_shard_set_seen(vly_store *s, int64_t seen);
/* Takes the oldest block away if it still is number `head`. */
vly_status vly_shard_evict(vly_store *s, int64_t head, uint64_t life, uint64_t seq, int64_t cost);
#endif
