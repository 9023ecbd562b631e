/* pace.h -- how many updates a learner with a replay memory owes: replay.ratio is enforced.
 *
 *   const int64_t due = vly_pace_due(pace, replay, config->replay.ratio, batch, starts, own_steps);
 *   ... that many updates, pace->updates++ after each ...
 *
 * After each phase floor(ratio x transitions since learning started / batch) - updates so far are
 * due. The remainder carries over. Plain state: it is saved.
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
    return k->updates >= 0 && k->updates <= VLY_COUNT_MOST && k->acted >= 0 &&
           k->acted <= VLY_COUNT_MOST && k->start_steps >= -1 && k->start_steps <= VLY_COUNT_MOST &&
           k->start_updates >= 0 && k->start_updates <= VLY_COUNT_MOST;
}

/* Steps enough, and a memory to match: half, for resets are no transitions. */
static inline bool vly_pace_may_start(const vly_replay *r, int64_t starts, int batch,
                                      int64_t steps) {
    const int64_t size = vly_replay_size(r), capacity = r->T * r->N;
    const int64_t wanted = starts < capacity ? starts : capacity;
    return steps >= starts && size >= batch && size >= wanted / 2;
}

/* Updates that bring the rows learned from up to `ratio` times the transitions acted. */
static inline int64_t vly_pace_due(vly_pace *k, const vly_replay *r, float ratio, int batch,
                                   int64_t starts, int64_t steps) {
    if (k->start_steps < 0) {
        if (!vly_pace_may_start(r, starts, batch, steps)) return 0;
        k->start_steps = steps;
        k->start_updates = k->updates;
    }
    k->acted = steps - k->start_steps;
    const double rows = (double)ratio * (double)k->acted;
    const double due = floor(rows / batch) - (double)(k->updates - k->start_updates);
    return due > 0 ? (int64_t)due : 0;
}

/* Steps of every group of `actors` in all until an update is due, at least one. */
static inline int vly_pace_phase(float ratio, int batch, int actors) {
    const double steps = batch / ((double)ratio * actors);
    return steps <= 1 ? 1 : steps > 65536 ? 65536 : (int)ceil(steps);
}
#endif
