/* Any thread may use the back end, whichever device is current there: the asynchronous schedule's
 * learner has a thread of its own, and a rank's device is seldom the first. With two devices or
 * more it is the last one that is used here. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include "common/base/compute_open.h"
#include "tests/kit/check.h"
#ifdef VLY_TEST_SHIM
#include "gpu/compute_cuda.h"
#include "gpu/internal.h"
#include "kernels/shim/runtime.h"
#endif

enum { N = 257 };

static vly_compute *c;

static vly_compute *open_last(void) {
    vly_compute *found = NULL;
#ifdef VLY_TEST_SHIM
    setenv("VLY_SHIM_DEVICES", "3", 1);
    CHECK_OK(vly_compute_create_cuda(&found, 2, 1));
#else
    vly_cuda_info info;
    vly_cuda_describe(&info);
    if (info.devices == 0) SKIP("no CUDA device: %s", info.why);
    CHECK_OK(vly_cuda_open(&found, info.devices - 1, 1));
#endif
    return found;
}

static void in_a_thread(void *(*fn)(void *), void *arg) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

typedef struct {
    float *x, *y;
} pair;

static vly_status rectify(vly_queue *q, void *arg) {
    const pair *p = arg;
    return c->relu(q, VLY_F32, N, p->x, p->y);
}

static void check_rectified(const float *x, const float *y) {
    for (int i = 0; i < N; i++) CHECK(y[i] == (x[i] > 0 ? x[i] : 0));
}

/* With nothing but the back end from the thread that made it. */
static void *everything(void *unused) {
    vly_queue *q;
    vly_graph *graph = NULL;
    pair p;
    float *host, got[N];
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &q));
    CHECK_OK(c->alloc(c, sizeof got, "a test", NULL, (void **)&p.x));
    CHECK_OK(c->alloc(c, sizeof got, "a test", NULL, (void **)&p.y));
    CHECK_OK(c->alloc_host(c, sizeof got, "a test", (void **)&host));
    for (int i = 0; i < N; i++) host[i] = (float)(i % 17 - 8);
    CHECK_OK(c->upload(q, p.x, host, sizeof got));
    for (int round = 0; round < 3; round++) { /* as it is, captured, replayed */
        CHECK_OK(c->fill(q, p.y, 0xff, sizeof got));
        CHECK_OK(c->graph_run(q, &graph, rectify, &p));
        CHECK_OK(c->download(q, got, p.y, sizeof got));
        CHECK_OK(c->queue_sync(q));
        check_rectified(host, got);
    }
    c->graph_destroy(graph);
    c->free(c, p.x), c->free(c, p.y), c->free_host(c, host);
    c->queue_destroy(q);
    return unused;
}

/* ---- a queue that another thread made ---- */

typedef struct {
    vly_queue *q, *other;
    vly_event *event;
    vly_layer *layer;
    float *x, *w, *y, got[3 * 5];
    atomic_int called;
} shared;

static void note(void *arg) {
    atomic_fetch_add(&((shared *)arg)->called, 1);
}

static void *use(void *arg) {
    shared *s = arg;
    CHECK_OK(c->layer_prepare(s->q, s->layer, s->w));
    CHECK_OK(c->layer_forward(s->q, s->layer, 3, s->x, s->w, s->y));
    CHECK_OK(c->event_record(s->event, s->q));
    CHECK_OK(c->event_wait(s->other, s->event));
    CHECK_OK(c->download(s->other, s->got, s->y, sizeof s->got));
    CHECK_OK(c->notify(s->other, note, s));
    CHECK_OK(c->queue_sync(s->other));
    CHECK(c->event_done(s->event));
    return NULL;
}

