/* cublaslt_check.c -- compares gpu/cublaslt_library.h with cublasLt.h at compile time, where that
 * header is installed. */
#include "gpu/cublaslt_library.h"
#if !defined(VLY_SHIM) && defined(__has_include)
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
SAME(sizeof(vly_lt_algo), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(vly_lt_result), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(vly_lt_result, workspace_bytes),
     offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(vly_lt_result, state), offsetof(cublasLtMatmulHeuristicResult_t, state));
SAME(0, CUBLAS_STATUS_SUCCESS);
SAME(VLY_LT_F32, CUDA_R_32F);
SAME(VLY_LT_BF16, CUDA_R_16BF);
SAME(VLY_LT_COMPUTE_F32, CUBLAS_COMPUTE_32F);
SAME(VLY_LT_COMPUTE_TF32, CUBLAS_COMPUTE_32F_FAST_TF32);
SAME(VLY_LT_AS_STORED, CUBLAS_OP_N);
SAME(VLY_LT_TRANSPOSED, CUBLAS_OP_T);
SAME(VLY_LT_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(VLY_LT_TRANSB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(VLY_LT_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(VLY_LT_BIAS_POINTER, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(VLY_LT_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(VLY_LT_ALIGN_A, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(VLY_LT_ALIGN_D, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(VLY_LT_NO_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
SAME(VLY_LT_BIAS, CUBLASLT_EPILOGUE_BIAS);
SAME(VLY_LT_RELU_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS);
SAME(VLY_LT_BIAS_GRADIENT, CUBLASLT_EPILOGUE_BGRADB);

/* Compiles only if the signatures are the ones that our declarations copy. An unused static inline
 * function generates no code. */
static inline void cublaslt_signatures(cublasLtHandle_t handle, cudaStream_t stream, void *p) {
    cublasStatus_t (*const create)(cublasLtMatmulDesc_t *, cublasComputeType_t,
                                   cudaDataType_t) = cublasLtMatmulDescCreate;
    cublasStatus_t (*const set)(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void *,
                                size_t) = cublasLtMatmulDescSetAttribute;
    cublasStatus_t (*const lay)(cublasLtMatrixLayout_t *, cudaDataType, uint64_t, uint64_t,
                                int64_t) = cublasLtMatrixLayoutCreate;
    cublasStatus_t (*const prefer)(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
                                   const void *, size_t) = cublasLtMatmulPreferenceSetAttribute;
    cublasStatus_t (*const ask)(
        cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
        cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
        cublasLtMatmulHeuristicResult_t *, int *) = cublasLtMatmulAlgoGetHeuristic;
    cublasStatus_t (*const multiply)(
        cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *, cublasLtMatrixLayout_t,
        const void *, cublasLtMatrixLayout_t, const void *, const void *, cublasLtMatrixLayout_t,
        void *, cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t *, void *, size_t,
        cudaStream_t) = cublasLtMatmul;
    (void)create(p, CUBLAS_COMPUTE_32F, CUDA_R_32F),
        (void)set(p, CUBLASLT_MATMUL_DESC_TRANSA, p, 0), (void)lay(p, CUDA_R_32F, 1, 1, 1);
    (void)prefer(p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, p, 0),
        (void)ask(handle, p, p, p, p, p, p, 1, p, p);
    (void)multiply(handle, p, p, p, p, p, p, p, p, p, p, p, p, p, 0, stream),
        (void)cublasLtCreate(p), (void)cublasLtDestroy(handle);
    (void)cublasLtMatmulDescDestroy(p), (void)cublasLtMatrixLayoutDestroy(p),
        (void)cublasLtMatmulPreferenceCreate(p), (void)cublasLtMatmulPreferenceDestroy(p);
    const char *text = cublasLtGetStatusString(CUBLAS_STATUS_SUCCESS);
    const size_t version = cublasLtGetVersion();
    (void)text, (void)version;
}
_Static_assert(sizeof(&cublaslt_signatures) > 0, "compiled, never called");
#endif
#endif
