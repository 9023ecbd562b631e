#include "common/learn/learner.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const vly_optimizer_kind optimizer_kind[] = {
    [VLY_OPTIM_KIND_SGD] = VLY_SGD,
    [VLY_OPTIM_KIND_ADAM] = VLY_ADAM,
    [VLY_OPTIM_KIND_RMSPROP] = VLY_RMSPROP,
    [VLY_OPTIM_KIND_RMSPROP_TF] = VLY_RMSPROP_TF,
    [VLY_OPTIM_KIND_RMSPROP_CENTERED] = VLY_RMSPROP_CENTERED,
};
static const vly_net_kind net_kind[] = {
    [VLY_NET_KIND_AUTO] = VLY_NET_AUTO,       [VLY_NET_KIND_MLP] = VLY_NET_MLP,
    [VLY_NET_KIND_MINATAR] = VLY_NET_MINATAR, [VLY_NET_KIND_NATURE] = VLY_NET_NATURE,
    [VLY_NET_KIND_A3C] = VLY_NET_A3C,         [VLY_NET_KIND_IMPALA] = VLY_NET_IMPALA,
};
static const vly_init_kind net_init[] = {
    [VLY_NET_INIT_ORTHOGONAL] = VLY_INIT_ORTHOGONAL,
    [VLY_NET_INIT_XAVIER_UNIFORM] = VLY_INIT_XAVIER_UNIFORM,
    [VLY_NET_INIT_XAVIER_NORMAL] = VLY_INIT_XAVIER_NORMAL,
    [VLY_NET_INIT_KAIMING_UNIFORM] = VLY_INIT_KAIMING_UNIFORM,
    [VLY_NET_INIT_KAIMING_NORMAL] = VLY_INIT_KAIMING_NORMAL,
    [VLY_NET_INIT_LECUN_NORMAL] = VLY_INIT_LECUN_NORMAL,
    [VLY_NET_INIT_TORCH] = VLY_INIT_TORCH,
};

static vly_status alloc_reals(vly_learner *l, int64_t n, const char *what, vly_real **out) {
    void *memory;
    VLY_TRY(l->c->alloc(l->c, (size_t)n * sizeof(vly_real), what, "--net.hidden", &memory));
    *out = memory;
    return VLY_OK;
}

static vly_status alloc_training(vly_learner *l) {
    void *memory;
    VLY_TRY(alloc_reals(l, l->params.n, "gradients", &l->params.grad));
    VLY_TRY(alloc_reals(l, l->params.n, "the optimizer's first moments", &l->params.m));
    VLY_TRY(alloc_reals(l, l->params.n, "the optimizer's second moments", &l->params.v));
    VLY_TRY(alloc_reals(l, 2, "the gradient norm", &l->norm));
    VLY_TRY(alloc_reals(l, VLY_STATS, "statistics", &l->stats));
    VLY_TRY(l->c->alloc(l->c, sizeof(int64_t), "the optimizer's step", "--net.hidden", &memory));
    l->params.step = memory;
    VLY_TRY(l->c->alloc(l->c, sizeof(vly_hyper), "scalars", "--net.hidden", &memory));
    l->hyper_device = memory;
    VLY_TRY(l->c->alloc_host(l->c, sizeof(vly_hyper), "scalars", &memory));
    l->hyper = memory;
    VLY_TRY(l->c->alloc_host(l->c, VLY_STATS * sizeof(vly_real), "statistics", &memory));
    l->sums = memory;
    return VLY_OK;
}

/* Weights are made on the host and uploaded; all ranks start from rank 0's. */
static vly_status first_weights(vly_learner *l, const vly_algo_args *args) {
    const size_t bytes = (size_t)l->params.n * sizeof(vly_real);
    vly_real *host = malloc(bytes);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for the first weights (%zu bytes)", bytes);
    vly_status status = vly_net_init(l->net, args->seed, host);
    if (status == VLY_OK) status = l->c->upload(args->queue, l->params.param, host, bytes);
    if (status == VLY_OK) status = l->c->queue_sync(args->queue);
    if (status == VLY_OK && !args->eval && l->optimizer.kind == VLY_RMSPROP_TF) { /* its accumulator
                                                                                     starts at 1 */
        for (int64_t i = 0; i < l->params.n; i++) host[i] = 1;
        status = l->c->upload(args->queue, l->params.v, host, bytes);
        if (status == VLY_OK) status = l->c->queue_sync(args->queue);
    }
    free(host);
    if (status == VLY_OK && l->sync && l->sync->broadcast)
        status = l->sync->broadcast(l->sync, args->queue, l->params.param, bytes, 0);
    return status;
}

vly_status vly_learner_create(vly_learner *l, const vly_algo_args *args, const vly_net *net) {
    const vly_config *config = args->config;
    memset(l, 0, sizeof *l);
    l->c = args->compute;
    l->net = net;
    l->sync = args->sync;
    l->optimizer = (vly_optimizer){.kind = optimizer_kind[config->optim.kind],
                                   .beta1 = config->optim.beta1,
                                   .beta2 = config->optim.beta2,
                                   .eps = config->optim.eps,
                                   .momentum = config->optim.momentum};
    l->params.n = vly_net_params(net);
    vly_status status = alloc_reals(l, l->params.n, "weights", &l->params.param);
    if (status == VLY_OK && !args->eval) status = alloc_training(l);
    if (status == VLY_OK) status = first_weights(l, args);
    if (status != VLY_OK) vly_learner_destroy(l);
    return status;
}

