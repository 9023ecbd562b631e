#include "common/base/compute_open.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/program.h"

enum { PATH_BYTES = 512 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *plugin; /* once open, it stays */
static char opened_path[PATH_BYTES];

/* The driver's library, which comes with the driver and not with the toolkit. */
static bool have_driver(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (driver) dlclose(driver);
    return driver != NULL;
}

static bool try_path(const char *path, char *why, size_t bytes) {
    plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin)
        snprintf(why, bytes, "%s", dlerror());
    else
        snprintf(opened_path, sizeof opened_path, "%s", path);
    return plugin != NULL;
}

/* `why` keeps the message of a file that is there and does not open. */
static bool find_plugin(char *why, size_t bytes) {
    static const char *const places[] = {"%s/libvolley_cuda.so", "%s/../lib/libvolley_cuda.so",
                                         "%s/../lib/volley/libvolley_cuda.so"};
    char folder[PATH_BYTES - 64], path[PATH_BYTES];
    const char *named = getenv("VLY_CUDA_PLUGIN");
    if (named) return try_path(named, why, bytes);
    vly_home(folder, sizeof folder);
    snprintf(why, bytes,
             "libvolley_cuda.so is not beside the program (%s): it was built without a CUDA "
             "compiler; run 'make cuda' and build again",
             folder);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, places[i], folder);
        if (access(path, R_OK) == 0 && try_path(path, why, bytes)) return true;
    }
    return false;
}

static vly_status cuda_check_plugin(void) {
    const int *abi = dlsym(plugin, VLY_COMPUTE_CUDA_ABI_SYMBOL);
    if (!abi) return vly_fail(VLY_EVERSION, "%s: not a Volley CUDA plugin", opened_path);
    if (*abi != VLY_COMPUTE_ABI)
        return vly_fail(
            VLY_EVERSION,
            "%s: built for interface %d, this program has %d: build both from one source",
            opened_path, *abi, VLY_COMPUTE_ABI);
    const vly_cuda_errors_fn errors = (vly_cuda_errors_fn)dlsym(plugin, VLY_CUDA_ERRORS_SYMBOL);
    if (errors) errors(vly_error_buffer());
    return VLY_OK;
}

static vly_status open_locked(void) {
    char why[PATH_BYTES + 256] = "";
    if (plugin) return VLY_OK;
    if (!getenv("VLY_CUDA_PLUGIN") && !have_driver())
        return vly_fail(VLY_ENODEV, "no NVIDIA driver on this machine (libcuda.so.1 is not there)");
    if (!find_plugin(why, sizeof why)) return vly_fail(VLY_ENODEV, "no CUDA back end: %s", why);
    const vly_status status = cuda_check_plugin();
    if (status != VLY_OK) {
        dlclose(plugin);
        plugin = NULL;
    }
    return status;
}

static vly_status cuda_open_plugin(void) {
    pthread_mutex_lock(&lock);
    const vly_status status = open_locked();
    pthread_mutex_unlock(&lock);
    return status;
}

void *vly_cuda_symbol(const char *name) {
    if (cuda_open_plugin() != VLY_OK) return NULL;
    void *symbol = dlsym(plugin, name);
    if (!symbol)
        vly_fail(VLY_ENOTFOUND, "%s has no %s: it was built without it", opened_path, name);
    return symbol;
}

vly_status vly_cuda_open(vly_compute **out, int device, int threads) {
    *out = NULL;
    VLY_TRY(cuda_open_plugin());
    const vly_compute_create_fn create =
        (vly_compute_create_fn)vly_cuda_symbol(VLY_COMPUTE_CUDA_SYMBOL);
    return create ? create(out, device, threads) : VLY_ENOTFOUND;
}

void vly_cuda_describe(vly_cuda_info *info) {
    memset(info, 0, sizeof *info);
    info->driver = have_driver();
    info->plugin = cuda_open_plugin() == VLY_OK;
    if (!info->plugin) {
        snprintf(info->why, sizeof info->why, "%s", vly_error_text());
        return;
    }
    snprintf(info->plugin_path, sizeof info->plugin_path, "%s", opened_path);
    const vly_cuda_describe_fn describe =
        (vly_cuda_describe_fn)vly_cuda_symbol(VLY_CUDA_DESCRIBE_SYMBOL);
    if (describe) describe(info);
}
