/* onpolicy_impl.h -- the inside of common/learn/onpolicy.h.
 *
 *   onpolicy.c         acting, learning, beginning and end
 *   onpolicy_memory.c  what it keeps, and what of that is saved
 *   onpolicy_moments.c normalisation of observations and rewards
 */
#ifndef VLY_COMMON_LEARN_ONPOLICY_IMPL_H
#define VLY_COMMON_LEARN_ONPOLICY_IMPL_H
#include "common/learn/learner.h"
#include "common/learn/memories.h"
#include "common/learn/moments.h"
#include "common/learn/onpolicy.h"
#include "common/learn/head.h"

/* What an update reads: rows of the rollout (device). Of the rollout itself, or (overlap) of a copy,
 * while the next is acted. */
typedef struct {
    uint8_t *frames, *age, *flags;
    uint8_t *allowed; /* (T + 1, N, policy.dist.width) masks, or NULL */
    int32_t *action;  /* raw (T + 1, N, policy.dist.parts) */
    vly_real *reward, *value, *logp;
    vly_real *h0, *cell0; /* recurrent state at row 0 (N, H) */
} onpolicy_rows;

typedef struct {
    vly_algo pub; /* first */
    vly_compute *c;
    vly_onpolicy_options o;
    vly_obs_spec obs;
    vly_head policy;
    int N, M, G, T, history; /* actors, per group, groups, rollout steps, rows kept before row 0 */
    bool eval, greedy;
    bool turns; /* several players, some of whom may wait on a row */
    vly_net *net;
    vly_learner learner;
    vly_exec *acting, *learning;
    vly_real *act_param; /* of the acting network; overlap: a copy, else the learner's own */
    onpolicy_rows seen;

    /* rollout: (T + 1 + history, N) frames and ages, (T + 1, N) the rest */
    uint8_t *frames, *age;
    int32_t *action, *order;
    vly_real *reward, *value, *logp, *advantage, *target, *mask, *moments;
    vly_real *baseline, *fresh; /* running mean of returns; moments of this rollout's */
    uint8_t *flags;
    float *reward_host, *score_host; /* host twins of what the pool writes; the same memory where
                                        the device is the host */
    uint8_t *flags_host, *age_host;
    int32_t *action_host;
    int32_t *action_shown, *sent_shown; /* where the device writes the host's; NULL: downloads */
    uint8_t *allowed, *allowed_host, *allowed_mb;
    int32_t *sent, *sent_host; /* (N, parts): boxes as the environments take them */
    vly_moments running;
    vly_real *returns; /* (N) discounted sums so far; NULL: rewards are not normalised */
    vly_rng *rng;      /* device: one per group (acting), one for the minibatches */
    vly_hyper *shown;  /* host: the scalars of the last update, for the metrics */

    /* recurrent: state now and at row 0 (N, H); static minibatches by actor */
    int H;
    vly_real *h, *cell, *h0, *cell0;
    int32_t *row; /* (minibatches, T, actors of one) */
    uint8_t *flags_mb;

    int64_t *cursor; /* host, per group: newest row that has arrived, -1: none */
    vly_graph *graph;
    vly_graph **act_graph; /* (G, T + 1) */
    int group, epoch;      /* arguments of the captured functions */
    int epochs_done;

    vly_memories memories;
} onpolicy;

/* ---- where things are ---- */

static inline int vly_onpolicy_group_first(const onpolicy *a, int group) {
    return group * a->M;
}
static inline int64_t vly_onpolicy_row_of(const onpolicy *a, int64_t t, int group) {
    return t * a->N + vly_onpolicy_group_first(a, group);
}
static inline int vly_onpolicy_batch_first(const onpolicy *a, int k) {
    return (int)((int64_t)a->T * a->N * k / a->o.minibatches);
}
static inline int vly_onpolicy_columns_first(const onpolicy *a, int k) {
    return (int)((int64_t)a->N * k / a->o.minibatches);
}
static inline int vly_onpolicy_learn_rows(const onpolicy *a) { /* of the largest minibatch */
    if (a->H > 0) return (a->N + a->o.minibatches - 1) / a->o.minibatches * a->T;
    return (int)(((int64_t)a->T * a->N + a->o.minibatches - 1) / a->o.minibatches);
}

/* ---- onpolicy_memory.c ---- */

vly_status vly_onpolicy_alloc_rollout(onpolicy *a);
/* a->seen and a->act_param */
vly_status vly_onpolicy_alloc_overlap(onpolicy *a);
vly_status vly_onpolicy_alloc_learning(onpolicy *a);
vly_status vly_onpolicy_fill_orders(onpolicy *a, vly_queue *q);
/* ---- onpolicy_moments.c; nothing to do without --net.normalize and normalize_reward ---- */

vly_status vly_onpolicy_alloc_moments(onpolicy *a);
vly_status vly_onpolicy_see_observations(onpolicy *a, vly_queue *q);
vly_status vly_onpolicy_scale_rewards(onpolicy *a, vly_queue *q);
void vly_onpolicy_moments_buffers(const onpolicy *a, vly_buffer_list *list);

int vly_onpolicy_buffers(vly_algo *pub, vly_buffer *out, int max);     /* vly_algo.buffers */
vly_status vly_onpolicy_restored(vly_algo *pub, vly_queue *q);         /* vly_algo.restored */
size_t vly_onpolicy_learned(const vly_algo *pub, const vly_buffer *b); /* vly_algo.learned */
#endif
