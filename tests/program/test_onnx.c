/* Every kind of network, written as ONNX and run by onnxruntime, gives the program's own outputs.
 */
#include <stdbool.h>
#include <unistd.h>
#include "cpu/program/npz.h"
#include "cpu/program/onnx.h"
#include "tests/kit/golden.h"
#include "tests/kit/peer.h"

enum { BATCH = 3 };

static char folder[64] = "/tmp/volley-onnx-XXXXXX";
static uint32_t draws;
static float uniform(void) {
    return (float)noise(29, draws++);
}

#define VECTOR \
    { .dtype = VLY_F32, .ndim = 1, .shape = {5}, .stack = 1, .scale = 1 }
#define SCALED \
    { .dtype = VLY_F32, .ndim = 1, .shape = {3}, .stack = 2, .scale = 0.25f }
#define GRID \
    { .dtype = VLY_U8, .ndim = 3, .shape = {10, 10, 4}, .stack = 1, .scale = 1 }
#define ODD \
    { .dtype = VLY_U8, .ndim = 3, .shape = {7, 9, 2}, .stack = 3, .scale = 0.5f }
#define PIXELS \
    { .dtype = VLY_U8, .ndim = 3, .shape = {84, 84, 1}, .stack = 4, .scale = 1 / 255.0f }

typedef struct {
    const char *name;
    vly_net_desc d;
} network;

static const network networks[] = {
    {"mlp",
     {.kind = VLY_NET_MLP,
      .obs = VECTOR,
      .actions = 3,
      .hidden = {17, 9},
      .layers = 2,
      .act = VLY_ACT_TANH,
      .shared = true}},
    {"towers",
     {.kind = VLY_NET_MLP,
      .obs = SCALED,
      .actions = 2,
      .hidden = {16, 16},
      .layers = 2,
      .act = VLY_ACT_RELU}},
    {"no_hidden", {.kind = VLY_NET_MLP, .obs = VECTOR, .actions = 4, .head = VLY_HEAD_Q}},
    {"mlp_image",
     {.kind = VLY_NET_MLP,
      .obs = ODD,
      .actions = 3,
      .hidden = {11},
      .layers = 1,
      .act = VLY_ACT_TANH,
      .shared = true}},
    {"mlp_dueling",
     {.kind = VLY_NET_MLP,
      .obs = VECTOR,
      .actions = 3,
      .hidden = {8},
      .layers = 1,
      .head = VLY_HEAD_DUELING,
      .shared = true}},
    {"mlp_lstm",
     {.kind = VLY_NET_MLP,
      .obs = VECTOR,
      .actions = 3,
      .hidden = {8},
      .layers = 1,
      .lstm = 6,
      .shared = true}},
    {"minatar", {.kind = VLY_NET_MINATAR, .obs = GRID, .actions = 6, .shared = true}},
    {"minatar_odd",
     {.kind = VLY_NET_MINATAR,
      .obs = ODD,
      .actions = 3,
      .head = VLY_HEAD_DUELING,
      .hidden = {13},
      .layers = 1,
      .shared = true}},
    {"nature", {.kind = VLY_NET_NATURE, .obs = PIXELS, .actions = 6, .shared = true}},
    {"nature_dueling",
     {.kind = VLY_NET_NATURE,
      .obs = PIXELS,
      .actions = 18,
      .head = VLY_HEAD_DUELING,
      .hidden = {32},
      .layers = 1,
      .shared = true}},
    {"a3c_lstm", {.kind = VLY_NET_A3C, .obs = PIXELS, .actions = 4, .lstm = 32, .shared = true}},
    {"impala", {.kind = VLY_NET_IMPALA, .obs = PIXELS, .actions = 6, .shared = true}},
    {"impala_odd",
     {.kind = VLY_NET_IMPALA,
      .obs = ODD,
      .actions = 5,
      .head = VLY_HEAD_Q,
      .hidden = {7},
      .layers = 1,
      .shared = true}},
    {"normalized_with_deviations",
     {.kind = VLY_NET_MLP,
      .obs = VECTOR,
      .actions = 2,
      .tail = 2,
      .hidden = {8},
      .layers = 1,
      .act = VLY_ACT_TANH,
      .normalize = true}},
    {"policy_alone",
     {.kind = VLY_NET_MLP, .obs = VECTOR, .actions = 4, .head = VLY_HEAD_POLICY, .shared = true}},
    {"action",
     {.kind = VLY_NET_MLP,
      .obs = VECTOR,
      .actions = 3,
      .hidden = {8},
      .layers = 1,
      .head = VLY_HEAD_ACTION,
      .shared = true}},
};

typedef struct {
    const vly_net *net;
    vly_exec *exec;
    vly_npz *npz;
    bool native;
} recording;

static void add_reals(recording *r, const char *name, int64_t columns, const vly_real *x) {
    const int64_t shape[] = {BATCH, columns};
    CHECK_OK(vly_npz_add(r->npz, name, VLY_F32, columns ? 2 : 1, shape, x));
}

/* Random observations: to the network as it reads them (n, h, w, c), to the archive in the model's
 * layout. */
