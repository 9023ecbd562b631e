/* bench_kernels.c -- every operation of the compute interface at large size: verified elsewhere (tests/gpu), timed here.
 *
 *   OP/SHAPE    GB/s that the operation has to move at least (its inputs once, its outputs once), or TFLOP/s of a layer
 *
 * On the GPU where there is one, else on the processor; VLY_BENCH_DEVICE (cpu, cuda:0) chooses. The peak is a copy of
 * 256 MiB (memory-bound operations) or a large linear layer (layers), measured in the same run; `peak_percent` is the
 * median's share of it. A sample is many calls behind each other on one queue, then one synchronisation: latency of the
 * launch is hidden, as in a captured graph. Large arrays are cycled, so that the cache of the device does not hold them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/bench.h"
#include "common/philox.h"
#include "cpu/device.h"

enum { BUFFERS = 24 };

typedef struct {
    vly_compute *c;
    vly_queue *q;
    bool gpu;
    vly_hyper *hyper;
    vly_rng *rng;
    vly_real *stats, *norm;
    int64_t *step;
    void *buffer[BUFFERS]; /* arrays of the operation under test */
    int buffers;
    double copy_peak, flop_peak; /* per second */
    double scale;          /* of problem sizes: 1 on a GPU */
} bench;

typedef struct call call;
struct call {
    bench *b;
    vly_status (*run)(call *k);
    double units;     /* bytes or FLOPs of one run */
    double bytes;     /* of layers: what has to be moved at least, for the roofline */
    int repeat;       /* runs per synchronisation */
    vly_status status;
    int n, m;         /* shape, as the operation means it */
    void *a[16];
    vly_layer *layer;
};

static double work(void *arg) {
    call *k = arg;
    for (int i = 0; i < k->repeat && k->status == VLY_OK; i++) k->status = k->run(k);
    if (k->status == VLY_OK) k->status = k->b->c->queue_sync(k->b->q);
    return k->units * k->repeat;
}

/* Zeroed memory that lives until the operation is done with. */
static vly_status zeros(bench *b, size_t bytes, void **out) {
    if (b->buffers == BUFFERS) return vly_fail(VLY_EINVAL, "more than %d arrays", BUFFERS);
    VLY_TRY(b->c->alloc(b->c, bytes, "a benchmark", NULL, out));
    b->buffer[b->buffers++] = *out;
    return VLY_OK;
}

typedef enum { UNIFORM, ROWS, BYTES, FLAGS } content;

static vly_status filled(bench *b, content what, size_t n, int below, void **out) {
    const size_t size = what == UNIFORM || what == ROWS ? 4 : 1;
    VLY_TRY(zeros(b, n * size, out));
    uint8_t *host = malloc(n * size);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = vly_philox(7, VLY_STREAM_TEST, i >> 32, (uint32_t)i).v[0];
        const float f = 2 * vly_unit(bits) - 1;
        const int32_t row = (int32_t)vly_below(bits, (uint32_t)(below > 0 ? below : 1));
        if (what == UNIFORM) memcpy(host + 4 * i, &f, 4);
        else if (what == ROWS) memcpy(host + 4 * i, &row, 4);
        else host[i] = what == BYTES ? (uint8_t)bits : bits % 100 == 0 ? VLY_ROW_TERMINATED : 0;
    }
    vly_status status = b->c->upload(b->q, *out, host, n * size);
    if (status == VLY_OK) status = b->c->queue_sync(b->q);
    free(host);
    return status;
}

static void forget(bench *b) {
    while (b->buffers > 0) b->c->free(b->c, b->buffer[--b->buffers]);
}

/* ---- measuring one ---- */

