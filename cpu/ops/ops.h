/* ops.h -- the CPU's operations, one file for each family; compute_cpu.c puts them in the table.
 *
 * Inside cpu/ only. Each function is the member of vly_compute with the same name, and is finished
 * when it returns. Work is cut into blocks whose size depends on the shape alone, so that results
 * do not depend on the number of threads.
 */
#ifndef VLY_CPU_OPS_H
#define VLY_CPU_OPS_H
#include "common/base/rules.h"
#include "cpu/ops/workers.h"

typedef struct vly_simd vly_simd;
typedef struct vly_exact vly_exact;
typedef struct {
    vly_compute c; /* first: a vly_compute * is a vly_cpu * */
    vly_workers *workers;
    const vly_simd *simd; /* NULL in double precision, like the next */
    const vly_exact *exact;
} vly_cpu;

/* Zeroed memory aligned to 256 bytes, or NULL: for layers' workspaces. */
void *vly_cpu_take(size_t bytes);
void vly_cpu_give_back(void *memory);

/* Scratch memory of the queue for one operation, aligned likewise, not cleared; or NULL. It grows
 * to the largest size requested and stays. */
void *vly_cpu_scratch(vly_queue *q, size_t bytes);

static inline vly_cpu *vly_cpu_of(vly_queue *q) {
    return (vly_cpu *)q->c;
}

