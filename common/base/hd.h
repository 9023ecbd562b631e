/* hd.h -- marks a function that both the host and the device compile. */
#ifndef VLY_COMMON_BASE_HD_H
#define VLY_COMMON_BASE_HD_H
#ifdef __CUDACC__
#define VLY_HD static __host__ __device__ inline
#else
#define VLY_HD static inline
#endif
#endif
