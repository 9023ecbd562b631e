/* cublaslt_library.h -- the part of cuBLASLt that this project uses, opened at run time if it is
 * installed.
 *
 *   const vly_cublaslt_library *lib = vly_cublaslt_library_open();
 *   if (!lib->handle) puts(lib->path);                      // why not
 *
 * Declared here, not taken from cublasLt.h, so that the engines on top of it compile and are tested
 * without the toolkit too, against a stand-in (tests/gpu/cublas);
 * gpu/cublaslt_check.c compares the two wherever the header is there. VLY_CUBLASLT_LIBRARY in the
 * environment names another file; against the kernel shim no other is looked for.
 */
#ifndef VLY_GPU_CUBLASLT_LIBRARY_H
#define VLY_GPU_CUBLASLT_LIBRARY_H
#include <stddef.h>
#include <stdint.h>
#include "common/base/status.h"
#include "kernels/launch.h"

typedef struct vly_lt_context *vly_lt_handle;
typedef struct vly_lt_desc_data *vly_lt_desc;
typedef struct vly_lt_layout_data *vly_lt_layout;
typedef struct vly_lt_preference_data *vly_lt_preference;
typedef struct {
    uint64_t data[8];
} vly_lt_algo;
typedef struct {
    vly_lt_algo algo;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
} vly_lt_result;

enum { VLY_LT_F32 = 0, VLY_LT_BF16 = 14 };                  /* cudaDataType */
enum { VLY_LT_COMPUTE_F32 = 68, VLY_LT_COMPUTE_TF32 = 77 }; /* cublasComputeType_t */
enum { VLY_LT_AS_STORED = 0, VLY_LT_TRANSPOSED = 1 };       /* cublasOperation_t */
enum {
    VLY_LT_TRANSA = 3,
    VLY_LT_TRANSB = 4,
    VLY_LT_EPILOGUE = 7,
    VLY_LT_BIAS_POINTER = 8
}; /* of a description */
enum {
    VLY_LT_WORKSPACE_BYTES = 1,
    VLY_LT_ALIGN_A = 5,
    VLY_LT_ALIGN_B,
    VLY_LT_ALIGN_C,
    VLY_LT_ALIGN_D
}; /* of a preference */
typedef enum {
    VLY_LT_NO_EPILOGUE = 1,
    VLY_LT_BIAS = 4, /* one number per row of D */
    VLY_LT_RELU_BIAS = 6,
    VLY_LT_BIAS_GRADIENT = 512 /* written: B's sums over the inner dimension, one per column of D */
} vly_lt_epilogue;

/* XX(name without "cublasLt", arguments); all return cublasStatus_t, an int. Matrices are
 * column-major. */
#define VLY_CUBLASLT_FUNCTIONS(XX)                                                                 \
    XX(Create, (vly_lt_handle * handle))                                                           \
    XX(Destroy, (vly_lt_handle handle))                                                            \
    XX(MatmulDescCreate, (vly_lt_desc * desc, int compute, int scale_type))                        \
    XX(MatmulDescDestroy, (vly_lt_desc desc))                                                      \
    XX(MatmulDescSetAttribute, (vly_lt_desc desc, int name, const void *value, size_t bytes))      \
    XX(MatrixLayoutCreate,                                                                         \
       (vly_lt_layout * layout, int type, uint64_t rows, uint64_t columns, int64_t ld))            \
    XX(MatrixLayoutDestroy, (vly_lt_layout layout))                                                \
    XX(MatmulPreferenceCreate, (vly_lt_preference * preference))                                   \
    XX(MatmulPreferenceDestroy, (vly_lt_preference preference))                                    \
    XX(MatmulPreferenceSetAttribute,                                                               \
       (vly_lt_preference preference, int name, const void *value, size_t bytes))                  \
    XX(MatmulAlgoGetHeuristic,                                                                     \
       (vly_lt_handle handle, vly_lt_desc desc, vly_lt_layout a, vly_lt_layout b, vly_lt_layout c, \
        vly_lt_layout d, vly_lt_preference preference, int wanted, vly_lt_result *results,         \
        int *found))                                                                               \
    XX(Matmul,                                                                                     \
       (vly_lt_handle handle, vly_lt_desc desc, const void *alpha, const void *a,                  \
        vly_lt_layout a_layout, const void *b, vly_lt_layout b_layout, const void *beta,           \
        const void *c, vly_lt_layout c_layout, void *d, vly_lt_layout d_layout,                    \
        const vly_lt_algo *algo, void *workspace, size_t workspace_bytes, cudaStream_t stream))

typedef struct {
    void *handle;
    char path[512]; /* of the file, or why there is none */
    size_t version;
#define XX(name, arguments) int(*name) arguments;
    VLY_CUBLASLT_FUNCTIONS(XX)
#undef XX
    const char *(*GetStatusString)(int status);
} vly_cublaslt_library;

/* Opened once per process; never NULL. */
const vly_cublaslt_library *vly_cublaslt_library_open(void);

#define VLY_CUBLASLT_TRY(expr)                                                          \
    do {                                                                                \
        const int vly_status_ = (expr);                                                 \
        if (vly_status_ != 0)                                                           \
            return vly_fail(VLY_ECUDA, "%s:%d: %s: %s", __FILE__, __LINE__, #expr,      \
                            vly_cublaslt_library_open()->GetStatusString(vly_status_)); \
    } while (0)
#endif
