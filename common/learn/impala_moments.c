/* Running moments: observations are normalised by the network's own tensors, rewards by the
 * deviation of discounted returns. Returns are summed as rows arrive, so that they follow an actor
 * from unroll to unroll whatever order those are learned in, and those that are dropped. */
#include "common/base/rules_action.h"
#include "common/learn/impala_impl.h"

enum { REWARD_LIMIT = 10 };

vly_status vly_impala_alloc_moments(impala *a) {
    vly_memories *m = &a->memories;
    const int64_t rows = (int64_t)a->slots * (a->T + 1) * a->M, learned = (int64_t)a->T * a->B;
    vly_status s = VLY_OK;
    int numbers;
    if (vly_net_moments(a->net, &numbers) >= 0)
        a->obs_moments = vly_memories_take(m, false, 3 * (int64_t)numbers, sizeof(double),
                                           "moments of observations", &s);
    if (!a->config->impala.normalize_reward) return s;
    static const char what[] = "moments of returns";
    a->return_moments = vly_memories_take(m, false, 3, sizeof(double), what, &s);
    a->return_scale = vly_memories_take(m, false, 1, sizeof(vly_real), what, &s);
    a->returns = vly_memories_take(m, true, a->N, sizeof(vly_real), what, &s);
    a->discounted = vly_memories_take(m, true, rows, sizeof(vly_real), what, &s);
    a->counted = vly_memories_take(m, true, rows, sizeof(vly_real), what, &s);
    a->discounted_mb = vly_memories_take(m, true, learned, sizeof(vly_real), what, &s);
    a->counted_mb = vly_memories_take(m, true, learned, sizeof(vly_real), what, &s);
    return s;
}

void vly_impala_count_returns(impala *a, int group, int slot, int t) {
    const int64_t row = vly_impala_host_row(a, slot, t);
    const vly_hyper hyper = {.gamma = a->config->impala.gamma};
    if (!a->returns) return;
    const vly_discounted_args sums = {.T = 1,
                                      .N = a->M,
                                      .reward = a->reward + row,
                                      .flags = a->flags + row,
                                      .hyper = &hyper,
                                      .carry = a->returns + (int64_t)group * a->M,
                                      .out = a->discounted + row,
                                      .mask = a->counted + row};
    for (int i = 0; i < a->M; i++) vly_rule_discounted(&sums, i);
}

void vly_impala_assemble_returns(impala *a, int slot, int t, int64_t to) {
    const int64_t row = vly_impala_host_row(a, slot, t);
    const size_t bytes = (size_t)a->M * sizeof(vly_real);
    if (!a->returns || t == 0) return;
    memcpy(a->discounted_mb + to - a->B, a->discounted + row, bytes);
    memcpy(a->counted_mb + to - a->B, a->counted + row, bytes);
}

/* V-trace writes both arrays of the device after they were read. */
vly_status vly_impala_upload_returns(impala *a, vly_queue *q) {
    const size_t bytes = (size_t)a->T * (size_t)a->B * sizeof(vly_real);
    if (!a->returns) return VLY_OK;
    VLY_TRY(a->c->upload(q, a->advantage, a->discounted_mb, bytes));
    return a->c->upload(q, a->mask, a->counted_mb, bytes);
}

vly_status vly_impala_scale_rewards(impala *a, vly_queue *q) {
    const int n = a->T * a->B;
    vly_real *reward = a->reward_mb + a->B;
    if (!a->returns) return VLY_OK;
    const vly_running_args moments = {.n = n,
                                      .width = 1,
                                      .x = a->advantage,
                                      .mask = a->mask,
                                      .state = a->return_moments,
                                      .scale = a->return_scale};
    VLY_TRY(a->c->running(q, &moments));
    return a->c->normalize(q, n, 1, reward, NULL, a->return_scale, REWARD_LIMIT, reward);
}

/* After the step, so that one update has one normalisation; the acting copy gets it with the
 * weights. */
vly_status vly_impala_see_observations(impala *a, vly_queue *q, int n) {
    int numbers;
    const int64_t at = vly_net_moments(a->net, &numbers);
    if (!a->obs_moments) return VLY_OK;
    vly_real *mean = a->learner.params.param + at;
    const vly_running_args args = {.n = n,
                                   .width = numbers,
                                   .x = a->learning->x,
                                   .state = a->obs_moments,
                                   .mean = mean,
                                   .scale = mean + numbers};
    return a->c->running(q, &args);
}

void vly_impala_moments_buffers(const impala *a, vly_buffer_list *list) {
    const int64_t rows = (int64_t)a->slots * (a->T + 1) * a->M;
    const vly_buffer_role state = VLY_BUFFER_STATE;
    int numbers;
    vly_net_moments(a->net, &numbers);
    if (a->obs_moments)
        vly_buffer_add(list, "moments.observation", state, VLY_F64, 3 * (int64_t)numbers,
                       a->obs_moments, true);
    if (!a->returns) return;
    vly_buffer_add(list, "moments.return", state, VLY_F64, 3, a->return_moments, true);
    vly_buffer_add(list, "returns", state, VLY_F32, a->N, a->returns, false);
    vly_buffer_add(list, "unrolls.return", state, VLY_F32, rows, a->discounted, false);
    vly_buffer_add(list, "unrolls.counted", state, VLY_F32, rows, a->counted, false);
}
