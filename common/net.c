#include "common/net.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/philox.h"

enum { NODES_MAX = 64, TENSORS_MAX = 96, ALIGN = 16 };

struct vly_net {
    vly_net_desc desc;
    vly_net_node nodes[NODES_MAX];
    vly_net_value values[NODES_MAX];
    vly_tensor tensors[TENSORS_MAX];
    int node_count, value_count, tensor_count;
    int64_t params, weights;
    int logits, value; /* values; value is -1 without one */
};

/* ---- building ---- */

static int add_value(vly_net *net, int h, int w, int c, vly_dtype type) {
    net->values[net->value_count] = (vly_net_value){(int64_t)h * w * c, h, w, c, type};
    return net->value_count++;
}

static int64_t add_tensor(vly_net *net, const char *name, const char *part, int ndim, const int64_t *shape, int64_t offset,
                          float gain) {
    vly_tensor *t = &net->tensors[net->tensor_count++];
    snprintf(t->name, sizeof t->name, "%s.%s", name, part);
    t->ndim = ndim;
    t->n = 1;
    for (int i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        t->n *= shape[i];
    }
    t->offset = offset;
    t->gain = gain;
    net->weights += t->n;
    return t->n;
}

static vly_dtype act_type(const vly_net *net) { return net->desc.bf16 ? VLY_BF16 : VLY_F32; }

/* Appends a layer and its tensors; returns the value it makes. */
static int add_layer(vly_net *net, const char *name, int in, vly_layer_desc layer, float gain) {
    const vly_net_value *x = &net->values[in];
    layer.x_type = x->type;
    layer.x_scale = x->type == VLY_U8 ? net->desc.obs.scale : 1.0f;
    layer.needs_dx = in != 0;
    layer.tf32 = net->desc.tf32;
    int h = 1, w = 1;
    if (layer.kind == VLY_LINEAR) {
        layer.in_h = layer.in_w = 1;
        layer.in_c = (int)x->size;
    } else {
        layer.in_h = x->h, layer.in_w = x->w, layer.in_c = x->c;
        h = vly_out_size(x->h, layer.kernel, layer.stride, layer.pad);
        w = vly_out_size(x->w, layer.kernel, layer.stride, layer.pad);
    }
    vly_net_node *node = &net->nodes[net->node_count++];
    node->op = VLY_NODE_LAYER;
    node->in = in;
    node->layer = layer;
    node->offset = net->params;
    if (layer.kind != VLY_MAXPOOL) {
        const int64_t conv[] = {layer.out_c, layer.kernel, layer.kernel, layer.in_c}, linear[] = {layer.out_c, layer.in_c};
        const bool is_conv = layer.kind == VLY_CONV;
        const int64_t n = add_tensor(net, name, "weight", is_conv ? 4 : 2, is_conv ? conv : linear, net->params, gain);
        add_tensor(net, name, "bias", 1, conv, net->params + n, 0.0f);
        net->params = (net->params + n + layer.out_c + ALIGN - 1) / ALIGN * ALIGN;
    }
    return node->out = add_value(net, h, w, layer.out_c, layer.y_type);
}

static const float HIDDEN = 1.41421356f; /* gain of hidden layers */

static int add_linear(vly_net *net, const char *name, int in, int out, vly_act act, vly_dtype type, float gain) {
    return add_layer(net, name, in, (vly_layer_desc){.kind = VLY_LINEAR, .act = act, .out_c = out, .y_type = type}, gain);
}

static int add_conv(vly_net *net, const char *name, int in, int out, int kernel, int stride, int pad, vly_act act) {
    const vly_layer_desc layer = {.kind = VLY_CONV, .act = act, .out_c = out, .kernel = kernel, .stride = stride, .pad = pad,
                                  .y_type = act_type(net)};
    return add_layer(net, name, in, layer, HIDDEN);
}

static int add_unary(vly_net *net, vly_net_op op, int in, vly_dtype type) {
    const vly_net_value *x = &net->values[in];
    vly_net_node *node = &net->nodes[net->node_count++];
    node->op = op;
    node->in = in;
    return node->out = add_value(net, x->h, x->w, x->c, type);
}

static int add_residual(vly_net *net, const char *name, int in) {
    char part[48];
    const int channels = net->values[in].c;
    const int r = add_unary(net, VLY_NODE_RELU, in, act_type(net));
    snprintf(part, sizeof part, "%s.conv0", name);
    const int hidden = add_conv(net, part, r, channels, 3, 1, 1, VLY_ACT_RELU);
    snprintf(part, sizeof part, "%s.conv1", name);
    const int out = add_conv(net, part, hidden, channels, 3, 1, 1, VLY_ACT_NONE);
    net->nodes[net->node_count++] = (vly_net_node){.op = VLY_NODE_ADD, .in = in, .out = out};
    return out;
}

