#include "cpu/fleet/ranks.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct vly_ranks {
    void *library;
    vly_sync *sync;
    vly_ranks_destroy_fn destroy;
};

bool vly_ranks_launched(void) {
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMI_SIZE") || getenv("PMIX_RANK");
}

/* Looks beside the program, then where it is installed, then on the linker's path. */
static void *load_library(void) {
    static const char *const places[] = {"libvolley_mpi.so", "../lib/volley/libvolley_mpi.so"};
    char path[4200];
    const ssize_t n = readlink("/proc/self/exe", path, 4096);
    for (int i = 0; n > 0 && i < 2; i++) {
        path[n] = '\0';
        char *slash = strrchr(path, '/');
        snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "%s", places[i]);
        /* global: Open MPI's plugins need its symbols */
        void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        if (library) return library;
    }
    return dlopen("libvolley_mpi.so", RTLD_NOW | RTLD_GLOBAL);
}

vly_status vly_ranks_open(vly_ranks **out, vly_ranks_mode mode) {
    vly_ranks *r = calloc(1, sizeof *r);
    if (!r) return vly_fail(VLY_ENOMEM, "ranks: out of memory");
    r->library = load_library();
    if (!r->library) {
        free(r);
        return vly_fail(VLY_EUNSUPPORTED,
                        "--sync needs MPI, and libvolley_mpi.so cannot be loaded (%s): apt-get "
                        "install libopenmpi-dev openmpi-bin, then build again",
                        dlerror());
    }
    vly_ranks_create_fn create;
    *(void **)&create = dlsym(r->library, VLY_RANKS_CREATE_SYMBOL);
    *(void **)&r->destroy = dlsym(r->library, VLY_RANKS_DESTROY_SYMBOL);
    const vly_status status =
        create && r->destroy
            ? create(&r->sync, mode, vly_fail)
            : vly_fail(VLY_EVERSION,
                       "libvolley_mpi.so has another version than the program: build again");
    if (status != VLY_OK) {
        free(r);
        return status;
    }
    *out = r;
    return VLY_OK;
}

vly_sync *vly_ranks_sync(vly_ranks *r) {
    return r->sync;
}

void vly_ranks_close(vly_ranks *r, bool failed) {
    if (!r) return;
    r->destroy(r->sync, failed);
    free(r); /* the library stays loaded: MPI cannot be unloaded safely */
}
