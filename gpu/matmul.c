/* matmul.c -- cuBLAS's matrices are column-major: a row-major (r, c) is its (c, r). So with
 * X (n, in), W (out, in):
 *   forward  Y'  (out, n)  = W' transposed (out, in) times X' (in, n)
 *   dx       dX' (in, n)   = W' (in, out) times dZ' (out, n)
 *   dw       dW' (in, out) = X' (in, n) times dZ' transposed (n, out)
 */
#include "gpu/matmul.h"
#include <stdlib.h>

enum { REMEMBERED = 16, ALIGNMENTS = 4, ALIGN_MOST = 16 };

/* The parameters of a heuristic query. */
typedef struct {
    uint32_t n, align[ALIGNMENTS], bias;
} question;

struct vly_matmul {
    const vly_cublaslt_library *lib;
    vly_lt_handle handle;
    vly_matmul_desc d;
    vly_lt_desc desc;
    vly_lt_preference preference;
    struct {
        question q;
        vly_lt_algo algo;
    } known[REMEMBERED];
    int count;
};

typedef struct {
    vly_lt_layout a, b, d;
} layouts;

/* One handle per device, never destroyed: it is expensive to create, and any thread may use it. */
static vly_status shared_handle(const vly_cublaslt_library *lib, int device, vly_lt_handle *out) {
    static vly_lt_handle handles[64];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (device >= 64) return vly_fail(VLY_EUNSUPPORTED, "cuda:%d: at most 64 devices", device);
    pthread_mutex_lock(&lock);
    const int status = handles[device] ? 0 : lib->Create(&handles[device]);
    *out = handles[device];
    pthread_mutex_unlock(&lock);
    VLY_CUBLASLT_TRY(status);
    return VLY_OK;
}

static vly_status set_description(vly_matmul *m, int name, const void *value, size_t bytes) {
    VLY_CUBLASLT_TRY(m->lib->MatmulDescSetAttribute(m->desc, name, value, bytes));
    return VLY_OK;
}

static vly_status describe_product(vly_matmul *m, uint64_t workspace_bytes) {
    const int32_t transposed = VLY_LT_TRANSPOSED, as_stored = VLY_LT_AS_STORED;
    const uint32_t epilogue = (uint32_t)m->d.epilogue;
    VLY_CUBLASLT_TRY(m->lib->MatmulDescCreate(
        &m->desc, m->d.tf32 ? VLY_LT_COMPUTE_TF32 : VLY_LT_COMPUTE_F32, VLY_LT_F32));
    VLY_TRY(set_description(m, VLY_LT_TRANSA,
                            m->d.form == VLY_PASS_FORWARD ? &transposed : &as_stored,
                            sizeof transposed));
    VLY_TRY(set_description(m, VLY_LT_TRANSB, m->d.form == VLY_PASS_DW ? &transposed : &as_stored,
                            sizeof transposed));
    VLY_TRY(set_description(m, VLY_LT_EPILOGUE, &epilogue, sizeof epilogue));
    VLY_CUBLASLT_TRY(m->lib->MatmulPreferenceCreate(&m->preference));
    VLY_CUBLASLT_TRY(m->lib->MatmulPreferenceSetAttribute(
        m->preference, VLY_LT_WORKSPACE_BYTES, &workspace_bytes, sizeof workspace_bytes));
    return VLY_OK;
}

void vly_matmul_close(vly_matmul *m) {
    if (!m) return;
    if (m->preference) m->lib->MatmulPreferenceDestroy(m->preference);
    if (m->desc) m->lib->MatmulDescDestroy(m->desc);
    free(m);
}

static vly_status open_unasked(vly_cuda *cuda, const vly_matmul_desc *desc, vly_matmul **out) {
    *out = NULL;
    vly_matmul *m = calloc(1, sizeof *m);
    if (!m) return vly_fail(VLY_ENOMEM, "no memory for a plan");
    m->lib = vly_cublaslt_library_open();
    m->d = *desc;
    vly_status status = shared_handle(m->lib, cuda->device, &m->handle);
    if (status == VLY_OK) status = describe_product(m, cuda->workspace_bytes);
    if (status != VLY_OK) {
        vly_matmul_close(m);
        return status;
    }
    *out = m;
    return VLY_OK;
}

static void layouts_close(const vly_matmul *m, layouts *l) {
    if (l->a) m->lib->MatrixLayoutDestroy(l->a);
    if (l->b) m->lib->MatrixLayoutDestroy(l->b);
    if (l->d) m->lib->MatrixLayoutDestroy(l->d);
}

static int cublaslt_type(vly_dtype t) {
    return t == VLY_BF16 ? VLY_LT_BF16 : VLY_LT_F32;
}

static vly_status layouts_open(const vly_matmul *m, int n, layouts *l) {
    const bool forward = m->d.form == VLY_PASS_FORWARD, dw = m->d.form == VLY_PASS_DW;
    const int in = m->d.in, out = m->d.out, operand = cublaslt_type(m->d.operand);
    const int b_rows = forward ? in : out, d_rows = forward ? out : in;
    VLY_CUBLASLT_TRY(
        m->lib->MatrixLayoutCreate(&l->a, operand, (uint64_t)in, (uint64_t)(dw ? n : out), in));
    VLY_CUBLASLT_TRY(
        m->lib->MatrixLayoutCreate(&l->b, operand, (uint64_t)b_rows, (uint64_t)n, b_rows));
    VLY_CUBLASLT_TRY(m->lib->MatrixLayoutCreate(&l->d, cublaslt_type(m->d.result), (uint64_t)d_rows,
                                                (uint64_t)(dw ? out : n), d_rows));
    return VLY_OK;
}

