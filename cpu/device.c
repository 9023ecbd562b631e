#include "cpu/device.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cpu/compute_cpu.h"
#include "cpu/system.h"

#define PLUGIN "libvolley_cuda.so"

/* Beside the program, in ../lib of it, then wherever the loader looks. */
static void *open_plugin(char *why, size_t bytes) {
    static const char *const folders[] = {"", "../lib/"};
    char self[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) self[n] = '\0';
    char *slash = n > 0 ? strrchr(self, '/') : NULL;
    if (slash) slash[1] = '\0';
    for (int i = 0; slash && i < 2; i++) {
        snprintf(path, sizeof path, "%s%s" PLUGIN, self, folders[i]);
        if (access(path, F_OK)) continue;
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library) snprintf(why, bytes, "%s", dlerror());
        return library;
    }
    void *library = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (!library) snprintf(why, bytes, "this build has no CUDA back end (`make cuda`)");
    return library;
}

static vly_status open_cuda(vly_compute **out, int index, int threads) {
    char why[512];
    int devices;
    vly_system_cuda_driver(&devices, why, sizeof why);
    if (devices == 0) return vly_fail(VLY_ENODEV, "no GPU: %s", why);
    if (index >= devices) return vly_fail(VLY_ENODEV, "there is no cuda:%d, this machine has %d", index, devices);
    void *library = open_plugin(why, sizeof why);
    if (!library) return vly_fail(VLY_ENODEV, "no GPU: %s", why);
    int (*abi)(void) = (int (*)(void))dlsym(library, VLY_COMPUTE_CUDA_ABI_SYMBOL);
    vly_compute_create_fn create = (vly_compute_create_fn)dlsym(library, VLY_COMPUTE_CUDA_SYMBOL);
    if (!abi || !create) return vly_fail(VLY_ENODEV, "no GPU: " PLUGIN " is not one of ours");
    if (abi() != VLY_COMPUTE_ABI)
        return vly_fail(VLY_EVERSION, PLUGIN " is of interface version %d, this program of %d: build both again", abi(), VLY_COMPUTE_ABI);
    return create(out, index, threads); /* the library stays: its code is in use */
}

vly_status vly_device_open(vly_compute **out, const char *device, int threads, char *why, size_t bytes) {
    char unused[1];
    if (!why) why = unused, bytes = sizeof unused;
    why[0] = '\0';
    if (!strncmp(device, "cuda", 4)) return open_cuda(out, device[4] == ':' ? atoi(device + 5) : 0, threads);
    if (!strcmp(device, "auto")) {
        if (open_cuda(out, 0, threads) == VLY_OK) return VLY_OK;
        snprintf(why, bytes, "%s", vly_error_text());
        vly_error_clear();
    }
    return vly_compute_create_cpu(out, threads);
}
