/* bench_kernels.c -- every operation of the compute interface at large size: verified against the
 * processor's plain C code at the very sizes that are timed (benchmarks/bench_twin.h), then timed.
 *
 *   OP/SHAPE    GB/s that the operation has to move at least (its inputs once, its outputs once),
 *               or TFLOP/s of a layer
 *
 * On the GPU where there is one, else on the processor; VLY_BENCH_DEVICE (cpu, cuda:0) chooses. The
 * peak is a copy of 256 MiB (memory-bound operations) or a large linear layer (layers), measured in
 * the same run; `peak_percent` is the median's share of it. A sample is one captured graph of many
 * calls behind each other, then one synchronisation, as in training.
 *
 * A layer's batch repeats the reference's few rows, so that every number of it is compared and the
 * reference is quick; the gradients of its weights are then so many times the reference's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "benchmarks/bench_twin.h"
#include "common/base/actions.h"
#include "common/base/philox.h"

typedef struct {
    vly_bench_twin twin;
    double copy_peak, flop_peak; /* per second */
} bench;

typedef struct call call;
struct call {
    vly_bench_side *s;
    vly_status (*run)(call *k);
    double units; /* bytes or FLOPs of one run */
    double bytes; /* of layers: what has to be moved at least, for the roofline */
    int repeat;   /* runs per synchronisation */
    vly_status status;
    vly_graph *graph; /* of all runs of a round */
    int n, m;         /* shape, as the operation means it */
    void *a[16];
    vly_layer *layer;
};

static vly_status repeated(vly_queue *q, void *arg) {
    call *k = arg;
    (void)q;
    for (int i = 0; i < k->repeat; i++) VLY_TRY(k->run(k));
    return VLY_OK;
}

/* One graph, as in training: single launches would measure how fast the host makes them. */
static double work(void *arg) {
    call *k = arg;
    k->status = k->s->c->graph_run(k->s->q, &k->graph, repeated, k);
    if (k->status == VLY_OK) k->status = k->s->c->queue_sync(k->s->q);
    return k->units * k->repeat;
}

/* ---- measuring one ---- */

/* k[0] on the device, k[1] on the reference. */
static vly_status verify(bench *b, call *k, vly_bench_result *r) {
    VLY_TRY(vly_bench_twin_reset(&b->twin));
    for (int i = 0; i < VLY_SIDES; i++) {
        k[i].s = &b->twin.side[i];
        VLY_TRY(k[i].run(&k[i]));
        VLY_TRY(k[i].s->c->queue_sync(k[i].s->q));
    }
    return vly_bench_twin_compare(&b->twin, r);
}

static vly_status measure(const vly_bench_options *o, bench *b, call *k, const char *name,
                          bool flops) {
    vly_bench_result r = {0};
    snprintf(r.name, sizeof r.name, "%s", name);
    snprintf(r.unit, sizeof r.unit, flops ? "TFLOP/s" : "GB/s");
    VLY_TRY(verify(b, k, &r));
    k->repeat = b->twin.gpu && b->twin.divide == 1 ? 50 : 1;
    vly_bench_rate(o, work, k, &r);
    if (k->graph) k->s->c->graph_destroy(k->graph);
    VLY_TRY(k->status);
    const double unit = flops ? 1e12 : 1e9, peak = flops ? b->flop_peak : b->copy_peak,
                 us = 1e6 * k->units / r.median;
    const double percent = peak > 0 ? 100 * r.median / peak : 100;
    r.median /= unit, r.min /= unit, r.max /= unit;
    char extra[80] = "";
    if (k->bytes > 0)
        snprintf(extra, sizeof extra, "\"flop_per_byte\": %.4g, ", k->units / k->bytes);
    if (b->twin.divide > 1)
        snprintf(extra + strlen(extra), sizeof extra - strlen(extra), "\"sizes_divided_by\": %d, ",
                 b->twin.divide);
    snprintf(r.params, sizeof r.params,
             "\"us\": %.2f, \"peak_percent\": %.1f, %s\"device\": \"%.32s\"", us, percent, extra,
             k->s->c->info.name);
    if (o->report && vly_bench_wanted(o, name)) o->report(o->arg, &r);
    if (!strcmp(name, "copy")) b->copy_peak = r.median * unit;
    if (!strcmp(name, "linear/peak")) b->flop_peak = r.median * unit;
    return VLY_OK;
}

