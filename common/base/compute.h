/* compute.h -- the machine under the learner: memory, queues and operations, on a CPU or a GPU.
 *
 *   vly_compute *c;                                   // cpu/ops/compute_cpu.h, or the CUDA plugin
 *   vly_queue *q;
 *   VLY_TRY(c->queue_create(c, VLY_QUEUE_LEARN, &q));
 *   VLY_TRY(c->graph_run(q, &graph, update, algo));   // captured once, replayed from then on
 *   VLY_TRY(c->download(q, host_stats, algo->stats, bytes));
 *   VLY_TRY(c->queue_sync(q));
 *
 * Networks (common/learn/net.h) and algorithms are written once, against this. The rules that let a
 * GPU capture a whole update in a graph:
 *   - every operation is enqueued on a queue, in order, and returns no value to the host;
 *   - pointers are device memory (on the CPU: plain memory) with addresses fixed at start-up;
 *   - what changes from update to update (learning rate, random counters, row numbers) lives in
 *   device
 *     memory: vly_hyper, vly_rng, index arrays. Sizes are fixed per captured function;
 *   - nothing is allocated after start-up: a layer takes its workspace when it is created.
 * An operation validates its arguments and returns vly_status; an error of the device itself
 * may surface at the next queue_sync.
 *
 * vly_real is float. The test suite compiles networks, losses and the plain C operations a second
 * time with VLY_REAL=double, for finite-difference gradient checks; there VLY_F32 names vly_real
 * (vly_dtype_bytes says 8), so that networks are written once.
 *
 * Matrices are row-major, images NHWC, weights (out, in) and (out, kh, kw, in), biases follow
 * their weights in the parameter arena. Reductions have a fixed order: the same input gives the
 * same bits on the same device, whatever else runs.
 */
#ifndef VLY_COMMON_BASE_COMPUTE_H
#define VLY_COMMON_BASE_COMPUTE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/env.h"
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

#ifndef VLY_REAL
#define VLY_REAL float
#endif
typedef VLY_REAL vly_real;

typedef struct vly_compute vly_compute;
typedef struct vly_queue vly_queue; /* operations on one queue run in order; queues run side by side
                                     */
typedef struct vly_event vly_event;
typedef struct vly_graph vly_graph;
/* A back end's plan for one layer: algorithm, workspace, packed weights. One queue at a time uses
 * it. */
typedef struct vly_layer vly_layer;

typedef enum {
    VLY_QUEUE_COPY,
    VLY_QUEUE_ACT,
    VLY_QUEUE_LEARN
} vly_queue_kind; /* ACT has priority */

/* ---- state that lives on the device ---- */

/* Scalars that change while training; uploaded before an update, read by the operations. */
typedef struct {
    float lr;
    float max_grad_norm; /* 0: no clipping */
    float clip;          /* PPO ratio clip */
    float value_clip;    /* PPO value clip, 0: none */
    float value_coef, entropy_coef;
    float gamma, lambda;
    float rho_bar, c_bar; /* V-trace */
    float beta;           /* prioritized replay: importance exponent */
    float alpha;          /* prioritized replay: priority exponent */
    float priority_eps;
    float huber_delta;  /* 0: squared error */
    float tau;          /* Polyak: target = (1 - tau) target + tau online */
    float reward_scale; /* multiplies rewards as the losses see them; 1 */
    float spare[8];
} vly_hyper;

/* Philox counter: draws use (seed, stream, step, lane); rng_advance increments step. */
typedef struct {
    uint64_t seed;
    uint64_t step;
} vly_rng;

