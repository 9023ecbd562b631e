/* bench_loop.c -- what the event loop of a run costs: waking its thread, and stepping actors that
 * report to it one by one.
 *
 *   wake/condvar   from another thread's signal to this one running: a condition variable
 *   wake/loop      the same through uv_async and the loop
 *   wake/pool      the same from the end of an actor's step, as the trainer waits: it spins for some
 *                  microseconds where threads have a processor each, then sleeps on the loop
 *   actors/ENV/N   N actors, each a chunk of its own, stepped again as soon as they are taken; half
 *                  of them are taken together; steps/s. Beside it: loop_wakes_per_s, and
 *                  bytes_per_actor, resident memory of the pool and its rows
 *
 * Latencies are in microseconds; the median is p50, and p99 stands beside it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "common/base/clock.h"
#include "common/record/bench.h"
#include "cpu/actors/pool.h"
#include "cpu/machine/processors.h"
#include "envs/registry.h"

enum { WAKES = 2000, PAUSE_NS = 100000, STEP_NS = 30000 };

static int compare_latency(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report_latency(const vly_bench_options *o, const char *name, double *us) {
    vly_bench_result r = {.unit = "us", .samples = WAKES};
    qsort(us, WAKES, sizeof *us, compare_latency);
    snprintf(r.name, sizeof r.name, "%s", name);
    r.min = us[0], r.median = us[WAKES / 2], r.max = us[WAKES - 1];
    snprintf(r.params, sizeof r.params, "\"p99\": %.2f, \"processors\": %d", us[WAKES * 99 / 100],
             vly_processors());
    if (o->report) o->report(o->arg, &r);
}

/* ---- a thread wakes this one ---- */

typedef struct {
    bool by_loop;
    uv_loop_t loop;
    uv_async_t async;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool signalled;
    _Atomic int64_t sent_ns;
    atomic_int taken;
} waker;

