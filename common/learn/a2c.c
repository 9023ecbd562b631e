/* Advantage actor-critic: one gradient step per rollout, on this machine (A2C) or by workers around
 * a parameter server (A3C, Mnih et al. 2016). */
#include "common/learn/head.h"
#include "common/learn/onpolicy.h"

static vly_status create_a2c(vly_algo **out, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const vly_onpolicy_options options = {.name = "a2c",
                                          .rollout = c->a2c.rollout,
                                          .epochs = 1,
                                          .minibatches = 1,
                                          .plain = true,
                                          .critic = true,
                                          .normalize = c->a2c.normalize_advantage,
                                          .anneal = c->a2c.anneal,
                                          .lr = c->a2c.lr,
                                          .gamma = c->a2c.gamma,
                                          .lambda = c->a2c.lambda,
                                          .value_coef = c->a2c.value_coef,
                                          .entropy_coef = c->a2c.entropy_coef,
                                          .reward_scale = c->a2c.reward_scale,
                                          .normalize_reward = c->a2c.normalize_reward};
    return vly_onpolicy_create(out, args, &options);
}

const vly_algo_entry vly_algo_a2c = {
    .name = "a2c",
    .summary = "advantage actor-critic, synchronous: one update per rollout",
    .sections = {"a2c"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_MULTI | VLY_ACTS_BOX | VLY_ACTS_MASKED | VLY_ACTS_PLAYERS},
    .create = create_a2c,
    .network = vly_head_actor_critic,
};

static vly_status check_a3c(const vly_config *c) {
    if (!c->net.normalize && !c->a2c.normalize_reward) return VLY_OK;
    return vly_fail(VLY_EUNSUPPORTED,
                    "%s: the workers of a3c would keep moments of their own; a2c normalises in one "
                    "process",
                    c->net.normalize ? "--net.normalize" : "--a2c.normalize_reward");
}

const vly_algo_entry vly_algo_a3c = {
    .name = "a3c",
    .summary =
        "asynchronous advantage actor-critic (Mnih et al. 2016): workers push gradients to a "
        "parameter server",
    .sections = {"a2c"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_MULTI | VLY_ACTS_BOX | VLY_ACTS_MASKED, .server = true},
    .check = check_a3c,
    .create = create_a2c,
    .network = vly_head_actor_critic,
};
