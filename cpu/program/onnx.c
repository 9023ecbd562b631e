#include "cpu/program/onnx.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/file.h"
#include "cpu/program/protobuf.h"

enum { OPSET = 17, IR_VERSION = 8, VALUES = 64, NAME = 80 };
/* Field numbers of onnx.proto. */
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_NOTES = 14 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_WEIGHT = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_INT = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TYPE_INT = 2,
    TYPE_INTS = 7
};
enum {
    TENSOR_DIM = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    FLOAT = 1,
    UINT8 = 2,
    INT64 = 7
};

typedef struct {
    vly_proto p;
    const vly_net *net;
    vly_net_graph graph;
    const vly_real *param;
    bool native;
    char names[VALUES][NAME]; /* of each value, as it stands after the nodes so far: ADD renames */
    bool image[VALUES];       /* (n, c, h, w); otherwise (n, size) */
} writer;

/* ---- pieces ---- */

typedef struct {
    const char *name;
    int n;
    int64_t v[4]; /* n 0: one integer, in v[0] */
} attribute;

/* in, out: names separated by spaces; attributes end with a NULL name. */
static void add_names(vly_proto *p, int field, const char *names) {
    while (*names) {
        const size_t n = strcspn(names, " ");
        vly_proto_bytes(p, field, names, n);
        names += n + (names[n] == ' ');
    }
}

static void add_node(writer *w, const char *op, const char *in, const char *out,
                     const attribute *attributes) {
    vly_proto *p = &w->p;
    const size_t node = vly_proto_begin(p, GRAPH_NODE);
    add_names(p, NODE_INPUT, in);
    add_names(p, NODE_OUTPUT, out);
    char name[NAME + 16];
    snprintf(name, sizeof name, "%s(%.*s)", op, (int)strcspn(out, " "), out);
    vly_proto_text(p, NODE_NAME, name);
    vly_proto_text(p, NODE_OP, op);
    for (; attributes && attributes->name; attributes++) {
        const size_t at = vly_proto_begin(p, NODE_ATTRIBUTE);
        vly_proto_text(p, ATTRIBUTE_NAME, attributes->name);
        if (attributes->n == 0) vly_proto_int(p, ATTRIBUTE_INT, attributes->v[0]);
        for (int i = 0; i < attributes->n; i++) vly_proto_int(p, ATTRIBUTE_INTS, attributes->v[i]);
        vly_proto_int(p, ATTRIBUTE_TYPE, attributes->n ? TYPE_INTS : TYPE_INT);
        vly_proto_end(p, at);
    }
    vly_proto_end(p, node);
}

/* Opens an initializer; its numbers go where this points to (little-endian), NULL when memory ran
 * out. */
static void *add_tensor(writer *w, const char *name, int type, int ndim, const int64_t *shape,
                        size_t bytes, size_t *begun) {
    vly_proto *p = &w->p;
    *begun = vly_proto_begin(p, GRAPH_WEIGHT);
    for (int i = 0; i < ndim; i++) vly_proto_int(p, TENSOR_DIM, shape[i]);
    vly_proto_int(p, TENSOR_TYPE, type);
    vly_proto_text(p, TENSOR_NAME, name);
    return vly_proto_room(p, TENSOR_RAW, bytes);
}

/* (outer, a, b) in a checkpoint becomes (outer, b, a): channels first. a 1: as it is. */
static void add_weight(writer *w, const vly_tensor *t, const int64_t *shape, int64_t outer,
                       int64_t a, int64_t b) {
    size_t begun;
    uint8_t *to = add_tensor(w, t->name, FLOAT, t->ndim, shape, (size_t)t->n * sizeof(float),
                             &begun); /* not aligned */
    const vly_real *from = w->param + t->offset;
    for (int64_t o = 0; to && o < outer; o++)
        for (int64_t k = 0; k < b; k++)
            for (int64_t i = 0; i < a; i++, to += sizeof(float)) {
                const float x = (float)from[(o * a + i) * b + k];
                memcpy(to, &x, sizeof x);
            }
    vly_proto_end(&w->p, begun);
}

