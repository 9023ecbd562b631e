#include "common/learn/net_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include "common/base/rules_action.h"

static int net_add_value(vly_net *net, int h, int w, int c, vly_dtype type) {
    net->values[net->value_count] = (vly_net_value){(int64_t)h * w * c, h, w, c, type};
    return net->value_count++;
}

static int64_t net_add_tensor(vly_net *net, const char *name, const char *part, int ndim,
                              const int64_t *shape, int64_t offset, float gain) {
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

static vly_dtype act_type(const vly_net *net) {
    return net->desc.bf16 ? VLY_BF16 : VLY_F32;
}

/* Fewer numbers are an input or an output: they are not rounded, and would not be quicker. */
enum { WIDE = 64 };

/* Appends a layer and its tensors; returns the value it makes. */
static int net_add_layer(vly_net *net, const char *name, int in, vly_layer_desc layer, float gain) {
    const vly_net_value *x = &net->values[in];
    layer.x_type = x->type;
    layer.x_scale = x->type == VLY_U8 ? net->desc.obs.scale : 1.0f;
    layer.needs_dx = in >= net->inputs || net->desc.input_grads;
    layer.tf32 = net->desc.tf32;
    layer.bf16_products = net->desc.bf16_products && layer.kind == VLY_LINEAR &&
                          x->type == VLY_F32 && layer.y_type == VLY_F32 && x->size >= WIDE &&
                          layer.out_c >= WIDE;
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
    node->centred = in == 0 && net->centre >= 0;
    node->layer = layer;
    node->offset = net->params;
    if (layer.kind != VLY_MAXPOOL) {
        const int64_t conv[] = {layer.out_c, layer.kernel, layer.kernel, layer.in_c},
                      linear[] = {layer.out_c, layer.in_c};
        const bool is_conv = layer.kind == VLY_CONV;
        const int64_t n = net_add_tensor(net, name, "weight", is_conv ? 4 : 2,
                                         is_conv ? conv : linear, net->params, gain);
        net_add_tensor(net, name, "bias", 1, conv, net->params + n, 0.0f);
        net->params = (net->params + n + layer.out_c + ALIGN - 1) / ALIGN * ALIGN;
    }
    return node->out = net_add_value(net, h, w, layer.out_c, layer.y_type);
}

static const float HIDDEN = 1.41421356f; /* gain of hidden layers */

static int net_add_linear(vly_net *net, const char *name, int in, int out, vly_act act,
                          vly_dtype type, float gain) {
    return net_add_layer(
        net, name, in,
        (vly_layer_desc){.kind = VLY_LINEAR, .act = act, .out_c = out, .y_type = type}, gain);
}

static int net_add_conv(vly_net *net, const char *name, int in, int out, int kernel, int stride,
                        int pad, vly_act act) {
    const vly_layer_desc layer = {.kind = VLY_CONV,
                                  .act = act,
                                  .out_c = out,
                                  .kernel = kernel,
                                  .stride = stride,
                                  .pad = pad,
                                  .y_type = act_type(net)};
    return net_add_layer(net, name, in, layer, HIDDEN);
}

static int add_unary(vly_net *net, vly_net_op op, int in, vly_dtype type) {
    const vly_net_value *x = &net->values[in];
    vly_net_node *node = &net->nodes[net->node_count++];
    node->op = op;
    node->in = in;
    return node->out = net_add_value(net, x->h, x->w, x->c, type);
}

/* Per number of one frame, whatever the stack. */
static int net_add_normalize(vly_net *net, int x) {
    const int64_t width = net->desc.obs.shape[0];
    const int out = add_unary(net, VLY_NODE_NORMALIZE, x, VLY_F32);
    net->nodes[net->node_count - 1].offset = net->params;
    const int mean = net->tensor_count;
    net_add_tensor(net, "input", "mean", 1, &width, net->params, 0);
    net_add_tensor(net, "input", "scale", 1, &width, net->params + width, 0);
    net->tensors[mean].constant = net->tensors[mean + 1].constant = true;
    net->tensors[mean + 1].first = 1;
    net->weights -= 2 * width;
    net->params = (net->params + 2 * width + ALIGN - 1) / ALIGN * ALIGN;
    net->inputs = out + 1;
    return out;
}

static void net_add_centre(vly_net *net) {
    const int64_t one = 1;
    net->centre = net->params;
    net_add_tensor(net, "input", "centre", 1, &one, net->params, 0);
    net->tensors[net->tensor_count - 1].constant = true;
    net->tensors[net->tensor_count - 1].first = net->desc.centre;
    net->weights -= 1;
    net->params = (net->params + 1 + ALIGN - 1) / ALIGN * ALIGN;
}

static int net_add_tail(vly_net *net, int x) {
    const int64_t width = net->desc.tail;
    vly_net_node *node = &net->nodes[net->node_count++];
    node->op = VLY_NODE_TAIL;
    node->in = x;
    node->offset = net->params;
    net_add_tensor(net, "policy", "tail", 1, &width, net->params, 0);
    net->tensors[net->tensor_count - 1].constant = true;
    net->params = (net->params + width + ALIGN - 1) / ALIGN * ALIGN;
    return node->out = net_add_value(net, 1, 1, net->values[x].c + (int)width, VLY_F32);
}

static int add_residual(vly_net *net, const char *name, int in) {
    char part[48];
    const int channels = net->values[in].c;
    const int r = add_unary(net, VLY_NODE_RELU, in, act_type(net));
    snprintf(part, sizeof part, "%s.conv0", name);
    const int hidden = net_add_conv(net, part, r, channels, 3, 1, 1, VLY_ACT_RELU);
    snprintf(part, sizeof part, "%s.conv1", name);
    const int out = net_add_conv(net, part, hidden, channels, 3, 1, 1, VLY_ACT_NONE);
    net->nodes[net->node_count++] = (vly_net_node){.op = VLY_NODE_ADD, .in = in, .out = out};
    return out;
}

static int add_impala(vly_net *net, int x) {
    static const int channels[] = {16, 32, 32};
    char name[32];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "trunk.%d.conv", i);
        x = net_add_conv(net, name, x, channels[i], 3, 1, 1, VLY_ACT_NONE);
        x = net_add_layer(net, "", x,
                          (vly_layer_desc){.kind = VLY_MAXPOOL,
                                           .out_c = channels[i],
                                           .kernel = 3,
                                           .stride = 2,
                                           .pad = 1,
                                           .y_type = act_type(net)},
                          0.0f);
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "trunk.%d.residual%d", i, k);
            x = add_residual(net, name, x);
        }
    }
    return add_unary(net, VLY_NODE_RELU, x, act_type(net));
}

