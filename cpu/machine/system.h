/* system.h -- what this machine and this build are: for system.json, benchmark results and doctor.
 *
 *   // {"commit":...,"cpu":{...},"memory_bytes":...,"gpus":[...],"libraries":{...}}
 *   json_t *s = vly_system_json();
 */
#ifndef VLY_CPU_MACHINE_SYSTEM_H
#define VLY_CPU_MACHINE_SYSTEM_H
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* The caller's reference. */
json_t *vly_system_json(void);
const char *vly_system_commit(void);
const char *vly_system_version(void);
/* "Intel(R) Xeon(R) Processor" */
void vly_system_cpu_name(char *text, size_t bytes);
/* Of those flags of /proc/cpuinfo that matter here, the present ones: "avx2 fma avx512f ...". */
void vly_system_cpu_features(char *text, size_t bytes);
int64_t vly_system_memory_bytes(void);
int64_t vly_system_resident_bytes(void); /* of this process */
double vly_system_cpu_seconds(void);     /* used by this process, all threads */
/* Loads the library for a moment: "" when it is there, otherwise why not. */
void vly_system_try_library(const char *name, char *why, size_t bytes);
/* Major and minor of the NVIDIA driver's CUDA version, or 0; `why` gets the reason when 0. */
int vly_system_cuda_driver(int *devices, char *why, size_t bytes);
#endif