void vly_learner_destroy(vly_learner *l) {
    if (!l->c) return;
    void *const device[] = {l->params.param, l->params.grad, l->params.m,
                            l->params.v,     l->params.step, l->params.low,
                            l->norm,         l->stats,       l->hyper_device};
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++)
        if (device[i]) l->c->free(l->c, device[i]);
    if (l->hyper) l->c->free_host(l->c, l->hyper);
    if (l->sums) l->c->free_host(l->c, l->sums);
    memset(l, 0, sizeof *l);
}

vly_status vly_learner_begin(vly_learner *l, vly_queue *q) {
    l->hyper->max_grad_norm = l->hyper->max_grad_norm > 0 ? l->hyper->max_grad_norm : 0;
    VLY_TRY(l->c->upload(q, l->hyper_device, l->hyper, sizeof *l->hyper));
    return l->c->fill(q, l->stats, 0, VLY_STATS * sizeof(vly_real));
}

/* What is queued on a device is ahead of this thread: it is waited for. */
static vly_status check_watch(const vly_learner *l, vly_queue *q) {
    if (!l->stop_asked) return VLY_OK;
    VLY_TRY(l->c->queue_sync(q));
    return l->stop_asked(l->stop_arg) ? vly_fail(VLY_ECANCELED, "interrupted within an update")
                                      : VLY_OK;
}

vly_status vly_learner_step(vly_learner *l, vly_queue *q) {
    vly_sync *s = l->sync;
    VLY_TRY(check_watch(l, q));
    const int64_t left = l->reduced > 0 ? l->reduced : l->params.n;
    l->reduced = 0;
    if (s && s->gradients) VLY_TRY(s->gradients->reduce(s, q, l->params.grad, left));
    if (s && s->server) return s->server->apply(s, q, &l->params, l->hyper);
    VLY_TRY(l->c->grad_norm(q, l->params.n, l->params.grad, l->norm));
    VLY_TRY(l->c->optimize(q, &l->optimizer, &l->params, l->norm, l->hyper_device, l->stats));
    return s && s->mixing ? s->mixing->mix(s, q, &l->params) : VLY_OK;
}

void vly_learner_watch(vly_learner *l, vly_exec *learning, const vly_progress *progress) {
    learning->stop_asked = l->c->info.is_host ? progress->stop_asked : NULL;
    l->stop_asked = l->c->info.is_host ? NULL : progress->stop_asked;
    learning->stop_arg = l->stop_arg = progress->stop_arg;
}

vly_status vly_learner_share(vly_learner *l, vly_exec *exec) {
    if (!l->c->layer_share || !l->params.grad || !vly_net_description(l->net)->bf16) return VLY_OK;
    if (!l->params.low)
        VLY_TRY(l->c->alloc(l->c, (size_t)l->params.n * 2, "the weights in bf16", "--net.hidden",
                            &l->params.low));
    return vly_exec_share_low(exec, &l->params);
}

vly_status vly_learner_stepped(const vly_learner *l, vly_queue *q, vly_exec *exec) {
    const vly_sync *s = l->sync;
    const bool own_pass = !s ||
                          (!s->server && !s->mixing); /* the optimizer alone changed the weights */
    return own_pass ? vly_exec_stepped(exec, q, l->params.param)
                    : vly_exec_prepare(exec, q, l->params.param);
}

static vly_status reduce_early(void *arg, vly_queue *q, vly_real *grad, int64_t from) {
    vly_learner *l = arg;
    l->reduced = from;
    return l->sync->gradients->reduce_early(l->sync, q, grad + from, l->params.n - from);
}

void vly_learner_overlap(vly_learner *l, vly_exec *learning) {
    const vly_sync *s = l->sync;
    if (s && s->gradients && s->gradients->reduce_early)
        vly_exec_on_gradient(learning, reduce_early, l);
}

vly_status vly_learner_end(vly_learner *l, vly_queue *q) {
    vly_sync *s = l->sync;
    if (s && s->gradients && s->gradients->compare)
        VLY_TRY(s->gradients->compare(s, q, &l->params));
    return l->c->download(q, l->sums, l->stats, VLY_STATS * sizeof(vly_real));
}

vly_status vly_learner_check(const vly_learner *l) {
    bool finite = l->sums[VLY_STAT_NONFINITE] == 0;
    for (int i = 0; i < VLY_STATS; i++) finite = finite && isfinite(l->sums[i]);
    if (finite) return VLY_OK;
    return vly_fail(
        VLY_ENUMERIC,
        "the loss, a gradient or a weight is not a finite number any more (policy loss %g, value "
        "loss %g, "
        "gradient norm %g): lower the learning rate or clip gradients (--optim.max_grad_norm)",
        (double)l->sums[VLY_STAT_POLICY_LOSS], (double)l->sums[VLY_STAT_VALUE_LOSS],
        (double)l->sums[VLY_STAT_GRAD_NORM]);
}

