/* device.h -- the compute interface that --device names.
 *
 *   vly_compute *c;
 *   // note: why it is the CPU, when it is
 *   VLY_TRY(vly_device_open(&c, "auto", 0, note, sizeof note));
 *   ... c->destroy(c);
 *
 * The CUDA back end is a library beside the program, loaded only when it is asked for or `auto`
 * finds a driver.
 */
#ifndef VLY_CPU_RUN_DEVICE_H
#define VLY_CPU_RUN_DEVICE_H
#include "common/base/compute.h"

/* device: auto, cpu, cuda, cuda:N (of a list this rank's, cpu/fleet/gpus.h). threads: of the CPU
 * back end, 0: all processors. `why` may be NULL; "" when the choice needs no words. */
vly_status vly_device_open(vly_compute **out, const char *device, int threads, char *why,
                           size_t bytes);
#endif
