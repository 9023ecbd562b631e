/* engine_cublaslt.c -- linear layers through cuBLASLt, bias and ReLU in the epilogue.
 *
 * Our matrices are row-major, cuBLAS's column-major: a row-major (r, c) is its (c, r). So with X (n, in), W (out, in):
 *   forward  Y'  (out, n)  = W' transposed (out, in) times X' (in, n)
 *   dx       dX' (in, n)   = W' (in, out) times dZ' (out, n)
 *   dw       dW' (in, out) = X' (in, n) times dZ' transposed (n, out)
 */
#include <stdlib.h>
#include "gpu/internal.h"
#include "gpu/libraries.h"

enum { REMEMBERED = 16 };

typedef struct {
    const vly_libraries *lib;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulPreference_t preference;
    cudaDataType_t a_type, b_type, d_type;
    int rows, inner, columns;       /* of the product; -1 stands for n */
    int lda, ldb, ldd;
    int a_rows, b_rows;             /* as stored */
    struct { int n; cublasLtMatmulAlgo_t algo; } known[REMEMBERED]; /* the best algorithm by batch */
    int count;
} plan;

static cudaDataType_t type_of(vly_dtype t) { return t == VLY_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

/* Both operands of one type: bf16 with bf16, f32 with f32. */
static bool can(const vly_layer *l, vly_pass pass) {
    if (l->d.kind != VLY_LINEAR || !vly_libraries_open()->cublaslt.handle || l->d.x_type == VLY_U8) return false;
    const bool low = l->conv.math == VLY_MATH_BF16;
    if (pass != VLY_PASS_FORWARD && (l->d.y_type == VLY_BF16) != low) return false;
    return (l->d.x_type == VLY_BF16) == low && l->d.x_scale == 1.0f;
}

static void close(void *p) {
    plan *s = p;
    if (s->preference) s->lib->cublaslt.MatmulPreferenceDestroy(s->preference);
    if (s->desc) s->lib->cublaslt.MatmulDescDestroy(s->desc);
    free(s);
}

static vly_status set(plan *s, cublasLtMatmulDescAttributes_t name, const void *value, size_t bytes) {
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatmulDescSetAttribute(s->desc, name, value, bytes));
    return VLY_OK;
}

static void shape(plan *s, const vly_layer *l, vly_pass pass) {
    const int in = l->d.in_c, out = l->d.out_c;
    const cudaDataType_t operand = type_of(l->conv.math == VLY_MATH_BF16 ? VLY_BF16 : VLY_F32);
    s->a_type = s->b_type = operand;
    switch (pass) {
    case VLY_PASS_FORWARD:
        s->rows = out, s->inner = in, s->columns = -1, s->a_rows = in, s->b_rows = in, s->lda = in, s->ldb = in, s->ldd = out;
        s->d_type = type_of(l->d.y_type);
        break;
    case VLY_PASS_DX:
        s->rows = in, s->inner = out, s->columns = -1, s->a_rows = in, s->b_rows = out, s->lda = in, s->ldb = out, s->ldd = in;
        s->d_type = type_of(l->d.x_type);
        break;
    default:
        s->rows = in, s->inner = -1, s->columns = out, s->a_rows = in, s->b_rows = out, s->lda = in, s->ldb = out, s->ldd = in;
        s->d_type = CUDA_R_32F;
    }
}

static vly_status describe(plan *s, const vly_layer *l, vly_pass pass) {
    const cublasComputeType_t compute = l->conv.math == VLY_MATH_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasOperation_t turned = CUBLAS_OP_T, plain = CUBLAS_OP_N;
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatmulDescCreate(&s->desc, compute, CUDA_R_32F));
    VLY_TRY(set(s, CUBLASLT_MATMUL_DESC_TRANSA, pass == VLY_PASS_FORWARD ? &turned : &plain, sizeof turned));
    VLY_TRY(set(s, CUBLASLT_MATMUL_DESC_TRANSB, pass == VLY_PASS_DW ? &turned : &plain, sizeof turned));
    if (pass == VLY_PASS_FORWARD) {
        const cublasLtEpilogue_t epilogue = l->d.act == VLY_ACT_RELU ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
        VLY_TRY(set(s, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
    }
    const uint64_t most = ((const vly_cuda *)l->c)->workspace_bytes;
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatmulPreferenceCreate(&s->preference));
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatmulPreferenceSetAttribute(s->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most));
    return VLY_OK;
}

typedef struct { cublasLtMatrixLayout_t a, b, d; } layouts;

static void layouts_close(const plan *s, layouts *m) {
    if (m->a) s->lib->cublaslt.MatrixLayoutDestroy(m->a);
    if (m->b) s->lib->cublaslt.MatrixLayoutDestroy(m->b);
    if (m->d) s->lib->cublaslt.MatrixLayoutDestroy(m->d);
}

