/* The asynchronous schedule: the groups that finish first are inferred together, while the learner
 * runs on its own thread. The number of unrolls is bounded: a group without room waits for the
 * learner. */
#include "cpu/train/train_impl.h"

static int choose_all_here(vly_train *t) {
    if (vly_train_is_resting(t)) return 0;
    const int count = t->waiting_count;
    int *const groups = t->waiting;
    t->waiting = t->acting, t->acting = groups;
    t->waiting_count = 0;
    return count;
}

/* The groups that wait for room are as if they had not acted. */
static vly_status recall_stalled(vly_train *t) {
    for (; t->stalled_count > 0; t->stalled_count--) {
        const int group = t->stalled[t->stalled_count - 1];
        VLY_TRY(t->algo->unact(t->algo, t->act, group));
        t->waiting[t->waiting_count++] = group;
    }
    return t->c->queue_sync(t->act);
}

/* A run that is saved learns only where groups wait for room; one that is stopped does not. */
static vly_status collect_unrolls(vly_train *t, bool *ready) {
    if (t->stop == VLY_STOP_INTERRUPTED) return recall_stalled(t);
    if (vly_train_is_resting(t) && t->stalled_count == 0) return VLY_OK;
    VLY_TRY(t->c->event_record(t->uploads, t->act)); /* before learning */
    VLY_TRY(t->c->event_wait(t->learn, t->uploads));
    *ready = t->algo->collect(t->algo, t->learn);
    return VLY_OK;
}

static bool at_any_time(vly_train *t) {
    (void)t;
    return true;
}

static void nothing_to_prepare(vly_train *t) {
    (void)t;
}

/* Fewer when fewer are expected. */
static int want_a_batch(vly_train *t) {
    const int coming = vly_train_expected(t);
    return coming < 1 ? 1 : coming < t->batch ? coming : t->batch;
}

static bool nothing_is_expected(vly_train *t) {
    return vly_train_expected(t) <= 0;
}

const train_schedule vly_train_async = {choose_all_here,    collect_unrolls, at_any_time,
                                        nothing_to_prepare, want_a_batch,    nothing_is_expected};
