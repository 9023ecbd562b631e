#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gpu/nccl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/base/clock.h"
#include "gpu/internal.h"
#include "gpu/nccl_library.h"

enum { WATCH_MS = 100, ABORT_S = 20 };

typedef struct {
    vly_sync sync;
    const vly_nccl_library *lib;
    vly_cuda *cuda;
    vly_crew *crew;
    vly_nccl_options o;
    cudaStream_t stream;
    cudaEvent_t ready, done; /* events: the gradients are complete; their mean is */
    void *grad_bf16;         /* bf16 gradients, as many as there are parameters */
    int64_t grad_bf16_room;
    uint64_t *print, *print_host; /* fingerprint of the weights, on the device and on the host */
    int64_t updates, compared;    /* the update whose fingerprint was taken last */

    pthread_mutex_t lock; /* protects comm; never held while waiting for a peer */
    pthread_cond_t wake;
    pthread_t watchdog;
    bool watching, quit;
    pthread_t aborter;
    bool aborting;
    vly_nccl_comm comm;   /* NULL after an abort */
    double waiting_since; /* when the update in flight was enqueued; 0: none */
    vly_status failure;
    char words[512];
} nccl_sync;

/* ---- failure ---- */

typedef struct {
    const vly_nccl_library *lib;
    vly_nccl_comm comm;
} abort_call;

static void *abort_communicator(void *arg) {
    abort_call *e = arg;
    e->lib->CommAbort(e->comm);
    free(e);
    return NULL;
}

/* CommAbort releases waiting kernels at once but returns only after every graph that captured a
 * collective is destroyed. The thread that destroys the graphs waits for those kernels, and perhaps
 * for our lock, so CommAbort runs on a thread of its own. */
static void begin_abort(nccl_sync *n) {
    abort_call *e = malloc(sizeof *e);
    if (e && n->comm) {
        *e = (abort_call){n->lib, n->comm};
        n->aborting = pthread_create(&n->aborter, NULL, abort_communicator, e) == 0;
    }
    if (!n->aborting) free(e);
    n->comm = NULL;
}

/* The graphs are destroyed: the abort returns now, or never. */
static void end_abort(nccl_sync *n) {
    struct timespec until;
    if (!n->aborting) return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ABORT_S;
    if (pthread_timedjoin_np(n->aborter, NULL, &until) != 0) pthread_detach(n->aborter);
}

/* Records the first failure and aborts the communicator, which releases the kernels that wait in
 * it. The caller holds the lock. */
static vly_status give_up(nccl_sync *n, vly_status status, const char *words) {
    if (n->failure == VLY_OK) {
        n->failure = status;
        snprintf(n->words, sizeof n->words, "%s", words);
    }
    begin_abort(n);
    return vly_fail(n->failure, "%s", n->words);
}

static vly_status nccl_failed(nccl_sync *n, const char *what, int result) {
    char words[512];
    if (vly_crew_check(n->crew) != VLY_OK) return give_up(n, VLY_EPEER, vly_error_text());
    snprintf(words, sizeof words, "rank %d: NCCL: %s: %s (%.300s)", n->sync.rank, what,
             n->lib->GetErrorString(result), n->comm ? n->lib->GetLastError(n->comm) : "");
    return give_up(n, VLY_ECUDA, words);
}

/* Waits until a call on the non-blocking communicator is no longer in progress. The caller holds
 * the lock. */
