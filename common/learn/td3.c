/* Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018): a deterministic policy
 * with noise, the smaller of two critics, noise on the target policy's actions, and a policy that
 * moves less often than its critics. */
#include "common/learn/offpolicy.h"

static vly_status td3_explore(vly_offpolicy *a, vly_queue *q, int first) {
    const vly_noise_args noise = {.n = a->M,
                                  .parts = a->parts,
                                  .mean = a->acting->logits,
                                  .deviation = a->greedy ? 0 : a->config->td3.noise,
                                  .rng = &a->rng[a->group],
                                  .stream = VLY_STREAM_ACT,
                                  .lane0 = first,
                                  .out = a->drawn + (size_t)first * (size_t)a->parts};
    return a->c->noise(q, &noise);
}

static vly_status td3_next_value(vly_offpolicy *a, vly_queue *q) {
    const int n = a->o.batch;
    vly_rng *rng = &a->rng[a->G + 1];
    VLY_TRY(
        vly_moments_share(&a->running, q, a->policy_learner.params.param, a->target_policy_param));
    VLY_TRY(vly_offpolicy_observe(a, q, a->target_policy, a->replay->batch.bootstrap_row));
    VLY_TRY(vly_exec_forward(a->target_policy, q, n, a->target_policy_param));
    const vly_noise_args noise = {.n = n,
                                  .parts = a->parts,
                                  .mean = a->target_policy->logits,
                                  .deviation = a->config->td3.target_noise,
                                  .limit = a->config->td3.noise_clip,
                                  .rng = rng,
                                  .stream = VLY_STREAM_LEARN,
                                  .out = a->action};
    VLY_TRY(a->c->noise(q, &noise));
    VLY_TRY(a->c->rng_advance(q, rng));
    VLY_TRY(vly_offpolicy_judge(a, q, a->targets, a->target_policy, a->action));
    VLY_TRY(vly_exec_forward(a->targets, q, n, a->target_param));
    const vly_soft_value_args v = {
        .n = n, .actions = 1, .q1 = a->targets->logits, .q2 = a->targets->value, .value = a->value};
    return a->c->soft_value(q, &v);
}

static vly_status td3_improve(vly_offpolicy *a, vly_queue *q) {
    VLY_TRY(vly_exec_forward(a->policy, q, a->o.batch, a->policy_learner.params.param));
    VLY_TRY(vly_offpolicy_judge(a, q, a->critics, a->policy, a->policy->logits));
    VLY_TRY(vly_exec_forward(a->critics, q, a->o.batch, a->critic_learner.params.param));
    VLY_TRY(vly_offpolicy_ascend(a, q, true, a->policy->dlogits));
    return vly_offpolicy_step_policy(a, q);
}

static const vly_offpolicy_method td3_method = {.name = "td3",
                                                .head = VLY_HEAD_ACTION,
                                                .head_numbers = 1,
                                                .delays_targets = true,
                                                .explore = td3_explore,
                                                .next_value = td3_next_value,
                                                .improve = td3_improve};

static vly_status create_td3(vly_algo **out, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const vly_offpolicy_options options = {.batch = c->td3.batch,
                                           .n_step = c->td3.n_step,
                                           .policy_every = c->td3.policy_every,
                                           .learning_starts = c->td3.learning_starts,
                                           .lr = c->td3.lr,
                                           .critic_lr = c->td3.lr,
                                           .gamma = c->td3.gamma,
                                           .tau = c->td3.tau,
                                           .reward_scale = c->td3.reward_scale};
    return vly_offpolicy_create(out, args, &td3_method, &options);
}

static vly_net_desc td3_network(const vly_algo_args *args) {
    return vly_offpolicy_net(args, &td3_method);
}

static vly_dist td3_dist(const vly_config *c, int parts) {
    (void)c;
    return (vly_dist){.kind = VLY_DIST_UNIT, .parts = parts, .width = parts};
}

static vly_status check_td3(const vly_config *c) {
    if (c->td3.batch <= c->replay.capacity) return VLY_OK;
    return vly_fail(VLY_EINVAL, "--td3.batch %d is more than --replay.capacity %lld", c->td3.batch,
                    (long long)c->replay.capacity);
}

const vly_algo_entry vly_algo_td3 = {
    .name = "td3",
    .summary = "twin delayed deterministic policy gradient: continuous actions",
    .sections = {"td3"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_BOX | VLY_ACTS_PLAYERS | VLY_ACTS_NO_DISCRETE},
    .check = check_td3,
    .create = create_td3,
    .network = td3_network,
    .dist = td3_dist,
};
