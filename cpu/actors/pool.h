/* pool.h -- steps thousands of environments on a few threads, beside one event loop.
 *
 *   vly_pool_options o = {.actors = 1024, .groups = 2, .workers = 2, .seed = 1};
 *   VLY_TRY(vly_pool_create(&pool, loop, &env, &o));          // loop NULL: one of its own
 *   VLY_TRY(vly_pool_reset_group(pool, g, rows));             // first observations, flags RESET
 *   for (...) {                                               // synchronous: a batch is a group
 *       VLY_TRY(vly_pool_wait_group(pool, g, -1));            //   (or the callback on_group)
 *       ... infer from what group g wrote; meanwhile the workers step the other group ...
 *       VLY_TRY(vly_pool_check(pool));                        //   what an environment did wrong
 *       VLY_TRY(vly_pool_submit_group(pool, g, actions, rows));
 *   }
 *   // asynchronous: the first B of N that finish
 *   for (...) {
 *       n = vly_pool_take(pool, B, chunks, timeout_ms);       //   (or the callback on_chunks)
 *       for (i < n) vly_pool_submit_chunk(pool, chunks[i], actions_i, rows_i);
 *   }
 *
 * An actor is the state of an environment in one array, never a thread; it has a row and an action
 * for each of the environment's players, actor a's from a * players on. Actors lie in groups of
 * equal size, groups are cut into chunks of at most `chunk` actors; one worker steps a whole chunk
 * with one call. The caller chooses where the rows go for every step: the rollout itself, a pinned
 * slab, a socket's buffer. Workers write there in place; actions and rows stay the pool's until the
 * group or chunk is done.
 *
 * Every call here belongs to one thread, the loop's; callbacks come on it and may do all but wait
 * and destroy. A call that waits runs the loop, so timers, signals and streams go on meanwhile; where
 * threads have a processor each it spins for some microseconds first. The trainer uses the pool as
 * a source of rows (source.h). Nothing is allocated after create. Results do not depend on workers,
 * chunk or timing: an actor's seed comes from (seed, actor, restarts), and groups are reported in
 * the order of their submission.
 *
 * An environment that fails does not end the run:
 *   - A row that comes back with VLY_ROW_FAILED: the actor is reset with its next seed and counted.
 *     All its rows then carry FAILED | RESET and the first observation of the new episode. The action
 *     was lost: a learner masks it as it does any RESET row, and the row before may bootstrap from
 *     its observation. The episode is not reported.
 *   - A step that takes longer than deadline_ms: on_warning gets a line with the actor and its last
 *     action, once, and another thread replaces the stuck worker. The chunk stays busy (in the
 *     synchronous schedule its group waits) and is processed as usual if the step returns.
 *
 * The pool owns the actors' states and borrows the environment.
 */
#ifndef VLY_CPU_ACTORS_POOL_H
#define VLY_CPU_ACTORS_POOL_H
#include <stdbool.h>
#include <uv.h>
#include "common/base/env.h"
#include "common/base/status.h"
#include "cpu/actors/source.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct vly_pool vly_pool;

typedef struct {
    int actors;        /* N, a multiple of groups */
    int groups;        /* 0: 1 */
    int chunk;         /* most actors in a chunk; 0: chosen from group size and workers */
    int workers;       /* threads; 0: none, a waiting caller steps; -1: one per usable processor */
    bool caller_steps; /* a waiting caller steps chunks too; the deadline then does not protect it,
                          so only for environments that are known to return */
    bool uncounted;    /* no episodes are reported, and no ages kept */
    uint64_t seed;
    /* By actor, for a pool that steps some of another's actors; NULL: their own numbers, and 0. An
     * actor's seeds are those of number names[i] from the draws[i]th on. names is borrowed. */
    const uint32_t *names, *draws;
    int deadline_ms;                            /* for one actor's step; 0: 10000 */
    void *arg;                                  /* for the callbacks, each of which may be NULL */
    void (*on_group)(void *arg, int group);     /* a submitted group is done */
    void (*on_chunks)(void *arg, int finished); /* number of chunks that can be taken */
    /* A line for a person, from the watchdog's thread. Must not block or call the pool. */
    void (*on_warning)(void *arg, const char *text);
} vly_pool_options;

/* loop NULL: the pool has one of its own, which nobody else runs. env must outlive the pool. */
vly_status vly_pool_create(vly_pool **out, uv_loop_t *loop, const vly_env *env,
                           const vly_pool_options *options);
/* Waits for chunks in flight up to the deadline. VLY_ETIMEOUT: an environment still hangs; its
 * thread and the pool's memory stay, and the caller must keep the rows that were submitted until
 * the process ends. With a loop: run it once more before closing it. */
