/* parity_low.c -- bf16 weights that the optimizer writes in its own pass are those that packing
 * them afterwards gives. */
#include "common/learn/net.h"
#include "tests/gpu/parity.h"

static const vly_net_desc nets[] = {
    {.kind = VLY_NET_MINATAR,
     .obs = {VLY_U8, 3, {10, 10, 4}, 1, 1, 400},
     .actions = 6,
     .bf16 = true},
    {.kind = VLY_NET_NATURE,
     .obs = {VLY_U8, 3, {36, 36, 1}, 3, 1.0f / 255, 36 * 36},
     .actions = 3,
     .hidden = {33},
     .bf16 = true}, /* unaligned biases */
    {.kind = VLY_NET_NATURE,
     .obs = {VLY_U8, 3, {36, 36, 1}, 2, 1.0f / 255, 36 * 36},
     .actions = 5,
     .hidden = {40},
     .lstm = 8,
     .bf16 = true},
};
enum { N = 3, STEPS = 3 };

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_net *net;
    vly_params p;
    vly_exec *shared, *packed;
    vly_real *norm, *stats;
    vly_hyper *hyper;
} world;

static void *take(world *w, size_t bytes) {
    void *memory;
    CHECK_OK(w->c->alloc(w->c, bytes, "a test", NULL, &memory));
    return memory;
}

static void randomize(world *w, vly_real *to, size_t n, float scale) {
    vly_real *host = malloc(n * sizeof *host);
    for (size_t i = 0; i < n; i++) host[i] = scale * random_normal();
    CHECK_OK(w->c->upload(w->q, to, host, n * sizeof *host));
    CHECK_OK(w->c->queue_sync(w->q));
    free(host);
}

static world open_world(parity *p, const vly_net_desc *desc) {
    world w = {.c = p->gpu, .q = p->gpu_queue};
    const vly_hyper hyper = usual_hyper();
    CHECK_OK(vly_net_create(&w.net, desc));
    const size_t n = (size_t)vly_net_params(w.net);
    w.p = (vly_params){.n = (int64_t)n,
                       .param = take(&w, 4 * n),
                       .grad = take(&w, 4 * n),
                       .m = take(&w, 4 * n),
                       .v = take(&w, 4 * n),
                       .step = take(&w, 8),
                       .low = take(&w, 2 * n)};
    w.norm = take(&w, 8), w.stats = take(&w, VLY_STATS * 4), w.hyper = take(&w, sizeof hyper);
    CHECK_OK(w.c->upload(w.q, w.hyper, &hyper, sizeof hyper));
    randomize(&w, w.p.param, n, 0.1f);
    CHECK_OK(vly_exec_create(&w.shared, w.c, w.net, N, true, "a test"));
    CHECK_OK(vly_exec_create(&w.packed, w.c, w.net, N, false, "a test"));
    CHECK_OK(vly_exec_share_low(w.shared, &w.p));
    CHECK_OK(vly_exec_prepare(w.shared, w.q, w.p.param));
    return w;
}

static void close_world(world *w) {
    void *const owned[] = {w->p.param, w->p.grad, w->p.m,   w->p.v,  w->p.step,
                           w->p.low,   w->norm,   w->stats, w->hyper};
    vly_exec_destroy(w->shared);
    vly_exec_destroy(w->packed);
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) w->c->free(w->c, owned[i]);
    vly_net_destroy(w->net);
}

static void step(world *w) {
    static const vly_optimizer adam = {VLY_ADAM, 0.9f, 0.999f, 1e-5f, 0};
    randomize(w, w->p.grad, (size_t)w->p.n, 1);
    CHECK_OK(w->c->grad_norm(w->q, w->p.n, w->p.grad, w->norm));
    CHECK_OK(w->c->optimize(w->q, &adam, &w->p, w->norm, w->hyper, w->stats));
    CHECK_OK(vly_exec_stepped(w->shared, w->q, w->p.param));
}

/* The same frames for both, and a recurrent state of zeros. */
static vly_real *logits_of(world *w, vly_exec *exec, const uint8_t *frames, size_t bytes,
                           size_t *n) {
    const vly_net_desc *d = vly_net_description(w->net);
    const uint8_t starts[N] = {VLY_ROW_RESET, VLY_ROW_RESET, VLY_ROW_RESET};
    uint8_t *flags = take(w, N);
    *n = N * (size_t)d->actions;
    vly_real *out = malloc(*n * sizeof *out);
    CHECK_EQ(exec->x_type, VLY_U8);
    CHECK_OK(w->c->upload(w->q, exec->x, frames, bytes));
    CHECK_OK(w->c->upload(w->q, flags, starts, N));
    if (d->lstm > 0) CHECK_OK(vly_exec_sequence(exec, 1, flags));
    CHECK_OK(vly_exec_forward(exec, w->q, N, w->p.param));
    CHECK_OK(w->c->download(w->q, out, exec->logits, *n * sizeof *out));
    CHECK_OK(w->c->queue_sync(w->q));
    w->c->free(w->c, flags);
    return out;
}

static void the_optimizers_copy_is_the_packed_one(parity *p, const vly_net_desc *desc) {
    world w = open_world(p, desc);
    const size_t bytes = N * (size_t)desc->obs.bytes * (size_t)desc->obs.stack;
    uint8_t *frames = malloc(bytes);
    for (int s = 0; s < STEPS; s++) {
        size_t n;
        step(&w);
        CHECK_OK(vly_exec_prepare(w.packed, w.q, w.p.param));
        for (size_t i = 0; i < bytes; i++) frames[i] = (uint8_t)random_bits();
        vly_real *want = logits_of(&w, w.packed, frames, bytes, &n),
                 *got = logits_of(&w, w.shared, frames, bytes, &n);
        CHECK(memcmp(want, got, n * sizeof *got) == 0);
        free(want), free(got);
    }
    free(frames);
    close_world(&w);
}

/* Without the pass the shared context must still see the weights of before: that the copy is what
 * it computes with. */
static void a_step_without_the_copy_is_noticed(parity *p) {
    world w = open_world(p, &nets[0]);
    size_t n;
    uint8_t frames[N * 400];
    for (size_t i = 0; i < sizeof frames; i++) frames[i] = random_below(3) == 0;
    randomize(&w, w.p.param, (size_t)w.p.n, 0.1f);
    vly_real *after = logits_of(&w, w.shared, frames, sizeof frames, &n);
    CHECK_OK(vly_exec_prepare(w.packed, w.q, w.p.param));
    vly_real *fresh = logits_of(&w, w.packed, frames, sizeof frames, &n);
    CHECK(memcmp(fresh, after, n * sizeof *after) != 0);
    free(after), free(fresh);
    close_world(&w);
}

int main(void) {
    parity both = parity_open(), *p = &both;
    if (!p->gpu->info.has_bf16) SKIP("%s has no bf16", p->gpu->info.name);
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        the_optimizers_copy_is_the_packed_one(p, &nets[i]);
    a_step_without_the_copy_is_noticed(p);
    parity_close(p);
    return TEST_PASS;
}
