/* pool_impl.h -- the inside of a pool, for cpu/actors/pool*.c alone.
 *
 *   pool.c           create, destroy, getters
 *   pool_step.c      a worker steps a chunk: rows, restarts, episodes; without the lock
 *   pool_worker.c    the threads, and the watchdog that replaces one that does not come back
 *   pool_submit.c    the caller's side: submits groups and chunks, waits, takes, reports
 *   pool_source.c    the same as a vly_source
 *   pool_snapshot.c  all actors as flat memory
 *
 * Ownership: a chunk's worker owns its actors' entries while the chunk is in flight, the
 * caller otherwise; everything from `lock` to `hung` is under the lock; the ring of episodes is the
 * caller's.
 */
#ifndef VLY_CPU_ACTORS_POOL_IMPL_H
#define VLY_CPU_ACTORS_POOL_IMPL_H
#include <pthread.h>
#include <stdatomic.h>
#include "common/base/clock.h"
#include "cpu/actors/pool.h"

enum { POOL_SPARE_WORKERS = 64 }; /* replacements for threads that are stuck in an environment */
enum { POOL_SPIN_NS = 20000 };    /* about what waking a thread takes */
enum { FLAGS_UNWRITTEN = 0xff };  /* no environment sets all flags: the row is not written yet */
/* What an actor's next step does instead: after a reset that failed, and when asked to. */
enum { NEEDS_STEP, NEEDS_RESET, NEEDS_RESTART };

typedef enum { CHUNK_IDLE, CHUNK_QUEUED, CHUNK_RUNNING, CHUNK_FINISHED } chunk_state;

typedef struct {
    int first, n, group;
    chunk_state state;
    bool by_group;      /* reported with its group */
    bool hung;          /* missed the deadline and is still out */
    vly_actions action; /* none: reset */
    vly_rows out;
    vly_episode *episodes; /* one for each row; finished in the step just done */
    int episode_count, restarts;
} pool_chunk;

typedef struct {
    int left;       /* chunks in flight that belong to a group submission */
    bool in_flight; /* submitted and not yet reported */
} pool_group;

typedef struct {
    struct vly_pool *pool;
    pthread_t thread;
    bool started;             /* a thread runs or ran here; false for the caller's own slot */
    bool stuck;               /* replaced; ends when its step returns */
    _Atomic int64_t since_ns; /* when the chunk was taken; 0: none */
    atomic_int chunk;
    int64_t busy_ns; /* under the lock */
    int seen_actor;  /* the watchdog's: where the worker was at the last check */
    int64_t seen_job, seen_ns, warned_job;
} pool_worker;

/* On the loop; freed once both are closed. */
typedef struct {
    uv_async_t news;
    uv_timer_t limit; /* of a call that waits */
    int open;
} pool_handles;

struct vly_pool {
    vly_source source; /* first */
    bool by_chunk;     /* as a source */
    const vly_env *env;
    vly_pool_options options;
    int64_t deadline_ns, created_ns;
    int group_actors, group_chunks, chunk_count;
    int players, row_count; /* rows of an actor, of all actors */

    /* per row */
    double *score;
    int32_t *length;
    uint8_t *age;

    /* per actor */
    unsigned char *states;
    _Atomic uint32_t *seeds; /* drawn so far; a snapshot reads what a hung worker may write */
    uint64_t *given_seeds;   /* for the next reset, where has_given */
    uint8_t *has_given, *needs;

    atomic_int blocked; /* a row whose mask allowed nothing, plus 1; 0: none yet */

    pool_chunk *chunks;
    pool_group *groups;
    vly_episode *chunk_episodes;

    pthread_mutex_t lock;
    pthread_cond_t work, done, watch;
    int *queue, queue_head, queue_count;          /* chunks to step */
    int *finished, finished_head, finished_count; /* chunks to take */
    int *order, order_head, order_count;          /* groups in flight, by submission */
    int running, sleeping;
    int armed;            /* chunks to be finished before the loop is woken; 0: it is not waiting */
    bool armed_for_group; /* the oldest group in flight */
    bool callbacks, stop;
    int64_t rows, restarts, hung_total;
    int hung;

    pool_worker *workers;
    int slots, threads; /* slots used, threads that are not stuck */
    pthread_t watchdog;
    bool watchdog_started;

    /* The caller's alone. */
    vly_episode *ring;
    int64_t ring_size, ring_written, ring_read, ring_dropped;
    int reported_finished; /* of finished: the oldest, which on_chunks knows of */
    uv_loop_t *loop, own_loop;
    pool_handles *handles;
    atomic_uint completed; /* chunks; written under the lock, read by a caller that spins */
    bool spins;
};

static inline void *vly_pool_state_at(const vly_pool *p, int actor) {
    return p->states + (size_t)actor * p->env->state_bytes;
}

/* What the actor is called, and draws its seeds as. */
static inline int vly_pool_name_of(const vly_pool *p, int actor) {
    return p->options.names ? (int)p->options.names[actor] : actor;
}

/* Rings of chunks or groups: of `size`, `count` of them in use from `head` on. */
static inline int ring_push(int *ring, int size, int head, int count, int value) {
    int at = head + count;
    ring[at >= size ? at - size : at] = value;
    return count + 1;
}

static inline int ring_pop(const int *ring, int size, int *head, int *count) {
    const int value = ring[*head];
    if (++*head == size) *head = 0;
    --*count;
    return value;
}

static inline pool_chunk *vly_pool_chunk_of(vly_pool *p, int actor) {
    const int g = actor / p->group_actors;
    return &p->chunks[g * p->group_chunks + (actor - g * p->group_actors) / p->options.chunk];
}

static inline void vly_pool_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
                                       int64_t when_ns) {
    const struct timespec t = {when_ns / 1000000000, when_ns % 1000000000};
    pthread_cond_timedwait(cond, lock, &t);
}

/* pool_step.c: all actors of a chunk, one step or reset; the chunk's numbers afterwards. */
void vly_pool_step_chunk(vly_pool *p, pool_chunk *c);

/* pool_worker.c. Takes, steps and completes one chunk; the lock is held on entry and on return. */
void vly_pool_work_once(vly_pool *p, pool_worker *w);
/* The thread blocks all signals but those of its own faults: the others are the loop's. An errno, or
 * 0. */
int vly_pool_start_thread(pthread_t *thread, void *(*main)(void *), void *arg);
/* One more, in the next slot; under the lock. An errno, or 0. */
int vly_pool_start_worker(vly_pool *p);
void *vly_pool_watchdog(void *pool);

static inline bool vly_pool_oldest_is_done(const vly_pool *p) {
    return p->order_count > 0 && p->groups[p->order[p->order_head]].left == 0;
}

/* pool_submit.c. As a source: a chunk or a group. */
vly_status vly_pool_submit(vly_source *s, int g, vly_actions action, vly_rows rows);
/* Reports to the callbacks, on the loop. */
void vly_pool_on_async(uv_async_t *async);
/* The oldest group in flight if it is done, else -1. helps: steps chunks on the calling thread first,
 * where that is allowed. */
int vly_pool_report_oldest(vly_pool *p, bool helps);
/* False: do not sleep. True: an event will follow. */
bool vly_pool_arm(vly_pool *p, int want, bool group);
#endif
