/* fake_cublaslt.c -- cuBLASLt's interface for tests on a machine without a GPU: "device" memory is
 * the shim's, products are summed in double on the shim's streams.
 *
 * Stricter than the real one: what it would answer with wrong numbers or a fault on a device is
 * refused here, and said on stderr: layouts that do not fit each other, an algorithm of another
 * problem, pointers less aligned than was stated, a workspace smaller than was promised, an
 * epilogue without its vector. It has two suggestions for every product.
 * FAKE_CUBLASLT_LACKS=EPILOGUE (a number): there is none with that one. FAKE_CUBLASLT_SLOW, _WRONG,
 * _LAZY, _WRONG_BIAS, _HIDES_NAN=N:
 * suggestion N takes a millisecond more, gives wrong numbers, writes nothing, halves the bias
 * gradient, has a ReLU that turns a NaN into 0.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "gpu/cublaslt_library.h"
#include "tests/gpu/shim_stream.h"

#define XX(name, arguments) int cublasLt##name arguments;
VLY_CUBLASLT_FUNCTIONS(XX)
#undef XX
const char *cublasLtGetStatusString(int status);
size_t cublasLtGetVersion(void);

enum { OK = 0, NO_MEMORY = 3, INVALID = 7, UNSUPPORTED = 15 };
enum { WORKSPACE_USED = 4096, SUGGESTIONS = 2 };

struct vly_lt_context {
    int magic;
};
struct vly_lt_desc_data {
    int compute, turn_a, turn_b;
    uint32_t epilogue;
    void *bias;
};
struct vly_lt_layout_data {
    int type;
    uint64_t rows, columns;
    int64_t ld;
};
struct vly_lt_preference_data {
    uint64_t workspace;
    uint32_t align[4];
};

/* What an algorithm remembers of its question, in its 64 opaque bytes. */
typedef struct {
    uint32_t magic, epilogue, types, align[4];
    int32_t rows, columns, inner;
    int32_t turns, which;
} memory;
_Static_assert(sizeof(memory) <= sizeof(vly_lt_algo), "an algorithm's bytes");

typedef struct {
    int compute, a_type, d_type, turn_a, turn_b;
    uint32_t epilogue;
    int which;
    int64_t rows, columns, inner, lda, ldb, ldd;
    float alpha, beta;
    const void *a, *b;
    void *d, *bias, *workspace;
} job;

/* A job that was captured is run again: it stays as long as the process. */
typedef struct kept {
    struct kept *next;
    job job;
} kept;
static kept *everything;