static void add_value_info(writer *w, int field, const char *name, int type, int ndim,
                           const int64_t *shape) {
    vly_proto *p = &w->p;
    const size_t info = vly_proto_begin(p, field);
    vly_proto_text(p, 1, name);
    const size_t kind = vly_proto_begin(p, 2), tensor = vly_proto_begin(p, 1);
    vly_proto_int(p, 1, type);
    const size_t dims = vly_proto_begin(p, 2), batch = vly_proto_begin(p, 1);
    vly_proto_text(p, 2, "batch");
    vly_proto_end(p, batch);
    for (int i = 0; i < ndim; i++) {
        const size_t dim = vly_proto_begin(p, 1);
        vly_proto_int(p, 1, shape[i]);
        vly_proto_end(p, dim);
    }
    vly_proto_end(p, dims), vly_proto_end(p, tensor), vly_proto_end(p, kind),
        vly_proto_end(p, info);
}

static const vly_tensor *tensor_at(const writer *w, int64_t offset, int *index) {
    const vly_tensor *t = NULL;
    for (*index = 0; (t = vly_net_tensor(w->net, *index)) != NULL && t->offset != offset;
         ++*index) {
    }
    return t;
}

/* "in weight bias" and such, in one of a few buffers. */
__attribute__((format(printf, 1, 2))) static const char *names(const char *format, ...) {
    static _Thread_local char ring[4][4 * NAME];
    static _Thread_local int next;
    char *out = ring[next = (next + 1) % 4];
    va_list list;
    va_start(list, format);
    vsnprintf(out, sizeof ring[0], format, list);
    va_end(list);
    return out;
}

/* ---- nodes ---- */

static const char *name_of_logits(const writer *w) {
    const vly_head_kind head = vly_net_description(w->net)->head;
    return head == VLY_HEAD_Q || head == VLY_HEAD_DUELING ? "q"
           : head == VLY_HEAD_ACTION                      ? "action"
                                                          : "logits";
}

static void name_value(writer *w, int v, const char *name) {
    if (v == w->graph.logits)
        name = name_of_logits(w);
    else if (v == w->graph.value)
        name = "value.column";
    snprintf(w->names[v], NAME, "%s", name);
}

/* The layer's own output, then its activation. */
static void add_activated(writer *w, const vly_net_node *node, const char *op, const char *in,
                          const char *layer, const attribute *attributes) {
    const char *act = node->layer.act == VLY_ACT_RELU   ? "Relu"
                      : node->layer.act == VLY_ACT_TANH ? "Tanh"
                                                        : NULL;
    name_value(w, node->out, names("%s.out", layer));
    const char *out = act ? names("%s.sum", layer) : w->names[node->out];
    add_node(w, op, in, out, attributes);
    if (act) add_node(w, act, out, w->names[node->out], NULL);
}

static void add_conv(writer *w, const vly_net_node *node, const vly_tensor *weight,
                     const vly_tensor *bias, const char *layer) {
    const vly_layer_desc *d = &node->layer;
    const int64_t shape[] = {d->out_c, d->in_c, d->kernel, d->kernel};
    const attribute attributes[] = {{"strides", 2, {d->stride, d->stride}},
                                    {"pads", 4, {d->pad, d->pad, d->pad, d->pad}},
                                    {NULL, 0, {0}}};
    add_weight(w, weight, shape, d->out_c, (int64_t)d->kernel * d->kernel, d->in_c);
    add_weight(w, bias, bias->shape, 1, 1, bias->n);
    add_activated(w, node, "Conv", names("%s %s %s", w->names[node->in], weight->name, bias->name),
                  layer, attributes);
    w->image[node->out] = true;
}

