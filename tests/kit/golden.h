/* golden.h -- named arrays from tests/golden/compute.txt, scans.txt and actions.txt, written by the scripts
 * beside them, and a CPU to test. */
#ifndef VLY_TESTS_KIT_GOLDEN_H
#define VLY_TESTS_KIT_GOLDEN_H
#include "common/base/compute.h"
#include "common/base/philox.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/check.h"

/* Test memory lives as long as the test: it is remembered, so that a leak checker sees only what
 * the library loses. */
static inline void *keep(void *p) {
    static void **kept;
    static size_t count, room;
    if (!p) exit(TEST_FAIL);
    if (count == room) kept = realloc(kept, (room = 2 * room + 64) * sizeof *kept);
    if (!kept) exit(TEST_FAIL);
    return kept[count++] = p;
}

typedef struct {
    char name[64];
    int64_t n;
    double *v;
} golden_array;
static golden_array golden_all[1024];
static int golden_count;

static inline void golden_load(const char *path) {
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: missing; run from the source directory\n", path);
        exit(TEST_FAIL);
    }
    char line[256];
    while (golden_count < 1024 && fgets(line, sizeof line, f)) {
        golden_array *a = &golden_all[golden_count++];
        int at = 0, used = 0;
        long dim;
        CHECK(sscanf(line, "%63s%n", a->name, &at) == 1);
        a->n = 1;
        for (; sscanf(line + at, "%ld%n", &dim, &used) == 1; at += used) a->n *= dim;
        a->v = malloc((size_t)(a->n + 1) * sizeof *a->v);
        for (int64_t i = 0; i < a->n; i++) CHECK(fscanf(f, "%lf", &a->v[i]) == 1);
        while (fgetc(f) != '\n' && !feof(f)) {
        }
    }
    fclose(f);
}

/* "prefix.name" */
static inline const golden_array *golden_find(const char *prefix, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    if (!golden_count)
        golden_load("tests/golden/compute.txt"), golden_load("tests/golden/scans.txt"),
            golden_load("tests/golden/actions.txt");
    for (int i = 0; i < golden_count; i++)
        if (strcmp(golden_all[i].name, full) == 0) return &golden_all[i];
    fprintf(stderr, "golden array %s is missing\n", full);
    exit(TEST_FAIL);
}

static inline double golden_at(const char *prefix, const char *name, int i) {
    return golden_find(prefix, name)->v[i];
}

static inline vly_real *golden_reals(const char *prefix, const char *name) {
    const golden_array *a = golden_find(prefix, name);
    vly_real *out = keep(malloc((size_t)(a->n + 1) * sizeof *out));
    for (int64_t i = 0; i < a->n; i++) out[i] = (vly_real)a->v[i];
    return out;
}

static inline int32_t *golden_ints(const char *prefix, const char *name) {
    const golden_array *a = golden_find(prefix, name);
    int32_t *out = keep(malloc((size_t)(a->n + 1) * sizeof *out));
    for (int64_t i = 0; i < a->n; i++) out[i] = (int32_t)a->v[i];
    return out;
}

static inline uint8_t *golden_bytes(const char *prefix, const char *name) {
    const golden_array *a = golden_find(prefix, name);
    uint8_t *out = keep(malloc((size_t)a->n + 1));
    for (int64_t i = 0; i < a->n; i++) out[i] = (uint8_t)a->v[i];
    return out;
}

static inline void golden_check(const char *prefix, const char *name, const vly_real *got,
                                double tolerance) {
    const golden_array *a = golden_find(prefix, name);
    for (int64_t i = 0; i < a->n; i++)
        if (!(fabs((double)got[i] - a->v[i]) <= tolerance * (1 + fabs(a->v[i])))) {
            fprintf(stderr, "%s.%s[%lld]: %.9g, the reference says %.9g\n", prefix, name,
                    (long long)i, (double)got[i], a->v[i]);
            exit(TEST_FAIL);
        }
}

/* ---- one CPU with a queue, and memory that is poisoned before use ---- */

static vly_compute *cpu;
static vly_queue *queue;

static inline void cpu_open(int threads) {
    CHECK_OK(vly_compute_create_cpu(&cpu, threads));
    CHECK_OK(cpu->queue_create(cpu, VLY_QUEUE_LEARN, &queue));
}

static inline void cpu_close(void) {
    cpu->queue_destroy(queue);
    cpu->destroy(cpu);
}

static inline void *poisoned(size_t bytes) {
    void *p = keep(malloc(bytes + 64));
    memset(p, 0xff, bytes + 64); /* NaN as reals, -1 as integers; 64 bytes of guard */
    return p;
}

static inline void guard_check(const void *p, size_t bytes) {
    for (int i = 0; i < 64; i++) CHECK_EQ(((const uint8_t *)p)[bytes + (size_t)i], 0xff);
}

/* Uniform in (-1, 1), a function of its arguments. */
static inline vly_real noise(uint32_t stream, uint32_t i) {
    return 2 * vly_unit(vly_philox(7, VLY_STREAM_TEST, stream, i).v[0]) - 1;
}

static inline vly_real *noise_array(uint32_t stream, int64_t n) {
    vly_real *out = keep(malloc((size_t)n * sizeof *out));
    for (int64_t i = 0; i < n; i++) out[i] = noise(stream, (uint32_t)i);
    return out;
}
#endif
