/* tally.h -- the episodes that rows add up to, for rows that come from elsewhere (remote.h).
 *
 *   VLY_TRY(vly_tally_create(&t, rows));
 *   vly_tally_add(&t, first, n, &rows);            // n rows from row `first` of the run on
 *   n = vly_tally_episodes(&t, out, max);          // finished since the last call, oldest first
 *
 * As the pool does it for its own actors (pool.h): a row with RESET starts an episode, one with
 * GAME_OVER ends the episode that is reported, one with FAILED drops it.
 */
#ifndef VLY_CPU_ACTORS_TALLY_H
#define VLY_CPU_ACTORS_TALLY_H
#include "cpu/actors/source.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int rows;
    double *score;
    int32_t *length;
    uint8_t *age; /* frames of the episode before the newest row, at most 255 */
    vly_episode *ring;
    int64_t ring_size, written, read, dropped;
} vly_tally;

vly_status vly_tally_create(vly_tally *t, int rows);
void vly_tally_destroy(vly_tally *t);
void vly_tally_add(vly_tally *t, int first, int n, const vly_rows *rows);
/* The rows' episodes are dropped. */
void vly_tally_forget(vly_tally *t, int first, int n);
int vly_tally_episodes(vly_tally *t, vly_episode *out, int max);

#ifdef __cplusplus
}
#endif
#endif
