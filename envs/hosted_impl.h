/* hosted_impl.h -- the inside of hosted environments: hosted_open.c reads their description,
 * hosted.c steps them. */
#ifndef VLY_ENVS_HOSTED_IMPL_H
#define VLY_ENVS_HOSTED_IMPL_H
#include <pthread.h>
#include "common/base/plugin_call.h"
#include "envs/hosted.h"

enum { VLY_HOSTED_ENVS_MOST = 1 << 16, VLY_HOSTED_BATCH_MOST = 256 };

typedef struct {
    uint64_t part;
    int32_t number;
    uint32_t steps;
    int32_t elapsed; /* in this episode */
    uint8_t begun, ended;
} hosted_state;

typedef struct {
    vly_plugin_fault fault; /* first: vly_plugin_check reads it; set once, under the lock */
    pthread_mutex_t lock;
    vly_hosted_rules rules;
    bool attached;
    int32_t envs;    /* numbers that are in use */
    uint32_t *steps; /* by number */
    int batch;       /* rows of one call */
    int32_t limit;   /* steps of an episode */
    char description[640];
    vly_bounds bounds[VLY_SPACE_COUNT_MAX];
    int32_t sizes[VLY_SPACE_COUNT_MAX];
    /* Of one call. */
    int32_t number[VLY_HOSTED_BATCH_MOST], row[VLY_HOSTED_BATCH_MOST];
    int64_t seed[VLY_HOSTED_BATCH_MOST];
    float reward[VLY_HOSTED_BATCH_MOST];
    uint8_t terminated[VLY_HOSTED_BATCH_MOST], truncated[VLY_HOSTED_BATCH_MOST];
    uint8_t *observation, *action, *mask;
} hosted_world;

/* hosted.c */
void hosted_fill_calls(vly_env *env);
#endif
