#include "benchmarks/host_sync.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct vly_host_meeting {
    pthread_barrier_t barrier;
    _Alignas(64) vly_real numbers[]; /* (world, numbers) */
};

typedef struct {
    vly_sync sync;
    vly_host_meeting *m;
    int64_t numbers;
} host_sync;

static size_t bytes_of(int world, int64_t numbers) {
    return sizeof(vly_host_meeting) + (size_t)world * (size_t)numbers * sizeof(vly_real);
}

vly_host_meeting *vly_host_meeting_create(int world, int64_t numbers) {
    vly_host_meeting *m = mmap(NULL, bytes_of(world, numbers), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;
    if (m == MAP_FAILED) return NULL;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&m->barrier, &shared, (unsigned)world);
    pthread_barrierattr_destroy(&shared);
    return m;
}

void vly_host_meeting_destroy(vly_host_meeting *m, int world, int64_t numbers) {
    if (m) munmap(m, bytes_of(world, numbers));
}

/* Everyone lays down its gradient, averages its part of all, and takes the whole. */
static vly_status reduce(vly_sync *s, vly_queue *q, vly_real *grad, int64_t n) {
    host_sync *h = (host_sync *)s;
    vly_real *all = h->m->numbers;
    const int64_t room = h->numbers, from = n * s->rank / s->world,
                  to = n * (s->rank + 1) / s->world;
    if (n > room)
        return vly_fail(VLY_EINVAL, "%lld gradients where %lld were announced", (long long)n,
                        (long long)room);
    VLY_TRY(q->c->queue_sync(q));
    memcpy(all + s->rank * room, grad, (size_t)n * sizeof *grad);
    pthread_barrier_wait(&h->m->barrier);
    for (int64_t i = from; i < to; i++) {
        vly_real sum = 0;
        for (int r = 0; r < s->world; r++) sum += all[r * room + i];
        all[i] = sum / (vly_real)s->world; /* nobody else reads or writes row 0 here */
    }
    pthread_barrier_wait(&h->m->barrier);
    memcpy(grad, all, (size_t)n * sizeof *grad);
    pthread_barrier_wait(&h->m->barrier);
    return VLY_OK;
}

static const vly_sync_gradients host_gradients = {.reduce = reduce};

vly_status vly_host_sync_create(vly_sync **out, vly_host_meeting *m, int rank, int world,
                                int64_t numbers) {
    host_sync *h = calloc(1, sizeof *h);
    *out = NULL;
    if (!h || !m) return free(h), vly_fail(VLY_ENOMEM, "no memory for %d ranks", world);
    h->m = m, h->numbers = numbers;
    h->sync = (vly_sync){.rank = rank, .world = world, .gradients = &host_gradients};
    *out = &h->sync;
    return VLY_OK;
}

void vly_host_sync_destroy(vly_sync *s) {
    free(s);
}
