/* ops.h -- the launchers of every operation of common/base/compute.h; each lives in the file of its
 * stem.
 *
 *   VLY_TRY(vly_gae_launch(&args, stream));
 *
 * Meaning and shapes are compute.h's. A launcher checks its arguments, enqueues on the stream and
 * returns; all pointers are device memory, addresses and sizes are baked into a captured graph,
 * everything else is read on the device. `scratch` is working memory of the stream,
 * VLY_SCRATCH_BYTES of it, whose first VLY_SCRATCH_COUNTERS unsigned numbers are 0 between kernels.
 */
#ifndef VLY_KERNELS_OPS_H
#define VLY_KERNELS_OPS_H
#include "common/base/actions.h"
#include "kernels/launch.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { VLY_SCRATCH_COUNTERS = 64, VLY_SCRATCH_BYTES = 1 << 20 };

/* acting: sample.cu */
vly_status vly_sample_policy_launch(int n, int actions, const float *logits, const vly_rng *rng,
                                    const int32_t *lane, int lane0, int32_t *action, int32_t *shown,
                                    float *logp, cudaStream_t stream);
vly_status vly_sample_greedy_launch(int n, int actions, const float *values, const float *epsilon,
                                    const vly_rng *rng, const int32_t *lane, int lane0,
                                    int32_t *action, int32_t *shown, cudaStream_t stream);
vly_status vly_rng_advance_launch(vly_rng *rng, cudaStream_t stream);
vly_status vly_action_logp_launch(int n, int actions, const float *logits, const int32_t *action,
                                  float *logp, cudaStream_t stream);

/* the input of a network: gather.cu */
vly_status vly_gather_launch(const vly_frames *frames, int n, const int32_t *row, int64_t first,
                             vly_dtype type, void *x, cudaStream_t stream);

/* scans: gae.cu, vtrace.cu */
vly_status vly_gae_launch(const vly_gae_args *args, cudaStream_t stream);
vly_status vly_vtrace_launch(const vly_vtrace_args *args, void *scratch, cudaStream_t stream);

/* losses: moments.cu, policy_loss.cu, dqn_loss.cu */
vly_status vly_moments_launch(int n, const float *x, const int32_t *row, const float *mask,
                              float *out, void *scratch, cudaStream_t stream);
vly_status vly_policy_loss_launch(const vly_policy_loss_args *args, void *scratch,
                                  cudaStream_t stream);
vly_status vly_dqn_loss_launch(const vly_dqn_loss_args *args, void *scratch, cudaStream_t stream);

/* optimizers: optimize.cu */
vly_status vly_grad_norm_launch(int64_t n, const float *grad, float *norm, void *scratch,
                                cudaStream_t stream);
vly_status vly_optimize_launch(const vly_optimizer *opt, const vly_params *params,
                               const float *norm, const vly_hyper *hyper, float *stats,
                               void *scratch, cudaStream_t stream);
vly_status vly_polyak_launch(int64_t n, float *target, const float *online, const vly_hyper *hyper,
                             cudaStream_t stream);

/* replay: tree.cu, nstep.cu; orders: permutation.cu */
vly_status vly_tree_set_launch(const vly_tree *tree, int n, const int32_t *row,
                               const float *priority, const vly_hyper *hyper, bool raw,
                               cudaStream_t stream);
vly_status vly_tree_insert_launch(const vly_tree *tree, int64_t first, int n, const uint8_t *flags,
                                  cudaStream_t stream);
vly_status vly_tree_sample_launch(const vly_tree *tree, int n, const vly_rng *rng,
                                  const vly_hyper *hyper, int32_t *row, float *weight,
                                  void *scratch, cudaStream_t stream);
vly_status vly_nstep_launch(const vly_nstep_args *args, cudaStream_t stream);
vly_status vly_permutation_launch(int n, const vly_rng *rng, int32_t *order, cudaStream_t stream);

/* ranks: fingerprint.cu */
vly_status vly_fingerprint_launch(int64_t n, const float *x, uint64_t *out, cudaStream_t stream);

