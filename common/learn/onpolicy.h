/* onpolicy.h -- synchronous policy gradients: act for T steps with one policy, learn from all of
 * them, discard them. PPO (ppo.c), A2C (a2c.c) and REINFORCE (reinforce.c) are this with different
 * settings.
 *
 * The rollout is time-major, row (t, actor) = t * N + actor, t = 0 .. T. Row T of one rollout is
 * row 0 of the next; stacked observations reach back into `history` earlier rows, kept behind row T
 * (row numbers wrap). Everything has a fixed address.
 */
#ifndef VLY_COMMON_LEARN_ONPOLICY_H
#define VLY_COMMON_LEARN_ONPOLICY_H
#include "common/learn/algo.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *name;
    int rollout, epochs, minibatches;
    bool overlap;   /* the next rollout is acted, with the weights before, while this one is learned
                       from: learn() runs beside act() */
    bool plain;     /* policy gradient without a ratio (A2C) */
    bool normalize; /* advantages, per minibatch */
    bool normalize_reward; /* rewards, by the running deviation of returns */
    bool anneal, anneal_clip;
    float lr, gamma, lambda, clip, value_clip, value_coef, entropy_coef, reward_scale;
    int64_t entropy_steps; /* steps over which the entropy's weight falls to 0; 0: it stays */
    bool critic;    /* a value function; without one advantages are returns to go, to the end of the
                       episode or of the rollout */
    float baseline; /* what is subtracted from them: a running mean in which the newest rollout has
                       this weight; 0: nothing */
    float target_kl; /* an epoch that moves further ends the update; 0: none */
} vly_onpolicy_options;

vly_status vly_onpolicy_create(vly_algo **out, const vly_algo_args *args,
                               const vly_onpolicy_options *options);

#ifdef __cplusplus
}
#endif
#endif
