/* trace.h -- steps one environment and writes what happened as a table.
 *
 *   int32_t *actions; size_t n;
 *   VLY_TRY(vly_trace_read_actions("actions.txt", env.actions, &actions, &n));
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
 *                   those that are not 0 as channel,y,x in ascending order, joined by ';'.
 *
 * Atari games have frames to report instead of steps: envs/atari has its own table.
 */
#ifndef VLY_ENVS_TRACE_H
#define VLY_ENVS_TRACE_H
#include <stdio.h>
#include "common/base/env.h"

/* Refuses an action that the environment does not have, before anything is written. */
vly_status vly_trace_write(FILE *out, const vly_env *env, uint64_t seed, const int32_t *actions,
                           size_t n);

/* One action a line, from standard input where path is "-"; empty lines and lines that start with #
 * are skipped. free(*out) afterwards. */
vly_status vly_trace_read_actions(const char *path, int actions, int32_t **out, size_t *n);

/* The action that `--random N` plays at `step`: a function of both alone, the same everywhere. */
int32_t vly_trace_random_action(uint64_t seed, uint64_t step, int actions);
/* The first n of them. free(*out) afterwards. */
vly_status vly_trace_random_actions(uint64_t seed, int actions, size_t n, int32_t **out);
#endif
