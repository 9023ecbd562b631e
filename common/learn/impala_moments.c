/* What IMPALA's learner normalises by. Returns are summed as rows arrive, so that they follow an
 * actor from unroll to unroll whatever order those are learned in, and those that are dropped. */
#include "common/base/rules_action.h"
#include "common/learn/impala_impl.h"

vly_status vly_impala_alloc_moments(impala *a) {
    static const char what[] = "moments of returns";
    vly_memories *m = &a->memories;
    const int64_t rows = (int64_t)a->slots * (a->T + 1) * a->M, learned = (int64_t)a->T * a->B;
    const bool rewards = a->config->impala.normalize_reward;
    vly_status s = VLY_OK;
    VLY_TRY(vly_moments_take(&a->running, m, a->net, rewards));
    if (!rewards) return VLY_OK;
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
    return vly_moments_scale_rewards(&a->running, q, a->T * a->B, a->advantage, a->mask,
                                     a->reward_mb + a->B);
}

/* After the step, so that one update has one normalisation; the acting copy gets it with the
 * weights. */
vly_status vly_impala_see_observations(impala *a, vly_queue *q, int n) {
    return vly_moments_see(&a->running, q, a->learner.params.param, n, a->learning->x);
}

void vly_impala_moments_buffers(const impala *a, vly_buffer_list *list) {
    const int64_t rows = (int64_t)a->slots * (a->T + 1) * a->M;
    const vly_buffer_role state = VLY_BUFFER_STATE;
    vly_moments_buffers(&a->running, list);
    if (!a->returns) return;
    vly_buffer_add(list, "returns", state, VLY_F32, a->N, a->returns, false);
    vly_buffer_add(list, "unrolls.return", state, VLY_F32, rows, a->discounted, false);
    vly_buffer_add(list, "unrolls.counted", state, VLY_F32, rows, a->counted, false);
}
