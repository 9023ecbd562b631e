/* The synchronous schedule: groups take turns, one is inferred while the others step; then all wait
 * for the update. Everything happens in one fixed order.
 *
 * With overlap a rollout is set aside once it is full and the update of the one before is finished;
 * then it is learned from on the learner's thread while the next is acted. What an update has to say
 * (metrics, on_update, a stop) is taken in between rollouts alone, so the order is as fixed. A run
 * that rests learns from what is full and acts no more. */
#include <string.h>
#include "cpu/train/train_impl.h"

static bool rollout_is_full(const vly_train *t) {
    return t->step == t->algo->phase_steps;
}

static bool all_are_here(const vly_train *t) {
    return t->waiting_count == t->G;
}

static bool stands_between_rollouts(vly_train *t) {
    return t->step == 0 && all_are_here(t);
}

static int choose_in_turn(vly_train *t) {
    if ((t->learner.state != LEARNER_IDLE && !t->algo->set_aside) || rollout_is_full(t) ||
        t->waiting_count == 0 || (t->step == 0 && vly_train_is_resting(t)))
        return 0;
    t->acting[0] = t->waiting[0];
    memmove(t->waiting, t->waiting + 1, (size_t)--t->waiting_count * sizeof *t->waiting);
    if (++t->turn == t->G) t->turn = 0, t->step++;
    return 1;
}

static vly_status collect_rollout(vly_train *t, bool *ready) {
    *ready = rollout_is_full(t) && all_are_here(t);
    if (!*ready || !t->algo->set_aside) return VLY_OK;
    t->step = 0;
    VLY_TRY(t->algo->set_aside(t->algo, t->act));
    VLY_TRY(t->c->event_record(t->uploads, t->act));
    return t->c->event_wait(t->learn, t->uploads);
}

/* Between rollouts, and before another is begun: with overlap before the full one is set aside. */
static bool may_finish_rollout(vly_train *t) {
    return !t->algo->set_aside ||
           (all_are_here(t) && (rollout_is_full(t) || vly_train_is_resting(t)));
}

static void begin_rollout(vly_train *t) {
    if (!t->algo->set_aside) t->step = 0;
}

/* The oldest, once none that is HERE can act: the order of calls to the algorithm is always the
 * same. */
static int want_oldest(vly_train *t) {
    const bool acts = t->waiting_count > 0 && !rollout_is_full(t) && !vly_train_gives_up(t);
    return t->acting_count > 0 || acts ? 0 : 1;
}

const train_schedule vly_train_sync = {choose_in_turn, collect_rollout, may_finish_rollout,
                                       begin_rollout,  want_oldest,     stands_between_rollouts};
