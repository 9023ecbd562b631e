/* source.h -- where rows come from: the environments of this process (pool.h), or remote ones.
 *
 *   VLY_TRY(source->submit(source, g, actions, rows));        // no actions: fresh episodes
 *   while (source->take(source, 1, &g) == 0)
 *       if (source->arm(source, 1)) uv_run(loop, UV_RUN_ONCE); // its event is on the loop
 *   ... the rows of group g are complete ...
 *
 * Group g has the actors g * M .. g * M + M - 1, M = actors / groups, and their rows, one for each of
 * the environment's players: the unit in which the trainer infers. Everything here is called on the loop's thread, outside of callbacks, and never sleeps.
 * An actor that fails returns a row as pool.h describes.
 */
#ifndef VLY_CPU_ACTORS_SOURCE_H
#define VLY_CPU_ACTORS_SOURCE_H
#include <stdbool.h>
#include <string.h>
#include "common/base/env.h"
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

/* An episode that ended with GAME_OVER. */
typedef struct {
    int32_t actor;  /* the row: actor * players + player */
    int32_t length; /* agent steps; RESET rows are not counted */
    double score;   /* sum of the rows' scores */
} vly_episode;

typedef struct {
    int64_t rows;             /* stepped or reset, RESET rows included */
    int64_t episodes;         /* finished */
    int64_t episodes_dropped; /* finished but overwritten in the ring before they were fetched */
    int64_t restarts;         /* actors reset because their environment failed */
    int64_t hung_total;       /* deadlines missed */
    int hung;                 /* actors missing now */
    int queued, running, finished; /* chunks now; finished: waiting to be taken */
    int workers;                   /* threads, stuck ones not counted */
    double busy_s;                 /* time inside environments, all threads together */
    double age_s;                  /* since create: busy_s / (age_s * workers) is the utilisation */
} vly_pool_stats;

typedef struct vly_source vly_source;
struct vly_source {
    int actors, groups;

    /* One step of a group, or without actions fresh episodes. action and rows have one entry per
     * row; they are the source's until the group is taken. */
    vly_status (*submit)(vly_source *s, int group, vly_actions action, vly_rows rows);
    /* Exactly `want` groups that are complete, or 0. Where that is cheaper than waking a thread,
     * their actors are stepped within this call. A source for the synchronous schedule returns
     * groups in the order of their submission and is asked for one at a time. Negative: a failure,
     * with its words. */
    int (*take)(vly_source *s, int want, int *groups);
    /* Before uv_run: an event on the loop will follow once `want` groups can be taken, or fewer can
     * be expected (stats.hung). False: do not sleep, they can be taken now. */
    bool (*arm)(vly_source *s, int want);
    /* What an environment did wrong, of all rows that were taken so far; the run ends. */
    vly_status (*check)(const vly_source *s);

    /* For each row of a group that is not out: the frames of its episode before its newest row,
     * at most 255. */
    const uint8_t *(*age)(const vly_source *s, int group);
    /* Finished episodes, oldest first; returns how many, at most max. */
    int (*episodes)(vly_source *s, vly_episode *out, int max);
    void (*stats)(vly_source *s, vly_pool_stats *out);

    /* For a checkpoint; no group is out but those that hang. */
    size_t (*snapshot_bytes)(const vly_source *s);
    vly_status (*save)(vly_source *s, void *to, size_t bytes);
    vly_status (*load)(vly_source *s, const void *from, size_t bytes);
    /* The same actors were stepped by the other kind of source, here or elsewhere: its snapshot as one
     * of this. The seeds that were used stay used, episodes begin anew. */
    vly_status (*convert)(const vly_source *s, const vly_env *env, const void *from, size_t bytes,
                          void *to);
    /* Of one actor, for rendering. NULL: it is being stepped, or elsewhere. */
    const void *(*state)(vly_source *s, int actor);
    /* The number "phase" (env.h) that came with the actor's newest row. NULL: ask its state. */
    double (*phase)(vly_source *s, int actor);
    /* VLY_ETIMEOUT: a group is still out; its rows must stay until the process ends. */
    vly_status (*destroy)(vly_source *s);
};

/* Which of the environment's numbers is "phase"; -1: none. */
static inline int vly_source_phase_at(const vly_env *env) {
    for (int i = 0; i < env->info_count; i++)
        if (!strcmp(env->info_names[i], "phase")) return i;
    return -1;
}

#ifdef __cplusplus
}
#endif
#endif
