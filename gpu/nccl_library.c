#include "gpu/nccl_library.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include "gpu/find_library.h"

static vly_nccl_library nccl;

static void open_nccl(void) {
#define XX(name, arguments) {"nccl" #name, (void **)&nccl.name},
    const vly_library_symbol symbols[] = {
        VLY_NCCL_FUNCTIONS(XX){"ncclGetErrorString", (void **)&nccl.GetErrorString},
        {"ncclGetLastError", (void **)&nccl.GetLastError}
    };
#undef XX
    nccl.handle = vly_library_open("libnccl.so.2", "VLY_NCCL_LIBRARY", symbols,
                                   sizeof symbols / sizeof *symbols, nccl.path, sizeof nccl.path);
    if (!nccl.handle || (nccl.GetVersion(&nccl.version) == VLY_NCCL_SUCCESS &&
                         nccl.version >= (int)VLY_NCCL_VERSION_MIN))
        return;
    snprintf(nccl.path, sizeof nccl.path, "version %d is too old: 2.14 or later is needed",
             nccl.version);
    dlclose(nccl.handle);
    nccl.handle = NULL;
}

const vly_nccl_library *vly_nccl_library_open(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_nccl);
    return &nccl;
}
