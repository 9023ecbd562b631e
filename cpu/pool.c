#include "cpu/pool.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/philox.h"

enum {
    SPARE_WORKERS = 64,     /* replacements for threads that are stuck in an environment */
    CHUNK_DEFAULT_MAX = 256,
    EPISODES_MIN = 4096,
    FLAGS_UNWRITTEN = 0xff, /* no environment writes all flags at once: what a stuck actor leaves */
    SNAPSHOT_VERSION = 1
};

typedef enum { CHUNK_IDLE, CHUNK_QUEUED, CHUNK_RUNNING, CHUNK_FINISHED } chunk_state;

typedef struct {
    int first, n, group;
    chunk_state state;
    bool by_group;         /* reported with its group */
    bool hung;             /* missed the deadline and is still out */
    const int32_t *action; /* NULL: reset */
    vly_rows out;
    vly_episode *episodes; /* n; finished in the step just done */
    int episode_count, restarts;
} chunk;

typedef struct {
    int left;      /* chunks in flight that belong to a group submission */
    bool in_flight; /* submitted and not yet reported */
} group;

typedef struct {
    struct vly_pool *pool;
    pthread_t thread;
    bool started;             /* a thread runs or ran here; false for the caller's own slot */
    bool stuck;               /* replaced; leaves when it comes back */
    _Atomic int64_t since_ns; /* when the chunk was taken; 0: none */
    atomic_int chunk;
    int64_t busy_ns;          /* under the lock */
    int seen_actor;           /* the watchdog's: where the worker was when last looked at */
    int64_t seen_job, seen_ns, warned_job;
} worker;

struct vly_pool {
    const vly_env *env;
    vly_pool_options options;
    int64_t deadline_ns, created_ns;
    int group_actors, group_chunks, chunk_count;

    /* Actors. A chunk's worker owns its actors' entries while it is in flight, the caller otherwise. */
    unsigned char *states;
    double *score;
    int32_t *length;
    uint32_t *seeds; /* drawn so far */
    uint8_t *age, *afresh; /* afresh: could not be reset; tried again with the next step */

    chunk *chunks;
    group *groups;
    vly_episode *chunk_episodes;

    pthread_mutex_t lock;
    pthread_cond_t work, done, watch;
    int *queue, queue_head, queue_count;       /* chunks to step */
    int *finished, finished_head, finished_count; /* chunks to take */
    int *order, order_head, order_count;       /* groups in flight, by submission */
    int running, sleeping, waiting;
    bool stop;
    int64_t rows, restarts, hung_total;
    int hung;

    worker *workers;
    int slots, threads; /* slots used, threads that are not stuck */
    pthread_t watchdog;
    bool watchdog_started;

