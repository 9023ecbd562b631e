#include "common/learn/net_impl.h"
#include <stdlib.h>

typedef struct {
    vly_exec pub; /* first: what the user sees */
    vly_compute *c;
    vly_layer *layers[NODES_MAX];
    void *act[NODES_MAX], *grad[NODES_MAX]; /* by value: point into the slots */
    void *slots[2 * NODES_MAX + 8];
    int slot_count;
    void *scratch;     /* a second gradient of a value, before it is added */
    vly_real *centred; /* weights of the layer that reads the input, as they are for one that is
                          not centred */
    bool shares_low;   /* bf16 weights: the optimizer keeps them */
    vly_real *lstm_work;
    int steps; /* LSTM: of the sequence */
    const uint8_t *flags;
    vly_status (*on_gradient)(void *arg, vly_queue *q, vly_real *grad, int64_t from);
    void *on_gradient_arg;
    int split; /* node after whose backward it is called */
} exec;

/* The layer whose output is value v, if it alone makes it and only layers that can apply its slope
 * read it; else -1. */
static int only_layer_behind(const vly_net *net, int v) {
    int maker = -1;
    for (int i = 0; i < net->node_count; i++) {
        const vly_net_node *node = &net->nodes[i];
        const bool layer = node->op == VLY_NODE_LAYER && node->layer.kind != VLY_MAXPOOL,
                   reads = node->in == v || (node->op == VLY_NODE_DUELING && node->in2 == v);
        if ((reads || node->out == v) && !layer) return -1;
        if (node->out == v && maker >= 0) return -1;
        if (node->out == v) maker = i;
    }
    return maker >= 0 && v != net->logits && v != net->value ? maker : -1;
}

static size_t type_bytes(vly_dtype type) {
    return type == VLY_F32 ? sizeof(vly_real) : vly_dtype_bytes(type);
}
static size_t value_bytes(const vly_net *net, int v, int batch) {
    return (size_t)net->values[v].size * (size_t)batch * type_bytes(net->values[v].type);
}

static vly_status exec_take(exec *e, size_t bytes, const char *what, void **out) {
    VLY_TRY(e->c->alloc(e->c, bytes, what, "--net.*, or the batch", &e->slots[e->slot_count]));
    *out = e->slots[e->slot_count++];
    return VLY_OK;
}

/* Values share memory when their lives do not overlap. first[v], last[v]: the interval of a value's
 * life in a sequence of events; -1: none. Fills memory[v]. */
