/* net.h -- the networks, written once against common/base/compute.h.
 *
 *   vly_net_desc d = {.kind = VLY_NET_MLP, .obs = env.obs, .actions = 2, .hidden = {64, 64},
 *                     .layers = 2, .act = VLY_ACT_TANH, .head = VLY_HEAD_POLICY_VALUE};
 *   // a description: no memory of a device
 *   VLY_TRY(vly_net_create(&net, &d));
 *   VLY_TRY(vly_net_init(net, seed, host_param));             // vly_net_params(net) numbers
 *   VLY_TRY(vly_exec_create(&exec, c, net, batch, learn));    // activations, layer plans
 *   VLY_TRY(vly_exec_prepare(exec, q, param));                // after param changed
 *   VLY_TRY(vly_exec_gather(exec, q, &frames, n, row, 0));    // fills the input
 *   VLY_TRY(vly_exec_forward(exec, q, n, param));             // exec->logits, exec->value
 *   <a loss fills exec->dlogits, exec->dvalue>
 *   VLY_TRY(vly_exec_backward(exec, q, n, param, grad));      // overwrites every gradient
 *
 * All parameters are one flat array (device memory of the caller); the table of tensors says what
 * lies where. Several contexts (acting, learning, a target network) may share a net, and
 * two may run at once. With bf16 the activations are bf16, while parameters, heads, losses
 * and gradients of parameters stay vly_real.
 */
#ifndef VLY_COMMON_LEARN_NET_H
#define VLY_COMMON_LEARN_NET_H
#include "common/base/compute.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    VLY_NET_AUTO, /* by the observation: vector MLP, small image MINATAR, 84 x 84 NATURE */
    VLY_NET_MLP,
    VLY_NET_MINATAR, /* conv 3x3 16, fc 128 (Young & Tian 2019) */
    VLY_NET_NATURE,  /* conv 8x8/4 32, conv 4x4/2 64, conv 3x3 64, fc 512 (Mnih et al. 2015) */
    VLY_NET_A3C,     /* conv 8x8/4 16, conv 4x4/2 32, fc 256 (Mnih et al. 2013, 2016) */
    VLY_NET_IMPALA   /* 3 x (conv 3x3, pool 3x3/2, 2 residual blocks) 16 32 32, fc 256 (Espeholt et
                        al. 2018) */
} vly_net_kind;
typedef enum {
    VLY_HEAD_POLICY_VALUE, /* logits (n, actions) and value (n) */
    VLY_HEAD_POLICY,       /* logits alone: no critic */
    VLY_HEAD_Q,            /* logits are Q (n, actions) */
    VLY_HEAD_DUELING,      /* Q = V + A - mean A (Wang et al. 2016) */
    VLY_HEAD_ACTION,       /* logits are an action in [-1, 1]: tanh (TD3) */
    VLY_HEAD_TWIN          /* MLP: two critics, a torso each; logits Q1, value Q2 (n, actions) */
} vly_head_kind;
typedef enum {
    VLY_INIT_ORTHOGONAL,     /* gain sqrt 2, policy head 0.01, other heads 1 */
    VLY_INIT_XAVIER_UNIFORM, /* Glorot & Bengio 2010 */
    VLY_INIT_XAVIER_NORMAL,
    VLY_INIT_KAIMING_UNIFORM, /* He et al. 2015: variance 2 / fan in */
    VLY_INIT_KAIMING_NORMAL,
    VLY_INIT_LECUN_NORMAL, /* variance 1 / fan in */
    VLY_INIT_TORCH         /* PyTorch's default: weights and biases uniform in +-1/sqrt(fan in) */
} vly_init_kind;           /* biases are 0 but for TORCH */

enum { VLY_NET_HIDDEN_MAX = 4 };

typedef struct {
    vly_net_kind kind;
    vly_obs_spec obs;
    int actions; /* numbers of the head's layer */
    int tail;    /* POLICY heads: numbers learned for all rows alike, appended to each: log
                    deviations */
    vly_head_kind head;
    int hidden[VLY_NET_HIDDEN_MAX]; /* MLP: its layers. CNNs: hidden[0] replaces the fc width when
                                       not 0 */
    int layers;
    vly_act act;    /* MLP: TANH or RELU */
    bool shared;    /* MLP: policy and value share the hidden layers (CNNs always do) */
    int lstm;       /* width of an LSTM before the heads, 0: none */
    bool normalize; /* vectors: the input less a mean, times a scale, which are tensors of the
                         network that are not trained by gradients (vly_net_moments) */
    float centre;   /* images of bytes: taken from every scaled number, 0: nothing; a tensor that is
                         not trained. The first layer's padding counts as bytes of 0 */
    bool input_grads; /* vly_exec.dx: the gradient of the input is asked for */
    bool bf16;
    bool tf32; /* with f32 activations: products may use tensor cores */
    /* with f32 activations: linear layers between hidden ones may round operands to bf16 */
    bool bf16_products;
    vly_init_kind init;
} vly_net_desc;

typedef struct {
    char name[48]; /* "trunk.conv0.weight" */
    int ndim;
    int64_t shape[4];  /* linear (out, in), conv (out, kh, kw, in), bias (out) */
    int64_t offset, n; /* in the parameter array; offsets are multiples of 16, gaps hold zeros */
    float gain;        /* of the orthogonal initialisation; 0 for biases */
    bool constant;     /* starts at `first` whatever the initialisation */
    float first;
} vly_tensor;

