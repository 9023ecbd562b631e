#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gpu/find_library.h"
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char here; /* in the plugin's file */

static void *open_at(const char *folder, const char *name, char *path, size_t bytes) {
    const int length = snprintf(path, bytes, "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= bytes) return NULL;
    return access(path, R_OK) == 0 ? dlopen(path, RTLD_LAZY | RTLD_LOCAL) : NULL;
}

/* Folders that match a pattern, the last (newest version) first. */
static void *open_glob(const char *pattern, const char *name, char *path, size_t bytes) {
    glob_t found = {0};
    void *handle = NULL;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = found.gl_pathc; i > 0 && !handle; i--)
            handle = open_at(found.gl_pathv[i - 1], name, path, bytes);
    globfree(&found);
    return handle;
}

static void *open_named(const char *name, char *path, size_t bytes) {
    char list[2048], *rest = list;
    snprintf(list, sizeof list, "%s",
             getenv("VLY_CUDA_LIBRARIES") ? getenv("VLY_CUDA_LIBRARIES") : "");
    for (char *folder; (folder = strsep(&rest, ":"));) {
        void *handle = *folder ? open_at(folder, name, path, bytes) : NULL;
        if (handle) return handle;
    }
    return NULL;
}

/* %s: a folder under which Python keeps its packages. */
static void *open_python(const char *root, const char *name, char *path, size_t bytes) {
    static const char *const places[] = {"%s/lib/python3*/site-packages/nvidia/*/lib",
                                         "%s/lib/python3*/dist-packages/nvidia/*/lib",
                                         "%s/lib/python3/dist-packages/nvidia/*/lib"};
    char pattern[1024];
    void *handle = NULL;
    for (size_t i = 0; root && i < sizeof places / sizeof *places && !handle; i++) {
        snprintf(pattern, sizeof pattern, places[i], root);
        handle = open_glob(pattern, name, path, bytes);
    }
    return handle;
}

static void plugin_folder(char *folder, size_t bytes) {
    Dl_info info;
    folder[0] = '\0';
    if (!dladdr((void *)&here, &info) || !info.dli_fname) return;
    snprintf(folder, bytes, "%s", info.dli_fname);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = '\0';
}

void *vly_find_library(const char *name, char *path, size_t bytes) {
    char folder[512], beside[600];
    void *handle = open_named(name, path, bytes);
    if (handle) return handle;
    handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (handle) {
        snprintf(path, bytes, "%s", name);
        return handle;
    }
    plugin_folder(folder, sizeof folder);
    static const char *const near_plugin[] = {"%s", "%s/cuda/lib", "%s/../lib"};
    for (size_t i = 0; i < 3 && !handle; i++) {
        snprintf(beside, sizeof beside, near_plugin[i], folder);
        handle = open_at(beside, name, path, bytes);
    }
    if (!handle && getenv("CUDA_HOME")) {
        snprintf(beside, sizeof beside, "%s/lib64", getenv("CUDA_HOME"));
        handle = open_at(beside, name, path, bytes);
    }
    if (!handle) handle = open_glob("/usr/local/cuda*/lib64", name, path, bytes);
    if (!handle) handle = open_python(getenv("VIRTUAL_ENV"), name, path, bytes);
    if (!handle) handle = open_python(getenv("CONDA_PREFIX"), name, path, bytes);
    if (!handle) handle = open_python("/usr/local", name, path, bytes);
    if (!handle) handle = open_python("/usr", name, path, bytes);
    if (!handle) handle = open_python("/opt/*", name, path, bytes);
    if (!handle) snprintf(path, bytes, "%s is nowhere to be found", name);
    return handle;
}
