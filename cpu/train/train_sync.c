/* The synchronous schedule: groups take turns, one is inferred while the others step; then all wait
 * for the update. Everything happens in one fixed order. */
#include "cpu/train/train_impl.h"

static vly_status collect_rollout(vly_train *t) {
    for (int step = 0; step < t->algo->phase_steps; step++) {
        for (int g = 0; g < t->G; g++) {
            if (step > 0) VLY_TRY(vly_train_await_group(t, g));
            VLY_TRY(vly_train_act_group(t, g));
        }
        vly_train_episodes(t);
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
    }
    for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_await_group(t, g));
    vly_train_episodes(t);
    return VLY_OK;
}

static bool stop_is_asked(const void *arg) {
    const vly_train *t = arg;
    return atomic_load(&t->stop_asked) != 0;
}

/* Ranks that meet in every update make the same number of them. */
static bool may_cut(const vly_train *t) {
    const vly_sync *s = t->o.sync;
    return !s || !(s->agree || s->gradients || s->mixing);
}

static vly_status learn_from_rollout(vly_train *t, bool *save) {
    vly_progress progress = vly_train_progress(t);
    if (may_cut(t)) progress.stop_asked = stop_is_asked, progress.stop_arg = t;
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->algo->learn(t->algo, t->learn, &progress));
    VLY_TRY(vly_train_finish_learn(t, t->learn));
    vly_train_mark(t, VLY_PHASE_LEARN);
    if (t->algo->unfinished) return vly_train_cut(t);
    t->counters.started = TRAIN_STARTED;
    return vly_train_updated(t, save);
}

vly_status vly_train_run_sync(vly_train *t) {
    vly_status status = vly_train_first_rows(t);
    while (status == VLY_OK && t->stop == VLY_STOP_NONE) {
        bool save = false;
        if (t->counters.started != TRAIN_LEARNING) status = collect_rollout(t);
        if (status == VLY_OK) status = learn_from_rollout(t, &save);
        if (status == VLY_OK && save && t->stop == VLY_STOP_NONE) status = vly_train_save(t);
    }
    return status == VLY_OK ? VLY_OK : vly_train_drain_groups(t, status);
}
