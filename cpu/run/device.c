#include "cpu/run/device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/compute_open.h"
#include "common/config/config.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/fleet/gpus.h"

vly_status vly_device_open(vly_compute **out, const char *device, int threads, char *why,
                           size_t bytes) {
    char unused[1];
    if (!why) why = unused, bytes = sizeof unused;
    why[0] = '\0';
    vly_gpus_place place;
    VLY_TRY(vly_config_check_device(device));
    VLY_TRY(vly_gpus_place_of(device, &place));
    device = place.mine;
    const char *colon = strchr(device, ':');
    const int index = colon ? atoi(colon + 1) : 0;
    if (!strncmp(device, "cuda", 4)) {
        const vly_status status = vly_cuda_open(out, index, threads);
        return status == VLY_OK || status == VLY_ENOMEM
                   ? status
                   : vly_fail(VLY_EINVAL, "--device %s: %s", device, vly_error_text());
    }
    if (!strncmp(device, "auto", 4)) {
        if (vly_cuda_open(out, index, threads) == VLY_OK) return VLY_OK;
        snprintf(why, bytes, "%s", vly_error_text());
        vly_error_clear();
    }
    return vly_compute_create_cpu(out, threads);
}
