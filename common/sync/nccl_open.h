/* nccl_open.h -- what the CUDA plugin (gpu/nccl.h) offers for several GPUs; found with
 * vly_cuda_symbol.
 *
 *   vly_nccl_create_fn create = (vly_nccl_create_fn)vly_cuda_symbol(VLY_NCCL_CREATE_SYMBOL);
 */
#ifndef VLY_COMMON_SYNC_NCCL_OPEN_H
#define VLY_COMMON_SYNC_NCCL_OPEN_H
#include "common/sync/sync.h"
#include "common/sync/crew.h"

typedef struct {
    vly_compute *compute; /* this rank's device, of the CUDA back end */
    vly_crew *crew;       /* outlives the sync */
    bool bf16;            /* gradients are summed in bf16 */
    double deadline_s;    /* of set-up, and of what one rank waits for the others; 0: 300 */
    int compare_every;    /* updates between two comparisons of the weights; 0: never */
} vly_nccl_options;

typedef vly_status (*vly_nccl_create_fn)(vly_sync **out, const vly_nccl_options *options);
typedef void (*vly_nccl_destroy_fn)(vly_sync *sync, bool failed);
#define VLY_NCCL_CREATE_SYMBOL "vly_nccl_sync_create"
#define VLY_NCCL_DESTROY_SYMBOL "vly_nccl_sync_destroy"
#endif