static int add_convs(vly_net *net, int x, const int (*convs)[3], int count) { /* channels, kernel,
                                                                                 stride */
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "trunk.conv%d", i);
        x = net_add_conv(net, name, x, convs[i][0], convs[i][1], convs[i][2], 0, VLY_ACT_RELU);
    }
    return x;
}

static int add_trunk(vly_net *net, const char *prefix, int x) {
    static const int minatar[][3] = {{16, 3, 1}},
                     nature[][3] = {{32, 8, 4}, {64, 4, 2}, {64, 3, 1}},
                     a3c[][3] = {{16, 8, 4}, {32, 4, 2}};
    char name[32];
    int width = 0;
    switch (net->desc.kind) {
    case VLY_NET_AUTO:
    case VLY_NET_MLP:
        for (int i = 0; i < net->desc.layers; i++) {
            snprintf(name, sizeof name, "%s.%d", prefix, i);
            x = net_add_linear(net, name, x, net->desc.hidden[i], net->desc.act, act_type(net),
                               HIDDEN);
        }
        return x;
    case VLY_NET_MINATAR: x = add_convs(net, x, minatar, 1), width = 128; break;
    case VLY_NET_NATURE: x = add_convs(net, x, nature, 3), width = 512; break;
    case VLY_NET_A3C: x = add_convs(net, x, a3c, 2), width = 256; break;
    case VLY_NET_IMPALA: x = add_impala(net, x), width = 256; break;
    }
    if (net->desc.hidden[0] > 0) width = net->desc.hidden[0];
    snprintf(name, sizeof name, "%s.fc", prefix);
    return net_add_linear(net, name, x, width, VLY_ACT_RELU, act_type(net), HIDDEN);
}

static int net_add_lstm(vly_net *net, int x) {
    const int H = net->desc.lstm;
    const int gates = net_add_linear(net, "lstm.input", x, 4 * H, VLY_ACT_NONE, VLY_F32, 1.0f);
    vly_net_node *node = &net->nodes[net->node_count++];
    node->op = VLY_NODE_LSTM;
    node->in = gates;
    node->offset = net->params;
    const int64_t shape[] = {4 * (int64_t)H, H};
    const int64_t n = net_add_tensor(net, "lstm.hidden", "weight", 2, shape, net->params, 1.0f);
    net->params = (net->params + n + ALIGN - 1) / ALIGN * ALIGN;
    return node->out = net_add_value(net, 1, 1, H, VLY_F32);
}

static int add_policy_head(vly_net *net, int x) {
    const int out = net_add_linear(net, "policy.head", x, net->desc.actions, VLY_ACT_NONE, VLY_F32,
                                   0.01f);
    return net->desc.tail > 0 ? net_add_tail(net, out) : out;
}