static void fill_input(recording *r) {
    const vly_obs_spec *o = &vly_net_description(r->net)->obs;
    const vly_net_value *x = &vly_net_view(r->net).values[0];
    const bool image = o->ndim == 3, bytes = o->dtype == VLY_U8;
    const int64_t n = BATCH * x->size, pixels_in = (int64_t)x->h * x->w,
                  channels = o->shape[2] * o->stack;
    uint8_t *u8 = keep(malloc((size_t)n));
    float *f32 = keep(malloc((size_t)n * sizeof *f32));
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = i / x->size, in_row = i % x->size;
        const int64_t to = image && !r->native
                               ? row * x->size + in_row % channels * pixels_in + in_row / channels
                               : i;
        const float value = bytes ? (float)(int)(127.9f * (1 + uniform())) : 2 * uniform();
        u8[to] = bytes ? (uint8_t)value : 0, f32[to] = value;
        if (r->exec->x_type == VLY_U8)
            ((uint8_t *)r->exec->x)[i] = (uint8_t)value;
        else
            ((vly_real *)r->exec->x)[i] = (vly_real)(o->scale * value); /* what a gather does */
    }
    const int64_t chw[] = {BATCH, channels, o->shape[0], o->shape[1]},
                  hwc[] = {BATCH, o->shape[0], o->shape[1], channels}, flat[] = {BATCH, x->size};
    CHECK_OK(vly_npz_add(r->npz, "in.obs", o->dtype, image ? 4 : 2,
                         !image      ? flat
                         : r->native ? hwc
                                     : chw,
                         bytes ? (void *)u8 : (void *)f32));
}

static void fill_states(recording *r) {
    const int64_t H = vly_net_description(r->net)->lstm;
    for (int64_t i = 0; i < BATCH * H; i++)
        r->exec->state_h[i] = (vly_real)uniform(), r->exec->state_c[i] = (vly_real)uniform();
    if (!H) return;
    add_reals(r, "in.h", H, r->exec->state_h);
    add_reals(r, "in.c", H, r->exec->state_c);
}

static void add_outputs(recording *r) {
    const vly_net_desc *d = vly_net_description(r->net);
    const int64_t H = d->lstm;
    const bool q = d->head == VLY_HEAD_Q || d->head == VLY_HEAD_DUELING;
    add_reals(r,
              q                            ? "out.q"
              : d->head == VLY_HEAD_ACTION ? "out.action"
                                           : "out.logits",
              vly_net_width(r->net), r->exec->logits);
    if (r->exec->value) add_reals(r, "out.value", 0, r->exec->value);
    if (!H) return;
    add_reals(r, "out.h_next", H, r->exec->state_h + BATCH * H);
    add_reals(r, "out.c_next", H, r->exec->state_c + BATCH * H);
}

static void write_model(const network *of, bool native) {
    static const uint8_t flags[BATCH];
    char path[160];
    vly_net_desc d = of->d;
    vly_net *net;
    d.init = VLY_INIT_TORCH; /* biases too, and heads that say something */
    CHECK_OK(vly_net_create(&net, &d));
    vly_real *param = keep(calloc((size_t)vly_net_params(net), sizeof *param));
    CHECK_OK(vly_net_init(net, 7, param));
    const vly_tensor *t;
    for (int i = 0; (t = vly_net_tensor(net, i)) != NULL; i++) /* moments and deviations, not 0 */
        for (int64_t k = 0; t->constant && k < t->n; k++)
            param[t->offset + k] = (vly_real)(1.5f + uniform());
    const vly_onnx_note note = {.name = "env", .value = "none"};
    const vly_onnx_options o = {
        .native = native, .name = of->name, .notes = &note, .note_count = 1};
    snprintf(path, sizeof path, "%s/%s%s.onnx", folder, of->name, native ? "_native" : "");
    CHECK_OK(vly_onnx_write(path, net, param, &o));

    recording r = {.net = net, .native = native};
    snprintf(path, sizeof path, "%s/%s%s.npz", folder, of->name, native ? "_native" : "");
    CHECK_OK(vly_npz_open(&r.npz, path));
    CHECK_OK(vly_exec_create(&r.exec, cpu, net, BATCH, false, "acting"));
    CHECK_OK(vly_exec_prepare(r.exec, queue, param));
    fill_input(&r);
    fill_states(&r);
    CHECK_OK(vly_exec_sequence(r.exec, 1, flags));
    CHECK_OK(vly_exec_forward(r.exec, queue, BATCH, param));
    add_outputs(&r);
    CHECK_OK(vly_npz_close(r.npz));
    vly_exec_destroy(r.exec);
    vly_net_destroy(net);
}

static void a_place_that_cannot_be_written_is_named(void) {
    vly_net *net;
    CHECK_OK(vly_net_create(&net, &networks[0].d));
    vly_real *param = keep(calloc((size_t)vly_net_params(net), sizeof *param));
    CHECK(vly_onnx_write("/proc/no/such/x.onnx", net, param, &(vly_onnx_options){.name = "x"}) !=
          VLY_OK);
    CHECK(strstr(vly_error_text(), "/proc/no/such/x.onnx"));
    vly_net_destroy(net);
}

int main(void) {
    char command[400];
    CHECK(mkdtemp(folder) != NULL);
    cpu_open(1);
    a_place_that_cannot_be_written_is_named();
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        write_model(&networks[i], false);
        if (networks[i].d.obs.ndim == 3) write_model(&networks[i], true);
    }
    cpu_close();
    const char *python = peer_python("onnx, onnxruntime");
    int code = 0;
    if (python) {
        snprintf(command, sizeof command, "%s tests/kit/run_onnx.py %s", python, folder);
        code = system(command);
        CHECK_EQ(code, 0);
    }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_EQ(system(command), 0);
    if (!python)
        SKIP(
            "onnx and onnxruntime are not here (tests/kit/peers.sh): models were written, not run");
    return TEST_PASS;
}
