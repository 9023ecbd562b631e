/* bench_learner.c -- samples per second through the networks, verified first, on the GPU where
 * there is one, else on all threads. VLY_BENCH_DEVICE (cpu, cuda:0) in the environment chooses;
 * both passes run as the trainer runs them: captured once, replayed from then on.
 *
 *   NET/forward/TYPE/BATCH   the forward pass of a batch (acting)
 *   NET/update/TYPE/BATCH    forward, PPO loss, backward, gradient norm, Adam, the weights in bf16
 *                            (or repacked)
 *
 * Before it is timed, a pass is compared with the processor's plain C code in f32
 * (benchmarks/bench_twin.h): outputs, for updates also the gradient, and the weights with what the
 * reference makes of that gradient. `error` is the root of the squared differences over that of the
 * squares. The batch repeats 32 rows, which are all that the reference computes: means over it are
 * the same.
 *
 * The input is random uint8 frames (the vector net: floats), already gathered. TYPE: f32, bf16
 * where the processor has bf16 units. benchmarks/vs_pytorch.py measures PyTorch the same way,
 * alternating.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "benchmarks/bench_twin.h"
#include "common/learn/net.h"
#include "common/base/philox.h"
#include "cpu/run/device.h"

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_net *net;
    vly_exec *exec;
    int batch, period; /* rows, and how many of them differ */
    vly_params p;
    vly_hyper *hyper;
    vly_real *norm, *stats;
    vly_policy_loss_args loss;
    vly_graph *graph;
    int rounds; /* passes between two synchronisations */
    vly_status status;
} bench;

typedef struct {
    const char *name;
    vly_net_desc net;
    int batch[4], gpu_batch[4];
} subject;

static const subject subjects[] = {
    {"nature",
     {.kind = VLY_NET_NATURE,
      .obs = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84},
      .actions = 6},
     {256, 32, 8},
     {256, 2048, 16384}},
    {"impala",
     {.kind = VLY_NET_IMPALA,
      .obs = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84},
      .actions = 6},
     {64},
     {256, 2048, 4096}},
    {"minatar",
     {.kind = VLY_NET_MINATAR, .obs = {VLY_U8, 3, {10, 10, 4}, 1, 1, 400}, .actions = 6},
     {1024, 256, 64},
     {256, 4096, 32768}},
    {"mlp",
     {.kind = VLY_NET_MLP,
      .obs = {VLY_F32, 1, {4, 0, 0}, 1, 1, 16},
      .actions = 2,
      .hidden = {64, 64},
      .layers = 2,
      .act = VLY_ACT_TANH},
     {1024, 256, 64},
     {256, 4096, 32768}},
};

static vly_status take(bench *b, size_t n, size_t bytes, void *out) {
    return b->c->alloc(b->c, n * bytes, "a benchmark", NULL, out);
}

/* Host numbers into fresh device memory. */
static vly_status give(bench *b, const void *host, size_t bytes, void *out) {
    void **to = out;
    VLY_TRY(take(b, 1, bytes, out));
    VLY_TRY(b->c->upload(b->q, *to, host, bytes));
    return b->c->queue_sync(b->q);
}

static float random_unit(uint32_t what, size_t i) {
    return vly_unit(vly_philox(1, VLY_STREAM_TEST, what, (uint32_t)i).v[0]);
}

static vly_status fill_loss(bench *b) {
    enum { ARRAYS = 5 };
    const size_t n = (size_t)b->batch;
    const int actions = vly_net_description(b->net)->actions;
    int32_t *action = calloc(n, sizeof *action);
    vly_real *numbers = calloc(n, sizeof *numbers), *device[ARRAYS] = {NULL};
    vly_status status = action && numbers ? VLY_OK
                                          : vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    for (size_t i = 0; status == VLY_OK && i < n; i++)
        action[i] = (int32_t)(i % (size_t)b->period % (size_t)actions);
    if (status == VLY_OK) status = give(b, action, n * sizeof *action, &device[0]);
    for (uint32_t k = 1; k < ARRAYS && status == VLY_OK; k++) {
        for (size_t i = 0; i < n; i++)
            numbers[i] = k == 1 ? -1.5f
                                : random_unit(k, i % (size_t)b->period) - (k == 3 ? 0.5f : 0.0f);
        status = give(b, numbers, n * sizeof *numbers, &device[k]);
    }
    free(action);
    free(numbers);
    b->loss = (vly_policy_loss_args){.n = b->batch,
                                     .actions = actions,
                                     .logits = b->exec->logits,
                                     .value = b->exec->value,
                                     .action = (const int32_t *)(const void *)device[0],
                                     .logp_old = device[1],
                                     .value_old = device[2],
                                     .advantage = device[3],
                                     .target = device[4],
                                     .hyper = b->hyper,
                                     .dlogits = b->exec->dlogits,
                                     .dvalue = b->exec->dvalue,
                                     .stats = b->stats};
    return status;
}

