#include "cpu/monitor/monitor.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "cpu/monitor/monitor_impl.h"
#include "cpu/machine/system.h"

enum { TICK_MS = 1000, SCAN_TICKS = 2 };
static const double BURST_S = 0.5;

/* ---- every second ---- */

/* A run that writes no file: its numbers as they are now. */
static void take_snapshot(vly_monitor *m) {
    vly_run_log *r = m->runs->n ? m->runs->v[0] : NULL;
    if (!r) return;
    const vly_metric_value steps = vly_metrics_get(m->o.metrics, VLY_M_STEPS);
    if (!steps.set) return;
    vly_run_log_row(r, steps.value, vly_metrics_seconds(m->o.metrics));
    r->updated = (int64_t)time(NULL);
    for (int i = 0; i < vly_metrics_count_of(m->o.metrics); i++) {
        const vly_metric_value v = vly_metrics_get(m->o.metrics, i);
        if (v.set) vly_run_log_value(r, v.name, v.value);
    }
}

/* The stores that the runs name, each once: of live runs first. */
static void look_at_fleet(vly_monitor *m) {
    const char *urls[VLY_FLEET_STORES];
    int n = 0;
    if (m->store[0]) urls[n++] = m->store;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < m->runs->n && n < VLY_FLEET_STORES; i++) {
            const vly_run_log *r = m->runs->v[i];
            bool known = !r->store[0] || r->live == (pass == 1);
            for (int k = 0; k < n && !known; k++) known = strcmp(urls[k], r->store) == 0;
            if (!known) urls[n++] = r->store;
        }
    vly_fleet_view_look(m->fleet, urls, n);
}

static void on_reader(uv_idle_t *idle) {
    vly_monitor *m = idle->data;
    if (vly_cpu_quota_left(&m->quota) < VLY_MONITOR_RESERVE_S || !vly_run_list_read(m->runs))
        uv_idle_stop(idle); /* until the next tick */
}

static void on_tick(uv_timer_t *timer) {
    vly_monitor *m = timer->data;
    vly_http_stats stats;
    if (m->ticks++ % SCAN_TICKS == 0)
        vly_run_list_look(m->runs);
    else
        for (int i = 0; i < m->runs->n; i++)
            if (m->runs->v[i]->live) vly_run_log_look(m->runs->v[i]);
    if (m->o.metrics) take_snapshot(m);
    uv_idle_start(&m->reader, on_reader);
    if (m->fleet_wanted > m->ticks && m->ticks % 2 == 0) look_at_fleet(m);
    vly_http_get_stats(m->http, &stats);
    if (stats.streams) {
        vly_monitor_write_tick(m);
        if (!m->message.failed) vly_http_send(m->http, m->message.at, m->message.n);
    }
    vly_cpu_quota_wait(&m->quota);
}

/* ---- beginning and end ---- */

static void close_parts(vly_monitor *m) {
    vly_http_close(m->http);
    vly_fleet_view_close(m->fleet);
}

static void close_own_handles(vly_monitor *m) {
    uv_close((uv_handle_t *)&m->stop, NULL);
    uv_close((uv_handle_t *)&m->tick, NULL);
    uv_close((uv_handle_t *)&m->reader, NULL);
}

static void on_stop(uv_async_t *async) {
    close_parts(async->data);
    close_own_handles(async->data);
}

static void run_loop(void *arg) {
    vly_monitor *m = arg;
    vly_cpu_quota_begin(&m->quota, m->o.cpu_share, BURST_S);
    uv_run(&m->loop, UV_RUN_DEFAULT);
}

static void keep_text(char *to, size_t bytes, const char **from) {
    snprintf(to, bytes, "%s", *from ? *from : "");
    *from = to;
}

static void make_url(vly_monitor *m) {
    const char *bind = m->o.bind && *m->o.bind ? m->o.bind : "127.0.0.1";
    const bool any = strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0,
               v6 = strchr(bind, ':') != NULL;
    char host[256] = "localhost";
    if (any)
        uv_os_gethostname(host, &(size_t){sizeof host});
    else
        snprintf(host, sizeof host, "%s%s%s", v6 ? "[" : "", bind, v6 ? "]" : "");
    snprintf(m->url, sizeof m->url, "http://%s:%d/%s%s", host, vly_http_port(m->http),
             m->token[0] ? "?token=" : "", m->token);
}

static vly_status open_parts(vly_monitor *m) {
    const vly_http_options o = {.bind = m->o.bind,
                                .token = m->token,
                                .hosts = m->o.hosts,
                                .port = m->o.port,
                                .arg = m,
                                .answer = vly_monitor_answer,
                                .quota = &m->quota};
    VLY_TRY(vly_fleet_view_open(&m->fleet, &m->loop));
    return vly_http_open(&m->http, &m->loop, &o);
}

static void free_parts(vly_monitor *m) {
    vly_http_free(m->http);
    vly_fleet_view_free(m->fleet);
    vly_run_list_close(m->runs);
    vly_text_free(&m->message);
    uv_loop_close(&m->loop);
    free(m);
}

vly_status vly_monitor_bind(vly_monitor **out, const vly_monitor_options *options) {
    vly_monitor *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return vly_fail(VLY_ENOMEM, "no memory for the monitor");
    m->o = *options;
    keep_text(m->folder, sizeof m->folder, &m->o.folder);
    keep_text(m->store, sizeof m->store, &m->o.store);
    keep_text(m->token, sizeof m->token, &m->o.token);
    if (getrandom(&m->instance, sizeof m->instance, 0) < 0) m->instance = (uint64_t)time(NULL);
    uv_loop_init(&m->loop);
    const vly_status status = open_parts(m);
    if (status != VLY_OK) return free_parts(m), status;
    make_url(m);
    return *out = m, VLY_OK;
}

vly_status vly_monitor_run(vly_monitor *m, vly_metrics *metrics) {
    m->o.metrics = metrics;
    VLY_TRY(vly_run_list_open(&m->runs, m->folder));
    uv_async_init(&m->loop, &m->stop, on_stop);
    uv_timer_init(&m->loop, &m->tick);
    uv_idle_init(&m->loop, &m->reader);
    m->stop.data = m->tick.data = m->reader.data = m;
    uv_timer_start(&m->tick, on_tick, 0, TICK_MS);
    const int code = uv_thread_create(&m->thread, run_loop, m);
    m->runs_loop = code == 0;
    if (!code) return VLY_OK;
    close_own_handles(m);
    return vly_fail(VLY_EIO, "cannot start the monitor's thread: %s", uv_strerror(code));
}

vly_status vly_monitor_start(vly_monitor **out, const vly_monitor_options *options) {
    VLY_TRY(vly_monitor_bind(out, options));
    const vly_status status = vly_monitor_run(*out, options->metrics);
    if (status == VLY_OK) return VLY_OK;
    vly_monitor_stop(*out);
    return *out = NULL, status;
}

const char *vly_monitor_url(const vly_monitor *m) {
    return m->url;
}

void vly_monitor_stop(vly_monitor *m) {
    if (!m) return;
    if (m->runs_loop) {
        vly_cpu_quota_end(&m->quota); /* what waits for the quota would be waited for here */
        uv_async_send(&m->stop);
        uv_thread_join(&m->thread);
    } else {
        close_parts(m);
        uv_run(&m->loop, UV_RUN_DEFAULT);
    }
    free_parts(m);
}
