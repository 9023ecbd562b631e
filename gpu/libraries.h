/* libraries.h -- NVIDIA's libraries, opened where they are found and never required.
 *
 *   const vly_libraries *lib = vly_libraries_open();
 *   if (lib->cublaslt.handle) lib->cublaslt.Create(&handle);
 *
 * gpu/find_library.h says where they are looked for. The plugin thus carries none of their hundreds of megabytes.
 */
#ifndef VLY_GPU_LIBRARIES_H
#define VLY_GPU_LIBRARIES_H
#include <cublasLt.h>
#include <cudnn.h>
#include "common/status.h"

#define VLY_CUBLASLT_FUNCTIONS(XX)                                                                                     \
    XX(Create) XX(Destroy) XX(Matmul) XX(MatmulAlgoGetHeuristic) XX(MatmulDescCreate) XX(MatmulDescDestroy)            \
    XX(MatmulDescSetAttribute) XX(MatrixLayoutCreate) XX(MatrixLayoutDestroy) XX(MatmulPreferenceCreate)               \
    XX(MatmulPreferenceDestroy) XX(MatmulPreferenceSetAttribute) XX(GetStatusString) XX(GetVersion)
#define VLY_CUDNN_FUNCTIONS(XX)                                                                                        \
    XX(Create) XX(Destroy) XX(SetStream) XX(GetVersion) XX(GetErrorString) XX(GetLastErrorString)                      \
    XX(BackendCreateDescriptor) XX(BackendDestroyDescriptor) XX(BackendSetAttribute) XX(BackendGetAttribute)           \
    XX(BackendFinalize) XX(BackendExecute)

typedef struct {
    struct {
        void *handle;
        char path[512];
#define XX(name) __typeof__(&cublasLt##name) name;
        VLY_CUBLASLT_FUNCTIONS(XX)
#undef XX
    } cublaslt;
    struct {
        void *handle;
        char path[512];
#define XX(name) __typeof__(&cudnn##name) name;
        VLY_CUDNN_FUNCTIONS(XX)
#undef XX
    } cudnn;
} vly_libraries;

/* Opened once per process; never NULL. A library that was not found has handle NULL and its path says why. */
const vly_libraries *vly_libraries_open(void);

#define VLY_CUBLAS_TRY(expr)                                                                                           \
    do {                                                                                                               \
        const cublasStatus_t vly_status_ = (expr);                                                                     \
        if (vly_status_ != CUBLAS_STATUS_SUCCESS)                                                                      \
            return vly_fail(VLY_ECUDA, "%s:%d: %s: %s", __FILE__, __LINE__, #expr, vly_libraries_open()->cublaslt.GetStatusString(vly_status_)); \
    } while (0)
#define VLY_CUDNN_TRY(expr)                                                                                            \
    do {                                                                                                               \
        const cudnnStatus_t vly_status_ = (expr);                                                                      \
        if (vly_status_ != CUDNN_STATUS_SUCCESS) return vly_cudnn_fail(__FILE__, __LINE__, #expr, vly_status_);        \
    } while (0)
vly_status vly_cudnn_fail(const char *file, int line, const char *expr, cudnnStatus_t status);
#endif
