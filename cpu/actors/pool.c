#include "cpu/actors/pool_impl.h"
#include <stdlib.h>
#include <string.h>
#include "common/base/plugin_call.h"
#include "cpu/machine/processors.h"

enum { CHUNK_DEFAULT_MAX = 256, EPISODES_MIN = 4096 };

static vly_status check_pool_options(const vly_env *env, const vly_pool_options *o) {
    if (o->actors < 1) return vly_fail(VLY_EINVAL, "a pool of %d actors: at least 1", o->actors);
    if (o->groups < 0 || (o->groups > 0 && o->actors % o->groups != 0))
        return vly_fail(VLY_EINVAL, "%d actors do not divide into %d equal groups", o->actors,
                        o->groups);
    if (o->chunk < 0 || o->deadline_ms < 0 || o->workers < -1 || o->workers > 4096)
        return vly_fail(VLY_EINVAL, "chunk %d, deadline %d ms, workers %d: out of range", o->chunk,
                        o->deadline_ms, o->workers);
    if (env->players < 1)
        return vly_fail(VLY_EINVAL, "environment %s: players is %d, it must be at least 1",
                        env->name, env->players);
    if (env->state_bytes == 0 || env->state_bytes % 64 != 0)
        return vly_fail(VLY_EINVAL, "environment %s: state_bytes %zu is not a multiple of 64",
                        env->name, env->state_bytes);
    return VLY_OK;
}

/* Small enough for four chunks per worker, large enough to amortise a lock, a multiple of 16 (whole
 * vectors) where the group allows. Without workers nothing is shared out. */
static int default_chunk(int group_actors, int workers) {
    int n = workers > 0 ? (group_actors + 4 * workers - 1) / (4 * workers) : group_actors;
    if (n > 16) n = (n + 15) / 16 * 16;
    return n > CHUNK_DEFAULT_MAX ? CHUNK_DEFAULT_MAX : n;
}

static void choose_layout(vly_pool *p) {
    vly_pool_options *o = &p->options;
    if (o->groups == 0) o->groups = 1;
    if (o->workers < 0) o->workers = vly_processors();
    if (o->deadline_ms == 0) o->deadline_ms = 10000;
    p->deadline_ns = (int64_t)o->deadline_ms * 1000000;
    p->players = p->env->players;
    p->row_count = o->actors * p->players;
    p->group_actors = o->actors / o->groups;
    if (o->chunk == 0) o->chunk = default_chunk(p->group_actors, o->workers);
    if (o->chunk > p->group_actors) o->chunk = p->group_actors;
    p->group_chunks = (p->group_actors + o->chunk - 1) / o->chunk;
    p->chunk_count = p->group_chunks * o->groups;
    p->ring_size = 4 * (int64_t)p->row_count > EPISODES_MIN ? 4 * (int64_t)p->row_count
                                                            : EPISODES_MIN;
}

static void lay_out_chunks(vly_pool *p) {
    for (int id = 0; id < p->chunk_count; id++) {
        pool_chunk *c = &p->chunks[id];
        c->group = id / p->group_chunks;
        const int within = id % p->group_chunks * p->options.chunk, rest = p->group_actors - within;
        c->first = c->group * p->group_actors + within;
        c->n = rest < p->options.chunk ? rest : p->options.chunk;
        c->episodes = p->chunk_episodes + c->first * p->players;
    }
}

