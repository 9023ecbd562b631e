#include "gpu/libraries.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include "gpu/find_library.h"

static vly_libraries libraries;

/* All functions or none: an older library is treated as absent. */
#define TAKE(library, prefix, name)                                                                                    \
    if (libraries.library.handle) {                                                                                    \
        *(void **)&libraries.library.name = dlsym(libraries.library.handle, #prefix #name);                            \
        if (!libraries.library.name) {                                                                                 \
            snprintf(libraries.library.path, sizeof libraries.library.path, "it is too old: no " #prefix #name);       \
            dlclose(libraries.library.handle);                                                                         \
            libraries.library.handle = NULL;                                                                           \
        }                                                                                                              \
    }

static void open_all(void) {
    char name[64];
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUDART_VERSION / 1000);
    libraries.cublaslt.handle = vly_find_library(name, libraries.cublaslt.path, sizeof libraries.cublaslt.path);
    libraries.cudnn.handle = vly_find_library("libcudnn.so.9", libraries.cudnn.path, sizeof libraries.cudnn.path);
#define XX(name) TAKE(cublaslt, cublasLt, name)
    VLY_CUBLASLT_FUNCTIONS(XX)
#undef XX
#define XX(name) TAKE(cudnn, cudnn, name)
    VLY_CUDNN_FUNCTIONS(XX)
#undef XX
}

const vly_libraries *vly_libraries_open(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_all);
    return &libraries;
}

vly_status vly_cudnn_fail(const char *file, int line, const char *expr, cudnnStatus_t status) {
    char more[512] = "";
    libraries.cudnn.GetLastErrorString(more, sizeof more);
    return vly_fail(VLY_ECUDA, "%s:%d: %s: %s (%s)", file, line, expr, libraries.cudnn.GetErrorString(status), more);
}
