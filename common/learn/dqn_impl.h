/* dqn_impl.h -- the inside of DQN, for the two files of it.
 *
 *   dqn.c         acting and learning
 *   dqn_create.c  creation, what is saved, the entries in the list of algorithms
 */
#ifndef VLY_COMMON_LEARN_DQN_IMPL_H
#define VLY_COMMON_LEARN_DQN_IMPL_H
#include "common/learn/dqn.h"
#include "common/learn/learner.h"
#include "common/learn/memories.h"
#include "common/learn/moments.h"
#include "common/learn/pace.h"
#include "common/learn/replay.h"

typedef struct {
    vly_algo pub; /* first */
    vly_compute *c;
    const vly_config *config;
    int actions, N, M, G, batch;
    vly_sync *sync;
    bool eval, greedy;
    vly_net *net;
    vly_learner learner;
    vly_replay *replay;
    vly_moments running; /* of all observations so far */
    bool sends;          /* Ape-X's actor: sends its experience instead of learning from it */
    vly_feed *feed;      /* Ape-X's learner: instead of a memory */
    vly_real *row_value; /* (rows of the ring, actions): an actor's Q of what it acted on */
    vly_exec *acting, *learning;
    vly_exec *target;
    vly_real *target_param;
    vly_real *chosen_by; /* (batch, actions): Q of the online network on the bootstrap rows; NULL
                            unless double */
    bool one_pass; /* they follow the batch in one forward pass: it lies in learning->logits */

    vly_rng *rng;                     /* device: one per group (acting), one for sampling */
    vly_real *epsilon, *epsilon_host; /* (N) */
    int32_t *act_row, *act_row_host;  /* (N) rows to infer */
    int32_t *action, *action_host;    /* (N) */
    int32_t *action_shown;            /* where the device writes the host's; NULL: downloads */
    uint8_t *act_allowed;             /* (N, actions) masks of act_row; NULL: none */
    vly_graph **act_graph, *graph, *target_graph;
    int group; /* argument of the captured act_group */

    vly_pace *k;
    double rate_now;
    vly_memories memories;
    int64_t target_period; /* with a parameter server: gradients / target_every at the last copy */
} dqn;

/* place, arrived, act, action, value, counts, learn, discard and metrics; the rest is zero. */
extern const vly_algo vly_dqn_methods;
/* The actors' epsilon after `steps` agent steps of all. */
vly_status vly_dqn_explore(dqn *a, vly_queue *q, int64_t steps);

#endif