/* Sums over an update, reset by stats_clear, divided by the reader. */
enum {
    VLY_STAT_COUNT, /* valid rows */
    VLY_STAT_POLICY_LOSS,
    VLY_STAT_VALUE_LOSS,
    VLY_STAT_ENTROPY,
    VLY_STAT_KL,      /* (ratio - 1) - log ratio */
    VLY_STAT_CLIPPED, /* rows whose ratio was clipped */
    VLY_STAT_TD_ABS,
    VLY_STAT_Q,         /* mean Q of the actions taken */
    VLY_STAT_GRAD_NORM, /* sum over optimizer steps, before clipping */
    VLY_STAT_STEPS,     /* optimizer steps */
    VLY_STAT_NONFINITE, /* > 0: a loss, gradient or weight was NaN or infinite; the step was NOT
                           applied */
    VLY_STAT_RHO,       /* V-trace: mean importance ratio */
    VLY_STAT_WEIGHT,    /* replay: sum of importance weights */
    VLY_STATS = 16
};

/* ---- layers ---- */

typedef enum { VLY_LINEAR, VLY_CONV, VLY_MAXPOOL } vly_layer_kind;
typedef enum { VLY_ACT_NONE, VLY_ACT_RELU, VLY_ACT_TANH } vly_act;

typedef struct {
    vly_layer_kind kind;
    vly_act act; /* applied to the output (LINEAR, CONV) */
    int batch_max;
    int in_h, in_w, in_c; /* LINEAR: in_c alone (h = w = 1) */
    int out_c;
    int kernel, stride, pad; /* CONV, MAXPOOL (padding of a pool counts as -inf) */
    vly_dtype x_type;   /* VLY_F32, VLY_BF16; VLY_U8 for the first layer (then x_scale applies) */
    vly_dtype y_type;   /* VLY_F32 or VLY_BF16 */
    float x_scale;      /* input = x_scale * x; 1 unless x_type is VLY_U8 */
    bool learn;         /* false: forward only */
    bool needs_dx;      /* false for the first layer */
    bool tf32;          /* f32 products may round their operands to tf32 where that is faster */
    bool bf16_products; /* LINEAR, f32: the same, to bf16 */
    /* Where vly_compute_info.joins_backward allows, so that a network's backward pass takes fewer
     * operations: */
    bool dz_given; /* dy arrives as the gradient before the activation */
    vly_act below; /* x is this activation's output: dx is the gradient before it */
    bool dx_adds;  /* dx is added to, not overwritten */
} vly_layer_desc;

static inline int vly_out_size(int in, int kernel, int stride, int pad) {
    return (in + 2 * pad - kernel) / stride + 1;
}

typedef struct { /* of an LSTM: T steps of n rows, H numbers of state */
    int T, n, H;
    bool tf32; /* products may round their operands to tf32 where that is faster */
} vly_lstm_size;

/* ---- the input of a network ---- */

/* Stored frames: row r at frames + r * obs.bytes, r taken modulo `rows`. One actor's successive
 * frames lie row_step rows apart. age[r] counts the frames of the episode before row r,
 * saturating at 255: a stack reaches back min(age, stack - 1) frames, the rest is zero. */
typedef struct {
    const uint8_t *frames;
    const uint8_t *age; /* NULL when obs.stack is 1 */
    int64_t rows, row_step;
    vly_obs_spec obs;
} vly_frames;

/* ---- losses and scans: every array is indexed by row; `row` (n numbers) selects, NULL: 0..n-1
 * ---- */

typedef struct { /* GAE; T x N time-major; row of (t, n) is t * N + n */
    int T, N;
    const vly_real *reward; /* (T, N) */
    const vly_real *value;  /* (T + 1, N) */
    const uint8_t *flags; /* (T, N): VLY_ROW_*; a RESET or FAILED row gets advantage 0 and mask 0 */
    const vly_hyper *hyper;              /* gamma, lambda, reward_scale */
    vly_real *advantage, *target, *mask; /* (T, N); target = advantage + value */
    const uint8_t *own; /* (T + 1, N): the flags that came with the rows themselves, where players
                           take turns; NULL: everyone moves on every row */
    /* delta = r + gamma V(t+1) [not TERMINATED] - V(t); the sum over t stops at TERMINATED and
     * TRUNCATED. A row that is IDLE stands for what follows it: its value is r + gamma V(t+1), its
     * advantage gamma times the next, without lambda, its mask 0. A move whose bootstrap would be
     * an IDLE row, at the end of the rollout or before a truncation, has mask 0 too: what it led to
     * is not known. */
} vly_gae_args;

