/* multi.h -- several environments as one: actor a is in number a % tasks.
 *
 *   vly_env env;
 *   VLY_TRY(vly_multi_open(&env, "multi:pong,breakout,seaquest", &args));
 *
 * One agent learns all of them, so they look alike to it:
 *   - Observations are padded with zeros to the largest, and say which task it is. A vector has a 1
 *     among `tasks` more numbers. An image that is not stacked has as many more channels, one of
 *     which is 1 everywhere. A stacked image has VLY_MULTI_STRIP more lines, of which one part in
 *     `tasks` is white, so that its channels stay one.
 *   - Actions are those of the task with most of them. Where tasks differ in their number, or one has
 *     masks, rows have masks: what a task does not have is not allowed. Who chooses it all the same gets
 *     the task's first action. Atari games have all 18 actions.
 *   - Its numbers (vly_env.info) are `task` and those that all tasks have under one name. Where a task
 *     has a `phase`, all have: 0 where rules do not change.
 * The tasks have one player with one discrete action, images of one size or vectors; none
 * is a plugin. args go to each of them, over what its name sets where that is a Gymnasium id.
 */
#ifndef VLY_ENVS_MULTI_H
#define VLY_ENVS_MULTI_H
#include <stdbool.h>
#include "common/base/env.h"

enum { VLY_MULTI_STRIP = 4, VLY_MULTI_TASKS_MAX = 64 };

/* Whether the name begins with "multi:". */
bool vly_multi_named(const char *name);
/* The i-th name of the list, into `one`. False past the end. */
bool vly_multi_name(const char *name, int i, char *one, size_t bytes);
/* Whether such a name may be one of the list. */
vly_status vly_multi_check(const char *one);
/* "multi:" and the tasks' own names, as a vly_env.name: where they are too long, cut, with a checksum
 * of all. names: one after the other, each ended by a comma. */
void vly_multi_canonical(const char *names, char *out, size_t bytes);
/* Actor 0 is then in this task, actor 1 in the next, and so on: before actors are assigned. task: a
 * number from 0 on, or a name of env->task_names, of which the first is meant. */
vly_status vly_multi_begin_at(vly_env *env, const char *task);
vly_status vly_multi_open(vly_env *env, const char *name, const vly_env_args *args);
#endif