/* ---- the operations: a[] as its prepare function laid them out ---- */

static vly_status run_copy(call *k) {
    return k->s->c->copy(k->s->q, k->a[1], k->a[0], (size_t)k->n);
}
static vly_status run_add(call *k) {
    return k->s->c->add(k->s->q, VLY_F32, k->n, k->a[0], k->a[1]);
}
static vly_status run_relu(call *k) {
    return k->s->c->relu(k->s->q, VLY_BF16, k->n, k->a[0], k->a[1]);
}
static vly_status run_convert(call *k) {
    return k->s->c->convert(k->s->q, k->n, VLY_F32, k->a[0], VLY_BF16, k->a[1]);
}
static vly_status run_sample(call *k) {
    return k->s->c->sample_policy(k->s->q, k->n, k->m, k->a[0], k->s->rng, NULL, 0, k->a[1], NULL,
                                  k->a[2]);
}
static vly_status run_gae(call *k) {
    return k->s->c->gae(k->s->q, &(vly_gae_args){k->m, k->n, k->a[0], k->a[1], k->a[2], k->s->hyper,
                                                 k->a[3], k->a[4], k->a[5], NULL});
}
static vly_status run_vtrace(call *k) {
    return k->s->c->vtrace(k->s->q, &(vly_vtrace_args){k->m, k->n, k->a[0], k->a[1], k->a[2],
                                                       k->a[6], k->a[7], k->s->hyper, k->a[3],
                                                       k->a[4], k->a[5], k->s->stats});
}
static vly_status run_moments(call *k) {
    return k->s->c->moments(k->s->q, k->n, k->a[0], NULL, NULL, k->a[1]);
}
static vly_status run_policy(call *k) {
    return k->s->c->policy_loss(k->s->q, &(vly_policy_loss_args){.n = k->n,
                                                                 .actions = k->m,
                                                                 .logits = k->a[0],
                                                                 .value = k->a[1],
                                                                 .action = k->a[2],
                                                                 .logp_old = k->a[3],
                                                                 .value_old = k->a[4],
                                                                 .advantage = k->a[5],
                                                                 .target = k->a[6],
                                                                 .hyper = k->s->hyper,
                                                                 .dlogits = k->a[7],
                                                                 .dvalue = k->a[8],
                                                                 .stats = k->s->stats});
}
static vly_status run_dqn(call *k) {
    return k->s->c->dqn_loss(k->s->q, &(vly_dqn_loss_args){.n = k->n,
                                                           .actions = k->m,
                                                           .q = k->a[0],
                                                           .q_next = k->a[1],
                                                           .action = k->a[2],
                                                           .n_return = k->a[3],
                                                           .discount = k->a[4],
                                                           .hyper = k->s->hyper,
                                                           .dq = k->a[5],
                                                           .td_abs = k->a[6],
                                                           .stats = k->s->stats});
}
static vly_status run_permutation(call *k) {
    return k->s->c->permutation(k->s->q, k->n, k->s->rng, k->a[0]);
}
static vly_status run_norm(call *k) {
    return k->s->c->grad_norm(k->s->q, k->n, k->a[0], k->s->norm);
}
static vly_status run_adam(call *k) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    return k->s->c->optimize(k->s->q, &adam,
                             &(vly_params){.n = k->n,
                                           .param = k->a[0],
                                           .grad = k->a[1],
                                           .m = k->a[2],
                                           .v = k->a[3],
                                           .step = k->s->step,
                                           .low = k->a[4]},
                             k->s->norm, k->s->hyper, k->s->stats);
}
static vly_status run_polyak(call *k) {
    return k->s->c->polyak(k->s->q, k->n, k->a[0], k->a[1], k->s->hyper);
}
static vly_status run_gather(call *k) {
    const vly_obs_spec obs = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84};
    return k->s->c->gather(k->s->q, &(vly_frames){k->a[0], k->a[1], k->m, 1, obs}, k->n, k->a[2], 0,
                           VLY_U8, k->a[3]);
}
/* m numbers of an action: their means and log deviations are 2 m. */
static vly_dist normal_of(const call *k) {
    return (vly_dist){.kind = VLY_DIST_NORMAL, .parts = k->m, .width = 2 * k->m};
}
static vly_status run_mask(call *k) {
    return k->s->c->mask_actions(k->s->q, (int64_t)k->n * k->m, k->a[1], k->a[0]);
}
static vly_status run_dist_sample(call *k) {
    const vly_dist d = normal_of(k);
    return k->s->c->dist_sample(k->s->q, &d, k->n, k->a[0], k->s->rng, VLY_STREAM_ACT, NULL, 0,
                                k->a[1], k->a[2]);
}
static vly_status run_dist_loss(call *k) {
    const vly_dist_loss_args a = {.p = {.n = k->n,
                                        .actions = 2 * k->m,
                                        .logits = k->a[0],
                                        .value = k->a[1],
                                        .logp_old = k->a[3],
                                        .value_old = k->a[4],
                                        .advantage = k->a[5],
                                        .target = k->a[6],
                                        .hyper = k->s->hyper,
                                        .dlogits = k->a[7],
                                        .dvalue = k->a[8],
                                        .stats = k->s->stats},
                                  .dist = normal_of(k),
                                  .raw = k->a[2]};
    return k->s->c->dist_loss(k->s->q, &a);
}
static vly_status run_noise(call *k) {
    const vly_noise_args a = {.n = k->n,
                              .parts = k->m,
                              .mean = k->a[0],
                              .deviation = 0.2f,
                              .limit = 0.5f,
                              .rng = k->s->rng,
                              .stream = VLY_STREAM_LEARN,
                              .out = k->a[1]};
    return k->s->c->noise(k->s->q, &a);
}
static vly_status run_soft_value(call *k) {
    const vly_soft_value_args a = {.n = k->n,
                                   .actions = 1,
                                   .q1 = k->a[0],
                                   .q2 = k->a[1],
                                   .logp = k->a[2],
                                   .log_alpha = k->a[3],
                                   .value = k->a[4]};
    return k->s->c->soft_value(k->s->q, &a);
}
static vly_status run_twin_loss(call *k) {
    const vly_twin_loss_args a = {.n = k->n,
                                  .actions = 1,
                                  .q1 = k->a[0],
                                  .q2 = k->a[1],
                                  .action = k->a[2],
                                  .n_return = k->a[3],
                                  .discount = k->a[4],
                                  .value = k->a[5],
                                  .dq1 = k->a[6],
                                  .dq2 = k->a[7],
                                  .stats = k->s->stats};
    return k->s->c->twin_loss(k->s->q, &a);
}
static vly_status run_soft_policy(call *k) {
    const vly_soft_policy_args a = {.n = k->n,
                                    .parts = k->m,
                                    .z = k->a[0],
                                    .raw = k->a[1],
                                    .logp = k->a[2],
                                    .q1 = k->a[3],
                                    .q2 = k->a[4],
                                    .daction = k->a[5],
                                    .log_alpha = k->a[6],
                                    .target_entropy = -(float)k->m,
                                    .dz = k->a[7],
                                    .dlog_alpha = k->a[8],
                                    .stats = k->s->stats};
    return k->s->c->soft_policy(k->s->q, &a);
}
static vly_status run_ascend(call *k) {
    return k->s->c->ascend(k->s->q, k->n, k->a[0], k->a[1], k->a[2], k->a[3]);
}
static vly_status run_columns(call *k) {
    return k->s->c->columns(k->s->q, k->n, k->m, k->a[0], k->m, k->a[1], 2 * k->m);
}
static vly_status run_running(call *k) {
    VLY_TRY(k->s->c->fill(k->s->q, k->a[1], 0, 3 * (size_t)k->m * sizeof(double)));
    return k->s->c->running(k->s->q, &(vly_running_args){.n = k->n,
                                                         .width = k->m,
                                                         .x = k->a[0],
                                                         .state = k->a[1],
                                                         .mean = k->a[2],
                                                         .scale = k->a[3]});
}
static vly_status run_discounted(call *k) {
    return k->s->c->discounted(k->s->q, &(vly_discounted_args){.T = k->m,
                                                               .N = k->n,
                                                               .reward = k->a[0],
                                                               .flags = k->a[1],
                                                               .hyper = k->s->hyper,
                                                               .carry = k->a[2],
                                                               .out = k->a[3],
                                                               .mask = k->a[4]});
}
static vly_status run_layer(call *k) {
    return k->s->c->layer_forward(k->s->q, k->layer, k->n, k->a[0], k->a[1], k->a[2]);
}
static vly_status run_layer_backward(call *k) {
    vly_compute *c = k->s->c;
    VLY_TRY(c->layer_backward(k->s->q, k->layer, k->n, k->a[0], k->a[2], k->a[1], k->a[3], k->a[4],
                              k->a[5], false));
    return c->backward_end ? c->backward_end(k->s->q) : VLY_OK;
}