static int refuse(const char *why) {
    fprintf(stderr, "fake cuBLASLt: %s\n", why);
    return INVALID;
}
#define REFUSE_IF(cond)                 \
    do {                                \
        if (cond) return refuse(#cond); \
    } while (0)

static int make(void *out, size_t bytes) {
    void *made = calloc(1, bytes);
    memcpy(out, &made, sizeof made);
    return made ? OK : NO_MEMORY;
}

/* One per process, never destroyed: as the program uses it. */
int cublasLtCreate(vly_lt_handle *handle) {
    static struct vly_lt_context context = {0x17};
    *handle = &context;
    return OK;
}
int cublasLtDestroy(vly_lt_handle handle) {
    return handle ? OK : INVALID;
}
size_t cublasLtGetVersion(void) {
    return 130100;
}
const char *cublasLtGetStatusString(int status) {
    return status == INVALID ? "CUBLAS_STATUS_INVALID_VALUE"
           : status == OK    ? "CUBLAS_STATUS_SUCCESS"
                             : "another";
}

/* ---- descriptors ---- */

int cublasLtMatmulDescCreate(vly_lt_desc *desc, int compute, int scale_type) {
    REFUSE_IF((compute != VLY_LT_COMPUTE_F32 && compute != VLY_LT_COMPUTE_TF32) ||
              scale_type != VLY_LT_F32);
    if (make(desc, sizeof **desc) != OK) return NO_MEMORY;
    (*desc)->compute = compute, (*desc)->epilogue = VLY_LT_NO_EPILOGUE;
    return OK;
}
int cublasLtMatmulDescDestroy(vly_lt_desc desc) {
    free(desc);
    return OK;
}

int cublasLtMatmulDescSetAttribute(vly_lt_desc desc, int name, const void *value, size_t bytes) {
    void *to = name == VLY_LT_TRANSA         ? (void *)&desc->turn_a
               : name == VLY_LT_TRANSB       ? (void *)&desc->turn_b
               : name == VLY_LT_EPILOGUE     ? (void *)&desc->epilogue
               : name == VLY_LT_BIAS_POINTER ? (void *)&desc->bias
                                             : NULL;
    REFUSE_IF(!to || bytes != (name == VLY_LT_BIAS_POINTER ? sizeof(void *) : 4));
    memcpy(to, value, bytes);
    return OK;
}

int cublasLtMatrixLayoutCreate(vly_lt_layout *layout, int type, uint64_t rows, uint64_t columns,
                               int64_t ld) {
    REFUSE_IF((type != VLY_LT_F32 && type != VLY_LT_BF16) || rows == 0 || columns == 0 ||
              ld < (int64_t)rows);
    if (make(layout, sizeof **layout) != OK) return NO_MEMORY;
    **layout = (struct vly_lt_layout_data){type, rows, columns, ld};
    return OK;
}
int cublasLtMatrixLayoutDestroy(vly_lt_layout layout) {
    free(layout);
    return OK;
}

int cublasLtMatmulPreferenceCreate(vly_lt_preference *preference) {
    if (make(preference, sizeof **preference) != OK) return NO_MEMORY;
    for (int i = 0; i < 4; i++) (*preference)->align[i] = 256;
    return OK;
}
int cublasLtMatmulPreferenceDestroy(vly_lt_preference preference) {
    free(preference);
    return OK;
}

int cublasLtMatmulPreferenceSetAttribute(vly_lt_preference p, int name, const void *value,
                                         size_t bytes) {
    REFUSE_IF(name == VLY_LT_WORKSPACE_BYTES
                  ? bytes != 8
                  : name < VLY_LT_ALIGN_A || name > VLY_LT_ALIGN_D || bytes != 4);
    memcpy(name == VLY_LT_WORKSPACE_BYTES ? (void *)&p->workspace
                                          : (void *)&p->align[name - VLY_LT_ALIGN_A],
           value, bytes);
    return OK;
}

/* ---- a problem ---- */

static int problem(vly_lt_desc desc, vly_lt_layout a, vly_lt_layout b, vly_lt_layout c,
                   vly_lt_layout d, job *j) {
    *j = (job){desc->compute,
               a->type,
               d->type,
               desc->turn_a,
               desc->turn_b,
               desc->epilogue,
               0,
               (int64_t)d->rows,
               (int64_t)d->columns,
               (int64_t)(desc->turn_a ? a->rows : a->columns),
               a->ld,
               b->ld,
               d->ld,
               1,
               0,
               NULL,
               NULL,
               NULL,
               desc->bias,
               NULL};
    REFUSE_IF(a->type != b->type || (a->type == VLY_LT_F32 && d->type != VLY_LT_F32) ||
              c->type != d->type);
    REFUSE_IF(desc->compute == VLY_LT_COMPUTE_TF32 && a->type != VLY_LT_F32);
    REFUSE_IF((int64_t)(desc->turn_a ? a->columns : a->rows) != j->rows ||
              (int64_t)(desc->turn_b ? b->rows : b->columns) != j->columns);
    REFUSE_IF((int64_t)(desc->turn_b ? b->columns : b->rows) != j->inner || c->rows != d->rows ||
              c->columns != d->columns || c->ld != d->ld);
    REFUSE_IF(desc->epilogue != VLY_LT_NO_EPILOGUE && !desc->bias);
    return OK;
}

static memory memory_of(const job *j, const uint32_t *align) {
    memory m = {0x5eed,
                j->epilogue,
                (uint32_t)(j->a_type << 16 | j->d_type),
                {0},
                (int32_t)j->rows,
                (int32_t)j->columns,
                (int32_t)j->inner,
                j->turn_a << 1 | j->turn_b,
                0};
    if (align) memcpy(m.align, align, sizeof m.align);
    return m;
}

int cublasLtMatmulAlgoGetHeuristic(vly_lt_handle handle, vly_lt_desc desc, vly_lt_layout a,
                                   vly_lt_layout b, vly_lt_layout c, vly_lt_layout d,
                                   vly_lt_preference preference, int wanted, vly_lt_result *results,
                                   int *found) {
    job j;
    REFUSE_IF(!handle || wanted < 1);
    if (problem(desc, a, b, c, d, &j) != OK) return INVALID;
    const char *lacks = getenv("FAKE_CUBLASLT_LACKS");
    *found = 0;
    if (lacks && (uint32_t)atoi(lacks) == desc->epilogue) return OK;
    if (preference->workspace < WORKSPACE_USED) return UNSUPPORTED;
    memory m = memory_of(&j, preference->align);
    for (*found = 0; *found < wanted && *found < SUGGESTIONS; m.which = ++*found) {
        results[*found] = (vly_lt_result){.workspace_bytes = WORKSPACE_USED};
        memcpy(&results[*found].algo, &m, sizeof m);
    }
    return OK;
}

/* ---- the product ---- */

static double real(int type, const void *data, int64_t i) {
    if (type == VLY_LT_F32) return ((const float *)data)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void put(int type, void *data, int64_t i, float v) {
    if (type == VLY_LT_F32) {
        ((float *)data)[i] = v;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    ((uint16_t *)data)[i] = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static double sum_of(const job *j, int64_t row, int64_t column) {
    double sum = 0;
    for (int64_t k = 0; k < j->inner; k++)
        sum += real(j->a_type, j->a, j->turn_a ? row * j->lda + k : k * j->lda + row) *
               real(j->a_type, j->b, j->turn_b ? k * j->ldb + column : column * j->ldb + k);
    return sum;
}

static bool asked_for(const char *fault, const job *j) {
    const char *which = getenv(fault);
    return which && atoi(which) == j->which;
}

static void bias_gradient(const job *j) {
    for (int64_t column = 0; column < j->columns; column++) {
        double sum = 0;
        for (int64_t k = 0; k < j->inner; k++)
            sum += real(j->a_type, j->b, j->turn_b ? k * j->ldb + column : column * j->ldb + k);
        put(j->d_type, j->bias, column,
            (float)(asked_for("FAKE_CUBLASLT_WRONG_BIAS", j) ? sum / 2 : sum));
    }
}

static void run(void *arg) {
    const job *j = arg;
    if (asked_for("FAKE_CUBLASLT_LAZY", j)) return;
    if (asked_for("FAKE_CUBLASLT_SLOW", j)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    memset(j->workspace, 0xa5, WORKSPACE_USED); /* ours while we run */
    const bool hides = asked_for("FAKE_CUBLASLT_HIDES_NAN", j);
    const bool bias = j->epilogue == VLY_LT_BIAS || j->epilogue == VLY_LT_RELU_BIAS;
    for (int64_t column = 0; column < j->columns; column++)
        for (int64_t row = 0; row < j->rows; row++) {
            const int64_t at = column * j->ldd + row;
            double v = (double)j->alpha * sum_of(j, row, column) +
                       (j->beta != 0.0f ? (double)j->beta * real(j->d_type, j->d, at) : 0);
            if (at == 0 && asked_for("FAKE_CUBLASLT_WRONG", j)) v += 1;
            if (bias) v += real(j->d_type, j->bias, row);
            if (j->epilogue == VLY_LT_RELU_BIAS && (v < 0 || (v != v && hides))) v = 0;
            put(j->d_type, j->d, at, (float)v);
        }
    if (j->epilogue == VLY_LT_BIAS_GRADIENT) bias_gradient(j);
}

static bool aligned(const void *p, uint32_t to) {
    return (uintptr_t)p % to == 0;
}

int cublasLtMatmul(vly_lt_handle handle, vly_lt_desc desc, const void *alpha, const void *a,
                   vly_lt_layout a_layout, const void *b, vly_lt_layout b_layout, const void *beta,
                   const void *c, vly_lt_layout c_layout, void *d, vly_lt_layout d_layout,
                   const vly_lt_algo *algo, void *workspace, size_t workspace_bytes,
                   cudaStream_t stream) {
    job j;
    memory m;
    REFUSE_IF(!handle || !a || !b || !c || !d || c != d || !algo || !workspace ||
              workspace_bytes < WORKSPACE_USED);
    if (problem(desc, a_layout, b_layout, c_layout, d_layout, &j) != OK) return INVALID;
    memcpy(&m, algo, sizeof m);
    memory want = memory_of(&j, m.align);
    REFUSE_IF(m.which < 0 || m.which >= SUGGESTIONS);
    want.which = j.which = m.which;
    REFUSE_IF(memcmp(&m, &want, sizeof m) != 0);
    REFUSE_IF(!aligned(a, m.align[0]) || !aligned(b, m.align[1]) || !aligned(d, m.align[2]) ||
              !aligned(d, m.align[3]));
    memcpy(&j.alpha, alpha, sizeof j.alpha);
    memcpy(&j.beta, beta, sizeof j.beta);
    j.a = a, j.b = b, j.d = d, j.workspace = workspace;
    const shim_enqueue_fn enqueue = shim_enqueue();
    kept *k = calloc(1, sizeof *k);
    if (!k || !enqueue) {
        free(k);
        return NO_MEMORY;
    }
    k->job = j, k->next = __atomic_load_n(&everything, __ATOMIC_ACQUIRE);
    while (!__atomic_compare_exchange_n(&everything, &k->next, k, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
    }
    return enqueue(stream, run, &k->job) == cudaSuccess ? OK : INVALID;
}
