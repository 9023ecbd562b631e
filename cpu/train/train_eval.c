/* Episodes with fixed weights: many at once for their returns, or one actor step by step. */
#include <math.h>
#include <stdlib.h>
#include "cpu/train/train_impl.h"

/* Actor i plays its share of the episodes; those beyond are ignored. */
typedef struct {
    int *played, *share, *first; /* per actor */
    int missing;
    double *returns;
    int32_t *lengths;
} evaluation;

static void share_episodes(evaluation *e, int actors, int episodes) {
    for (int i = 0, at = 0; i < actors; i++) {
        e->share[i] = episodes / actors + (i < episodes % actors);
        e->first[i] = at;
        at += e->share[i];
    }
    e->missing = episodes;
}

static void record_episodes(vly_train *t, evaluation *e) {
    int n;
    while ((n = t->source->episodes(t->source, t->episodes, EPISODES_AT_ONCE)) > 0)
        for (int i = 0; i < n; i++) {
            const vly_episode *episode = &t->episodes[i];
            const int at = e->played[episode->actor]++;
            if (at >= e->share[episode->actor]) continue;
            e->returns[e->first[episode->actor] + at] = episode->score;
            if (e->lengths) e->lengths[e->first[episode->actor] + at] = episode->length;
            e->missing--;
        }
}

static vly_status reset_all_groups(vly_train *t) {
    bool room;
    for (int g = 0; g < t->G; g++) {
        if (t->counters.started) VLY_TRY(t->algo->discard(t->algo, t->act));
        VLY_TRY(vly_train_submit(t, g, (vly_actions){NULL, 0}, &room));
        VLY_TRY(vly_train_await_group(t, g));
    }
    while (t->source->episodes(t->source, t->episodes, EPISODES_AT_ONCE) > 0) {
    }
    t->counters.started = TRAIN_STARTED;
    return VLY_OK;
}

static vly_status play_episodes(vly_train *t, evaluation *e) {
    VLY_TRY(reset_all_groups(t));
    while (e->missing > 0) {
        if (atomic_load(&t->stop_asked)) return vly_fail(VLY_ECANCELED, "evaluation interrupted");
        VLY_TRY(t->algo->discard(t->algo, t->act));
        for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_act_group(t, g));
        for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_await_group(t, g));
        VLY_TRY(vly_train_check_restarts(t));
        record_episodes(t, e);
        vly_train_poll(t);
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
    share_episodes(&e, t->N, episodes);
    const vly_status status = play_episodes(t, &e);
    free(numbers);
    return status == VLY_OK ? VLY_OK : vly_train_drain(t, status);
}

int vly_train_episode_task(const vly_train *t, int episodes, int i) {
    int row = 0;
    for (int at = 0; row + 1 < t->N; row++) {
        at += episodes / t->N + (row < episodes % t->N);
        if (i < at) break;
    }
    return vly_train_task_of(t, row);
}

static vly_status step_one_actor(vly_train *t, vly_train_moment *m) {
    vly_algo *a = t->algo;
    const int group = 0;
    bool room;
    VLY_TRY(a->discard(a, t->act));
    VLY_TRY(a->act(a, t->act, &group, 1));
    VLY_TRY(t->c->queue_sync(t->act));
    m->action = a->action(a, group);
    float value = NAN;
    if (a->value) VLY_TRY(a->value(a, t->act, &value));
    m->value = (double)value;
    VLY_TRY(vly_train_submit(t, group, m->action, &room));
    VLY_TRY(vly_train_await_group(t, group));
    VLY_TRY(vly_train_check_restarts(t));
    m->flags = t->rows[group].flags[0];
    m->score = (double)t->rows[group].score[0];
    return VLY_OK;
}

vly_status vly_train_step(vly_train *t, vly_train_moment *m) {
    *m = (vly_train_moment){.value = NAN, .flags = VLY_ROW_RESET};
    if (!t->o.eval || t->N != t->o.env->players)
        return vly_fail(VLY_EINVAL, "stepping needs a run created for evaluation with one actor");
    VLY_TRY(t->counters.started ? step_one_actor(t, m) : vly_train_first_rows(t));
    m->state = t->source->state(t->source, 0);
    return VLY_OK;
}
