#include "gpu/cudnn_library.h"
#include <pthread.h>
#include "gpu/find_library.h"

static vly_cudnn_library cudnn;

static void open_cudnn(void) {
#define XX(name) {"cudnn" #name, (void **)&cudnn.name},
    const vly_library_symbol symbols[] = { VLY_CUDNN_FUNCTIONS(XX) };
#undef XX
    cudnn.handle = vly_library_open("libcudnn.so.9", "VLY_CUDNN_LIBRARY", symbols,
                                    sizeof symbols / sizeof *symbols, cudnn.path,
                                    sizeof cudnn.path);
}

const vly_cudnn_library *vly_cudnn_library_open(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_cudnn);
    return &cudnn;
}

vly_status vly_cudnn_fail(const char *file, int line, const char *expr, cudnnStatus_t status) {
    char more[512] = "";
    cudnn.GetLastErrorString(more, sizeof more);
    return vly_fail(VLY_ECUDA, "%s:%d: %s: %s (%s)", file, line, expr, cudnn.GetErrorString(status),
                    more);
}
