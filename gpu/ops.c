/* ops.c -- the operations of the compute interface: each calls its kernel's launcher on the queue's
 * stream. */
#include "gpu/internal.h"

static vly_status cuda_relu(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y) {
    return vly_relu_launch(type, n, x, y, vly_stream_of(q));
}
static vly_status cuda_relu_backward(vly_queue *q, vly_dtype type, int64_t n, const void *y,
                                     const void *dy, void *dx, bool accumulate) {
    return vly_relu_backward_launch(type, n, y, dy, dx, accumulate, vly_stream_of(q));
}
static vly_status cuda_add(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y) {
    return vly_add_launch(type, n, x, y, vly_stream_of(q));
}
static vly_status cuda_convert(vly_queue *q, int64_t n, vly_dtype from, const void *x, vly_dtype to,
                               void *y) {
    return vly_convert_launch(n, from, x, to, y, vly_stream_of(q));
}
/* Compute capabilities below 8.0 have no tf32. */
static vly_lstm_size size_here(vly_queue *q, const vly_lstm_size *size) {
    vly_lstm_size s = *size;
    s.tf32 = s.tf32 && vly_cuda_of(q)->arch >= 80;
    return s;
}
static vly_status cuda_lstm_forward(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                                    const uint8_t *reset, vly_real *gates, vly_real *h,
                                    vly_real *c) {
    const vly_lstm_size s = size_here(q, size);
    return vly_lstm_forward_launch(&s, w_h, reset, gates, h, c, vly_stream_of(q));
}
static vly_status cuda_lstm_backward(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                                     const uint8_t *reset, const vly_real *gates, const vly_real *h,
                                     const vly_real *c, const vly_real *dh, vly_real *dgates,
                                     vly_real *dw_h, vly_real *work) {
    const vly_lstm_size s = size_here(q, size);
    return vly_lstm_backward_launch(&s, w_h, reset, gates, h, c, dh, dgates, dw_h, work,
                                    vly_cuda_of(q)->multiprocessors, vly_stream_of(q));
}
static vly_status cuda_dueling(vly_queue *q, int n, int actions, const vly_real *v,
                               const vly_real *a, vly_real *out) {
    return vly_dueling_launch(n, actions, v, a, out, vly_stream_of(q));
}
static vly_status cuda_dueling_backward(vly_queue *q, int n, int actions, const vly_real *dout,
                                        vly_real *dv, vly_real *da) {
    return vly_dueling_backward_launch(n, actions, dout, dv, da, vly_stream_of(q));
}
static vly_status cuda_gather(vly_queue *q, const vly_frames *frames, int n, const int32_t *row,
                              int64_t first, vly_dtype type, void *x) {
    return vly_gather_launch(frames, n, row, first, type, x, vly_stream_of(q));
}
static vly_status cuda_sample_policy(vly_queue *q, int n, int actions, const vly_real *logits,
                                     const vly_rng *rng, const int32_t *lane, int lane0,
                                     int32_t *action, int32_t *shown, vly_real *logp) {
    return vly_sample_policy_launch(n, actions, logits, rng, lane, lane0, action, shown, logp,
                                    vly_stream_of(q));
}
static vly_status cuda_sample_greedy(vly_queue *q, int n, int actions, const vly_real *values,
                                     const vly_real *epsilon, const vly_rng *rng,
                                     const int32_t *lane, int lane0, int32_t *action,
                                     int32_t *shown) {
    return vly_sample_greedy_launch(n, actions, values, epsilon, rng, lane, lane0, action, shown,
                                    vly_stream_of(q));
}
static vly_status cuda_rng_advance(vly_queue *q, vly_rng *rng) {
    return vly_rng_advance_launch(rng, vly_stream_of(q));
}
static vly_status cuda_action_logp(vly_queue *q, int n, int actions, const vly_real *logits,
                                   const int32_t *action, vly_real *logp) {
    return vly_action_logp_launch(n, actions, logits, action, logp, vly_stream_of(q));
}
static vly_status cuda_gae(vly_queue *q, const vly_gae_args *args) {
    return vly_gae_launch(args, vly_stream_of(q));
}
static vly_status cuda_vtrace(vly_queue *q, const vly_vtrace_args *args) {
    return vly_vtrace_launch(args, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_moments(vly_queue *q, int n, const vly_real *x, const int32_t *row,
                               const vly_real *mask, vly_real *out) {
    return vly_moments_launch(n, x, row, mask, out, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_policy_loss(vly_queue *q, const vly_policy_loss_args *args) {
    return vly_policy_loss_launch(args, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_dqn_loss(vly_queue *q, const vly_dqn_loss_args *args) {
    return vly_dqn_loss_launch(args, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_permutation(vly_queue *q, int n, const vly_rng *rng, int32_t *order) {
    return vly_permutation_launch(n, rng, order, vly_stream_of(q));
}
static vly_status cuda_grad_norm(vly_queue *q, int64_t n, const vly_real *grad, vly_real *norm) {
    return vly_grad_norm_launch(n, grad, norm, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_optimize(vly_queue *q, const vly_optimizer *opt, const vly_params *params,
                                const vly_real *norm, const vly_hyper *hyper, vly_real *stats) {
    return vly_optimize_launch(opt, params, norm, hyper, stats, vly_scratch_of(q),
                               vly_stream_of(q));
}
static vly_status cuda_polyak(vly_queue *q, int64_t n, vly_real *target, const vly_real *online,
                              const vly_hyper *hyper) {
    return vly_polyak_launch(n, target, online, hyper, vly_stream_of(q));
}
static vly_status cuda_tree_set(vly_queue *q, const vly_tree *tree, int n, const int32_t *row,
                                const vly_real *priority, const vly_hyper *hyper, bool raw) {
    return vly_tree_set_launch(tree, n, row, priority, hyper, raw, vly_stream_of(q));
}
static vly_status cuda_tree_insert(vly_queue *q, const vly_tree *tree, int64_t first, int n,
                                   const uint8_t *flags) {
    return vly_tree_insert_launch(tree, first, n, flags, vly_stream_of(q));
}
static vly_status cuda_tree_sample(vly_queue *q, const vly_tree *tree, int n, const vly_rng *rng,
                                   const vly_hyper *hyper, int32_t *row, vly_real *weight) {
    return vly_tree_sample_launch(tree, n, rng, hyper, row, weight, vly_scratch_of(q),
                                  vly_stream_of(q));
}
static vly_status cuda_nstep(vly_queue *q, const vly_nstep_args *args) {
    return vly_nstep_launch(args, vly_stream_of(q));
}
static vly_status cuda_fingerprint(vly_queue *q, int64_t n, const vly_real *x, uint64_t *out) {
    return vly_fingerprint_launch(n, x, out, vly_stream_of(q));
}

/* ---- actions of several parts (common/base/actions.h) ---- */

static vly_status cuda_mask_actions(vly_queue *q, int64_t n, const uint8_t *allowed, vly_real *x) {
    return vly_mask_actions_launch(n, allowed, x, vly_stream_of(q));
}
static vly_status cuda_dist_sample(vly_queue *q, const vly_dist *dist, int n, const vly_real *z,
                                   const vly_rng *rng, uint32_t stream, const int32_t *lane,
                                   int lane0, void *raw, vly_real *logp) {
    return vly_dist_sample_launch(dist, n, z, rng, stream, lane, lane0, raw, logp,
                                  vly_stream_of(q));
}
static vly_status cuda_dist_logp(vly_queue *q, const vly_dist *dist, int n, const vly_real *z,
                                 const void *raw, vly_real *logp) {
    return vly_dist_logp_launch(dist, n, z, raw, logp, vly_stream_of(q));
}
static vly_status cuda_dist_action(vly_queue *q, const vly_dist *dist, int n, const void *raw,
                                   void *action) {
    return vly_dist_action_launch(dist, n, raw, action, vly_stream_of(q));
}
static vly_status cuda_dist_loss(vly_queue *q, const vly_dist_loss_args *args) {
    return vly_dist_loss_launch(args, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_noise(vly_queue *q, const vly_noise_args *args) {
    return vly_noise_launch(args, vly_stream_of(q));
}
static vly_status cuda_soft_value(vly_queue *q, const vly_soft_value_args *args) {
    return vly_soft_value_launch(args, vly_stream_of(q));
}
static vly_status cuda_twin_loss(vly_queue *q, const vly_twin_loss_args *args) {
    return vly_twin_loss_launch(args, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_soft_policy(vly_queue *q, const vly_soft_policy_args *args) {
    return vly_soft_policy_launch(args, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_soft_choice(vly_queue *q, const vly_soft_choice_args *args) {
    return vly_soft_choice_launch(args, vly_scratch_of(q), vly_stream_of(q));
}
static vly_status cuda_ascend(vly_queue *q, int n, const vly_real *q1, const vly_real *q2,
                              vly_real *dq1, vly_real *dq2) {
    return vly_ascend_launch(n, q1, q2, dq1, dq2, vly_stream_of(q));
}
static vly_status cuda_columns(vly_queue *q, int n, int width, const vly_real *from,
                               int64_t from_stride, vly_real *to, int64_t to_stride) {
    return vly_columns_launch(n, width, from, from_stride, to, to_stride, vly_stream_of(q));
}
static vly_status cuda_column_sums(vly_queue *q, int n, int width, const vly_real *x,
                                   int64_t stride, vly_real *out) {
    return vly_column_sums_launch(n, width, x, stride, out, vly_stream_of(q));
}
static vly_status cuda_normalize(vly_queue *q, int n, int width, const vly_real *x,
                                 const vly_real *mean, const vly_real *scale, float limit,
                                 vly_real *y) {
    return vly_normalize_launch(n, width, x, mean, scale, limit, y, vly_stream_of(q));
}
static vly_status cuda_centre(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                              const vly_real *w, vly_real *to) {
    return vly_centre_launch(rows, k, centre, w, to, vly_stream_of(q));
}
static vly_status cuda_centre_backward(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                                       vly_real *dw) {
    return vly_centre_backward_launch(rows, k, centre, dw, vly_stream_of(q));
}
static vly_status cuda_running(vly_queue *q, const vly_running_args *args) {
    return vly_running_launch(args, vly_stream_of(q));
}
static vly_status cuda_discounted(vly_queue *q, const vly_discounted_args *args) {
    return vly_discounted_launch(args, vly_stream_of(q));
}

static void fill_action_ops(vly_compute *c) {
    c->mask_actions = cuda_mask_actions;
    c->dist_sample = cuda_dist_sample;
    c->dist_logp = cuda_dist_logp;
    c->dist_action = cuda_dist_action;
    c->dist_loss = cuda_dist_loss;
    c->noise = cuda_noise;
    c->soft_value = cuda_soft_value;
    c->twin_loss = cuda_twin_loss;
    c->soft_policy = cuda_soft_policy;
    c->soft_choice = cuda_soft_choice;
    c->ascend = cuda_ascend;
    c->columns = cuda_columns;
    c->column_sums = cuda_column_sums;
    c->normalize = cuda_normalize;
    c->centre = cuda_centre;
    c->centre_backward = cuda_centre_backward;
    c->running = cuda_running;
    c->discounted = cuda_discounted;
}

void vly_cuda_fill_ops(vly_compute *c) {
    c->relu = cuda_relu, c->relu_backward = cuda_relu_backward, c->add = cuda_add,
    c->convert = cuda_convert;
    c->lstm_forward = cuda_lstm_forward, c->lstm_backward = cuda_lstm_backward;
    c->dueling = cuda_dueling, c->dueling_backward = cuda_dueling_backward;
    c->gather = cuda_gather;
    c->sample_policy = cuda_sample_policy, c->sample_greedy = cuda_sample_greedy,
    c->rng_advance = cuda_rng_advance, c->action_logp = cuda_action_logp;
    c->gae = cuda_gae, c->vtrace = cuda_vtrace, c->moments = cuda_moments,
    c->policy_loss = cuda_policy_loss, c->dqn_loss = cuda_dqn_loss;
    c->permutation = cuda_permutation;
    c->grad_norm = cuda_grad_norm, c->optimize = cuda_optimize, c->polyak = cuda_polyak;
    c->tree_set = cuda_tree_set, c->tree_insert = cuda_tree_insert,
    c->tree_sample = cuda_tree_sample;
    c->nstep = cuda_nstep;
    c->fingerprint = cuda_fingerprint;
    fill_action_ops(c);
}