static vly_status await_call(nccl_sync *n, const char *what, int result) {
    const double until = vly_now_s() + n->o.deadline_s;
    for (;;) {
        if (result == VLY_NCCL_SUCCESS) return VLY_OK;
        if (result != VLY_NCCL_IN_PROGRESS) return nccl_failed(n, what, result);
        if (vly_crew_check(n->crew) != VLY_OK) return give_up(n, VLY_EPEER, vly_error_text());
        if (vly_now_s() > until) {
            char words[160];
            snprintf(words, sizeof words,
                     "rank %d: NCCL: %s has not finished after %.0f s (--dist.deadline_s)",
                     n->sync.rank, what, n->o.deadline_s);
            return give_up(n, VLY_ETIMEOUT, words);
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        const int asked = n->lib->CommGetAsyncError(n->comm, &result);
        if (asked != VLY_NCCL_SUCCESS) result = asked;
    }
}

#define NCCL_TRY(n, call) VLY_TRY(await_call(n, #call, (n)->lib->call))

/* ---- the thread that watches ---- */

static void look_for_failure(nccl_sync *n) {
    int error = VLY_NCCL_SUCCESS;
    char words[200];
    if (!n->comm) return;
    if (vly_crew_check(n->crew) != VLY_OK) {
        give_up(n, VLY_EPEER, vly_error_text());
    } else if (n->lib->CommGetAsyncError(n->comm, &error) == VLY_NCCL_SUCCESS &&
               error != VLY_NCCL_SUCCESS && error != VLY_NCCL_IN_PROGRESS) {
        nccl_failed(n, "while the ranks exchanged gradients", error);
    } else if (n->waiting_since > 0 && vly_now_s() - n->waiting_since > n->o.deadline_s) {
        snprintf(words, sizeof words,
                 "rank %d has waited %.0f s for the gradients of the others (--dist.deadline_s): "
                 "one of them hangs or is too slow",
                 n->sync.rank, n->o.deadline_s);
        give_up(n, VLY_ETIMEOUT, words);
    }
}

static void *nccl_watch(void *arg) {
    nccl_sync *n = arg;
    pthread_mutex_lock(&n->lock);
    while (!n->quit) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WATCH_MS * 1000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&n->wake, &n->lock, &until);
        look_for_failure(n);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

/* ---- gradients ---- */

static vly_status room_for(nccl_sync *n, int64_t numbers) {
    if (!n->o.bf16 || numbers <= n->grad_bf16_room) return VLY_OK;
    vly_arena_free(&n->cuda->arena, n->grad_bf16);
    n->grad_bf16_room = 0;
    VLY_TRY(vly_arena_alloc(&n->cuda->arena, (size_t)numbers * 2, "gradients in bf16",
                            "--dist.reduce", &n->grad_bf16));
    n->grad_bf16_room = numbers;
    return VLY_OK;
}

/* On our stream, after what q has enqueued so far. */
static vly_status enqueue_mean(nccl_sync *n, vly_queue *q, vly_real *grad, int64_t count) {
    if (!n->comm) return vly_fail(n->failure, "%s", n->words);
    VLY_CUDA_TRY(cudaEventRecord(n->ready, vly_stream_of(q)));
    VLY_CUDA_TRY(cudaStreamWaitEvent(n->stream, n->ready, 0));
    if (!n->o.bf16) {
        NCCL_TRY(n, AllReduce(grad, grad, (size_t)count, VLY_NCCL_FLOAT, VLY_NCCL_AVERAGE, n->comm,
                              n->stream));
        return VLY_OK;
    }
    VLY_TRY(vly_convert_launch(count, VLY_F32, grad, VLY_BF16, n->grad_bf16, n->stream));
    NCCL_TRY(n, AllReduce(n->grad_bf16, n->grad_bf16, (size_t)count, VLY_NCCL_BFLOAT16,
                          VLY_NCCL_AVERAGE, n->comm, n->stream));
    return vly_convert_launch(count, VLY_BF16, n->grad_bf16, VLY_F32, grad, n->stream);
}

static vly_status start_mean(nccl_sync *n, vly_queue *q, vly_real *grad, int64_t count) {
    VLY_TRY(
        room_for(n, count)); /* the first update is not captured, so memory may be allocated here */
    pthread_mutex_lock(&n->lock);
    const vly_status status = enqueue_mean(n, q, grad, count);
    pthread_mutex_unlock(&n->lock);
    return status;
}

static vly_status nccl_reduce_early(vly_sync *s, vly_queue *q, vly_real *grad, int64_t count) {
    return start_mean((nccl_sync *)s, q, grad, count);
}

static vly_status nccl_reduce(vly_sync *s, vly_queue *q, vly_real *grad, int64_t count) {
    nccl_sync *n = (nccl_sync *)s;
    VLY_TRY(start_mean(n, q, grad, count));
    VLY_CUDA_TRY(cudaEventRecord(n->done, n->stream));
    VLY_CUDA_TRY(cudaStreamWaitEvent(vly_stream_of(q), n->done, 0));
    return VLY_OK;
}

static vly_status enqueue_broadcast(nccl_sync *n, cudaStream_t stream, void *data, size_t bytes,
                                    int root) {
    if (!n->comm) return vly_fail(n->failure, "%s", n->words);
    NCCL_TRY(n, Broadcast(data, data, bytes, VLY_NCCL_CHAR, root, n->comm, stream));
    return VLY_OK;
}

static void set_waiting(nccl_sync *n, bool waiting) {
    pthread_mutex_lock(&n->lock);
    n->waiting_since = waiting ? vly_now_s() : 0;
    pthread_mutex_unlock(&n->lock);
}

/* The update has completed: reports whether any rank failed meanwhile. */
static vly_status nccl_check(vly_sync *s) {
    nccl_sync *n = (nccl_sync *)s;
    pthread_mutex_lock(&n->lock);
    n->waiting_since = 0;
    look_for_failure(n);
    const vly_status status = n->comm ? VLY_OK : vly_fail(n->failure, "%s", n->words);
    pthread_mutex_unlock(&n->lock);
    return status;
}

static vly_status nccl_broadcast(vly_sync *s, vly_queue *q, void *data, size_t bytes, int root) {
    nccl_sync *n = (nccl_sync *)s;
    VLY_TRY(room_for(
        n, (int64_t)(bytes / sizeof(vly_real)))); /* there are as many gradients as weights */
    pthread_mutex_lock(&n->lock);
    vly_status status = enqueue_broadcast(n, vly_stream_of(q), data, bytes, root);
    pthread_mutex_unlock(&n->lock);
    VLY_TRY(status);
    set_waiting(n, true);
    status = q->c->queue_sync(q);
    VLY_TRY(nccl_check(s));
    return status;
}

/* ---- once an update ---- */

static vly_status nccl_compare(vly_sync *s, vly_queue *q, const vly_params *p) {
    nccl_sync *n = (nccl_sync *)s;
    set_waiting(n, true); /* reset by check() */
    if (n->o.compare_every <= 0 || n->updates++ % n->o.compare_every) return VLY_OK;
    n->compared = n->updates;
    VLY_TRY(vly_fingerprint_launch(p->n, p->param, n->print, vly_stream_of(q)));
    VLY_CUDA_TRY(cudaMemcpyAsync(n->print_host, n->print, sizeof *n->print, cudaMemcpyDeviceToHost,
                                 vly_stream_of(q)));
    return VLY_OK;
}

typedef struct {
    vly_standing standing;
    int64_t compared;
    uint64_t print;
} rank_report;

/* Equal gradients and equal optimizers give equal weights. Reports a difference before days of
 * training are lost. */
static vly_status compare_prints(nccl_sync *n, const rank_report *all) {
    for (int i = 1; i < n->sync.world; i++)
        if (all[i].compared == all[0].compared && all[i].print != all[0].print)
            return vly_fail(VLY_EPEER,
                            "rank %d: the weights of rank %d (%016llx) are not those of rank 0 "
                            "(%016llx) any more, in update %lld: different "
                            "programs, libraries or cards? resume from the last checkpoint",
                            n->sync.rank, i, (unsigned long long)all[i].print,
                            (unsigned long long)all[0].print, (long long)all[0].compared);
    return VLY_OK;
}

static vly_status nccl_agree(vly_sync *s, const vly_standing *mine, vly_standing *all) {
    nccl_sync *n = (nccl_sync *)s;
    const rank_report one = {*mine, n->compared, *n->print_host};
    rank_report every[VLY_CREW_MAX];
    VLY_TRY(vly_crew_exchange(n->crew, &one, sizeof one, every, n->o.deadline_s));
    *all = (vly_standing){0};
    for (int i = 0; i < s->world; i++) {
        all->steps += every[i].standing.steps, all->episodes += every[i].standing.episodes;
        if (every[i].standing.stop > all->stop) all->stop = every[i].standing.stop;
    }
    return compare_prints(n, every);
}

/* ---- creation ---- */

static vly_status create_communicator(nccl_sync *n) {
    vly_nccl_config config = {.size = sizeof config,
                              .magic = VLY_NCCL_MAGIC,
                              .version = VLY_NCCL_VERSION_MIN,
                              .blocking = 0,
                              .cga_cluster_size = VLY_NCCL_UNSET};
    vly_nccl_id mine = {{0}}, *ids = calloc((size_t)n->sync.world, sizeof *ids);
    if (!ids) return vly_fail(VLY_ENOMEM, "no memory for %d ranks", n->sync.world);
    vly_status status = n->sync.rank ? VLY_OK
                                     : await_call(n, "GetUniqueId", n->lib->GetUniqueId(&mine));
    if (status == VLY_OK)
        status = vly_crew_exchange(n->crew, &mine, sizeof mine, ids, n->o.deadline_s);
    if (status == VLY_OK)
        status = await_call(
            n, "CommInitRankConfig",
            n->lib->CommInitRankConfig(&n->comm, n->sync.world, ids[0], n->sync.rank, &config));
    free(ids);
    return status;
}

static vly_status nccl_open_stream(nccl_sync *n) {
    int least, greatest;
    void *memory;
    VLY_CUDA_TRY(cudaSetDevice(n->cuda->device));
    VLY_CUDA_TRY(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    VLY_CUDA_TRY(cudaStreamCreateWithPriority(&n->stream, cudaStreamNonBlocking, greatest));
    VLY_CUDA_TRY(cudaEventCreateWithFlags(&n->ready, cudaEventDisableTiming));
    VLY_CUDA_TRY(cudaEventCreateWithFlags(&n->done, cudaEventDisableTiming));
    VLY_TRY(vly_arena_alloc(&n->cuda->arena, sizeof *n->print, "a fingerprint", NULL, &memory));
    n->print = memory;
    VLY_TRY(
        n->o.compute->alloc_host(n->o.compute, sizeof *n->print_host, "a fingerprint", &memory));
    n->print_host = memory;
    return VLY_OK;
}

static vly_status nccl_open(nccl_sync *n) {
    if (!n->lib->handle)
        return vly_fail(
            VLY_ENOTFOUND,
            "several GPUs need NCCL (libnccl.so.2): %s; pip install nvidia-nccl-cu13, or make cuda",
            n->lib->path);
    VLY_TRY(nccl_open_stream(n));
    pthread_mutex_lock(&n->lock);
    const vly_status status = create_communicator(n);
    pthread_mutex_unlock(&n->lock);
    VLY_TRY(status);
    if (pthread_create(&n->watchdog, NULL, nccl_watch, n) != 0)
        return vly_fail(VLY_ENOMEM, "no thread to watch the other ranks");
    n->watching = true;
    return VLY_OK;
}

static const vly_sync_gradients nccl_gradients = {.capturable = true,
                                                  .reduce = nccl_reduce,
                                                  .reduce_early = nccl_reduce_early,
                                                  .compare = nccl_compare,
                                                  .check = nccl_check};

vly_status vly_nccl_sync_create(vly_sync **out, const vly_nccl_options *options) {
    *out = NULL;
    nccl_sync *n = calloc(1, sizeof *n);
    if (!n) return vly_fail(VLY_ENOMEM, "no memory for the ranks");
    n->o = *options;
    if (!(n->o.deadline_s > 0)) n->o.deadline_s = 300;
    n->cuda = (vly_cuda *)options->compute;
    n->crew = options->crew;
    n->lib = vly_nccl_library_open();
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->wake, NULL);
    n->sync = (vly_sync){.rank = vly_crew_rank(n->crew),
                         .world = vly_crew_world(n->crew),
                         .broadcast = nccl_broadcast,
                         .agree = nccl_agree,
                         .gradients = &nccl_gradients};
    const vly_status status = nccl_open(n);
    if (status != VLY_OK)
        vly_nccl_sync_destroy(&n->sync, true);
    else
        *out = &n->sync;
    return status;
}

static void end_communicator(nccl_sync *n, bool failed) {
    if (!n->comm) return;
    if (failed)
        begin_abort(n);
    else if (await_call(n, "CommFinalize", n->lib->CommFinalize(n->comm)) == VLY_OK)
        n->lib->CommDestroy(n->comm);
    n->comm = NULL;
}

void vly_nccl_sync_destroy(vly_sync *s, bool failed) {
    nccl_sync *n = (nccl_sync *)s;
    if (!n) return;
    pthread_mutex_lock(&n->lock);
    n->quit = true;
    pthread_cond_signal(&n->wake);
    end_communicator(n, failed);
    pthread_mutex_unlock(&n->lock);
    if (n->watching) pthread_join(n->watchdog, NULL);
    end_abort(n);
    if (n->stream) cudaStreamDestroy(n->stream);
    if (n->ready) cudaEventDestroy(n->ready);
    if (n->done) cudaEventDestroy(n->done);
    vly_arena_free(&n->cuda->arena, n->grad_bf16);
    vly_arena_free(&n->cuda->arena, n->print);
    n->o.compute->free_host(n->o.compute, n->print_host);
    pthread_cond_destroy(&n->wake);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
