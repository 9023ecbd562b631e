#include <stdio.h>
#include "common/base/plugin_call.h"
#include "cpu/train/train_impl.h"

vly_status vly_train_submit(vly_train *t, int group, const int32_t *action, bool *room) {
    vly_rows *rows = &t->rows[group];
    *room = t->algo->place(t->algo, group, rows);
    if (!*room) return VLY_OK;
    if (t->slab) {
        t->device_obs[group] = rows->obs;
        rows->obs_stride = t->o.env->obs.bytes;
        rows->obs = t->slab + (size_t)group * (size_t)t->M * rows->obs_stride;
    }
    if (t->async)
        return action ? vly_pool_submit_chunk(t->pool, group, action, *rows)
                      : vly_pool_reset_chunk(t->pool, group, *rows);
    return action ? vly_pool_submit_group(t->pool, group, action, *rows)
                  : vly_pool_reset_group(t->pool, group, *rows);
}

vly_status vly_train_receive(vly_train *t, int group) {
    const vly_rows *rows = &t->rows[group];
    VLY_TRY(vly_plugin_check(t->o.env));
    for (int i = 0; i < t->M; i++) t->counters.steps += !(rows->flags[i] & VLY_ROW_RESET);
    if (t->slab)
        VLY_TRY(
            t->c->upload(t->act, t->device_obs[group], rows->obs, (size_t)t->M * rows->obs_stride));
    return t->algo->arrived(t->algo, t->act, group, vly_pool_age(t->pool, group * t->M));
}

/* Looks every 200 ms, so that an environment that hangs does not keep a stop from being heard. */
vly_status vly_train_wait(vly_train *t, int group) {
    vly_status status;
    while ((status = vly_pool_wait_group(t->pool, group, 200)) == VLY_ETIMEOUT) {
        vly_pool_stats stats;
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
        vly_pool_get_stats(t->pool, &stats);
        if (atomic_load(&t->stop_asked) && stats.hung > 0)
            return vly_fail(VLY_ETIMEOUT,
                            "interrupted while %d environments hang: nothing since the last "
                            "checkpoint was saved",
                            stats.hung);
    }
    return status;
}

vly_status vly_train_act_group(vly_train *t, int group) {
    bool room;
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->algo->act(t->algo, t->act, &group, 1));
    VLY_TRY(t->c->queue_sync(t->act));
    vly_train_mark(t, VLY_PHASE_ACT);
    VLY_TRY(vly_train_submit(t, group, t->algo->action(t->algo, group), &room));
    return room ? VLY_OK
                : vly_fail(VLY_EINVAL, "%s has no room for the rows of its own rollout",
                           t->algo->name);
}

vly_status vly_train_await_group(vly_train *t, int group) {
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(vly_train_wait(t, group));
    vly_train_mark(t, VLY_PHASE_ENV);
    return vly_train_receive(t, group);
}

void vly_train_count_episode(vly_train *t, const vly_episode *episode) {
    const int64_t at = t->counters.episodes++ % RETURNS;
    t->returns[at] = episode->score;
    t->lengths[at] = episode->length;
    if (t->o.on_episode) t->o.on_episode(t->o.arg, episode, vly_train_total_steps(t));
}

void vly_train_episodes(vly_train *t) {
    int n;
    while ((n = vly_pool_episodes(t->pool, t->episodes, EPISODES_AT_ONCE)) > 0) {
        for (int i = 0; i < n; i++)
            if (!t->algo->counts || t->algo->counts(t->algo, t->episodes[i].actor))
                vly_train_count_episode(t, &t->episodes[i]);
        if (n < EPISODES_AT_ONCE) break;
    }
}

vly_status vly_train_first_rows(vly_train *t) {
    bool room;
    if (t->counters.started) return VLY_OK;
    for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_submit(t, g, NULL, &room));
    if (t->async) {
        const int n = vly_pool_take(t->pool, t->G, t->taken, -1);
        if (n != t->G)
            return vly_fail(VLY_ETIMEOUT, "only %d of %d groups of environments have started", n,
                            t->G);
    } else {
        for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_wait(t, g));
    }
    for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_receive(t, g));
    t->counters.started = TRAIN_STARTED;
    vly_train_mark(t, VLY_PHASE_ENV);
    return VLY_OK;
}

vly_status vly_train_drain_groups(vly_train *t, vly_status status) {
    char words[512];
    snprintf(words, sizeof words, "%s", vly_error_text());
    for (int g = 0; g < t->G; g++) (void)vly_pool_wait_group(t->pool, g, 2000);
    return vly_fail(status, "%s", words); /* the first failure, not one that followed from it */
}
