/* The synchronous schedule: groups take turns, one is inferred while the others step; then all wait
 * for the update. Everything happens in one fixed order. */
#include <string.h>
#include "cpu/train/train_impl.h"

static bool rollout_is_full(const vly_train *t) {
    return t->step == t->algo->phase_steps;
}

static int choose_in_turn(vly_train *t) {
    if (t->learner.state != LEARNER_IDLE || rollout_is_full(t) || t->waiting_count == 0 ||
        (t->step == 0 && vly_train_is_resting(t)))
        return 0;
    t->acting[0] = t->waiting[0];
    memmove(t->waiting, t->waiting + 1, (size_t)--t->waiting_count * sizeof *t->waiting);
    if (++t->turn == t->G) t->turn = 0, t->step++;
    return 1;
}

static vly_status collect_rollout(vly_train *t, bool *ready) {
    *ready = rollout_is_full(t) && t->waiting_count == t->G;
    return VLY_OK;
}

static void begin_rollout(vly_train *t) {
    t->step = 0;
}

/* The oldest, once none that is HERE can act: the order of calls to the algorithm is always the
 * same. */
static int want_oldest(vly_train *t) {
    return t->acting_count > 0 || (t->waiting_count > 0 && !rollout_is_full(t)) ? 0 : 1;
}

static bool stands_between_rollouts(vly_train *t) {
    return t->step == 0 && t->in_flight == 0;
}

const train_schedule vly_train_sync = {choose_in_turn, collect_rollout, begin_rollout, want_oldest,
                                       stands_between_rollouts};