typedef struct { /* V-trace (Espeholt et al. 2018); same shapes */
    int T, N;
    const vly_real *reward, *value;
    const uint8_t *flags;
    const vly_real *logp_behaviour, *logp_target; /* (T, N) of the actions taken */
    const vly_hyper *hyper;                       /* gamma, lambda, rho_bar, c_bar, reward_scale */
    vly_real *advantage, *target, *mask, *stats;  /* pg advantage, vs, mask; stats: RHO adds
                                                     min(rho_bar, ratio) over valid rows, or NULL */
    /* c = lambda min(c_bar, ratio); advantage = min(rho_bar, ratio) (r + gamma vs(t+1) - V(t)). */
} vly_vtrace_args;

typedef struct { /* PPO (clipped), or A2C and V-trace policy gradient when `plain` */
    int n, actions;
    bool plain;     /* loss = -logp * advantage, no ratio: A2C, IMPALA */
    bool sum;       /* sum over rows instead of the mean over valid rows */
    bool normalize; /* advantages by their moments (mean, 1/(std + 1e-8)) */
    const int32_t *row;
    const vly_real *logits, *value; /* (n, actions), (n): dense, not gathered */
    const int32_t *action;          /* gathered by row, like all below */
    const vly_real *logp_old, *value_old, *advantage, *target,
        *mask; /* mask NULL: all valid; logp_old may be NULL when plain, value_old without
                  value_clip */
    const vly_real *moments; /* mean, std, count of advantage; NULL: those of the minibatch's valid
                                rows */
    const vly_hyper *hyper;
    vly_real *dlogits, *dvalue; /* (n, actions), (n): gradient of the total loss */
    vly_real *stats;            /* VLY_STATS sums over valid rows, added to */
    /* Row's loss: -min(r A, clip(r) A) - entropy_coef H + value_coef 1/2 max((v - t)^2, (clip(v) -
     * t)^2). value and dvalue NULL: no value loss. A row whose loss is not finite counts in
     * NONFINITE. */
} vly_policy_loss_args;

typedef struct { /* DQN, double DQN, n-step, importance-weighted; dueling is the network's */
    int n, actions;
    const vly_real *q;             /* (n, actions) online network at the sampled rows */
    const vly_real *q_next;        /* (n, actions) target network at the bootstrap rows */
    const vly_real *q_next_online; /* (n, actions) for double DQN, or NULL */
    const int32_t *action;    /* (n); outside [0, actions): the row is no transition: gradient and
                                 td_abs 0, not counted */
    const vly_real *n_return; /* (n) discounted n-step reward */
    const vly_real *discount; /* (n) gamma^k of the bootstrap, 0 when terminated */
    const vly_real *weight;   /* (n) importance weights, or NULL */
    const vly_hyper *hyper;   /* huber_delta, alpha, priority_eps */
    vly_real *dq;             /* (n, actions); gradient of sum_i weight_i huber(td_i) / n */
    vly_real *td_abs;         /* (n) |td error|, for the priorities; may be NULL */
    vly_real *stats;
} vly_dqn_loss_args;

/* Of common/base/actions.h. */
typedef struct vly_dist vly_dist;
typedef struct vly_dist_loss_args vly_dist_loss_args;
typedef struct vly_noise_args vly_noise_args;
typedef struct vly_running_args vly_running_args;
typedef struct vly_discounted_args vly_discounted_args;
typedef struct vly_soft_value_args vly_soft_value_args;
typedef struct vly_twin_loss_args vly_twin_loss_args;
typedef struct vly_soft_policy_args vly_soft_policy_args;
typedef struct vly_soft_choice_args vly_soft_choice_args;

/* ---- optimizers ---- */

