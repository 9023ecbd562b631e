#include "gpu/cudnn_library.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include "gpu/find_library.h"

static vly_cudnn_library library;

/* All functions or none: an older library is treated as absent. */
#define TAKE(name)                                                                        \
    if (library.handle) {                                                                 \
        *(void **)&library.name = dlsym(library.handle, "cudnn" #name);                   \
        if (!library.name) {                                                              \
            snprintf(library.path, sizeof library.path, "it is too old: no cudnn" #name); \
            dlclose(library.handle);                                                      \
            library.handle = NULL;                                                        \
        }                                                                                 \
    }

static void open_once(void) {
    library.handle = vly_find_library("libcudnn.so.9", library.path, sizeof library.path);
    VLY_CUDNN_FUNCTIONS(TAKE)
}

const vly_cudnn_library *vly_cudnn_library_open(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    return &library;
}

vly_status vly_cudnn_fail(const char *file, int line, const char *expr, cudnnStatus_t status) {
    char more[512] = "";
    library.GetLastErrorString(more, sizeof more);
    return vly_fail(VLY_ECUDA, "%s:%d: %s: %s (%s)", file, line, expr,
                    library.GetErrorString(status), more);
}