static int add_impala(vly_net *net, int x) {
    static const int channels[] = {16, 32, 32};
    char name[32];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "trunk.%d.conv", i);
        x = add_conv(net, name, x, channels[i], 3, 1, 1, VLY_ACT_NONE);
        x = add_layer(net, "", x, (vly_layer_desc){.kind = VLY_MAXPOOL, .out_c = channels[i], .kernel = 3, .stride = 2, .pad = 1,
                                                   .y_type = act_type(net)}, 0.0f);
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "trunk.%d.residual%d", i, k);
            x = add_residual(net, name, x);
        }
    }
    return add_unary(net, VLY_NODE_RELU, x, act_type(net));
}

static int add_convs(vly_net *net, int x, const int (*convs)[3], int count) { /* channels, kernel, stride */
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "trunk.conv%d", i);
        x = add_conv(net, name, x, convs[i][0], convs[i][1], convs[i][2], 0, VLY_ACT_RELU);
    }
    return x;
}

static int add_trunk(vly_net *net, const char *prefix, int x) {
    static const int minatar[][3] = {{16, 3, 1}}, nature[][3] = {{32, 8, 4}, {64, 4, 2}, {64, 3, 1}}, a3c[][3] = {{16, 8, 4}, {32, 4, 2}};
    char name[32];
    int width = 0;
    switch (net->desc.kind) {
    case VLY_NET_AUTO:
    case VLY_NET_MLP:
        for (int i = 0; i < net->desc.layers; i++) {
            snprintf(name, sizeof name, "%s.%d", prefix, i);
            x = add_linear(net, name, x, net->desc.hidden[i], net->desc.act, act_type(net), HIDDEN);
        }
        return x;
    case VLY_NET_MINATAR: x = add_convs(net, x, minatar, 1), width = 128; break;
    case VLY_NET_NATURE: x = add_convs(net, x, nature, 3), width = 512; break;
    case VLY_NET_A3C: x = add_convs(net, x, a3c, 2), width = 256; break;
    case VLY_NET_IMPALA: x = add_impala(net, x), width = 256; break;
    }
    if (net->desc.hidden[0] > 0) width = net->desc.hidden[0];
    snprintf(name, sizeof name, "%s.fc", prefix);
    return add_linear(net, name, x, width, VLY_ACT_RELU, act_type(net), HIDDEN);
}

static int add_lstm(vly_net *net, int x) {
    const int H = net->desc.lstm;
    const int gates = add_linear(net, "lstm.input", x, 4 * H, VLY_ACT_NONE, VLY_F32, 1.0f);
    vly_net_node *node = &net->nodes[net->node_count++];
    node->op = VLY_NODE_LSTM;
    node->in = gates;
    node->offset = net->params;
    const int64_t shape[] = {4 * (int64_t)H, H};
    const int64_t n = add_tensor(net, "lstm.hidden", "weight", 2, shape, net->params, 1.0f);
    net->params = (net->params + n + ALIGN - 1) / ALIGN * ALIGN;
    return node->out = add_value(net, 1, 1, H, VLY_F32);
}

static void add_heads(vly_net *net, int policy, int value_in) {
    const int A = net->desc.actions;
    net->value = -1;
    switch (net->desc.head) {
    case VLY_HEAD_POLICY_VALUE:
        net->logits = add_linear(net, "policy.head", policy, A, VLY_ACT_NONE, VLY_F32, 0.01f);
        net->value = add_linear(net, "value.head", value_in, 1, VLY_ACT_NONE, VLY_F32, 1.0f);
        break;
    case VLY_HEAD_Q: net->logits = add_linear(net, "q.head", policy, A, VLY_ACT_NONE, VLY_F32, 1.0f); break;
    case VLY_HEAD_DUELING: {
        const int v = add_linear(net, "q.value", value_in, 1, VLY_ACT_NONE, VLY_F32, 1.0f);
        const int a = add_linear(net, "q.advantage", policy, A, VLY_ACT_NONE, VLY_F32, 1.0f);
        vly_net_node *node = &net->nodes[net->node_count++];
        node->op = VLY_NODE_DUELING;
        node->in = v, node->in2 = a;
        net->logits = node->out = add_value(net, 1, 1, A, VLY_F32);
        break;
    }
    }
}