/* element-wise: elementwise.cu */
vly_status vly_relu_launch(vly_dtype type, int64_t n, const void *x, void *y, cudaStream_t stream);
vly_status vly_relu_backward_launch(vly_dtype type, int64_t n, const void *y, const void *dy,
                                    void *dx, bool accumulate, cudaStream_t stream);
vly_status vly_add_launch(vly_dtype type, int64_t n, const void *x, void *y, cudaStream_t stream);
vly_status vly_convert_launch(int64_t n, vly_dtype from, const void *x, vly_dtype to, void *y,
                              cudaStream_t stream);

/* parts of networks: dueling.cu, lstm.cu, maxpool.cu */
vly_status vly_dueling_launch(int n, int actions, const float *v, const float *a, float *out,
                              cudaStream_t stream);
vly_status vly_dueling_backward_launch(int n, int actions, const float *dout, float *dv, float *da,
                                       cudaStream_t stream);
vly_status vly_lstm_forward_launch(const vly_lstm_size *size, const float *w_h,
                                   const uint8_t *reset, float *gates, float *h, float *c,
                                   cudaStream_t stream);
vly_status vly_lstm_backward_launch(const vly_lstm_size *size, const float *w_h,
                                    const uint8_t *reset, const float *gates, const float *h,
                                    const float *c, const float *dh, float *dgates, float *dw_h,
                                    float *work, int multiprocessors, cudaStream_t stream);
vly_status vly_maxpool_launch(const vly_layer_desc *desc, int n, const void *x, void *y,
                              cudaStream_t stream);
/* The gradient goes to the first largest of each window, as in the forward pass. */
vly_status vly_maxpool_backward_launch(const vly_layer_desc *desc, int n, const void *x,
                                       const void *dy, void *dx, cudaStream_t stream);

/* actions of several parts: dist.cu */
vly_status vly_mask_actions_launch(int64_t n, const uint8_t *allowed, float *x,
                                   cudaStream_t stream);
vly_status vly_dist_sample_launch(const vly_dist *dist, int n, const float *z, const vly_rng *rng,
                                  uint32_t kind, const int32_t *lane, int lane0, void *raw,
                                  float *logp, cudaStream_t stream);
vly_status vly_dist_logp_launch(const vly_dist *dist, int n, const float *z, const void *raw,
                                float *logp, cudaStream_t stream);
vly_status vly_dist_action_launch(const vly_dist *dist, int n, const void *raw, void *action,
                                  cudaStream_t stream);
vly_status vly_dist_loss_launch(const vly_dist_loss_args *args, void *scratch, cudaStream_t stream);
vly_status vly_noise_launch(const vly_noise_args *args, cudaStream_t stream);

/* soft actor-critic and TD3: soft.cu */
vly_status vly_soft_value_launch(const vly_soft_value_args *args, cudaStream_t stream);
vly_status vly_twin_loss_launch(const vly_twin_loss_args *args, void *scratch, cudaStream_t stream);
vly_status vly_soft_policy_launch(const vly_soft_policy_args *args, void *scratch,
                                  cudaStream_t stream);
vly_status vly_soft_choice_launch(const vly_soft_choice_args *args, void *scratch,
                                  cudaStream_t stream);
vly_status vly_ascend_launch(int n, const float *q1, const float *q2, float *dq1, float *dq2,
                             cudaStream_t stream);

/* running moments and columns: normalize.cu */
vly_status vly_columns_launch(int n, int width, const float *from, int64_t from_stride, float *to,
                              int64_t to_stride, cudaStream_t stream);
vly_status vly_column_sums_launch(int n, int width, const float *x, int64_t stride, float *out,
                                  cudaStream_t stream);
vly_status vly_normalize_launch(int n, int width, const float *x, const float *mean,
                                const float *scale, float limit, float *y, cudaStream_t stream);
vly_status vly_centre_launch(int rows, int64_t k, const float *centre, const float *w, float *to,
                             cudaStream_t stream);
vly_status vly_centre_backward_launch(int rows, int64_t k, const float *centre, float *dw,
                                      cudaStream_t stream);
vly_status vly_running_launch(const vly_running_args *args, cudaStream_t stream);
vly_status vly_discounted_launch(const vly_discounted_args *args, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