typedef struct vly_net vly_net;
vly_status vly_net_create(vly_net **out, const vly_net_desc *desc);
void vly_net_destroy(vly_net *net);
const vly_net_desc *vly_net_description(const vly_net *net); /* kind and shared resolved */
int64_t vly_net_params(const vly_net *net);  /* length of the parameter array, gaps included */
int64_t vly_net_weights(const vly_net *net); /* trained numbers in it */
int vly_net_width(const vly_net *net);       /* numbers of a row of logits: actions + tail */
/* Where the input's mean lies in the parameters, its scale `*width` numbers on; -1: none. */
int64_t vly_net_moments(const vly_net *net, int *width);
int64_t vly_net_centre(const vly_net *net); /* where it lies; -1: the input is not centred */
/* The same network without a centre: the first layer's bias holds it. For weights that leave. */
void vly_net_absorb_centre(const vly_net *net, vly_real *param);
const vly_tensor *vly_net_tensor(const vly_net *net, int i); /* NULL past the end */

/* The graph, for export (cpu/program/onnx.h): nodes over numbered values, in
 * order of execution; value 0 is the input. */
typedef enum {
    VLY_NODE_LAYER,
    VLY_NODE_RELU,
    VLY_NODE_ADD,
    VLY_NODE_LSTM,
    VLY_NODE_DUELING,
    VLY_NODE_NORMALIZE, /* clamp((x - mean) scale, +-VLY_NET_NORMAL_LIMIT), by column of one frame */
    VLY_NODE_TAIL       /* x with the same learned numbers appended to every row */
} vly_net_op;
#define VLY_NET_NORMAL_LIMIT 10.0f
typedef struct {
    vly_net_op op;
    int in, in2, out;     /* ADD: out += in. DUELING: in V, in2 A. LSTM: in gates */
    vly_layer_desc layer; /* LAYER; batch_max and learn are filled by a context */
    int64_t offset;       /* parameters: LAYER weights then bias, LSTM w_h, NORMALIZE mean then
                             scale, TAIL */
    bool centred;         /* LAYER: of the input less the number at vly_net_centre */
} vly_net_node;
typedef struct {
    int64_t size; /* numbers per row */
    int h, w, c;
    vly_dtype type;
} vly_net_value;
typedef struct {
    const vly_net_node *nodes;
    int node_count;
    const vly_net_value *values;
    int logits, value; /* values; value is -1 without one */
} vly_net_graph;
vly_net_graph vly_net_view(const vly_net *net); /* borrowed from the net */

/* Deterministic in seed; param is host memory. */
vly_status vly_net_init(const vly_net *net, uint64_t seed, vly_real *param);

typedef struct {
    const vly_net *net;
    int batch_max;
    bool learn;
    void *x; /* input (batch_max, h, w, c * stack) of type x_type */
    vly_dtype x_type;
    vly_real *logits, *value;   /* outputs; value NULL without a value head */
    vly_real *dlogits, *dvalue; /* learn: gradients of the outputs, overwritten by backward */
    vly_real *dx; /* input_grads: of the input, after backward (n, numbers of a row) */
    /* LSTM: n rows are steps x (n / steps) time-major. state_h, state_c (steps + 1, rows, H): [0]
     * is set by the caller before forward, [steps] is the state after. */
    vly_real *state_h, *state_c;
    /* Looked at before every layer: true ends forward and backward with VLY_ECANCELED. NULL: never.
     * Not for a pass that is captured. */
    bool (*stop_asked)(const void *arg);
    const void *stop_arg;
} vly_exec;

/* `what` names the use in messages: "acting", "learning". */
vly_status vly_exec_create(vly_exec **out, vly_compute *c, const vly_net *net, int batch_max,
                           bool learn, const char *what);
void vly_exec_destroy(vly_exec *exec);
vly_status vly_exec_prepare(vly_exec *exec, vly_queue *q, const vly_real *param);
/* The bf16 weights of this context's layers lie from now on in p->low, which the optimizer writes
 * in its own pass; fills p->scaled. Changes nothing where the back end packs weights its own way.
 */
vly_status vly_exec_share_low(vly_exec *exec, vly_params *p);
/* After an optimizer step: what of prepare it has not done. */
vly_status vly_exec_stepped(vly_exec *exec, vly_queue *q, const vly_real *param);
vly_status vly_exec_gather(vly_exec *exec, vly_queue *q, const vly_frames *frames, int n,
                           const int32_t *row, int64_t first);
/* The same behind the first `behind` rows of the input, which stay. */
vly_status vly_exec_gather_behind(vly_exec *exec, vly_queue *q, const vly_frames *frames, int n,
                                  const int32_t *row, int behind);
/* LSTM networks: how the n rows of the following calls divide; flags of the rows (steps, n /
 * steps). */
vly_status vly_exec_sequence(vly_exec *exec, int steps, const uint8_t *flags);
vly_status vly_exec_forward(vly_exec *exec, vly_queue *q, int n, const vly_real *param);
/* grad NULL, with input_grads and without an LSTM: exec->dx alone is computed. */
vly_status vly_exec_backward(vly_exec *exec, vly_queue *q, int n, const vly_real *param,
                             vly_real *grad);
/* In every backward pass, as soon as grad[from .. params) is complete on q, which is most of the
 * parameters some way before the end: fn(arg, q, grad, from). NULL: no more. */
void vly_exec_on_gradient(vly_exec *exec,
                          vly_status (*fn)(void *arg, vly_queue *q, vly_real *grad, int64_t from),
                          void *arg);
/* Where that is: in convolutional networks behind the convolutions; 0: nowhere. */
int64_t vly_net_split(const vly_net *net);

const char *vly_net_kind_name(vly_net_kind kind);

#ifdef __cplusplus
}
#endif
#endif
