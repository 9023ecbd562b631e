/* Advantage actor-critic (Mnih et al. 2016, the synchronous form): one gradient step per rollout.
 */
#include "common/config/config.h"
#include "common/learn/onpolicy.h"

vly_status vly_a2c_create(vly_algo **out, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const vly_onpolicy_options options = {.name = "a2c",
                                          .rollout = c->a2c.rollout,
                                          .epochs = 1,
                                          .minibatches = 1,
                                          .plain = true,
                                          .normalize = c->a2c.normalize_advantage,
                                          .anneal = c->a2c.anneal,
                                          .lr = c->a2c.lr,
                                          .gamma = c->a2c.gamma,
                                          .lambda = c->a2c.lambda,
                                          .value_coef = c->a2c.value_coef,
                                          .entropy_coef = c->a2c.entropy_coef,
                                          .reward_scale = c->a2c.reward_scale};
    return vly_onpolicy_create(out, args, &options);
}
