/* internal.h -- what the files of gpu/ share: the back end's own structures. */
#ifndef VLY_GPU_INTERNAL_H
#define VLY_GPU_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include "common/base/compute.h"
#include "gpu/arena.h"
#include "gpu/layer.h"
#include "kernels/ops.h"

typedef struct vly_notes vly_notes; /* notifications under way; gpu/notify.c */

typedef struct {
    vly_compute base;
    int device;
    int arch; /* 90 for compute capability 9.0 */
    int multiprocessors;
    size_t workspace_bytes; /* of each queue, for NVIDIA's libraries */
    size_t patch_bytes; /* of each queue, for unfolded convolutions: what stays in the L2 cache */
    vly_arena arena;
    vly_notes *notes;
} vly_cuda;

/* A queue is a stream with working memory of its own. */
typedef struct vly_cuda_queue {
    vly_queue base;
    cudaStream_t stream;
    cudaEvent_t passed; /* what the host waits for: the thread sleeps, where waiting for a stream
                           spins */
    void *scratch;      /* VLY_SCRATCH_BYTES */
    void *workspace;    /* workspace_bytes for NVIDIA's libraries */
    void *patches;      /* patch_bytes for unfolded convolutions, NULL without cuBLASLt */
    void *cudnn;        /* its handle, NULL without the library */
} vly_cuda_queue;

static inline vly_cuda *vly_cuda_of(const vly_queue *q) {
    return (vly_cuda *)q->c;
}
/* To enqueue something: the current device is each thread's own, and any thread may use a queue. */
static inline cudaStream_t vly_stream_of(const vly_queue *q) {
    cudaSetDevice(vly_cuda_of(q)->device); /* what follows reports a failure */
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

/* queue.c: fills the members for queues, events, graphs and copies. */
void vly_cuda_fill_queue_ops(vly_compute *c);
/* ops.c: fills the element-wise, acting, learning and replay operations. */
void vly_cuda_fill_ops(vly_compute *c);
/* layer.c: fills layer_*. */
void vly_cuda_fill_layers(vly_compute *c);

/* choose.c: what the engines keep per queue. */
vly_status vly_engines_queue_open(vly_cuda_queue *q);
void vly_engines_queue_close(vly_cuda_queue *q);

/* notify.c: a callback that comes also when the device has failed and would never call it. */
vly_status vly_notes_create(vly_notes **out);
void vly_notes_destroy(vly_notes *notes);
vly_status vly_notes_add(vly_notes *notes, cudaStream_t stream, void (*fn)(void *), void *arg);
#endif