static void add_linear(writer *w, const vly_net_node *node, const vly_tensor *weight,
                       const vly_tensor *bias, const char *layer) {
    static const attribute transposed[] = {{"transB", 0, {1}}, {NULL, 0, {0}}},
                           flat[] = {{"axis", 0, {1}}, {NULL, 0, {0}}};
    const vly_net_value *x = &w->graph.values[node->in];
    const bool image = w->image[node->in];
    const char *in = image ? names("%s.flat", layer) : w->names[node->in];
    if (image) add_node(w, "Flatten", w->names[node->in], in, flat);
    add_weight(w, weight, weight->shape, node->layer.out_c, image ? (int64_t)x->h * x->w : 1,
               image ? x->c : x->size);
    add_weight(w, bias, bias->shape, 1, 1, bias->n);
    add_activated(w, node, "Gemm", names("%s %s %s", in, weight->name, bias->name), layer,
                  transposed);
}

static void add_maxpool(writer *w, const vly_net_node *node) {
    const vly_layer_desc *d = &node->layer;
    const attribute attributes[] = {{"kernel_shape", 2, {d->kernel, d->kernel}},
                                    {"strides", 2, {d->stride, d->stride}},
                                    {"pads", 4, {d->pad, d->pad, d->pad, d->pad}},
                                    {NULL, 0, {0}}};
    name_value(w, node->out, names("pool.%d", node->out));
    add_node(w, "MaxPool", w->names[node->in], w->names[node->out], attributes);
    w->image[node->out] = true;
}

static void add_layer(writer *w, const vly_net_node *node) {
    char layer[NAME / 2];
    int i;
    if (node->layer.kind == VLY_MAXPOOL) {
        add_maxpool(w, node);
        return;
    }
    const vly_tensor *weight = tensor_at(w, node->offset, &i),
                     *bias = vly_net_tensor(w->net, i + 1);
    snprintf(layer, sizeof layer, "%.*s", (int)(strlen(weight->name) - strlen(".weight")),
             weight->name);
    (node->layer.kind == VLY_CONV ? add_conv : add_linear)(w, node, weight, bias, layer);
}

/* Gates in the order input, forget, cell, output; common/learn/net.h. */
static void add_lstm(writer *w, const vly_net_node *node) {
    static const attribute transposed[] = {{"perm", 2, {1, 0}}, {NULL, 0, {0}}},
                           by_gate[] = {{"axis", 0, {1}}, {NULL, 0, {0}}};
    int i;
    const vly_tensor *weight = tensor_at(w, node->offset, &i);
    add_weight(w, weight, weight->shape, weight->shape[0], 1, weight->shape[1]);
    add_node(w, "Transpose", weight->name, "lstm.hidden.turned", transposed);
    add_node(w, "MatMul", "h lstm.hidden.turned", "lstm.recurrent", NULL);
    add_node(w, "Add", names("%s lstm.recurrent", w->names[node->in]), "lstm.gates", NULL);
    add_node(w, "Split", "lstm.gates", "lstm.gate.i lstm.gate.f lstm.gate.g lstm.gate.o", by_gate);
    add_node(w, "Sigmoid", "lstm.gate.i", "lstm.i", NULL);
    add_node(w, "Sigmoid", "lstm.gate.f", "lstm.f", NULL);
    add_node(w, "Tanh", "lstm.gate.g", "lstm.g", NULL);
    add_node(w, "Sigmoid", "lstm.gate.o", "lstm.o", NULL);
    add_node(w, "Mul", "lstm.f c", "lstm.kept", NULL);
    add_node(w, "Mul", "lstm.i lstm.g", "lstm.written", NULL);
    add_node(w, "Add", "lstm.kept lstm.written", "c_next", NULL);
    add_node(w, "Tanh", "c_next", "lstm.shown", NULL);
    add_node(w, "Mul", "lstm.o lstm.shown", "h_next", NULL);
    name_value(w, node->out, "h_next");
}

static void add_numbers(writer *w, const char *name, int ndim, const int64_t *shape, float x) {
    size_t begun;
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    uint8_t *to = add_tensor(w, name, FLOAT, ndim, shape, (size_t)n * sizeof x, &begun);
    for (; to && n > 0; n--, to += sizeof x) memcpy(to, &x, sizeof x);
    vly_proto_end(&w->p, begun);
}

