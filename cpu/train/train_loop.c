/* The one place where the thread of a run sleeps: in uv_run of the run's loop. */
#include "common/base/clock.h"
#include "cpu/train/train_impl.h"

/* Acting takes some tens of microseconds, being woken as long. */
enum { POLL_NS = 1000000, SPIN_NS = 50000, ACT_SPIN_NS = 100000 };

static void on_wake(uv_async_t *async) {
    (void)async; /* uv_run returns: who waits looks at what it waits for */
}

static void on_run_handle_closed(uv_handle_t *handle) {
    vly_train *t = handle->data;
    t->handles--;
}

vly_status vly_train_open_loop(vly_train *t) {
    int error = t->o.loop ? 0 : uv_loop_init(&t->own_loop);
    if (error) return vly_fail(VLY_EIO, "no event loop for a run: %s", uv_strerror(error));
    t->loop = t->o.loop ? t->o.loop : &t->own_loop;
    uv_loop_configure(t->loop, UV_METRICS_IDLE_TIME);
    error = uv_async_init(t->loop, &t->wake, on_wake);
    if (error) return vly_fail(VLY_EIO, "no event for a run: %s", uv_strerror(error));
    uv_timer_init(t->loop, &t->limit);
    t->wake.data = t->limit.data = t;
    t->handles = 2;
    return VLY_OK;
}

void vly_train_close_loop(vly_train *t) {
    if (!t->loop) return;
    vly_train_forget_descriptors(t);
    if (t->handles > 0) {
        uv_close((uv_handle_t *)&t->wake, on_run_handle_closed);
        uv_close((uv_handle_t *)&t->limit, on_run_handle_closed);
    }
    while (t->handles > 0) uv_run(t->loop, UV_RUN_NOWAIT);
    if (t->loop != &t->own_loop) return;
    uv_run(t->loop, UV_RUN_DEFAULT); /* handles that the source has closed */
    uv_loop_close(t->loop);
}

/* Time in between is time of vly_train_mark, which has just been called. */
void vly_train_poll(vly_train *t) {
    if (t->mark_ns - t->polled_ns < POLL_NS) return;
    t->polled_ns = t->mark_ns;
    uv_run(t->loop, UV_RUN_NOWAIT);
}

/* ---- points of a queue ---- */

vly_status vly_train_point_create(vly_train *t, train_point *point) {
    point->t = t;
    VLY_TRY(t->c->event_create(t->c, &point->event));
    if (uv_mutex_init(&point->lock) == 0) return VLY_OK;
    t->c->event_destroy(point->event);
    point->event = NULL;
    return vly_fail(VLY_ENOMEM, "no mutex for the device");
}

void vly_train_point_destroy(train_point *point) {
    if (!point->event) return;
    point->t->c->event_destroy(point->event);
    uv_mutex_destroy(&point->lock);
}

vly_status vly_train_point_set(train_point *point, vly_queue *q) {
    point->passed = false;
    VLY_TRY(point->t->c->event_record(point->event, q));
    point->set = true;
    return VLY_OK;
}

bool vly_train_point_passed(train_point *point) {
    bool passed;
    if (point->watched) {
        uv_mutex_lock(&point->lock);
        passed = point->passed;
        uv_mutex_unlock(&point->lock);
    } else {
        passed = point->t->c->event_done(point->event);
    }
    if (passed) point->set = point->watched = false;
    return passed;
}

/* From a thread of the back end. Under the lock: once `passed` is seen, nothing here is used any
 * more. */
static void on_passed(void *arg) {
    train_point *point = arg;
    uv_mutex_lock(&point->lock);
    point->passed = true;
    uv_async_send(&point->t->wake);
    uv_mutex_unlock(&point->lock);
}

/* True: it has passed within the time that an event takes. */
static bool spin_for(train_point *point, int ns) {
    const uint64_t until = uv_hrtime() + (uint64_t)ns;
    if (!point->set || point->watched) return false;
    do {
        if (point->t->c->event_done(point->event)) return true;
        vly_spin_pause();
    } while (uv_hrtime() < until);
    return false;
}

static vly_status watch(train_point *point, vly_queue *q) {
    if (!point->set || point->watched) return VLY_OK;
    point->watched = true;
    const vly_status status = point->t->c->notify(q, on_passed, point);
    if (status != VLY_OK) point->watched = false;
    return status;
}

/* ---- sleeping ---- */

/* A synchronous run cannot come to rest while an environment hangs. */
static vly_status check_stop_of_hanging(vly_train *t, int want) {
    vly_pool_stats stats;
    const bool others_go_on = t->async && t->counters.started;
    if (others_go_on || want == 0 || !atomic_load(&t->stop_asked)) return VLY_OK;
    t->source->stats(t->source, &stats);
    return stats.hung == 0 ? VLY_OK
                           : vly_fail(VLY_ETIMEOUT,
                                      "interrupted while %d environments hang: nothing since the "
                                      "last checkpoint was saved",
                                      stats.hung);
}

static bool may_sleep(vly_train *t, int want) {
    return !spin_for(&t->acted, ACT_SPIN_NS) && !spin_for(&t->learned, SPIN_NS) &&
           (want == 0 || t->source->arm(t->source, want));
}

vly_status vly_train_sleep(vly_train *t, int want, vly_phase phase) {
    VLY_TRY(check_stop_of_hanging(t, want));
    vly_train_mark(t, VLY_PHASE_OTHER);
    if (may_sleep(t, want)) {
        VLY_TRY(watch(&t->acted, t->act));
        VLY_TRY(watch(&t->learned, t->learn));
        t->sleeps++;
        uv_run(t->loop, UV_RUN_ONCE);
    }
    vly_train_mark(t, phase);
    return VLY_OK;
}

static void on_limit_over(uv_timer_t *timer) {
    vly_train *t = timer->data;
    t->limit_over = true;
}

void vly_train_begin_limit(vly_train *t, int ms) {
    t->limit_over = false;
    uv_update_time(t->loop);
    uv_timer_start(&t->limit, on_limit_over, (uint64_t)(ms > 0 ? ms : 0), 0);
}

void vly_train_pause(vly_train *t, int ms) {
    vly_train_begin_limit(t, ms);
    uv_run(t->loop, UV_RUN_ONCE);
    uv_timer_stop(&t->limit);
}
