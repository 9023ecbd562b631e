/* internal.h -- between the shim's two halves: fibers.cpp (kernels) and runtime.cpp (everything
 * else). */
#ifndef VLY_KERNELS_SHIM_INTERNAL_H
#define VLY_KERNELS_SHIM_INTERNAL_H
#include "kernels/shim/device.h"

namespace vly_shim {
/* What ran since the start. */
struct counts {
    uint64_t kernels, copies, waits, graphs;
};
extern counts counted;

/* Remembers the first fault and makes the device's error sticky. */
__attribute__((format(printf, 1, 2))) void report(const char *format, ...);
/* Runs all blocks; false after a fault. */
bool run_grid(launch_name name, dim3 grid, dim3 block, size_t shared_bytes,
              const std::function<void()> &body);
void order_seed(uint64_t seed);
/* From now on the barrier or fence in this line does nothing; line 0: none. */
void drop(const char *file, int line);
/* The i-th barrier or fence that kernels have passed since the start; false: there are fewer. */
bool site(size_t i, place *at);
} // namespace vly_shim
#endif
