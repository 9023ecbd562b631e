/* learned.h -- what an algorithm was measured to reach in an environment, with a preset.
 *
 *   const vly_learned *l = vly_learned_find("pong", "ppo", "pong-ppo");
 *   if (l && l->seeds > 0) ...                   // l->target after l->steps, in the median of seeds
 *   if (l && l->seeds == 0) ...                  // not reached: l->reached after l->steps
 *   if (!l) ...                                  // nobody measured it
 *
 * The table is common/config/learned.def.
 */
#ifndef VLY_COMMON_CONFIG_LEARNED_H
#define VLY_COMMON_CONFIG_LEARNED_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *env, *algo; /* the environment's own name */
    const char *preset;     /* "none": the algorithm's own settings */
    double target;          /* mean return of the last 100 training episodes */
    double reached;         /* instead of it; seeds 0 */
    int64_t steps;          /* in the median of seeds; seeds 0: of the run that was missed */
    int64_t least, most;    /* of them */
    int seeds;              /* that reached it; 0: it is not expected to be reached */
} vly_learned;

const vly_learned *vly_learned_find(const char *env, const char *algo, const char *preset);
const vly_learned *vly_learned_list(int i); /* NULL past the end */

#ifdef __cplusplus
}
#endif
#endif