vly_status vly_pool_destroy(vly_pool *pool);

int vly_pool_actors(const vly_pool *pool);
int vly_pool_groups(const vly_pool *pool);
int vly_pool_chunks(const vly_pool *pool);
/* Actors first .. first + n - 1 make up the group or chunk. */
void vly_pool_group_range(const vly_pool *pool, int group, int *first, int *n);
void vly_pool_chunk_range(const vly_pool *pool, int chunk, int *first, int *n);

/* Synchronous. action and out have one entry per row of the group. A group is submitted only when
 * none of its chunks is in flight or waiting to be taken. reset: seeds all its actors anew, fresh
 * episodes. */
vly_status vly_pool_submit_group(vly_pool *pool, int group, vly_actions action, vly_rows out);
vly_status vly_pool_reset_group(vly_pool *pool, int group, vly_rows out);
/* Waits until the group is done; reports it and those submitted before it, no other. Returns at
 * once when it is not in flight. VLY_ETIMEOUT after timeout_ms (-1: no limit), so that a caller can
 * look at other things while an environment hangs. */
vly_status vly_pool_wait_group(vly_pool *pool, int group, int timeout_ms);

/* Asynchronous, the same by chunk. */
vly_status vly_pool_submit_chunk(vly_pool *pool, int chunk, vly_actions action, vly_rows out);
vly_status vly_pool_reset_chunk(vly_pool *pool, int chunk, vly_rows out);
/* Exactly `want` finished chunks in the order in which they finished, or 0 when there are fewer
 * after timeout_ms (0: at once, -1: wait). A chunk is handed out once per submission. */
int vly_pool_take(vly_pool *pool, int want, int *chunks, int timeout_ms);

/* The pool as a source of rows: groups in the order of their submission, or (by_chunk, of one
 * group) chunks in the order in which they finish. Valid until destroy, which it may call. */
vly_source *vly_pool_source(vly_pool *pool, bool by_chunk);

/* A seed for each actor, for its next reset alone; all others are drawn from options.seed. Not part
 * of a snapshot. None may be in flight. */
vly_status vly_pool_seed(vly_pool *pool, const uint64_t *seeds);
/* The next step of these actors (which: a byte for each; NULL: all) leaves the episode where it is
 * and starts another, without a new seed; its action is ignored. None may be in flight. The episode
 * that is left is not reported. VLY_EUNSUPPORTED where the environment cannot. */
vly_status vly_pool_restart(vly_pool *pool, const uint8_t *which);
/* The first fault of all steps so far: a plugin's (vly_plugin_check), or a mask that allows no
 * action. From any thread. */
vly_status vly_pool_check(const vly_pool *pool);

/* From `row` on: the frames of its episode before its newest row, at most 255 (for frame stacks).
 * Valid for actors that are not in flight. */
const uint8_t *vly_pool_age(const vly_pool *pool, int row);
/* Finished episodes, oldest first, actors of a group in order; up to max; returns how many. The
 * ring keeps the last 4096 or 4 per actor, whichever is more. */
int vly_pool_episodes(vly_pool *pool, vly_episode *out, int max);
void vly_pool_get_stats(vly_pool *pool, vly_pool_stats *out);

/* The states of all actors as flat memory for a checkpoint, independent of groups, chunks and
 * workers. VLY_EINVAL while anything is in flight; chunks that hang are allowed: their actors are
 * marked to be reset. */
size_t vly_pool_snapshot_bytes(const vly_pool *pool);
vly_status vly_pool_save(vly_pool *pool, void *to, size_t bytes);
/* Fails, and leaves the pool as it was, if the snapshot is of another environment, number of actors
 * or version, or if the environment finds the state of an actor invalid: the message names both. */
vly_status vly_pool_load(vly_pool *pool, const void *from, size_t bytes);
/* Whether the environment finds the states in a snapshot valid; VLY_OK also for one that it could not
 * be given, of another environment or of actors elsewhere. */
vly_status vly_pool_snapshot_valid(const vly_env *env, const void *from, size_t bytes);
/* From the snapshot of actors that were stepped elsewhere (cpu/actors/far.h): they draw seeds that
 * nobody has used, and begin episodes anew. to: vly_pool_snapshot_bytes. */
vly_status vly_pool_convert(const vly_pool *pool, const void *from, size_t bytes, void *to);
/* The other way: where the seeds of each actor begin (uint32_t, not aligned). */
vly_status vly_pool_snapshot_draws(const vly_env *env, int actors, const void *from, size_t bytes,
                                   void *draws, int64_t *episodes);
/* State of one actor, for rendering and tests; NULL while its chunk is in flight. */
void *vly_pool_state(vly_pool *pool, int actor);

#ifdef __cplusplus
}
#endif
#endif
