/* queue.c -- streams, events, captured graphs and copies. */
#include <stdlib.h>
#include "common/base/clock.h"
#include "gpu/internal.h"

enum { SPIN_NS = 100000 };

/* ---- queues: acting before everything else, copies beside both ---- */

static void cuda_queue_destroy(vly_queue *q) {
    if (!q) return;
    vly_cuda_queue *queue = (vly_cuda_queue *)q;
    if (queue->stream) {
        cudaStreamSynchronize(queue->stream);
        vly_engines_queue_close(queue);
        cudaStreamDestroy(queue->stream);
    }
    if (queue->passed) cudaEventDestroy(queue->passed);
    vly_arena_free(&vly_cuda_of(q)->arena, queue->scratch);
    vly_arena_free(&vly_cuda_of(q)->arena, queue->split);
    vly_arena_free(&vly_cuda_of(q)->arena, queue->workspace);
    free(queue);
}

static vly_status open_queue(vly_cuda_queue *q, vly_cuda *cuda) {
    int least, greatest;
    VLY_CUDA_TRY(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    VLY_CUDA_TRY(cudaStreamCreateWithPriority(&q->stream, cudaStreamNonBlocking,
                                              q->base.kind == VLY_QUEUE_LEARN ? least : greatest));
    VLY_CUDA_TRY(
        cudaEventCreateWithFlags(&q->passed, cudaEventDisableTiming | cudaEventBlockingSync));
    VLY_TRY(vly_arena_alloc(&cuda->arena, VLY_SCRATCH_BYTES, "a queue's working memory", NULL,
                            &q->scratch));
    if (q->base.kind == VLY_QUEUE_COPY) return VLY_OK;
    VLY_TRY(vly_arena_alloc(&cuda->arena, vly_split_bytes(cuda->multiprocessors),
                            "a queue's memory for products in parts", NULL, &q->split));
    if (!vly_layer_wants_workspace()) return VLY_OK;
    VLY_TRY(vly_arena_alloc(&cuda->arena, cuda->workspace_bytes,
                            "a queue's workspace for cuBLAS and cuDNN", NULL, &q->workspace));
    return vly_engines_queue_open(q);
}

static vly_status cuda_queue_create(vly_compute *c, vly_queue_kind kind, vly_queue **out) {
    *out = NULL;
    VLY_CUDA_TRY(cudaSetDevice(((vly_cuda *)c)->device));
    vly_cuda_queue *q = calloc(1, sizeof *q);
    if (!q) return vly_fail(VLY_ENOMEM, "no memory for a queue");
    q->base.c = c;
    q->base.kind = kind;
    const vly_status status = open_queue(q, (vly_cuda *)c);
    if (status != VLY_OK) {
        cuda_queue_destroy(&q->base);
        return status;
    }
    *out = &q->base;
    return VLY_OK;
}

/* A query that says "not ready" leaves that as the thread's last error, which the next launch would
 * take for its own. */
static cudaError_t ask_event(cudaEvent_t event) {
    const cudaError_t error = cudaEventQuery(event);
    if (error == cudaErrorNotReady) cudaGetLastError();
    return error;
}

/* Asks for as long as an act may take, then sleeps: being woken takes longer than that. */
static vly_status wait_until_passed(cudaEvent_t event) {
    const int64_t until = vly_now_ns() + SPIN_NS;
    do {
        const cudaError_t error = ask_event(event);
        if (error != cudaErrorNotReady) {
            VLY_CUDA_TRY(error);
            return VLY_OK;
        }
        vly_spin_pause();
    } while (vly_now_ns() < until);
    VLY_CUDA_TRY(cudaEventSynchronize(event));
    return VLY_OK;
}

static vly_status cuda_queue_sync(vly_queue *q) {
    const cudaEvent_t passed = ((vly_cuda_queue *)q)->passed;
    VLY_CUDA_TRY(cudaEventRecord(passed, vly_stream_of(q)));
    return wait_until_passed(passed);
}

/* ---- events ---- */

struct vly_event {
    cudaEvent_t event;
};

static vly_status cuda_event_create(vly_compute *c, vly_event **out) {
    *out = NULL;
    VLY_CUDA_TRY(cudaSetDevice(((vly_cuda *)c)->device));
    cudaEvent_t event;
    VLY_CUDA_TRY(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync));
    vly_event *e = malloc(sizeof *e);
    if (!e) {
        cudaEventDestroy(event);
        return vly_fail(VLY_ENOMEM, "no memory for an event");
    }
    e->event = event;
    *out = e;
    return VLY_OK;
}

static void cuda_event_destroy(vly_event *e) {
    if (!e) return;
    cudaEventDestroy(e->event);
    free(e);
}

