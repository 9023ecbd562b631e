/* bench_parameters.c -- a parameter server over a real Redis (cpu/fleet/ps.h), everything on this
 * machine.
 *
 *   parameters/SIZE/publish    the server's weights into the store, converted; /s
 *   parameters/SIZE/pull       a worker's weights out of it, converted; /s
 *   parameters/SIZE/push/W     W workers' processes that do nothing but push a gradient, wait until
 *                              it is taken and pull the new weights: gradients applied by the
 *                              server's optimizer; /s
 *
 * SIZE: cartpole (4,675 numbers: two layers of 64), nature (1,686,180: Mnih et al. 2015 with 4
 * actions).
 */
#include "common/record/bench.h"
#ifndef VLY_HAVE_REDIS
vly_status vly_bench_parameters(const vly_bench_options *o) {
    (void)o;
    return vly_fail(
        VLY_EUNSUPPORTED,
        "this build has no Redis client: apt-get install libhiredis-dev, then build again");
}
#else
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "cpu/ops/compute_cpu.h"
#include "cpu/fleet/ps.h"

enum { WORKERS_MOST = 4 };
static const char run_name[] = "bench";

typedef struct {
    const char *url;
    vly_store *store;
    vly_compute *c;
    vly_queue *q;
    vly_ps_server *server;
    vly_params p;
    int64_t n;
    unsigned char *wire;
    double slice_s;
    vly_status status;
} bench;

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double publish(void *arg) {
    bench *b = arg;
    const size_t bytes = 64 + (size_t)b->n * sizeof(float);
    for (int64_t i = 0; i < b->n; i++) {
        const float x = (float)b->p.param[i];
        memcpy(b->wire + 64 + (size_t)i * sizeof x, &x, sizeof x);
    }
    b->status = vly_store_set(b->store, "published", b->wire, bytes);
    return 1;
}

static double pull(void *arg) {
    bench *b = arg;
    const size_t bytes = 64 + (size_t)b->n * sizeof(float);
    size_t got;
    b->status = vly_store_get(b->store, "published", b->wire, bytes, &got);
    for (int64_t i = 0; i < b->n; i++) {
        float x;
        memcpy(&x, b->wire + 64 + (size_t)i * sizeof x, sizeof x);
        b->p.m[i] = x;
    }
    return 1;
}

static double gradients(void *arg) {
    bench *b = arg;
    vly_ps_report before, after;
    vly_ps_server_report(b->server, &before);
    const double end = clock_s() + b->slice_s;
    while (b->status == VLY_OK && clock_s() < end) b->status = vly_ps_server_serve(b->server, 20);
    vly_ps_server_report(b->server, &after);
    return (double)(after.gradients - before.gradients);
}

static vly_status make_params(bench *b, vly_params *p) {
    static int64_t step;
    vly_real **const parts[] = {&p->param, &p->grad, &p->m, &p->v};
    for (int i = 0; i < 4; i++) {
        void *memory;
        VLY_TRY(b->c->alloc(b->c, (size_t)b->n * sizeof(vly_real), "numbers", "", &memory));
        *parts[i] = memory;
        VLY_TRY(b->c->fill(b->q, memory, 0, (size_t)b->n * sizeof(vly_real)));
    }
    p->n = b->n, p->step = &step;
    return b->c->queue_sync(b->q);
}

static vly_status make_device(bench *b) {
    VLY_TRY(vly_compute_create_cpu(&b->c, 1));
    VLY_TRY(b->c->queue_create(b->c, VLY_QUEUE_LEARN, &b->q));
    return make_params(b, &b->p);
}

static void free_device(bench *b) {
    vly_real *const parts[] = {b->p.param, b->p.grad, b->p.m, b->p.v};
    for (int i = 0; i < 4; i++)
        if (parts[i]) b->c->free(b->c, parts[i]);
    if (b->q) b->c->queue_destroy(b->q);
    if (b->c) b->c->destroy(b->c);
}

static vly_status push_until_stopped(const bench *parent, const char *name,
                                     const vly_ps_policy *policy) {
    bench b = {.url = parent->url, .n = parent->n};
    vly_ps_client *client;
    const vly_hyper hyper = {.lr = 1e-6f};
    VLY_TRY(vly_store_open(&b.store, b.url, run_name, NULL));
    VLY_TRY(make_device(&b));
    VLY_TRY(vly_ps_client_create(&client, b.store, b.url, run_name, name, policy));
    vly_sync *sync = vly_ps_client_sync(client);
    VLY_TRY(sync->broadcast(sync, b.q, b.p.param, (size_t)b.n * sizeof(vly_real), 0));
    for (int64_t i = 0; i < b.n; i++) b.p.grad[i] = (vly_real)1e-3;
    while (!vly_ps_client_stopped(client)) VLY_TRY(sync->server->apply(sync, b.q, &b.p, &hyper));
    return VLY_OK;
}

