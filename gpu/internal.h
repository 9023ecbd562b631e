/* internal.h -- structures shared by the files of gpu/. */
#ifndef VLY_GPU_INTERNAL_H
#define VLY_GPU_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include "common/base/compute.h"
#include "gpu/arena.h"
#include "gpu/layer.h"
#include "kernels/ops.h"

typedef struct vly_notes vly_notes; /* pending notifications; gpu/notify.c */

typedef struct {
    vly_compute base;
    int device;
    int arch; /* 90 for compute capability 9.0 */
    int multiprocessors;
    size_t workspace_bytes; /* of each queue, for NVIDIA's libraries */
    bool maps_host;         /* kernels can write host memory */
    bool has_wgmma;         /* vly_conv_has_warpgroups */
    size_t patch_bytes;     /* of each queue, for unfolded convolutions; sized after the L2 cache */
    vly_arena arena;
    vly_notes *notes;
} vly_cuda;

/* A queue is a stream with working memory of its own. */
typedef struct vly_cuda_queue {
    vly_queue base;
    cudaStream_t stream;
    cudaEvent_t passed; /* the host waits for it: after a while the thread sleeps (waiting for a
                           stream would spin) */
    void *scratch;      /* VLY_SCRATCH_BYTES */
    void *split;        /* vly_split_bytes; NULL on copy queues */
    /* Weight gradients by our kernels that layer_backward left to backward_end. */
    vly_dw_call pending[VLY_DW_GROUP];
    int pending_count;
    void *workspace; /* workspace_bytes for NVIDIA's libraries */
    void *patches;   /* patch_bytes for unfolded convolutions, NULL without cuBLASLt */
    void *cudnn;     /* a cuDNN handle; NULL without the library */
} vly_cuda_queue;

static inline vly_cuda *vly_cuda_of(const vly_queue *q) {
    return (vly_cuda *)q->c;
}
/* Selects the queue's device too: the current device is per thread, and any thread may use a
 * queue. */
static inline cudaStream_t vly_stream_of(const vly_queue *q) {
    cudaSetDevice(vly_cuda_of(q)->device); /* a failure shows in the call that follows */
    return ((const vly_cuda_queue *)q)->stream;
}
static inline void *vly_workspace_of(const vly_queue *q) {
    return ((const vly_cuda_queue *)q)->workspace;
}
static inline void *vly_patches_of(const vly_queue *q) {
    return ((const vly_cuda_queue *)q)->patches;
}
static inline void *vly_scratch_of(const vly_queue *q) {
    return ((const vly_cuda_queue *)q)->scratch;
}

/* compute_cuda.c: why actions are copied to the host and not written there by kernels; NULL: they
 * are. */
const char *vly_cuda_why_copied(const struct cudaDeviceProp *prop);

/* queue.c: fills the members for queues, events, graphs and copies. */
void vly_cuda_fill_queue_ops(vly_compute *c);
/* ops.c: fills the element-wise, acting, learning and replay operations. */
void vly_cuda_fill_ops(vly_compute *c);
/* layer.c: fills layer_* and backward_end. */
void vly_cuda_fill_layers(vly_compute *c);

/* choose.c: creates and frees what the engines keep per queue. */
vly_status vly_engines_queue_open(vly_cuda_queue *q);
void vly_engines_queue_close(vly_cuda_queue *q);

/* notify.c: calls fn when the stream reaches this point, and also if the device fails before. */
vly_status vly_notes_create(vly_notes **out);
void vly_notes_destroy(vly_notes *notes);
vly_status vly_notes_add(vly_notes *notes, cudaStream_t stream, void (*fn)(void *), void *arg);
#endif
