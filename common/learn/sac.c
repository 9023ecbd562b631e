/* Soft actor-critic (Haarnoja et al. 2018, both papers): two critics, a squashed normal policy by
 * reparameterisation, a temperature that keeps the entropy at a target. With choices the
 * expectations are exact sums (Christodoulou 2019). Entropies are of actions in [-1, 1]. */
#include <math.h>
#include "common/learn/offpolicy.h"

static vly_dist sac_dist(const vly_config *c, int parts) {
    const bool by_tanh = c->sac.deviation == VLY_SAC_DEVIATION_TANH;
    return (vly_dist){.kind = VLY_DIST_SQUASHED,
                      .parts = parts,
                      .width = 2 * parts,
                      .spread = by_tanh ? VLY_SPREAD_TANH : VLY_SPREAD_CLAMP};
}

/* ---- acting ---- */

static vly_status sac_explore(vly_offpolicy *a, vly_queue *q, int first) {
    vly_real *to = a->drawn + (size_t)first * (size_t)a->parts;
    vly_dist d = a->choices ? a->bounds : sac_dist(a->config, a->parts);
    VLY_TRY(a->c->dist_sample(q, &d, a->M, a->acting->logits, a->greedy ? NULL : &a->rng[a->group],
                              VLY_STREAM_ACT, NULL, first, to, NULL));
    return a->choices ? VLY_OK : a->c->dist_action(q, &d, a->M, to, to);
}

/* ---- learning ---- */

/* Draws from policy->logits: raw, action in [-1, 1] and logp. */
static vly_status draw_sample(vly_offpolicy *a, vly_queue *q) {
    const vly_dist d = sac_dist(a->config, a->parts);
    vly_rng *rng = &a->rng[a->G + 1];
    VLY_TRY(a->c->dist_sample(q, &d, a->o.batch, a->policy->logits, rng, VLY_STREAM_LEARN, NULL, 0,
                              a->raw, a->logp));
    VLY_TRY(a->c->rng_advance(q, rng));
    return a->c->dist_action(q, &d, a->o.batch, a->raw, a->action);
}

static vly_status mask_policy(vly_offpolicy *a, vly_queue *q, const uint8_t *allowed) {
    if (!allowed) return VLY_OK;
    return a->c->mask_actions(q, (int64_t)a->o.batch * a->actions, allowed, a->policy->logits);
}

static vly_status sac_next_value(vly_offpolicy *a, vly_queue *q) {
    const vly_replay_batch *b = &a->replay->batch;
    const int n = a->o.batch;
    VLY_TRY(vly_offpolicy_observe(a, q, a->policy, b->bootstrap_row));
    VLY_TRY(vly_exec_forward(a->policy, q, n, a->policy_learner.params.param));
    if (a->choices) {
        VLY_TRY(mask_policy(a, q, b->next_allowed));
        VLY_TRY(vly_offpolicy_observe(a, q, a->targets, b->bootstrap_row));
    } else {
        VLY_TRY(draw_sample(a, q));
        VLY_TRY(vly_offpolicy_judge(a, q, a->targets, a->policy, a->action));
    }
    VLY_TRY(vly_exec_forward(a->targets, q, n, a->target_param));
    const vly_soft_value_args v = {.n = n,
                                   .actions = a->actions,
                                   .q1 = a->targets->logits,
                                   .q2 = a->targets->value,
                                   .logits = a->choices ? a->policy->logits : NULL,
                                   .logp = a->choices ? NULL : a->logp,
                                   .log_alpha = a->alpha.param,
                                   .value = a->value};
    return a->c->soft_value(q, &v);
}

static vly_status step_temperature(vly_offpolicy *a, vly_queue *q) {
    if (!a->o.learn_alpha) return VLY_OK;
    VLY_TRY(a->c->grad_norm(q, a->alpha.n, a->alpha.grad, a->alpha_norm));
    return a->c->optimize(q, &a->critic_learner.optimizer, &a->alpha, a->alpha_norm,
                          a->critic_learner.hyper_device, a->alpha_stats);
}

