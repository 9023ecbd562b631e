/* sync.h -- how several learners of one run stay together.
 *
 *   vly_algo_args args = {..., .sync = sync};   // NULL: alone
 *
 * An implementer fills in the functions of its own scheme and leaves the others NULL: they are
 * skipped. Implemented by cpu/fleet (MPI, parameter server, Ape-X, tables) and gpu/nccl.c.
 */
#ifndef VLY_COMMON_SYNC_SYNC_H
#define VLY_COMMON_SYNC_SYNC_H
#include "common/base/compute.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct vly_sync vly_sync;
struct vly_replay;

typedef struct {                              /* of tabular methods */
    int32_t state, action, next, next_action; /* next_action: -1 unless SARSA */
    float reward;
    int32_t terminated;
} vly_transition;

typedef struct { /* what a rank, or all of them, have done, and why they stop: 0, or the largest
                    reason */
    int64_t steps, episodes;
    int stop;
} vly_standing;

struct vly_sync {
    int rank, world;
    bool capturable; /* its operations may be part of a captured graph (NCCL); MPI and Redis: false
                      */
    /* Before the optimizer: grad (n) becomes the mean over the ranks. */
    vly_status (*reduce)(vly_sync *s, vly_queue *q, vly_real *grad, int64_t n);
    /* Before `reduce`, which then gets what is left and ends both: these gradients are complete on
     * q while the backward pass goes on, and their reduction may run beside it. */
    vly_status (*reduce_early)(vly_sync *s, vly_queue *q, vly_real *grad, int64_t n);
    /* Instead of the optimizer: grad goes out, p->param is replaced (parameter server). */
    vly_status (*apply)(vly_sync *s, vly_queue *q, const vly_params *p, const vly_hyper *hyper);
    /* After the optimizer: parameters are mixed with the neighbours' (gossip, federated averaging).
     */
    vly_status (*mix)(vly_sync *s, vly_queue *q, const vly_params *p);
    /* At the end of an update's enqueuing, never captured: parameters that agree() compares with
     * the other ranks' once q has passed. */
    vly_status (*compare)(vly_sync *s, vly_queue *q, const vly_params *p);
    /* Once an update has passed on its queue: VLY_EPEER and who is gone when what it received was
     * not whole. */
    vly_status (*check)(vly_sync *s);
    /* Everyone gets root's bytes (device memory): initial weights, weights after a resume. */
    vly_status (*broadcast)(vly_sync *s, vly_queue *q, void *data, size_t bytes, int root);
    /* After every update: the largest of all ranks' reasons to stop, so that all stop at the same
     * one, and the sums of what they have done, so that their schedules are the same. */
    vly_status (*agree)(vly_sync *s, const vly_standing *mine, vly_standing *all);
    /* Instead of learning (Ape-X's actors): what was acted since the last call goes out, value
     * (rows of the ring, actions) is what the network thought of it; newer weights may come into
     * p->param, *fresh says so. */
    vly_status (*hand_on)(vly_sync *s, vly_queue *q, const struct vly_replay *ring,
                          const vly_real *value, const vly_params *p, bool *fresh);
    /* Steps of the whole fleet, for schedules and budgets; NULL: world times one's own. */
    int64_t (*steps)(vly_sync *s);
    /* Gradients that the common weights have seen: what a target network is copied by. NULL: one's
     * own updates. */
    int64_t (*gradients)(vly_sync *s);
    /* Unrolls: what was acted goes out instead of being learned from; the learner's newest weights
     * come in. */
    vly_status (*send_unroll)(vly_sync *s, const void *unroll, size_t bytes);
    vly_status (*refresh)(vly_sync *s, vly_queue *q, const vly_params *p, int64_t *version);
    /* Tabular: this rank's transitions go out, those it has to learn from come back; *theirs is
     * valid until the next call. */
    vly_status (*exchange)(vly_sync *s, const vly_transition *mine, int n,
                           const vly_transition **theirs, int *count);
    /* Tabular: the table (states x actions) and its visits are mixed with the others'. */
    vly_status (*merge)(vly_sync *s, int states, int actions, vly_real *table, uint32_t *visits);
};

#ifdef __cplusplus
}
#endif
#endif