/* The input as a gather leaves it. */
static vly_status fill_input(bench *b, const subject *s) {
    const size_t row = s->net.obs.bytes / vly_dtype_bytes(s->net.obs.dtype) *
                       (size_t)s->net.obs.stack;
    const size_t values = (size_t)b->batch * row, unique = (size_t)b->period * row;
    const size_t size = vly_dtype_bytes(b->exec->x_type);
    uint8_t *host = calloc(values, size);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    for (size_t i = 0; i < values; i++) {
        if (i >= unique) {
            memcpy(host + i * size, host + (i - unique) * size, size);
            continue;
        }
        const float f = random_unit(4, i) - 0.5f;
        if (b->exec->x_type == VLY_U8)
            host[i] = (uint8_t)(s->net.obs.scale < 1 ? 255 * (f + 0.5f) : f < -0.4f);
        else if (b->exec->x_type == VLY_F32)
            memcpy(host + i * size, &f, sizeof f);
    }
    vly_status status = b->c->upload(b->q, b->exec->x, host, values * size);
    if (status == VLY_OK) status = b->c->queue_sync(b->q);
    free(host);
    return status;
}

static vly_status fill_params(bench *b) {
    const vly_hyper hyper = {.lr = 1e-5f,
                             .max_grad_norm = 0.5f,
                             .clip = 0.1f,
                             .value_coef = 0.5f,
                             .entropy_coef = 0.01f};
    const size_t n = (size_t)b->p.n;
    vly_real *host = calloc(n, sizeof *host);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    vly_status status = vly_net_init(b->net, 1, host);
    if (status == VLY_OK) status = give(b, host, n * sizeof *host, &b->p.param);
    free(host);
    VLY_TRY(status);
    VLY_TRY(take(b, n, sizeof(vly_real), &b->p.grad));
    VLY_TRY(take(b, n, sizeof(vly_real), &b->p.m));
    VLY_TRY(take(b, n, sizeof(vly_real), &b->p.v));
    VLY_TRY(take(b, 1, 8, &b->p.step));
    VLY_TRY(take(b, VLY_STATS, sizeof(vly_real), &b->stats));
    VLY_TRY(take(b, 2, sizeof(vly_real), &b->norm));
    if (b->c->layer_share && vly_net_description(b->net)->bf16) VLY_TRY(take(b, n, 2, &b->p.low));
    return give(b, &hyper, sizeof hyper, &b->hyper);
}

static vly_status open_device(bench *b, bool reference) {
    const char *device = getenv("VLY_BENCH_DEVICE");
    VLY_TRY(reference ? vly_bench_reference_open(&b->c)
                      : vly_device_open(&b->c, device ? device : "auto", 0, NULL, 0));
    return b->c->queue_create(b->c, VLY_QUEUE_LEARN, &b->q);
}

static vly_status fill(bench *b, const subject *s, bool bf16, bool learn) {
    vly_net_desc d = s->net;
    d.bf16 = bf16;
    b->rounds = b->c->info.is_host ? 1 : 20;
    VLY_TRY(vly_net_create(&b->net, &d));
    VLY_TRY(vly_exec_create(&b->exec, b->c, b->net, b->batch, learn, "the benchmark"));
    b->p.n = vly_net_params(b->net);
    VLY_TRY(fill_params(b));
    VLY_TRY(vly_exec_share_low(b->exec, &b->p));
    VLY_TRY(vly_exec_prepare(b->exec, b->q, b->p.param));
    VLY_TRY(fill_input(b, s));
    return learn ? fill_loss(b) : VLY_OK;
}

