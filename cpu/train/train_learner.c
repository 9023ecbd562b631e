/* learn(), on the thread of the run or on one of its own beside it. */
#include <stdio.h>
#include "cpu/train/train_impl.h"

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
        l->job = false;
        l->status = status;
        if (status != VLY_OK)
            snprintf(l->error, sizeof l->error, "%s", vly_error_text()); /* per thread */
        atomic_store(&l->done, 1);
        uv_async_send(&t->wake);
    }
    uv_mutex_unlock(&l->mutex);
}

vly_status vly_train_learner_start(vly_train *t) {
    train_learner *l = &t->learner;
    l->state = LEARNER_IDLE;
    l->quit = l->job = false;
    atomic_store(&l->done, 0);
    if (!l->threaded) return VLY_OK;
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

void vly_train_learner_stop(vly_train *t) {
    train_learner *l = &t->learner;
    if (!l->running) return;
    uv_mutex_lock(&l->mutex);
    l->quit = true; /* once its job is done */
    uv_cond_signal(&l->changed);
    uv_mutex_unlock(&l->mutex);
    uv_thread_join(&l->thread);
    uv_cond_destroy(&l->changed);
    uv_mutex_destroy(&l->mutex);
    l->running = false;
}

static bool stop_is_asked(const void *arg) {
    const vly_train *t = arg;
    return t->algo->cuts ? atomic_load(&t->stop_asked) != 0 : vly_train_gives_up(t);
}

/* On the learner's thread, in an asynchronous run. */
static bool gives_up_unrolls(const void *arg) {
    const vly_train *t = arg;
    return atomic_load(&t->stop_asked) &&
           (double)(uv_hrtime() - t->learner.begun_ns) * 1e-9 >= vly_train_patience_s(t);
}

/* Ranks that meet in every update make the same number of them. */
static bool may_cut(const vly_train *t) {
    const vly_sync *s = t->o.sync;
    return !s || !(s->agree || s->gradients || s->mixing);
}

static vly_status hand_to_thread(vly_train *t, const vly_progress *progress) {
    train_learner *l = &t->learner;
    uv_mutex_lock(&l->mutex);
    l->progress = *progress;
    l->job = true;
    uv_cond_signal(&l->changed);
    uv_mutex_unlock(&l->mutex);
    return VLY_OK;
}

/* To ask costs an update on a device its graph: it is worth it where updates are long. */
static bool may_ask(const vly_train *t) {
    const double last_s = t->learner.last_s;
    return t->c->info.is_host || t->algo->cuts || last_s <= 0 || last_s >= vly_train_patience_s(t);
}

static void let_stop(vly_train *t, vly_progress *progress) {
    if (!may_ask(t) || !may_cut(t)) return;
    if (!t->async || t->algo->uncollect)
        progress->stop_asked = t->async ? gives_up_unrolls : stop_is_asked, progress->stop_arg = t;
}

static vly_status learn_here(vly_train *t, const vly_progress *progress) {
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->algo->learn(t->algo, t->learn, progress));
    vly_train_mark(t, VLY_PHASE_LEARN);
    return vly_train_point_set(&t->learned, t->learn);
}

vly_status vly_train_learner_begin(vly_train *t) {
    vly_progress progress = vly_train_progress(t);
    t->learner.state = LEARNER_LEARNING;
    t->learner.begun_ns = uv_hrtime();
    let_stop(t, &progress);
    return t->learner.threaded ? hand_to_thread(t, &progress) : learn_here(t, &progress);
}

vly_status vly_train_learner_look(vly_train *t, bool *moved) {
    train_learner *l = &t->learner;
    if (l->state != LEARNER_LEARNING) return VLY_OK;
    if (l->threaded ? !atomic_load(&l->done) : !vly_train_point_passed(&t->learned)) return VLY_OK;
    atomic_store(&l->done, 0);
    l->last_s = (double)(uv_hrtime() - l->begun_ns) * 1e-9;
    *moved = true;
    if (l->threaded && l->status == VLY_ECANCELED) { /* overlapped: the phase is given up */
        l->state = LEARNER_IDLE;
        if (t->async) t->algo->uncollect(t->algo);
        return VLY_OK;
    }
    l->state = LEARNER_LEARNED;
    if (!l->threaded) return vly_train_finish_learn(t, t->learn);
    return l->status == VLY_OK ? VLY_OK : vly_fail(l->status, "%s", l->error);
}
