/* races.h -- the shim's race detector: every load and store of a kernel is checked.
 *
 * The kernels are compiled with the instrumentation of ThreadSanitizer, and races.cpp stands in for
 * its runtime. An access is a fault when
 *   - another thread accessed the same bytes, one of the two writes, not both are atomic, and
 *     nothing orders them: __syncthreads within the block, __syncwarp within the warp (shuffles and
 *     ballots order nothing), or fence, atomic, atomic, fence between blocks;
 *   - it lies in the guard beside an array, also for a read;
 *   - it is not aligned to its width;
 *   - an asynchronous copy to the same bytes has begun and not been waited for by its thread. The
 *   copy itself counts as a write of that thread when it begins and when it ends;
 *   - a warpgroup multiplication reads these bytes and has not been waited for, or reads what a thread
 *   has written without fence.proxy.async between the write and the barrier. The multiplication counts
 *   as a read when it begins and when it ends.
 * Threads are also preempted between their accesses.
 *
 * Without VLY_SHIM_RACES the functions here are empty. Inside kernels/shim only.
 */
#ifndef VLY_KERNELS_SHIM_RACES_H
#define VLY_KERNELS_SHIM_RACES_H
#include "kernels/shim/device.h"

namespace vly_shim {
#ifdef VLY_SHIM_RACES
/* An array that accesses are checked against, `guard` bytes around it included. A block's own
 * (shared memory) is compared within the block alone. */
void races_add(const void *memory, size_t bytes, size_t guard, bool of_block);
void races_remove(const void *memory);
void races_begin_launch(unsigned threads);
void races_end_launch();
void races_begin_block(unsigned block);
void races_barrier();                        /* all threads of the block have arrived */
void races_warp(unsigned *lanes, int count); /* these threads have passed a __syncwarp */
/* An asynchronous copy of the running thread: it may write from its begin on, until its end. */
void races_copy_begins(const void *to, const void *from, size_t bytes, size_t valid);
void races_copy_ends(const void *to, const void *from, size_t bytes, size_t valid);
/* A multiplication reads this word of 4 bytes from its begin to its end. */
void races_read_begins(const void *word);
void races_read_ends(const void *word);
void races_proxy_fence();
/* fibers.cpp: of the running thread. */
unsigned races_thread();
bool races_on_stack(const void *p);
void races_preempt();
[[noreturn]] void races_fault(const char *what);
#else
static inline void races_add(const void *, size_t, size_t, bool) {}
static inline void races_remove(const void *) {}
static inline void races_begin_launch(unsigned) {}
static inline void races_end_launch() {}
static inline void races_begin_block(unsigned) {}
static inline void races_barrier() {}
static inline void races_warp(unsigned *, int) {}
static inline void races_copy_begins(const void *, const void *, size_t, size_t) {}
static inline void races_copy_ends(const void *, const void *, size_t, size_t) {}
static inline void races_read_begins(const void *) {}
static inline void races_read_ends(const void *) {}
static inline void races_proxy_fence() {}
#endif
} // namespace vly_shim
#endif