static vly_status measure(const vly_bench_options *o, bench *b, call *k, const char *name, bool flops) {
    vly_bench_result r = {0};
    snprintf(r.name, sizeof r.name, "%s", name);
    snprintf(r.unit, sizeof r.unit, flops ? "TFLOP/s" : "GB/s");
    k->b = b;
    k->repeat = b->gpu ? 50 : 1;
    vly_bench_rate(o, work, k, &r);
    VLY_TRY(k->status);
    const double unit = flops ? 1e12 : 1e9, peak = flops ? b->flop_peak : b->copy_peak, us = 1e6 * k->units / r.median;
    const double percent = peak > 0 ? 100 * r.median / peak : 100;
    r.median /= unit, r.min /= unit, r.max /= unit;
    char intensity[40] = "";
    if (k->bytes > 0) snprintf(intensity, sizeof intensity, "\"flop_per_byte\": %.4g, ", k->units / k->bytes);
    snprintf(r.params, sizeof r.params, "\"us\": %.2f, \"peak_percent\": %.1f, %s\"device\": \"%.32s\"", us, percent, intensity, b->c->info.name);
    if (o->report && (!o->filter || strstr(name, o->filter))) o->report(o->arg, &r);
    if (!strcmp(name, "copy")) b->copy_peak = r.median * unit;
    if (!strcmp(name, "linear/peak")) b->flop_peak = r.median * unit;
    return VLY_OK;
}

/* ---- the operations: a[] as its prepare function laid them out ---- */

static vly_status run_copy(call *k) { return k->b->c->copy(k->b->q, k->a[1], k->a[0], (size_t)k->n); }
static vly_status run_add(call *k) { return k->b->c->add(k->b->q, VLY_F32, k->n, k->a[0], k->a[1]); }
static vly_status run_relu(call *k) { return k->b->c->relu(k->b->q, VLY_BF16, k->n, k->a[0], k->a[1]); }
static vly_status run_convert(call *k) { return k->b->c->convert(k->b->q, k->n, VLY_F32, k->a[0], VLY_BF16, k->a[1]); }
static vly_status run_sample(call *k) {
    return k->b->c->sample_policy(k->b->q, k->n, k->m, k->a[0], k->b->rng, NULL, 0, k->a[1], k->a[2]);
}
static vly_status run_gae(call *k) {
    return k->b->c->gae(k->b->q, &(vly_gae_args){k->m, k->n, k->a[0], k->a[1], k->a[2], k->b->hyper, k->a[3], k->a[4], k->a[5]});
}
static vly_status run_vtrace(call *k) {
    return k->b->c->vtrace(k->b->q, &(vly_vtrace_args){k->m, k->n, k->a[0], k->a[1], k->a[2], k->a[6], k->a[7], k->b->hyper, k->a[3], k->a[4], k->a[5], k->b->stats});
}
static vly_status run_moments(call *k) { return k->b->c->moments(k->b->q, k->n, k->a[0], NULL, NULL, k->b->norm); }
static vly_status run_policy(call *k) {
    return k->b->c->policy_loss(k->b->q, &(vly_policy_loss_args){.n = k->n, .actions = k->m, .logits = k->a[0], .value = k->a[1], .action = k->a[2],
                                .logp_old = k->a[3], .value_old = k->a[4], .advantage = k->a[5], .target = k->a[6], .hyper = k->b->hyper,
                                .dlogits = k->a[7], .dvalue = k->a[8], .stats = k->b->stats});
}
static vly_status run_dqn(call *k) {
    return k->b->c->dqn_loss(k->b->q, &(vly_dqn_loss_args){.n = k->n, .actions = k->m, .q = k->a[0], .q_next = k->a[1], .action = k->a[2], .n_return = k->a[3],
                             .discount = k->a[4], .hyper = k->b->hyper, .dq = k->a[5], .td_abs = k->a[6], .stats = k->b->stats});
}
static vly_status run_permutation(call *k) { return k->b->c->permutation(k->b->q, k->n, k->b->rng, k->a[0]); }
static vly_status run_norm(call *k) { return k->b->c->grad_norm(k->b->q, k->n, k->a[0], k->b->norm); }
static vly_status run_adam(call *k) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    return k->b->c->optimize(k->b->q, &adam,
                             &(vly_params){.n = k->n, .param = k->a[0], .grad = k->a[1], .m = k->a[2], .v = k->a[3], .step = k->b->step}, k->b->norm, k->b->hyper, k->b->stats);
}
static vly_status run_polyak(call *k) { return k->b->c->polyak(k->b->q, k->n, k->a[0], k->a[1], k->b->hyper); }
static vly_status run_gather(call *k) {
    const vly_obs_spec obs = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84};
    return k->b->c->gather(k->b->q, &(vly_frames){k->a[0], k->a[1], k->m, 1, obs}, k->n, k->a[2], 0, VLY_U8, k->a[3]);
}
static vly_status run_layer(call *k) { return k->b->c->layer_forward(k->b->q, k->layer, k->n, k->a[0], k->a[1], k->a[2]); }
static vly_status run_layer_backward(call *k) {
    return k->b->c->layer_backward(k->b->q, k->layer, k->n, k->a[0], k->a[2], k->a[1], k->a[3], k->a[4], k->a[5], false);
}

