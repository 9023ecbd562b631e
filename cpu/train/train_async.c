/* The asynchronous schedule: the groups that finish first are inferred together, while the learner
 * runs on its own thread. The number of unrolls is bounded: a group without room waits for the
 * learner. */
#include <stdio.h>
#include <string.h>
#include "cpu/train/train_impl.h"

/* ---- the learner's thread ---- */

static vly_status learn_on_thread(vly_train *t, const vly_progress *progress) {
    VLY_TRY(t->algo->learn(t->algo, t->learn, progress));
    return vly_train_finish_learn(t, t->learn);
}

static void learner_main(void *arg) {
    vly_train *t = arg;
    train_learner *l = &t->learner;
    uv_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->job && !l->quit) uv_cond_wait(&l->changed, &l->mutex);
        if (l->quit) break;
        const vly_progress progress = l->progress;
        uv_mutex_unlock(&l->mutex);
        const vly_status status = learn_on_thread(t, &progress);
        uv_mutex_lock(&l->mutex);
        l->status = status;
        if (status != VLY_OK)
            snprintf(l->error, sizeof l->error, "%s", vly_error_text()); /* per thread */
        l->job = false;
        l->done = true;
        uv_cond_broadcast(&l->changed);
    }
    uv_mutex_unlock(&l->mutex);
}

static vly_status start_learner(vly_train *t) {
    train_learner *l = &t->learner;
    l->quit = l->job = l->done = false;
    if (uv_mutex_init(&l->mutex) != 0) return vly_fail(VLY_ENOMEM, "no mutex for the learner");
    if (uv_cond_init(&l->changed) != 0) goto fail_cond;
    if (uv_thread_create(&l->thread, learner_main, t) != 0) goto fail_thread;
    l->running = true;
    return VLY_OK;
fail_thread:
    uv_cond_destroy(&l->changed);
fail_cond:
    uv_mutex_destroy(&l->mutex);
    return vly_fail(VLY_ENOMEM, "no thread for the learner");
}

static void stop_learner(vly_train *t) {
    train_learner *l = &t->learner;
    if (!l->running) return;
    uv_mutex_lock(&l->mutex);
    while (l->job) uv_cond_wait(&l->changed, &l->mutex);
    l->quit = true;
    uv_cond_broadcast(&l->changed);
    uv_mutex_unlock(&l->mutex);
    uv_thread_join(&l->thread);
    uv_cond_destroy(&l->changed);
    uv_mutex_destroy(&l->mutex);
    l->running = false;
}

/* Whether an update has finished; with `wait`, waits for it. *idle: none was running. */
static bool learner_done(vly_train *t, bool wait, bool *idle) {
    train_learner *l = &t->learner;
    uv_mutex_lock(&l->mutex);
    while (wait && l->job) uv_cond_wait(&l->changed, &l->mutex);
    const bool done = l->done;
    *idle = !l->job && !l->done;
    l->done = false;
    uv_mutex_unlock(&l->mutex);
    return done;
}

/* ---- the loop's thread ---- */

static vly_status submit_or_stall(vly_train *t, int group) {
    bool room;
    VLY_TRY(vly_train_submit(t, group, t->algo->action(t->algo, group), &room));
    if (room)
        t->in_flight++;
    else
        t->stalled[t->stalled_count++] = group;
    return VLY_OK;
}

static vly_status retry_stalled(vly_train *t) {
    const int count = t->stalled_count;
    t->stalled_count = 0;
    for (int i = 0; i < count; i++) {
        const int group = t->stalled[i]; /* submit writes at most to entries that were read */
        VLY_TRY(submit_or_stall(t, group));
    }
    return VLY_OK;
}

/* ---- acting: the back end reports when the actions are in host memory ---- */

static void on_actions_ready(void *arg) {
    vly_train *t = arg;
    vly_pool_signal(t->pool, &t->acted);
}

static vly_status begin_acting(vly_train *t) {
    if (t->waiting_count == 0 || t->acting_count > 0) return VLY_OK;
    vly_train_mark(t, VLY_PHASE_OTHER);
    int *const groups = t->waiting;
    t->waiting = t->acting, t->acting = groups;
    const int count = t->waiting_count;
    t->waiting_count = 0;
    atomic_store(&t->acted, 0);
    VLY_TRY(t->algo->act(t->algo, t->act, t->acting, count));
    VLY_TRY(t->c->notify(t->act, on_actions_ready, t));
    t->acting_count = count; /* from here on on_actions_ready will be called */
    vly_train_mark(t, VLY_PHASE_ACT);
    return VLY_OK;
}

/* Submits the actions once they are in host memory; with `wait`, waits for them. */
static vly_status end_acting(vly_train *t, bool wait) {
    if (t->acting_count == 0 || (!wait && !atomic_load(&t->acted))) return VLY_OK;
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->c->queue_sync(t->act)); /* reports what failed */
    vly_train_mark(t, VLY_PHASE_ACT);
    while (!atomic_load(&t->acted)) uv_sleep(1); /* done: the call is about to come */
    for (int i = 0; i < t->acting_count; i++) VLY_TRY(submit_or_stall(t, t->acting[i]));
    t->acting_count = 0;
    return VLY_OK;
}

