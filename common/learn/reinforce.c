/* REINFORCE (Williams 1992): policy gradient by returns to go, without a critic. A return ends with
 * its episode, or with the rollout, whose steps are the horizon then. The baseline is the running
 * mean of earlier rollouts' returns: it does not depend on the actions that it judges, so the
 * gradient stays unbiased. */
#include "common/learn/head.h"
#include "common/learn/onpolicy.h"

static vly_status create_reinforce(vly_algo **out, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const vly_onpolicy_options options = {.name = "reinforce",
                                          .rollout = c->reinforce.rollout,
                                          .epochs = 1,
                                          .minibatches = 1,
                                          .plain = true,
                                          .baseline = c->reinforce.baseline,
                                          .anneal = c->reinforce.anneal,
                                          .lr = c->reinforce.lr,
                                          .gamma = c->reinforce.gamma,
                                          .lambda = 1,
                                          .entropy_coef = c->reinforce.entropy_coef,
                                          .reward_scale = c->reinforce.reward_scale};
    return vly_onpolicy_create(out, args, &options);
}

const vly_algo_entry vly_algo_reinforce = {
    .name = "reinforce",
    .summary = "policy gradient by returns to go, without a critic (Williams 1992)",
    .sections = {"reinforce"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_MULTI | VLY_ACTS_BOX | VLY_ACTS_MASKED | VLY_ACTS_PLAYERS},
    .create = create_reinforce,
    .network = vly_head_actor,
};