/* EINVAL with the operation's name unless the condition holds. */
#define VLY_NEED(op, cond)                                                      \
    do {                                                                        \
        if (!(cond)) return vly_fail(VLY_EINVAL, "%s: expected %s", op, #cond); \
    } while (0)

/* A layer's plan: how one kind of layer runs. Arguments are checked before it is called. */
typedef struct {
    const char *name;
    vly_status (*prepare)(vly_cpu *cpu, vly_layer *layer, const vly_real *w);
    vly_status (*forward)(vly_cpu *cpu, vly_layer *layer, int n, const void *x, const vly_real *w,
                          void *y);
    vly_status (*backward)(vly_cpu *cpu, vly_layer *layer, int n, const void *x, const void *y,
                           const vly_real *w, void *dy, void *dx, vly_real *dw, bool accumulate);
    void (*destroy)(vly_layer *layer);
} vly_plan;

struct vly_layer {
    vly_layer_desc d; /* LINEAR is stored as a 1 x 1 convolution of a 1 x 1 image */
    int out_h, out_w;
    int64_t in_size, out_size; /* numbers of one sample */
    int64_t patch_size;        /* kernel * kernel * in_c */
    bool bf16;                 /* products of bf16 numbers, sums in float */
    bool prepared;
    const vly_plan *plan;
    void *state; /* the plan's: packed weights and workspace */
};

/* Runs the blocks on all threads if the work outweighs sharing it (some us with threads that are
 * awake), otherwise on this one. */
static inline void vly_cpu_run(vly_cpu *cpu, double flops, int blocks, vly_block_fn fn, void *arg) {
    if (flops < 1e6)
        for (int b = 0; b < blocks; b++) fn(arg, b, 0);
    else
        vly_workers_run(cpu->workers, blocks, fn, arg);
}

/* vly_plan_reference always fits. The others return VLY_EUNSUPPORTED if they do not, and leave the
 * layer unchanged. */
vly_status vly_plan_reference(vly_cpu *cpu, vly_layer *layer);
vly_status vly_plan_linear(vly_cpu *cpu, vly_layer *layer);
vly_status vly_plan_conv(vly_cpu *cpu, vly_layer *layer);
vly_status vly_plan_linear_bf16(vly_cpu *cpu, vly_layer *layer);
vly_status vly_plan_conv_bf16(vly_cpu *cpu, vly_layer *layer);
vly_status vly_plan_maxpool(vly_cpu *cpu, vly_layer *layer);

vly_status vly_cpu_layer_create(vly_compute *c, const vly_layer_desc *desc, vly_layer **out);
void vly_cpu_layer_destroy(vly_layer *layer);
vly_status vly_cpu_layer_prepare(vly_queue *q, vly_layer *layer, const vly_real *w);
vly_status vly_cpu_layer_forward(vly_queue *q, vly_layer *layer, int n, const void *x,
                                 const vly_real *w, void *y);
vly_status vly_cpu_layer_backward(vly_queue *q, vly_layer *layer, int n, const void *x,
                                  const void *y, const vly_real *w, void *dy, void *dx,
                                  vly_real *dw, bool accumulate);
vly_status vly_cpu_relu(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y);
vly_status vly_cpu_relu_backward(vly_queue *q, vly_dtype type, int64_t n, const void *y,
                                 const void *dy, void *dx, bool accumulate);
vly_status vly_cpu_add(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y);
vly_status vly_cpu_convert(vly_queue *q, int64_t n, vly_dtype from, const void *x, vly_dtype to,
                           void *y);
vly_status vly_cpu_lstm_forward(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                                const uint8_t *reset, vly_real *gates, vly_real *h, vly_real *c);
vly_status vly_cpu_lstm_backward(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                                 const uint8_t *reset, const vly_real *gates, const vly_real *h,
                                 const vly_real *c, const vly_real *dh, vly_real *dgates,
                                 vly_real *dw_h, vly_real *work);
vly_status vly_cpu_dueling(vly_queue *q, int n, int actions, const vly_real *v, const vly_real *a,
                           vly_real *out);
vly_status vly_cpu_dueling_backward(vly_queue *q, int n, int actions, const vly_real *dout,
                                    vly_real *dv, vly_real *da);
vly_status vly_cpu_gather(vly_queue *q, const vly_frames *frames, int n, const int32_t *row,
                          int64_t first, vly_dtype type, void *x);
vly_status vly_cpu_sample_policy(vly_queue *q, int n, int actions, const vly_real *logits,
                                 const vly_rng *rng, const int32_t *lane, int lane0,
                                 int32_t *action, int32_t *shown, vly_real *logp);
vly_status vly_cpu_sample_greedy(vly_queue *q, int n, int actions, const vly_real *values,
                                 const vly_real *epsilon, const vly_rng *rng, const int32_t *lane,
                                 int lane0, int32_t *action, int32_t *shown);
vly_status vly_cpu_rng_advance(vly_queue *q, vly_rng *rng);
vly_status vly_cpu_action_logp(vly_queue *q, int n, int actions, const vly_real *logits,
                               const int32_t *action, vly_real *logp);
vly_status vly_cpu_gae(vly_queue *q, const vly_gae_args *args);
vly_status vly_cpu_vtrace(vly_queue *q, const vly_vtrace_args *args);
vly_status vly_cpu_moments(vly_queue *q, int n, const vly_real *x, const int32_t *row,
                           const vly_real *mask, vly_real *out);
/* From the moments that args give, else from the minibatch's own. */
vly_loss_scales vly_cpu_loss_scales(vly_queue *q, const vly_policy_loss_args *args);
vly_status vly_cpu_policy_loss(vly_queue *q, const vly_policy_loss_args *args);
vly_status vly_cpu_dqn_loss(vly_queue *q, const vly_dqn_loss_args *args);
vly_status vly_cpu_fingerprint(vly_queue *q, int64_t n, const vly_real *x, uint64_t *out);
vly_status vly_cpu_permutation(vly_queue *q, int n, const vly_rng *rng, int32_t *order);
vly_status vly_cpu_grad_norm(vly_queue *q, int64_t n, const vly_real *grad, vly_real *norm);
vly_status vly_cpu_optimize(vly_queue *q, const vly_optimizer *opt, const vly_params *params,
                            const vly_real *norm, const vly_hyper *hyper, vly_real *stats);
vly_status vly_cpu_polyak(vly_queue *q, int64_t n, vly_real *target, const vly_real *online,
                          const vly_hyper *hyper);
vly_status vly_cpu_tree_set(vly_queue *q, const vly_tree *tree, int n, const int32_t *row,
                            const vly_real *priority, const vly_hyper *hyper, bool raw);
vly_status vly_cpu_tree_insert(vly_queue *q, const vly_tree *tree, int64_t first, int n,
                               const uint8_t *flags);
vly_status vly_cpu_tree_sample(vly_queue *q, const vly_tree *tree, int n, const vly_rng *rng,
                               const vly_hyper *hyper, int32_t *row, vly_real *weight);
vly_status vly_cpu_nstep(vly_queue *q, const vly_nstep_args *args);
vly_status vly_cpu_mask_actions(vly_queue *q, int64_t n, const uint8_t *allowed, vly_real *x);
vly_status vly_cpu_dist_sample(vly_queue *q, const vly_dist *dist, int n, const vly_real *z,
                               const vly_rng *rng, uint32_t stream, const int32_t *lane, int lane0,
                               void *raw, vly_real *logp);
vly_status vly_cpu_dist_logp(vly_queue *q, const vly_dist *dist, int n, const vly_real *z,
                             const void *raw, vly_real *logp);
vly_status vly_cpu_dist_action(vly_queue *q, const vly_dist *dist, int n, const void *raw,
                               void *action);
vly_status vly_cpu_dist_loss(vly_queue *q, const vly_dist_loss_args *args);
vly_status vly_cpu_noise(vly_queue *q, const vly_noise_args *args);
vly_status vly_cpu_soft_value(vly_queue *q, const vly_soft_value_args *args);
vly_status vly_cpu_twin_loss(vly_queue *q, const vly_twin_loss_args *args);
vly_status vly_cpu_soft_policy(vly_queue *q, const vly_soft_policy_args *args);
vly_status vly_cpu_soft_choice(vly_queue *q, const vly_soft_choice_args *args);
vly_status vly_cpu_ascend(vly_queue *q, int n, const vly_real *q1, const vly_real *q2,
                          vly_real *dq1, vly_real *dq2);
vly_status vly_cpu_columns(vly_queue *q, int n, int width, const vly_real *from,
                           int64_t from_stride, vly_real *to, int64_t to_stride);
vly_status vly_cpu_column_sums(vly_queue *q, int n, int width, const vly_real *x, int64_t stride,
                               vly_real *out);
vly_status vly_cpu_normalize(vly_queue *q, int n, int width, const vly_real *x,
                             const vly_real *mean, const vly_real *scale, float limit, vly_real *y);
vly_status vly_cpu_centre(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                          const vly_real *w, vly_real *to);
vly_status vly_cpu_centre_backward(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                                   vly_real *dw);
vly_status vly_cpu_running(vly_queue *q, const vly_running_args *args);
vly_status vly_cpu_discounted(vly_queue *q, const vly_discounted_args *args);
#endif