typedef struct {
    const char *name;
    vly_status (*run)(call *k);
    int n, m;
    double bytes;            /* per n (times m where `by_m`) */
    bool by_m;
    const char *arrays;      /* f: floats n, F: floats n m, i: numbers n below m, r: rows n below m, g: flags n m, p: n m + n floats, h: bf16 n, b: frames m, a: ages m */
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
    {"moments/1048576", run_moments, 1 << 20, 1, 4, false, "f"},
    {"policy_loss/32768x6", run_policy, 32768, 6, 76, false, "FfiffffFf"},
    {"policy_loss/1048576x6", run_policy, 1 << 20, 6, 76, false, "FfiffffFf"},
    {"policy_loss/1048576x18", run_policy, 1 << 20, 18, 172, false, "FfiffffFf"},
    {"dqn_loss/512x6", run_dqn, 512, 6, 88, false, "FFiffFf"},
    {"permutation/1048576", run_permutation, 1 << 20, 1, 4, false, "i"},
    {"grad_norm/1693344", run_norm, 1693344, 1, 4, false, "f"},
    {"grad_norm/67108864", run_norm, 64 << 20, 1, 4, false, "f"},
    {"adam/1693344", run_adam, 1693344, 1, 28, false, "ffff"},
    {"adam/67108864", run_adam, 64 << 20, 1, 28, false, "ffff"},
    {"polyak/67108864", run_polyak, 64 << 20, 1, 12, false, "ff"},
    {"gather/256x84x84x4", run_gather, 256, 100000, 56448, false, "bary"},
    {"gather/8192x84x84x4", run_gather, 8192, 100000, 56448, false, "bary"},
};

static vly_status lay_out(bench *b, const subject *s, int n, call *k) {
    const size_t rows = (size_t)n, all = rows * (size_t)s->m;
    for (int i = 0; s->arrays[i]; i++) {
        void **to = &k->a[i];
        switch (s->arrays[i]) {
        case 'c': VLY_TRY(zeros(b, rows, to)); break;
        case 'f': VLY_TRY(filled(b, UNIFORM, rows, 0, to)); break;
        case 'F': VLY_TRY(filled(b, UNIFORM, all, 0, to)); break;
        case 'p': VLY_TRY(filled(b, UNIFORM, all + rows, 0, to)); break;
        case 'h': VLY_TRY(zeros(b, rows * 2, to)); break;
        case 'i':
        case 'r': VLY_TRY(filled(b, ROWS, rows, s->m, to)); break;
        case 'g': VLY_TRY(filled(b, FLAGS, all, 0, to)); break;
        case 'b': VLY_TRY(filled(b, BYTES, (size_t)s->m * 84 * 84, 0, to)); break;
        case 'a': VLY_TRY(filled(b, BYTES, (size_t)s->m, 0, to)); break;
        default: VLY_TRY(zeros(b, rows * 84 * 84 * 4, to)); break;
        }
    }
    return VLY_OK;
}

