/* head.h -- what the numbers of a policy's network mean for an environment's actions.
 *
 *   VLY_TRY(vly_head_create(&p, &memories, args));
 *   <act>    VLY_TRY(vly_head_draw(&p, q, n, logits, rng, NULL, lane0, raw, shown, logp));
 *            VLY_TRY(vly_head_give(&p, q, n, raw, action));
 *   <learn>  VLY_TRY(vly_head_loss(&p, q, &loss, raw));
 *
 * One choice without more is computed by the operations for that (sample_policy, policy_loss);
 * several choices and numbers by those of common/base/actions.h. `raw` is 4 bytes a part: the
 * choices, or the numbers before clipping or squashing.
 */
#ifndef VLY_COMMON_LEARN_HEAD_H
#define VLY_COMMON_LEARN_HEAD_H
#include "common/base/actions.h"
#include "common/base/philox.h"
#include "common/learn/learner.h"
#include "common/learn/memories.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    vly_compute *c;
    vly_dist dist;
    bool single;            /* one choice */
    bool box;               /* raw is not the action: vly_head_give */
    bool masked;            /* rows carry dist.width bytes of masks */
    int actions, tail;      /* of the network's description */
    const vly_space *space; /* the environment's */
} vly_head;

/* The networks of such policies. */
vly_net_desc vly_head_actor(const vly_algo_args *args);
vly_net_desc vly_head_actor_critic(const vly_algo_args *args);

/* From args->env->action and args->config->net. */
vly_status vly_head_create(vly_head *p, vly_memories *m, const vly_algo_args *args);
/* The device arrays of a box's bounds, or of several choices' sizes. */
vly_status vly_head_bounds(vly_dist *d, vly_memories *m, const vly_algo_args *args);

/* What the numbers of the network of vly_algo_net mean, for those who act with it outside of a
 * vly_algo: what the algorithm itself draws from. Told: without the device's arrays. */
vly_dist vly_head_told(const vly_algo_args *args);
vly_status vly_head_dist(vly_dist *d, vly_memories *m, const vly_algo_args *args);

static inline size_t vly_head_bytes(const vly_head *p) { /* of raw, and of an action */
    return (size_t)p->dist.parts * sizeof(int32_t);
}

/* Whether raw, in host memory and from anywhere, is an action. */
bool vly_head_sane(const vly_head *p, const int32_t *raw);

/* `allowed` (n, width), dense: masks the logits. Every use of logits comes after it. */
vly_status vly_head_mask(const vly_head *p, vly_queue *q, int n, const uint8_t *allowed,
                         vly_real *logits);
/* rng NULL: the likeliest action; logp is then not written. shown: NULL unless vly_head_shows. */
vly_status vly_head_draw(const vly_head *p, vly_queue *q, int n, const vly_real *logits,
                         const vly_rng *rng, const int32_t *lane, int lane0, int32_t *raw,
                         int32_t *shown, vly_real *logp);
/* Where vly_head_draw itself shows what it draws to the host, in `host` of alloc_host; NULL: the
 * actions are downloaded. */
int32_t *vly_head_shows(const vly_head *p, int32_t *host);
/* As the environment takes it. */
vly_status vly_head_give(const vly_head *p, vly_queue *q, int n, const int32_t *raw,
                         int32_t *action);
vly_status vly_head_logp(const vly_head *p, vly_queue *q, int n, const vly_real *logits,
                         const int32_t *raw, vly_real *logp);
/* loss->action: the raw actions, gathered by loss->row. */
vly_status vly_head_loss(const vly_head *p, vly_queue *q, const vly_policy_loss_args *loss);

#ifdef __cplusplus
}
#endif
#endif
