/* The CPU's memory, queues, graphs and threads. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cpu/ops/compute_cpu.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/ops/simd.h"
#include "cpu/ops/workers.h"
#include "tests/kit/check.h"

static void memory_is_aligned_zeroed_and_bounded(vly_compute *c) {
    for (size_t bytes = 1; bytes < (size_t)8 << 20; bytes = bytes * 3 + 1) {
        unsigned char *p;
        CHECK_OK(c->alloc(c, bytes, "test", NULL, (void **)&p));
        CHECK_EQ((uintptr_t)p % 256, 0);
        for (size_t i = 0; i < bytes; i += 97) CHECK_EQ(p[i], 0);
        memset(p, 0xa5, bytes);
        c->free(c, p);
    }
    c->free(c, NULL);
    void *p = &p;
    CHECK_EQ(c->alloc(c, (size_t)1 << 60, "replay frames", "--replay.bytes", &p), VLY_ENOMEM);
    CHECK(strstr(vly_error_text(), "replay frames") && strstr(vly_error_text(), "--replay.bytes"));
    CHECK(p == NULL);
}

static vly_status count_up(vly_queue *q, void *arg) {
    (void)q;
    ++*(int *)arg;
    return VLY_OK;
}

static void set_flag(void *arg) {
    *(int *)arg = 1;
}

static void queues_run_in_order(vly_compute *c) {
    vly_queue *q;
    vly_event *e;
    vly_graph *graph = NULL;
    int calls = 0, seen = 0;
    char from[5] = "abcd", to[5] = "";
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
    CHECK_OK(c->event_create(c, &e));
    for (int i = 0; i < 3; i++) CHECK_OK(c->graph_run(q, &graph, count_up, &calls));
    CHECK_EQ(calls, 3);
    CHECK_OK(c->upload(q, to, from, 5));
    CHECK_STR(to, "abcd");
    CHECK_OK(c->copy(q, to + 1, to, 3)); /* overlapping is allowed */
    CHECK_STR(to, "aabc");
    CHECK_OK(c->fill(q, to, 'x', 2));
    CHECK_STR(to, "xxbc");
    CHECK_EQ(c->fill(q, NULL, 0, 1), VLY_EINVAL);
    CHECK_OK(c->event_record(e, q));
    CHECK_OK(c->event_wait(q, e));
    CHECK(c->event_done(e));
    CHECK_OK(c->notify(q, set_flag, &seen));
    CHECK_OK(c->queue_sync(q));
    CHECK_EQ(seen, 1);
    c->graph_destroy(graph);
    c->event_destroy(e);
    c->queue_destroy(q);
}

typedef struct {
    atomic_int hits[1000];
    int threads;
    atomic_int wrong;
} marks;

static void mark(void *arg, int block, int slot) {
    marks *m = arg;
    atomic_fetch_add(&m->hits[block], 1);
    if (slot < 0 || slot >= m->threads) atomic_fetch_add(&m->wrong, 1);
}

static void every_block_runs_once(int threads) {
    vly_workers *w;
    CHECK_OK(vly_workers_create(&w, threads));
    CHECK_EQ(vly_workers_threads(w), threads);
    for (int blocks = 0; blocks <= 1000; blocks = blocks * 2 + 1) {
        static marks m;
        memset(&m, 0, sizeof m);
        m.threads = threads;
        for (int round = 0; round < 20; round++) vly_workers_run(w, blocks, mark, &m);
        for (int b = 0; b < 1000; b++) CHECK_EQ(m.hits[b], b < blocks ? 20 : 0);
        CHECK_EQ(m.wrong, 0);
    }
    vly_workers_destroy(w);
}

/* No stack of that size can be had, so no helper starts. Operations are cut by the number that was
 * asked for: it stays. */
static void threads_that_cannot_start_are_done_without(void) {
    static marks m = {.threads = 9};
    pthread_attr_t usual, vast;
    vly_workers *w;
    CHECK_EQ(pthread_getattr_default_np(&usual), 0);
    CHECK_EQ(pthread_attr_init(&vast), 0);
    CHECK_EQ(pthread_attr_setstacksize(&vast, (size_t)1 << 50), 0);
    CHECK_EQ(pthread_setattr_default_np(&vast), 0);
    CHECK_OK(vly_workers_create(&w, 9));
    vly_workers_run(w, 100, mark, &m);
    CHECK_EQ(vly_workers_threads(w), 9);
    vly_workers_run(w, 100, mark, &m);
    for (int b = 0; b < 1000; b++) CHECK_EQ(m.hits[b], b < 100 ? 2 : 0);
    vly_workers_destroy(w);
    CHECK_EQ(pthread_setattr_default_np(&usual), 0);
    pthread_attr_destroy(&usual);
    pthread_attr_destroy(&vast);
}

/* The width can be asked for; what is not there is said. */
static void the_width_is_a_choice(void) {
    vly_compute *c;
    setenv("VLY_SIMD", "avx9", 1);
    CHECK_EQ(vly_compute_create_cpu(&c, 1), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "avx9") != NULL);
    setenv("VLY_SIMD", "base", 1);
    CHECK_OK(vly_compute_create_cpu(&c, 1));
    CHECK_STR(vly_simd_best()->name, "base");
    CHECK(!c->info.has_bf16);
    c->destroy(c);
    unsetenv("VLY_SIMD");
    vly_simd_force(NULL);
}

int main(void) {
    vly_compute *c;
    CHECK_OK(vly_compute_create_cpu(&c, 2));
    CHECK_STR(c->info.kind, "cpu");
    CHECK_EQ(c->info.threads, 2);
    memory_is_aligned_zeroed_and_bounded(c);
    queues_run_in_order(c);
    c->destroy(c);
    every_block_runs_once(1);
    every_block_runs_once(2);
    every_block_runs_once(8);
    threads_that_cannot_start_are_done_without();
    the_width_is_a_choice();
    return TEST_PASS;
}