static vly_status share(exec *e, const int *first, const int *last, const char *what,
                        void **memory) {
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
                if (!busy &&
                    (best < 0 ||
                     (bytes[s] >= need && (bytes[best] < need || bytes[s] < bytes[best])) ||
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
    for (int s = 0; s < count; s++) VLY_TRY(exec_take(e, bytes[s], what, &slots[s]));
    for (int v = 0; v < net->value_count; v++) memory[v] = first[v] >= 0 ? slots[slot_of[v]] : NULL;
    return VLY_OK;
}

static bool has_gradient(const vly_net *net, int v) {
    return v >= net->inputs || net->desc.input_grads;
}

/* Backward of node i finds a gradient of its input that a later node has written. */
static bool adds_to_gradient(const vly_net *net, int i) {
    for (int k = i + 1; k < net->node_count; k++)
        if (net->nodes[k].in == net->nodes[i].in) return has_gradient(net, net->nodes[i].in);
    return false;
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
    for (int v = 0; v < net->value_count; v++) /* outputs, and all that backward reads, live to the
                                                  end */
        if (first[v] >= 0 && (e->pub.learn || v == net->logits || v == net->value)) last[v] = end;
    for (int i = 0; i < net->node_count; i++) /* the LSTM's output is part of its states */
        if (net->nodes[i].op == VLY_NODE_LSTM)
            first[net->nodes[i].out] = last[net->nodes[i].out] = -1;
    last[0] = 2 * NODES_MAX; /* the caller may look at the input, or run forward again */
    return share(e, first, last, what, e->act);
}

/* Whether the layer of this node works on behalf of its neighbours in the backward pass. */
static bool joins_backward(const exec *e, const vly_net_node *node) {
    return e->c->info.joins_backward && node->layer.kind != VLY_MAXPOOL;
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
        if (has_gradient(net, node->in)) extend(first, last, node->in, event);
        if (node->op == VLY_NODE_DUELING) extend(first, last, node->in2, event);
        const bool apart = node->op == VLY_NODE_LAYER && adds_to_gradient(net, i) &&
                           !joins_backward(e, node);
        if (apart && value_bytes(net, node->in, e->pub.batch_max) > scratch)
            scratch = value_bytes(net, node->in, e->pub.batch_max);
    }
    if (net->desc.input_grads) last[0] = 2 * NODES_MAX; /* the caller reads it */
    for (int v = 0; e->c->info.joins_backward && v < net->value_count; v++)
        if (first[v] >= 0) last[v] = 2 * NODES_MAX; /* weight gradients are computed at the end */
    VLY_TRY(share(e, first, last, what, e->grad));
    return scratch ? exec_take(e, scratch, what, &e->scratch) : VLY_OK;
}

static vly_status alloc_lstm(exec *e) {
    const vly_net *net = e->pub.net;
    const size_t H = (size_t)net->desc.lstm, batch = (size_t)e->pub.batch_max;
    void *h, *c;
    VLY_TRY(
        exec_take(e, 2 * batch * H * sizeof(vly_real), "LSTM states", &h)); /* (steps + 1) rows <= 2
                                                                              batch */
    VLY_TRY(exec_take(e, 2 * batch * H * sizeof(vly_real), "LSTM states", &c));
    e->pub.state_h = h, e->pub.state_c = c;
    if (!e->pub.learn) return VLY_OK;
    void *work;
    VLY_TRY(exec_take(e, 6 * batch * H * sizeof(vly_real), "LSTM gradients", &work));
    e->lstm_work = work;
    return VLY_OK;
}

static void join_backward(const exec *e, int i, vly_layer_desc *layer) {
    const vly_net *net = e->pub.net;
    const vly_net_node *node = &net->nodes[i];
    if (!e->pub.learn || !joins_backward(e, node)) return;
    const int below = only_layer_behind(net, node->in);
    if (below >= 0) layer->below = net->nodes[below].layer.act;
    layer->dz_given = only_layer_behind(net, node->out) == i;
    layer->dx_adds = adds_to_gradient(net, i);
}

static vly_status create_layers(exec *e) {
    const vly_net *net = e->pub.net;
    for (int i = 0; i < net->node_count; i++) {
        if (net->nodes[i].op != VLY_NODE_LAYER) continue;
        vly_layer_desc layer = net->nodes[i].layer;
        layer.batch_max = e->pub.batch_max;
        layer.learn = e->pub.learn;
        join_backward(e, i, &layer);
        VLY_TRY(e->c->layer_create(e->c, &layer, &e->layers[i]));
    }
    return VLY_OK;
}

static const vly_net_node *centred_node(const vly_net *net) {
    for (int i = 0; i < net->node_count; i++)
        if (net->nodes[i].centred) return &net->nodes[i];
    return NULL;
}

static vly_status alloc_centred(exec *e) {
    const vly_net_node *node = centred_node(e->pub.net);
    void *memory = NULL;
    if (node)
        VLY_TRY(exec_take(e, (size_t)vly_layer_params(&node->layer) * sizeof(vly_real),
                          "a centred layer", &memory));
    e->centred = memory;
    return VLY_OK;
}

static vly_status fill_exec(exec *e, const char *what) {
    const vly_net *net = e->pub.net;
    VLY_TRY(alloc_activations(e, what));
    if (e->pub.learn) VLY_TRY(alloc_gradients(e, what));
    if (net->desc.lstm > 0) VLY_TRY(alloc_lstm(e));
    VLY_TRY(alloc_centred(e));
    e->pub.x = e->act[0];
    e->pub.x_type = net->values[0].type;
    e->pub.logits = e->act[net->logits];
    e->pub.value = net->value >= 0 ? e->act[net->value] : NULL;
    e->pub.dlogits = e->grad[net->logits];
    e->pub.dvalue = net->value >= 0 ? e->grad[net->value] : NULL;
    e->pub.dx = net->desc.input_grads ? e->grad[0] : NULL;
    return create_layers(e);
}

vly_status vly_exec_create(vly_exec **out, vly_compute *c, const vly_net *net, int batch_max,
                           bool learn, const char *what) {
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

/* What a layer computes with: its weights where they lie, or what centring has made of them. */
static const vly_real *weights_of(const exec *e, const vly_net_node *node, const vly_real *param) {
    return node->centred ? e->centred : param + node->offset;
}

static int64_t inputs_of(const vly_net_node *node) {
    return vly_layer_params(&node->layer) / node->layer.out_c - 1;
}

static vly_status centre_weights(const exec *e, vly_queue *q, const vly_real *param) {
    const vly_net_node *node = centred_node(e->pub.net);
    if (!node) return VLY_OK;
    return e->c->centre(q, node->layer.out_c, inputs_of(node), param + e->pub.net->centre,
                        param + node->offset, e->centred);
}

/* The centre itself is not trained. */
static vly_status centre_gradients(const exec *e, vly_queue *q, const vly_real *param,
                                   vly_real *grad) {
    const vly_net_node *node = centred_node(e->pub.net);
    const int64_t centre = e->pub.net->centre;
    if (!node || !grad) return VLY_OK;
    VLY_TRY(e->c->fill(q, grad + centre, 0, sizeof *grad));
    return e->c->centre_backward(q, node->layer.out_c, inputs_of(node), param + centre,
                                 grad + node->offset);
}

vly_status vly_exec_prepare(vly_exec *pub, vly_queue *q, const vly_real *param) {
    exec *e = (exec *)pub;
    const vly_net *net = pub->net;
    VLY_TRY(centre_weights(e, q, param));
    for (int i = 0; i < net->node_count; i++)
        if (e->layers[i])
            VLY_TRY(e->c->layer_prepare(q, e->layers[i], weights_of(e, &net->nodes[i], param)));
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
        if (!e->layers[i] || node->layer.kind == VLY_MAXPOOL || node->centred) continue;
        VLY_TRY(e->c->layer_share(e->layers[i], (uint16_t *)p->low + node->offset, &scale));
        VLY_TRY(note_scale(p, node->offset,
                           node->offset + vly_layer_params(&node->layer) - node->layer.out_c,
                           scale));
    }
    e->shares_low = true;
    return VLY_OK;
}

vly_status vly_exec_stepped(vly_exec *pub, vly_queue *q, const vly_real *param) {
    exec *e = (exec *)pub;
    const vly_net *net = pub->net;
    if (!e->shares_low) return vly_exec_prepare(pub, q, param);
    VLY_TRY(centre_weights(e, q, param));
    for (int i = 0; i < net->node_count; i++)
        if (e->layers[i])
            VLY_TRY(e->c->layer_stepped(q, e->layers[i], weights_of(e, &net->nodes[i], param)));
    return VLY_OK;
}

vly_status vly_exec_gather(vly_exec *pub, vly_queue *q, const vly_frames *frames, int n,
                           const int32_t *row, int64_t first) {
    return ((exec *)pub)->c->gather(q, frames, n, row, first, pub->x_type, pub->x);
}

vly_status vly_exec_gather_behind(vly_exec *pub, vly_queue *q, const vly_frames *frames, int n,
                                  const int32_t *row, int behind) {
    void *to = (char *)pub->x + value_bytes(pub->net, 0, behind);
    return ((exec *)pub)->c->gather(q, frames, n, row, 0, pub->x_type, to);
}

vly_status vly_exec_sequence(vly_exec *pub, int steps, const uint8_t *flags) {
    exec *e = (exec *)pub;
    if (pub->net->desc.lstm == 0) return VLY_OK;
    if (steps < 1 || steps > pub->batch_max || !flags)
        return vly_fail(VLY_EINVAL, "a sequence of %d steps", steps);
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
    if (n < 1 || n > e->pub.batch_max)
        return vly_fail(VLY_EINVAL, "%d rows in a context made for %d", n, e->pub.batch_max);
    if (e->pub.net->desc.lstm > 0 && (n % e->steps || !e->flags))
        return vly_fail(VLY_EINVAL, "%d rows are not sequences of %d steps", n, e->steps);
    return VLY_OK;
}

static vly_lstm_size lstm_size(const exec *e, int n) {
    const vly_net_desc *d = &e->pub.net->desc;
    return (vly_lstm_size){
        .T = e->steps, .n = n / e->steps, .H = d->lstm, .tf32 = d->tf32 || d->bf16};
}

static vly_status node_forward(exec *e, vly_queue *q, int i, int n, const vly_real *param) {
    const vly_net *net = e->pub.net;
    const vly_net_node *node = &net->nodes[i];
    const void *in = activation(e, node->in, n);
    void *out = activation(e, node->out, n);
    const vly_net_value *y = &net->values[node->out];
    switch (node->op) {
    case VLY_NODE_LAYER:
        return e->c->layer_forward(q, e->layers[i], n, in, weights_of(e, node, param), out);
    case VLY_NODE_RELU: return e->c->relu(q, y->type, n * y->size, in, out);
    case VLY_NODE_ADD: return e->c->add(q, y->type, n * y->size, in, out);
    case VLY_NODE_LSTM: {
        const vly_lstm_size size = lstm_size(e, n);
        return e->c->lstm_forward(q, &size, param + node->offset, e->flags, e->act[node->in],
                                  e->pub.state_h, e->pub.state_c);
    }
    case VLY_NODE_DUELING:
        return e->c->dueling(q, n, net->desc.actions, in, activation(e, node->in2, n), out);
    case VLY_NODE_NORMALIZE: {
        const int width = net->desc.obs.shape[0];
        const vly_real *mean = param + node->offset;
        return e->c->normalize(q, (int)(n * y->size / width), width, in, mean, mean + width,
                               VLY_NET_NORMAL_LIMIT, out);
    }
    case VLY_NODE_TAIL: {
        const int width = net->values[node->in].c, tail = net->desc.tail;
        VLY_TRY(e->c->columns(q, n, width, in, width, out, y->size));
        return e->c->columns(q, n, tail, param + node->offset, 0, (vly_real *)out + width, y->size);
    }
    }
    return VLY_EINVAL;
}

static vly_status check_stop_asked(const vly_exec *e) {
    return e->stop_asked && e->stop_asked(e->stop_arg)
               ? vly_fail(VLY_ECANCELED, "interrupted within an update")
               : VLY_OK;
}

/* Node i and the next are layers that read the same value, as two heads do. */
static bool reads_with_next(const exec *e, int i) {
    const vly_net *net = e->pub.net;
    const vly_net_node *a = &net->nodes[i], *b = a + 1;
    return e->c->layer_forward_two && i + 1 < net->node_count && a->op == VLY_NODE_LAYER &&
           b->op == VLY_NODE_LAYER && a->in == b->in;
}

static vly_status two_forward(exec *e, vly_queue *q, int i, int n, const vly_real *param) {
    const vly_net_node *a = &e->pub.net->nodes[i], *b = a + 1;
    const vly_real *const w[2] = {weights_of(e, a, param), weights_of(e, b, param)};
    void *const y[2] = {activation(e, a->out, n), activation(e, b->out, n)};
    return e->c->layer_forward_two(q, e->layers + i, n, activation(e, a->in, n), w, y);
}

vly_status vly_exec_forward(vly_exec *pub, vly_queue *q, int n, const vly_real *param) {
    exec *e = (exec *)pub;
    VLY_TRY(check_rows(e, n));
    for (int i = 0; i < pub->net->node_count; i++) {
        VLY_TRY(check_stop_asked(pub));
        const bool two = reads_with_next(e, i);
        VLY_TRY(two ? two_forward(e, q, i, n, param) : node_forward(e, q, i, n, param));
        i += two;
    }
    return VLY_OK;
}

/* The gradient of node->in is written, or added to, by backward of node i. */
static vly_status node_backward(exec *e, vly_queue *q, int i, int n, const vly_real *param,
                                vly_real *grad) {
    const vly_net *net = e->pub.net;
    const bool again = adds_to_gradient(net, i);
    const vly_net_node *node = &net->nodes[i];
    const vly_net_value *x = &net->values[node->in], *y = &net->values[node->out];
    void *dy = e->grad[node->out], *dx = e->grad[node->in];
    vly_real *dw = grad ? grad + node->offset : NULL;
    switch (node->op) {
    case VLY_NODE_LAYER: {
        void *to = !has_gradient(net, node->in)        ? NULL
                   : again && !joins_backward(e, node) ? e->scratch
                                                       : dx;
        VLY_TRY(e->c->layer_backward(q, e->layers[i], n, activation(e, node->in, n),
                                     activation(e, node->out, n), weights_of(e, node, param), dy,
                                     to, dw, false));
        return to == e->scratch && to ? e->c->add(q, x->type, n * x->size, to, dx) : VLY_OK;
    }
    case VLY_NODE_RELU:
        return e->c->relu_backward(q, y->type, n * y->size, activation(e, node->out, n), dy, dx,
                                   again);
    case VLY_NODE_ADD: /* dy stays for the other term */
        if (again) return e->c->add(q, y->type, n * y->size, dy, dx);
        return e->c->copy(q, dx, dy, (size_t)(n * y->size) * type_bytes(y->type));
    case VLY_NODE_LSTM: {
        const vly_lstm_size size = lstm_size(e, n);
        return e->c->lstm_backward(q, &size, param + node->offset, e->flags, e->act[node->in],
                                   e->pub.state_h, e->pub.state_c, dy, dx, dw, e->lstm_work);
    }
    case VLY_NODE_DUELING:
        return e->c->dueling_backward(q, n, net->desc.actions, dy, dx, e->grad[node->in2]);
    case VLY_NODE_NORMALIZE: /* moments are not trained */
        return e->c->fill(q, dw, 0, 2 * (size_t)net->desc.obs.shape[0] * sizeof *dw);
    case VLY_NODE_TAIL: {
        const int width = net->values[node->in].c, tail = net->desc.tail;
        if (dw) VLY_TRY(e->c->column_sums(q, n, tail, (vly_real *)dy + width, y->size, dw));
        return e->c->columns(q, n, width, dy, y->size, dx, width);
    }
    }
    return VLY_EINVAL;
}

/* Nodes and their parameters are in order of execution, so backward completes the array from its
 * end. The first linear layer behind the last convolution, or in an MLP the first at whose end half
 * of the parameters lie. */
static int split_node(const vly_net *net) {
    int after_convs = 0;
    for (int i = 0; i < net->node_count; i++)
        if (net->nodes[i].op == VLY_NODE_LAYER && net->nodes[i].layer.kind == VLY_CONV)
            after_convs = i + 1;
    for (int i = after_convs; i < net->node_count; i++) {
        const vly_net_node *node = &net->nodes[i];
        const bool has_weights = (node->op == VLY_NODE_LAYER && node->layer.kind == VLY_LINEAR) ||
                                 node->op == VLY_NODE_LSTM;
        if (has_weights && node->offset > 0 && (after_convs > 0 || 2 * node->offset >= net->params))
            return i;
    }
    return -1;
}

int64_t vly_net_split(const vly_net *net) {
    const int node = split_node(net);
    return node < 0 ? 0 : net->nodes[node].offset;
}

void vly_exec_on_gradient(vly_exec *pub,
                          vly_status (*fn)(void *arg, vly_queue *q, vly_real *grad, int64_t from),
                          void *arg) {
    exec *e = (exec *)pub;
    e->split = split_node(pub->net);
    e->on_gradient = e->split > 0 ? fn : NULL;
    e->on_gradient_arg = arg;
}

static vly_status backward_nodes(exec *e, vly_queue *q, int n, const vly_real *param,
                                 vly_real *grad) {
    const vly_net *net = e->pub.net;
    for (int i = net->node_count; i-- > 0;) {
        VLY_TRY(check_stop_asked(&e->pub));
        VLY_TRY(node_backward(e, q, i, n, param, grad));
        if (!grad || !e->on_gradient || i != e->split) continue;
        if (e->c->backward_end) VLY_TRY(e->c->backward_end(q));
        VLY_TRY(e->on_gradient(e->on_gradient_arg, q, grad, net->nodes[i].offset));
    }
    return VLY_OK;
}

vly_status vly_exec_backward(vly_exec *pub, vly_queue *q, int n, const vly_real *param,
                             vly_real *grad) {
    exec *e = (exec *)pub;
    const vly_net_desc *d = &pub->net->desc;
    if (!pub->learn) return vly_fail(VLY_EINVAL, "backward in a context that only runs forward");
    if (!grad && (!d->input_grads || d->lstm > 0))
        return vly_fail(VLY_EINVAL, "backward without gradients of weights: only where the input's "
                                    "are asked for, without an LSTM");
    VLY_TRY(check_rows(e, n));
    const vly_status status = backward_nodes(e, q, n, param, grad);
    const vly_status ended = e->c->backward_end
                                 ? e->c->backward_end(q) /* also after a stop: nothing
                                                                           stays behind */
                                 : VLY_OK;
    if (status != VLY_OK || ended != VLY_OK) return status != VLY_OK ? status : ended;
    return centre_gradients(e, q, param, grad);
}
