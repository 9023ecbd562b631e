/* learner.h -- what every deep algorithm shares: the parameters of a network, their optimizer, the
 * scalars of an update and its statistics.
 *
 *   VLY_TRY(vly_learner_create(&l, args, net, adam));
 *   // scalars up, statistics cleared
 *   <in learn()>  l.hyper->lr = ...; VLY_TRY(vly_learner_begin(&l, q));
 *   <captured>    <forward, loss into l.stats, backward into l.params.grad>;
 *                 VLY_TRY(vly_learner_step(&l, q));
 *   <after>       VLY_TRY(vly_learner_end(&l, q));                        // statistics down
 *   <q passed>    VLY_TRY(vly_learner_check(&l));  l.sums[VLY_STAT_...]
 */
#ifndef VLY_COMMON_LEARN_LEARNER_H
#define VLY_COMMON_LEARN_LEARNER_H
#include "common/learn/algo.h"
#include "common/config/config.h"
#include "common/learn/net.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    vly_compute *c;
    const vly_net *net;
    vly_sync *sync;
    vly_optimizer optimizer;
    vly_params params; /* device; grad, m, v NULL when it only acts */
    vly_real *norm;    /* device: gradient norm, non-finite flag */
    vly_real *stats;   /* device: VLY_STATS sums */
    vly_hyper *hyper;  /* host: filled before vly_learner_begin */
    vly_hyper *hyper_device;
    vly_real *sums;  /* host: VLY_STATS, of the last update */
    int64_t reduced; /* gradients from here on have been given to reduce_early */
    bool (*stop_asked)(const void *arg); /* on a device, at every step; NULL: never */
    const void *stop_arg;
} vly_learner;

/* Random weights from args->seed, equal on all ranks. eval: parameters alone. On failure
 * nothing is left. */
vly_status vly_learner_create(vly_learner *l, const vly_algo_args *args, const vly_net *net);
void vly_learner_destroy(vly_learner *l);
vly_status vly_learner_begin(vly_learner *l, vly_queue *q);
/* With several ranks: the gradients of the layers nearest the output are complete first; they are
 * reduced beside the rest of the backward pass of this context. */
void vly_learner_overlap(vly_learner *l, vly_exec *learning);
/* For the update that begins: once a stop is asked for, the passes of this context end with
 * VLY_ECANCELED; on a device vly_learner_step does, which waits for the queue to ask. */
void vly_learner_watch(vly_learner *l, vly_exec *learning, const vly_progress *progress);
/* This context computes with the learner's own parameters: where they are rounded, the optimizer
 * does it in its pass. */
vly_status vly_learner_share(vly_learner *l, vly_exec *exec);
/* After vly_learner_step, or several: such a context is ready for the new weights. */
vly_status vly_learner_stepped(const vly_learner *l, vly_queue *q, vly_exec *exec);
/* Gradients are there: reduce, norm, clip, apply, mix. */
vly_status vly_learner_step(vly_learner *l, vly_queue *q);
vly_status vly_learner_end(vly_learner *l, vly_queue *q);
/* VLY_ENUMERIC when the update met a NaN or an infinity. */
vly_status vly_learner_check(const vly_learner *l);
/* Whether learn() may be captured: not where ranks or a watch act on this thread. */
bool vly_learner_capturable(const vly_learner *l);

/* n random states in device memory, all of this seed and at step 0. */
vly_status vly_learner_seed(const vly_algo_args *args, vly_rng *rng, int n);

/* The network a configuration asks for, with a head of args->env's choices. */
vly_net_desc vly_learner_describe(const vly_algo_args *args, vly_head_kind head);

/* Lists of buffers: each appends to out[*n] while *n < max, and counts in any case. */
typedef struct {
    vly_buffer *out;
    int n, max;
} vly_buffer_list;
void vly_buffer_add(vly_buffer_list *list, const char *name, vly_buffer_role role, vly_dtype dtype,
                    int64_t n, void *data, bool device);
/* Weights by tensor, optimizer arenas. */
void vly_learner_buffers(const vly_learner *l, vly_buffer_list *list);
/* The same under names of their own, as state: a network that evaluation does not need. */
void vly_learner_state_buffers(const vly_learner *l, const char *prefix, vly_buffer_list *list);

#ifdef __cplusplus
}
#endif
#endif