static pid_t start_worker(const bench *b, int i, const vly_ps_policy *policy) {
    const pid_t child = fork();
    if (child != 0) return child;
    char name[8];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(name, sizeof name, "w%d", i);
    _exit(push_until_stopped(b, name, policy) == VLY_OK ? 0 : 1);
}

static void measure(const vly_bench_options *o, bench *b, const char *size, const char *what,
                    vly_bench_fn work, int workers) {
    vly_bench_result r = {.unit = "/s"};
    snprintf(r.name, sizeof r.name, "parameters/%s/%s", size, what);
    snprintf(r.params, sizeof r.params, "\"numbers\": %lld, \"bytes\": %lld, \"workers\": %d",
             (long long)b->n, (long long)b->n * 4, workers);
    if (!vly_bench_wanted(o, r.name)) return;
    vly_bench_rate(o, work, b, &r);
    if (b->status == VLY_OK) o->report(o->arg, &r);
}

static vly_status with_policy(const vly_bench_options *o, bench *b, const char *size,
                              vly_ps_update update, int workers) {
    const vly_optimizer adam = {.kind = VLY_ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f};
    const vly_ps_policy policy = {.update = update, .queue_limit = 8};
    char what[24];
    pid_t pid[WORKERS_MOST] = {0};
    VLY_TRY(vly_store_delete(b->store, "params"));
    VLY_TRY(vly_store_delete(b->store, "pushes"));
    VLY_TRY(vly_ps_server_create(&b->server, b->store, b->c, b->q, &policy, &adam, &b->p, 0, 0));
    if (update == VLY_PS_UNROLLS) {
        measure(o, b, size, "publish", publish, 0);
        measure(o, b, size, "pull", pull, 0);
    } else {
        for (int i = 0; i < workers; i++) pid[i] = start_worker(b, i, &policy);
        snprintf(what, sizeof what, "push/%d", workers);
        measure(o, b, size, what, gradients, workers);
        if (b->status == VLY_OK) b->status = vly_ps_server_stop(b->server);
        for (int i = 0; i < workers; i++) {
            if (b->status != VLY_OK) kill(pid[i], SIGKILL);
            waitpid(pid[i], NULL, 0);
        }
    }
    vly_ps_server_destroy(b->server);
    b->server = NULL;
    return b->status;
}

static vly_status one_size(const vly_bench_options *o, const char *url, const char *size,
                           int64_t n) {
    bench b = {.url = url, .n = n, .slice_s = 0.2};
    vly_status status = vly_store_open(&b.store, url, run_name, NULL);
    if (status == VLY_OK) status = make_device(&b);
    b.wire = malloc(64 + (size_t)n * sizeof(float));
    if (status == VLY_OK && !b.wire)
        status = vly_fail(VLY_ENOMEM, "no memory for %lld numbers", (long long)n);
    if (status == VLY_OK) status = with_policy(o, &b, size, VLY_PS_UNROLLS, 0);
    for (int workers = 1; workers <= WORKERS_MOST && status == VLY_OK; workers++)
        status = with_policy(o, &b, size, VLY_PS_ASYNC, workers);
    free(b.wire);
    free_device(&b);
    vly_store_close(b.store);
    return status;
}

vly_status vly_bench_parameters(const vly_bench_options *o) {
    char folder[] = "/tmp/volley-bench-XXXXXX", command[64];
    vly_store_server *redis;
    if (!mkdtemp(folder)) return vly_fail(VLY_EIO, "cannot make a folder in /tmp");
    vly_status status = vly_store_server_start(&redis, folder, false, NULL);
    if (status == VLY_OK) {
        status = one_size(o, vly_store_server_url(redis), "cartpole", 4675);
        if (status == VLY_OK) status = one_size(o, vly_store_server_url(redis), "nature", 1686180);
        vly_store_server_stop(redis);
    }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 || status != VLY_OK ? status
                                                    : vly_fail(VLY_EIO, "cannot remove %s", folder);
}
#endif
