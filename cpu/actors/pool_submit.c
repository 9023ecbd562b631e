#include "cpu/actors/pool_impl.h"

static void enqueue(vly_pool *p, int id, vly_actions action, vly_rows out, bool by_group) {
    pool_chunk *c = &p->chunks[id];
    c->action = action;
    c->out = out;
    c->by_group = by_group;
    c->state = CHUNK_QUEUED;
    p->queue_count = ring_push(p->queue, p->chunk_count, p->queue_head, p->queue_count, id);
}

static void wake_workers(vly_pool *p, int chunks) {
    if (chunks >= p->sleeping)
        pthread_cond_broadcast(&p->work);
    else
        for (int i = 0; i < chunks; i++) pthread_cond_signal(&p->work);
}

static vly_status check_row_memory(const vly_pool *p, vly_rows out) {
    if (!out.obs || !out.reward || !out.score || !out.flags)
        return vly_fail(VLY_EINVAL,
                        "rows without memory for observations, rewards, scores or flags");
    if (out.obs_stride < p->env->obs.bytes)
        return vly_fail(VLY_EINVAL, "rows %zu bytes apart cannot hold observations of %zu",
                        out.obs_stride, p->env->obs.bytes);
    if (p->env->masked && (!out.mask || out.mask_stride < (size_t)p->env->action.n))
        return vly_fail(VLY_EINVAL, "rows without memory for masks of %d actions",
                        p->env->action.n);
    return VLY_OK;
}

static vly_status submit_group(vly_pool *p, int g, vly_actions action, vly_rows out) {
    VLY_TRY(check_row_memory(p, out));
    if (g < 0 || g >= p->options.groups)
        return vly_fail(VLY_EINVAL, "group %d: the pool has %d", g, p->options.groups);
    const int first = g * p->group_chunks;
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < p->group_chunks; i++)
        if (p->chunks[first + i].state != CHUNK_IDLE) {
            pthread_mutex_unlock(&p->lock);
            return vly_fail(VLY_EINVAL,
                            "group %d is in flight: wait for it before it is submitted again", g);
        }
    for (int i = 0; i < p->group_chunks; i++) {
        const int skip = p->chunks[first + i].first - g * p->group_actors;
        const vly_actions own = action.data
                                    ? vly_actions_at(action, (size_t)skip * (size_t)p->players)
                                    : action;
        enqueue(p, first + i, own, vly_rows_of(out, (size_t)skip, p->players), true);
    }
    p->groups[g] = (pool_group){p->group_chunks, true};
    p->order_count = ring_push(p->order, p->options.groups, p->order_head, p->order_count, g);
    wake_workers(p, p->group_chunks);
    pthread_mutex_unlock(&p->lock);
    return VLY_OK;
}

static vly_status submit_chunk(vly_pool *p, int id, vly_actions action, vly_rows out) {
    VLY_TRY(check_row_memory(p, out));
    if (id < 0 || id >= p->chunk_count)
        return vly_fail(VLY_EINVAL, "chunk %d: the pool has %d", id, p->chunk_count);
    pthread_mutex_lock(&p->lock);
    const bool idle = p->chunks[id].state == CHUNK_IDLE;
    if (idle) enqueue(p, id, action, out, false), wake_workers(p, 1);
    pthread_mutex_unlock(&p->lock);
    return idle ? VLY_OK
                : vly_fail(VLY_EINVAL,
                           "chunk %d is in flight: take it before it is submitted again", id);
}

vly_status vly_pool_submit(vly_source *s, int g, vly_actions action, vly_rows rows) {
    vly_pool *p = (vly_pool *)s;
    return p->by_chunk ? submit_chunk(p, g, action, rows) : submit_group(p, g, action, rows);
}