static void *send_wakes(void *arg) {
    waker *w = arg;
    for (int i = 0; i < WAKES; i++) {
        while (atomic_load(&w->taken) < i) sched_yield();
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL); /* until the other sleeps */
        pthread_mutex_lock(&w->lock);
        w->signalled = true;
        atomic_store(&w->sent_ns, vly_now_ns());
        if (w->by_loop)
            uv_async_send(&w->async);
        else
            pthread_cond_signal(&w->changed);
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

static void wait_for_wake(waker *w) {
    pthread_mutex_lock(&w->lock);
    while (!w->signalled) {
        if (!w->by_loop) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        uv_run(&w->loop, UV_RUN_ONCE);
        pthread_mutex_lock(&w->lock);
    }
    w->signalled = false;
    pthread_mutex_unlock(&w->lock);
}

static void on_async(uv_async_t *async) {
    (void)async;
}

static vly_status measure_wakes(const vly_bench_options *o, const char *name, bool by_loop) {
    waker w = {
        .by_loop = by_loop, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    static double us[WAKES];
    pthread_t thread;
    if (!vly_bench_wanted(o, name)) return VLY_OK;
    uv_loop_init(&w.loop);
    uv_async_init(&w.loop, &w.async, on_async);
    const int error = pthread_create(&thread, NULL, send_wakes, &w);
    for (int i = 0; i < WAKES && !error; i++) {
        wait_for_wake(&w);
        us[i] = (double)(vly_now_ns() - atomic_load(&w.sent_ns)) * 1e-3;
        atomic_store(&w.taken, i + 1);
    }
    if (!error) pthread_join(thread, NULL);
    uv_close((uv_handle_t *)&w.async, NULL);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    uv_loop_close(&w.loop);
    if (error) return vly_fail(VLY_ENOMEM, "no thread for a benchmark");
    report_latency(o, name, us);
    return VLY_OK;
}

/* ---- actors ---- */

typedef struct {
    uv_loop_t loop;
    vly_env env;
    vly_pool *pool;
    vly_source *source;
    int n, want, *taken;
    int32_t *action;
    uint8_t *obs, *flags;
    float *reward, *score;
    int64_t wakes;
    _Atomic int64_t done_ns; /* the end of a step, of wake/pool */
    void (*step)(const vly_env *env, void *states, int n, vly_actions action, vly_rows out);
} crowd;

static crowd *timed;

/* Lasts long enough that who waits may sleep, and leaves the time at which it ended. */
static void timed_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    const int64_t until = vly_now_ns() + STEP_NS;
    timed->step(env, states, n, action, out);
    while (vly_now_ns() < until) {
    }
    atomic_store(&timed->done_ns, vly_now_ns());
}

static vly_rows rows_of_actor(const crowd *c, int i) {
    const vly_rows all = vly_rows_plain(c->obs, c->env.obs.bytes, c->reward, c->score, c->flags);
    return vly_rows_at(all, (size_t)i);
}

static void close_crowd(crowd *c) {
    if (c->pool) vly_pool_destroy(c->pool);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    uv_loop_close(&c->loop);
    free(c->taken), free(c->action), free(c->obs), free(c->flags), free(c->reward), free(c->score);
    if (c->env.close) c->env.close(&c->env);
    free(c);
}

static vly_status open_crowd(crowd *c, const char *env, int n, int workers) {
    const size_t count = (size_t)n;
    const vly_pool_options o = {.actors = n, .chunk = 1, .workers = workers, .seed = 1};
    c->n = n, c->want = n > 1 ? n / 2 : 1;
    VLY_TRY(vly_env_open(&c->env, env, NULL));
    c->taken = calloc(count, sizeof *c->taken), c->action = calloc(count, sizeof *c->action);
    c->obs = calloc(count, c->env.obs.bytes), c->flags = calloc(count, 1);
    c->reward = calloc(count, sizeof *c->reward), c->score = calloc(count, sizeof *c->score);
    if (!c->taken || !c->action || !c->obs || !c->flags || !c->reward || !c->score)
        return vly_fail(VLY_ENOMEM, "no memory for %d actors", n);
    VLY_TRY(vly_pool_create(&c->pool, &c->loop, &c->env, &o));
    c->source = vly_pool_source(c->pool, true);
    return VLY_OK;
}

static void take_some(crowd *c, int want) {
    while (c->source->take(c->source, want, c->taken) == 0) {
        if (!c->source->arm(c->source, want)) continue;
        uv_run(&c->loop, UV_RUN_ONCE);
        c->wakes++;
    }
}

static vly_status begin_all(crowd *c) {
    for (int i = 0; i < c->n; i++)
        VLY_TRY(c->source->submit(c->source, i, (vly_actions){NULL, 0}, rows_of_actor(c, i)));
    take_some(c, c->n);
    for (int i = 0; i < c->n; i++)
        VLY_TRY(c->source->submit(c->source, i, vly_actions_of_ints(c->action + i),
                                  rows_of_actor(c, i)));
    return VLY_OK;
}

static double step_some(void *arg) {
    crowd *c = arg;
    take_some(c, c->want);
    for (int i = 0; i < c->want; i++) {
        const int a = c->taken[i];
        c->source->submit(c->source, a, vly_actions_of_ints(c->action + a), rows_of_actor(c, a));
    }
    return c->want;
}

static double resident_bytes(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*s %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static vly_status run_crowd(const vly_bench_options *o, crowd *c, const char *env, int n,
                            vly_bench_result *r) {
    const double before = resident_bytes();
    VLY_TRY(open_crowd(c, env, n, -1));
    VLY_TRY(begin_all(c));
    const double bytes = (resident_bytes() - before) / n;
    const int64_t begun = vly_now_ns();
    c->wakes = 0;
    vly_bench_rate(o, step_some, c, r);
    const double seconds = (double)(vly_now_ns() - begun) * 1e-9;
    snprintf(r->params, sizeof r->params,
             "\"actors\": %d, \"loop_wakes_per_s\": %.0f, \"bytes_per_actor\": %.0f, "
             "\"state_bytes\": %zu",
             n, (double)c->wakes / seconds, bytes, c->env.state_bytes);
    return VLY_OK;
}

static vly_status measure_actors(const vly_bench_options *o, const char *env, int n) {
    vly_bench_result r = {.unit = "steps/s"};
    snprintf(r.name, sizeof r.name, "actors/%s/%d", env, n);
    if (!vly_bench_wanted(o, r.name)) return VLY_OK;
    crowd *c = calloc(1, sizeof *c);
    if (!c) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    uv_loop_init(&c->loop);
    const vly_status status = run_crowd(o, c, env, n, &r);
    const bool absent = status == VLY_ENOTFOUND; /* no ROM */
    if (status == VLY_OK && o->report) o->report(o->arg, &r);
    close_crowd(c);
    return absent && !o->filter ? VLY_OK : status;
}

static vly_status time_steps(crowd *c, double *us) {
    VLY_TRY(open_crowd(c, "cartpole", 1, 1));
    c->step = c->env.step, c->env.step = timed_step;
    VLY_TRY(begin_all(c));
    for (int i = 0; i < WAKES; i++) {
        take_some(c, 1);
        us[i] = (double)(vly_now_ns() - atomic_load(&c->done_ns)) * 1e-3;
        VLY_TRY(
            c->source->submit(c->source, 0, vly_actions_of_ints(c->action), rows_of_actor(c, 0)));
    }
    return VLY_OK;
}

static vly_status measure_pool_wakes(const vly_bench_options *o) {
    static double us[WAKES];
    const char *name = "wake/pool";
    if (!vly_bench_wanted(o, name)) return VLY_OK;
    crowd *c = calloc(1, sizeof *c);
    if (!c) return vly_fail(VLY_ENOMEM, "no memory for a benchmark");
    uv_loop_init(&c->loop);
    timed = c;
    const vly_status status = time_steps(c, us);
    close_crowd(c);
    if (status == VLY_OK) report_latency(o, name, us);
    return status;
}

vly_status vly_bench_loop(const vly_bench_options *o) {
    static const int sizes[] = {1, 16, 256, 4096};
    VLY_TRY(measure_wakes(o, "wake/condvar", false));
    VLY_TRY(measure_wakes(o, "wake/loop", true));
    VLY_TRY(measure_pool_wakes(o));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        VLY_TRY(measure_actors(o, "cartpole", sizes[i]));
    return measure_actors(o, "pong", 512);
}