static vly_status one_forward(vly_queue *q, void *arg) {
    bench *b = arg;
    return vly_exec_forward(b->exec, q, b->batch, b->p.param);
}

static vly_status step(bench *b, vly_queue *q) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    VLY_TRY(b->c->grad_norm(q, b->p.n, b->p.grad, b->norm));
    return b->c->optimize(q, &adam, &b->p, b->norm, b->hyper, b->stats);
}

static vly_status one_update(vly_queue *q, void *arg) {
    bench *b = arg;
    VLY_TRY(vly_exec_forward(b->exec, q, b->batch, b->p.param));
    VLY_TRY(b->c->policy_loss(q, &b->loss));
    VLY_TRY(vly_exec_backward(b->exec, q, b->batch, b->p.param, b->p.grad));
    VLY_TRY(step(b, q));
    return vly_exec_stepped(b->exec, q, b->p.param);
}

static double passes(bench *b, vly_status (*pass)(vly_queue *q, void *arg)) {
    for (int i = 0; i < b->rounds && b->status == VLY_OK; i++)
        b->status = b->c->graph_run(b->q, &b->graph, pass, b);
    if (b->status == VLY_OK) b->status = b->c->queue_sync(b->q);
    return (double)b->batch * b->rounds;
}

static double forward(void *arg) {
    return passes(arg, one_forward);
}
static double update(void *arg) {
    return passes(arg, one_update);
}

static void finish(bench *b) {
    void *const owned[] = {b->p.param,
                           b->p.grad,
                           b->p.m,
                           b->p.v,
                           b->p.step,
                           b->p.low,
                           b->hyper,
                           b->stats,
                           b->norm,
                           (void *)b->loss.action,
                           (void *)b->loss.logp_old,
                           (void *)b->loss.value_old,
                           (void *)b->loss.advantage,
                           (void *)b->loss.target};
    for (size_t i = 0; b->c && i < sizeof owned / sizeof *owned; i++) b->c->free(b->c, owned[i]);
    if (b->c && b->graph) b->c->graph_destroy(b->graph);
    vly_exec_destroy(b->exec);
    vly_net_destroy(b->net);
    if (b->q) b->c->queue_destroy(b->q);
    if (b->c) b->c->destroy(b->c);
}

/* ---- verifying ---- */

enum { REFERENCE_ROWS = 32 };

static vly_status fetch(bench *b, const vly_real *device, size_t n, vly_real **host) {
    *host = malloc(n * sizeof **host);
    if (!*host) return vly_fail(VLY_ENOMEM, "no memory to verify a benchmark");
    vly_status status = b->c->download(b->q, *host, device, n * sizeof **host);
    if (status == VLY_OK) status = b->c->queue_sync(b->q);
    if (status == VLY_OK) return VLY_OK;
    free(*host);
    return status;
}

/* n numbers of b against n_want of the reference, repeated; all are wrong when their distance is
 * too large. */
static vly_status compare(bench *b, const vly_real *got_device, size_t n, const vly_real *want,
                          size_t n_want, double tolerance, vly_bench_result *r) {
    vly_real *got;
    VLY_TRY(fetch(b, got_device, n, &got));
    double apart = 0, size = 1e-30;
    for (size_t i = 0; i < n; i++) {
        const double w = (double)want[i % n_want], d = (double)got[i] - w;
        apart += d * d, size += w * w;
    }
    const double error = sqrt(apart / size);
    r->verified += (long long)n;
    if (!(error <= tolerance)) r->wrong += (long long)n; /* NaN is wrong */
    if (!(error <= r->error)) r->error = isfinite(error) ? error : 1e30;
    free(got);
    return VLY_OK;
}

static vly_status compare_outputs(bench *b, const bench *ref, double tolerance,
                                  vly_bench_result *r) {
    const size_t actions = (size_t)vly_net_description(b->net)->actions, rows = (size_t)b->batch,
                 few = (size_t)ref->batch;
    VLY_TRY(compare(b, b->exec->logits, rows * actions, ref->exec->logits, few * actions, tolerance,
                    r));
    return b->exec->value ? compare(b, b->exec->value, rows, ref->exec->value, few, tolerance, r)
                          : VLY_OK;
}

/* The reference takes the same step with the gradient that b made: the weights must then agree
 * whatever the type was. */