static void add_normalize(writer *w, const vly_net_node *node) {
    int i;
    const vly_tensor *mean = tensor_at(w, node->offset, &i), *scale = vly_net_tensor(w->net, i + 1);
    add_weight(w, mean, mean->shape, 1, 1, mean->n);
    add_weight(w, scale, scale->shape, 1, 1, scale->n);
    add_numbers(w, "input.low", 0, NULL, -VLY_NET_NORMAL_LIMIT);
    add_numbers(w, "input.high", 0, NULL, VLY_NET_NORMAL_LIMIT);
    add_node(w, "Sub", names("%s %s", w->names[node->in], mean->name), "input.centred", NULL);
    add_node(w, "Mul", names("input.centred %s", scale->name), "input.scaled", NULL);
    name_value(w, node->out, "input.normalized");
    add_node(w, "Clip", "input.scaled input.low input.high", w->names[node->out], NULL);
}

/* The same numbers for every row: a product with zeros, and they as its bias. */
static void add_tail(writer *w, const vly_net_node *node) {
    static const attribute transposed[] = {{"transB", 0, {1}}, {NULL, 0, {0}}},
                           by_number[] = {{"axis", 0, {1}}, {NULL, 0, {0}}};
    int i;
    const vly_tensor *tail = tensor_at(w, node->offset, &i);
    const char *in = w->names[node->in];
    add_weight(w, tail, tail->shape, 1, 1, tail->n);
    add_numbers(w, "policy.zeros", 2, (int64_t[]){tail->n, w->graph.values[node->in].size}, 0);
    add_node(w, "Gemm", names("%s policy.zeros %s", in, tail->name), "policy.tails", transposed);
    name_value(w, node->out, "logits");
    add_node(w, "Concat", names("%s policy.tails", in), w->names[node->out], by_number);
}

static void add_any(writer *w, const vly_net_node *node) {
    static const attribute over_actions[] = {
        {"axes", 1, {1}}, {"keepdims", 0, {1}}, {NULL, 0, {0}}};
    const char *in = w->names[node->in], *name;
    switch (node->op) {
    case VLY_NODE_LAYER: add_layer(w, node); break;
    case VLY_NODE_RELU:
        name_value(w, node->out, names("relu.%d", node->out));
        add_node(w, "Relu", in, w->names[node->out], NULL);
        w->image[node->out] = w->image[node->in];
        break;
    case VLY_NODE_ADD:
        name = names("sum.%d", node->out);
        add_node(w, "Add", names("%s %s", in, w->names[node->out]), name, NULL);
        name_value(w, node->out, name);
        break;
    case VLY_NODE_LSTM: add_lstm(w, node); break;
    case VLY_NODE_NORMALIZE: add_normalize(w, node); break;
    case VLY_NODE_TAIL: add_tail(w, node); break;
    case VLY_NODE_DUELING:
        name_value(w, node->out, "q");
        add_node(w, "ReduceMean", w->names[node->in2], "advantage.mean", over_actions);
        add_node(w, "Sub", names("%s advantage.mean", w->names[node->in2]), "advantage.centred",
                 NULL);
        add_node(w, "Add", names("%s advantage.centred", in), w->names[node->out], NULL);
        break;
    }
}

/* ---- the whole ---- */