typedef enum {
    VLY_SGD,             /* m = momentum m + g; p -= lr m */
    VLY_ADAM,            /* PyTorch's form: eps added to sqrt(v / (1 - beta2^t)) */
    VLY_RMSPROP,         /* PyTorch's form: g / (sqrt(v) + eps), v starts at 0 */
    VLY_RMSPROP_TF,      /* TensorFlow's form: g / sqrt(v + eps); the owner starts v at 1 */
    VLY_RMSPROP_CENTERED /* DQN's: g / sqrt(v - mean^2 + eps); m holds the mean, so no momentum */
} vly_optimizer_kind;

typedef struct {
    vly_optimizer_kind kind;
    float beta1, beta2; /* ADAM; RMSPROP: beta2 is the decay */
    float eps, momentum;
} vly_optimizer;

/* Where a low-precision copy is not the weights themselves but so many times them. */
typedef struct {
    int64_t from, to;
    float scale;
} vly_low_range;
enum { VLY_LOW_RANGES = 4 };

/* The arenas of one set of parameters; all of length n. */
typedef struct {
    int64_t n;
    vly_real *param, *grad, *m, *v; /* m: Adam's or momentum's, or the centred mean; NULL where
                                       unused */
    int64_t *step;                  /* device: optimizer steps done */
    void *low; /* VLY_BF16 (n), which optimize writes as it goes; NULL: none. See layer_share */
    vly_low_range scaled[VLY_LOW_RANGES];
} vly_params;

/* ---- prioritized replay ---- */

/* Sum tree over `capacity` leaves. Priorities are fixed-point integers, so that the sums are exact
 * whatever the order of updates, and equal on every device. */
enum { VLY_TREE_RADIX = 16, VLY_TREE_LEVELS_MAX = 8 };
typedef struct {
    int64_t capacity;
    int levels; /* level 0: the leaves; the last level: one node's children */
    int64_t width[VLY_TREE_LEVELS_MAX]; /* nodes in a level, multiples of VLY_TREE_RADIX */
    uint64_t *sum[VLY_TREE_LEVELS_MAX]; /* device */
    uint64_t *total;                    /* device: [0] the sum, [1] largest leaf ever set */
} vly_tree;
/* Fixed point: 2^20 is priority 1; at least 1 unit unless 0. */
#define VLY_PRIORITY_ONE 1048576.0
#define VLY_PRIORITY_MOST ((uint64_t)1 << 36)

/* Transitions of N actors in a ring of time-major rows: row of (t, actor) = (t mod T) * N + actor.
 * At row r: frame observed, action taken there, reward and flags that came back (with the frame of
 * the actor's next row). common/learn/replay.h keeps rows without a priority until their n steps
 * are complete. */
typedef struct {
    int64_t T; /* steps kept */
    int64_t N; /* actors */
    const vly_real *reward;
    const int32_t *action;
    const uint8_t *flags;
} vly_replay_rows;

typedef struct { /* n-step targets from the ring: what DQN's loss needs */
    vly_replay_rows rows;
    int n, steps;           /* batch, n-step */
    const int32_t *row;     /* (n) sampled rows */
    const vly_hyper *hyper; /* gamma, reward_scale */
    int32_t *action; /* (n); -1 where the row is RESET or FAILED: no transition (see dqn_loss) */
    vly_real *n_return, *discount; /* (n) */
    int32_t *bootstrap_row;        /* (n) where to evaluate the target network */
    /* The sum ends with a TERMINATED (discount 0) or TRUNCATED row (bootstrap from the row after
     * it), and before a RESET or FAILED one. The caller samples rows whose n successors are in the
     * ring. */
} vly_nstep_args;

/* ---- the interface ---- */

typedef struct {
    char kind[8];   /* "cpu" or "cuda" */
    char name[128]; /* "Intel(R) Xeon(R) ..., 2 threads" */
    int index;      /* device number */
    size_t memory_bytes;
    bool has_bf16;       /* bf16 layers are faster than f32 here */
    bool is_host;        /* device memory is host memory: uploads can be skipped */
    bool joins_backward; /* see vly_layer_desc, and backward_end */
    int threads;
} vly_compute_info;