static vly_status layouts_open(const plan *s, int n, vly_pass pass, layouts *m) {
    const uint64_t a_columns = (uint64_t)(pass == VLY_PASS_FORWARD ? s->rows : pass == VLY_PASS_DX ? s->inner : n);
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatrixLayoutCreate(&m->a, s->a_type, (uint64_t)s->a_rows, a_columns, s->lda));
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatrixLayoutCreate(&m->b, s->b_type, (uint64_t)s->b_rows, (uint64_t)n, s->ldb));
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatrixLayoutCreate(&m->d, s->d_type, (uint64_t)s->rows, (uint64_t)(s->columns < 0 ? n : s->columns), s->ldd));
    return VLY_OK;
}

/* The library's first choice for this batch; asked once. */
static vly_status algorithm(plan *s, const layouts *m, int n, cublasLtMatmulAlgo_t *algo) {
    for (int i = 0; i < s->count && i < REMEMBERED; i++)
        if (s->known[i].n == n) {
            *algo = s->known[i].algo;
            return VLY_OK;
        }
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    VLY_CUBLAS_TRY(s->lib->cublaslt.MatmulAlgoGetHeuristic(s->handle, s->desc, m->a, m->b, m->d, m->d, s->preference, 1, &best, &found));
    if (found == 0) return vly_fail(VLY_EUNSUPPORTED, "cuBLASLt has no algorithm for this layer with %d rows", n);
    s->known[s->count % REMEMBERED].n = n;
    s->known[s->count % REMEMBERED].algo = best.algo;
    s->count++;
    *algo = best.algo;
    return VLY_OK;
}

/* One handle per device for the life of the process: it is heavy, and any thread may use it. */
static vly_status shared_handle(const vly_libraries *lib, int device, cublasLtHandle_t *out) {
    static cublasLtHandle_t handles[64];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (device >= 64) return vly_fail(VLY_EUNSUPPORTED, "cuda:%d: at most 64 devices", device);
    pthread_mutex_lock(&lock);
    const cublasStatus_t status = handles[device] ? CUBLAS_STATUS_SUCCESS : lib->cublaslt.Create(&handles[device]);
    *out = handles[device];
    pthread_mutex_unlock(&lock);
    VLY_CUBLAS_TRY(status);
    return VLY_OK;
}

static vly_status open(vly_layer *l, vly_pass pass, void **out) {
    plan *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a plan");
    *out = s;
    s->lib = vly_libraries_open();
    VLY_TRY(shared_handle(s->lib, ((vly_cuda *)l->c)->device, &s->handle));
    shape(s, l, pass);
    return describe(s, l, pass);
}

static vly_status multiply(vly_layer *l, vly_queue *q, vly_pass pass, plan *s, int n, const layouts *m, const vly_pass_args *a) {
    const void *w = l->low ? l->low : (const void *)a->w;
    const float one = 1.0f, beta = pass == VLY_PASS_DW && a->accumulate ? 1.0f : 0.0f;
    if (pass == VLY_PASS_FORWARD) {
        const void *bias = l->d.y_type == VLY_BF16 ? l->bias_low : (const void *)(a->w + l->weights); /* of y's type */
        VLY_TRY(set(s, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
    }
    cublasLtMatmulAlgo_t algo;
    VLY_TRY(algorithm(s, m, n, &algo));
    const void *left = pass == VLY_PASS_DW ? a->x : w, *right = pass == VLY_PASS_FORWARD ? a->x : a->dz;
    void *to = pass == VLY_PASS_FORWARD ? a->y : pass == VLY_PASS_DX ? a->dx : a->dw;
    VLY_CUBLAS_TRY(s->lib->cublaslt.Matmul(s->handle, s->desc, &one, left, m->a, right, m->b, &beta, to, m->d, to, m->d, &algo, vly_workspace_of(q),
                                           vly_cuda_of(q)->workspace_bytes, vly_stream_of(q)));
    return VLY_OK;
}

static vly_status run(vly_layer *l, vly_queue *q, vly_pass pass, void *p, int n, const vly_pass_args *a) {
    plan *s = p;
    layouts m = {0};
    vly_status status = layouts_open(s, n, pass, &m);
    if (status == VLY_OK) status = multiply(l, q, pass, s, n, &m, a);
    layouts_close(s, &m);
    VLY_TRY(status);
    if (pass == VLY_PASS_FORWARD && l->d.act == VLY_ACT_TANH)
        return vly_tanh_launch(l->d.y_type, (int64_t)n * l->d.out_c, a->y, vly_stream_of(q));
    return VLY_OK;
}

const vly_engine vly_engine_cublaslt = {"cublaslt", true, can, open, close, run, NULL, NULL};