/* `obs` as the environment gives it becomes floats, scaled, channels first. */
static void add_input(writer *w) {
    static const attribute to_float[] = {{"to", 0, {FLOAT}}, {NULL, 0, {0}}},
                           channels_first[] = {{"perm", 4, {0, 3, 1, 2}}, {NULL, 0, {0}}};
    const vly_obs_spec *obs = &vly_net_description(w->net)->obs;
    const vly_net_value *x = &w->graph.values[0];
    const bool image = obs->ndim == 3, bytes = obs->dtype == VLY_U8;
    const int64_t flat[] = {x->size}, chw[] = {obs->shape[2] * (obs->stack > 1 ? obs->stack : 1),
                                               obs->shape[0], obs->shape[1]};
    const int64_t hwc[] = {chw[1], chw[2], chw[0]};
    add_value_info(w, GRAPH_INPUT, "obs", bytes ? UINT8 : FLOAT, image ? 3 : 1,
                   !image      ? flat
                   : w->native ? hwc
                               : chw);
    const char *name = "obs";
    if (bytes) add_node(w, "Cast", name, "obs.float", to_float), name = "obs.float";
    if (obs->scale != 1.0f) {
        size_t begun;
        void *to = add_tensor(w, "obs.scale", FLOAT, 0, NULL, sizeof(float), &begun);
        if (to) memcpy(to, &obs->scale, sizeof(float));
        vly_proto_end(&w->p, begun);
        add_node(w, "Mul", names("%s obs.scale", name), "obs.scaled", NULL), name = "obs.scaled";
    }
    if (image && w->native)
        add_node(w, "Transpose", name, "obs.chw", channels_first), name = "obs.chw";
    snprintf(w->names[0], NAME, "%s", name);
    w->image[0] = image;
}

static void add_states(writer *w, int field, const char *h, const char *c) {
    const int64_t units[] = {vly_net_description(w->net)->lstm};
    if (!units[0]) return;
    add_value_info(w, field, h, FLOAT, 1, units);
    add_value_info(w, field, c, FLOAT, 1, units);
}

static void add_outputs(writer *w) {
    const int64_t actions[] = {vly_net_width(w->net)}, one[] = {1}, axis = 1;
    add_value_info(w, GRAPH_OUTPUT, name_of_logits(w), FLOAT, 1, actions);
    if (w->graph.value >= 0) {
        size_t begun;
        void *to = add_tensor(w, "value.axis", INT64, 1, one, sizeof axis, &begun);
        if (to) memcpy(to, &axis, sizeof axis);
        vly_proto_end(&w->p, begun);
        add_node(w, "Squeeze", "value.column value.axis", "value", NULL);
        add_value_info(w, GRAPH_OUTPUT, "value", FLOAT, 0, NULL);
    }
    add_states(w, GRAPH_OUTPUT, "h_next", "c_next");
}

static void add_graph(writer *w, const char *name) {
    const size_t graph = vly_proto_begin(&w->p, MODEL_GRAPH);
    vly_proto_text(&w->p, GRAPH_NAME, name);
    add_input(w);
    add_states(w, GRAPH_INPUT, "h", "c");
    for (int i = 0; i < w->graph.node_count; i++) add_any(w, &w->graph.nodes[i]);
    add_outputs(w);
    vly_proto_end(&w->p, graph);
}

static void add_model(writer *w, const vly_onnx_options *o) {
    vly_proto *p = &w->p;
    vly_proto_int(p, MODEL_IR, IR_VERSION);
    vly_proto_text(p, MODEL_PRODUCER, "volley");
    add_graph(w, o->name);
    const size_t opset = vly_proto_begin(p, MODEL_OPSET);
    vly_proto_text(p, 1, "");
    vly_proto_int(p, 2, OPSET);
    vly_proto_end(p, opset);
    for (int i = 0; i < o->note_count; i++) {
        const size_t note = vly_proto_begin(p, MODEL_NOTES);
        vly_proto_text(p, 1, o->notes[i].name);
        vly_proto_text(p, 2, o->notes[i].value);
        vly_proto_end(p, note);
    }
}

vly_status vly_onnx_write(const char *path, const vly_net *net, const vly_real *param,
                          const vly_onnx_options *o) {
    writer *w = calloc(1, sizeof *w);
    if (!w) return vly_fail(VLY_ENOMEM, "no memory to write %s", path);
    w->net = net, w->graph = vly_net_view(net), w->param = param, w->native = o->native;
    add_model(w, o);
    vly_status status = w->p.failed ? vly_fail(VLY_ENOMEM, "no memory to write %s", path)
                        : w->p.n > INT32_MAX
                            ? vly_fail(VLY_EINVAL,
                                       "%s would have %zu bytes; an ONNX file holds at most 2 GB",
                                       path, w->p.n)
                            : vly_file_replace(path, w->p.data, w->p.n);
    free(w->p.data);
    free(w);
    return status;
}