static vly_status one(const vly_bench_options *o, bench *b, const subject *s) {
    const bool peak = !strcmp(s->name, "copy");
    if (!peak && !vly_bench_wanted(o, s->name)) return VLY_OK;
    subject small = *s;
    if (!b->gpu && s->run == run_gather) small.m = 2000;
    const int n = b->gpu || s->n <= 1 << 20 ? s->n : s->n / 16;
    call k = {.run = s->run, .n = n, .m = small.m, .units = s->bytes * n * (s->by_m ? s->m : 1)};
    vly_status status = lay_out(b, &small, n, &k);
    if (status == VLY_OK) status = measure(o, b, &k, s->name, false);
    forget(b);
    return status;
}

/* ---- layers ---- */

typedef struct { const char *name; vly_layer_desc d; int batch; } layer_subject;

#define CONV(h, c, o, k, s, x, y) {.kind = VLY_CONV, .act = VLY_ACT_RELU, .in_h = h, .in_w = h, .in_c = c, .out_c = o, .kernel = k, .stride = s, .x_type = x, .y_type = y}
#define LINEAR(c, o, x, y) {.kind = VLY_LINEAR, .act = VLY_ACT_RELU, .in_h = 1, .in_w = 1, .in_c = c, .out_c = o, .kernel = 1, .stride = 1, .x_type = x, .y_type = y}
static const layer_subject layers[] = {
    {"linear/peak", LINEAR(4096, 4096, VLY_BF16, VLY_BF16), 8192},
    {"nature/conv1", CONV(84, 4, 32, 8, 4, VLY_U8, VLY_BF16), 8192},
    {"nature/conv2", CONV(20, 32, 64, 4, 2, VLY_BF16, VLY_BF16), 8192},
    {"nature/conv3", CONV(9, 64, 64, 3, 1, VLY_BF16, VLY_BF16), 8192},
    {"nature/fc", LINEAR(3136, 512, VLY_BF16, VLY_BF16), 8192},
    {"nature/conv1/f32", CONV(84, 4, 32, 8, 4, VLY_U8, VLY_F32), 2048},
    {"nature/fc/f32", LINEAR(3136, 512, VLY_F32, VLY_F32), 2048},
};

static vly_status one_layer(const vly_bench_options *o, bench *b, const layer_subject *s, bool backward) {
    char name[64];
    const bool peak = !strcmp(s->name, "linear/peak");
    snprintf(name, sizeof name, "%s%s", s->name, peak ? "" : backward ? "/backward" : "/forward");
    if ((!peak && !vly_bench_wanted(o, name)) || (peak && backward)) return VLY_OK;
    vly_layer_desc d = s->d;
    if (!b->gpu) {
        if (peak) d.in_c = d.out_c = 1024;
        if (!b->c->info.has_bf16 && (d.x_type == VLY_BF16 || d.y_type == VLY_BF16)) return VLY_OK;
    }
    const int n = b->gpu ? s->batch : peak ? 256 : 32;
    d.batch_max = n, d.learn = backward, d.needs_dx = backward && d.x_type != VLY_U8, d.x_scale = d.x_type == VLY_U8 ? 1.0f / 255 : 1;
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad), ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    const size_t xs = (size_t)n * (size_t)(d.in_h * d.in_w) * (size_t)d.in_c, ys = (size_t)n * (size_t)(oh * ow) * (size_t)d.out_c;
    const size_t params = (size_t)vly_layer_params(&d), patch = (size_t)(d.kernel * d.kernel) * (size_t)d.in_c;
    call k = {.run = backward ? run_layer_backward : run_layer, .n = n, .units = 2.0 * (double)ys * (double)patch * (backward ? (d.needs_dx ? 2 : 1) : 1)};
    const double x_bytes = (double)(xs * vly_dtype_bytes(d.x_type)), y_bytes = (double)(ys * vly_dtype_bytes(d.y_type)), w_bytes = 4.0 * (double)params;
    k.bytes = backward ? x_bytes + (d.needs_dx ? x_bytes : 0) + 2 * y_bytes + 2 * w_bytes : x_bytes + y_bytes + w_bytes;
    VLY_TRY(b->c->layer_create(b->c, &d, &k.layer));
    vly_status status = zeros(b, xs * vly_dtype_bytes(d.x_type), &k.a[0]);
    if (status == VLY_OK) status = filled(b, UNIFORM, params, 0, &k.a[1]);
    if (status == VLY_OK) status = zeros(b, ys * vly_dtype_bytes(d.y_type), &k.a[2]);
    if (status == VLY_OK) status = zeros(b, ys * vly_dtype_bytes(d.y_type), &k.a[3]);
    if (status == VLY_OK && d.needs_dx) status = zeros(b, xs * vly_dtype_bytes(d.x_type), &k.a[4]);
    if (status == VLY_OK) status = zeros(b, params * 4, &k.a[5]);
    if (status == VLY_OK) status = b->c->layer_prepare(b->q, k.layer, k.a[1]);
    if (status == VLY_OK) status = measure(o, b, &k, name, true);
    b->c->layer_destroy(k.layer);
    forget(b);
    return status;
}