struct vly_compute {
    vly_compute_info info;

    void (*destroy)(vly_compute *c);

    /* Memory: zeroed, aligned to 256 bytes, taken at start-up. `what` and `option` name it when it
     * does not fit ("replay frames", "--replay.bytes"). Host memory is pinned where that
     * matters. */
    vly_status (*alloc)(vly_compute *c, size_t bytes, const char *what, const char *option,
                        void **out);
    void (*free)(vly_compute *c, void *memory);
    vly_status (*alloc_host)(vly_compute *c, size_t bytes, const char *what, void **out);
    void (*free_host)(vly_compute *c, void *memory);
    /* Where the device itself writes memory of alloc_host: its address there, for `shown` of the
     * operations; the host sees it once the queue has passed. NULL, or returns NULL: it cannot, and
     * download moves what the host wants. */
    void *(*mapped)(vly_compute *c, void *host);

    /* Queues, events, graphs. */
    vly_status (*queue_create)(vly_compute *c, vly_queue_kind kind, vly_queue **out);
    void (*queue_destroy)(vly_queue *q);
    vly_status (*queue_sync)(vly_queue *q); /* also reports what went wrong on the device */
    vly_status (*event_create)(vly_compute *c, vly_event **out);
    void (*event_destroy)(vly_event *e);
    vly_status (*event_record)(vly_event *e, vly_queue *q);
    vly_status (*event_wait)(vly_queue *q, vly_event *e); /* q waits, the host does not */
    bool (*event_done)(vly_event *e);
    vly_status (*event_sync)(vly_event *e); /* the host waits; reports as queue_sync does */
    /* Calls fn(arg) once everything before it on q is done; from any thread; fn must not use c. */
    vly_status (*notify)(vly_queue *q, void (*fn)(void *arg), void *arg);
    /* Runs fn(q, arg). The first call may capture what fn enqueues; later calls may replay that
     * without calling fn. *graph starts NULL; graph_destroy ends it. */
    vly_status (*graph_run)(vly_queue *q, vly_graph **graph,
                            vly_status (*fn)(vly_queue *q, void *arg), void *arg);
    void (*graph_destroy)(vly_graph *graph);

    /* Copies; host memory must stay as it is until the queue has passed. */
    vly_status (*upload)(vly_queue *q, void *device, const void *host, size_t bytes);
    vly_status (*download)(vly_queue *q, void *host, const void *device, size_t bytes);
    vly_status (*copy)(vly_queue *q, void *to, const void *from, size_t bytes);
    vly_status (*fill)(vly_queue *q, void *device, int byte, size_t bytes);

