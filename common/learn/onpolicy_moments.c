/* Running moments of an on-policy learner: observations are normalised by the network's own
 * tensors, rewards by the deviation of discounted returns. Both are of whole rollouts: the weights
 * that acted and those that learn normalise alike. */
#include "common/learn/onpolicy_impl.h"

enum { REWARD_LIMIT = 10 };

vly_status vly_onpolicy_alloc_moments(onpolicy *a) {
    int width;
    vly_memories *m = &a->memories;
    vly_status s = VLY_OK;
    if (vly_net_moments(a->net, &width) >= 0)
        a->obs_moments = vly_memories_take(m, false, 3 * (int64_t)width, sizeof(double),
                                           "moments of observations", &s);
    if (!a->o.normalize_reward) return s;
    a->return_moments = vly_memories_take(m, false, 3, sizeof(double), "moments of returns", &s);
    a->return_scale = vly_memories_take(m, false, 1, sizeof(vly_real), "moments of returns", &s);
    a->returns = vly_memories_take(m, false, a->N, sizeof(vly_real), "moments of returns", &s);
    return s;
}

/* Rows 1 .. T of the rollout that was learned from. */
vly_status vly_onpolicy_see_observations(onpolicy *a, vly_queue *q) {
    int width;
    const int64_t at = vly_net_moments(a->net, &width);
    if (!a->obs_moments) return VLY_OK;
    vly_real *mean = a->learner.params.param + at;
    const vly_running_args args = {
        .n = a->T * a->N,
        .width = width,
        .x = (const vly_real *)(const void *)(a->seen.frames + (size_t)a->N * a->obs.bytes),
        .state = a->obs_moments,
        .mean = mean,
        .scale = mean + width};
    return a->c->running(q, &args);
}

/* In place, before advantages are made of them; `advantage` and `mask` are scratch until then. */
vly_status vly_onpolicy_scale_rewards(onpolicy *a, vly_queue *q) {
    if (!a->return_moments) return VLY_OK;
    vly_real *reward = a->seen.reward + a->N;
    const vly_discounted_args sums = {.T = a->T,
                                      .N = a->N,
                                      .reward = reward,
                                      .flags = a->seen.flags + a->N,
                                      .hyper = a->learner.hyper_device,
                                      .carry = a->returns,
                                      .out = a->advantage,
                                      .mask = a->mask};
    const vly_running_args moments = {.n = a->T * a->N,
                                      .width = 1,
                                      .x = a->advantage,
                                      .mask = a->mask,
                                      .state = a->return_moments,
                                      .scale = a->return_scale};
    VLY_TRY(a->c->discounted(q, &sums));
    VLY_TRY(a->c->running(q, &moments));
    return a->c->normalize(q, a->T * a->N, 1, reward, NULL, a->return_scale, REWARD_LIMIT, reward);
}

void vly_onpolicy_moments_buffers(const onpolicy *a, vly_buffer_list *list) {
    int width;
    vly_net_moments(a->net, &width);
    if (a->obs_moments)
        vly_buffer_add(list, "moments.observation", VLY_BUFFER_STATE, VLY_F64, 3 * (int64_t)width,
                       a->obs_moments, true);
    if (!a->return_moments) return;
    vly_buffer_add(list, "moments.return", VLY_BUFFER_STATE, VLY_F64, 3, a->return_moments, true);
    vly_buffer_add(list, "returns", VLY_BUFFER_STATE, VLY_F32, a->N, a->returns, true);
}
