/* internal.h -- between the shim's two halves: fibers.cpp (kernels) and runtime.cpp (everything
 * else). */
#ifndef VLY_KERNELS_SHIM_INTERNAL_H
#define VLY_KERNELS_SHIM_INTERNAL_H
#include "kernels/shim/device.h"

namespace vly_shim {
/* Remembers the first fault and makes the device's error sticky. */
__attribute__((format(printf, 1, 2))) void report(const char *format, ...);
/* Runs all blocks; false after a fault. */
bool run_grid(launch_name name, dim3 grid, dim3 block, size_t shared_bytes,
              const std::function<void()> &body);
void order_seed(uint64_t seed);
} // namespace vly_shim
#endif