static vly_status compare_weights(bench *b, bench *ref, vly_real *first, vly_bench_result *r) {
    vly_real *grad;
    const size_t bytes = (size_t)b->p.n * sizeof(vly_real);
    VLY_TRY(fetch(b, b->p.grad, (size_t)b->p.n, &grad));
    memcpy(ref->p.grad, grad, bytes); /* the reference's memory is the host's */
    memcpy(ref->p.param, first, bytes);
    free(grad);
    memset(ref->p.m, 0, bytes), memset(ref->p.v, 0, bytes), *ref->p.step = 0;
    VLY_TRY(step(ref, ref->q));
    return compare(b, b->p.param, (size_t)b->p.n, ref->p.param, (size_t)b->p.n, 1e-6, r);
}

static vly_status compare_update(bench *b, bench *ref, double tolerance, vly_bench_result *r) {
    vly_real *first; /* the weights before */
    VLY_TRY(fetch(ref, ref->p.param, (size_t)ref->p.n, &first));
    vly_status status = one_update(b->q, b);
    if (status == VLY_OK) status = one_update(ref->q, ref);
    if (status == VLY_OK)
        status = compare(b, b->p.grad, (size_t)b->p.n, ref->p.grad, (size_t)b->p.n, tolerance, r);
    if (status == VLY_OK) status = compare_weights(b, ref, first, r);
    free(first);
    return status;
}

static vly_status verify(bench *b, const subject *s, bool bf16, bool learn, vly_bench_result *r) {
    bench ref = {.batch = b->period, .period = b->period};
    const double tolerance = bf16 ? 5e-2 : 1e-3;
    vly_status status = open_device(&ref, true);
    if (status == VLY_OK) status = fill(&ref, s, false, learn);
    if (status == VLY_OK) status = one_forward(b->q, b);
    if (status == VLY_OK) status = one_forward(ref.q, &ref);
    if (status == VLY_OK) status = compare_outputs(b, &ref, tolerance, r);
    if (status == VLY_OK && learn) status = compare_update(b, &ref, 2 * tolerance, r);
    finish(&ref);
    return status;
}

static vly_status time_one(const vly_bench_options *o, const subject *s, bench *b, bool bf16,
                           bool learn, vly_bench_result *r) {
    VLY_TRY(open_device(b, false));
    if (bf16 && !b->c->info.has_bf16) return VLY_OK;
    VLY_TRY(fill(b, s, bf16, learn));
    VLY_TRY(verify(b, s, bf16, learn, r));
    snprintf(r->params, sizeof r->params, "\"batch\": %d, \"threads\": %d, \"device\": \"%.60s\"",
             b->batch, b->c->info.threads, b->c->info.name);
    vly_bench_rate(o, learn ? update : forward, b, r);
    VLY_TRY(b->status);
    if (o->report) o->report(o->arg, r);
    return VLY_OK;
}

static vly_status measure(const vly_bench_options *o, const subject *s, int batch, bool bf16,
                          bool learn) {
    vly_bench_result r = {.unit = "samples/s"};
    snprintf(r.name, sizeof r.name, "%s/%s/%s/%d", s->name, learn ? "update" : "forward",
             bf16 ? "bf16" : "f32", batch);
    if (!vly_bench_wanted(o, r.name)) return VLY_OK;
    bench b = {.batch = batch, .period = batch < REFERENCE_ROWS ? batch : REFERENCE_ROWS};
    const vly_status status = time_one(o, s, &b, bf16, learn, &r);
    finish(&b);
    return status;
}

static vly_status on_gpu(bool *gpu) {
    bench b = {0};
    VLY_TRY(open_device(&b, false));
    *gpu = !b.c->info.is_host;
    finish(&b);
    return VLY_OK;
}

vly_status vly_bench_learner(const vly_bench_options *options) {
    bool gpu;
    VLY_TRY(on_gpu(&gpu));
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        const int *batch = gpu ? subjects[i].gpu_batch : subjects[i].batch;
        for (int b = 0; b < 4 && batch[b]; b++)
            for (int bf16 = 0; bf16 <= (subjects[i].net.kind != VLY_NET_MLP); bf16++)
                for (int learn = 0; learn < 2; learn++)
                    VLY_TRY(measure(options, &subjects[i], batch[b], bf16, learn));
    }
    return VLY_OK;
}
