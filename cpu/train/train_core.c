/* One trainer for both schedules: a state machine over the events of one loop.
 *
 * A group of actors is
 *   HERE      its rows have arrived              -- the schedule chooses it -->  ACTING
 *   ACTING    its actions are being computed     -- the queue has passed -->     AWAY, or STALLED
 *                                                   where the algorithm has no room for its rows
 *   STALLED   it has acted                       -- an update has passed, or
 *                                                   unrolls were dropped -->     AWAY
 *   AWAY      the source steps it                -- its rows are complete -->    HERE
 *
 * The learner is
 *   IDLE      -- the rows of an update are there -->     LEARNING
 *   LEARNING  -- the queue, or its thread, is done -->   LEARNED
 *   LEARNED   -- metrics, on_update, publish -->         IDLE
 *
 * The run goes on until it is stopped or asked to save: then it rests. No group is chosen any more;
 * once nothing that can be waited for is ACTING or AWAY, none is STALLED and the learner is IDLE,
 * it is saved, and goes on or is over. A group that hangs is left out: its actors are reset when the
 * run is resumed. A stop within a long phase of the synchronous schedule goes back to its beginning
 * (train_undo.c).
 *
 *   synchronous (train_sync.c)     one group is ACTING at a time, in order; each is received in that
 *                                  order; all are HERE before the learner is LEARNING, and none
 *                                  acts until it is IDLE again. So the order of everything is fixed.
 *                                  With overlap they act beside the learner.
 *   asynchronous (train_async.c)   groups act as they arrive, beside the learner.
 *
 * Every transition is made by `advance` on this thread; when none can be made it sleeps on the loop. */
#include <stdio.h>
#include "cpu/train/train_impl.h"

bool vly_train_is_resting(const vly_train *t) {
    return t->stop != VLY_STOP_NONE || t->save_asked;
}

int vly_train_expected(vly_train *t) {
    vly_pool_stats stats;
    if (t->in_flight == 0) return 0;
    t->source->stats(t->source, &stats);
    return t->in_flight - stats.hung;
}

/* ---- groups ---- */

static vly_status submit_or_stall(vly_train *t, int group) {
    bool room;
    VLY_TRY(vly_train_submit(t, group, t->algo->action(t->algo, group), &room));
    if (room) return VLY_OK;
    if (!t->async)
        return vly_fail(VLY_EINVAL, "%s has no room for the rows of its own rollout",
                        t->algo->name);
    t->stalled[t->stalled_count++] = group;
    return VLY_OK;
}

static vly_status retry_stalled(vly_train *t, bool *moved) {
    const int count = t->stalled_count;
    t->stalled_count = 0;
    for (int i = 0; i < count; i++) {
        const int group = t->stalled[i]; /* submit writes at most to entries that were read */
        VLY_TRY(submit_or_stall(t, group));
    }
    *moved = *moved || t->stalled_count < count;
    return VLY_OK;
}

/* Synchronous: the state is that of the end of an update; with overlap only at the beginning, and
 * after a rest. */
static bool phase_begins(const vly_train *t) {
    return !t->async && t->step == 0 && t->turn == 0 && t->waiting_count == t->G &&
           t->learner.state == LEARNER_IDLE && !vly_train_is_resting(t);
}

static vly_status begin_acting(vly_train *t, bool *moved) {
    if (t->acting_count > 0 || vly_train_gives_up(t)) return VLY_OK;
    if (phase_begins(t)) VLY_TRY(vly_train_keep(t, false));
    const int count = t->schedule->choose(t);
    if (count == 0) return VLY_OK;
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->algo->act(t->algo, t->act, t->acting, count));
    VLY_TRY(vly_train_point_set(&t->acted, t->act));
    t->acting_count = count;
    *moved = true;
    return VLY_OK;
}

static vly_status end_acting(vly_train *t, bool *moved) {
    if (t->acting_count == 0 || !vly_train_point_passed(&t->acted)) return VLY_OK;
    VLY_TRY(t->c->event_sync(t->acted.event)); /* reports what failed */
    vly_train_mark(t, VLY_PHASE_ACT);
    const int count = t->acting_count;
    t->acting_count = 0;
    for (int i = 0; i < count; i++) VLY_TRY(submit_or_stall(t, t->acting[i]));
    *moved = true;
    return VLY_OK;
}

