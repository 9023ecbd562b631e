#include "gpu/cublaslt_library.h"
#include <pthread.h>
#include <stdio.h>
#include "gpu/find_library.h"

static vly_cublaslt_library cublaslt;

static void open_cublaslt(void) {
    size_t (*version)(void);
#define XX(name, arguments) {"cublasLt" #name, (void **)&cublaslt.name},
    const vly_library_symbol symbols[] = {
        VLY_CUBLASLT_FUNCTIONS(XX){"cublasLtGetStatusString", (void **)&cublaslt.GetStatusString},
        {"cublasLtGetVersion", (void **)&version}
    };
#undef XX
#ifdef VLY_SHIM
    const char *name = NULL; /* the real one could not use the shim's memory */
    snprintf(cublaslt.path, sizeof cublaslt.path,
             "NVIDIA's library cannot use the memory of the kernel shim");
#else
    char name[64];
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUDART_VERSION / 1000);
#endif
    cublaslt.handle = vly_library_open(name, "VLY_CUBLASLT_LIBRARY", symbols,
                                       sizeof symbols / sizeof *symbols, cublaslt.path,
                                       sizeof cublaslt.path);
    if (cublaslt.handle) cublaslt.version = version();
}

const vly_cublaslt_library *vly_cublaslt_library_open(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_cublaslt);
    return &cublaslt;
}
