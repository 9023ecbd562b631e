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

static vly_status learn_from_rollout(vly_train *t, bool *save) {
    const vly_progress progress = vly_train_progress(t);
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->algo->learn(t->algo, t->learn, &progress));
    VLY_TRY(vly_train_finish_learn(t, t->learn));
    vly_train_mark(t, VLY_PHASE_LEARN);
    return vly_train_updated(t, save);
}

vly_status vly_train_run_sync(vly_train *t) {
    vly_status status = vly_train_first_rows(t);
    while (status == VLY_OK && t->stop == VLY_STOP_NONE) {
        bool save = false;
        status = collect_rollout(t);
        if (status == VLY_OK) status = learn_from_rollout(t, &save);
        if (status == VLY_OK && save && t->stop == VLY_STOP_NONE) status = vly_train_save(t);
    }
    return status == VLY_OK ? VLY_OK : vly_train_drain_groups(t, status);
}
