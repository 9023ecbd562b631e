#include "cpu/machine/system.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>
#include <vly_version.h>
#include <xxhash.h>
#include <yaml.h>
#include "cpu/machine/processors.h"

const char *vly_system_commit(void) {
    return VLY_COMMIT;
}
const char *vly_system_version(void) {
    return VLY_VERSION;
}

/* The text after "key<blanks>: " in a file of such lines. */
static bool read_field(const char *path, const char *key, char *text, size_t bytes) {
    char line[8192];
    bool found = false;
    FILE *f = fopen(path, "r");
    text[0] = '\0';
    while (f && !found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key))) continue;
        char *value = line + strlen(key);
        value += strspn(value, " \t:=");
        value[strcspn(value, "\n")] = '\0';
        if (*value == '"' && strlen(value) > 1) value[strlen(value) - 1] = '\0', value++;
        snprintf(text, bytes, "%s", value);
        found = true;
    }
    if (f) fclose(f);
    return found;
}

void vly_system_cpu_name(char *text, size_t bytes) {
    if (!read_field("/proc/cpuinfo", "model name", text, bytes)) snprintf(text, bytes, "unknown");
}

void vly_system_cpu_features(char *text, size_t bytes) {
    static const char *const matter[] = {
        "sse4_2",      "avx",         "avx2",        "fma",      "f16c",     "avx512f", "avx512bw",
        "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "asimd",   "sve"};
    char flags[8192], word[64];
    size_t used = 0;
    text[0] = '\0';
    if (!read_field("/proc/cpuinfo", "flags", flags + 1, sizeof flags - 2)) return;
    flags[0] = ' ';
    strcat(flags, " ");
    for (size_t i = 0; i < sizeof matter / sizeof *matter; i++) {
        snprintf(word, sizeof word, " %s ", matter[i]);
        if (strstr(flags, word) && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used ? " " : "", matter[i]);
    }
    if (getenv("VLY_SIMD") && used < bytes) /* cpu/ops/compute_cpu.c */
        snprintf(text + used, bytes - used, " VLY_SIMD=%.8s", getenv("VLY_SIMD"));
}

int64_t vly_system_memory_bytes(void) {
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

int64_t vly_system_resident_bytes(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%*s %ld", &pages) != 1) pages = 0;
        fclose(f);
    }
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

double vly_system_cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

void vly_system_try_library(const char *name, char *why, size_t bytes) {
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    snprintf(why, bytes, "%s", library ? "" : dlerror());
    if (library) dlclose(library);
}

int vly_system_cuda_driver(int *devices, char *why, size_t bytes) {
    int version = 0;
    *devices = 0;
    why[0] = '\0';
    void *library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        snprintf(why, bytes, "no NVIDIA driver (libcuda.so.1 cannot be loaded)");
        return 0;
    }
    int (*get_version)(int *) = (int (*)(int *))dlsym(library, "cuDriverGetVersion");
    int (*init)(unsigned) = (int (*)(unsigned))dlsym(library, "cuInit");
    int (*count)(int *) = (int (*)(int *))dlsym(library, "cuDeviceGetCount");
    int failed = init ? init(0) : -1;
    if (failed)
        snprintf(why, bytes, "the NVIDIA driver is installed, but cuInit failed with error %d%s",
                 failed, failed == 100 ? ": no device" : "");
    else if (!get_version || get_version(&version) || !count || count(devices))
        snprintf(why, bytes, "the NVIDIA driver does not answer");
    else if (!*devices)
        snprintf(why, bytes, "the NVIDIA driver sees no device");
    return failed ? 0 : version; /* not unloaded: the driver may have started threads */
}

static json_t *libraries(void) {
    char yaml[32];
    int major, minor, patch;
    yaml_get_version(&major, &minor, &patch);
    snprintf(yaml, sizeof yaml, "%d.%d.%d", major, minor, patch);
    return json_pack("{s:s, s:s, s:s, s:i}", "libuv", uv_version_string(), "libyaml", yaml,
                     "jansson", jansson_version_str(), "xxhash", (int)XXH_versionNumber());
}

json_t *vly_system_json(void) {
    char name[256], features[512], os[256], why[256];
    struct utsname u;
    int devices, driver = vly_system_cuda_driver(&devices, why, sizeof why);
    vly_system_cpu_name(name, sizeof name);
    vly_system_cpu_features(features, sizeof features);
    if (!read_field("/etc/os-release", "PRETTY_NAME", os, sizeof os))
        snprintf(os, sizeof os, "unknown");
    if (uname(&u)) memset(&u, 0, sizeof u);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:I, s:i, s:i, s:o}", "version",
                     VLY_VERSION, "commit", VLY_COMMIT, "build", VLY_BUILD, "compiler", __VERSION__,
                     "os", os, "kernel", u.release, "cpu", name, "processors", vly_processors(),
                     "cpu_features", features, "memory_bytes",
                     (json_int_t)vly_system_memory_bytes(), "gpus", devices, "cuda_driver", driver,
                     "libraries", libraries());
}
