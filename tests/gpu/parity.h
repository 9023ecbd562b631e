/* parity.h -- one claim, two back ends: the same inputs go to the CPU and to CUDA (a device through
 * the plugin, or the shim), the outputs are compared. Every array exists twice; outputs are
 * poisoned first. */
#ifndef VLY_TESTS_GPU_PARITY_H
#define VLY_TESTS_GPU_PARITY_H
#include "common/base/compute.h"
#include "common/base/compute_open.h"
#include "common/base/philox.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/check.h"
#ifdef VLY_TEST_SHIM
#include "gpu/compute_cuda.h"
#include "kernels/shim/runtime.h"
#endif

typedef struct {
    vly_compute *cpu, *gpu;
    vly_queue *cpu_queue, *gpu_queue;
} parity;

static inline vly_compute *open_gpu(void) {
    vly_compute *c = NULL;
#ifdef VLY_TEST_SHIM
    CHECK_OK(vly_compute_create_cuda(&c, 0, 1));
#else
    const vly_status status = vly_cuda_open(&c, 0, 1);
    if (status == VLY_ENODEV) SKIP("no CUDA device: %s", vly_error_text());
    CHECK_OK(status);
    fprintf(stderr, "on %s\n", c->info.name);
#endif
    return c;
}

static inline parity parity_open(void) {
    parity p;
    p.gpu = open_gpu();
    CHECK_OK(vly_compute_create_cpu(&p.cpu, 1));
    CHECK_OK(p.cpu->queue_create(p.cpu, VLY_QUEUE_LEARN, &p.cpu_queue));
    CHECK_OK(p.gpu->queue_create(p.gpu, VLY_QUEUE_LEARN, &p.gpu_queue));
    return p;
}

static inline void parity_close(parity *p) {
    p->cpu->queue_destroy(p->cpu_queue);
    p->gpu->queue_destroy(p->gpu_queue);
    p->cpu->destroy(p->cpu);
    p->gpu->destroy(p->gpu);
#ifdef VLY_TEST_SHIM
    CHECK_STR(vly_shim_report(), "");
#endif
}

/* Another order of threads on the shim; nothing on a device. */
static inline void parity_seed(uint64_t seed) {
#ifdef VLY_TEST_SHIM
    vly_shim_seed(seed);
#else
    (void)seed;
#endif
}

typedef struct {
    void *cpu, *gpu;
    size_t bytes;
} twin;

static inline twin twin_of(parity *p, const void *host, size_t bytes) {
    twin t = {.bytes = bytes};
    CHECK_OK(p->cpu->alloc(p->cpu, bytes, "a test", NULL, &t.cpu));
    CHECK_OK(p->gpu->alloc(p->gpu, bytes, "a test", NULL, &t.gpu));
    if (host) {
        CHECK_OK(p->cpu->upload(p->cpu_queue, t.cpu, host, bytes));
        CHECK_OK(p->gpu->upload(p->gpu_queue, t.gpu, host, bytes));
    } else { /* an output: NaN and -1 until it is written */
        CHECK_OK(p->cpu->fill(p->cpu_queue, t.cpu, 0xff, bytes));
        CHECK_OK(p->gpu->fill(p->gpu_queue, t.gpu, 0xff, bytes));
    }
    CHECK_OK(p->gpu->queue_sync(p->gpu_queue));
    return t;
}

static inline void twin_free(parity *p, twin *t) {
    p->cpu->free(p->cpu, t->cpu);
    p->gpu->free(p->gpu, t->gpu);
#ifdef VLY_TEST_SHIM
    if (vly_shim_report()[0]) fprintf(stderr, "shim: %s\n", vly_shim_report());
    CHECK_STR(vly_shim_report(), "");
#endif
    t->cpu = t->gpu = NULL;
}

/* What CUDA wrote, on the host; the caller frees it. */
static inline void *twin_gpu(parity *p, const twin *t) {
    void *host = malloc(t->bytes);
    CHECK(host);
    CHECK_OK(p->gpu->download(p->gpu_queue, host, t->gpu, t->bytes));
    CHECK_OK(p->gpu->queue_sync(p->gpu_queue));
    return host;
}

static inline void twin_same(parity *p, const twin *t, const char *what) {
    unsigned char *got = twin_gpu(p, t);
    const unsigned char *want = t->cpu;
    for (size_t i = 0; i < t->bytes; i++)
        if (got[i] != want[i]) {
            fprintf(stderr,
                    "%s: byte %zu of %zu is %02x, on the CPU %02x (as floats: %.9g, %.9g)\n", what,
                    i, t->bytes, got[i], want[i], (double)((float *)got)[i / 4],
                    (double)((const float *)want)[i / 4]);
            exit(TEST_FAIL);
        }
    free(got);
}

