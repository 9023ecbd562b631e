/* fake_nccl.c -- libnccl's interface for tests on a machine without a GPU: the ranks are processes
 * of one machine, "device" memory is the shim's, arrays are summed through a file in shared memory,
 * always in the order of ranks.
 *
 * As strict as the real one where it matters here: set-up with a non-blocking communicator returns
 * ncclInProgress and ends in the background; collectives are enqueued on the stream; a peer that
 * never comes is waited for until CommAbort; a communicator does not end, not by CommAbort either,
 * before every graph that captured one of its collectives is destroyed. FAKE_NCCL_FAULT=RANK:N
 * makes that rank's communicator report an error after N collectives.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "gpu/nccl_library.h"
#include "tests/gpu/shim_stream.h"

#define XX(name, arguments) int nccl##name arguments;
VLY_NCCL_FUNCTIONS(XX)
#undef XX
const char *ncclGetErrorString(int result);
const char *ncclGetLastError(vly_nccl_comm comm);

enum {
    OK = VLY_NCCL_SUCCESS,
    SYSTEM_ERROR = 2,
    INVALID = 4,
    REMOTE_ERROR = 6,
    PIECE = 1 << 20,
    RANKS = 64
};

typedef struct {
    atomic_int joined, left;
    atomic_int waiting, round; /* of the barrier */
    _Alignas(64) char piece[][PIECE];
} meeting;

struct vly_nccl_communicator {
    int rank, ranks;
    char path[160];
    meeting *m;
    size_t bytes;
    pthread_t thread;
    bool threaded;
    atomic_int state, abort, collectives;
    atomic_int graphs, ending; /* that captured a collective; CommFinalize was called */
};

/* Work that was enqueued or captured may name communicators and jobs for as long as the process
 * lives: so long they stay. */
typedef struct kept {
    struct kept *next;
    _Alignas(16) char memory[];
} kept;
static _Atomic(kept *) everything;

static void *keep(size_t bytes) {
    kept *k = calloc(1, sizeof *k + bytes);
    if (!k) return NULL;
    k->next = atomic_load(&everything);
    while (!atomic_compare_exchange_weak(&everything, &k->next, k)) {
    }
    return k->memory;
}

static void nap(void) {
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

/* False: aborted. */
static bool barrier(vly_nccl_comm c) {
    const int round = atomic_load(&c->m->round);
    if (atomic_fetch_add(&c->m->waiting, 1) == c->ranks - 1) {
        atomic_store(&c->m->waiting, 0);
        atomic_fetch_add(&c->m->round, 1);
        return true;
    }
    for (int spins = 0; atomic_load(&c->m->round) == round; spins++) {
        if (atomic_load(&c->abort)) return false;
        nap();
    }
    return true;
}

/* ---- communicators ---- */

int ncclGetVersion(int *version) {
    return *version = 22809, OK;
}

int ncclGetUniqueId(vly_nccl_id *id) {
    unsigned long long key[2];
    memset(id, 0, sizeof *id);
    if (getrandom(key, sizeof key, 0) != sizeof key) return SYSTEM_ERROR;
    snprintf(id->bytes, sizeof id->bytes, "/dev/shm/volley-fake-nccl-%016llx%016llx", key[0],
             key[1]);
    return OK;
}

static void *join(void *arg) {
    vly_nccl_comm c = arg;
    const int fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    c->bytes = sizeof *c->m + (size_t)c->ranks * PIECE;
    const bool sized = fd >= 0 && ftruncate(fd, (off_t)c->bytes) == 0;
    c->m = sized ? mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0) close(fd);
    if (c->m == MAP_FAILED) {
        c->m = NULL;
        atomic_store(&c->state, SYSTEM_ERROR);
        return NULL;
    }
    atomic_fetch_add(&c->m->joined, 1);
    while (atomic_load(&c->m->joined) < c->ranks && !atomic_load(&c->abort)) nap();
    if (atomic_load(&c->m->joined) >= c->ranks) unlink(c->path); /* everyone has it mapped */
    atomic_store(&c->state, OK);
    return NULL;
}

int ncclCommInitRankConfig(vly_nccl_comm *out, int ranks, vly_nccl_id id, int rank,
                           vly_nccl_config *config) {
    if (ranks < 1 || ranks > RANKS || rank < 0 || rank >= ranks || !config ||
        config->magic != VLY_NCCL_MAGIC || config->cga_cluster_size != VLY_NCCL_UNSET)
        return INVALID;
    vly_nccl_comm c = keep(sizeof *c);
    if (!c) return SYSTEM_ERROR;
    c->rank = rank, c->ranks = ranks;
    snprintf(c->path, sizeof c->path, "%.120s", id.bytes);
    atomic_store(&c->state, VLY_NCCL_IN_PROGRESS);
    *out = c;
    if (config->blocking) return join(c), atomic_load(&c->state);
    c->threaded = pthread_create(&c->thread, NULL, join, c) == 0;
    return c->threaded ? VLY_NCCL_IN_PROGRESS : SYSTEM_ERROR;
}