/* Groups that can be waited for: not those that hang. */
static int expected(vly_train *t) {
    vly_pool_stats stats;
    vly_pool_get_stats(t->pool, &stats);
    return t->in_flight - stats.hung;
}

/* Takes `want` finished groups: fewer when fewer are expected, none when actions are ready. */
static vly_status receive_finished(vly_train *t, int want) {
    const int coming = expected(t);
    if (want > coming) want = coming > 0 ? coming : 1;
    vly_train_mark(t, VLY_PHASE_OTHER);
    const int n = vly_pool_take_unless(t->pool, t->acting_count > 0 ? &t->acted : NULL, want,
                                       t->taken, 100);
    vly_train_mark(t, coming > 0 || t->acting_count == 0 ? VLY_PHASE_ENV : VLY_PHASE_ACT);
    for (int i = 0; i < n; i++) {
        VLY_TRY(vly_train_receive(t, t->taken[i]));
        t->waiting[t->waiting_count++] = t->taken[i];
    }
    t->in_flight -= n;
    vly_train_episodes(t);
    return VLY_OK;
}

static vly_status finish_update(vly_train *t, bool *save) {
    if (t->learner.status != VLY_OK) return vly_fail(t->learner.status, "%s", t->learner.error);
    bool wants;
    VLY_TRY(vly_train_updated(t, &wants));
    *save = *save || wants;
    VLY_TRY(t->algo->publish(t->algo, t->act));
    VLY_TRY(t->c->queue_sync(t->act));
    return retry_stalled(t);
}

static void begin_update(vly_train *t) {
    train_learner *l = &t->learner;
    uv_mutex_lock(&l->mutex);
    l->progress = vly_train_progress(t);
    l->job = true;
    uv_cond_broadcast(&l->changed);
    uv_mutex_unlock(&l->mutex);
}

/* Finishes the update that is done; with `begin`, starts the next one when its unrolls are
 * complete. wait: for the update that is running. */
static vly_status advance_learner(vly_train *t, bool wait, bool begin, bool *save) {
    bool idle;
    if (wait) vly_train_mark(t, VLY_PHASE_OTHER);
    const bool done = learner_done(t, wait, &idle);
    if (wait) vly_train_mark(t, VLY_PHASE_LEARN);
    if (done) VLY_TRY(finish_update(t, save));
    if ((!done && !idle) || !begin) return VLY_OK;
    VLY_TRY(t->c->event_record(t->event, t->act)); /* uploads before learning */
    VLY_TRY(t->c->event_wait(t->learn, t->event));
    if (t->algo->collect(t->algo, t->learn)) {
        begin_update(t);
        return VLY_OK;
    }
    VLY_TRY(retry_stalled(t)); /* collect() may have dropped unrolls that were too old */
    if (t->in_flight == 0 && t->stalled_count > 0)
        return vly_fail(VLY_EINVAL, "%s: nothing in flight and nothing to learn from",
                        t->algo->name);
    return VLY_OK;
}

/* Until the state is whole: all groups have arrived and not acted, no update is running. A group
 * that hangs is left out: its actors are reset when the run is resumed. */
static vly_status quiesce(vly_train *t) {
    bool ignored = false;
    VLY_TRY(end_acting(t, true));
    while (expected(t) > 0 || t->stalled_count > 0) {
        VLY_TRY(advance_learner(t, expected(t) <= 0, t->stalled_count > 0, &ignored));
        if (expected(t) > 0) VLY_TRY(receive_finished(t, 1));
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
    }
    return advance_learner(t, true, false, &ignored);
}

static vly_status run_async_loop(vly_train *t) {
    bool save = false;
    for (int g = 0; g < t->G; g++) t->waiting[g] = g; /* all have arrived */
    t->waiting_count = t->G;
    while (t->stop == VLY_STOP_NONE) {
        VLY_TRY(begin_acting(t));
        VLY_TRY(end_acting(t, false));
        VLY_TRY(advance_learner(t, expected(t) <= 0 && t->acting_count == 0, true, &save));
        if (t->in_flight > 0 || t->acting_count > 0) VLY_TRY(receive_finished(t, t->batch));
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
        if (atomic_load(&t->stop_asked) && t->stop == VLY_STOP_NONE) t->stop = VLY_STOP_INTERRUPTED;
        if (!save || t->stop != VLY_STOP_NONE) continue;
        VLY_TRY(quiesce(t));
        VLY_TRY(vly_train_save(t));
        save = false;
    }
    return quiesce(t);
}

vly_status vly_train_run_async(vly_train *t) {
    t->in_flight = t->stalled_count = t->waiting_count = t->acting_count = 0;
    VLY_TRY(vly_train_first_rows(t));
    VLY_TRY(start_learner(t));
    const vly_status status = run_async_loop(t);
    stop_learner(t);
    while (t->acting_count > 0 && !atomic_load(&t->acted))
        uv_sleep(1);                               /* called after a failure too (gpu/notify.c) */
    while (status != VLY_OK && t->in_flight > 0) { /* before memory is freed */
        const int n = vly_pool_take(t->pool, t->in_flight, t->taken, 1000);
        if (n == 0) break;
        t->in_flight -= n;
    }
    return status;
}
