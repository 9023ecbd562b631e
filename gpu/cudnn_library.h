/* cudnn_library.h -- cuDNN, opened at run time if it is installed.
 *
 *   const vly_cudnn_library *lib = vly_cudnn_library_open();
 *   if (lib->handle) lib->Create(&handle);
 *
 * gpu/find_library.h says where it is searched for. It has hundreds of megabytes, so the plugin
 * does not link it.
 */
#ifndef VLY_GPU_CUDNN_LIBRARY_H
#define VLY_GPU_CUDNN_LIBRARY_H
#include <cudnn.h>
#include "common/base/status.h"

#define VLY_CUDNN_FUNCTIONS(XX)  \
    XX(Create)                   \
    XX(Destroy)                  \
    XX(SetStream)                \
    XX(GetVersion)               \
    XX(GetErrorString)           \
    XX(GetLastErrorString)       \
    XX(BackendCreateDescriptor)  \
    XX(BackendDestroyDescriptor) \
    XX(BackendSetAttribute)      \
    XX(BackendGetAttribute)      \
    XX(BackendFinalize)          \
    XX(BackendExecute)

typedef struct {
    void *handle;
    char path[512]; /* of the file, or why there is none */
#define XX(name) __typeof__(&cudnn##name) name;
    VLY_CUDNN_FUNCTIONS(XX)
#undef XX
} vly_cudnn_library;

/* Opened once per process; never NULL. */
const vly_cudnn_library *vly_cudnn_library_open(void);

#define VLY_CUDNN_TRY(expr)                                                \
    do {                                                                   \
        const cudnnStatus_t vly_status_ = (expr);                          \
        if (vly_status_ != CUDNN_STATUS_SUCCESS)                           \
            return vly_cudnn_fail(__FILE__, __LINE__, #expr, vly_status_); \
    } while (0)
vly_status vly_cudnn_fail(const char *file, int line, const char *expr, cudnnStatus_t status);
#endif
