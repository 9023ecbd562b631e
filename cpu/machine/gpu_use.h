/* gpu_use.h -- utilisation and used memory of a GPU, from the driver's management library (NVML),
 * which is loaded on open.
 *
 *   vly_gpu_use *g = vly_gpu_use_open(NULL, 0);      // NULL: no such library or GPU
 *   if (vly_gpu_use_read(g, &share, &bytes)) ...     // false for NULL
 *   vly_gpu_use_close(g);
 *
 * The numbers are of the whole GPU, other processes included; index counts within
 * CUDA_VISIBLE_DEVICES.
 */
#ifndef VLY_CPU_MACHINE_GPU_USE_H
#define VLY_CPU_MACHINE_GPU_USE_H
#include <stdbool.h>

typedef struct vly_gpu_use vly_gpu_use;

/* library NULL: libnvidia-ml.so.1 */
vly_gpu_use *vly_gpu_use_open(const char *library, int index);
bool vly_gpu_use_read(vly_gpu_use *g, double *busy_share, double *memory_bytes);
void vly_gpu_use_close(vly_gpu_use *g);
/* "cuda:2,3" -> 2, "cuda" and "auto" -> 0 */
int vly_gpu_use_index(const char *device);
#endif
