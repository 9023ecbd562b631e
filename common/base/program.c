#define _GNU_SOURCE /* dladdr */
#include "common/base/program.h"
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 4096 };

/* The file of the shared library that this code is in; false: it is in the program. */
static bool find_library(char out[ROOM]) {
    Dl_info info;
    return dladdr((const void *)(size_t)vly_home, &info) && info.dli_fname &&
           strstr(info.dli_fname, ".so") && realpath(info.dli_fname, out);
}

const char *vly_home(char *out, size_t bytes) {
    char path[ROOM];
    if (!find_library(path)) {
        const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
    }
    char *slash = strrchr(path, '/');
    const int length = slash ? (int)(slash - path) : 0;
    if ((size_t)snprintf(out, bytes, "%.*s", length, path) >= bytes) out[0] = '\0';
    return out;
}

const char *vly_program(char *out, size_t bytes) {
    static const char *const places[] = {"volley", "../bin/volley", "../../bin/volley"};
    const char *named = getenv("VOLLEY_PROGRAM");
    char path[ROOM], home[ROOM];
    if (named) return named;
    if (!find_library(path)) return "/proc/self/exe";
    vly_home(home, sizeof home);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const int n = snprintf(out, bytes, "%s/%s", home, places[i]);
        if (n > 0 && (size_t)n < bytes && access(out, X_OK) == 0) return out;
    }
    return "/proc/self/exe";
}

void vly_signals_pass(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