    /* Layers. w: weights then bias. prepare: after w changed (repacking, low-precision copies).
     * backward: dy (y_type) is the gradient of the activated output and is overwritten; dx (x_type)
     * may be NULL when needs_dx is false; dw is overwritten, or added to when `accumulate`. dw NULL,
     * for a LINEAR layer that needs_dx: dx alone is computed. */
    vly_status (*layer_create)(vly_compute *c, const vly_layer_desc *desc, vly_layer **out);
    void (*layer_destroy)(vly_layer *layer);
    vly_status (*layer_prepare)(vly_queue *q, vly_layer *layer, const vly_real *w);
    /* NULL where layers pack their weights as they like. share: a bf16 layer's rounded weights,
     * times *scale, and its bias lie from now on at low (VLY_BF16, in the order of w; 16-byte
     * aligned), so that optimize can keep them: vly_params.low. stepped: what is left of prepare
     * once optimize has. */
    vly_status (*layer_share)(vly_layer *layer, void *low, float *scale);
    vly_status (*layer_stepped)(vly_queue *q, vly_layer *layer, const vly_real *w);
    vly_status (*layer_forward)(vly_queue *q, vly_layer *layer, int n, const void *x,
                                const vly_real *w, void *y);
    /* layer_forward of two layers that read the same x. NULL where that saves nothing. */
    vly_status (*layer_forward_two)(vly_queue *q, vly_layer *const layer[2], int n, const void *x,
                                    const vly_real *const w[2], void *const y[2]);
    vly_status (*layer_backward)(vly_queue *q, vly_layer *layer, int n, const void *x,
                                 const void *y, const vly_real *w, void *dy, void *dx, vly_real *dw,
                                 bool accumulate);
    /* Where info.joins_backward is set, else NULL: completes the weight gradients of layer_backward
     * calls on this queue; until then their x and dy stay as they are. */
    vly_status (*backward_end)(vly_queue *q);
    /* Element-wise on n values of a type (F32, BF16): y = relu(x); dx (+)= dy where y > 0; y += x;
     * convert. */
    vly_status (*relu)(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y);
    vly_status (*relu_backward)(vly_queue *q, vly_dtype type, int64_t n, const void *y,
                                const void *dy, void *dx, bool accumulate);
    vly_status (*add)(vly_queue *q, vly_dtype type, int64_t n, const void *x, void *y);
    vly_status (*convert)(vly_queue *q, int64_t n, vly_dtype from, const void *x, vly_dtype to,
                          void *y);
    /* LSTM over T steps of n rows. gates (T, n, 4H) hold x W_x + b on entry (input, forget, cell,
     * output; made by a LINEAR layer over all T) and the activated gates on return. reset (T, n):
     * flags of the rows; where RESET is set the state is zeroed before the step. w_h (4H, H). h, c
     * (T + 1, n, H): [0] is the initial state. */
    vly_status (*lstm_forward)(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                               const uint8_t *reset, vly_real *gates, vly_real *h, vly_real *c);
    /* dh (T, n, H) arrives as the gradient of the outputs; dgates (T, n, 4H) and dw_h are written;
     * work: (6, T, n, H) reals */
    vly_status (*lstm_backward)(vly_queue *q, const vly_lstm_size *size, const vly_real *w_h,
                                const uint8_t *reset, const vly_real *gates, const vly_real *h,
                                const vly_real *c, const vly_real *dh, vly_real *dgates,
                                vly_real *dw_h, vly_real *work);
    /* Dueling head: q = v + a - mean(a); backward splits dq. v (n), a and q (n, actions). */
    vly_status (*dueling)(vly_queue *q, int n, int actions, const vly_real *v, const vly_real *a,
                          vly_real *out);
    vly_status (*dueling_backward)(vly_queue *q, int n, int actions, const vly_real *dout,
                                   vly_real *dv, vly_real *da);

    /* Network input: x (n, h, w, c * stack) oldest frame first, from rows row[0..n) or
     * first..first+n-1 when row is NULL. type VLY_U8 copies bytes, VLY_F32 / VLY_BF16 multiply by
     * obs.scale. */
    vly_status (*gather)(vly_queue *q, const vly_frames *frames, int n, const int32_t *row,
                         int64_t first, vly_dtype type, void *x);

    /* Acting. Row i draws from vly_philox(seed, VLY_STREAM_ACT, step, lane), lane[i] or lane0 + i
     * when lane is NULL. policy: the first a with sum_{b<=a} e^(l_b - max) > vly_unit(v[0]) sum
     * e^(l - max); logp may be NULL. greedy: vly_below(v[1], actions) where vly_unit(v[0]) <
     * epsilon, else the first largest. shown: the actions once more, in mapped memory; NULL: not. */
    vly_status (*sample_policy)(vly_queue *q, int n, int actions, const vly_real *logits,
                                const vly_rng *rng, const int32_t *lane, int lane0, int32_t *action,
                                int32_t *shown, vly_real *logp);
    vly_status (*sample_greedy)(vly_queue *q, int n, int actions, const vly_real *values,
                                const vly_real *epsilon /* (n) by row, NULL: 0 */,
                                const vly_rng *rng, const int32_t *lane, int lane0, int32_t *action,
                                int32_t *shown);
    vly_status (*rng_advance)(vly_queue *q, vly_rng *rng);
    /* log pi(action | logits): logp (n). */
    vly_status (*action_logp)(vly_queue *q, int n, int actions, const vly_real *logits,
                              const int32_t *action, vly_real *logp);

