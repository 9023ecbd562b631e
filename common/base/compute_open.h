/* compute_open.h -- the CUDA back end, opened when it is asked for.
 *
 *   // says why there is no GPU
 *   if (vly_cuda_open(&c, 0, threads) != VLY_OK) puts(vly_error_text());
 *
 * Looks for libvolley_cuda.so beside the program, in ../lib beside it and where VLY_CUDA_PLUGIN
 * says, and opens it only when the machine has an NVIDIA driver: elsewhere this costs one failed
 * dlopen and nothing else.
 */
#ifndef VLY_COMMON_BASE_COMPUTE_OPEN_H
#define VLY_COMMON_BASE_COMPUTE_OPEN_H
#include "common/base/compute.h"
#ifdef __cplusplus
extern "C" {
#endif

vly_status vly_cuda_open(vly_compute **out, int device, int threads);

/* What `doctor` prints. */
typedef struct {
    bool driver, plugin;
    int devices;           /* usable ones */
    char why[512];         /* why there is no GPU, and what to do; "" when there is one */
    char plugin_path[512]; /* the file that was opened */
    char text[4096];       /* lines: driver, devices, libraries found and not found */
} vly_cuda_info;
/* Never fails: no GPU is an answer. */
void vly_cuda_describe(vly_cuda_info *info);

/* Another symbol of the plugin (gpu/nccl.h's, for instance); NULL with a message when there is
 * none. */
void *vly_cuda_symbol(const char *name);

/* What the plugin exports beside VLY_COMPUTE_CUDA_SYMBOL and VLY_COMPUTE_CUDA_ABI_SYMBOL. */
typedef void (*vly_cuda_describe_fn)(vly_cuda_info *info);
#define VLY_CUDA_DESCRIBE_SYMBOL "vly_cuda_plugin_describe"
typedef void (*vly_cuda_errors_fn)(vly_error_buffer_fn buffer); /* its errors go into the program's
                                                                   message */
#define VLY_CUDA_ERRORS_SYMBOL "vly_cuda_plugin_errors"

#ifdef __cplusplus
}
#endif
#endif
