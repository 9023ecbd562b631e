/* moments.h -- what observations and rewards are normalised by: running moments.
 *
 *   VLY_TRY(vly_moments_check(args, normalize_reward));               // before anything is made
 *   VLY_TRY(vly_moments_take(&o, &memories, net, normalize_reward));
 *   VLY_TRY(vly_moments_see(&o, q, learner.params.param, rows, x));
 *   VLY_TRY(vly_moments_see_frames(&o, q, learner.params.param, rows, frames));
 *   VLY_TRY(vly_moments_see_newest(&o, q, learner.params.param, replay, group));
 *   VLY_TRY(vly_moments_share(&o, q, learner.params.param, target));  // two networks read alike
 *   // in place, by the deviation of discounted returns
 *   VLY_TRY(vly_moments_scale_rewards(&o, q, rows, returns, counted, reward));
 *
 * Observations are normalised by the network's own tensors (vly_net_moments), which see() writes.
 * Nothing happens where the network has none, and to rewards that are not to be normalised.
 */
#ifndef VLY_COMMON_LEARN_MOMENTS_H
#define VLY_COMMON_LEARN_MOMENTS_H
#include "common/base/actions.h"
#include "common/learn/learner.h"
#include "common/learn/memories.h"
#include "common/learn/net.h"
#include "common/learn/replay.h"

typedef struct {
    vly_compute *c;
    int width;           /* numbers of an observation */
    float factor;        /* of frames to the network's input: vly_obs_spec.scale */
    int64_t at;          /* of their means and scales among the parameters */
    double *observation; /* (3, width), device; NULL: observations go in as they are */
    double *returned;    /* (3), device; NULL: so do rewards */
    double *kept;        /* (3), device: of returns, before an update that may be given up */
    vly_real *scale;     /* (1), device */
} vly_moments;

/* VLY_EUNSUPPORTED where moments are asked for and several processes learn: each would keep its
 * own. */
vly_status vly_moments_check(const vly_algo_args *args, bool rewards);
vly_status vly_moments_take(vly_moments *o, vly_memories *m, const vly_net *net, bool rewards);
/* x: a network's input. */
vly_status vly_moments_see(const vly_moments *o, vly_queue *q, vly_real *param, int n,
                           const vly_real *x);
/* Frames as environments write them: the network's input is `scale` times that. */
vly_status vly_moments_see_frames(const vly_moments *o, vly_queue *q, vly_real *param, int n,
                                  const uint8_t *frames);
/* The rows that arrived last in a replay memory. */
vly_status vly_moments_see_newest(const vly_moments *o, vly_queue *q, vly_real *param,
                                  const vly_replay *r, int group);
/* What `from` normalises by, to another network's parameters of the same shape. */
vly_status vly_moments_share(const vly_moments *o, vly_queue *q, const vly_real *from,
                             vly_real *to);
/* counted (n): rows with 0 do not move the moments. */
vly_status vly_moments_scale_rewards(const vly_moments *o, vly_queue *q, int n,
                                     const vly_real *returns, const vly_real *counted,
                                     vly_real *reward);
/* Around an update that may be given up: what returns were like before it, and that again. */
vly_status vly_moments_keep(const vly_moments *o, vly_queue *q);
vly_status vly_moments_put_back(const vly_moments *o, vly_queue *q);
void vly_moments_buffers(const vly_moments *o, vly_buffer_list *list);
#endif