static void add_heads(vly_net *net, int policy, int value_in) {
    const int A = net->desc.actions;
    net->value = -1;
    switch (net->desc.head) {
    case VLY_HEAD_POLICY_VALUE:
        net->logits = add_policy_head(net, policy);
        net->value = net_add_linear(net, "value.head", value_in, 1, VLY_ACT_NONE, VLY_F32, 1.0f);
        break;
    case VLY_HEAD_POLICY: net->logits = add_policy_head(net, policy); break;
    case VLY_HEAD_ACTION:
        net->logits = net_add_linear(net, "policy.head", policy, A, VLY_ACT_TANH, VLY_F32, 0.01f);
        break;
    case VLY_HEAD_TWIN:
        net->logits = net_add_linear(net, "q1.head", policy, A, VLY_ACT_NONE, VLY_F32, 1.0f);
        net->value = net_add_linear(net, "q2.head", value_in, A, VLY_ACT_NONE, VLY_F32, 1.0f);
        break;
    case VLY_HEAD_Q:
        net->logits = net_add_linear(net, "q.head", policy, A, VLY_ACT_NONE, VLY_F32, 1.0f);
        break;
    case VLY_HEAD_DUELING: {
        const int v = net_add_linear(net, "q.value", value_in, 1, VLY_ACT_NONE, VLY_F32, 1.0f);
        const int a = net_add_linear(net, "q.advantage", policy, A, VLY_ACT_NONE, VLY_F32, 1.0f);
        vly_net_node *node = &net->nodes[net->node_count++];
        node->op = VLY_NODE_DUELING;
        node->in = v, node->in2 = a;
        net->logits = node->out = net_add_value(net, 1, 1, A, VLY_F32);
        break;
    }
    }
}

static void net_build(vly_net *net) {
    const vly_net_desc *d = &net->desc;
    const vly_obs_spec *o = &d->obs;
    const bool image = d->kind != VLY_NET_MLP;
    const int h = o->ndim == 3 ? o->shape[0] : 1, w = o->ndim == 3 ? o->shape[1] : 1;
    const int c = (o->ndim == 3 ? o->shape[2] : o->shape[0]) * (o->stack > 1 ? o->stack : 1);
    int x = net_add_value(net, h, w, c, image && o->dtype == VLY_U8 ? VLY_U8 : act_type(net));
    net->inputs = 1;
    net->centre = -1;
    if (d->centre != 0) net_add_centre(net);
    if (d->normalize) x = net_add_normalize(net, x);
    const bool twin = d->head == VLY_HEAD_TWIN,
               towers = twin || (d->kind == VLY_NET_MLP && !d->shared && d->lstm == 0 &&
                                 d->head == VLY_HEAD_POLICY_VALUE);
    int policy = add_trunk(net, twin ? "q1" : towers ? "policy" : "trunk", x);
    if (d->lstm > 0) policy = net_add_lstm(net, policy);
    const int value_in = towers ? add_trunk(net, twin ? "q2" : "value", x) : policy;
    add_heads(net, policy, value_in);
    net->desc.shared = !towers;
}

/* What only an MLP of float vectors has. */
static vly_status check_vector_parts(const vly_net_desc *d) {
    const bool vector = d->kind == VLY_NET_MLP && d->obs.ndim == 1 && d->obs.dtype == VLY_F32;
    if (d->normalize && (!vector || d->bf16 || d->obs.stack > 1))
        return vly_fail(VLY_EINVAL,
                        "observations are normalised where they are vectors of floats, with an MLP "
                        "in fp32, without stacked frames");
    if (d->head == VLY_HEAD_TWIN && (d->kind != VLY_NET_MLP || d->lstm > 0))
        return vly_fail(VLY_EINVAL, "twin critics are MLPs without an LSTM");
    if (d->input_grads && (!vector || d->bf16 || d->normalize))
        return vly_fail(VLY_EINVAL, "the gradient of the input is of float vectors as they are");
    return VLY_OK;
}

