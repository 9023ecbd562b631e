/* internal.h -- between the shim's two halves: fibers.cpp with warpgroups.cpp (kernels) and runtime.cpp
 * with memory.cpp (everything else). */
#ifndef VLY_KERNELS_SHIM_INTERNAL_H
#define VLY_KERNELS_SHIM_INTERNAL_H
#include "kernels/shim/device.h"

namespace vly_shim {
/* What ran since the start. */
struct counts {
    uint64_t kernels, copies, waits, graphs;
};
extern counts counted;

/* Shared memory of a block: what it may have without asking, and the most it may ask for. */
enum : size_t { SHARED_UNASKED = 48 << 10, SHARED_MOST = 227 << 10 };

/* Remembers the first fault and makes the device's error sticky. */
__attribute__((format(printf, 1, 2))) void report(const char *format, ...);
/* Runs all blocks; false after a fault. */
bool run_grid(launch_name name, dim3 grid, dim3 block, size_t shared_bytes,
              const std::function<void()> &body);
void order_seed(uint64_t seed);
/* A thread of a kernel is running. */
bool in_kernel();
/* The number of the running thread in its block. */
unsigned running_thread();
/* A barrier, fence or the like is passed here: remembered, and true if a test removed it. */
bool is_left_out(place at);
/* What lies at an address of the block's shared memory; NULL: no array has all these bytes. */
void *shared_at(uint32_t address, size_t bytes);
/* warpgroups.cpp: faults if the thread that ends has work under way. */
void warpgroups_begin_block(unsigned threads);
void warpgroups_end_thread();
/* False, and who it is, if a thread has left out what its warpgroup began. */
bool warpgroups_end_block(unsigned *thread, place *at);
/* See vly_shim_bend. */
void bend(uint64_t a, uint64_t b);
/* From now on the barrier or fence in this line does nothing; line 0: none. */
void drop(const char *file, int line);
/* The i-th barrier or fence that kernels have passed since the start; false: there are fewer. */
bool site(size_t i, place *at);
#ifdef VLY_SHIM_RACES
/* The same for shuffles and ballots: see vly_shim_narrow. */
bool warp_site(size_t i, place *at);
void narrow(const char *file, int line, unsigned lanes);
#endif
} // namespace vly_shim
#endif
