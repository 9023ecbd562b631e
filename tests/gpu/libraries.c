/* How the libraries of NVIDIA are searched for, and what is said when one is not there. */
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/kit/check.h"
#include "tests/kit/built.h"
#ifdef VLY_TEST_SHIM
#include "gpu/find_library.h"

static char scratch[300];

static const char *folder(const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    mkdir(path, 0777);
    return path;
}

static void write_file(const char *at, const char *name, const char *text) {
    char path[900];
    snprintf(path, sizeof path, "%s/%s", at, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The fake NCCL, under the name of a library that no machine has. */
static void place_library(const char *at) {
    char path[900];
    snprintf(path, sizeof path, "%s/libvolleytest.so.2", at);
    unlink(path);
    CHECK_EQ(symlink(built_file(VLY_TEST_FAKE_NCCL), path), 0);
}

static void finds(const char *part) {
    char path[512];
    void *handle = vly_find_library("libvolleytest.so.2", path, sizeof path);
    if (!handle || !strstr(path, part)) fprintf(stderr, "expected %s, got: %s\n", part, path);
    CHECK(handle && strstr(path, part));
    dlclose(handle);
}

static void the_folders_of_the_variable_come_first(void) {
    char list[700];
    place_library(folder("named"));
    snprintf(list, sizeof list, "/nonexistent:%s/named", scratch);
    CHECK_EQ(setenv("VLY_CUDA_LIBRARIES", list, 1), 0);
    place_library(folder("venv/lib/python3.12/site-packages/nvidia/cudnn/lib"));
    snprintf(list, sizeof list, "%s/venv", scratch);
    CHECK_EQ(setenv("VIRTUAL_ENV", list, 1), 0);
    finds("/named/");
    unsetenv("VLY_CUDA_LIBRARIES");
    finds("/venv/lib/python3.12/");
    unsetenv("VIRTUAL_ENV");
}

static void a_users_own_packages_are_found(void) {
    char home[400];
    place_library(folder("home/.local/lib/python3.11/site-packages/nvidia/nccl/lib"));
    snprintf(home, sizeof home, "%s/home", scratch);
    CHECK_EQ(setenv("HOME", home, 1), 0);
    finds("/.local/lib/python3.11/");
    CHECK_EQ(setenv("HOME", "/nonexistent", 1), 0);
}

static void the_reason_is_said(void) {
    char path[512];
    CHECK(!vly_find_library("libvolleytest.so.2", path, sizeof path));
    CHECK(strstr(path, "was not found") && strstr(path, "VLY_CUDA_LIBRARIES"));
    write_file(folder("broken"), "libvolleytest.so.2", "no library");
    CHECK_EQ(setenv("VLY_CUDA_LIBRARIES", folder("broken"), 1), 0);
    CHECK(!vly_find_library("libvolleytest.so.2", path, sizeof path));
    CHECK(strstr(path, "cannot be opened") && strstr(path, "/broken/"));
    unsetenv("VLY_CUDA_LIBRARIES");
}

static void a_library_without_a_symbol_is_closed(void) {
    void *version = NULL, *other = NULL;
    const vly_library_symbol symbols[] = {{"ncclGetVersion", &version}, {"ncclOfTomorrow", &other}};
    char path[512];
    CHECK_EQ(setenv("VLY_TEST_LIBRARY", built_file(VLY_TEST_FAKE_NCCL), 1), 0);
    void *handle = vly_library_open("libvolleytest.so.2", "VLY_TEST_LIBRARY", symbols, 1, path,
                                    sizeof path);
    CHECK(handle && version);
    CHECK_STR(path, built_file(VLY_TEST_FAKE_NCCL));
    dlclose(handle);
    CHECK(
        !vly_library_open("libvolleytest.so.2", "VLY_TEST_LIBRARY", symbols, 2, path, sizeof path));
    CHECK(strstr(path, "is too old: it has no ncclOfTomorrow"));
    CHECK_EQ(setenv("VLY_TEST_LIBRARY", "/nonexistent.so", 1), 0);
    CHECK(
        !vly_library_open("libvolleytest.so.2", "VLY_TEST_LIBRARY", symbols, 1, path, sizeof path));
    CHECK(strstr(path, "VLY_TEST_LIBRARY: "));
}
#endif

int main(void) {
#ifndef VLY_TEST_SHIM
    SKIP("the search needs no device: gpu_libraries_shim has tested it");
#else
    snprintf(scratch, sizeof scratch, "/tmp/vly-libraries.%d", (int)getpid());
    the_folders_of_the_variable_come_first();
    a_users_own_packages_are_found();
    the_reason_is_said();
    a_library_without_a_symbol_is_closed();
    char command[400];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    CHECK_EQ(system(command), 0);
    return TEST_PASS;
#endif
}