typedef struct {
    const char *name;
    vly_status (*run)(call *k);
    int n, m;
    double bytes; /* per n (times m where `by_m`) */
    bool by_m;
    const char *arrays; /* f: floats n, v: above 0, F: floats n m, i: numbers n below m, g: flags n
                           m, p: n m + n floats, h: bf16 n, l: of weights n, c: bytes n, b: frames
                           m, a: ages m, y: n stacks of frames, W: floats 2 n m, k: bytes n m,
                           d: 8 bytes n, not compared */
} subject;

static const subject subjects[] = {
    {"copy", run_copy, 256 << 20, 1, 2, false, "cc"},
    {"add/f32", run_add, 64 << 20, 1, 12, false, "ff"},
    {"relu/bf16", run_relu, 64 << 20, 1, 4, false, "hh"},
    {"convert/f32-bf16", run_convert, 64 << 20, 1, 6, false, "fh"},
    {"sample_policy/8192x6", run_sample, 8192, 6, 32, false, "Fif"},
    {"sample_policy/1048576x6", run_sample, 1 << 20, 6, 32, false, "Fif"},
    {"gae/128x8192", run_gae, 8192, 128, 21, true, "FpgFFF"},
    {"gae/128x65536", run_gae, 65536, 128, 21, true, "FpgFFF"},
    {"gae/1024x16", run_gae, 16, 1024, 21, true, "FpgFFF"},
    {"vtrace/128x65536", run_vtrace, 65536, 128, 29, true, "FpgFFFFF"},
    {"moments/1048576", run_moments, 1 << 20, 1, 4, false, "ff"},
    {"policy_loss/32768x6", run_policy, 32768, 6, 76, false, "FfiffffFf"},
    {"policy_loss/1048576x6", run_policy, 1 << 20, 6, 76, false, "FfiffffFf"},
    {"policy_loss/1048576x18", run_policy, 1 << 20, 18, 172, false, "FfiffffFf"},
    {"dqn_loss/512x6", run_dqn, 512, 6, 88, false, "FFiffFf"},
    {"permutation/1048576", run_permutation, 1 << 20, 1, 4, false, "i"},
    {"grad_norm/1693344", run_norm, 1693344, 1, 4, false, "f"},
    {"grad_norm/67108864", run_norm, 64 << 20, 1, 4, false, "f"},
    {"adam/1693344", run_adam, 1693344, 1, 28, false, "fffv"},
    {"adam/67108864", run_adam, 64 << 20, 1, 28, false, "fffv"},
    {"adam_bf16/1693344", run_adam, 1693344, 1, 30, false, "fffvl"},
    {"adam_bf16/67108864", run_adam, 64 << 20, 1, 30, false, "fffvl"},
    {"polyak/67108864", run_polyak, 64 << 20, 1, 12, false, "ff"},
    {"mask_actions/1048576x6", run_mask, 1 << 20, 6, 54, false, "Fk"},
    {"dist_sample/1048576x6", run_dist_sample, 1 << 20, 6, 76, false, "WFf"},
    {"dist_loss/2048x6", run_dist_loss, 2048, 6, 144, false, "WfFffffWf"},
    {"dist_loss/1048576x6", run_dist_loss, 1 << 20, 6, 144, false, "WfFffffWf"},
    {"noise/1048576x6", run_noise, 1 << 20, 6, 48, false, "FF"},
    {"soft_value/1048576", run_soft_value, 1 << 20, 1, 16, false, "fffff"},
    {"twin_loss/1048576", run_twin_loss, 1 << 20, 1, 32, false, "ffifffff"},
    {"soft_policy/256x6", run_soft_policy, 256, 6, 156, false, "WFfffFfWf"},
    {"soft_policy/1048576x6", run_soft_policy, 1 << 20, 6, 156, false, "WFfffFfWf"},
    {"ascend/1048576", run_ascend, 1 << 20, 1, 16, false, "ffff"},
    {"columns/1048576x17", run_columns, 1 << 20, 17, 136, false, "FW"},
    {"running/1048576x17", run_running, 1 << 20, 17, 68, false, "Fdff"},
    {"discounted/128x8192", run_discounted, 8192, 128, 13, true, "FgfFF"},
    {"gather/256x84x84x4", run_gather, 256, 100000, 56448, false, "baiy"},
    {"gather/8192x84x84x4", run_gather, 8192, 100000, 56448, false, "baiy"},
};

