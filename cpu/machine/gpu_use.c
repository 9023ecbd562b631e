#include "cpu/machine/gpu_use.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* The part of NVML's interface that is used here (nvml.h, version 12). */
typedef struct {
    unsigned gpu, memory; /* percent of the last sample period */
} nvml_utilization;
typedef struct {
    unsigned long long total, free, used;
} nvml_memory;

struct vly_gpu_use {
    void *library, *device;
    int (*shutdown)(void);
    int (*utilization)(void *device, nvml_utilization *out);
    int (*memory)(void *device, nvml_memory *out);
};

int vly_gpu_use_index(const char *device) {
    const char *colon = strchr(device, ':');
    return colon ? atoi(colon + 1) : 0;
}

/* The driver's number of CUDA's device `index`. Identifiers (GPU-...) in CUDA_VISIBLE_DEVICES are
 * not looked up: the index is returned as it is. */
static int visible_index(int index) {
    const char *p = getenv("CUDA_VISIBLE_DEVICES");
    for (int i = 0; p && *p >= '0' && *p <= '9'; i++) {
        if (i == index) return atoi(p);
        p = strchr(p, ',');
        p = p ? p + 1 : NULL;
    }
    return index;
}

static void *symbol(vly_gpu_use *g, const char *name) {
    return dlsym(g->library, name);
}

static bool find_device(vly_gpu_use *g, int index) {
    int (*init)(void) = (int (*)(void))symbol(g, "nvmlInit_v2");
    int (*handle)(unsigned,
                  void **) = (int (*)(unsigned, void **))symbol(g, "nvmlDeviceGetHandleByIndex_v2");
    int (*shutdown)(void) = (int (*)(void))symbol(g, "nvmlShutdown");
    g->utilization = (int (*)(void *, nvml_utilization *))symbol(g,
                                                                 "nvmlDeviceGetUtilizationRates");
    g->memory = (int (*)(void *, nvml_memory *))symbol(g, "nvmlDeviceGetMemoryInfo");
    if (!init || !handle || !shutdown || !g->utilization || !g->memory || init() != 0) return false;
    g->shutdown = shutdown;
    return index >= 0 && handle((unsigned)visible_index(index), &g->device) == 0;
}

vly_gpu_use *vly_gpu_use_open(const char *library, int index) {
    vly_gpu_use *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->library = dlopen(library ? library : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (g->library && find_device(g, index)) return g;
    vly_gpu_use_close(g);
    return NULL;
}

bool vly_gpu_use_read(vly_gpu_use *g, double *busy_share, double *memory_bytes) {
    nvml_utilization use;
    nvml_memory memory;
    if (!g || g->utilization(g->device, &use) != 0 || g->memory(g->device, &memory) != 0)
        return false;
    *busy_share = use.gpu / 100.0;
    *memory_bytes = (double)memory.used;
    return true;
}

void vly_gpu_use_close(vly_gpu_use *g) {
    if (!g) return;
    if (g->shutdown) g->shutdown();
    if (g->library) dlclose(g->library);
    free(g);
}
