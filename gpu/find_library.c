#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gpu/find_library.h"
#include <dlfcn.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char plugin_anchor; /* an address in the plugin's file */

typedef struct {
    const char *name;
    char *path; /* of the last file tried */
    size_t bytes;
    char failure[512]; /* of the first file that exists and cannot be opened */
} search;

static void *open_in(search *s, const char *folder) {
    const int length = snprintf(s->path, s->bytes, "%s/%s", folder, s->name);
    if (length < 0 || (size_t)length >= s->bytes || access(s->path, R_OK) != 0) return NULL;
    void *handle = dlopen(s->path, RTLD_LAZY | RTLD_LOCAL);
    if (!handle && !*s->failure)
        snprintf(s->failure, sizeof s->failure, "cannot be opened: %.480s", dlerror());
    return handle;
}

/* Folders that match a pattern, the last (newest version) first. */
static void *open_glob(search *s, const char *pattern) {
    glob_t found = {0};
    void *handle = NULL;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = found.gl_pathc; i > 0 && !handle; i--)
            handle = open_in(s, found.gl_pathv[i - 1]);
    globfree(&found);
    return handle;
}

static void *open_in_list(search *s, const char *folders) {
    char list[4096], *rest = list;
    snprintf(list, sizeof list, "%s", folders ? folders : "");
    for (char *folder; (folder = strsep(&rest, ":"));) {
        void *handle = *folder ? open_in(s, folder) : NULL;
        if (handle) return handle;
    }
    return NULL;
}

static void *open_by_loader(search *s) {
    void *handle = dlopen(s->name, RTLD_LAZY | RTLD_LOCAL);
    if (handle) snprintf(s->path, s->bytes, "%s", s->name);
    return handle;
}

static void *open_beside_plugin(search *s) {
    static const char *const places[] = {"", "/cuda/lib", "/../lib"};
    char folder[512], beside[600];
    Dl_info info;
    if (!dladdr((const void *)&plugin_anchor, &info) || !info.dli_fname) return NULL;
    snprintf(folder, sizeof folder, "%s", info.dli_fname);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = '\0';
    void *handle = NULL;
    for (size_t i = 0; i < 3 && !handle; i++) {
        snprintf(beside, sizeof beside, "%s%s", folder, places[i]);
        handle = open_in(s, beside);
    }
    return handle;
}

static void *open_toolkit(search *s) {
    char folder[600];
    void *handle = NULL;
    if (getenv("CUDA_HOME")) {
        snprintf(folder, sizeof folder, "%s/lib64", getenv("CUDA_HOME"));
        handle = open_in(s, folder);
    }
    return handle ? handle : open_glob(s, "/usr/local/cuda*/lib64");
}

/* The packages of NVIDIA below the root of a Python installation, which may be a pattern. */
static void *open_python(search *s, const char *root, const char *below) {
    static const char *const places[] = {"lib/python3*/site-packages", "lib/python3*/dist-packages",
                                         "lib/python3/dist-packages"};
    char pattern[1024];
    void *handle = NULL;
    for (size_t i = 0; root && *root && i < sizeof places / sizeof *places && !handle; i++) {
        snprintf(pattern, sizeof pattern, "%s%s/%s/nvidia/*/lib", root, below, places[i]);
        handle = open_glob(s, pattern);
    }
    return handle;
}

static void *open_pythons(search *s) {
    const struct {
        const char *root, *below;
    } installations[] = {{getenv("VIRTUAL_ENV"), ""},
                         {getenv("CONDA_PREFIX"), ""},
                         {getenv("HOME"), "/.local"},
                         {"/usr/local", ""},
                         {"/usr", ""},
                         {"/opt/*", ""},
                         {"/opt/*/.venv", ""},
                         {"/opt/*/venv", ""},
                         {"/opt/*/envs/*", ""}};
    void *handle = NULL;
    for (size_t i = 0; i < sizeof installations / sizeof *installations && !handle; i++)
        handle = open_python(s, installations[i].root, installations[i].below);
    return handle;
}

void *vly_find_library(const char *name, char *path, size_t bytes) {
    search s = {.name = name, .path = path, .bytes = bytes};
    void *handle = open_in_list(&s, getenv("VLY_CUDA_LIBRARIES"));
    if (!handle) handle = open_by_loader(&s);
    if (!handle) handle = open_beside_plugin(&s);
    if (!handle) handle = open_toolkit(&s);
    if (!handle) handle = open_pythons(&s);
    if (!handle && *s.failure)
        snprintf(path, bytes, "%s", s.failure);
    else if (!handle)
        snprintf(path, bytes,
                 "%s was not found; name its folder in VLY_CUDA_LIBRARIES, or pip install NVIDIA's "
                 "package",
                 name);
    return handle;
}

static void *open_named(const char *variable, const char *file, char *path, size_t bytes) {
    snprintf(path, bytes, "%s", file);
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!handle) snprintf(path, bytes, "%s: %s", variable, dlerror());
    return handle;
}

static bool take_symbols(void *handle, const vly_library_symbol *symbols, size_t count, char *path,
                         size_t bytes) {
    for (size_t i = 0; i < count; i++) {
        *symbols[i].to = dlsym(handle, symbols[i].name);
        if (*symbols[i].to) continue;
        char file[512];
        snprintf(file, sizeof file, "%s", path);
        snprintf(path, bytes, "%.400s is too old: it has no %s", file, symbols[i].name);
        return false;
    }
    return true;
}

void *vly_library_open(const char *name, const char *variable, const vly_library_symbol *symbols,
                       size_t count, char *path, size_t bytes) {
    const char *file = getenv(variable);
    void *handle = file && *file ? open_named(variable, file, path, bytes)
                   : name        ? vly_find_library(name, path, bytes)
                                 : NULL;
    if (!handle || take_symbols(handle, symbols, count, path, bytes)) return handle;
    dlclose(handle);
    return NULL;
}
