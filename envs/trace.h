/* trace.h -- steps one environment and writes what happened as a table.
 *
 *   void *actions; size_t n;
 *   VLY_TRY(vly_trace_read("actions.txt", &env.action, env.players, &actions, &n));
 *   VLY_TRY(vly_trace_write(stdout, &env, seed, actions, n));
 *   free(actions);
 *
 * Tab-separated, a header line and then one row for each action, that is also
 *
 *   obs, _ = env.reset(seed=seed)
 *   for step, action in enumerate(actions):
 *       obs, reward, terminated, truncated, _ = env.step(action)
 *       row(step, action, reward, terminated, truncated, obs)
 *       if terminated or truncated: env.reset()
 *
 * in Gymnasium: the observation is the one after the action, a new episode starts at once and
 * without a row of its own, and the next action is its first. Every action in the file counts.
 * Columns: step, action, reward, terminated, truncated, and then
 *   obs0 obs1 ...   float32 observations, %.9g (which gives the same float back);
 *   obs0            the state's number where states are discrete, as Gymnasium's observation is;
 *   obs_crc32 bits  byte observations: zlib's crc32 of the (height, width, channel) bytes, then
 *                   those that are not 0 as channel,y,x in ascending order, joined by ';';
 *   mask            where actions are masked: a character for each choice of the next action, 1 for
 *                   those that are allowed.
 * An action of several numbers is written and read with commas between them, those of several
 * players with semicolons. With several players there is a reward for each, and the columns of an
 * observation and its mask come for one after the other, all with the player before the name:
 * p0.reward p1.reward ... p0.obs0 ...
 *
 * Atari games have frames to report instead of steps: envs/atari has its own table.
 */
#ifndef VLY_ENVS_TRACE_H
#define VLY_ENVS_TRACE_H
#include <stdbool.h>
#include <stdio.h>
#include "common/base/env.h"

/* actions: n of them, each env->players times env->action.bytes; NULL: vly_trace_random of `seed`.
 * Refuses an action that the environment does not have, before anything is written. */
vly_status vly_trace_write(FILE *out, const vly_env *env, uint64_t seed, const void *actions,
                           size_t n);
/* Whether one action, of all players, is within the space. */
vly_status vly_trace_check(const vly_env *env, const void *action, size_t step);

/* One action a line, from standard input where path is "-"; empty lines and lines that start with #
 * are skipped. free(*out) afterwards. */
vly_status vly_trace_read(const char *path, const vly_space *space, int players, void **out,
                          size_t *n);

/* The action that `--random N` plays at `step`: a function of its arguments, the same everywhere.
 * mask: that of the row it follows (players times action.n); NULL: all is allowed. */
void vly_trace_random(const vly_env *env, uint64_t seed, uint64_t step, const uint8_t *mask,
                      void *action);
/* The same of one discrete action. */
int32_t vly_trace_random_choice(uint64_t seed, uint64_t step, int choices);
#endif
