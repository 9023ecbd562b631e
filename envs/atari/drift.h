/* drift.h -- an Atari game whose mode or difficulty changes while an agent learns.
 *
 *   vly_atari_options o = ...; strcpy(o.drift, "50000:1/0,100000:0/1");
 *   VLY_TRY(vly_atari_drift_open(&env, "breakout", &o));
 *
 * STEPS:MODE/DIFFICULTY, in rising order: the first game that an environment begins after so many agent
 * steps of its own is played in that mode with that difficulty, until the next one. Nothing that the
 * agent sees says so. A game that is going on is played to its end. The change depends on the seed and
 * the steps alone, and is part of checkpoints. `info` has the game's numbers, then the phase, the mode and
 * the difficulty; by the phase the trainer reports how far returns fall with each change and how fast they recover.
 */
#ifndef VLY_ENVS_ATARI_DRIFT_H
#define VLY_ENVS_ATARI_DRIFT_H
#include <stdbool.h>
#include "common/base/env.h"
#include "envs/atari/options.h"

vly_status vly_atari_drift_open(vly_env *env, const char *name, const vly_atari_options *options);
bool vly_atari_drift_is(const vly_env *env);
/* The game that is played now, for vly_atari_look; *state becomes its state. Another environment is
 * returned as it is. */
const vly_env *vly_atari_drift_inner(const vly_env *env, const void **state);
#endif