vly_status vly_pool_submit_group(vly_pool *p, int g, vly_actions action, vly_rows out) {
    return action.data ? submit_group(p, g, action, out)
                       : vly_fail(VLY_EINVAL, "a step of group %d without actions", g);
}
vly_status vly_pool_reset_group(vly_pool *p, int g, vly_rows out) {
    return submit_group(p, g, (vly_actions){NULL, 0}, out);
}
vly_status vly_pool_submit_chunk(vly_pool *p, int id, vly_actions action, vly_rows out) {
    return action.data ? submit_chunk(p, id, action, out)
                       : vly_fail(VLY_EINVAL, "a step of chunk %d without actions", id);
}
vly_status vly_pool_reset_chunk(vly_pool *p, int id, vly_rows out) {
    return submit_chunk(p, id, (vly_actions){NULL, 0}, out);
}

static bool in_flight(vly_pool *p, int actor) {
    const chunk_state s = vly_pool_chunk_of(p, actor)->state;
    return s == CHUNK_QUEUED || s == CHUNK_RUNNING;
}

/* The first actor in flight of those in `which` (NULL: all) as a failure. Under the lock. */
static vly_status check_here(vly_pool *p, const uint8_t *which) {
    for (int a = 0; a < p->options.actors; a++)
        if ((!which || which[a]) && in_flight(p, a))
            return vly_fail(VLY_EINVAL, "actor %d is in flight: wait for it first", a);
    return VLY_OK;
}

vly_status vly_pool_seed(vly_pool *p, const uint64_t *seeds) {
    pthread_mutex_lock(&p->lock);
    const vly_status status = check_here(p, NULL);
    for (int a = 0; a < p->options.actors && status == VLY_OK; a++)
        p->given_seeds[a] = seeds[a], p->has_given[a] = 1;
    pthread_mutex_unlock(&p->lock);
    return status;
}

vly_status vly_pool_restart(vly_pool *p, const uint8_t *which) {
    if (!p->env->restart)
        return vly_fail(VLY_EUNSUPPORTED,
                        "environment %s cannot leave an episode without a new seed: reset it",
                        p->env->name);
    pthread_mutex_lock(&p->lock);
    const vly_status status = check_here(p, which);
    for (int a = 0; a < p->options.actors && status == VLY_OK; a++)
        if ((!which || which[a]) && p->needs[a] == NEEDS_STEP) p->needs[a] = NEEDS_RESTART;
    pthread_mutex_unlock(&p->lock);
    return status;
}

/* ---- reporting ---- */

static void collect_episodes(vly_pool *p, pool_chunk *c) {
    for (int i = 0; i < c->episode_count; i++)
        p->ring[p->ring_written++ % p->ring_size] = c->episodes[i];
    if (p->ring_written - p->ring_read > p->ring_size) {
        p->ring_dropped += p->ring_written - p->ring_size - p->ring_read;
        p->ring_read = p->ring_written - p->ring_size;
    }
    c->episode_count = 0;
}

static void report_group(vly_pool *p, int g) {
    p->groups[g].in_flight = false;
    for (int i = 0; i < p->group_chunks; i++) {
        pool_chunk *c = &p->chunks[g * p->group_chunks + i];
        c->state = CHUNK_IDLE;
        collect_episodes(p, c);
    }
}

/* Under the lock. */
static bool enough(const vly_pool *p, int want, bool group) {
    return group ? vly_pool_oldest_is_done(p) : p->finished_count >= want;
}

/* Steps chunks on the calling thread, where that is allowed, until enough are done or none is
 * queued. Under the lock; true: enough are done. */
static bool step_queued(vly_pool *p, int want, bool group) {
    if (p->options.caller_steps || p->options.workers == 0)
        while (!enough(p, want, group) && p->queue_count > 0) vly_pool_work_once(p, &p->workers[0]);
    return enough(p, want, group);
}

/* Strictly in the order of submission, so that results do not depend on timing. */
int vly_pool_report_oldest(vly_pool *p, bool helps) {
    int g = -1;
    pthread_mutex_lock(&p->lock);
    if (helps) step_queued(p, 1, true);
    p->armed_for_group = false;
    if (vly_pool_oldest_is_done(p)) {
        g = ring_pop(p->order, p->options.groups, &p->order_head, &p->order_count);
        report_group(p, g);
    }
    pthread_mutex_unlock(&p->lock);
    if (g >= 0 && p->options.on_group) p->options.on_group(p->options.arg, g);
    return g;
}

