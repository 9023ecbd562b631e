#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cpu/ops/workers.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include "cpu/machine/processors.h"

/* Turns of looking for work before a thread sleeps, about 30 us: operations of an update follow each
 * other faster than a sleeper wakes. Each turn offers the processor to who else can run. */
enum { THREADS_MAX = 256, TURNS = 64 };

/* Each thread begins with blocks of its own, at the same place in every job, and then takes what
 * others have left: what an operation has written is in the cache of the processor that reads it in
 * the next. */
typedef struct {
    alignas(64) atomic_int next;
    int end;
} share;

typedef struct job job;
struct job {
    job *next;
    vly_block_fn fn;
    void *arg;
    share *shares;       /* one per thread */
    int count;           /* of them */
    atomic_int busy;     /* helpers at work; changed under the lock */
    atomic_bool drained; /* every block has been taken */
    pthread_cond_t left;
};

typedef struct {
    struct vly_workers *of;
    int slot; /* in every job; the caller's is 0 */
    pthread_t thread;
} helper;

struct vly_workers {
    pthread_mutex_t lock;
    pthread_cond_t work;
    job *jobs;   /* open ones, oldest last */
    int threads; /* as many as were asked for: operations are cut by it */
    int started; /* helpers; fewer if some could not be */
    bool begun;
    int home;           /* the processor that starts the helpers */
    atomic_int spread;  /* helpers that have found theirs */
    atomic_uint opened; /* jobs so far */
    bool stop;
    helper helpers[THREADS_MAX];
};

static void run_blocks(job *j, int slot) {
    for (int i = 0; i < j->count; i++) {
        share *s = &j->shares[(slot + i) % j->count];
        while (atomic_load_explicit(&s->next, memory_order_relaxed) < s->end) {
            const int b = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
            if (b < s->end) j->fn(j->arg, b, slot);
        }
    }
    atomic_store_explicit(&j->drained, true, memory_order_relaxed);
}

static job *open_job(vly_workers *w) {
    job *found = NULL;
    for (job *j = w->jobs; j; j = j->next)
        if (!atomic_load_explicit(&j->drained, memory_order_relaxed)) found = j;
    return found;
}

/* The next processor after those of the helpers that were started before, then free again. On a
 * machine that others use too, a thread that wakes for a few milliseconds at a time stays where it
 * was: beside its caller, were it not moved once. */
static void move_apart(vly_workers *w) {
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) || CPU_COUNT(&allowed) < 2) return;
    int steps = 1 + atomic_fetch_add(&w->spread, 1), at = w->home;
    while (steps > 0) {
        at = (at + 1) % CPU_SETSIZE;
        steps -= CPU_ISSET(at, &allowed) ? 1 : 0;
    }
    CPU_ZERO(&one);
    CPU_SET(at, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}

/* Whether there is a job that was not there when the lock was held. */
static bool wait_awake(vly_workers *w) {
    const unsigned seen = atomic_load(&w->opened);
    bool more = false;
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < TURNS && !more; i++) {
        sched_yield();
        more = atomic_load_explicit(&w->opened, memory_order_acquire) != seen;
    }
    pthread_mutex_lock(&w->lock);
    return more || atomic_load(&w->opened) != seen;
}

static void *help_with_jobs(void *arg) {
    const helper *me = arg;
    vly_workers *w = me->of;
    move_apart(w);
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        job *j = open_job(w);
        if (!j) {
            if (!wait_awake(w) && !w->stop) pthread_cond_wait(&w->work, &w->lock);
            continue;
        }
        j->busy++;
        pthread_mutex_unlock(&w->lock);
        run_blocks(j, me->slot);
        pthread_mutex_lock(&w->lock);
        if (--j->busy == 0) pthread_cond_signal(&j->left);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals belong to the main thread. A thread that cannot be started is done without. */
static void start_helpers(vly_workers *w) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    w->home = sched_getcpu();
    while (w->started < w->threads - 1) {
        helper *h = &w->helpers[w->started];
        h->of = w, h->slot = w->started + 1;
        if (pthread_create(&h->thread, NULL, help_with_jobs, h)) break;
        w->started++;
    }
    w->begun = true;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void vly_workers_run(vly_workers *w, int blocks, vly_block_fn fn, void *arg) {
    if (blocks <= 1 || w->threads == 1) {
        for (int b = 0; b < blocks; b++) fn(arg, b, 0);
        return;
    }
    share shares[THREADS_MAX];
    job j = {.fn = fn, .arg = arg, .shares = shares, .left = PTHREAD_COND_INITIALIZER};
    pthread_mutex_lock(&w->lock);
    if (!w->begun) start_helpers(w);
    j.count = w->started + 1;
    for (int i = 0; i < j.count; i++) {
        atomic_init(&shares[i].next, (int)((int64_t)blocks * i / j.count));
        shares[i].end = (int)((int64_t)blocks * (i + 1) / j.count);
    }
    j.next = w->jobs;
    w->jobs = &j;
    atomic_fetch_add(&w->opened, 1);
    if (blocks == 2)
        pthread_cond_signal(&w->work);
    else
        pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);

    run_blocks(&j, 0);

    for (int i = 0; i < TURNS && atomic_load_explicit(&j.busy, memory_order_relaxed) > 0; i++)
        sched_yield();
    pthread_mutex_lock(&w->lock);
    job **link = &w->jobs;
    while (*link != &j) link = &(*link)->next;
    *link = j.next;
    while (j.busy > 0) pthread_cond_wait(&j.left, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&j.left);
}

vly_status vly_workers_create(vly_workers **out, int threads) {
    if (threads < 1) threads = vly_processors();
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    vly_workers *w = calloc(1, sizeof *w);
    if (!w) return vly_fail(VLY_ENOMEM, "no memory for the compute threads");
    w->threads = threads;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    *out = w;
    return VLY_OK;
}

void vly_workers_destroy(vly_workers *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < w->started; i++) pthread_join(w->helpers[i].thread, NULL);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

int vly_workers_threads(const vly_workers *w) {
    return w->threads;
}