/* By default the library assumes 256 bytes and may read beyond what a pointer allows. No access is
 * wider than 16 bytes, so larger alignments count as 16: an algorithm tried on a buffer of its own
 * is then also used for weights inside a larger array. */
static uint32_t known_alignment(const void *p) {
    const uintptr_t lowest = (uintptr_t)p & (~(uintptr_t)p + 1);
    return lowest == 0 || lowest > ALIGN_MOST ? ALIGN_MOST : (uint32_t)lowest;
}

static vly_status ask_heuristic(vly_matmul *m, const layouts *l, const question *q,
                                vly_lt_algo *algo) {
    static const int names[ALIGNMENTS] = {VLY_LT_ALIGN_A, VLY_LT_ALIGN_B, VLY_LT_ALIGN_C,
                                          VLY_LT_ALIGN_D};
    vly_lt_result best[VLY_SUGGESTIONS];
    int found = 0;
    for (int i = 0; i < ALIGNMENTS; i++)
        VLY_CUBLASLT_TRY(m->lib->MatmulPreferenceSetAttribute(m->preference, names[i], &q->align[i],
                                                              sizeof q->align[i]));
    VLY_CUBLASLT_TRY(m->lib->MatmulAlgoGetHeuristic(m->handle, m->desc, l->a, l->b, l->d, l->d,
                                                    m->preference, m->d.suggestion + 1, best,
                                                    &found));
    if (found == 0)
        return vly_fail(VLY_EUNSUPPORTED, "cuBLASLt has no algorithm for this layer with %u rows",
                        q->n);
    if (found <= m->d.suggestion && (int)q->n == m->d.rows)
        return vly_fail(VLY_EUNSUPPORTED, "cuBLASLt has %d algorithms for this layer", found);
    *algo = best[found <= m->d.suggestion ? found - 1 : m->d.suggestion].algo;
    return VLY_OK;
}

static bool same_question(const question *x, const question *y) {
    bool equal = x->n == y->n && x->bias == y->bias;
    for (int i = 0; i < ALIGNMENTS; i++) equal = equal && x->align[i] == y->align[i];
    return equal;
}

/* Sets the bias pointer first: the heuristic considers its alignment too. */
static vly_status find_algorithm(vly_matmul *m, const layouts *l, const vly_matmul_args *args,
                                 vly_lt_algo *algo) {
    const question q = {(uint32_t)args->n,
                        {known_alignment(args->a), known_alignment(args->b),
                         known_alignment(args->to), known_alignment(args->to)},
                        known_alignment(args->bias)};
    if (m->d.epilogue != VLY_LT_NO_EPILOGUE)
        VLY_TRY(set_description(m, VLY_LT_BIAS_POINTER, &args->bias, sizeof args->bias));
    for (int i = 0; i < m->count && i < REMEMBERED; i++)
        if (same_question(&m->known[i].q, &q)) {
            *algo = m->known[i].algo;
            return VLY_OK;
        }
    VLY_TRY(ask_heuristic(m, l, &q, algo));
    m->known[m->count % REMEMBERED].q = q;
    m->known[m->count % REMEMBERED].algo = *algo;
    m->count++;
    return VLY_OK;
}

static vly_status multiply_with(vly_matmul *m, vly_queue *q, const layouts *l,
                                const vly_matmul_args *args) {
    vly_lt_algo algo;
    VLY_TRY(find_algorithm(m, l, args, &algo));
    if (!q) return VLY_OK; /* a query alone */
    VLY_CUBLASLT_TRY(m->lib->Matmul(m->handle, m->desc, &args->alpha, args->a, l->a, args->b, l->b,
                                    &args->beta, args->to, l->d, args->to, l->d, &algo,
                                    vly_workspace_of(q), vly_cuda_of(q)->workspace_bytes,
                                    vly_stream_of(q)));
    return VLY_OK;
}

vly_status vly_matmul_run(vly_matmul *m, vly_queue *q, const vly_matmul_args *args) {
    layouts l = {0};
    vly_status status = layouts_open(m, args->n, &l);
    if (status == VLY_OK) status = multiply_with(m, q, &l, args);
    layouts_close(m, &l);
    return status;
}

/* Queries the heuristic and multiplies nothing; the addresses stand for memory of the arena. */
vly_status vly_matmul_open(vly_cuda *cuda, const vly_matmul_desc *desc, vly_matmul **out) {
    void *const aligned = (void *)(uintptr_t)ALIGN_MOST;
    VLY_NEED(desc->suggestion >= 0 && desc->suggestion < VLY_SUGGESTIONS && desc->rows > 0);
    VLY_TRY(open_unasked(cuda, desc, out));
    const vly_status status = vly_matmul_run(*out, NULL,
                                             &(vly_matmul_args){.n = desc->rows,
                                                                .alpha = 1,
                                                                .a = aligned,
                                                                .b = aligned,
                                                                .to = aligned,
                                                                .bias = aligned});
    if (status == VLY_OK) return VLY_OK;
    vly_matmul_close(*out);
    *out = NULL;
    return status;
}

vly_status vly_matmul_open_dw(vly_cuda *cuda, const vly_matmul_desc *desc, bool bias,
                              vly_matmul **out, bool *gives_bias) {
    vly_matmul_desc with = *desc;
    with.epilogue = VLY_LT_BIAS_GRADIENT;
    *gives_bias = bias && vly_matmul_open(cuda, &with, out) == VLY_OK;
    return *gives_bias ? VLY_OK : vly_matmul_open(cuda, desc, out);
}