static vly_status add(bench *b, call *k, int i, vly_bench_array a) {
    VLY_TRY(vly_bench_twin_add(&b->twin, &a));
    for (int side = 0; side < VLY_SIDES; side++) k[side].a[i] = a.on[side];
    return VLY_OK;
}

static vly_status lay_out(bench *b, const subject *s, int n, int m, call *k) {
    static const double near = 1e-4; /* sums of up to 64 Mi numbers, in another order */
    const size_t rows = (size_t)n, all = rows * (size_t)m, frame = 84 * 84;
    for (int i = 0; s->arrays[i]; i++) {
        vly_bench_array a = {.type = VLY_F32, .count = rows, .tolerance = near};
        switch (s->arrays[i]) {
        case 'c': a.type = VLY_U8, a.tolerance = 0; break;
        case 'v': a.positive = true; break;
        case 'F': a.count = all; break;
        case 'W': a.count = 2 * all; break;
        case 'k': a.type = VLY_U8, a.count = all, a.tolerance = 0; break;
        case 'd': a.type = VLY_I64, a.scratch = true; break;
        case 'p': a.count = all + rows; break;
        case 'h': a.type = VLY_BF16, a.tolerance = 0; break;
        case 'l':
            a.type = VLY_BF16, a.tolerance = 1e-2;
            break; /* of weights that may differ in their last bit */
        case 'i': a.type = VLY_I32, a.below = m, a.tolerance = 0; break;
        case 'g': a.type = VLY_U8, a.count = all, a.flags = true, a.tolerance = 0; break;
        case 'b': a.type = VLY_U8, a.count = (size_t)m * frame, a.tolerance = 0; break;
        case 'a': a.type = VLY_U8, a.count = (size_t)m, a.tolerance = 0; break;
        case 'y': a.type = VLY_U8, a.count = rows * frame * 4, a.tolerance = 0; break;
        default: break;
        }
        VLY_TRY(add(b, k, i, a));
    }
    return VLY_OK;
}