    /* Learning. */
    vly_status (*gae)(vly_queue *q, const vly_gae_args *args);
    vly_status (*vtrace)(vly_queue *q, const vly_vtrace_args *args);
    vly_status (*moments)(vly_queue *q, int n, const vly_real *x, const int32_t *row,
                          const vly_real *mask, vly_real *out /* mean, std (n - 1), count */);
    vly_status (*policy_loss)(vly_queue *q, const vly_policy_loss_args *args);
    vly_status (*dqn_loss)(vly_queue *q, const vly_dqn_loss_args *args);
    /* order[i] = vly_rule_permute (common/base/rules.h): a bijection of 0..n-1 that depends on
     * (rng, n, i) alone. */
    vly_status (*permutation)(vly_queue *q, int n, const vly_rng *rng, int32_t *order);
    /* norm[0] = |grad|; norm[1] = 1 when it is not finite. */
    vly_status (*grad_norm)(vly_queue *q, int64_t n, const vly_real *grad, vly_real *norm);
    /* Clips by hyper.max_grad_norm, applies, writes params.low, counts the step, adds GRAD_NORM and
     * STEPS to stats; when norm[1] is set or a weight becomes non-finite: nothing is applied,
     * NONFINITE is counted. */
    vly_status (*optimize)(vly_queue *q, const vly_optimizer *opt, const vly_params *params,
                           const vly_real *norm, const vly_hyper *hyper, vly_real *stats);
    vly_status (*polyak)(vly_queue *q, int64_t n, vly_real *target, const vly_real *online,
                         const vly_hyper *hyper);

    /* Replay: what can be sampled is what has a priority; uniform replay is a tree whose rows all
     * have the same. Indices out of range are ignored. set: duplicates take the last value; a row
     * that has no priority stays without (it was withdrawn since it was sampled). priority = (p +
     * hyper.priority_eps)^alpha unless raw. insert: rows first .. first + n - 1 get the largest
     * priority so far (at least 1), those whose flags (n, as of the rows) are VLY_ROW_RESET or
     * FAILED none; flags NULL: all are withdrawn. sample: draw i from the i-th of n equal parts of
     * the total, by vly_philox(seed, VLY_STREAM_REPLAY, step, i); weight = P^-beta / its maximum
     * over the batch, may be NULL; row -1 and weight 0 while the tree is empty. */
    vly_status (*tree_set)(vly_queue *q, const vly_tree *tree, int n, const int32_t *row,
                           const vly_real *priority, const vly_hyper *hyper, bool raw);
    vly_status (*tree_insert)(vly_queue *q, const vly_tree *tree, int64_t first, int n,
                              const uint8_t *flags);
    vly_status (*tree_sample)(vly_queue *q, const vly_tree *tree, int n, const vly_rng *rng,
                              const vly_hyper *hyper, int32_t *row, vly_real *weight);
    vly_status (*nstep)(vly_queue *q, const vly_nstep_args *args);