static void free_pool(vly_pool *p) {
    void *all[] = {p->states,         p->score, p->length,   p->seeds,  p->given_seeds,
                   p->has_given,      p->age,   p->needs,    p->chunks, p->groups,
                   p->chunk_episodes, p->queue, p->finished, p->order,  p->workers,
                   p->ring,           p};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static vly_status alloc_pool(vly_pool *p) {
    const size_t n = (size_t)p->options.actors, rows = (size_t)p->row_count,
                 chunks = (size_t)p->chunk_count;
    p->states = aligned_alloc(64, n * p->env->state_bytes);
    p->score = calloc(rows, sizeof *p->score);
    p->length = calloc(rows, sizeof *p->length);
    p->age = calloc(rows, 1);
    p->seeds = calloc(n, sizeof *p->seeds);
    p->given_seeds = calloc(n, sizeof *p->given_seeds);
    p->has_given = calloc(n, 1);
    p->needs = calloc(n, 1);
    p->chunks = calloc(chunks, sizeof *p->chunks);
    p->groups = calloc((size_t)p->options.groups, sizeof *p->groups);
    p->chunk_episodes = calloc(rows, sizeof *p->chunk_episodes);
    p->queue = calloc(chunks, sizeof *p->queue);
    p->finished = calloc(chunks, sizeof *p->finished);
    p->order = calloc((size_t)p->options.groups, sizeof *p->order);
    p->workers = calloc((size_t)p->options.workers + 1 + POOL_SPARE_WORKERS, sizeof *p->workers);
    p->ring = calloc((size_t)p->ring_size, sizeof *p->ring);
    if (!p->states || !p->score || !p->length || !p->seeds || !p->age || !p->needs || !p->chunks ||
        !p->given_seeds || !p->has_given || !p->groups || !p->chunk_episodes || !p->queue ||
        !p->finished || !p->order || !p->workers || !p->ring)
        return vly_fail(
            VLY_ENOMEM,
            "no memory for %d actors of environment %s (%zu bytes each); use fewer (--envs)",
            p->options.actors, p->env->name, p->env->state_bytes);
    if (p->options.draws) memcpy(p->seeds, p->options.draws, n * sizeof *p->seeds);
    memset(p->states, 0, n * p->env->state_bytes); /* page faults here, not in the first step */
    for (int i = 0; p->env->assign && i < p->options.actors; i++)
        p->env->assign(p->env, vly_pool_state_at(p, i), vly_pool_name_of(p, i));
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

static vly_status start_pool_threads(vly_pool *p) {
    int error = 0;
    pthread_mutex_lock(&p->lock);
    p->workers[0].pool = p; /* the caller's slot */
    p->slots = 1;
    for (int i = 0; i < p->options.workers && !error; i++) error = vly_pool_start_worker(p);
    if (!error) error = vly_pool_start_thread(&p->watchdog, vly_pool_watchdog, p);
    p->watchdog_started = !error;
    pthread_mutex_unlock(&p->lock);
    return error ? vly_fail(VLY_ENOMEM, "cannot start %d threads for environments: %s",
                            p->options.workers + 1, strerror(error))
                 : VLY_OK;
}

static void on_handle_closed(uv_handle_t *handle) {
    pool_handles *h = handle->data;
    if (--h->open == 0) free(h);
}

static vly_status open_handles(vly_pool *p, uv_loop_t *loop) {
    int error = loop ? 0 : uv_loop_init(&p->own_loop);
    if (error) return vly_fail(VLY_EIO, "uv_loop_init: %s", uv_strerror(error));
    p->loop = loop ? loop : &p->own_loop;
    pool_handles *h = calloc(1, sizeof *h);
    if (!h) return vly_fail(VLY_ENOMEM, "no memory for the pool's handles");
    error = uv_async_init(p->loop, &h->news, vly_pool_on_async);
    if (error) {
        free(h);
        return vly_fail(VLY_EIO, "uv_async_init: %s", uv_strerror(error));
    }
    uv_timer_init(p->loop, &h->limit);
    h->news.data = p;
    h->open = 2;
    p->handles = h;
    return VLY_OK;
}

static void close_handles(vly_pool *p, pool_handles *h) {
    if (h) {
        h->news.data = h->limit.data = h;
        uv_close((uv_handle_t *)&h->news, on_handle_closed);
        uv_close((uv_handle_t *)&h->limit, on_handle_closed);
    }
    if (p->loop != &p->own_loop) return;
    uv_run(p->loop, UV_RUN_DEFAULT);
    uv_loop_close(p->loop);
}

vly_status vly_pool_create(vly_pool **out, uv_loop_t *loop, const vly_env *env,
                           const vly_pool_options *options) {
    VLY_TRY(check_pool_options(env, options));
    vly_pool *p = calloc(1, sizeof *p);
    if (!p) return vly_fail(VLY_ENOMEM, "no memory for a pool");
    p->env = env;
    p->options = *options;
    p->created_ns = vly_now_ns();
    choose_layout(p);
    vly_status status = alloc_pool(p);
    if (status != VLY_OK) {
        free_pool(p);
        return status;
    }
    lay_out_chunks(p);
    init_sync(p);
    p->callbacks = options->on_group || options->on_chunks;
    p->spins = p->options.workers > 0 && p->options.workers < vly_processors();
    status = open_handles(p, loop);
    if (status == VLY_OK) status = start_pool_threads(p);
    if (status != VLY_OK) {
        vly_pool_destroy(p);
        return status;
    }
    *out = p;
    return VLY_OK;
}

/* Waits for steps in flight up to the deadline; true when all have returned. */
static bool stop_workers(vly_pool *p) {
    pthread_mutex_lock(&p->lock);
    p->queue_count = 0;
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_cond_broadcast(&p->watch);
    const int64_t until = vly_now_ns() + p->deadline_ns;
    while (p->running > p->hung && vly_now_ns() < until)
        vly_pool_wait_until(&p->done, &p->lock, until);
    const bool out = p->running == 0;
    pool_handles *handles = p->handles;
    p->handles = NULL;
    pthread_mutex_unlock(&p->lock);
    close_handles(p, handles);
    return out;
}

vly_status vly_pool_destroy(vly_pool *p) {
    if (!p) return VLY_OK;
    const bool out = stop_workers(p);
    if (p->watchdog_started) pthread_join(p->watchdog, NULL);
    for (int i = 0; i < p->slots; i++) {
        if (!p->workers[i].started) continue;
        if (out)
            pthread_join(p->workers[i].thread, NULL);
        else
            pthread_detach(
                p->workers[i].thread); /* it still uses the pool's memory, which is not freed */
    }
    if (!out)
        return vly_fail(VLY_ETIMEOUT,
                        "environment %s has not come back; its thread and memory are not freed",
                        p->env->name);
    end_sync(p);
    free_pool(p);
    return VLY_OK;
}

/* ---- getters ---- */

int vly_pool_actors(const vly_pool *p) {
    return p->options.actors;
}
int vly_pool_groups(const vly_pool *p) {
    return p->options.groups;
}
int vly_pool_chunks(const vly_pool *p) {
    return p->chunk_count;
}
void vly_pool_group_range(const vly_pool *p, int g, int *first, int *n) {
    *first = g * p->group_actors, *n = p->group_actors;
}
void vly_pool_chunk_range(const vly_pool *p, int id, int *first, int *n) {
    *first = p->chunks[id].first, *n = p->chunks[id].n;
}
const uint8_t *vly_pool_age(const vly_pool *p, int row) {
    return p->age + row;
}

vly_status vly_pool_check(const vly_pool *p) {
    const int blocked = atomic_load(&p->blocked);
    VLY_TRY(vly_plugin_check(p->env));
    if (!blocked) return VLY_OK;
    return vly_fail(VLY_EPEER,
                    "environment %s: actor %d, player %d: the mask allows no action; at least one "
                    "of every factor has to be allowed, in ended rows too",
                    p->env->name, (blocked - 1) / p->players, (blocked - 1) % p->players);
}

int vly_pool_episodes(vly_pool *p, vly_episode *out, int max) {
    int n = 0;
    while (n < max && p->ring_read < p->ring_written)
        out[n++] = p->ring[p->ring_read++ % p->ring_size];
    return n;
}

void *vly_pool_state(vly_pool *p, int actor) {
    if (actor < 0 || actor >= p->options.actors) return NULL;
    pthread_mutex_lock(&p->lock);
    const chunk_state s = vly_pool_chunk_of(p, actor)->state;
    pthread_mutex_unlock(&p->lock);
    return s == CHUNK_QUEUED || s == CHUNK_RUNNING ? NULL : vly_pool_state_at(p, actor);
}

void vly_pool_get_stats(vly_pool *p, vly_pool_stats *out) {
    const int64_t now = vly_now_ns();
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
