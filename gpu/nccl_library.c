#include "gpu/nccl_library.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "gpu/find_library.h"

static vly_nccl_library library;

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
    const char *named = getenv("VLY_NCCL_LIBRARY");
    if (!named || !*named) {
        library.handle = vly_find_library("libnccl.so.2", library.path, sizeof library.path);
        return;
    }
    snprintf(library.path, sizeof library.path, "%.500s", named);
    library.handle = dlopen(named, RTLD_NOW | RTLD_LOCAL);
    if (!library.handle)
        snprintf(library.path, sizeof library.path, "VLY_NCCL_LIBRARY: %.480s", dlerror());
}

static void open_once(void) {
    find();
#define XX(name, arguments) *(void **)&library.name = take("nccl" #name);
    VLY_NCCL_FUNCTIONS(XX)
#undef XX
    *(void **)&library.GetErrorString = take("ncclGetErrorString");
    *(void **)&library.GetLastError = take("ncclGetLastError");
    if (!library.handle || (library.GetVersion(&library.version) == VLY_NCCL_SUCCESS &&
                            library.version >= (int)VLY_NCCL_VERSION_MIN))
        return;
    snprintf(library.path, sizeof library.path, "it is version %d; 2.14 or later is needed",
             library.version);
    dlclose(library.handle);
    library.handle = NULL;
}

const vly_nccl_library *vly_nccl_library_open(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_once);
    return &library;
}
