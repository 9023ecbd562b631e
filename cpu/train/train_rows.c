#include "cpu/train/train_impl.h"

vly_status vly_train_submit(vly_train *t, int group, vly_actions action, bool *room) {
    vly_rows *rows = &t->rows[group];
    *rows = (vly_rows){.obs = NULL};
    *room = t->algo->place(t->algo, group, rows);
    if (!*room) return VLY_OK;
    if (t->slab) {
        t->device_obs[group] = rows->obs;
        rows->obs_stride = t->o.env->obs.bytes;
        rows->obs = t->slab + (size_t)group * (size_t)t->M * rows->obs_stride;
    }
    VLY_TRY(t->source->submit(t->source, group, action, *rows));
    t->in_flight++;
    return VLY_OK;
}

vly_status vly_train_take(vly_train *t, int want, int *n) {
    *n = want > 0 ? t->source->take(t->source, want, t->taken) : 0;
    if (*n < 0) return (vly_status)*n;
    t->in_flight -= *n;
    return VLY_OK;
}

vly_status vly_train_receive(vly_train *t, int group) {
    const vly_rows *rows = &t->rows[group];
    VLY_TRY(t->source->check(t->source));
    for (int i = 0; i < t->M; i++) t->counters.steps += !(rows->flags[i] & VLY_ROW_RESET);
    if (t->slab)
        VLY_TRY(
            t->c->upload(t->act, t->device_obs[group], rows->obs, (size_t)t->M * rows->obs_stride));
    return t->algo->arrived(t->algo, t->act, group, t->source->age(t->source, group));
}

void vly_train_count_episode(vly_train *t, const vly_episode *episode) {
    const int64_t at = t->counters.episodes++ % RETURNS;
    t->returns[at] = episode->score;
    t->lengths[at] = episode->length;
    if (t->tasks && episode->actor >= 0) {
        train_task *task = &t->tasks[vly_train_task_of(t, episode->actor)];
        task->returns[(int64_t)task->episodes % RETURNS] = episode->score;
        task->episodes++;
    }
    vly_train_count_change(t, episode);
    if (t->o.on_episode) t->o.on_episode(t->o.arg, episode, vly_train_total_steps(t));
}

void vly_train_episodes(vly_train *t) {
    int n;
    while ((n = t->source->episodes(t->source, t->episodes, EPISODES_AT_ONCE)) > 0) {
        for (int i = 0; i < n; i++)
            if (!t->algo->counts || t->algo->counts(t->algo, t->episodes[i].actor))
                vly_train_count_episode(t, &t->episodes[i]);
        if (n < EPISODES_AT_ONCE) break;
    }
}
