/* Proximal policy optimisation (Schulman et al. 2017), with the details of its reference
 * implementation: generalised advantages normalised per minibatch, ratio and value clipping,
 * annealed learning rate, orthogonal initialisation, global gradient clipping. */
#include "common/learn/head.h"
#include "common/learn/onpolicy.h"

static bool ppo_overlaps(const vly_config *c) {
    return c->ppo.overlap == VLY_PPO_OVERLAP_ON;
}

enum { ROLLOUT_LEAST = 8, ENVS_MOST = 512, ENVS_OF_IMAGES_MOST = 128, IMAGE_BYTES = 4096 };

/* A GPU infers hundreds of rows in the time of a few. Rollouts are shorter by as much as
 * environments are more, so that an update has as many rows, and a run as many updates. */
static void fit_envs(vly_config *c, const vly_env *env) {
    const int64_t rows = (int64_t)c->run.envs * c->ppo.rollout;
    int envs = env->obs.bytes > IMAGE_BYTES ? ENVS_OF_IMAGES_MOST : ENVS_MOST;
    while (envs > c->run.envs && rows / envs < ROLLOUT_LEAST) envs /= 2;
    if (envs <= c->run.envs) return;
    c->run.envs = envs;
    c->ppo.rollout = (int)(rows / envs);
}

/* On a processor acting and learning would share its cores: the rows would only be older. */
static void settle_ppo(vly_config *c, const vly_env *env, const vly_compute_info *device,
                       bool alone) {
    if (c->fit_envs && !device->is_host) fit_envs(c, env);
    if (c->ppo.overlap != VLY_PPO_OVERLAP_AUTO) return;
    c->ppo.overlap = alone && !device->is_host ? VLY_PPO_OVERLAP_ON : VLY_PPO_OVERLAP_OFF;
}

static vly_status create_ppo(vly_algo **out, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const vly_onpolicy_options options = {.name = "ppo",
                                          .rollout = c->ppo.rollout,
                                          .epochs = c->ppo.epochs,
                                          .minibatches = c->ppo.minibatches,
                                          .overlap = ppo_overlaps(c),
                                          .critic = true,
                                          .normalize = c->ppo.normalize_advantage,
                                          .anneal = c->ppo.anneal,
                                          .anneal_clip = c->ppo.anneal_clip,
                                          .lr = c->ppo.lr,
                                          .gamma = c->ppo.gamma,
                                          .lambda = c->ppo.lambda,
                                          .clip = c->ppo.clip,
                                          .value_clip = c->ppo.value_clip,
                                          .value_coef = c->ppo.value_coef,
                                          .entropy_coef = c->ppo.entropy_coef,
                                          .entropy_steps = c->ppo.entropy_steps,
                                          .reward_scale = c->ppo.reward_scale,
                                          .normalize_reward = c->ppo.normalize_reward,
                                          .target_kl = c->ppo.target_kl};
    return vly_onpolicy_create(out, args, &options);
}

static vly_status check_ppo(const vly_config *c) {
    const int64_t rows = (int64_t)c->run.envs * c->ppo.rollout;
    if (c->ppo.minibatches <= rows) return VLY_OK;
    return vly_fail(
        VLY_EINVAL,
        "--ppo.minibatches %d is more than the %lld steps of --envs %d times --ppo.rollout %d",
        c->ppo.minibatches, (long long)rows, c->run.envs, c->ppo.rollout);
}

const vly_algo_entry vly_algo_ppo = {
    .name = "ppo",
    .summary = "proximal policy optimisation: clipped updates over several passes",
    .sections = {"ppo"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_MULTI | VLY_ACTS_BOX | VLY_ACTS_MASKED | VLY_ACTS_PLAYERS},
    .overlaps = ppo_overlaps,
    .settle = settle_ppo,
    .check = check_ppo,
    .create = create_ppo,
    .network = vly_head_actor_critic,
};
