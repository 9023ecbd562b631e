/* find_library.h -- opens one of NVIDIA's libraries and takes its functions.
 *
 *   const vly_library_symbol symbols[] = {{"ncclGetVersion", (void **)&lib.GetVersion}};
 *   lib.handle = vly_library_open("libnccl.so.2", "VLY_NCCL_LIBRARY", symbols, 1, lib.path,
 *                                 sizeof lib.path);
 *   if (!lib.handle) puts(lib.path); // why not
 *
 * Searched in this order: the folders of VLY_CUDA_LIBRARIES (separated by colons), the loader's
 * path, the plugin's folder with cuda/lib and ../lib beside it, the toolkit (CUDA_HOME,
 * /usr/local/cuda*), and the packages nvidia-* of Python installations: VIRTUAL_ENV, CONDA_PREFIX,
 * ~/.local, /usr/local, /usr, and environments below /opt.
 */
#ifndef VLY_GPU_FIND_LIBRARY_H
#define VLY_GPU_FIND_LIBRARY_H
#include <stddef.h>

typedef struct {
    const char *name;
    void **to;
} vly_library_symbol;

/* Returns the library's handle, with its file in `path`; or NULL, with the reason in `path`. The
 * file that the environment variable `variable` names is the only one tried. A library that lacks
 * one of the symbols is closed again. */
void *vly_library_open(const char *name, const char *variable, const vly_library_symbol *symbols,
                       size_t count, char *path, size_t bytes);
/* The search alone. */
void *vly_find_library(const char *name, char *path, size_t bytes);
#endif
