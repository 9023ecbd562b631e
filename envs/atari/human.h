/* human.h -- what random play and a human tester score, for human-normalised scores: 0 is random, 1
 * is the human.
 *
 *   double random, human;
 *   if (vly_atari_human("pong", &random, &human)) normalised = (score - random) / (human - random);
 *
 * The 57 games of Wang et al. 2016; the others have no published pair.
 */
#ifndef VLY_ENVS_ATARI_HUMAN_H
#define VLY_ENVS_ATARI_HUMAN_H
#include <stdbool.h>
#ifdef __cplusplus
extern "C" {
#endif
/* False: none is published for a game of that name. */
bool vly_atari_human(const char *game, double *random, double *human);
#ifdef __cplusplus
}
#endif
#endif