static inline void twin_near(parity *p, const twin *t, double tolerance, const char *what) {
    float *got = twin_gpu(p, t);
    const float *want = t->cpu;
    for (size_t i = 0; i < t->bytes / sizeof(float); i++)
        if (!(fabs((double)got[i] - (double)want[i]) <=
              tolerance * (1.0 + fabs((double)want[i]))) &&
            !(isnan(got[i]) && isnan(want[i]))) {
            fprintf(stderr, "%s: number %zu of %zu is %.9g, on the CPU %.9g\n", what, i,
                    t->bytes / sizeof(float), (double)got[i], (double)want[i]);
            exit(TEST_FAIL);
        }
    free(got);
}

#define SAME(t) twin_same(p, &(t), #t)
#define NEAR(t, tolerance) twin_near(p, &(t), tolerance, #t)

/* Both back ends do it; the operation is spelled once, with c, q and the twins' members through
 * D(). */
#define BOTH(call)                                   \
    do {                                             \
        vly_compute *c = p->cpu;                     \
        vly_queue *q = p->cpu_queue;                 \
        bool on_gpu = false;                         \
        CHECK_OK(call);                              \
        c = p->gpu, q = p->gpu_queue, on_gpu = true; \
        CHECK_OK(call);                              \
        CHECK_OK(c->queue_sync(q));                  \
        (void)on_gpu;                                \
    } while (0)
#define D(t) (on_gpu ? (t).gpu : (t).cpu)

/* ---- random inputs ---- */

static uint32_t random_counter;
static inline uint32_t random_bits(void) {
    return vly_philox(2024, VLY_STREAM_TEST, 0, random_counter++).v[0];
}
static inline float random_unit(void) {
    return vly_unit(random_bits());
}
static inline float random_normal(void) {
    return sqrtf(-2 * logf(random_unit())) * cosf(6.2831853f * random_unit());
}
static inline int random_below(int n) {
    return (int)vly_below(random_bits(), (uint32_t)n);
}

static inline twin normals(parity *p, size_t n, float scale) {
    float *host = malloc(n * sizeof *host);
    for (size_t i = 0; i < n; i++) host[i] = scale * random_normal();
    const twin t = twin_of(p, host, n * sizeof *host);
    free(host);
    return t;
}
static inline twin numbers(parity *p, size_t n, int below) {
    int32_t *host = malloc(n * sizeof *host);
    for (size_t i = 0; i < n; i++) host[i] = random_below(below);
    const twin t = twin_of(p, host, n * sizeof *host);
    free(host);
    return t;
}
static inline twin bytes_of(parity *p, size_t n) {
    uint8_t *host = malloc(n);
    for (size_t i = 0; i < n; i++) host[i] = (uint8_t)random_bits();
    const twin t = twin_of(p, host, n);
    free(host);
    return t;
}
/* Flags as environments make them: ends are rare, and followed by a reset. */
static inline twin row_flags(parity *p, int T, int N) {
    uint8_t *host = calloc((size_t)T * (size_t)N, 1);
    for (int n = 0; n < N; n++)
        for (int t = 0; t < T; t++) {
            uint8_t *f = &host[(size_t)t * (size_t)N + (size_t)n];
            const bool ended = t > 0 && f[-N] & VLY_ROW_ENDED;
            *f = ended                   ? VLY_ROW_RESET
                 : random_below(9) == 0  ? VLY_ROW_TERMINATED
                 : random_below(9) == 0  ? VLY_ROW_TRUNCATED
                 : random_below(60) == 0 ? VLY_ROW_FAILED
                                         : 0;
        }
    const twin t = twin_of(p, host, (size_t)T * (size_t)N);
    free(host);
    return t;
}
static inline twin outputs(parity *p, size_t n) {
    return twin_of(p, NULL, n * 4);
}
static inline twin zeros(parity *p, size_t bytes) {
    void *host = calloc(1, bytes);
    const twin t = twin_of(p, host, bytes);
    free(host);
    return t;
}

static inline vly_hyper usual_hyper(void) {
    return (vly_hyper){.lr = 1e-3f,
                       .max_grad_norm = 0.5f,
                       .clip = 0.2f,
                       .value_clip = 0.2f,
                       .value_coef = 0.5f,
                       .entropy_coef = 0.01f,
                       .gamma = 0.99f,
                       .lambda = 0.95f,
                       .rho_bar = 1.0f,
                       .c_bar = 1.0f,
                       .beta = 0.4f,
                       .alpha = 0.6f,
                       .priority_eps = 1e-6f,
                       .huber_delta = 1.0f,
                       .tau = 0.005f,
                       .reward_scale = 0.5f};
}
#endif
