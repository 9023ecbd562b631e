/* built.h -- a file that was built for a test: where the build put it, or beside the program, where
 * a bundle has it. */
#ifndef VLY_TESTS_KIT_BUILT_H
#define VLY_TESTS_KIT_BUILT_H
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline const char *built_file(const char *path) {
    static char beside[1024];
    const char *name = strrchr(path, '/');
    if (access(path, R_OK) == 0 || !name) return path;
    const ssize_t n = readlink("/proc/self/exe", beside, sizeof beside - 1);
    if (n <= 0) return path;
    beside[n] = '\0';
    char *end = strrchr(beside, '/');
    if (!end || (size_t)(end - beside) + strlen(name) >= sizeof beside) return path;
    strcpy(end, name);
    return beside;
}
#endif
