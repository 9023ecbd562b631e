/* The synchronous schedule: groups take turns, one is inferred while the others step; then all wait
 * for the update. Everything happens in one fixed order. */
#include <stdio.h>
#include <stdlib.h>
#include "cpu/train/train_impl.h"

static vly_status act_and_submit(vly_train *t, int group) {
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

static vly_status wait_and_receive(vly_train *t, int group) {
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(vly_train_wait(t, group));
    vly_train_mark(t, VLY_PHASE_ENV);
    return vly_train_receive(t, group);
}

static vly_status collect_rollout(vly_train *t) {
    for (int step = 0; step < t->algo->phase_steps; step++) {
        for (int g = 0; g < t->G; g++) {
            if (step > 0) VLY_TRY(wait_and_receive(t, g));
            VLY_TRY(act_and_submit(t, g));
        }
        vly_train_episodes(t);
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
    }
    for (int g = 0; g < t->G; g++) VLY_TRY(wait_and_receive(t, g));
    vly_train_episodes(t);
    return VLY_OK;
}

static vly_status update(vly_train *t, bool *save) {
    const vly_progress progress = vly_train_progress(t);
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->algo->learn(t->algo, t->learn, &progress));
    VLY_TRY(vly_train_passed(t, t->learn));
    vly_train_mark(t, VLY_PHASE_LEARN);
    return vly_train_updated(t, save);
}

/* A failure leaves groups with the pool: they must be back before anything is freed. */
static vly_status bring_home(vly_train *t, vly_status status) {
    char why[512];
    snprintf(why, sizeof why, "%s", vly_error_text());
    for (int g = 0; g < t->G; g++) (void)vly_pool_wait_group(t->pool, g, 2000);
    return vly_fail(status, "%s", why); /* not what went wrong on the way home */
}

vly_status vly_train_run_sync(vly_train *t) {
    vly_status status = vly_train_first_rows(t);
    while (status == VLY_OK && t->stop == VLY_STOP_NONE) {
        bool save = false;
        status = collect_rollout(t);
        if (status == VLY_OK) status = update(t, &save);
        if (status == VLY_OK && save && t->stop == VLY_STOP_NONE) status = vly_train_save(t);
    }
    return status == VLY_OK ? VLY_OK : bring_home(t, status);
}

/* ---- evaluation ---- */

/* Actor i plays its share of the episodes; what it plays beyond is ignored. */
typedef struct {
    int *played, *share, *first; /* per actor */
    int missing;
    double *returns;
    int32_t *lengths;
} evaluation;

static void deal(evaluation *e, int actors, int episodes) {
    for (int i = 0, at = 0; i < actors; i++) {
        e->share[i] = episodes / actors + (i < episodes % actors);
        e->first[i] = at;
        at += e->share[i];
    }
    e->missing = episodes;
}

static void count_episodes(vly_train *t, evaluation *e) {
    int n;
    while ((n = vly_pool_episodes(t->pool, t->episodes, EPISODES_AT_ONCE)) > 0)
        for (int i = 0; i < n; i++) {
            const vly_episode *episode = &t->episodes[i];
            const int at = e->played[episode->actor]++;
            if (at >= e->share[episode->actor]) continue;
            e->returns[e->first[episode->actor] + at] = episode->score;
            if (e->lengths) e->lengths[e->first[episode->actor] + at] = episode->length;
            e->missing--;
        }
}

static vly_status play(vly_train *t, evaluation *e) {
    bool room;
    for (int g = 0; g < t->G; g++) { /* fresh episodes */
        if (t->counters.started) VLY_TRY(t->algo->discard(t->algo, t->act));
        VLY_TRY(vly_train_submit(t, g, NULL, &room));
        VLY_TRY(wait_and_receive(t, g));
    }
    while (vly_pool_episodes(t->pool, t->episodes, EPISODES_AT_ONCE) > 0) {
    }
    t->counters.started = 1;
    while (e->missing > 0) {
        if (atomic_load(&t->stop_asked)) return vly_fail(VLY_ECANCELED, "evaluation interrupted");
        VLY_TRY(t->algo->discard(t->algo, t->act));
        for (int g = 0; g < t->G; g++) VLY_TRY(act_and_submit(t, g));
        for (int g = 0; g < t->G; g++) VLY_TRY(wait_and_receive(t, g));
        count_episodes(t, e);
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
    }
    return VLY_OK;
}

vly_status vly_train_evaluate(vly_train *t, int episodes, double *returns, int32_t *lengths) {
    if (!t->o.eval) return vly_fail(VLY_EINVAL, "evaluation needs a run that was created for it");
    if (episodes < 1) return vly_fail(VLY_EINVAL, "%d episodes", episodes);
    int *numbers = calloc(3 * (size_t)t->N, sizeof *numbers);
    if (!numbers) return vly_fail(VLY_ENOMEM, "no memory to evaluate with %d environments", t->N);
    evaluation e = {.played = numbers,
                    .share = numbers + t->N,
                    .first = numbers + 2 * t->N,
                    .returns = returns,
                    .lengths = lengths};
    deal(&e, t->N, episodes);
    const vly_status status = play(t, &e);
    free(numbers);
    return status == VLY_OK ? VLY_OK : bring_home(t, status);
}
