/* layer.h -- a layer on the device, and the engines that compute it.
 *
 * A layer has three passes (forward, input gradient, weight gradient), and for each the fastest
 * engine that can do it: this project's kernels always can, also with operands that arrive by
 * asynchronous copies (bf16, compute capability 8.0), and with products of warpgroups (9.0, where
 * the build has machine code for sm_90a); where the libraries are installed,
 * cuBLASLt does linear layers, and convolutions too (as products of unfolded patches), cuDNN
 * convolutions. At start-up every candidate is checked against ours on random numbers and timed, of
 * a library the first few suggestions; the winner is remembered on disk (gpu/choices.h).
 * VLY_ENGINE=own|staged|wgmma|cublaslt|patches|cudnn in the environment forces one where it can, patches#2 its
 * third suggestion; VLY_ENGINES_OFF=wgmma,cudnn leaves these out of trials; VLY_TILE_WIDTH=32|64|128 is the
 * width of our kernels' tiles. A trial that breaks the device ends the run and names its engine.
 */
#ifndef VLY_GPU_LAYER_H
#define VLY_GPU_LAYER_H
#include "common/base/compute.h"
#include "kernels/conv.h"

typedef enum { VLY_PASS_FORWARD, VLY_PASS_DX, VLY_PASS_DW, VLY_PASSES } vly_pass;

typedef struct {
    const void *x;
    const float *w; /* weights then bias */
    void *y;
    const void *dz; /* gradient before the activation */
    void *dx;
    float *dw;
    float *db; /* bias gradient, for engines that compute it in the dw pass; NULL: not wanted */
    bool accumulate; /* adds to dw and db */
} vly_pass_args;

struct vly_cuda_queue;
typedef struct vly_engine vly_engine;
struct vly_engine {
    const char *name;
    int variants; /* number of variants, the likeliest to be fast first: suggestions of a library */
    bool any_n;   /* a plan works for every n up to batch_max; otherwise for batch_max alone */
    bool (*can)(const vly_layer *l, vly_pass pass);
    /* Fails if the library has no algorithm for this layer, or fewer variants. *plan may stay
     * NULL. */
    vly_status (*open)(vly_layer *l, vly_pass pass, int variant, void **plan);
    void (*close)(void *plan);
    /* Whether the dw pass of this plan also computes the bias gradient. NULL: never. */
    bool (*gives_bias)(const void *plan);
    vly_status (*run)(vly_layer *l, vly_queue *q, vly_pass pass, void *plan, int n,
                      const vly_pass_args *args);
    /* State per queue. Both may be NULL. */
    vly_status (*queue_open)(struct vly_cuda_queue *q);
    void (*queue_close)(struct vly_cuda_queue *q);
    /* Our kernels, whose plan is a vly_conv in place of the layer's: they apply the slope of the
     * activation below and add to dx, and their weight gradients wait for backward_end. */
    bool ours;
};

struct vly_layer {
    vly_compute *c;
    vly_layer_desc d;
    vly_conv conv;
    int64_t weights;                 /* without the bias */
    int64_t in_numbers, out_numbers; /* of one sample */
    bool prepared;
    void *w_bf16, *bias_bf16;             /* bf16: weights times x_scale, and the bias */
    bool w_bf16_shared, bias_bf16_shared; /* owned by the optimizer, which writes them */
    void *partial;                        /* working memory of the weight and bias gradients */
    const vly_engine *engine[VLY_PASSES];
    void *plan[VLY_PASSES];
};

/* Part of the key of every remembered choice. Raise it when our kernels or engines change. */
#define VLY_ENGINES_VERSION 7
/* Variants of an engine, at most. Those from VLY_RELU_APART on are for a library whose own ReLU
 * turns a NaN into 0: the product without it, then our kernel. */
enum { VLY_SUGGESTIONS = 4, VLY_RELU_APART = VLY_SUGGESTIONS, VLY_VARIANTS = 2 * VLY_SUGGESTIONS };
extern const vly_engine vly_engine_own, vly_engine_staged, vly_engine_wgmma, vly_engine_cublaslt,
    vly_engine_patches, vly_engine_cudnn;

/* Forward by our kernels, of one layer or of two that read the same x. */
vly_status vly_own_forward(vly_layer *const *l, const vly_conv *const *conv, int count,
                           vly_queue *q, int n, const void *x, const float *const *w,
                           void *const *y);
static inline const vly_conv *vly_own_conv(const vly_layer *l, const void *plan) {
    return plan ? (const vly_conv *)plan : &l->conv;
}

/* Fills engine[] and plan[]; choose.c. `learn` layers get all their passes, others the forward
 * pass. */
vly_status vly_layer_choose(vly_layer *l);
/* The engines that VLY_ENGINES_OFF names, "" or "staged,wgmma"; returns `names`. */
const char *vly_engines_off(char *names, size_t bytes);
/* Whether queues need a workspace because one of NVIDIA's libraries was found. */
bool vly_layer_wants_workspace(void);
/* Whether dy arrives as the gradient before the activation, so that no other kernel has to read it
 * before the dw and dx passes. */
static inline bool vly_layer_has_dz(const vly_layer *l) {
    return l->d.act == VLY_ACT_NONE || l->d.dz_given;
}
/* Whether the dw pass computes the bias gradient too. */
static inline bool vly_layer_dw_gives_bias(const vly_layer *l, const vly_engine *engine,
                                           const void *plan) {
    return vly_layer_has_dz(l) && engine->gives_bias && engine->gives_bias(plan);
}
/* Runs a pass, with what the engine itself leaves out: the slope of the activation below. */
vly_status vly_layer_run(vly_layer *l, vly_queue *q, vly_pass pass, const vly_engine *engine,
                         void *plan, int n, const vly_pass_args *args);
/* The name of the engine of a pass ("own", "staged", "wgmma", "cublaslt", "patches", "cudnn"), for benchmarks and
 * tests. */
const char *vly_layer_engine(const vly_layer *l, vly_pass pass);
#endif
