/* system.h -- what this machine and this build are: for system.json, benchmark results and doctor.
 *
 *   json_t *s = vly_system_json();   // {"commit": ..., "cpu": ..., "memory_bytes": ..., ...}
 *   json_decref(s);
 */
#ifndef VLY_CPU_MACHINE_SYSTEM_H
#define VLY_CPU_MACHINE_SYSTEM_H
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* A new reference; NULL: no memory. */
json_t *vly_system_json(void);
const char *vly_system_commit(void);
const char *vly_system_version(void);
/* "Intel(R) Xeon(R) Processor" */
void vly_system_cpu_name(char *text, size_t bytes);
/* The vector extensions that /proc/cpuinfo lists: "avx2 fma avx512f ...". */
void vly_system_cpu_features(char *text, size_t bytes);
int64_t vly_system_memory_bytes(void);
int64_t vly_system_resident_bytes(void); /* of this process */
double vly_system_cpu_seconds(void);     /* used by this process, all threads */
/* Loads and unloads a library. why: "" if it could be loaded, otherwise the reason. */
void vly_system_try_library(const char *name, char *why, size_t bytes);
/* CUDA version of the NVIDIA driver (1000 major + 10 minor), or 0; `why` gets the reason when 0. */
int vly_system_cuda_driver(int *devices, char *why, size_t bytes);
#endif
