#include "cpu/device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/compute_open.h"
#include "cpu/compute_cpu.h"

vly_status vly_device_open(vly_compute **out, const char *device, int threads, char *why, size_t bytes) {
    char unused[1];
    if (!why) why = unused, bytes = sizeof unused;
    why[0] = '\0';
    if (!strncmp(device, "cuda", 4)) return vly_cuda_open(out, device[4] == ':' ? atoi(device + 5) : 0, threads);
    if (!strcmp(device, "auto")) {
        if (vly_cuda_open(out, 0, threads) == VLY_OK) return VLY_OK;
        snprintf(why, bytes, "%s", vly_error_text());
        vly_error_clear();
    }
    return vly_compute_create_cpu(out, threads);
}
