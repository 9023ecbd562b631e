/* device.h -- opens the back end that --device names.
 *
 *   VLY_TRY(vly_device_open(&c, "auto", 0, why, sizeof why));  // why the CPU, or ""
 *   ...
 *   c->destroy(c);
 *
 * The CUDA back end is a library beside the program, loaded only when it is asked for or `auto`
 * finds a driver.
 */
#ifndef VLY_CPU_RUN_DEVICE_H
#define VLY_CPU_RUN_DEVICE_H
#include "common/base/compute.h"

/* device: auto, cpu, cuda, cuda:N; of a list (cuda:0,1) this rank's entry (cpu/fleet/gpus.h).
 * threads: of the CPU back end; 0: one per processor. why: may be NULL. */
vly_status vly_device_open(vly_compute **out, const char *device, int threads, char *why,
                           size_t bytes);
#endif