static vly_status check_desc(const vly_net_desc *d) {
    const vly_obs_spec *o = &d->obs;
    if (o->ndim != 1 && o->ndim != 3)
        return vly_fail(VLY_EINVAL, "a network reads observations of 1 or 3 dimensions, not %d",
                        o->ndim);
    for (int i = 0; i < o->ndim; i++)
        if (o->shape[i] < 1)
            return vly_fail(VLY_EINVAL, "the observation's dimension %d is %d", i, o->shape[i]);
    if (o->dtype != VLY_F32 && o->dtype != VLY_U8)
        return vly_fail(VLY_EINVAL, "a network reads float or uint8 observations");
    if (d->actions < 1 || d->actions > 4096)
        return vly_fail(VLY_EINVAL, "a network has 1 to 4096 actions, not %d", d->actions);
    if (d->tail < 0 || d->tail > 4096)
        return vly_fail(VLY_EINVAL, "a policy has 0 to 4096 deviations, not %d", d->tail);
    VLY_TRY(check_vector_parts(d));
    if (d->centre != 0 && (d->kind == VLY_NET_MLP || o->dtype != VLY_U8))
        return vly_fail(VLY_EINVAL, "net.centre is taken from images of bytes, by a convolutional "
                                    "network; vectors have net.normalize");
    if (d->layers < 0 || d->layers > VLY_NET_HIDDEN_MAX)
        return vly_fail(VLY_EINVAL, "an MLP has 0 to %d hidden layers, not %d", VLY_NET_HIDDEN_MAX,
                        d->layers);
    for (int i = 0; i < (d->kind == VLY_NET_MLP ? d->layers : 1); i++)
        if (d->hidden[i] < (d->kind == VLY_NET_MLP) || d->hidden[i] > 65536)
            return vly_fail(VLY_EINVAL, "a hidden layer has 1 to 65536 units, not %d",
                            d->hidden[i]);
    if (d->lstm < 0 || d->lstm > 8192)
        return vly_fail(VLY_EINVAL, "an LSTM has 1 to 8192 units, not %d", d->lstm);
    if (d->kind != VLY_NET_MLP && o->ndim != 3)
        return vly_fail(
            VLY_EINVAL,
            "network \"%s\" needs an image; these observations are vectors: use --net.kind mlp",
            vly_net_kind_name(d->kind));
    const int least = d->kind == VLY_NET_NATURE ? 36
                      : d->kind == VLY_NET_A3C  ? 20
                      : d->kind == VLY_NET_MLP  ? 1
                                                : 3;
    if (o->ndim == 3 && (o->shape[0] < least || o->shape[1] < least))
        return vly_fail(VLY_EINVAL, "network \"%s\" needs images of at least %d x %d, not %d x %d",
                        vly_net_kind_name(d->kind), least, least, o->shape[0], o->shape[1]);
    return VLY_OK;
}

static vly_net_kind kind_for(const vly_obs_spec *o) {
    if (o->ndim != 3) return VLY_NET_MLP;
    return o->shape[0] >= 36 && o->shape[1] >= 36 ? VLY_NET_NATURE
           : o->shape[0] >= 3 && o->shape[1] >= 3 ? VLY_NET_MINATAR
                                                  : VLY_NET_MLP;
}

vly_status vly_net_create(vly_net **out, const vly_net_desc *desc) {
    *out = NULL;
    vly_net_desc d = *desc;
    if (d.kind == VLY_NET_AUTO) d.kind = kind_for(&d.obs);
    VLY_TRY(check_desc(&d));
    vly_net *net = calloc(1, sizeof *net);
    if (!net) return vly_fail(VLY_ENOMEM, "no memory for a network's description");
    net->desc = d;
    net_build(net);
    *out = net;
    return VLY_OK;
}

void vly_net_destroy(vly_net *net) {
    free(net);
}
const vly_net_desc *vly_net_description(const vly_net *net) {
    return &net->desc;
}
int64_t vly_net_params(const vly_net *net) {
    return net->params;
}
int64_t vly_net_weights(const vly_net *net) {
    return net->weights;
}
int vly_net_width(const vly_net *net) {
    return net->desc.actions + net->desc.tail;
}
int64_t vly_net_moments(const vly_net *net, int *width) {
    *width = net->desc.normalize ? net->desc.obs.shape[0] : 0;
    return net->desc.normalize ? net->nodes[0].offset : -1;
}
int64_t vly_net_centre(const vly_net *net) {
    return net->centre;
}
void vly_net_absorb_centre(const vly_net *net, vly_real *param) {
    for (int i = 0; i < net->node_count; i++) {
        const vly_layer_desc *d = &net->nodes[i].layer;
        if (!net->nodes[i].centred) continue;
        const int64_t k = vly_layer_params(d) / d->out_c - 1;
        vly_real *w = param + net->nodes[i].offset;
        vly_rule_centre_biases(d->out_c, k, param[net->centre], w, w + d->out_c * k);
    }
    if (net->centre >= 0) param[net->centre] = 0;
}
vly_net_graph vly_net_view(const vly_net *net) {
    return (vly_net_graph){.nodes = net->nodes,
                           .node_count = net->node_count,
                           .values = net->values,
                           .logits = net->logits,
                           .value = net->value};
}
const vly_tensor *vly_net_tensor(const vly_net *net, int i) {
    return i >= 0 && i < net->tensor_count ? &net->tensors[i] : NULL;
}

const char *vly_net_kind_name(vly_net_kind kind) {
    static const char *const names[] = {"auto", "mlp", "minatar", "nature", "a3c", "impala"};
    return kind >= 0 && kind < (int)(sizeof names / sizeof names[0]) ? names[kind] : "?";
}
