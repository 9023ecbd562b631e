/* async.h -- copies from memory to shared memory that do not pass through registers (cp.async,
 * compute capability 8.0), with a twin for the shim in which they arrive at the wait (device code).
 *
 *   vly_copy_async<16>(to, from, inside);   // from shared memory's view: zeros where not inside
 *   vly_copies_commit();                    // what this thread has begun since the last is a group
 *   vly_copies_wait<1>();                   // all but its newest group have arrived
 *   __syncthreads();                        // those of the other threads too
 */
#ifndef VLY_KERNELS_ASYNC_H
#define VLY_KERNELS_ASYNC_H
#include "kernels/launch.h"

/* vly_shared_address(p): of what lies in shared memory, within it, as instructions take it. */
#if defined(VLY_SHIM)

template <int BYTES> static inline void vly_copy_async(void *to, const void *from, bool inside) {
    vly_shim::async_copy(to, from, BYTES, inside ? BYTES : 0, VLY_SHIM_HERE);
}
static inline unsigned vly_shared_address(const void *p) {
    return vly_shim::shared_address(p, VLY_SHIM_HERE);
}
static inline void vly_copies_commit() {
    vly_shim::async_commit(VLY_SHIM_HERE);
}
template <int LEFT> static inline void vly_copies_wait() {
    vly_shim::async_wait(LEFT, VLY_SHIM_HERE);
}

#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800

static __device__ __forceinline__ unsigned vly_shared_address(const void *p) {
    return (unsigned)__cvta_generic_to_shared(p);
}
template <int BYTES>
static __device__ __forceinline__ void vly_copy_async(void *to, const void *from, bool inside) {
    const unsigned at = vly_shared_address(to);
    const int bytes = inside ? BYTES : 0; /* the rest becomes 0 */
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     :
                     : "r"(at), "l"(from), "r"(bytes)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                     :
                     : "r"(at), "l"(from), "n"(BYTES), "r"(bytes)
                     : "memory");
}
static __device__ __forceinline__ void vly_copies_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int LEFT> static __device__ __forceinline__ void vly_copies_wait() {
    asm volatile("cp.async.wait_group %0;" : : "n"(LEFT) : "memory");
}

#else /* not launched there */

static __device__ __forceinline__ unsigned vly_shared_address(const void *) {
    return 0;
}
template <int BYTES>
static __device__ __forceinline__ void vly_copy_async(void *, const void *, bool) {}
static __device__ __forceinline__ void vly_copies_commit() {}
template <int LEFT> static __device__ __forceinline__ void vly_copies_wait() {}

#endif
#endif
