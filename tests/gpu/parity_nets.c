/* Whole networks on both back ends: outputs, gradients, and the outputs after a step of the
 * optimizer. What layers do for their neighbours in a backward pass shows only here.
 *
 *   gpu_parity_nets_shim                          a few rows of each network
 *   gpu_parity_nets_shim nature 8 256 impala 8    so many rows of the networks for Atari, in fp32 and
 *                                                 bf16: minutes to hours
 */
#include <time.h>
#include "common/learn/net.h"
#include "tests/gpu/layer_parity.h"

static const vly_obs_spec atari = {VLY_U8, 3, {84, 84, 1}, 4, 1.0f / 255, 84 * 84};
static const vly_obs_spec minatar = {VLY_U8, 3, {10, 10, 4}, 1, 1, 400};
static const vly_obs_spec vector = {VLY_F32, 1, {4, 0, 0}, 1, 1, 16};

typedef struct {
    parity *p;
    vly_net *net;
    vly_exec *cpu, *gpu;
    int n;
    double tolerance;
    twin param, grad, m, v, step, low, norm, hyper, stats;
} both_nets;

static vly_exec *exec_of(const both_nets *b, bool on_gpu) {
    return on_gpu ? b->gpu : b->cpu;
}
static void *memory_of(twin t, bool on_gpu) {
    return on_gpu ? t.gpu : t.cpu;
}

static vly_params params_of(const both_nets *b, bool on_gpu) {
    vly_params p = {.n = vly_net_params(b->net),
                    .param = memory_of(b->param, on_gpu),
                    .grad = memory_of(b->grad, on_gpu),
                    .m = memory_of(b->m, on_gpu),
                    .v = memory_of(b->v, on_gpu),
                    .step = memory_of(b->step, on_gpu),
                    .low = on_gpu && vly_net_description(b->net)->bf16 ? b->low.gpu : NULL};
    return p;
}

/* The same bytes as memory of either exec. */
static void fill_both(const both_nets *b, void *cpu, void *gpu, size_t bytes, bool frames) {
    uint8_t *host = malloc(bytes);
    for (size_t i = 0; i < bytes && frames; i++) host[i] = (uint8_t)random_below(256);
    for (size_t i = 0; i < bytes / 4 && !frames; i++) {
        const float f = random_normal();
        memcpy(host + 4 * i, &f, sizeof f);
    }
    memcpy(cpu, host, bytes);
    CHECK_OK(b->p->gpu->upload(b->p->gpu_queue, gpu, host, bytes));
    CHECK_OK(b->p->gpu->queue_sync(b->p->gpu_queue));
    free(host);
}

/* By the size of the whole array: where terms cancel, numbers have no precision of their own.
 * usual: its usual size, where it may be smaller by chance; 0: none. */
static void arrays_agree(const both_nets *b, const char *what, const float *want, const void *gpu,
                         int64_t n, double usual) {
    parity *p = b->p;
    if (getenv("VLY_SHIM_DRY")) return; /* only the shapes of launches are wanted */
    float *got = malloc((size_t)n * sizeof *got);
    double error = 0, size = 0;
    CHECK_OK(p->gpu->download(p->gpu_queue, got, gpu, (size_t)n * sizeof *got));
    CHECK_OK(p->gpu->queue_sync(p->gpu_queue));
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d, size += (double)want[i] * (double)want[i];
    }
    size = fmax(sqrt(size), usual);
    const double relative = sqrt(error) / (size > 0 ? size : 1);
    if (!(relative <= b->tolerance))
        fprintf(stderr, "%s, %d rows: %s differs by %.3g of its size, %.3g allowed\n",
                vly_net_kind_name(vly_net_description(b->net)->kind), b->n, what, relative,
                b->tolerance);
    CHECK(relative <= b->tolerance);
    free(got);
}