static vly_status receive_groups(vly_train *t, bool *moved) {
    int n;
    if (t->in_flight == 0) return VLY_OK;
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(vly_train_take(t, t->schedule->want(t), &n));
    vly_train_mark(t, VLY_PHASE_ENV);
    for (int i = 0; i < n; i++) {
        VLY_TRY(vly_train_receive(t, t->taken[i]));
        t->waiting[t->waiting_count++] = t->taken[i];
    }
    if (n > 0) vly_train_episodes(t);
    *moved = *moved || n > 0;
    return VLY_OK;
}

/* ---- the learner ---- */

static vly_status finish_update(vly_train *t) {
    bool wants, moved = false;
    t->learner.state = LEARNER_IDLE;
    t->schedule->learned(t);
    if (t->algo->unfinished) return vly_train_cut(t);
    t->counters.started = TRAIN_STARTED;
    VLY_TRY(vly_train_updated(t, &wants));
    t->save_asked = t->save_asked || wants;
    if (!t->algo->publish) return VLY_OK;
    VLY_TRY(t->algo->publish(t->algo, t->act));
    VLY_TRY(t->c->queue_sync(t->act));
    return retry_stalled(t, &moved);
}

static vly_status advance_learner(vly_train *t, bool *moved) {
    bool ready = false;
    VLY_TRY(vly_train_learner_look(t, moved));
    if (t->learner.state == LEARNER_LEARNED && t->schedule->may_finish(t)) {
        VLY_TRY(finish_update(t));
        *moved = true;
    }
    if (t->learner.state != LEARNER_IDLE || vly_train_gives_up(t)) return VLY_OK;
    VLY_TRY(t->schedule->collect(t, &ready));
    if (!ready) return retry_stalled(t, moved); /* collect() may have dropped unrolls */
    *moved = true;
    if (!t->async && t->algo->set_aside) VLY_TRY(vly_train_keep(t, true));
    return vly_train_learner_begin(t);
}

/* ---- the run ---- */

static vly_status advance(vly_train *t, bool *moved) {
    *moved = false;
    VLY_TRY(begin_acting(t, moved));
    VLY_TRY(end_acting(t, moved));
    VLY_TRY(advance_learner(t, moved));
    return receive_groups(t, moved);
}

static bool is_at_rest(vly_train *t) {
    return vly_train_is_resting(t) && t->acting_count == 0 && t->stalled_count == 0 &&
           t->learner.state == LEARNER_IDLE && t->schedule->rests(t);
}

/* Within a rollout, or before its update. Elsewhere an update that is given up returns
 * VLY_ECANCELED. */
static bool may_go_back(const vly_train *t) {
    return vly_train_gives_up(t) && t->acting_count == 0 && t->in_flight == 0 &&
           t->learner.state != LEARNER_LEARNING;
}

/* What this thread waits for next, for the report. */
static vly_phase awaited(vly_train *t) {
    return t->acting_count > 0 ? VLY_PHASE_ACT : t->in_flight > 0 ? VLY_PHASE_ENV : VLY_PHASE_LEARN;
}

static vly_status wait_for_event(vly_train *t) {
    if (t->in_flight == 0 && t->acting_count == 0 && t->learner.state == LEARNER_IDLE)
        return vly_fail(VLY_EINVAL, "%s: nothing in flight and nothing to learn from",
                        t->algo->name);
    return vly_train_sleep(t, t->in_flight > 0 ? t->schedule->want(t) : 0, awaited(t));
}