static vly_status loss_of_numbers(vly_offpolicy *a, vly_queue *q) {
    VLY_TRY(draw_sample(a, q));
    VLY_TRY(vly_offpolicy_judge(a, q, a->critics, a->policy, a->action));
    VLY_TRY(vly_exec_forward(a->critics, q, a->o.batch, a->critic_learner.params.param));
    VLY_TRY(vly_offpolicy_ascend(a, q, false, a->action));
    const vly_soft_policy_args loss = {.n = a->o.batch,
                                       .parts = a->parts,
                                       .z = a->policy->logits,
                                       .raw = a->raw,
                                       .logp = a->logp,
                                       .q1 = a->critics->logits,
                                       .q2 = a->critics->value,
                                       .daction = a->action,
                                       .log_alpha = a->alpha.param,
                                       .target_entropy = a->o.target_entropy,
                                       .spread = sac_dist(a->config, a->parts).spread,
                                       .dz = a->policy->dlogits,
                                       .dlog_alpha = a->alpha.grad,
                                       .stats = a->policy_learner.stats};
    return a->c->soft_policy(q, &loss);
}

static vly_status loss_of_choices(vly_offpolicy *a, vly_queue *q) {
    VLY_TRY(mask_policy(a, q, a->replay->batch.allowed));
    VLY_TRY(vly_exec_forward(a->critics, q, a->o.batch, a->critic_learner.params.param));
    const vly_soft_choice_args loss = {.n = a->o.batch,
                                       .actions = a->actions,
                                       .logits = a->policy->logits,
                                       .q1 = a->critics->logits,
                                       .q2 = a->critics->value,
                                       .log_alpha = a->alpha.param,
                                       .target_entropy = a->o.target_entropy,
                                       .target_share = a->o.target_share,
                                       .dlogits = a->policy->dlogits,
                                       .dlog_alpha = a->alpha.grad,
                                       .stats = a->policy_learner.stats};
    return a->c->soft_choice(q, &loss);
}

static vly_status sac_improve(vly_offpolicy *a, vly_queue *q) {
    VLY_TRY(vly_exec_forward(a->policy, q, a->o.batch, a->policy_learner.params.param));
    VLY_TRY(a->choices ? loss_of_choices(a, q) : loss_of_numbers(a, q));
    VLY_TRY(vly_offpolicy_step_policy(a, q));
    return step_temperature(a, q);
}

/* ---- creation ---- */

static const vly_offpolicy_method sac_method = {.name = "sac",
                                                .head = VLY_HEAD_POLICY,
                                                .head_numbers = 2,
                                                .catches_up = true,
                                                .explore = sac_explore,
                                                .next_value = sac_next_value,
                                                .improve = sac_improve};

/* Of choices, where no number is given: a mask that leaves two allows no more than log 2. */
static const float ENTROPY_SHARE = 0.6f;

static vly_status create_sac(vly_algo **out, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const bool open = isnan(c->sac.target_entropy),
               shares = open && args->env->action.kind != VLY_SPACE_BOX;
    const vly_offpolicy_options options = {.batch = c->sac.batch,
                                           .n_step = c->sac.n_step,
                                           .policy_every = c->sac.policy_every,
                                           .learning_starts = c->sac.learning_starts,
                                           .lr = c->sac.lr,
                                           .critic_lr = c->sac.critic_lr,
                                           .gamma = c->sac.gamma,
                                           .tau = c->sac.tau,
                                           .reward_scale = c->sac.reward_scale,
                                           .alpha = c->sac.alpha,
                                           .target_entropy = open ? -(float)args->env->action.count
                                                                  : c->sac.target_entropy,
                                           .target_share = shares ? ENTROPY_SHARE : 0,
                                           .learn_alpha = c->sac.learn_alpha};
    return vly_offpolicy_create(out, args, &sac_method, &options);
}

static vly_net_desc sac_network(const vly_algo_args *args) {
    return vly_offpolicy_net(args, &sac_method);
}

static vly_status check_sac(const vly_config *c) {
    if (c->sac.batch <= c->replay.capacity) return VLY_OK;
    return vly_fail(VLY_EINVAL, "--sac.batch %d is more than --replay.capacity %lld", c->sac.batch,
                    (long long)c->replay.capacity);
}

const vly_algo_entry vly_algo_sac = {
    .name = "sac",
    .summary =
        "soft actor-critic: two critics, a learned temperature; continuous actions or choices",
    .sections = {"sac"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_BOX | VLY_ACTS_MASKED | VLY_ACTS_PLAYERS},
    .check = check_sac,
    .create = create_sac,
    .network = sac_network,
    .dist = sac_dist,
};
