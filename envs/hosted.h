/* hosted.h -- an environment whose rules are the caller's, behind one function for a batch.
 *
 *   vly_env_open(&env, "host:Maze", &(vly_env_args){.extra = "observation=f32:4,action=choice:2"});
 *   vly_hosted_attach(&env, &(vly_hosted_rules){step, me, 0});
 *
 * The name and the options describe it completely, so that a run's network can be made without its
 * rules; a step without them is a fault that says so. Options:
 *   observation=f32:4 | u8:84x84x3     numbers, or an image (height, width, channels)
 *   action=choice:4 | choices:3;2*4 | box:-1:1;0:2*3
 *                                      one choice among 4; several, of 3, 2, 2, 2 and 2; numbers
 *                                      within [-1, 1], [0, 2], [0, 2] and [0, 2]
 *   scale=1        network input = scale * value
 *   mask=0         1: rows say which choices are allowed
 *
 * An actor's state is a number that the rules know the environment by, and how often it was stepped.
 * The time limit of vly_env_args is kept here.
 * The environment itself is the caller's, so a checkpoint does not hold it: an actor whose state is
 * of another time than its environment (the run was resumed, or went back) comes back with
 * VLY_ROW_FAILED, and the pool starts a new episode.
 */
#ifndef VLY_ENVS_HOSTED_H
#define VLY_ENVS_HOSTED_H
#include <stdbool.h>
#include "common/base/env.h"

enum { VLY_HOSTED_STEP = -2, VLY_HOSTED_NEXT = -1 };

/* n environments, each at most once. */
typedef struct {
    int n;
    const int32_t *number; /* which; a new one is the next whole number from 0 */
    const int64_t *seed; /* VLY_HOSTED_STEP; VLY_HOSTED_NEXT: a new episode; else from this seed */
    const void *action;  /* dense; read for steps alone */
    void *observation;   /* dense */
    float *reward;
    uint8_t *terminated, *truncated, *mask; /* mask: NULL without */
    const char *name, *description;         /* as it was opened: "host:Maze", its options */
} vly_hosted_batch;

typedef struct {
    /* Not 0: it failed, and the run ends. From any thread, one call at a time. */
    int (*step)(void *arg, const vly_hosted_batch *batch);
    void *arg;
    /* Which part of the run this is: states of another part are begun anew. */
    uint64_t part;
} vly_hosted_rules;

/* Whether the name begins with "host:". */
bool vly_hosted_named(const char *name);
vly_status vly_hosted_open(vly_env *env, const char *name, const vly_env_args *args);
/* VLY_EINVAL if the environment is not a hosted one. */
vly_status vly_hosted_attach(vly_env *env, const vly_hosted_rules *rules);
#endif
