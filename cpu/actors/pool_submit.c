#include "cpu/actors/pool_impl.h"

static void enqueue(vly_pool *p, int id, const int32_t *action, vly_rows out, bool by_group) {
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
    return VLY_OK;
}

static vly_status submit_group(vly_pool *p, int g, const int32_t *action, vly_rows out) {
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
        enqueue(p, first + i, action ? action + skip : NULL, vly_rows_at(out, (size_t)skip), true);
    }
    p->groups[g] = (pool_group){p->group_chunks, true};
    p->order_count = ring_push(p->order, p->options.groups, p->order_head, p->order_count, g);
    wake_workers(p, p->group_chunks);
    pthread_mutex_unlock(&p->lock);
    return VLY_OK;
}

static vly_status submit_chunk(vly_pool *p, int id, const int32_t *action, vly_rows out) {
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

vly_status vly_pool_submit_group(vly_pool *p, int g, const int32_t *action, vly_rows out) {
    return action ? submit_group(p, g, action, out)
                  : vly_fail(VLY_EINVAL, "a step of group %d without actions", g);
}
vly_status vly_pool_reset_group(vly_pool *p, int g, vly_rows out) {
    return submit_group(p, g, NULL, out);
}
vly_status vly_pool_submit_chunk(vly_pool *p, int id, const int32_t *action, vly_rows out) {
    return action ? submit_chunk(p, id, action, out)
                  : vly_fail(VLY_EINVAL, "a step of chunk %d without actions", id);
}
vly_status vly_pool_reset_chunk(vly_pool *p, int id, vly_rows out) {
    return submit_chunk(p, id, NULL, out);
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

/* Reports the oldest group in flight if it is done. Strictly in the order of submission, so that
 * results do not depend on timing. */
static bool report_oldest(vly_pool *p) {
    pthread_mutex_lock(&p->lock);
    const bool done = p->order_count > 0 && p->groups[p->order[p->order_head]].left == 0;
    const int g = done ? ring_pop(p->order, p->options.groups, &p->order_head, &p->order_count)
                       : -1;
    if (done) report_group(p, g);
    pthread_mutex_unlock(&p->lock);
    if (done && p->options.on_group) p->options.on_group(p->options.arg, g);
    return done;
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
    int groups = p->options.groups;
    while (groups > 0 && report_oldest(p)) groups--;
    report_chunks(p);
    if (groups == 0) uv_async_send(async);
}

/* Steps a chunk, or waits for one to be done. The lock is held. False: the time is over. */
static bool wait_or_work(vly_pool *p, int64_t until_ns) {
    const bool helps = p->options.caller_steps || p->options.workers == 0;
    if (helps && p->queue_count > 0) {
        vly_pool_work_once(p, &p->workers[0]);
        return true;
    }
    if (until_ns >= 0 && vly_now_ns() >= until_ns) return false;
    p->waiting++;
    if (until_ns < 0)
        pthread_cond_wait(&p->done, &p->lock);
    else
        vly_pool_wait_until(&p->done, &p->lock, until_ns);
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
    return timeout_ms < 0 ? -1 : vly_now_ns() + (int64_t)timeout_ms * 1000000;
}

vly_status vly_pool_wait_group(vly_pool *p, int g, int timeout_ms) {
    if (g < 0 || g >= p->options.groups)
        return vly_fail(VLY_EINVAL, "group %d: the pool has %d", g, p->options.groups);
    const int64_t until = until_of(timeout_ms);
    while (p->groups[g].in_flight) {
        if (!wait_oldest(p, until))
            return vly_fail(VLY_ETIMEOUT, "group %d is not done after %d ms", g, timeout_ms);
        report_oldest(p);
    }
    return VLY_OK;
}

static bool is_set(const atomic_int *flag) {
    return flag && atomic_load(flag) != 0;
}

int vly_pool_take(vly_pool *p, int want, int *chunks, int timeout_ms) {
    return vly_pool_take_unless(p, NULL, want, chunks, timeout_ms);
}

void vly_pool_signal(vly_pool *p, atomic_int *flag) {
    /* A waiter either sees the flag or is signalled. vly_pool_destroy takes the same lock. */
    pthread_mutex_lock(&p->lock);
    atomic_store(flag, 1);
    pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->lock);
}

int vly_pool_take_unless(vly_pool *p, const atomic_int *flag, int want, int *chunks,
                         int timeout_ms) {
    if (want <= 0) return 0;
    const int64_t until = until_of(timeout_ms);
    pthread_mutex_lock(&p->lock);
    while (p->finished_count < want && !is_set(flag) && wait_or_work(p, until)) {
    }
    const int n = p->finished_count >= want ? want : 0;
    for (int i = 0; i < n; i++) {
        chunks[i] = ring_pop(p->finished, p->chunk_count, &p->finished_head, &p->finished_count);
        p->chunks[chunks[i]].state = CHUNK_IDLE;
    }
    p->reported_finished = p->finished_count;
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < n; i++) collect_episodes(p, &p->chunks[chunks[i]]);
    return n;
}
