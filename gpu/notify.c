/* notify.c -- calls a function when a stream reaches a point, without a thread that polls.
 *
 * cudaLaunchHostFunc calls back from a thread of the driver, but never after a device error: an
 * event loop would wait for ever. A watchdog therefore queries the device four times a second while
 * calls are outstanding, and makes them itself once the device has failed; the next operation that
 * is enqueued reports the error. It queries an idle stream, because a failed device returns its
 * error from every call, while cudaGetLastError knows the errors of its own thread alone. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "gpu/internal.h"

enum { SLOTS = 1024 };
static const long PERIOD_NS = 250000000;

enum { FREE, WAITING, TAKEN };

typedef struct {
    atomic_int state;
    void (*fn)(void *);
    void *arg;
    vly_notes *notes;
} note;

struct vly_notes {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t watchdog;
    bool stop, asleep; /* the watchdog sleeps until there is something to watch */
    atomic_int outstanding;
    unsigned next;
    int device;
    cudaStream_t idle;
    note slot[SLOTS];
};

/* Called by the driver's thread or by the watchdog; only the first of them makes the call. */
static void call_once(note *n) {
    int expected = WAITING;
    if (!atomic_compare_exchange_strong(&n->state, &expected, TAKEN)) return;
    void (*fn)(void *) = n->fn;
    void *arg = n->arg;
    vly_notes *notes = n->notes;
    atomic_store(&n->state, FREE);
    fn(arg);
    atomic_fetch_sub(&notes->outstanding, 1);
}

static void from_driver(void *arg) {
    call_once(arg);
}

/* Without this, every notification would wake the watchdog. */
static void sleep_until_called(vly_notes *notes) {
    notes->asleep = true;
    while (!notes->stop && atomic_load(&notes->outstanding) == 0)
        pthread_cond_wait(&notes->wake, &notes->lock);
    notes->asleep = false;
}

static void *notes_watch(void *arg) {
    vly_notes *notes = arg;
    cudaSetDevice(notes->device);
    pthread_mutex_lock(&notes->lock);
    while (!notes->stop) {
        const unsigned before = notes->next;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PERIOD_NS;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        if (pthread_cond_timedwait(&notes->wake, &notes->lock, &until) != ETIMEDOUT) continue;
        if (atomic_load(&notes->outstanding) == 0) {
            if (notes->next == before)
                sleep_until_called(notes); /* no notification for a whole period */
            continue;
        }
        if (cudaStreamQuery(notes->idle) == cudaSuccess) continue;
        for (int i = 0; i < SLOTS; i++) call_once(&notes->slot[i]);
    }
    pthread_mutex_unlock(&notes->lock);
    return NULL;
}

static void notes_free(vly_notes *notes) {
    if (notes->idle) cudaStreamDestroy(notes->idle);
    pthread_cond_destroy(&notes->wake);
    pthread_mutex_destroy(&notes->lock);
    free(notes);
}

vly_status vly_notes_create(vly_notes **out) {
    vly_notes *notes = calloc(1, sizeof *notes);
    if (!notes) return vly_fail(VLY_ENOMEM, "no memory for notifications");
    pthread_mutex_init(&notes->lock, NULL);
    pthread_cond_init(&notes->wake, NULL);
    cudaGetDevice(&notes->device);
    const cudaError_t made = cudaStreamCreateWithPriority(&notes->idle, cudaStreamNonBlocking, 0);
    if (made == cudaSuccess && pthread_create(&notes->watchdog, NULL, notes_watch, notes) == 0) {
        *out = notes;
        return VLY_OK;
    }
    notes_free(notes);
    VLY_CUDA_TRY(made);
    return vly_fail(VLY_EIO, "no thread for notifications");
}

void vly_notes_destroy(vly_notes *notes) {
    if (!notes) return;
    pthread_mutex_lock(&notes->lock);
    notes->stop = true;
    pthread_cond_signal(&notes->wake);
    pthread_mutex_unlock(&notes->lock);
    pthread_join(notes->watchdog, NULL);
    notes_free(notes);
}

vly_status vly_notes_add(vly_notes *notes, cudaStream_t stream, void (*fn)(void *), void *arg) {
    pthread_mutex_lock(&notes->lock);
    note *n = NULL;
    for (int i = 0; i < SLOTS && !n; i++) {
        note *candidate = &notes->slot[notes->next++ % SLOTS];
        if (atomic_load(&candidate->state) == FREE) n = candidate;
    }
    if (n) {
        n->fn = fn, n->arg = arg, n->notes = notes;
        atomic_store(&n->state, WAITING);
        atomic_fetch_add(&notes->outstanding, 1);
        if (notes->asleep) pthread_cond_signal(&notes->wake);
    }
    pthread_mutex_unlock(&notes->lock);
    if (!n) return vly_fail(VLY_EINVAL, "more than %d notifications under way", SLOTS);
    const cudaError_t error = cudaLaunchHostFunc(stream, from_driver, n);
    if (error == cudaSuccess) return VLY_OK;
    int expected = WAITING; /* unless the watchdog has made the call already */
    if (atomic_compare_exchange_strong(&n->state, &expected, FREE))
        atomic_fetch_sub(&notes->outstanding, 1);
    VLY_CUDA_TRY(error);
    return VLY_OK;
}
