/* nccl_library.h -- the part of NCCL that this project uses, opened at run time if it is installed.
 *
 *   const vly_nccl_library *lib = vly_nccl_library_open();
 *   if (!lib->handle) puts(lib->path);                      // why not
 *
 * Declared here, not taken from nccl.h, so that a build without NCCL's headers runs on a machine
 * that has the library; gpu/nccl_check.c compares the two wherever the header is there. The
 * interface is that of NCCL 2.14, which later versions accept. VLY_NCCL_LIBRARY in the environment
 * names another file.
 */
#ifndef VLY_GPU_NCCL_LIBRARY_H
#define VLY_GPU_NCCL_LIBRARY_H
#include <limits.h>
#include <stddef.h>
#include "common/base/status.h"
#include "kernels/launch.h"

typedef struct vly_nccl_communicator *vly_nccl_comm;
typedef struct {
    char bytes[128];
} vly_nccl_id;
enum { VLY_NCCL_SUCCESS = 0, VLY_NCCL_IN_PROGRESS = 7 };
enum { VLY_NCCL_FLOAT = 7, VLY_NCCL_BFLOAT16 = 9, VLY_NCCL_CHAR = 0 };
enum { VLY_NCCL_SUM = 0, VLY_NCCL_AVERAGE = 4 };
enum { VLY_NCCL_MAGIC = 0xcafebeef, VLY_NCCL_VERSION_MIN = 21400 };
/* ncclConfig_t of NCCL 2.14. `size` tells the library how much of it is there; later versions take
 * the four bytes behind `blocking` for their next member, so it is here with its value for "not
 * set". */
typedef struct {
    size_t size;
    unsigned magic, version;
    int blocking;
    int cga_cluster_size; /* since 2.17 */
} vly_nccl_config;
enum { VLY_NCCL_UNSET = INT_MIN };

/* XX(name without "nccl", arguments); all return ncclResult_t, an int. */
#define VLY_NCCL_FUNCTIONS(XX)                                                                     \
    XX(GetVersion, (int *version))                                                                 \
    XX(GetUniqueId, (vly_nccl_id * id))                                                            \
    XX(CommInitRankConfig,                                                                         \
       (vly_nccl_comm * comm, int ranks, vly_nccl_id id, int rank, vly_nccl_config *config))       \
    XX(CommGetAsyncError, (vly_nccl_comm comm, int *error))                                        \
    XX(CommFinalize, (vly_nccl_comm comm))                                                         \
    XX(CommDestroy, (vly_nccl_comm comm))                                                          \
    XX(CommAbort, (vly_nccl_comm comm))                                                            \
    XX(AllReduce, (const void *from, void *to, size_t count, int type, int op, vly_nccl_comm comm, \
                   cudaStream_t stream))                                                           \
    XX(Broadcast, (const void *from, void *to, size_t count, int type, int root,                   \
                   vly_nccl_comm comm, cudaStream_t stream))

typedef struct {
    void *handle;
    char path[512]; /* of the file, or why there is none */
    int version;    /* 22809 for 2.28.9 */
#define XX(name, arguments) int(*name) arguments;
    VLY_NCCL_FUNCTIONS(XX)
#undef XX
    const char *(*GetErrorString)(int result);
    const char *(*GetLastError)(vly_nccl_comm comm);
} vly_nccl_library;

/* Opened once per process; never NULL. */
const vly_nccl_library *vly_nccl_library_open(void);
#endif
