/* pace.h -- how many updates a learner with a replay memory owes: replay.ratio is enforced.
 *
 *   const int64_t due = vly_pace_due(pace, replay, config->replay.ratio, batch, starts, own_steps);
 *   ... that many updates, pace->updates++ after each ...
 *
 * After each phase floor(ratio x transitions since learning started / batch) - updates so far are
 * due. The remainder carries over. Plain state: it is saved. Where the counts do not go on from those
 * that were saved (other ranks share the steps, the ratio is another), the ratio holds from then on.
 */
#ifndef VLY_COMMON_LEARN_PACE_H
#define VLY_COMMON_LEARN_PACE_H
#include <math.h>
#include "common/learn/algo.h"
#include "common/learn/replay.h"

typedef struct {
    int64_t updates;
    int64_t start_steps; /* agent steps when learning started; -1: not yet, or again after a loss of
                            the memory */
    int64_t start_updates; /* and the updates by then */
    int64_t acted;         /* agent steps since, as of the last learn() */
    int64_t begun;         /* an actor has stepped, so a restored run has frames to go on from */
} vly_pace;

/* Whether a saved one can be gone on from. */
static inline bool vly_pace_is_sane(const vly_pace *k) {
    return vly_is_count(k->updates) && vly_is_count(k->acted) && vly_is_count(k->start_updates) &&
           (k->start_steps == -1 || vly_is_count(k->start_steps));
}

/* Once the counters and the memory were read: a run that was saved without its memory fills it anew
 * before it learns. */
static inline vly_status vly_pace_restored(vly_pace *k, vly_replay *r, vly_queue *q) {
    const bool empty = r->step[0] < 0;
    if (empty) k->start_steps = -1, k->acted = 0;
    return k->begun && empty ? vly_replay_restart(r, q) : vly_replay_restored(r, q);
}

/* Steps enough, and a memory to match: half of what there can be where that is less, for resets are
 * no transitions. */
static inline bool vly_pace_may_start(const vly_replay *r, int64_t starts, int batch,
                                      int64_t steps) {
    const int64_t size = vly_replay_size(r), most = vly_replay_most(r);
    const int64_t wanted = starts < most ? starts : most,
                  enough = batch < most / 2 ? batch : most / 2;
    return steps >= starts && size > 0 && size >= enough && size >= wanted / 2;
}

/* Steps of every group of `actors` in all until an update is due, at least one. */
static inline int vly_pace_phase(float ratio, int batch, int actors) {
    const double steps = batch / ((double)ratio * actors);
    return steps <= 1 ? 1 : steps > 65536 ? 65536 : (int)ceil(steps);
}

/* Updates that bring the rows learned from up to `ratio` times the transitions acted. */
static inline int64_t vly_pace_due(vly_pace *k, const vly_replay *r, float ratio, int batch,
                                   int64_t starts, int64_t steps) {
    enum { PHASES = 64 }; /* most that a run owes: stopped within an update again and again */
    const double most = PHASES * (double)vly_pace_phase(ratio, batch, (int)r->N) * (double)r->N;
    const double jump = (double)(steps - k->start_steps - k->acted);
    const double rows = (double)ratio * (double)(steps - k->start_steps);
    const double due = floor(rows / batch) - (double)(k->updates - k->start_updates);
    if (k->start_steps < 0 || jump < 0 || jump > most || due < 0 ||
        due > 1 + ratio * most / batch) {
        if (!vly_pace_may_start(r, starts, batch, steps)) return 0;
        k->start_steps = steps;
        k->start_updates = k->updates;
        k->acted = 0;
        return 0;
    }
    k->acted = steps - k->start_steps;
    return (int64_t)due;
}
#endif
