/* nccl_check.c -- compares gpu/nccl_library.h with nccl.h at compile time, where that header is
 * installed. */
#include "gpu/nccl_library.h"
#if !defined(VLY_SHIM) && defined(__has_include)
#if __has_include(<nccl.h>)
#include <nccl.h>

_Static_assert(sizeof(vly_nccl_id) == sizeof(ncclUniqueId), "ncclUniqueId");
_Static_assert(offsetof(vly_nccl_config, size) == offsetof(ncclConfig_t, size),
               "ncclConfig_t.size");
_Static_assert(offsetof(vly_nccl_config, magic) == offsetof(ncclConfig_t, magic),
               "ncclConfig_t.magic");
_Static_assert(offsetof(vly_nccl_config, version) == offsetof(ncclConfig_t, version),
               "ncclConfig_t.version");
_Static_assert(offsetof(vly_nccl_config, blocking) == offsetof(ncclConfig_t, blocking),
               "ncclConfig_t.blocking");
_Static_assert(offsetof(vly_nccl_config, blocking) == offsetof(ncclConfig_t, blocking),
               "ncclConfig_t.blocking");
_Static_assert(sizeof(vly_nccl_config) == offsetof(vly_nccl_config, cga_cluster_size) + sizeof(int),
               "no padding that a later NCCL could read");
#if NCCL_VERSION_CODE >= 21700
_Static_assert(offsetof(vly_nccl_config, cga_cluster_size) ==
                   offsetof(ncclConfig_t, cgaClusterSize),
               "ncclConfig_t.cgaClusterSize");
_Static_assert((int)VLY_NCCL_UNSET == NCCL_CONFIG_UNDEF_INT, "NCCL_CONFIG_UNDEF_INT");
#endif
_Static_assert((int)VLY_NCCL_SUCCESS == (int)ncclSuccess &&
                   (int)VLY_NCCL_IN_PROGRESS == (int)ncclInProgress,
               "ncclResult_t");
_Static_assert((int)VLY_NCCL_FLOAT == (int)ncclFloat &&
                   (int)VLY_NCCL_BFLOAT16 == (int)ncclBfloat16 &&
                   (int)VLY_NCCL_CHAR == (int)ncclChar,
               "ncclDataType_t");
_Static_assert((int)VLY_NCCL_SUM == (int)ncclSum && (int)VLY_NCCL_AVERAGE == (int)ncclAvg,
               "ncclRedOp_t");

/* Compiles only if the signatures are the ones that our declarations copy. An unused static inline
 * function generates no code. */
static inline ncclResult_t nccl_signatures(ncclComm_t comm, ncclUniqueId id, ncclConfig_t *config,
                                           cudaStream_t stream, void *p) {
    int number;
    ncclResult_t error;
    ncclResult_t (*const all_reduce)(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t,
                                     ncclComm_t, cudaStream_t) = ncclAllReduce;
    ncclResult_t (*const broadcast)(const void *, void *, size_t, ncclDataType_t, int, ncclComm_t,
                                    cudaStream_t) = ncclBroadcast;
    ncclResult_t (*const init)(ncclComm_t *, int, ncclUniqueId, int,
                               ncclConfig_t *) = ncclCommInitRankConfig;
    ncclResult_t (*const async)(ncclComm_t, ncclResult_t *) = ncclCommGetAsyncError;
    const char *(*const last)(ncclComm_t) = ncclGetLastError;
    (void)last(comm), (void)all_reduce(p, p, 0, ncclFloat, ncclAvg, comm, stream),
        (void)broadcast(p, p, 0, ncclChar, 0, comm, stream);
    (void)init(&comm, 1, id, 0, config), (void)async(comm, &error), (void)ncclGetUniqueId(&id),
        (void)ncclGetErrorString(error);
    (void)ncclCommFinalize(comm), (void)ncclCommDestroy(comm), (void)ncclCommAbort(comm);
    return ncclGetVersion(&number);
}
_Static_assert(sizeof(&nccl_signatures) > 0, "compiled, never called");
#endif
#endif