    /* The caller's alone. */
    vly_episode *ring;
    int64_t ring_size, ring_written, ring_read, ring_dropped;
    int told_finished;
    uv_async_t *async;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- stepping: on a worker, without the lock ---- */

static void *state_of(const vly_pool *p, int actor) {
    return p->states + (size_t)actor * p->env->state_bytes;
}

static uint64_t next_seed(vly_pool *p, int actor) {
    const vly_u32x4 r = vly_philox(p->options.seed, VLY_STREAM_ENV, p->seeds[actor]++, (uint32_t)actor);
    return (uint64_t)r.v[1] << 32 | r.v[0];
}

/* A fresh episode in row `at`, which carries RESET and `mark`. */
static void reset_actor(vly_pool *p, int actor, vly_rows at, uint8_t mark) {
    *at.flags = FLAGS_UNWRITTEN;
    *at.reward = *at.score = 0;
    p->env->reset(p->env, state_of(p, actor), next_seed(p, actor), at);
    p->score[actor] = 0;
    p->length[actor] = 0;
    p->age[actor] = 0;
    p->afresh[actor] = (*at.flags & VLY_ROW_FAILED) != 0;
    if (p->afresh[actor]) memset(at.obs, 0, p->env->obs.bytes);
    *at.reward = *at.score = 0;
    *at.flags = (uint8_t)(VLY_ROW_RESET | mark | (p->afresh[actor] ? VLY_ROW_FAILED : 0));
}

static void reset_chunk(vly_pool *p, chunk *c) {
    memset(c->out.flags, FLAGS_UNWRITTEN, (size_t)c->n);
    for (int i = 0; i < c->n; i++) {
        reset_actor(p, c->first + i, vly_rows_at(c->out, (size_t)i), 0);
        c->restarts += p->afresh[c->first + i];
    }
}

/* A row that starts or ends an episode, or failed. */
static void note_event(vly_pool *p, chunk *c, int i) {
    const int actor = c->first + i;
    const uint8_t flags = c->out.flags[i];
    if (flags & VLY_ROW_FAILED) { /* or not written at all */
        c->restarts++;
        reset_actor(p, actor, vly_rows_at(c->out, (size_t)i), VLY_ROW_FAILED);
        return;
    }
    if (flags & VLY_ROW_RESET) p->length[actor]--, p->age[actor] = 0;
    if (flags & VLY_ROW_GAME_OVER) {
        c->episodes[c->episode_count++] = (vly_episode){actor, p->length[actor], p->score[actor]};
        p->score[actor] = 0;
        p->length[actor] = 0;
    }
}

static bool any_set(const uint8_t *bytes, int n) {
    uint64_t any = 0, word;
    int i = 0;
    for (; i + 8 <= n; i += 8) memcpy(&word, bytes + i, 8), any |= word;
    for (; i < n; i++) any |= bytes[i];
    return any != 0;
}

/* Adds up episodes: nearly always two short vector loops. */
static void account(vly_pool *p, chunk *c) {
    double *restrict score = p->score + c->first;
    int32_t *restrict length = p->length + c->first;
    uint8_t *restrict age = p->age + c->first;
    const float *restrict gained = c->out.score;
    for (int i = 0; i < c->n; i++) {
        score[i] += gained[i];
        length[i] += 1;
        age[i] = (uint8_t)(age[i] + (age[i] < 255));
    }
    if (!any_set(c->out.flags, c->n)) return;
    for (int i = 0; i < c->n; i++)
        if (c->out.flags[i]) note_event(p, c, i);
}

static void step_chunk(vly_pool *p, chunk *c) {
    c->episode_count = c->restarts = 0;
    if (!c->action) {
        reset_chunk(p, c);
        return;
    }
    memset(c->out.flags, FLAGS_UNWRITTEN, (size_t)c->n); /* for the watchdog: who was last */
    const uint8_t *afresh = p->afresh + c->first;        /* states that no environment may see */
    for (int i = 0, end; i < c->n; i = end + 1) {
        for (end = i; end < c->n && !afresh[end];) end++;
        if (end > i) p->env->step(p->env, state_of(p, c->first + i), end - i, c->action + i, vly_rows_at(c->out, (size_t)i));
    }
    account(p, c);
}

/* ---- the queue: under the lock ---- */

static int ring_push(int *ring, int size, int head, int count, int value) {
    int at = head + count;
    ring[at >= size ? at - size : at] = value;
    return count + 1;
}

static int ring_pop(const int *ring, int size, int *head, int *count) {
    const int value = ring[*head];
    if (++*head == size) *head = 0;
    --*count;
    return value;
}

static int take_work(vly_pool *p, worker *w) {
    const int id = ring_pop(p->queue, p->chunk_count, &p->queue_head, &p->queue_count);
    p->chunks[id].state = CHUNK_RUNNING;
    p->running++;
    atomic_store_explicit(&w->chunk, id, memory_order_relaxed);
    return id;
}

static void tell_owner(vly_pool *p) {
    if (p->waiting) pthread_cond_signal(&p->done);
    if (p->async) uv_async_send(p->async); /* coalesced: a system call only when the loop has seen the last */
}

static void complete(vly_pool *p, int id) {
    chunk *c = &p->chunks[id];
    p->running--;
    p->rows += c->n;
    p->restarts += c->restarts;
    if (c->hung) c->hung = false, p->hung--;
    c->state = CHUNK_FINISHED;
    if (!c->by_group) {
        p->finished_count = ring_push(p->finished, p->chunk_count, p->finished_head, p->finished_count, id);
        tell_owner(p);
    } else if (--p->groups[c->group].left == 0) {
        tell_owner(p);
    }
}

/* Takes, steps and completes one chunk; the lock is held on entry and on return. */
static void work_once(vly_pool *p, worker *w) {
    const int id = take_work(p, w);
    pthread_mutex_unlock(&p->lock);
    const int64_t start = now_ns();
    atomic_store_explicit(&w->since_ns, start, memory_order_release);
    step_chunk(p, &p->chunks[id]);
    atomic_store_explicit(&w->since_ns, 0, memory_order_release);
    const int64_t spent = now_ns() - start;
    pthread_mutex_lock(&p->lock);
    w->busy_ns += spent;
    complete(p, id);
}

static void *worker_main(void *arg) {
    worker *w = arg;
    vly_pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    while (!p->stop && !w->stuck) {
        if (p->queue_count > 0) {
            work_once(p, w);
        } else {
            p->sleeping++;
            pthread_cond_wait(&p->work, &p->lock);
            p->sleeping--;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Threads inherit a mask without signals: those are the loop's. */
static int start_thread(pthread_t *thread, void *(*main)(void *), void *arg) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(thread, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int start_worker(vly_pool *p) {
    worker *w = &p->workers[p->slots];
    if (p->slots == p->options.workers + 1 + SPARE_WORKERS) return EAGAIN;
    w->pool = p;
    const int error = start_thread(&w->thread, worker_main, w);
    if (error) return error;
    w->started = true;
    p->slots++;
    p->threads++;
    return 0;
}

/* ---- the watchdog ---- */

/* First actor of the chunk whose row is not written: environments go through a chunk in order. Reads what a worker
 * may be writing just now; a stale byte only names a neighbour. */
#if defined(__clang__) || defined(__GNUC__)
__attribute__((no_sanitize("thread")))
#endif
static int current_actor(const chunk *c) {
    const volatile uint8_t *flags = c->out.flags;
    for (int i = 0; i < c->n; i++)
        if (flags[i] == FLAGS_UNWRITTEN) return i;
    return c->n - 1;
}

static void warn(const vly_pool *p, const char *text) {
    if (p->options.on_warning) p->options.on_warning(p->options.arg, text);
    else fprintf(stderr, "%s\n", text);
}

/* Under the lock. True with a line for the user when the worker has just missed its deadline. */
static bool look_at(vly_pool *p, worker *w, int64_t now, char *text, size_t bytes) {
    const int64_t since = atomic_load_explicit(&w->since_ns, memory_order_acquire);
    if (!since || w->warned_job == since) return false;
    const int id = atomic_load_explicit(&w->chunk, memory_order_relaxed);
    chunk *c = &p->chunks[id];
    const int i = current_actor(c);
    if (w->seen_job != since || w->seen_actor != c->first + i) { /* it moves */
        w->seen_ns = w->seen_job != since && i == 0 ? since : now;
        w->seen_job = since;
        w->seen_actor = c->first + i;
    }
    if (now - w->seen_ns < p->deadline_ns) return false;
    w->warned_job = since;
    c->hung = true;
    p->hung++;
    p->hung_total++;
    char action[32] = "being reset";
    if (c->action) snprintf(action, sizeof action, "last action %d", c->action[i]);
    const char *help = "the other actors go on";
    if (c->by_group) help = "its group waits for it";
    if (w->started && !w->stuck) {
        w->stuck = true;
        p->threads--;
        if (start_worker(p)) help = "no thread could be started in its worker's place";
    }
    snprintf(text, bytes, "environment %s: actor %d has not come back for %.1f s (%s); %s", p->env->name,
             c->first + i, (double)(now - w->seen_ns) * 1e-9, action, help);
    return true;
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t when_ns) {
    const struct timespec t = {when_ns / 1000000000, when_ns % 1000000000};
    pthread_cond_timedwait(cond, lock, &t);
}

static void *watchdog_main(void *arg) {
    vly_pool *p = arg;
    char text[256];
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        wait_until(&p->watch, &p->lock, now_ns() + p->deadline_ns / 4 + 1);
        for (int i = 0; i < p->slots && !p->stop; i++) {
            if (!look_at(p, &p->workers[i], now_ns(), text, sizeof text)) continue;
            pthread_mutex_unlock(&p->lock);
            warn(p, text);
            pthread_mutex_lock(&p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- reporting: the caller's thread ---- */

static void harvest(vly_pool *p, chunk *c) {
    for (int i = 0; i < c->episode_count; i++) p->ring[p->ring_written++ % p->ring_size] = c->episodes[i];
    if (p->ring_written - p->ring_read > p->ring_size) {
        p->ring_dropped += p->ring_written - p->ring_size - p->ring_read;
        p->ring_read = p->ring_written - p->ring_size;
    }
    c->episode_count = 0;
}

static void report_group(vly_pool *p, int g) {
    p->groups[g].in_flight = false;
    for (int i = 0; i < p->group_chunks; i++) {
        chunk *c = &p->chunks[g * p->group_chunks + i];
        c->state = CHUNK_IDLE;
        harvest(p, c);
    }
}

/* Reports the oldest group in flight if it is done: strictly by submission, so that nothing depends on who was
 * faster. */
static bool report_oldest(vly_pool *p) {
    pthread_mutex_lock(&p->lock);
    const bool done = p->order_count > 0 && p->groups[p->order[p->order_head]].left == 0;
    const int g = done ? ring_pop(p->order, p->options.groups, &p->order_head, &p->order_count) : -1;
    if (done) report_group(p, g);
    pthread_mutex_unlock(&p->lock);
    if (done && p->options.on_group) p->options.on_group(p->options.arg, g);
    return done;
}

static void report_chunks(vly_pool *p) {
    pthread_mutex_lock(&p->lock);
    const int finished = p->finished_count;
    pthread_mutex_unlock(&p->lock);
    const bool news = finished > p->told_finished;
    p->told_finished = finished;
    if (news && p->options.on_chunks) p->options.on_chunks(p->options.arg, finished);
}

/* A callback may submit what is done at once: the loop gets its turn after each group has had one. */
static void on_async(uv_async_t *async) {
    vly_pool *p = async->data;
    int groups = p->options.groups;
    while (groups > 0 && report_oldest(p)) groups--;
    report_chunks(p);
    if (groups == 0) uv_async_send(async);
}

/* Waits for something to be done, or steps a chunk meanwhile. The lock is held. False: the time is over. */
static bool wait_or_work(vly_pool *p, int64_t until_ns) {
    const bool helps = p->options.caller_steps || p->options.workers == 0;
    if (helps && p->queue_count > 0) {
        work_once(p, &p->workers[0]);
        return true;
    }
    if (until_ns >= 0 && now_ns() >= until_ns) return false;
    p->waiting++;
    if (until_ns < 0) pthread_cond_wait(&p->done, &p->lock);
    else wait_until(&p->done, &p->lock, until_ns);
    p->waiting--;
    return true;
}

/* Until the oldest group in flight is done. False: the time is over. */
static bool wait_oldest(vly_pool *p, int64_t until_ns) {
    bool in_time = true;
    pthread_mutex_lock(&p->lock);
    while (in_time && p->order_count > 0 && p->groups[p->order[p->order_head]].left > 0)
        in_time = wait_or_work(p, until_ns);
    pthread_mutex_unlock(&p->lock);
    return in_time;
}

static int64_t until_of(int timeout_ms) {
    return timeout_ms < 0 ? -1 : now_ns() + (int64_t)timeout_ms * 1000000;
}

vly_status vly_pool_wait_group(vly_pool *p, int g, int timeout_ms) {
    if (g < 0 || g >= p->options.groups)
        return vly_fail(VLY_EINVAL, "group %d: the pool has %d", g, p->options.groups);
    const int64_t until = until_of(timeout_ms);
    while (p->groups[g].in_flight) {
        if (!wait_oldest(p, until)) return vly_fail(VLY_ETIMEOUT, "group %d is not done after %d ms", g, timeout_ms);
        report_oldest(p);
    }
    return VLY_OK;
}

int vly_pool_take(vly_pool *p, int want, int *chunks, int timeout_ms) {
    if (want <= 0) return 0;
    const int64_t until = until_of(timeout_ms);
    pthread_mutex_lock(&p->lock);
    while (p->finished_count < want && wait_or_work(p, until)) {}
    const int n = p->finished_count >= want ? want : 0;
    for (int i = 0; i < n; i++) {
        chunks[i] = ring_pop(p->finished, p->chunk_count, &p->finished_head, &p->finished_count);
        p->chunks[chunks[i]].state = CHUNK_IDLE;
    }
    p->told_finished = p->finished_count;
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < n; i++) harvest(p, &p->chunks[chunks[i]]);
    return n;
}

/* ---- submitting ---- */

static void enqueue(vly_pool *p, int id, const int32_t *action, vly_rows out, bool by_group) {
    chunk *c = &p->chunks[id];
    c->action = action;
    c->out = out;
    c->by_group = by_group;
    c->state = CHUNK_QUEUED;
    p->queue_count = ring_push(p->queue, p->chunk_count, p->queue_head, p->queue_count, id);
}

static void wake_workers(vly_pool *p, int chunks) {
    if (chunks >= p->sleeping) pthread_cond_broadcast(&p->work);
    else
        for (int i = 0; i < chunks; i++) pthread_cond_signal(&p->work);
}

static vly_status check_rows(const vly_pool *p, vly_rows out) {
    if (!out.obs || !out.reward || !out.score || !out.flags)
        return vly_fail(VLY_EINVAL, "rows without memory for observations, rewards, scores or flags");
    if (out.obs_stride < p->env->obs.bytes)
        return vly_fail(VLY_EINVAL, "rows %zu bytes apart cannot hold observations of %zu", out.obs_stride, p->env->obs.bytes);
    return VLY_OK;
}

static vly_status submit_group(vly_pool *p, int g, const int32_t *action, vly_rows out) {
    VLY_TRY(check_rows(p, out));
    if (g < 0 || g >= p->options.groups)
        return vly_fail(VLY_EINVAL, "group %d: the pool has %d", g, p->options.groups);
    const int first = g * p->group_chunks;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < p->group_chunks; i++)
        if (p->chunks[first + i].state != CHUNK_IDLE) {
            pthread_mutex_unlock(&p->lock);
            return vly_fail(VLY_EINVAL, "group %d is in flight: wait for it before it is submitted again", g);
        }
    for (int i = 0; i < p->group_chunks; i++) {
        const int skip = p->chunks[first + i].first - g * p->group_actors;
        enqueue(p, first + i, action ? action + skip : NULL, vly_rows_at(out, (size_t)skip), true);
    }
    p->groups[g] = (group){p->group_chunks, true};
    p->order_count = ring_push(p->order, p->options.groups, p->order_head, p->order_count, g);
    wake_workers(p, p->group_chunks);
    pthread_mutex_unlock(&p->lock);
    return VLY_OK;
}

static vly_status submit_chunk(vly_pool *p, int id, const int32_t *action, vly_rows out) {
    VLY_TRY(check_rows(p, out));
    if (id < 0 || id >= p->chunk_count)
        return vly_fail(VLY_EINVAL, "chunk %d: the pool has %d", id, p->chunk_count);
    pthread_mutex_lock(&p->lock);
    const bool idle = p->chunks[id].state == CHUNK_IDLE;
    if (idle) enqueue(p, id, action, out, false), wake_workers(p, 1);
    pthread_mutex_unlock(&p->lock);
    return idle ? VLY_OK : vly_fail(VLY_EINVAL, "chunk %d is in flight: take it before it is submitted again", id);
}

vly_status vly_pool_submit_group(vly_pool *p, int g, const int32_t *action, vly_rows out) {
    return action ? submit_group(p, g, action, out) : vly_fail(VLY_EINVAL, "a step of group %d without actions", g);
}
vly_status vly_pool_reset_group(vly_pool *p, int g, vly_rows out) { return submit_group(p, g, NULL, out); }
vly_status vly_pool_submit_chunk(vly_pool *p, int id, const int32_t *action, vly_rows out) {
    return action ? submit_chunk(p, id, action, out) : vly_fail(VLY_EINVAL, "a step of chunk %d without actions", id);
}
vly_status vly_pool_reset_chunk(vly_pool *p, int id, vly_rows out) { return submit_chunk(p, id, NULL, out); }

/* ---- what can be asked ---- */

int vly_pool_actors(const vly_pool *p) { return p->options.actors; }
int vly_pool_groups(const vly_pool *p) { return p->options.groups; }
int vly_pool_chunks(const vly_pool *p) { return p->chunk_count; }
void vly_pool_group_range(const vly_pool *p, int g, int *first, int *n) {
    *first = g * p->group_actors, *n = p->group_actors;
}
void vly_pool_chunk_range(const vly_pool *p, int id, int *first, int *n) {
    *first = p->chunks[id].first, *n = p->chunks[id].n;
}
const uint8_t *vly_pool_age(const vly_pool *p, int actor) { return p->age + actor; }

int vly_pool_episodes(vly_pool *p, vly_episode *out, int max) {
    int n = 0;
    while (n < max && p->ring_read < p->ring_written) out[n++] = p->ring[p->ring_read++ % p->ring_size];
    return n;
}

static chunk *chunk_of(vly_pool *p, int actor) {
    const int g = actor / p->group_actors;
    return &p->chunks[g * p->group_chunks + (actor - g * p->group_actors) / p->options.chunk];
}

void *vly_pool_state(vly_pool *p, int actor) {
    if (actor < 0 || actor >= p->options.actors) return NULL;
    pthread_mutex_lock(&p->lock);
    const chunk_state s = chunk_of(p, actor)->state;
    pthread_mutex_unlock(&p->lock);
    return s == CHUNK_QUEUED || s == CHUNK_RUNNING ? NULL : state_of(p, actor);
}

void vly_pool_get_stats(vly_pool *p, vly_pool_stats *out) {
    const int64_t now = now_ns();
    int64_t busy = 0;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < p->slots; i++) busy += p->workers[i].busy_ns;
    *out = (vly_pool_stats){.rows = p->rows,
                            .episodes = p->ring_written,
                            .episodes_dropped = p->ring_dropped,
                            .restarts = p->restarts,
                            .hung_total = p->hung_total,
                            .hung = p->hung,
                            .queued = p->queue_count,
                            .running = p->running,
                            .finished = p->finished_count,
                            .workers = p->threads,
                            .busy_s = (double)busy * 1e-9,
                            .age_s = (double)(now - p->created_ns) * 1e-9};
    pthread_mutex_unlock(&p->lock);
}

/* ---- snapshots ---- */

typedef struct {
    char magic[8];
    uint32_t version, actors;
    uint64_t state_bytes, episodes;
    char env[64];
} snapshot_head;

typedef struct {
    double score;
    int32_t length;
    uint32_t seeds;
    uint8_t age, afresh, pad[6];
} snapshot_actor;

size_t vly_pool_snapshot_bytes(const vly_pool *p) {
    return sizeof(snapshot_head) + (size_t)p->options.actors * (sizeof(snapshot_actor) + p->env->state_bytes);
}

static snapshot_head head_of(const vly_pool *p) {
    snapshot_head h = {.magic = "vlypool", .version = SNAPSHOT_VERSION, .actors = (uint32_t)p->options.actors,
                       .state_bytes = p->env->state_bytes, .episodes = (uint64_t)p->ring_written};
    memcpy(h.env, p->env->name, sizeof h.env);
    return h;
}

/* Nothing may be under way but what hangs. */
static vly_status check_quiet(vly_pool *p) {
    for (int i = 0; i < p->chunk_count; i++)
        if (p->chunks[i].state != CHUNK_IDLE && !p->chunks[i].hung)
            return vly_fail(VLY_EINVAL, "actors %d to %d are in flight: a snapshot needs them at rest", p->chunks[i].first,
                            p->chunks[i].first + p->chunks[i].n - 1);
    return VLY_OK;
}

static void save_actor(vly_pool *p, int actor, bool hung, snapshot_actor *to, unsigned char *state) {
    memset(to, 0, sizeof *to);
    if (hung) { /* its worker may be writing: only what is the caller's */
        to->afresh = 1;
        to->seeds = 0x40000000u + (uint32_t)p->hung_total; /* seeds it has not used */
        memset(state, 0, p->env->state_bytes);
        return;
    }
    to->score = p->score[actor], to->length = p->length[actor], to->seeds = p->seeds[actor];
    to->age = p->age[actor], to->afresh = p->afresh[actor];
    memcpy(state, state_of(p, actor), p->env->state_bytes);
}

vly_status vly_pool_save(vly_pool *p, void *to, size_t bytes) {
    if (bytes != vly_pool_snapshot_bytes(p))
        return vly_fail(VLY_EINVAL, "a snapshot takes %zu bytes, not %zu", vly_pool_snapshot_bytes(p), bytes);
    pthread_mutex_lock(&p->lock);
    const vly_status quiet = check_quiet(p);
    if (quiet == VLY_OK) {
        const snapshot_head h = head_of(p);
        snapshot_actor *actors = (snapshot_actor *)((unsigned char *)to + sizeof h);
        unsigned char *states = (unsigned char *)(actors + p->options.actors);
        memcpy(to, &h, sizeof h);
        for (int a = 0; a < p->options.actors; a++)
            save_actor(p, a, chunk_of(p, a)->hung, &actors[a], states + (size_t)a * p->env->state_bytes);
    }
    pthread_mutex_unlock(&p->lock);
    return quiet;
}

static vly_status check_head(const vly_pool *p, const void *from, size_t bytes) {
    snapshot_head h;
    if (bytes < sizeof h) return vly_fail(VLY_ECORRUPT, "the snapshot of the actors is cut off");
    memcpy(&h, from, sizeof h);
    h.env[sizeof h.env - 1] = '\0';
    if (memcmp(h.magic, "vlypool", 8) != 0) return vly_fail(VLY_ECORRUPT, "not a snapshot of actors");
    if (h.version != SNAPSHOT_VERSION)
        return vly_fail(VLY_EVERSION, "the actors were saved in format %u, this program reads %d", h.version, SNAPSHOT_VERSION);
    if (strcmp(h.env, p->env->name) != 0)
        return vly_fail(VLY_EINVAL, "the snapshot is of environment %s, not %s", h.env, p->env->name);
    if (h.actors != (uint32_t)p->options.actors || h.state_bytes != p->env->state_bytes)
        return vly_fail(VLY_EINVAL, "the snapshot holds %u actors of %llu bytes, not %d of %zu", h.actors,
                        (unsigned long long)h.state_bytes, p->options.actors, p->env->state_bytes);
    if (bytes != vly_pool_snapshot_bytes(p)) return vly_fail(VLY_ECORRUPT, "the snapshot of the actors is cut off");
    return VLY_OK;
}

vly_status vly_pool_load(vly_pool *p, const void *from, size_t bytes) {
    VLY_TRY(check_head(p, from, bytes));
    pthread_mutex_lock(&p->lock);
    vly_status status = check_quiet(p);
    if (status == VLY_OK && p->hung) status = vly_fail(VLY_EINVAL, "an actor hangs: nothing can be restored");
    if (status == VLY_OK) {
        snapshot_head h;
        memcpy(&h, from, sizeof h);
        const unsigned char *at = (const unsigned char *)from + sizeof h;
        const unsigned char *states = at + (size_t)p->options.actors * sizeof(snapshot_actor);
        for (int a = 0; a < p->options.actors; a++) {
            snapshot_actor s;
            memcpy(&s, at + (size_t)a * sizeof s, sizeof s);
            p->score[a] = s.score, p->length[a] = s.length, p->seeds[a] = s.seeds;
            p->age[a] = s.age, p->afresh[a] = s.afresh != 0;
        }
        memcpy(p->states, states, (size_t)p->options.actors * p->env->state_bytes);
        p->ring_written = p->ring_read = (int64_t)h.episodes;
    }
    pthread_mutex_unlock(&p->lock);
    return status;
}

/* ---- creation ---- */

static vly_status check_options(const vly_env *env, const vly_pool_options *o) {
    if (o->actors < 1) return vly_fail(VLY_EINVAL, "a pool of %d actors: at least 1", o->actors);
    if (o->groups < 0 || (o->groups > 0 && o->actors % o->groups != 0))
        return vly_fail(VLY_EINVAL, "%d actors do not divide into %d equal groups", o->actors, o->groups);
    if (o->chunk < 0 || o->deadline_ms < 0 || o->workers < -1 || o->workers > 4096)
        return vly_fail(VLY_EINVAL, "chunk %d, deadline %d ms, workers %d: out of range", o->chunk, o->deadline_ms, o->workers);
    if (env->state_bytes == 0 || env->state_bytes % 64 != 0)
        return vly_fail(VLY_EINVAL, "environment %s: state_bytes %zu is not a multiple of 64", env->name, env->state_bytes);
    return VLY_OK;
}

/* Small enough for four chunks per worker, large enough to pay for a lock, whole vectors where the group allows. */
static int default_chunk(int group_actors, int workers) {
    const int threads = workers > 0 ? workers : 1;
    int n = (group_actors + 4 * threads - 1) / (4 * threads);
    if (n > 16) n = (n + 15) / 16 * 16;
    return n > CHUNK_DEFAULT_MAX ? CHUNK_DEFAULT_MAX : n;
}

static void lay_out(vly_pool *p) {
    vly_pool_options *o = &p->options;
    if (o->groups == 0) o->groups = 1;
    if (o->workers < 0) o->workers = (int)uv_available_parallelism();
    if (o->deadline_ms == 0) o->deadline_ms = 10000;
    p->deadline_ns = (int64_t)o->deadline_ms * 1000000;
    p->group_actors = o->actors / o->groups;
    if (o->chunk == 0) o->chunk = default_chunk(p->group_actors, o->workers);
    if (o->chunk > p->group_actors) o->chunk = p->group_actors;
    p->group_chunks = (p->group_actors + o->chunk - 1) / o->chunk;
    p->chunk_count = p->group_chunks * o->groups;
    p->ring_size = 4 * (int64_t)o->actors > EPISODES_MIN ? 4 * (int64_t)o->actors : EPISODES_MIN;
}

static void name_chunks(vly_pool *p) {
    for (int id = 0; id < p->chunk_count; id++) {
        chunk *c = &p->chunks[id];
        c->group = id / p->group_chunks;
        const int within = id % p->group_chunks * p->options.chunk, rest = p->group_actors - within;
        c->first = c->group * p->group_actors + within;
        c->n = rest < p->options.chunk ? rest : p->options.chunk;
        c->episodes = p->chunk_episodes + c->first;
    }
}

static void free_memory(vly_pool *p) {
    void *all[] = {p->states, p->score, p->length, p->seeds, p->age, p->afresh, p->chunks, p->groups, p->chunk_episodes,
                   p->queue, p->finished, p->order, p->workers, p->ring, p};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static vly_status take_memory(vly_pool *p) {
    const size_t n = (size_t)p->options.actors, chunks = (size_t)p->chunk_count;
    p->states = aligned_alloc(64, n * p->env->state_bytes);
    p->score = calloc(n, sizeof *p->score);
    p->length = calloc(n, sizeof *p->length);
    p->seeds = calloc(n, sizeof *p->seeds);
    p->age = calloc(n, 1);
    p->afresh = calloc(n, 1);
    p->chunks = calloc(chunks, sizeof *p->chunks);
    p->groups = calloc((size_t)p->options.groups, sizeof *p->groups);
    p->chunk_episodes = calloc(n, sizeof *p->chunk_episodes);
    p->queue = calloc(chunks, sizeof *p->queue);
    p->finished = calloc(chunks, sizeof *p->finished);
    p->order = calloc((size_t)p->options.groups, sizeof *p->order);
    p->workers = calloc((size_t)p->options.workers + 1 + SPARE_WORKERS, sizeof *p->workers);
    p->ring = calloc((size_t)p->ring_size, sizeof *p->ring);
    if (!p->states || !p->score || !p->length || !p->seeds || !p->age || !p->afresh || !p->chunks || !p->groups ||
        !p->chunk_episodes || !p->queue || !p->finished || !p->order || !p->workers || !p->ring)
        return vly_fail(VLY_ENOMEM, "no memory for %d actors of environment %s (%zu bytes each); use fewer (--envs)",
                        p->options.actors, p->env->name, p->env->state_bytes);
    memset(p->states, 0, n * p->env->state_bytes); /* touched here, not in the first step */
    return VLY_OK;
}

static void init_sync(vly_pool *p) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, &attr);
    pthread_cond_init(&p->watch, &attr);
    pthread_condattr_destroy(&attr);
}

static void end_sync(vly_pool *p) {
    pthread_cond_destroy(&p->watch);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
}

static vly_status start_threads(vly_pool *p) {
    int error = 0;
    pthread_mutex_lock(&p->lock);
    p->workers[0].pool = p; /* the caller's slot */
    p->slots = 1;
    for (int i = 0; i < p->options.workers && !error; i++) error = start_worker(p);
    if (!error) error = start_thread(&p->watchdog, watchdog_main, p);
    p->watchdog_started = !error;
    pthread_mutex_unlock(&p->lock);
    return error ? vly_fail(VLY_ENOMEM, "cannot start %d threads for environments: %s", p->options.workers + 1, strerror(error))
                 : VLY_OK;
}

static vly_status open_async(vly_pool *p, uv_loop_t *loop) {
    if (!loop) return VLY_OK;
    uv_async_t *async = calloc(1, sizeof *async);
    if (!async) return vly_fail(VLY_ENOMEM, "no memory for the pool's handle");
    const int error = uv_async_init(loop, async, on_async);
    if (error) {
        free(async);
        return vly_fail(VLY_EIO, "uv_async_init: %s", uv_strerror(error));
    }
    async->data = p;
    p->async = async;
    return VLY_OK;
}

vly_status vly_pool_create(vly_pool **out, uv_loop_t *loop, const vly_env *env, const vly_pool_options *options) {
    VLY_TRY(check_options(env, options));
    vly_pool *p = calloc(1, sizeof *p);
    if (!p) return vly_fail(VLY_ENOMEM, "no memory for a pool");
    p->env = env;
    p->options = *options;
    p->created_ns = now_ns();
    lay_out(p);
    vly_status status = take_memory(p);
    if (status != VLY_OK) {
        free_memory(p);
        return status;
    }
    name_chunks(p);
    init_sync(p);
    status = open_async(p, loop);
    if (status == VLY_OK) status = start_threads(p);
    if (status != VLY_OK) {
        vly_pool_destroy(p);
        return status;
    }
    *out = p;
    return VLY_OK;
}

static void free_handle(uv_handle_t *handle) { free(handle); }

/* Threads in flight get as long as an environment may take; true when all are out. */
static bool stop_workers(vly_pool *p) {
    pthread_mutex_lock(&p->lock);
    p->queue_count = 0;
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->watch);
    const int64_t until = now_ns() + p->deadline_ns;
    p->waiting++;
    while (p->running > p->hung && now_ns() < until) {
        const int64_t soon = now_ns() + 20000000; /* group chunks that are not the last do not signal */
        wait_until(&p->done, &p->lock, soon < until ? soon : until);
    }
    const bool out = p->running == 0;
    uv_async_t *async = p->async;
    p->async = NULL;
    pthread_mutex_unlock(&p->lock);
    if (async) uv_close((uv_handle_t *)async, free_handle);
    return out;
}

vly_status vly_pool_destroy(vly_pool *p) {
    if (!p) return VLY_OK;
    const bool out = stop_workers(p);
    if (p->watchdog_started) pthread_join(p->watchdog, NULL);
    for (int i = 0; i < p->slots; i++) {
        if (!p->workers[i].started) continue;
        if (out) pthread_join(p->workers[i].thread, NULL);
        else pthread_detach(p->workers[i].thread); /* it still uses the pool's memory, which stays */
    }
    if (!out)
        return vly_fail(VLY_ETIMEOUT, "environment %s still has not come back; its thread and memory are left behind", p->env->name);
    end_sync(p);
    free_memory(p);
    return VLY_OK;
}