/* ---- the suite ---- */

static vly_status open_bench(bench *b) {
    const char *device = getenv("VLY_BENCH_DEVICE");
    const vly_hyper hyper = {.lr = 1e-5f, .max_grad_norm = 0.5f, .clip = 0.1f, .value_coef = 0.5f, .entropy_coef = 0.01f, .gamma = 0.99f, .lambda = 0.95f,
                             .rho_bar = 1, .c_bar = 1, .huber_delta = 1, .tau = 0.005f, .reward_scale = 1};
    const vly_rng rng = {1, 0};
    VLY_TRY(vly_device_open(&b->c, device ? device : "auto", 0, NULL, 0));
    b->gpu = !b->c->info.is_host;
    VLY_TRY(b->c->queue_create(b->c, VLY_QUEUE_LEARN, &b->q));
    VLY_TRY(b->c->alloc(b->c, sizeof hyper, "a benchmark", NULL, (void **)&b->hyper));
    VLY_TRY(b->c->alloc(b->c, sizeof rng, "a benchmark", NULL, (void **)&b->rng));
    VLY_TRY(b->c->alloc(b->c, VLY_STATS * sizeof(vly_real), "a benchmark", NULL, (void **)&b->stats));
    VLY_TRY(b->c->alloc(b->c, 4 * sizeof(vly_real), "a benchmark", NULL, (void **)&b->norm));
    VLY_TRY(b->c->alloc(b->c, 8, "a benchmark", NULL, (void **)&b->step));
    VLY_TRY(b->c->upload(b->q, b->hyper, &hyper, sizeof hyper));
    VLY_TRY(b->c->upload(b->q, b->rng, &rng, sizeof rng));
    return b->c->queue_sync(b->q);
}

static void close_bench(bench *b) {
    if (!b->c) return;
    forget(b);
    void *owned[] = {b->hyper, b->rng, b->stats, b->norm, b->step};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) b->c->free(b->c, owned[i]);
    if (b->q) b->c->queue_destroy(b->q);
    b->c->destroy(b->c);
}

vly_status vly_bench_kernels(const vly_bench_options *options) {
    bench b = {0};
    vly_status status = open_bench(&b);
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects && status == VLY_OK; i++) status = one(options, &b, &subjects[i]);
    for (size_t i = 0; i < sizeof layers / sizeof *layers && status == VLY_OK; i++)
        for (int backward = 0; backward < 2 && status == VLY_OK; backward++) status = one_layer(options, &b, &layers[i], backward);
    close_bench(&b);
    return status;
}
