#include "gpu/cublaslt_library.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "gpu/find_library.h"

static vly_cublaslt_library library;

/* All functions or none: an older library is treated as absent. */
static void *take(const char *name) {
    void *symbol = library.handle ? dlsym(library.handle, name) : NULL;
    if (library.handle && !symbol) {
        snprintf(library.path, sizeof library.path, "it is too old: no %s", name);
        dlclose(library.handle);
        library.handle = NULL;
    }
    return symbol;
}

static void find(void) {
    const char *named = getenv("VLY_CUBLASLT_LIBRARY");
    if (named && *named) {
        snprintf(library.path, sizeof library.path, "%.500s", named);
        library.handle = dlopen(named, RTLD_NOW | RTLD_LOCAL);
        if (!library.handle)
            snprintf(library.path, sizeof library.path, "VLY_CUBLASLT_LIBRARY: %.480s", dlerror());
        return;
    }
#ifdef VLY_SHIM
    snprintf(library.path, sizeof library.path,
             "the kernel shim has no memory that the real one could use");
#else
    char name[64];
    snprintf(name, sizeof name, "libcublasLt.so.%d", CUDART_VERSION / 1000);
    library.handle = vly_find_library(name, library.path, sizeof library.path);
#endif
}

static void open_once(void) {
    size_t (*version)(void);
    find();
#define XX(name, arguments) *(void **)&library.name = take("cublasLt" #name);
    VLY_CUBLASLT_FUNCTIONS(XX)
#undef XX
    *(void **)&library.GetStatusString = take("cublasLtGetStatusString");
    *(void **)&version = take("cublasLtGetVersion");
    if (library.handle) library.version = version();
}

const vly_cublaslt_library *vly_cublaslt_library_open(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    return &library;
}