bool vly_learner_capturable(const vly_learner *l) {
    const vly_sync *s = l->sync;
    return !l->stop_asked && (!s || (s->gradients && s->gradients->capturable));
}

vly_status vly_learner_seed(const vly_algo_args *args, vly_rng *rng, int n) {
    vly_compute *c = args->compute;
    vly_rng *host = calloc((size_t)n, sizeof *host);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for random counters");
    for (int i = 0; i < n; i++) host[i].seed = args->seed;
    vly_status s = c->upload(args->queue, rng, host, (size_t)n * sizeof *host);
    if (s == VLY_OK) s = c->queue_sync(args->queue);
    free(host);
    return s;
}

/* Images learn in bf16 where the machine is faster at it; small MLPs gain nothing. */
static bool wants_bf16(const vly_config *config, const vly_compute_info *info,
                       const vly_obs_spec *obs) {
    if (config->run.precision == VLY_RUN_PRECISION_BF16) return true;
    const bool image = config->net.kind != VLY_NET_KIND_MLP && obs->ndim == 3 &&
                       obs->shape[0] >= 3 && obs->shape[1] >= 3;
    return config->run.precision == VLY_RUN_PRECISION_AUTO && info->has_bf16 && image;
}

vly_net_desc vly_learner_describe(const vly_algo_args *args, vly_head_kind head) {
    const vly_config *config = args->config;
    const bool image = args->env->obs.ndim == 3 && config->net.kind != VLY_NET_KIND_MLP;
    vly_net_desc d = {.kind = net_kind[config->net.kind],
                      .obs = args->env->obs,
                      .actions = args->env->action.n,
                      .head = head,
                      .shared = !config->net.separate,
                      .lstm = config->net.lstm,
                      .normalize = config->net.normalize,
                      .centre = (float)config->net.centre,
                      .init = net_init[config->net.init]};
    _Static_assert((int)VLY_LIST_MAX <= (int)VLY_NET_HIDDEN_MAX,
                   "a list may hold more layers than a network");
    d.layers = config->net.hidden.n;
    for (int i = 0; i < d.layers; i++) d.hidden[i] = config->net.hidden.v[i];
    /* Images: one number is the width after the convolutions; the MLP's default list means the
     * network's own. */
    if (image && d.layers != 1) d.hidden[0] = 0;
    d.act = config->net.activation == VLY_NET_ACTIVATION_RELU ? VLY_ACT_RELU : VLY_ACT_TANH;
    d.bf16 = wants_bf16(config, &args->compute->info, &args->env->obs);
    d.tf32 = config->run.precision == VLY_RUN_PRECISION_TF32;
    return d;
}

void vly_buffer_add(vly_buffer_list *list, const char *name, vly_buffer_role role, vly_dtype dtype,
                    int64_t n, void *data, bool device) {
    if (list->n < list->max) {
        vly_buffer *b = &list->out[list->n];
        memset(b, 0, sizeof *b);
        snprintf(b->name, sizeof b->name, "%s", name);
        b->role = role;
        b->dtype = dtype;
        b->ndim = 1;
        b->shape[0] = n;
        b->data = data;
        b->device = device;
    }
    list->n++;
}

void vly_learner_buffers(const vly_learner *l, vly_buffer_list *list) {
    const vly_tensor *t;
    for (int i = 0; (t = vly_net_tensor(l->net, i)) != NULL; i++) {
        vly_buffer_add(list, t->name, VLY_BUFFER_WEIGHT, VLY_F32, t->n, l->params.param + t->offset,
                       true);
        if (list->n > list->max) continue;
        vly_buffer *b = &list->out[list->n - 1];
        b->ndim = t->ndim;
        for (int k = 0; k < t->ndim; k++) b->shape[k] = t->shape[k];
    }
    if (!l->params.grad) return;
    vly_buffer_add(list, "optimizer.m", VLY_BUFFER_OPTIMIZER, VLY_F32, l->params.n, l->params.m,
                   true);
    vly_buffer_add(list, "optimizer.v", VLY_BUFFER_OPTIMIZER, VLY_F32, l->params.n, l->params.v,
                   true);
    vly_buffer_add(list, "optimizer.step", VLY_BUFFER_OPTIMIZER, VLY_I64, 1, l->params.step, true);
}

void vly_learner_state_buffers(const vly_learner *l, const char *prefix, vly_buffer_list *list) {
    const int first = list->n;
    vly_learner_buffers(l, list);
    for (int i = first; i < list->n && i < list->max; i++) {
        vly_buffer *b = &list->out[i];
        char name[sizeof b->name];
        snprintf(name, sizeof name, "%s", b->name);
        snprintf(b->name, sizeof b->name, "%.15s.%.47s", prefix, name);
        if (b->role == VLY_BUFFER_WEIGHT) b->role = VLY_BUFFER_STATE;
    }
}