static void report_chunks(vly_pool *p) {
    pthread_mutex_lock(&p->lock);
    const int finished = p->finished_count;
    pthread_mutex_unlock(&p->lock);
    const bool news = finished > p->reported_finished;
    p->reported_finished = finished;
    if (news && p->options.on_chunks) p->options.on_chunks(p->options.arg, finished);
}

/* A callback may submit its group again at once. So that the loop is not kept busy for ever, each
 * group is reported once per call. */
void vly_pool_on_async(uv_async_t *async) {
    vly_pool *p = async->data;
    if (!p->callbacks) return; /* the caller that waits takes them */
    int groups = p->options.groups;
    while (groups > 0 && vly_pool_report_oldest(p, false) >= 0) groups--;
    report_chunks(p);
    if (groups == 0) uv_async_send(async);
}

/* ---- waiting ---- */

/* True: something was completed within the time that waking this thread would take. */
static bool spin(vly_pool *p, unsigned seen) {
    const int64_t until = vly_now_ns() + POOL_SPIN_NS;
    while (atomic_load_explicit(&p->completed, memory_order_acquire) == seen) {
        if (vly_now_ns() > until) return false;
        vly_spin_pause();
    }
    return true;
}

static bool done_soon(vly_pool *p, int want, bool group) {
    const unsigned seen = atomic_load_explicit(&p->completed, memory_order_acquire);
    pthread_mutex_lock(&p->lock);
    const bool now = enough(p, want, group);
    pthread_mutex_unlock(&p->lock);
    return now || spin(p, seen);
}

bool vly_pool_arm(vly_pool *p, int want, bool group) {
    if (p->spins && done_soon(p, want, group)) return false;
    pthread_mutex_lock(&p->lock);
    const bool sleeps = !enough(p, want, group);
    p->armed = sleeps && !group ? want : 0;
    p->armed_for_group = sleeps && group;
    pthread_mutex_unlock(&p->lock);
    return sleeps;
}

static void on_limit(uv_timer_t *timer) {
    *(bool *)timer->data = true;
}

/* Helps, spins and sleeps until enough can be taken. False: not within timeout_ms (-1: no limit). */
static bool wait_for(vly_pool *p, int want, bool group, int timeout_ms) {
    bool over = timeout_ms == 0, done = false;
    uv_timer_t *limit = &p->handles->limit;
    limit->data = &over;
    if (timeout_ms > 0) {
        uv_update_time(p->loop);
        uv_timer_start(limit, on_limit, (uint64_t)timeout_ms, 0);
    }
    for (;;) {
        pthread_mutex_lock(&p->lock);
        done = step_queued(p, want, group);
        pthread_mutex_unlock(&p->lock);
        if (done || over) break;
        if (vly_pool_arm(p, want, group)) uv_run(p->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(limit);
    return done;
}

vly_status vly_pool_wait_group(vly_pool *p, int g, int timeout_ms) {
    if (g < 0 || g >= p->options.groups)
        return vly_fail(VLY_EINVAL, "group %d: the pool has %d", g, p->options.groups);
    while (p->groups[g].in_flight) {
        if (!wait_for(p, 1, true, timeout_ms))
            return vly_fail(VLY_ETIMEOUT, "group %d is not done after %d ms", g, timeout_ms);
        vly_pool_report_oldest(p, false);
    }
    return VLY_OK;
}

int vly_pool_take(vly_pool *p, int want, int *chunks, int timeout_ms) {
    if (want <= 0 || (timeout_ms != 0 && !wait_for(p, want, false, timeout_ms))) return 0;
    pthread_mutex_lock(&p->lock);
    const int n = step_queued(p, want, false) ? want : 0;
    for (int i = 0; i < n; i++) {
        chunks[i] = ring_pop(p->finished, p->chunk_count, &p->finished_head, &p->finished_count);
        p->chunks[chunks[i]].state = CHUNK_IDLE;
    }
    p->reported_finished = p->reported_finished > n ? p->reported_finished - n : 0;
    p->armed = 0;
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < n; i++) collect_episodes(p, &p->chunks[chunks[i]]);
    return n;
}