static int divided(const bench *b, int n) {
    return n / b->twin.divide > 4 ? n / b->twin.divide : 4;
}

static vly_status one(const vly_bench_options *o, bench *b, const subject *s) {
    const bool peak = !strcmp(s->name, "copy"), large = s->n > 1 << 20;
    if (!peak && !vly_bench_wanted(o, s->name)) return VLY_OK;
    const bool frames = s->run == run_gather;
    const int m = !frames ? s->m : divided(b, b->twin.gpu ? s->m : 2000),
              n = divided(b, b->twin.gpu || !large ? s->n : s->n / 16);
    call k[VLY_SIDES];
    for (int i = 0; i < VLY_SIDES; i++)
        k[i] = (call){.run = s->run, .n = n, .m = m, .units = s->bytes * n * (s->by_m ? m : 1)};
    vly_status status = lay_out(b, s, n, m, k);
    if (status == VLY_OK) status = measure(o, b, k, s->name, false);
    vly_bench_twin_forget(&b->twin);
    return status;
}

/* ---- layers ---- */

typedef struct {
    const char *name;
    vly_layer_desc d;
    int batch;
} layer_subject;

#define CONV(h, c, o, k, s, x, y)                                                           \
    {                                                                                       \
        .kind = VLY_CONV, .act = VLY_ACT_RELU, .in_h = h, .in_w = h, .in_c = c, .out_c = o, \
        .kernel = k, .stride = s, .x_type = x, .y_type = y                                  \
    }