static vly_status run_events(vly_train *t) {
    for (;;) {
        bool moved;
        const vly_status status = advance(t, &moved);
        if (status == VLY_ECANCELED || may_go_back(t))
            return t->undo.held ? vly_train_go_back(t) : status;
        VLY_TRY(status);
        /* ranks agree on it at the next update: the others would wait in it for this one */
        if (t->async && !vly_train_has_ranks(t) && atomic_load(&t->stop_asked) &&
            t->stop == VLY_STOP_NONE)
            t->stop = VLY_STOP_INTERRUPTED;
        if (is_at_rest(t)) {
            if (t->stop != VLY_STOP_NONE) return VLY_OK;
            VLY_TRY(vly_train_save(t));
            t->save_asked = false;
        } else if (!moved) {
            VLY_TRY(wait_for_event(t));
        }
        vly_train_poll(t);
    }
}

vly_status vly_train_run_schedule(vly_train *t) {
    t->in_flight = t->acting_count = t->stalled_count = t->turn = 0;
    t->save_asked = false;
    VLY_TRY(vly_train_first_rows(t));
    t->step = t->counters.started == TRAIN_LEARNING ? t->algo->phase_steps : 0;
    for (int g = 0; g < t->G; g++) t->waiting[g] = g; /* all have arrived */
    t->waiting_count = t->G;
    vly_status status = vly_train_learner_start(t);
    if (status == VLY_OK) status = run_events(t);
    vly_train_learner_stop(t);
    return status == VLY_OK ? VLY_OK : vly_train_drain(t, status);
}

vly_status vly_train_drain(vly_train *t, vly_status status) {
    char words[512];
    snprintf(words, sizeof words, "%s", vly_error_text());
    const uint64_t until = uv_hrtime() + 2000000000;
    while ((t->acted.watched && !vly_train_point_passed(&t->acted)) ||
           (t->learned.watched && !vly_train_point_passed(&t->learned)))
        vly_train_pause(t, 10); /* called after a failure too (gpu/notify.c) */
    for (int n = 0; t->in_flight > 0 && uv_hrtime() < until;)
        if (vly_train_take(t, 1, &n) != VLY_OK)
            break;
        else if (n == 0 && t->source->arm(t->source, 1))
            vly_train_pause(t, 10);
    t->acted.set = t->learned.set = false;
    return vly_fail(status, "%s", words); /* the first failure, not one that followed from it */
}

/* ---- one group at a time ---- */

vly_status vly_train_act_group(vly_train *t, int group) {
    bool moved = false;
    vly_train_mark(t, VLY_PHASE_OTHER);
    VLY_TRY(t->algo->act(t->algo, t->act, &group, 1));
    VLY_TRY(vly_train_point_set(&t->acted, t->act));
    t->acting[0] = group, t->acting_count = 1;
    for (;;) {
        VLY_TRY(end_acting(t, &moved));
        if (moved) return VLY_OK;
        VLY_TRY(vly_train_sleep(t, 0, VLY_PHASE_ACT));
    }
}

static vly_status await_groups(vly_train *t, int want) {
    vly_train_mark(t, VLY_PHASE_OTHER);
    for (int n;;) {
        VLY_TRY(vly_train_take(t, want, &n));
        vly_train_mark(t, VLY_PHASE_ENV);
        if (n > 0) return VLY_OK;
        VLY_TRY(vly_train_sleep(t, want, VLY_PHASE_ENV));
    }
}

vly_status vly_train_await_group(vly_train *t, int group) {
    VLY_TRY(await_groups(t, 1)); /* in the order of their submission */
    return vly_train_receive(t, group);
}

static vly_status submit_resets(vly_train *t) {
    bool room;
    for (int g = 0; g < t->G; g++) {
        VLY_TRY(vly_train_submit(t, g, (vly_actions){NULL, 0}, &room));
        if (!room)
            return vly_fail(VLY_ECORRUPT, "%s has no room for first rows: the run is damaged",
                            t->algo->name);
    }
    return VLY_OK;
}

vly_status vly_train_first_rows(vly_train *t) {
    if (t->counters.started) return VLY_OK;
    VLY_TRY(submit_resets(t));
    if (t->async)
        VLY_TRY(await_groups(t, t->G));
    else
        for (int g = 0; g < t->G; g++) VLY_TRY(await_groups(t, 1));
    for (int g = 0; g < t->G; g++) VLY_TRY(vly_train_receive(t, g));
    t->counters.started = TRAIN_STARTED;
    return VLY_OK;
}