static double size_of(const float *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static double weights_of(const both_nets *b, const char *name) {
    const vly_tensor *t;
    for (int i = 0; (t = vly_net_tensor(b->net, i)); i++)
        if (!strcmp(t->name, name)) return size_of((const float *)b->param.cpu + t->offset, t->n);
    return 0;
}

/* The value of a few rows is one sum of terms that nearly cancel: in bf16 it is as precise as the
 * logits, which are products of the same numbers. */
static double usual_value(const both_nets *b, int actions) {
    const double policy = weights_of(b, "policy.head.weight"),
                 value = weights_of(b, "value.head.weight");
    if (!vly_net_description(b->net)->bf16 || policy == 0) return 0;
    return size_of(b->cpu->logits, (int64_t)b->n * actions) * value / policy;
}

static void outputs_agree(const both_nets *b, const char *when) {
    const int actions = vly_net_description(b->net)->actions;
    for (int on_gpu = 0; on_gpu < 2; on_gpu++) {
        vly_compute *c = on_gpu ? b->p->gpu : b->p->cpu;
        vly_queue *q = on_gpu ? b->p->gpu_queue : b->p->cpu_queue;
        CHECK_OK(vly_exec_forward(exec_of(b, on_gpu), q, b->n, memory_of(b->param, on_gpu)));
        CHECK_OK(c->queue_sync(q));
    }
    arrays_agree(b, when, b->cpu->logits, b->gpu->logits, (int64_t)b->n * actions, 0);
    if (b->cpu->value)
        arrays_agree(b, when, b->cpu->value, b->gpu->value, b->n, usual_value(b, actions));
}

static void backward_and_step(const both_nets *b, bool on_gpu) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    vly_compute *c = on_gpu ? b->p->gpu : b->p->cpu;
    vly_queue *q = on_gpu ? b->p->gpu_queue : b->p->cpu_queue;
    vly_params p = params_of(b, on_gpu);
    CHECK_OK(vly_exec_share_low(exec_of(b, on_gpu), &p));
    CHECK_OK(vly_exec_prepare(exec_of(b, on_gpu), q, p.param));
    CHECK_OK(vly_exec_backward(exec_of(b, on_gpu), q, b->n, p.param, p.grad));
    CHECK_OK(c->grad_norm(q, p.n, p.grad, memory_of(b->norm, on_gpu)));
    CHECK_OK(c->optimize(q, &adam, &p, memory_of(b->norm, on_gpu), memory_of(b->hyper, on_gpu),
                         memory_of(b->stats, on_gpu)));
    CHECK_OK(vly_exec_stepped(exec_of(b, on_gpu), q, p.param));
    CHECK_OK(c->queue_sync(q));
}

/* Kernels of one pass: what a graph has to launch. */
static void launches_are_few(const both_nets *b) {
#ifdef VLY_TEST_SHIM
    vly_queue *q = b->p->gpu_queue;
    if (vly_net_description(b->net)->kind != VLY_NET_NATURE) return;
    uint64_t before = vly_shim_launches();
    CHECK_OK(vly_exec_forward(b->gpu, q, b->n, b->param.gpu));
    CHECK_OK(b->p->gpu->queue_sync(q));
    CHECK_EQ(vly_shim_launches() - before, 5); /* the heads are one */
    before = vly_shim_launches();
    backward_and_step(b, true);
    const uint64_t prepare = vly_net_description(b->net)->bf16 ? 12 : 0;
    CHECK_EQ(vly_shim_launches() - before - prepare, 9); /* dx 5, dw, its sums, norm, step */
#else
    (void)b;
#endif
}

static void first_weights(both_nets *b) {
    const int64_t n = vly_net_params(b->net);
    float *host = malloc((size_t)n * sizeof *host);
    const vly_hyper hyper = {.lr = 1e-3f, .max_grad_norm = 0.5f};
    CHECK_OK(vly_net_init(b->net, 3, host));
    b->param = twin_of(b->p, host, (size_t)n * sizeof *host);
    b->grad = zeros(b->p, (size_t)n * 4);
    b->m = zeros(b->p, (size_t)n * 4), b->v = zeros(b->p, (size_t)n * 4);
    b->low = zeros(b->p, (size_t)n * 2);
    b->step = zeros(b->p, 8), b->norm = zeros(b->p, 8), b->stats = zeros(b->p, VLY_STATS * 4);
    b->hyper = twin_of(b->p, &hyper, sizeof hyper);
    free(host);
}

/* In bf16 every layer rounds, and differences of its order grow as the square root of their
 * number: 0.03 for the six layers of Nature's network, 0.053 for IMPALA's eighteen. */
static double rounding(const vly_net *net) {
    const vly_tensor *t;
    int layers = 0;
    for (int i = 0; (t = vly_net_tensor(net, i)); i++) layers += t->ndim > 1;
    return 1.25e-2 * sqrt(layers);
}

/* In fp32 sums differ in their last bits, until a ReLU or the choice of a pool falls otherwise. Among
 * the decisions of many rows some do: the processor's own widths (VLY_SIMD=avx512 and base) differ
 * by 2.9e-4 in IMPALA's gradient of 128 rows and by 1.9e-4 in Nature's of 2,048. */
static double last_bits(const vly_net_desc *d, int n) {
    const bool deep = d->kind == VLY_NET_NATURE || d->kind == VLY_NET_IMPALA;
    return deep && n > 8 ? 1e-3 : 1e-4;
}

