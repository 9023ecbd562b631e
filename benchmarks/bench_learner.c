/* bench_learner.c -- samples per second through the networks, on all threads of this machine.
 *
 *   NET/forward/TYPE/BATCH   the forward pass of a batch (acting)
 *   NET/update/TYPE/BATCH    forward, PPO loss, backward, gradient norm, Adam, repacking of the weights
 *
 * The input is random uint8 frames (the vector net: floats), already gathered. TYPE: f32, bf16 where the
 * processor has bf16 units. benchmarks/vs_pytorch.py measures PyTorch the same way, alternating.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/bench.h"
#include "common/net.h"
#include "common/philox.h"
#include "cpu/compute_cpu.h"

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_net *net;
    vly_exec *exec;
    int batch;
    vly_params p;
    vly_hyper *hyper;
    vly_real *norm, *stats;
    vly_policy_loss_args loss;
    vly_status status;
} bench;

typedef struct {
    const char *name;
    vly_net_desc net;
    int batch[3];
} subject;

static const subject subjects[] = {
    {"nature", {.kind = VLY_NET_NATURE, .obs = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84}, .actions = 6}, {256, 32, 8}},
    {"impala", {.kind = VLY_NET_IMPALA, .obs = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84}, .actions = 6}, {64}},
    {"minatar", {.kind = VLY_NET_MINATAR, .obs = {VLY_U8, 3, {10, 10, 4}, 1, 1, 400}, .actions = 6}, {1024, 256, 64}},
    {"mlp", {.kind = VLY_NET_MLP, .obs = {VLY_F32, 1, {4, 0, 0}, 1, 1, 16}, .actions = 2, .hidden = {64, 64}, .layers = 2, .act = VLY_ACT_TANH}, {1024, 256, 64}},
};

static vly_status take(bench *b, size_t n, size_t bytes, void *out) { return b->c->alloc(b->c, n * bytes, "a benchmark", NULL, out); }

static float random_unit(uint32_t what, size_t i) { return vly_unit(vly_philox(1, VLY_STREAM_TEST, what, (uint32_t)i).v[0]); }

static vly_status fill_loss(bench *b) {
    const size_t n = (size_t)b->batch;
    int32_t *action;
    vly_real *logp, *value, *advantage, *target;
    VLY_TRY(take(b, n, 4, &action));
    VLY_TRY(take(b, n, sizeof(vly_real), &logp));
    VLY_TRY(take(b, n, sizeof(vly_real), &value));
    VLY_TRY(take(b, n, sizeof(vly_real), &advantage));
    VLY_TRY(take(b, n, sizeof(vly_real), &target));
    const int actions = vly_net_description(b->net)->actions;
    for (size_t i = 0; i < n; i++) {
        action[i] = (int32_t)(i % (size_t)actions);
        logp[i] = -1.5f, value[i] = random_unit(1, i), advantage[i] = random_unit(2, i) - 0.5f, target[i] = random_unit(3, i);
    }
    b->loss = (vly_policy_loss_args){.n = b->batch, .actions = actions, .logits = b->exec->logits, .value = b->exec->value, .action = action,
                                     .logp_old = logp, .value_old = value, .advantage = advantage, .target = target, .hyper = b->hyper,
                                     .dlogits = b->exec->dlogits, .dvalue = b->exec->dvalue, .stats = b->stats};
    return VLY_OK;
}

static vly_status fill(bench *b, const subject *s, bool bf16, bool learn) {
    vly_net_desc d = s->net;
    d.bf16 = bf16;
    VLY_TRY(vly_compute_create_cpu(&b->c, 0));
    VLY_TRY(b->c->queue_create(b->c, VLY_QUEUE_LEARN, &b->q));
    VLY_TRY(vly_net_create(&b->net, &d));
    VLY_TRY(vly_exec_create(&b->exec, b->c, b->net, b->batch, learn, "the benchmark"));
    b->p.n = vly_net_params(b->net);
    const size_t n = (size_t)b->p.n, real = sizeof(vly_real);
    VLY_TRY(take(b, n, real, &b->p.param));
    VLY_TRY(take(b, n, real, &b->p.grad));
    VLY_TRY(take(b, n, real, &b->p.m));
    VLY_TRY(take(b, n, real, &b->p.v));
    VLY_TRY(take(b, 1, 8, &b->p.step));
    VLY_TRY(take(b, 1, sizeof *b->hyper, &b->hyper));
    VLY_TRY(take(b, VLY_STATS, real, &b->stats));
    VLY_TRY(take(b, 2, real, &b->norm));
    *b->hyper = (vly_hyper){.lr = 1e-5f, .max_grad_norm = 0.5f, .clip = 0.1f, .value_coef = 0.5f, .entropy_coef = 0.01f};
    VLY_TRY(vly_net_init(b->net, 1, b->p.param));
    VLY_TRY(vly_exec_prepare(b->exec, b->q, b->p.param));
    const size_t values = (size_t)b->batch * s->net.obs.bytes / vly_dtype_bytes(s->net.obs.dtype) * (size_t)s->net.obs.stack;
    for (size_t i = 0; i < values; i++)
        if (b->exec->x_type == VLY_U8) ((uint8_t *)b->exec->x)[i] = (uint8_t)(s->net.obs.scale < 1 ? 255 * random_unit(4, i) : random_unit(4, i) < 0.1f);
        else if (b->exec->x_type == VLY_F32) ((vly_real *)b->exec->x)[i] = random_unit(4, i) - 0.5f;
    return learn ? fill_loss(b) : VLY_OK;
}

static double forward(void *arg) {
    bench *b = arg;
    if (b->status == VLY_OK) b->status = vly_exec_forward(b->exec, b->q, b->batch, b->p.param);
    return b->batch;
}

static vly_status one_update(vly_queue *q, void *arg) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    bench *b = arg;
    VLY_TRY(vly_exec_forward(b->exec, q, b->batch, b->p.param));
    VLY_TRY(b->c->policy_loss(q, &b->loss));
    VLY_TRY(vly_exec_backward(b->exec, q, b->batch, b->p.param, b->p.grad));
    VLY_TRY(b->c->grad_norm(q, b->p.n, b->p.grad, b->norm));
    VLY_TRY(b->c->optimize(q, &adam, &b->p, b->norm, b->hyper, b->stats));
    return vly_exec_prepare(b->exec, q, b->p.param);
}

static double update(void *arg) {
    bench *b = arg;
    if (b->status == VLY_OK) b->status = one_update(b->q, b);
    return b->batch;
}

static void finish(bench *b) {
    void *const owned[] = {b->p.param, b->p.grad, b->p.m, b->p.v, b->p.step, b->hyper, b->stats, b->norm, (void *)b->loss.action, (void *)b->loss.logp_old,
                           (void *)b->loss.value_old, (void *)b->loss.advantage, (void *)b->loss.target};
    for (size_t i = 0; b->c && i < sizeof owned / sizeof *owned; i++) b->c->free(b->c, owned[i]);
    vly_exec_destroy(b->exec);
    vly_net_destroy(b->net);
    if (b->q) b->c->queue_destroy(b->q);
    if (b->c) b->c->destroy(b->c);
}

static vly_status measure(const vly_bench_options *o, const subject *s, int batch, bool bf16, bool learn) {
    vly_bench_result r = {.unit = "samples/s"};
    snprintf(r.name, sizeof r.name, "%s/%s/%s/%d", s->name, learn ? "update" : "forward", bf16 ? "bf16" : "f32", batch);
    if (!vly_bench_wanted(o, r.name)) return VLY_OK;
    bench b = {.batch = batch};
    vly_status status = fill(&b, s, bf16, learn);
    if (status == VLY_OK) {
        snprintf(r.params, sizeof r.params, "\"batch\": %d, \"threads\": %d", batch, b.c->info.threads);
        if (!bf16 || b.c->info.has_bf16) vly_bench_rate(o, learn ? update : forward, &b, &r);
        if (b.status == VLY_OK && r.samples && o->report) o->report(o->arg, &r);
        status = b.status;
    }
    finish(&b);
    return status;
}

vly_status vly_bench_learner(const vly_bench_options *options) {
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        for (int b = 0; b < 3 && subjects[i].batch[b]; b++)
            for (int bf16 = 0; bf16 <= (subjects[i].net.kind != VLY_NET_MLP); bf16++)
                for (int learn = 0; learn < 2; learn++) VLY_TRY(measure(options, &subjects[i], subjects[i].batch[b], bf16, learn));
    return VLY_OK;
}