#define LINEAR(c, o, x, y)                                                                    \
    {                                                                                         \
        .kind = VLY_LINEAR, .act = VLY_ACT_RELU, .in_h = 1, .in_w = 1, .in_c = c, .out_c = o, \
        .kernel = 1, .stride = 1, .x_type = x, .y_type = y                                    \
    }
static const layer_subject layers[] = {
    {"linear/peak", LINEAR(4096, 4096, VLY_BF16, VLY_BF16), 8192},
    {"nature/conv1", CONV(84, 4, 32, 8, 4, VLY_U8, VLY_BF16), 8192},
    {"nature/conv2", CONV(20, 32, 64, 4, 2, VLY_BF16, VLY_BF16), 8192},
    {"nature/conv3", CONV(9, 64, 64, 3, 1, VLY_BF16, VLY_BF16), 8192},
    {"nature/fc", LINEAR(3136, 512, VLY_BF16, VLY_BF16), 8192},
    {"nature/conv1/f32", CONV(84, 4, 32, 8, 4, VLY_U8, VLY_F32), 2048},
    {"nature/fc/f32", LINEAR(3136, 512, VLY_F32, VLY_F32), 2048},
};

enum { REFERENCE_ROWS = 32 };

/* What the device does with n rows the reference does with `few`. */
static vly_status lay_out_layer(bench *b, vly_layer_desc d, int n, int few, call *k) {
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad),
              ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const size_t x = (size_t)(d.in_h * d.in_w) * (size_t)d.in_c,
                 y = (size_t)(oh * ow) * (size_t)d.out_c;
    const size_t params = (size_t)vly_layer_params(&d), rows = (size_t)n, r = (size_t)few;
    const bool low = d.x_type == VLY_BF16 || d.y_type == VLY_BF16;
    const double tolerance = low ? 2e-2 : 1e-3; /* bf16: its rounding; f32: sums of millions of
                                                   products in another order */
    const float spread = 1 / (float)(d.kernel * d.kernel * d.in_c);
    VLY_TRY(add(b, k, 0,
                (vly_bench_array){.type = d.x_type,
                                  .count = rows * x,
                                  .period = r * x,
                                  .tolerance = d.x_type == VLY_U8 ? 0 : tolerance}));
    VLY_TRY(
        add(b, k, 1, (vly_bench_array){.type = VLY_F32, .count = params, .spread = 8 * spread}));
    VLY_TRY(add(b, k, 2,
                (vly_bench_array){
                    .type = d.y_type, .count = rows * y, .period = r * y, .tolerance = tolerance}));
    if (d.learn)
        VLY_TRY(add(b, k, 3,
                    (vly_bench_array){
                        .type = d.y_type, .count = rows * y, .period = r * y, .scratch = true}));
    if (d.needs_dx)
        VLY_TRY(
            add(b, k, 4,
                (vly_bench_array){
                    .type = d.x_type, .count = rows * x, .period = r * x, .tolerance = tolerance}));
    if (d.learn)
        VLY_TRY(add(b, k, 5,
                    (vly_bench_array){.type = VLY_F32,
                                      .count = params,
                                      .tolerance = tolerance,
                                      .factor = (double)n / few}));
    for (int i = 0; i < VLY_SIDES; i++) {
        const vly_bench_side *s = &b->twin.side[i];
        d.batch_max = k[i].n;
        VLY_TRY(s->c->layer_create(s->c, &d, &k[i].layer));
        VLY_TRY(s->c->layer_prepare(s->q, k[i].layer, k[i].a[1]));
    }
    return VLY_OK;
}

