/* What an on-policy learner normalises by. Both moments are of whole rollouts: the weights that acted
 * and those that learn normalise alike. */
#include "common/learn/onpolicy_impl.h"

vly_status vly_onpolicy_alloc_moments(onpolicy *a) {
    vly_status s = VLY_OK;
    VLY_TRY(vly_moments_take(&a->running, &a->memories, a->net, a->o.normalize_reward));
    if (a->o.normalize_reward)
        a->returns = vly_memories_take(&a->memories, false, a->N, sizeof(vly_real),
                                       "moments of returns", &s);
    return s;
}

/* Rows 1 .. T of the rollout that was learned from. */
vly_status vly_onpolicy_see_observations(onpolicy *a, vly_queue *q) {
    const uint8_t *from = a->seen.frames + (size_t)a->N * a->obs.bytes;
    return vly_moments_see_frames(&a->running, q, a->learner.params.param, a->T * a->N, from);
}

/* In place, before advantages are made of them; `advantage` and `mask` are scratch until then. */
vly_status vly_onpolicy_scale_rewards(onpolicy *a, vly_queue *q) {
    if (!a->returns) return VLY_OK;
    vly_real *reward = a->seen.reward + a->N;
    const vly_discounted_args sums = {.T = a->T,
                                      .N = a->N,
                                      .reward = reward,
                                      .flags = a->seen.flags + a->N,
                                      .hyper = a->learner.hyper_device,
                                      .carry = a->returns,
                                      .out = a->advantage,
                                      .mask = a->mask};
    VLY_TRY(a->c->discounted(q, &sums));
    return vly_moments_scale_rewards(&a->running, q, a->T * a->N, a->advantage, a->mask, reward);
}

void vly_onpolicy_moments_buffers(const onpolicy *a, vly_buffer_list *list) {
    vly_moments_buffers(&a->running, list);
    if (a->returns)
        vly_buffer_add(list, "returns", VLY_BUFFER_STATE, VLY_F32, a->N, a->returns, true);
}