static vly_status cuda_event_record(vly_event *e, vly_queue *q) {
    VLY_CUDA_TRY(cudaEventRecord(e->event, vly_stream_of(q)));
    return VLY_OK;
}

static vly_status cuda_event_wait(vly_queue *q, vly_event *e) {
    VLY_CUDA_TRY(cudaStreamWaitEvent(vly_stream_of(q), e->event, 0));
    return VLY_OK;
}

/* True after a device failure too: the caller proceeds, and its next call reports the error. */
static bool cuda_event_done(vly_event *e) {
    return ask_event(e->event) != cudaErrorNotReady;
}

static vly_status cuda_event_sync(vly_event *e) {
    return wait_until_passed(e->event);
}

static vly_status cuda_notify(vly_queue *q, void (*fn)(void *arg), void *arg) {
    return vly_notes_add(vly_cuda_of(q)->notes, vly_stream_of(q), fn, arg);
}

/* ---- graphs ---- */

/* The first call runs the function without capture, so that libraries initialise and modules load.
 * The second call captures it; later calls replay. */
struct vly_graph {
    cudaGraphExec_t exec;
};

static vly_status capture_graph(vly_queue *q, vly_graph *graph,
                                vly_status (*fn)(vly_queue *q, void *arg), void *arg) {
    cudaStream_t stream = vly_stream_of(q);
    cudaGraph_t recorded = NULL;
    VLY_CUDA_TRY(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const vly_status status = fn(q, arg);
    const cudaError_t ended = cudaStreamEndCapture(
        stream, &recorded); /* also on failure: it makes the stream usable again */
    if (status != VLY_OK) {
        if (recorded) cudaGraphDestroy(recorded);
        cudaGetLastError();
        return status;
    }
    VLY_CUDA_TRY(ended);
    const cudaError_t made = cudaGraphInstantiate(&graph->exec, recorded, 0);
    cudaGraphDestroy(recorded);
    if (made != cudaSuccess) graph->exec = NULL;
    VLY_CUDA_TRY(made);
    VLY_CUDA_TRY(cudaGraphUpload(graph->exec, stream));
    return VLY_OK;
}

static vly_status cuda_graph_run(vly_queue *q, vly_graph **graph,
                                 vly_status (*fn)(vly_queue *q, void *arg), void *arg) {
    if (!*graph) {
        VLY_TRY(fn(q, arg));
        *graph = calloc(1, sizeof **graph);
        return *graph ? VLY_OK : vly_fail(VLY_ENOMEM, "no memory for a graph");
    }
    if (!(*graph)->exec) VLY_TRY(capture_graph(q, *graph, fn, arg));
    VLY_CUDA_TRY(cudaGraphLaunch((*graph)->exec, vly_stream_of(q)));
    return VLY_OK;
}

static void cuda_graph_destroy(vly_graph *graph) {
    if (!graph) return;
    if (graph->exec) cudaGraphExecDestroy(graph->exec);
    free(graph);
}

/* ---- copies ---- */

static vly_status cuda_upload(vly_queue *q, void *device, const void *host, size_t bytes) {
    if (bytes)
        VLY_CUDA_TRY(
            cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, vly_stream_of(q)));
    return VLY_OK;
}

static vly_status cuda_download(vly_queue *q, void *host, const void *device, size_t bytes) {
    if (bytes)
        VLY_CUDA_TRY(
            cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, vly_stream_of(q)));
    return VLY_OK;
}

static vly_status cuda_copy(vly_queue *q, void *to, const void *from, size_t bytes) {
    if (bytes)
        VLY_CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, vly_stream_of(q)));
    return VLY_OK;
}

static vly_status cuda_fill(vly_queue *q, void *device, int byte, size_t bytes) {
    if (bytes) VLY_CUDA_TRY(cudaMemsetAsync(device, byte, bytes, vly_stream_of(q)));
    return VLY_OK;
}

void vly_cuda_fill_queue_ops(vly_compute *c) {
    c->queue_create = cuda_queue_create;
    c->queue_destroy = cuda_queue_destroy;
    c->queue_sync = cuda_queue_sync;
    c->event_create = cuda_event_create;
    c->event_destroy = cuda_event_destroy;
    c->event_record = cuda_event_record;
    c->event_wait = cuda_event_wait;
    c->event_done = cuda_event_done;
    c->event_sync = cuda_event_sync;
    c->notify = cuda_notify;
    c->graph_run = cuda_graph_run;
    c->graph_destroy = cuda_graph_destroy;
    c->upload = cuda_upload;
    c->download = cuda_download;
    c->copy = cuda_copy;
    c->fill = cuda_fill;
}