static void a_queue_may_change_hands(void) {
    shared s = {.called = 0};
    const vly_layer_desc d = {.kind = VLY_LINEAR,
                              .batch_max = 3,
                              .in_c = 4,
                              .out_c = 5,
                              .x_type = VLY_F32,
                              .y_type = VLY_F32,
                              .x_scale = 1};
    const float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    float w[25];
    for (int i = 0; i < 25; i++)
        w[i] = i < 20 ? 1 : (float)(i - 20); /* sums of the inputs, and a bias */
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &s.q));
    CHECK_OK(c->queue_create(c, VLY_QUEUE_COPY, &s.other));
    CHECK_OK(c->event_create(c, &s.event));
    CHECK_OK(c->layer_create(c, &d, &s.layer));
    CHECK_OK(c->alloc(c, sizeof x, "a test", NULL, (void **)&s.x));
    CHECK_OK(c->alloc(c, sizeof w, "a test", NULL, (void **)&s.w));
    CHECK_OK(c->alloc(c, sizeof s.got, "a test", NULL, (void **)&s.y));
    CHECK_OK(c->upload(s.q, s.x, x, sizeof x));
    CHECK_OK(c->upload(s.q, s.w, w, sizeof w));
    CHECK_OK(c->queue_sync(s.q));
    in_a_thread(use, &s);
    for (int i = 0; i < 15; i++) CHECK(s.got[i] == (float)(10 + 16 * (i / 5) + i % 5));
    CHECK_EQ(atomic_load(&s.called), 1);
    c->layer_destroy(s.layer);
    c->event_destroy(s.event);
    c->free(c, s.x), c->free(c, s.w), c->free(c, s.y);
    c->queue_destroy(s.other), c->queue_destroy(s.q);
}

#ifdef VLY_TEST_SHIM
/* The thread that waits for actions shares its processor with environments: it asks for a while, then
 * sleeps. */
static void who_waits_long_for_a_queue_sleeps(void) {
    vly_queue *q;
    vly_event *event;
    float *x, got[N];
    CHECK_OK(c->queue_create(c, VLY_QUEUE_ACT, &q));
    CHECK_OK(c->event_create(c, &event));
    CHECK_OK(c->alloc(c, sizeof got, "a test", NULL, (void **)&x));
    const uint64_t before = vly_shim_spins();
    for (int way = 0; way < 4;
         way++) { /* a short and a long wait for the queue, and for an event */
        CHECK_OK(c->fill(q, x, 0, sizeof got));
        memset(got, 0xff, sizeof got);
        CHECK_OK(c->download(q, got, x, sizeof got));
        CHECK_OK(c->event_record(event, q));
        vly_shim_slow(way % 2);
        if (way % 2) CHECK(!c->event_done(event));
        CHECK_OK(way < 2 ? c->queue_sync(q) : c->event_sync(event));
        for (int i = 0; i < N; i++) CHECK(got[i] == 0);
    }
    vly_shim_slow(false);
    CHECK_EQ(vly_shim_spins(), before);
    c->event_destroy(event);
    c->free(c, x);
    c->queue_destroy(q);
}

/* ---- a device that fails ---- */

static void fail(void *unused) {
    (void)unused;
    vly_shim_fail();
}

/* A host function is never called after an error of the device; who waits for it must hear of it
 * all the same. */
static void a_failed_device_still_notifies(void) {
    shared s = {.called = 0};
    CHECK_OK(c->queue_create(c, VLY_QUEUE_LEARN, &s.q));
    CHECK_EQ(vly_shim_enqueue(vly_stream_of(s.q), fail, NULL), cudaSuccess);
    vly_shim_lazy_host(true);
    CHECK_OK(c->notify(s.q, note, &s));
    vly_shim_lazy_host(false);
    CHECK(c->queue_sync(s.q) == VLY_ECUDA);
    for (int i = 0; i < 100 && atomic_load(&s.called) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    CHECK_EQ(atomic_load(&s.called), 1);
    vly_shim_clear();
    c->queue_destroy(s.q);
}
#endif

int main(void) {
    c = open_last();
    in_a_thread(everything, NULL);
    a_queue_may_change_hands();
#ifdef VLY_TEST_SHIM
    who_waits_long_for_a_queue_sleeps();
    a_failed_device_still_notifies();
#endif
    c->destroy(c);
    return TEST_PASS;
}
