/* The driver's management library as a machine with two GPUs would have it; one of them does not
 * answer. */
#include <stddef.h>

static int open_count;
int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetUtilizationRates(void *device, unsigned *out);
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *out);

int nvmlInit_v2(void) {
    return open_count++, 0;
}
int nvmlShutdown(void) {
    return open_count--, 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    static int gpus[2];
    if (open_count < 1 || index > 1) return 2;
    return *device = &gpus[index], gpus[index] = (int)index, 0;
}
int nvmlDeviceGetUtilizationRates(void *device, unsigned *out) {
    if (*(int *)device == 1) return 999;
    return out[0] = 87, out[1] = 3, 0;
}
int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *out) {
    (void)device;
    return out[0] = 1000, out[1] = 400, out[2] = 600, 0;
}