static void network_agrees(parity *p, vly_net_desc d, int n) {
    both_nets b = {.p = p, .n = n, .tolerance = d.tf32 ? 5e-3 : last_bits(&d, n)};
    CHECK_OK(vly_net_create(&b.net, &d));
    if (d.bf16) b.tolerance = rounding(b.net);
    CHECK_OK(vly_exec_create(&b.cpu, p->cpu, b.net, n, true, "a test"));
    CHECK_OK(vly_exec_create(&b.gpu, p->gpu, b.net, n, true, "a test"));
    first_weights(&b);
    const size_t row = d.obs.bytes * (size_t)d.obs.stack * vly_dtype_bytes(b.cpu->x_type) /
                       vly_dtype_bytes(d.obs.dtype);
    CHECK_EQ(b.cpu->x_type, b.gpu->x_type);
    fill_both(&b, b.cpu->x, b.gpu->x, (size_t)n * row, b.cpu->x_type == VLY_U8);
    CHECK_OK(vly_exec_prepare(b.cpu, p->cpu_queue, b.param.cpu));
    CHECK_OK(vly_exec_prepare(b.gpu, p->gpu_queue, b.param.gpu));
    outputs_agree(&b, "the first output");
    fill_both(&b, b.cpu->dlogits, b.gpu->dlogits, (size_t)(n * d.actions) * 4, false);
    if (b.cpu->dvalue) fill_both(&b, b.cpu->dvalue, b.gpu->dvalue, (size_t)n * 4, false);
    backward_and_step(&b, false);
    backward_and_step(&b, true);
    arrays_agree(&b, "the gradient", b.grad.cpu, b.grad.gpu, vly_net_params(b.net), 0);
    outputs_agree(&b, "the output after a step");
    launches_are_few(&b);
    vly_exec_destroy(b.cpu);
    vly_exec_destroy(b.gpu);
    vly_net_destroy(b.net);
    twin *all[] = {&b.param, &b.grad, &b.m, &b.v, &b.step, &b.low, &b.norm, &b.hyper, &b.stats};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) twin_free(p, all[i]);
}

static void small_networks_agree(parity *p) {
    for (int separate = 0; separate < 2; separate++)
        for (vly_act act = VLY_ACT_RELU; act <= VLY_ACT_TANH; act++)
            network_agrees(p,
                           (vly_net_desc){.kind = VLY_NET_MLP,
                                          .obs = vector,
                                          .actions = 3,
                                          .hidden = {24, 40},
                                          .layers = 2,
                                          .act = act,
                                          .shared = !separate},
                           130);
    for (int bf16 = 0; bf16 < 2; bf16++)
        for (vly_head_kind head = VLY_HEAD_POLICY_VALUE; head <= VLY_HEAD_DUELING; head++)
            network_agrees(p,
                           (vly_net_desc){.kind = VLY_NET_MINATAR,
                                          .obs = minatar,
                                          .actions = 6,
                                          .head = head,
                                          .centre = head == VLY_HEAD_POLICY ? 0.3f : 0,
                                          .bf16 = bf16},
                           7);
}

static void atari_network_agrees(parity *p, vly_net_kind kind, int rows, bool bf16) {
    network_agrees(p, (vly_net_desc){.kind = kind, .obs = atari, .actions = 6, .bf16 = bf16}, rows);
}

static void asked_for(parity *p, int argc, char **argv) {
    vly_net_kind kind = VLY_NET_NATURE;
    for (int i = 1; i < argc; i++) {
        const time_t start = time(NULL);
        const int rows = atoi(argv[i]);
        const bool nature = !strcmp(argv[i], "nature"), impala = !strcmp(argv[i], "impala");
        if (nature || impala) {
            kind = nature ? VLY_NET_NATURE : VLY_NET_IMPALA;
            continue;
        }
        CHECK(rows > 0);
        for (int bf16 = 0; bf16 < 2; bf16++) atari_network_agrees(p, kind, rows, bf16);
        printf("%s, %d rows, fp32 and bf16: agree, %.0f s\n", vly_net_kind_name(kind), rows,
               difftime(time(NULL), start));
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
#if defined(VLY_TEST_SHIM) && (defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__))
    if (argc == 1)
        SKIP("the layers of these networks run under the sanitizers in parity_layers; fibers take "
             "minutes");
#endif
    parity both = parity_open();
    parity_seed(4);
    asked_for(&both, argc, argv);
    if (argc == 1) {
        small_networks_agree(&both);
        atari_network_agrees(&both, VLY_NET_NATURE, 1, true);
        atari_network_agrees(&both, VLY_NET_IMPALA, 1, true);
    }
    parity_close(&both);
    return TEST_PASS;
}
