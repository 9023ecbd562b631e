/* sync.h -- how several learners of one run stay together.
 *
 *   if (s && s->gradients) VLY_TRY(s->gradients->reduce(s, q, grad, n));
 *
 * One struct of functions for each way to work together; an implementer fills in its own:
 *
 *   gradients   mean of the ranks' gradients      MPI all-reduce (cpu/fleet), NCCL (gpu/nccl.c)
 *   mixing      weights averaged now and then     MPI gossip, federated averaging
 *   server      gradients to a parameter server   A3C, Gorila
 *   unrolls     what was acted, to a learner      IMPALA's actors
 *   experience  transitions to a replay memory    Ape-X's actors
 *   tables      transitions or tables             Q-learning and SARSA
 */
#ifndef VLY_COMMON_SYNC_SYNC_H
#define VLY_COMMON_SYNC_SYNC_H
#include "common/base/compute.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct vly_sync vly_sync;
struct vly_replay; /* common/learn/replay.h */

/* Of a tabular method. */
typedef struct {
    int32_t state, action, next, next_action; /* next_action: -1 unless SARSA */
    float reward;
    int32_t terminated;
} vly_transition;

/* What a rank, or all of them, have done, and why they stop: 0, or the largest reason. */
typedef struct {
    int64_t steps, episodes;
    int stop;
} vly_standing;

/* Every rank computes the gradients of its share of a batch; all optimizers take the same step. */
typedef struct {
    bool capturable; /* reduce and reduce_early may be part of a captured graph */
    /* Before the optimizer: grad (n) becomes the mean over the ranks. */
    vly_status (*reduce)(vly_sync *s, vly_queue *q, vly_real *grad, int64_t n);
    /* Before `reduce`, which then gets what is left and ends both: these gradients are complete on
     * q while the backward pass goes on, and their reduction may run beside it. NULL: it does not.
     */
    vly_status (*reduce_early)(vly_sync *s, vly_queue *q, vly_real *grad, int64_t n);
    /* At the end of an update's enqueuing, never captured: parameters that are compared with the
     * other ranks' now or in agree(). May be NULL. */
    vly_status (*compare)(vly_sync *s, vly_queue *q, const vly_params *p);
    /* Once an update has passed on its queue: VLY_EPEER and the missing rank when what it received
     * was not whole. NULL: reduce returns that itself. */
    vly_status (*check)(vly_sync *s);
} vly_sync_gradients;

/* Every rank takes its own steps; after each, mix() may average the parameters with others'. */
typedef struct {
    vly_status (*mix)(vly_sync *s, vly_queue *q, const vly_params *p);
} vly_sync_mixing;

typedef struct {
    /* Instead of the optimizer: grad goes out, p->param is replaced. */
    vly_status (*apply)(vly_sync *s, vly_queue *q, const vly_params *p, const vly_hyper *hyper);
    /* Gradients that the common weights have seen: what a target network is copied by. */
    int64_t (*gradients)(vly_sync *s);
} vly_sync_server;

/* Instead of learning. */
typedef struct {
    vly_status (*send)(vly_sync *s, const void *unroll, size_t bytes);
    /* The learner's newest weights; *version: the updates they have seen. */
    vly_status (*refresh)(vly_sync *s, vly_queue *q, const vly_params *p, int64_t *version);
} vly_sync_unrolls;

/* Instead of learning. */
typedef struct {
    /* What was acted since the last call goes out; value (rows of the ring, actions) is the
     * network's Q of it. Newer weights may come into p->param: *fresh. */
    vly_status (*send)(vly_sync *s, vly_queue *q, const struct vly_replay *ring,
                       const vly_real *value, const vly_params *p, bool *fresh);
} vly_sync_experience;

typedef struct {
    /* This rank's transitions go out, those it has to learn from come back; *theirs is valid until
     * the next call. NULL: each learns from its own. */
    vly_status (*exchange)(vly_sync *s, const vly_transition *mine, int n,
                           const vly_transition **theirs, int *count);
    /* After every update: the table (states x actions) and its visits are mixed with others'. */
    vly_status (*merge)(vly_sync *s, int states, int actions, vly_real *table, uint32_t *visits);
} vly_sync_tables;

struct vly_sync {
    int rank, world;
    /* Every rank gets root's bytes (device memory): weights at the start. NULL: no weights. */
    vly_status (*broadcast)(vly_sync *s, vly_queue *q, void *data, size_t bytes, int root);
    /* Ranks in step, after every update: the largest of all reasons to stop, so that all stop at
     * the same one, and the sums of what was done, so that schedules are the same. NULL: members
     * come and go. */
    vly_status (*agree)(vly_sync *s, const vly_standing *mine, vly_standing *all);
    /* Where members come and go: agent steps of all, for schedules and budgets. NULL: world times
     * one's own. */
    int64_t (*steps)(vly_sync *s);
    const vly_sync_gradients *gradients;
    const vly_sync_mixing *mixing;
    const vly_sync_server *server;
    const vly_sync_unrolls *unrolls;
    const vly_sync_experience *experience;
    const vly_sync_tables *tables;
};

#ifdef __cplusplus
}
#endif
#endif
