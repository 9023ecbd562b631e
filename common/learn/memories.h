/* memories.h -- the arrays of an algorithm: allocated one by one, freed together.
 *
 *   vly_memories m = {.c = compute, .option = "--run.envs or the rollout"};
 *   vly_status s = VLY_OK;
 *   // device; true: host
 *   a->reward = vly_memories_take(&m, false, rows, sizeof(vly_real), "rollout", &s);
 *   // NULL once s has failed
 *   a->flags = vly_memories_take(&m, false, rows, 1, "rollout", &s);
 *   ...
 *   vly_memories_give_back(&m);
 */
#ifndef VLY_COMMON_LEARN_MEMORIES_H
#define VLY_COMMON_LEARN_MEMORIES_H
#include "common/base/compute.h"

enum { VLY_MEMORIES_MAX = 64 };

typedef struct {
    vly_compute *c;
    const char *option; /* what a person can lower when there is too little */
    void *memory[VLY_MEMORIES_MAX];
    bool on_host[VLY_MEMORIES_MAX];
    int count;
} vly_memories;

/* n zeroed numbers of `size` bytes. NULL when *status is not VLY_OK, before or after. */
void *vly_memories_take(vly_memories *m, bool host, int64_t n, size_t size, const char *what,
                        vly_status *status);
void vly_memories_give_back(vly_memories *m);
#endif