    /* Actions of several parts (common/base/actions.h). x[i] = VLY_MASKED where allowed[i] is 0.
     * dist_sample draws row i's part k from vly_philox(seed, stream | k / 4 << 8, step, lane0 + i
     * or lane[i]) and writes raw; rng NULL: the likeliest; logp may be NULL. dist_action: raw as
     * the environment takes it. */
    vly_status (*mask_actions)(vly_queue *q, int64_t n, const uint8_t *allowed, vly_real *x);
    vly_status (*dist_sample)(vly_queue *q, const vly_dist *dist, int n, const vly_real *z,
                              const vly_rng *rng, uint32_t stream, const int32_t *lane, int lane0,
                              void *raw, vly_real *logp);
    vly_status (*dist_logp)(vly_queue *q, const vly_dist *dist, int n, const vly_real *z,
                            const void *raw, vly_real *logp);
    vly_status (*dist_action)(vly_queue *q, const vly_dist *dist, int n, const void *raw,
                              void *action);
    vly_status (*dist_loss)(vly_queue *q, const vly_dist_loss_args *args);
    vly_status (*noise)(vly_queue *q, const vly_noise_args *args);
    vly_status (*soft_value)(vly_queue *q, const vly_soft_value_args *args);
    vly_status (*twin_loss)(vly_queue *q, const vly_twin_loss_args *args);
    vly_status (*soft_policy)(vly_queue *q, const vly_soft_policy_args *args);
    vly_status (*soft_choice)(vly_queue *q, const vly_soft_choice_args *args);
    /* Gradients of the mean of -min(q1, q2); q2 NULL: of -q1. All (n). */
    vly_status (*ascend)(vly_queue *q, int n, const vly_real *q1, const vly_real *q2, vly_real *dq1,
                         vly_real *dq2);
    /* `width` numbers of each of n rows, rows from_stride and to_stride numbers apart; from_stride
     * 0: the same row n times. column_sums: out (width) = sums over the rows. */
    vly_status (*columns)(vly_queue *q, int n, int width, const vly_real *from, int64_t from_stride,
                          vly_real *to, int64_t to_stride);
    vly_status (*column_sums)(vly_queue *q, int n, int width, const vly_real *x, int64_t stride,
                              vly_real *out);
    /* y = clamp((x - mean) scale, +-limit) by column, x and y (n, width); mean NULL: 0. y may be
     * x. */
    vly_status (*normalize)(vly_queue *q, int n, int width, const vly_real *x, const vly_real *mean,
                            const vly_real *scale, float limit, vly_real *y);
    /* A layer of x - centre as a layer of x: to (rows, k; then rows) is w with bias[o] - centre[0] *
     * sum of row o for bias[o]. centre_backward makes the gradient of `to` that of w: dw[o][i] -=
     * centre[0] * db[o]. */
    vly_status (*centre)(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                         const vly_real *w, vly_real *to);
    vly_status (*centre_backward)(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                                  vly_real *dw);
    vly_status (*running)(vly_queue *q, const vly_running_args *args);
    vly_status (*discounted)(vly_queue *q, const vly_discounted_args *args);

    /* *out (device): the same for the same numbers, bit for bit, on every back end; for ranks that
     * must not drift apart. */
    vly_status (*fingerprint)(vly_queue *q, int64_t n, const vly_real *x, uint64_t *out);
};

struct vly_queue { /* a back end's queue begins with this */
    vly_compute *c;
    vly_queue_kind kind;
};

/* The CUDA back end is a plugin (libvolley_cuda.so) that exports this; the program starts without
 * it. */
typedef vly_status (*vly_compute_create_fn)(vly_compute **out, int device, int threads);
#define VLY_COMPUTE_CUDA_SYMBOL "vly_compute_create_cuda"
enum { VLY_COMPUTE_ABI = 8 };
/* And this: the ABI it was built with, checked before use. */
#define VLY_COMPUTE_CUDA_ABI_SYMBOL "vly_compute_cuda_abi"

static inline void *vly_mapped(vly_compute *c, void *host) {
    return c->mapped && host ? c->mapped(c, host) : NULL;
}

/* Parameters of a layer: weights plus bias (0 for a pool). */
int64_t vly_layer_params(const vly_layer_desc *desc);
size_t vly_dtype_bytes(vly_dtype type);
/* Fills capacity, levels and width of a tree; sum[] and total are the caller's to allocate, zeroed.
 */
vly_status vly_tree_plan(vly_tree *tree, int64_t capacity);

#ifdef __cplusplus
}
#endif
#endif
