/* policy_impl.h -- the inside of a trained agent, for cpu/library alone.
 *
 *   policy.c        opens and closes; facts, weights, evaluation
 *   policy_act.c    what is done with the observations of a call
 */
#ifndef VLY_CPU_LIBRARY_POLICY_IMPL_H
#define VLY_CPU_LIBRARY_POLICY_IMPL_H
#include <stdatomic.h>
#include <sys/types.h>
#include "common/learn/head.h"
#include "common/learn/tabular.h"
#include "cpu/run/run_folder.h"
#include "include/volley.h"

enum { POLICY_PIECE = 256 }; /* observations of one pass through the network */

typedef struct {
    bool best, accept_config;
    int64_t seed;
    int num_threads;
} policy_options;

struct vly_policy {
    policy_options o;
    vly_checkpoint *checkpoint; /* open for evaluation: the run may write others, or remove it */
    vly_config *config;
    int precision; /* of the run; it acts in fp32 */
    vly_env env;
    bool env_open, q_head;
    bool deterministic; /* the network's numbers are the action */
    vly_compute *compute;
    vly_queue *queue;
    vly_net *net; /* NULL: a table */
    vly_exec *exec;
    vly_memories memories;
    vly_dist dist; /* what the network's numbers mean where that is not one choice */
    vly_rng *rng;
    int32_t *raw, *drawn; /* of one piece, where there is more than one choice */
    float *param;         /* of the network, or the table: (states, actions) */
    vly_discretizer cells;
    uint8_t *frames, *ages, *flags; /* of one piece: its stacks, oldest frame first */
    size_t obs_bytes;
    uint64_t acted; /* observations so far, for the random numbers */
    pid_t process;
    atomic_flag busy;
};

/* policy_act.c. Numbers of a row of logits. */
int policy_width(const vly_policy *p);
/* After fork() the threads are the parent's, those of the child's copy never answer. */
bool policy_lost_threads(const vly_policy *p);
#endif