static void build(vly_net *net) {
    const vly_net_desc *d = &net->desc;
    const vly_obs_spec *o = &d->obs;
    const bool image = d->kind != VLY_NET_MLP;
    const int h = o->ndim == 3 ? o->shape[0] : 1, w = o->ndim == 3 ? o->shape[1] : 1;
    const int c = (o->ndim == 3 ? o->shape[2] : o->shape[0]) * (o->stack > 1 ? o->stack : 1);
    const int x = add_value(net, h, w, c, image && o->dtype == VLY_U8 ? VLY_U8 : act_type(net));
    const bool towers = d->kind == VLY_NET_MLP && !d->shared && d->lstm == 0 && d->head == VLY_HEAD_POLICY_VALUE;
    int policy = add_trunk(net, towers ? "policy" : "trunk", x);
    if (d->lstm > 0) policy = add_lstm(net, policy);
    const int value_in = towers ? add_trunk(net, "value", x) : policy;
    add_heads(net, policy, value_in);
}

static vly_status check_desc(const vly_net_desc *d) {
    const vly_obs_spec *o = &d->obs;
    if (o->ndim != 1 && o->ndim != 3) return vly_fail(VLY_EINVAL, "a network reads observations of 1 or 3 dimensions, not %d", o->ndim);
    for (int i = 0; i < o->ndim; i++)
        if (o->shape[i] < 1) return vly_fail(VLY_EINVAL, "the observation's dimension %d is %d", i, o->shape[i]);
    if (o->dtype != VLY_F32 && o->dtype != VLY_U8) return vly_fail(VLY_EINVAL, "a network reads float or uint8 observations");
    if (d->actions < 1 || d->actions > 4096) return vly_fail(VLY_EINVAL, "a network has 1 to 4096 actions, not %d", d->actions);
    if (d->layers < 0 || d->layers > VLY_NET_HIDDEN_MAX)
        return vly_fail(VLY_EINVAL, "an MLP has 0 to %d hidden layers, not %d", VLY_NET_HIDDEN_MAX, d->layers);
    for (int i = 0; i < (d->kind == VLY_NET_MLP ? d->layers : 1); i++)
        if (d->hidden[i] < (d->kind == VLY_NET_MLP) || d->hidden[i] > 65536)
            return vly_fail(VLY_EINVAL, "a hidden layer has 1 to 65536 units, not %d", d->hidden[i]);
    if (d->lstm < 0 || d->lstm > 8192) return vly_fail(VLY_EINVAL, "an LSTM has 1 to 8192 units, not %d", d->lstm);
    if (d->kind != VLY_NET_MLP && o->ndim != 3)
        return vly_fail(VLY_EINVAL, "network \"%s\" needs an image; these observations are vectors: use --net.kind mlp",
                        vly_net_kind_name(d->kind));
    const int least = d->kind == VLY_NET_NATURE ? 36 : d->kind == VLY_NET_A3C ? 20 : d->kind == VLY_NET_MLP ? 1 : 3;
    if (o->ndim == 3 && (o->shape[0] < least || o->shape[1] < least))
        return vly_fail(VLY_EINVAL, "network \"%s\" needs images of at least %d x %d, not %d x %d", vly_net_kind_name(d->kind), least,
                        least, o->shape[0], o->shape[1]);
    return VLY_OK;
}

static vly_net_kind kind_for(const vly_obs_spec *o) {
    if (o->ndim != 3) return VLY_NET_MLP;
    return o->shape[0] >= 36 && o->shape[1] >= 36 ? VLY_NET_NATURE : o->shape[0] >= 3 && o->shape[1] >= 3 ? VLY_NET_MINATAR : VLY_NET_MLP;
}

vly_status vly_net_create(vly_net **out, const vly_net_desc *desc) {
    *out = NULL;
    vly_net_desc d = *desc;
    if (d.kind == VLY_NET_AUTO) d.kind = kind_for(&d.obs);
    VLY_TRY(check_desc(&d));
    vly_net *net = calloc(1, sizeof *net);
    if (!net) return vly_fail(VLY_ENOMEM, "no memory for a network's description");
    net->desc = d;
    build(net);
    *out = net;
    return VLY_OK;
}

void vly_net_destroy(vly_net *net) { free(net); }
const vly_net_desc *vly_net_description(const vly_net *net) { return &net->desc; }
int64_t vly_net_params(const vly_net *net) { return net->params; }
int64_t vly_net_weights(const vly_net *net) { return net->weights; }
vly_net_graph vly_net_view(const vly_net *net) {
    return (vly_net_graph){.nodes = net->nodes, .node_count = net->node_count, .values = net->values, .logits = net->logits, .value = net->value};
}
const vly_tensor *vly_net_tensor(const vly_net *net, int i) {
    return i >= 0 && i < net->tensor_count ? &net->tensors[i] : NULL;
}