int ncclCommGetAsyncError(vly_nccl_comm c, int *error) {
    *error = atomic_load(&c->ending) && atomic_load(&c->graphs) > 0 ? VLY_NCCL_IN_PROGRESS
                                                                    : atomic_load(&c->state);
    return OK;
}

static void end(vly_nccl_comm c) {
    while (atomic_load(&c->graphs) > 0) nap();
    if (c->threaded) pthread_join(c->thread, NULL);
    c->threaded = false;
    if (c->m && atomic_load(&c->m->joined) < c->ranks) unlink(c->path);
}

int ncclCommFinalize(vly_nccl_comm c) {
    int state;
    atomic_store(&c->ending, 1);
    return ncclCommGetAsyncError(c, &state), state;
}

int ncclCommDestroy(vly_nccl_comm c) {
    end(c);
    return OK;
}

int ncclCommAbort(vly_nccl_comm c) {
    atomic_store(&c->abort, 1);
    end(c);
    return OK;
}

const char *ncclGetErrorString(int result) {
    static const char *const words[] = {"no error",
                                        "unhandled cuda error",
                                        "unhandled system error",
                                        "internal error",
                                        "invalid argument",
                                        "invalid usage",
                                        "remote process exited or there was a network error",
                                        "NCCL operation in progress"};
    return result >= 0 && result < 8 ? words[result] : "unknown";
}

const char *ncclGetLastError(vly_nccl_comm c) {
    return c && atomic_load(&c->state) == REMOTE_ERROR ? "a fault that the test asked for" : "";
}

/* ---- collectives ---- */

typedef struct {
    vly_nccl_comm c;
    const char *from;
    char *to;
    size_t count;
    int type, root; /* root -1: the mean of all */
} job;

static float widen(uint16_t low) {
    const uint32_t bits = (uint32_t)low << 16;
    float f;
    return memcpy(&f, &bits, sizeof f), f;
}

static uint16_t narrow(float f) { /* to nearest, ties to even */
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (f != f) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void average(const job *j, char *to, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int r = 0; r < j->c->ranks; r++) {
            const char *piece = j->c->m->piece[r];
            sum += j->type == VLY_NCCL_FLOAT ? ((const float *)(const void *)piece)[i]
                                             : widen(((const uint16_t *)(const void *)piece)[i]);
        }
        sum /= (float)j->c->ranks;
        if (j->type == VLY_NCCL_FLOAT)
            ((float *)(void *)to)[i] = sum;
        else
            ((uint16_t *)(void *)to)[i] = narrow(sum);
    }
}

static size_t width(int type) {
    return type == VLY_NCCL_FLOAT ? 4 : type == VLY_NCCL_BFLOAT16 ? 2 : 1;
}

static void fault(vly_nccl_comm c) {
    int rank, after;
    const char *asked = getenv("FAKE_NCCL_FAULT");
    const int done = atomic_fetch_add(&c->collectives, 1);
    if (asked && sscanf(asked, "%d:%d", &rank, &after) == 2 && rank == c->rank && done >= after)
        atomic_store(&c->state, REMOTE_ERROR);
}

static void run(void *arg) {
    const job *j = arg;
    vly_nccl_comm c = j->c;
    const size_t size = width(j->type), step = PIECE / size;
    fault(c);
    for (size_t at = 0; at < j->count && !atomic_load(&c->abort) && atomic_load(&c->state) == OK;
         at += step) {
        const size_t n = j->count - at < step ? j->count - at : step;
        memcpy(c->m->piece[c->rank], j->from + at * size, n * size);
        if (!barrier(c)) return;
        if (j->root >= 0)
            memcpy(j->to + at * size, c->m->piece[j->root], n * size);
        else
            average(j, j->to + at * size, n);
        if (!barrier(c)) return;
    }
}

static void release(void *c) {
    atomic_fetch_sub(&((vly_nccl_comm)c)->graphs, 1);
}

static int enqueue(const job *what, cudaStream_t stream) {
    static shim_enqueue_fn shim;
    static shim_retain_fn retain;
    job *j = keep(sizeof *j);
    if (!shim) shim = shim_enqueue();
    if (!retain) retain = shim_retain();
    if (!j || !shim || !retain) return SYSTEM_ERROR;
    *j = *what;
    atomic_fetch_add(&j->c->graphs, 1);
    if (!retain(stream, release, j->c)) release(j->c);
    return shim(stream, run, j) == cudaSuccess ? OK : SYSTEM_ERROR;
}

int ncclAllReduce(const void *from, void *to, size_t count, int type, int op, vly_nccl_comm c,
                  cudaStream_t stream) {
    if (op != VLY_NCCL_AVERAGE || (type != VLY_NCCL_FLOAT && type != VLY_NCCL_BFLOAT16))
        return INVALID;
    return enqueue(&(job){c, from, to, count, type, -1}, stream);
}

int ncclBroadcast(const void *from, void *to, size_t count, int type, int root, vly_nccl_comm c,
                  cudaStream_t stream) {
    if (root < 0 || root >= c->ranks || type != VLY_NCCL_CHAR) return INVALID;
    return enqueue(&(job){c, from, to, count, type, root}, stream);
}
