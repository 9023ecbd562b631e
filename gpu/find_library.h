/* find_library.h -- a library of NVIDIA's, wherever GPU servers keep it.
 *
 *   // path: where it was, or why not
 *   void *handle = vly_find_library("libnccl.so.2", path, sizeof path);
 *
 * Looked for in this order: the folders of VLY_CUDA_LIBRARIES (separated by colons), where the
 * loader looks, beside the plugin and in cuda/lib and ../lib beside it, the toolkit (CUDA_HOME,
 * /usr/local/cuda), and the Python packages of NVIDIA, which GPU servers usually have.
 */
#ifndef VLY_GPU_FIND_LIBRARY_H
#define VLY_GPU_FIND_LIBRARY_H
#include <stddef.h>

void *vly_find_library(const char *name, char *path, size_t bytes);
#endif