const char *vly_net_kind_name(vly_net_kind kind) {
    static const char *const names[] = {"auto", "mlp", "minatar", "nature", "a3c", "impala"};
    return kind >= 0 && kind < (int)(sizeof names / sizeof names[0]) ? names[kind] : "?";
}

/* ---- initialisation ---- */

static void fill_normal(uint64_t seed, uint64_t tensor, int64_t n, double *x) {
    for (int64_t i = 0; i < n; i += 2) { /* Box-Muller */
        const vly_u32x4 r = vly_philox(seed, VLY_STREAM_INIT, tensor, (uint32_t)(i / 2));
        const double radius = sqrt(-2.0 * log(vly_unit(r.v[0]))), angle = 6.283185307179586 * vly_unit(r.v[1]);
        x[i] = radius * cos(angle);
        if (i + 1 < n) x[i + 1] = radius * sin(angle);
    }
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum[8] = {0}; /* eight partial sums: a fixed order that vectorises */
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* Orthonormal rows (modified Gram-Schmidt on Gaussian rows: Haar-distributed). rows <= n. */
static void orthonormalize(double *a, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows; i++) {
        double *v = a + i * n;
        for (int64_t j = 0; j < i; j++) {
            const double *u = a + j * n, p = dot(u, v, n);
            for (int64_t k = 0; k < n; k++) v[k] -= p * u[k];
        }
        const double scale = 1.0 / sqrt(dot(v, v, n));
        for (int64_t k = 0; k < n; k++) v[k] *= scale;
    }
}

static vly_status init_orthogonal(const vly_tensor *t, uint64_t seed, uint64_t index, vly_real *w) {
    const int64_t rows = t->shape[0], columns = t->n / rows;
    const bool wide = rows <= columns;
    double *a = malloc((size_t)t->n * sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory to initialise %s", t->name);
    fill_normal(seed, index, t->n, a);
    orthonormalize(a, wide ? rows : columns, wide ? columns : rows);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < columns; k++) w[i * columns + k] = (vly_real)(t->gain * (wide ? a[i * columns + k] : a[k * rows + i]));
    free(a);
    return VLY_OK;
}

static void init_uniform(int64_t n, double bound, uint64_t seed, uint64_t index, vly_real *w) {
    for (int64_t i = 0; i < n; i++)
        w[i] = (vly_real)(bound * (2.0 * vly_unit(vly_philox(seed, VLY_STREAM_INIT, index, (uint32_t)i).v[0]) - 1.0));
}