/* FLOPs, and bytes that have to be moved at least. */
static void count_layer(vly_layer_desc d, int n, bool backward, call *k) {
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad),
              ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const double ys = (double)n * oh * ow * d.out_c, patch = (double)d.kernel * d.kernel * d.in_c,
                 x_bytes = (double)n * d.in_h * d.in_w * d.in_c * (double)vly_dtype_bytes(d.x_type);
    const double y_bytes = ys * (double)vly_dtype_bytes(d.y_type),
                 w_bytes = 4.0 * (double)vly_layer_params(&d);
    k->units = 2 * ys * patch * (backward && d.needs_dx ? 2 : 1);
    k->bytes = backward ? x_bytes + (d.needs_dx ? x_bytes : 0) + 2 * y_bytes + 2 * w_bytes
                        : x_bytes + y_bytes + w_bytes;
}

static vly_status one_layer(const vly_bench_options *o, bench *b, const layer_subject *s,
                            bool backward) {
    char name[64];
    const vly_compute_info *info = &b->twin.side[VLY_SIDE_DEVICE].c->info;
    const bool peak = !strcmp(s->name, "linear/peak"),
               low = s->d.x_type == VLY_BF16 || s->d.y_type == VLY_BF16;
    snprintf(name, sizeof name, "%s%s", s->name, peak ? "" : backward ? "/backward" : "/forward");
    if ((!peak && !vly_bench_wanted(o, name)) || (peak && backward)) return VLY_OK;
    if (low && !info->has_bf16) return VLY_OK;
    vly_layer_desc d = s->d;
    if (peak && (!b->twin.gpu || b->twin.divide > 1))
        d.in_c = d.out_c = b->twin.divide > 1 ? 64 : 1024;
    d.learn = backward, d.needs_dx = backward && d.x_type != VLY_U8,
    d.x_scale = d.x_type == VLY_U8 ? 1.0f / 255 : 1;
    const int whole = b->twin.gpu ? divided(b, s->batch)
                      : peak      ? 256
                                  : 32,
              few = whole < REFERENCE_ROWS ? whole : REFERENCE_ROWS, n = whole / few * few;
    call k[VLY_SIDES];
    for (int i = 0; i < VLY_SIDES; i++)
        k[i] = (call){.run = backward ? run_layer_backward : run_layer,
                      .n = i == VLY_SIDE_DEVICE ? n : few};
    count_layer(d, n, backward, k);
    vly_status status = lay_out_layer(b, d, n, few, k);
    if (status == VLY_OK) status = measure(o, b, k, name, true);
    for (int i = 0; i < VLY_SIDES; i++)
        if (k[i].layer) b->twin.side[i].c->layer_destroy(k[i].layer);
    vly_bench_twin_forget(&b->twin);
    return status;
}

/* ---- the suite ---- */

vly_status vly_bench_kernels(const vly_bench_options *options) {
    bench b = {.copy_peak = 0};
    vly_status status = vly_bench_twin_open(&b.twin);
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects && status == VLY_OK; i++)
        status = one(options, &b, &subjects[i]);
    for (size_t i = 0; i < sizeof layers / sizeof *layers && status == VLY_OK; i++)
        for (int backward = 0; backward < 2 && status == VLY_OK; backward++)
            status = one_layer(options, &b, &layers[i], backward);
    vly_bench_twin_close(&b.twin);
    return status;
}