static vly_status init_normal(const vly_tensor *t, double deviation, uint64_t seed, uint64_t index, vly_real *w) {
    double *a = malloc((size_t)t->n * sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory to initialise %s", t->name);
    fill_normal(seed, index, t->n, a);
    for (int64_t i = 0; i < t->n; i++) w[i] = (vly_real)(deviation * a[i]);
    free(a);
    return VLY_OK;
}

static vly_status init_tensor(const vly_tensor *t, vly_init_kind kind, uint64_t seed, uint64_t index, vly_real *w) {
    const double fan_in = (double)(t->n / t->shape[0]);
    const double area = t->ndim == 4 ? (double)(t->shape[1] * t->shape[2]) : 1.0, fan_out = (double)t->shape[0] * area;
    switch (kind) {
    case VLY_INIT_ORTHOGONAL: return init_orthogonal(t, seed, index, w);
    case VLY_INIT_XAVIER_UNIFORM: init_uniform(t->n, sqrt(6.0 / (fan_in + fan_out)), seed, index, w); return VLY_OK;
    case VLY_INIT_XAVIER_NORMAL: return init_normal(t, sqrt(2.0 / (fan_in + fan_out)), seed, index, w);
    case VLY_INIT_KAIMING_UNIFORM: init_uniform(t->n, sqrt(6.0 / fan_in), seed, index, w); return VLY_OK;
    case VLY_INIT_KAIMING_NORMAL: return init_normal(t, sqrt(2.0 / fan_in), seed, index, w);
    case VLY_INIT_LECUN_NORMAL: return init_normal(t, sqrt(1.0 / fan_in), seed, index, w);
    case VLY_INIT_TORCH: init_uniform(t->n, 1.0 / sqrt(fan_in), seed, index, w); return VLY_OK;
    }
    return vly_fail(VLY_EINVAL, "initialisation %d does not exist", (int)kind);
}

vly_status vly_net_init(const vly_net *net, uint64_t seed, vly_real *param) {
    double fan_in = 1; /* a bias follows its weight */
    memset(param, 0, (size_t)net->params * sizeof *param);
    for (int i = 0; i < net->tensor_count; i++) {
        const vly_tensor *t = &net->tensors[i];
        if (t->ndim > 1) {
            fan_in = (double)(t->n / t->shape[0]);
            VLY_TRY(init_tensor(t, net->desc.init, seed, (uint64_t)i, param + t->offset));
        } else if (net->desc.init == VLY_INIT_TORCH) {
            init_uniform(t->n, 1.0 / sqrt(fan_in), seed, (uint64_t)i, param + t->offset);
        }
    }
    return VLY_OK;
}

/* ---- a context ---- */

typedef struct {
    vly_exec pub; /* first: what the user sees */
    vly_compute *c;
    vly_layer *layers[NODES_MAX];
    void *act[NODES_MAX], *grad[NODES_MAX];  /* by value: point into the slots */
    void *slots[2 * NODES_MAX + 8];
    int slot_count;
    void *scratch;                           /* a second gradient of a value, before it is added */
    bool shares_low;                         /* bf16 weights: the optimizer keeps them */
    vly_real *lstm_work;
    int steps;                               /* LSTM: of the sequence */
    const uint8_t *flags;
    vly_status (*on_gradient)(void *arg, vly_queue *q, vly_real *grad, int64_t from);
    void *on_gradient_arg;
    int split;                               /* node after whose backward it is called */
} exec;

static size_t type_bytes(vly_dtype type) { return type == VLY_F32 ? sizeof(vly_real) : vly_dtype_bytes(type); }
static size_t value_bytes(const vly_net *net, int v, int batch) {
    return (size_t)net->values[v].size * (size_t)batch * type_bytes(net->values[v].type);
}

static vly_status take(exec *e, size_t bytes, const char *what, void **out) {
    VLY_TRY(e->c->alloc(e->c, bytes, what, "--net.*, or the batch", &e->slots[e->slot_count]));
    *out = e->slots[e->slot_count++];
    return VLY_OK;
}

/* Values share memory when their lives do not overlap. first[v], last[v]: the interval of a value's
 * life in a sequence of events; -1: none. Fills memory[v]. */
static vly_status share(exec *e, const int *first, const int *last, const char *what, void **memory) {
    const vly_net *net = e->pub.net;
    int owner[NODES_MAX], slot_of[NODES_MAX], count = 0;
    size_t bytes[NODES_MAX] = {0};
    for (int event = 0; event <= 2 * NODES_MAX; event++) {
        for (int v = 0; v < net->value_count; v++) {
            if (first[v] != event) continue;
            const size_t need = value_bytes(net, v, e->pub.batch_max);
            int best = -1;
            for (int s = 0; s < count; s++) {
                const bool busy = last[owner[s]] >= event;
                if (!busy && (best < 0 || (bytes[s] >= need && (bytes[best] < need || bytes[s] < bytes[best])) ||
                              (bytes[best] < need && bytes[s] > bytes[best])))
                    best = s;
            }
            if (best < 0) best = count++;
            owner[best] = v;
            slot_of[v] = best;
            if (bytes[best] < need) bytes[best] = need;
        }
    }
    void *slots[NODES_MAX];
    for (int s = 0; s < count; s++) VLY_TRY(take(e, bytes[s], what, &slots[s]));
    for (int v = 0; v < net->value_count; v++) memory[v] = first[v] >= 0 ? slots[slot_of[v]] : NULL;
    return VLY_OK;
}

static void extend(int *first, int *last, int v, int event) {
    if (first[v] < 0) first[v] = event;
    if (last[v] < event) last[v] = event;
}

static vly_status alloc_activations(exec *e, const char *what) {
    const vly_net *net = e->pub.net;
    int first[NODES_MAX], last[NODES_MAX];
    for (int v = 0; v < NODES_MAX; v++) first[v] = last[v] = -1;
    extend(first, last, 0, 0);
    for (int i = 0; i < net->node_count; i++) {
        const vly_net_node *node = &net->nodes[i];
        extend(first, last, node->in, i + 1);
        if (node->op == VLY_NODE_DUELING) extend(first, last, node->in2, i + 1);
        extend(first, last, node->out, i + 1);
    }
    const int end = e->pub.learn ? 2 * NODES_MAX : net->node_count + 1;
    for (int v = 0; v < net->value_count; v++) /* outputs, and all that backward reads, live to the end */
        if (first[v] >= 0 && (e->pub.learn || v == net->logits || v == net->value)) last[v] = end;
    for (int i = 0; i < net->node_count; i++) /* the LSTM's output is part of its states */
        if (net->nodes[i].op == VLY_NODE_LSTM) first[net->nodes[i].out] = last[net->nodes[i].out] = -1;
    last[0] = 2 * NODES_MAX; /* the caller may look at the input, or run forward again */
    return share(e, first, last, what, e->act);
}

static vly_status alloc_gradients(exec *e, const char *what) {
    const vly_net *net = e->pub.net;
    int first[NODES_MAX], last[NODES_MAX];
    size_t scratch = 0;
    for (int v = 0; v < NODES_MAX; v++) first[v] = last[v] = -1;
    extend(first, last, net->logits, 0);
    if (net->value >= 0) extend(first, last, net->value, 0);
    for (int i = net->node_count; i-- > 0;) {
        const vly_net_node *node = &net->nodes[i];
        const int event = net->node_count - i;
        extend(first, last, node->out, event);
        if (node->in != 0) extend(first, last, node->in, event);
        if (node->op == VLY_NODE_DUELING) extend(first, last, node->in2, event);
        if (node->in != 0 && value_bytes(net, node->in, e->pub.batch_max) > scratch) scratch = value_bytes(net, node->in, e->pub.batch_max);
    }
    VLY_TRY(share(e, first, last, what, e->grad));
    return scratch ? take(e, scratch, what, &e->scratch) : VLY_OK;
}

static vly_status alloc_lstm(exec *e) {
    const vly_net *net = e->pub.net;
    const size_t H = (size_t)net->desc.lstm, batch = (size_t)e->pub.batch_max;
    void *h, *c;
    VLY_TRY(take(e, 2 * batch * H * sizeof(vly_real), "LSTM states", &h)); /* (steps + 1) rows <= 2 batch */
    VLY_TRY(take(e, 2 * batch * H * sizeof(vly_real), "LSTM states", &c));
    e->pub.state_h = h, e->pub.state_c = c;
    if (!e->pub.learn) return VLY_OK;
    void *work;
    VLY_TRY(take(e, 6 * batch * H * sizeof(vly_real), "LSTM gradients", &work));
    e->lstm_work = work;
    return VLY_OK;
}

static vly_status create_layers(exec *e) {
    const vly_net *net = e->pub.net;
    for (int i = 0; i < net->node_count; i++) {
        if (net->nodes[i].op != VLY_NODE_LAYER) continue;
        vly_layer_desc layer = net->nodes[i].layer;
        layer.batch_max = e->pub.batch_max;
        layer.learn = e->pub.learn;
        VLY_TRY(e->c->layer_create(e->c, &layer, &e->layers[i]));
    }
    return VLY_OK;
}

static vly_status fill_exec(exec *e, const char *what) {
    const vly_net *net = e->pub.net;
    VLY_TRY(alloc_activations(e, what));
    if (e->pub.learn) VLY_TRY(alloc_gradients(e, what));
    if (net->desc.lstm > 0) VLY_TRY(alloc_lstm(e));
    e->pub.x = e->act[0];
    e->pub.x_type = net->values[0].type;
    e->pub.logits = e->act[net->logits];
    e->pub.value = net->value >= 0 ? e->act[net->value] : NULL;
    e->pub.dlogits = e->grad[net->logits];
    e->pub.dvalue = net->value >= 0 ? e->grad[net->value] : NULL;
    return create_layers(e);
}

vly_status vly_exec_create(vly_exec **out, vly_compute *c, const vly_net *net, int batch_max, bool learn, const char *what) {
    *out = NULL;
    if (batch_max < 1) return vly_fail(VLY_EINVAL, "a batch of %d rows (%s)", batch_max, what);
    exec *e = calloc(1, sizeof *e);
    if (!e) return vly_fail(VLY_ENOMEM, "no memory for a network's context (%s)", what);
    e->c = c;
    e->steps = 1;
    e->pub.net = net;
    e->pub.batch_max = batch_max;
    e->pub.learn = learn;
    const vly_status status = fill_exec(e, what);
    if (status != VLY_OK) {
        vly_exec_destroy(&e->pub);
        return status;
    }
    *out = &e->pub;
    return VLY_OK;
}

void vly_exec_destroy(vly_exec *pub) {
    exec *e = (exec *)pub;
    if (!e) return;
    for (int i = 0; i < NODES_MAX; i++)
        if (e->layers[i]) e->c->layer_destroy(e->layers[i]);
    for (int i = 0; i < e->slot_count; i++) e->c->free(e->c, e->slots[i]);
    free(e);
}

vly_status vly_exec_prepare(vly_exec *pub, vly_queue *q, const vly_real *param) {
    exec *e = (exec *)pub;
    const vly_net *net = pub->net;
    for (int i = 0; i < net->node_count; i++)
        if (e->layers[i]) VLY_TRY(e->c->layer_prepare(q, e->layers[i], param + net->nodes[i].offset));
    return VLY_OK;
}

static vly_status note_scale(vly_params *p, int64_t from, int64_t to, float scale) {
    if (scale == 1.0f) return VLY_OK;
    for (int r = 0; r < VLY_LOW_RANGES; r++) {
        if (p->scaled[r].to > p->scaled[r].from && p->scaled[r].from != from) continue;
        p->scaled[r] = (vly_low_range){from, to, scale};
        return VLY_OK;
    }
    return vly_fail(VLY_EUNSUPPORTED, "a network of more than %d first layers", VLY_LOW_RANGES);
}

vly_status vly_exec_share_low(vly_exec *pub, vly_params *p) {
    exec *e = (exec *)pub;
    const vly_net *net = pub->net;
    if (!e->c->layer_share || !p->low) return VLY_OK;
    for (int i = 0; i < net->node_count; i++) {
        const vly_net_node *node = &net->nodes[i];
        float scale = 1.0f;
        if (!e->layers[i] || node->layer.kind == VLY_MAXPOOL) continue;
        VLY_TRY(e->c->layer_share(e->layers[i], (uint16_t *)p->low + node->offset, &scale));
        VLY_TRY(note_scale(p, node->offset, node->offset + vly_layer_params(&node->layer) - node->layer.out_c, scale));
    }
    e->shares_low = true;
    return VLY_OK;
}

vly_status vly_exec_stepped(vly_exec *pub, vly_queue *q, const vly_real *param) {
    exec *e = (exec *)pub;
    const vly_net *net = pub->net;
    if (!e->shares_low) return vly_exec_prepare(pub, q, param);
    for (int i = 0; i < net->node_count; i++)
        if (e->layers[i]) VLY_TRY(e->c->layer_stepped(q, e->layers[i], param + net->nodes[i].offset));
    return VLY_OK;
}

vly_status vly_exec_gather(vly_exec *pub, vly_queue *q, const vly_frames *frames, int n, const int32_t *row, int64_t first) {
    return ((exec *)pub)->c->gather(q, frames, n, row, first, pub->x_type, pub->x);
}

vly_status vly_exec_sequence(vly_exec *pub, int steps, const uint8_t *flags) {
    exec *e = (exec *)pub;
    if (pub->net->desc.lstm == 0) return VLY_OK;
    if (steps < 1 || steps > pub->batch_max || !flags) return vly_fail(VLY_EINVAL, "a sequence of %d steps", steps);
    e->steps = steps;
    e->flags = flags;
    return VLY_OK;
}

/* What a node reads: the LSTM's output lies in its states, one step in. */
static void *activation(const exec *e, int v, int n) {
    if (e->act[v]) return e->act[v];
    return e->pub.state_h + (int64_t)(n / e->steps) * e->pub.net->desc.lstm;
}

static vly_status check_rows(const exec *e, int n) {
    if (n < 1 || n > e->pub.batch_max) return vly_fail(VLY_EINVAL, "%d rows in a context made for %d", n, e->pub.batch_max);
    if (e->pub.net->desc.lstm > 0 && (n % e->steps || !e->flags))
        return vly_fail(VLY_EINVAL, "%d rows are not sequences of %d steps", n, e->steps);
    return VLY_OK;
}

static vly_status node_forward(exec *e, vly_queue *q, int i, int n, const vly_real *param) {
    const vly_net *net = e->pub.net;
    const vly_net_node *node = &net->nodes[i];
    const void *in = activation(e, node->in, n);
    void *out = activation(e, node->out, n);
    const vly_net_value *y = &net->values[node->out];
    switch (node->op) {
    case VLY_NODE_LAYER: return e->c->layer_forward(q, e->layers[i], n, in, param + node->offset, out);
    case VLY_NODE_RELU: return e->c->relu(q, y->type, n * y->size, in, out);
    case VLY_NODE_ADD: return e->c->add(q, y->type, n * y->size, in, out);
    case VLY_NODE_LSTM:
        return e->c->lstm_forward(q, e->steps, n / e->steps, net->desc.lstm, param + node->offset, e->flags, e->act[node->in],
                                  e->pub.state_h, e->pub.state_c);
    case VLY_NODE_DUELING: return e->c->dueling(q, n, net->desc.actions, in, activation(e, node->in2, n), out);
    }
    return VLY_EINVAL;
}

vly_status vly_exec_forward(vly_exec *pub, vly_queue *q, int n, const vly_real *param) {
    exec *e = (exec *)pub;
    VLY_TRY(check_rows(e, n));
    for (int i = 0; i < pub->net->node_count; i++) VLY_TRY(node_forward(e, q, i, n, param));
    return VLY_OK;
}

/* The gradient of node->in is written by backward of node i; `again`: someone wrote to it before. */
static vly_status node_backward(exec *e, vly_queue *q, int i, int n, const vly_real *param, vly_real *grad, bool again) {
    const vly_net *net = e->pub.net;
    const vly_net_node *node = &net->nodes[i];
    const vly_net_value *x = &net->values[node->in], *y = &net->values[node->out];
    void *dy = e->grad[node->out], *dx = e->grad[node->in];
    switch (node->op) {
    case VLY_NODE_LAYER: {
        void *to = node->in == 0 ? NULL : again ? e->scratch : dx;
        VLY_TRY(e->c->layer_backward(q, e->layers[i], n, activation(e, node->in, n), activation(e, node->out, n), param + node->offset,
                                     dy, to, grad + node->offset, false));
        return to == e->scratch && to ? e->c->add(q, x->type, n * x->size, to, dx) : VLY_OK;
    }
    case VLY_NODE_RELU: return e->c->relu_backward(q, y->type, n * y->size, activation(e, node->out, n), dy, dx, again);
    case VLY_NODE_ADD: /* dy stays for the other term */
        if (again) return e->c->add(q, y->type, n * y->size, dy, dx);
        return e->c->copy(q, dx, dy, (size_t)(n * y->size) * type_bytes(y->type));
    case VLY_NODE_LSTM:
        return e->c->lstm_backward(q, e->steps, n / e->steps, net->desc.lstm, param + node->offset, e->flags, e->act[node->in],
                                   e->pub.state_h, e->pub.state_c, dy, dx, grad + node->offset, e->lstm_work);
    case VLY_NODE_DUELING: return e->c->dueling_backward(q, n, net->desc.actions, dy, dx, e->grad[node->in2]);
    }
    return VLY_EINVAL;
}

/* Nodes and their parameters are in order of execution, so backward completes the array from its end. The first linear layer
 * behind the last convolution, or in an MLP the first at whose end half of the parameters lie. */
static int split_node(const vly_net *net) {
    int after_convs = 0;
    for (int i = 0; i < net->node_count; i++)
        if (net->nodes[i].op == VLY_NODE_LAYER && net->nodes[i].layer.kind == VLY_CONV) after_convs = i + 1;
    for (int i = after_convs; i < net->node_count; i++) {
        const vly_net_node *node = &net->nodes[i];
        const bool has_weights = (node->op == VLY_NODE_LAYER && node->layer.kind == VLY_LINEAR) || node->op == VLY_NODE_LSTM;
        if (has_weights && node->offset > 0 && (after_convs > 0 || 2 * node->offset >= net->params)) return i;
    }
    return -1;
}

int64_t vly_net_split(const vly_net *net) {
    const int node = split_node(net);
    return node < 0 ? 0 : net->nodes[node].offset;
}

void vly_exec_on_gradient(vly_exec *pub, vly_status (*fn)(void *arg, vly_queue *q, vly_real *grad, int64_t from), void *arg) {
    exec *e = (exec *)pub;
    e->split = split_node(pub->net);
    e->on_gradient = e->split > 0 ? fn : NULL;
    e->on_gradient_arg = arg;
}

vly_status vly_exec_backward(vly_exec *pub, vly_queue *q, int n, const vly_real *param, vly_real *grad) {
    exec *e = (exec *)pub;
    bool written[NODES_MAX] = {false};
    if (!pub->learn) return vly_fail(VLY_EINVAL, "backward in a context that only runs forward");
    VLY_TRY(check_rows(e, n));
    for (int i = pub->net->node_count; i-- > 0;) {
        const vly_net_node *node = &pub->net->nodes[i];
        VLY_TRY(node_backward(e, q, i, n, param, grad, written[node->in]));
        written[node->in] = true;
        if (e->on_gradient && i == e->split) VLY_TRY(e->on_gradient(e->on_gradient_arg, q, grad, node->offset));
    }
    return VLY_OK;
}
