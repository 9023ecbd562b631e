/* From a path to an answer. Names are looked up in the list of runs: what a client sends never
 * becomes a path of a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/monitor/monitor_impl.h"
#include "cpu/monitor/prometheus.h"

enum { POINTS = 400, POINTS_LEAST = 16, FLEET_TICKS = 10 };

static void json(vly_http_reply *reply) {
    reply->type = "application/json";
}

static void not_found(vly_http_reply *reply, const char *what) {
    vly_text_clear(&reply->body);
    reply->status = 404;
    json(reply);
    vly_text_add(&reply->body, "{\"error\":");
    vly_text_json(&reply->body, what);
    vly_text_add(&reply->body, "}");
}

static const vly_run_log *named(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    char name[VLY_RUN_NAME];
    const vly_run_log *run = vly_http_query(r->query, "run", name, sizeof name)
                                 ? vly_run_list_find(m->runs, name)
                                 : NULL;
    if (run)
        json(reply);
    else
        not_found(reply, "there is no such run");
    return run;
}

static int number_parameter(const vly_http_request *r, const char *name, int otherwise, int least,
                            int most) {
    char text[16];
    if (!vly_http_query(r->query, name, text, sizeof text)) return otherwise;
    const long value = strtol(text, NULL, 10);
    return value < least ? least : value > most ? most : (int)value;
}

static void answer_page(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    char given[VLY_HTTP_VALUE];
    if (!vly_http_query(r->query, "token", given, sizeof given) || !m->token[0]) {
        vly_monitor_write_page(reply);
        return;
    }
    reply->status = 303; /* so that the token leaves the address bar */
    snprintf(reply->more, sizeof reply->more,
             "Location: /\r\nSet-Cookie: volley_%d=%s; HttpOnly; SameSite=Lax; Path=/\r\n",
             vly_http_port(m->http), m->token);
}

static void answer_runs(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    (void)r;
    json(reply);
    vly_monitor_write_runs(m, &reply->body);
}

static void answer_series(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    const vly_run_log *run = named(m, r, reply);
    if (run)
        vly_monitor_write_series(
            run, number_parameter(r, "points", POINTS, POINTS_LEAST, VLY_CURVE_POINTS),
            &reply->body);
}

static void answer_config(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    const vly_run_log *run = named(m, r, reply);
    if (run) vly_monitor_write_config(run, &reply->body);
}

static void answer_actors(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    const vly_run_log *run = named(m, r, reply);
    if (run) vly_monitor_write_actors(run, &reply->body);
}

static void answer_fleet(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    (void)r;
    json(reply);
    m->fleet_wanted = m->ticks + FLEET_TICKS;
    vly_text_add(&reply->body, "%s", vly_fleet_view_json(m->fleet));
}

static void answer_frame(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    if (vly_cpu_quota_left(&m->quota) >= VLY_MONITOR_RESERVE_S &&
        vly_shots_png(m->o.shots, number_parameter(r, "i", 0, 0, VLY_SHOTS_MOST), &reply->body)) {
        reply->type = "image/png";
    } else { /* not an error: after the trainer's next update, or when the quota allows one */
        char why[256];
        json(reply);
        vly_shots_why(m->o.shots, why, sizeof why);
        vly_text_add(&reply->body, "{\"pending\":true,\"why\":");
        vly_text_json(&reply->body, why);
        vly_text_add(&reply->body, "}");
    }
}

static void answer_events(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    (void)r;
    reply->type = "text/event-stream";
    reply->stream = true;
    vly_text_add(&reply->body, "retry: 2000\nevent: hello\ndata: {\"instance\":\"%016llx\"}\n\n",
                 (unsigned long long)m->instance);
}

static void answer_metrics(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply) {
    vly_http_stats s;
    vly_text *t = &reply->body;
    (void)r;
    vly_http_get_stats(m->http, &s);
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    vly_prometheus_write(m->runs->v, m->runs->n, t);
    vly_prometheus_one(t, "volley_monitor_requests_total", "counter", "requests answered",
                       (double)s.requests);
    vly_prometheus_one(t, "volley_monitor_refused_total", "counter",
                       "requests refused: malformed, foreign, without the token",
                       (double)s.refused);
    vly_prometheus_one(t, "volley_monitor_accepted_total", "counter", "connections accepted",
                       (double)s.accepted);
    vly_prometheus_one(t, "volley_monitor_evicted_total", "counter",
                       "connections closed to make room for others", (double)s.evicted);
    vly_prometheus_one(t, "volley_monitor_timeouts_total", "counter",
                       "connections closed for being slow", (double)s.timed_out);
    vly_prometheus_one(t, "volley_monitor_received_bytes_total", "counter",
                       "bytes that clients sent", (double)s.bytes_in);
    vly_prometheus_one(t, "volley_monitor_connections", "gauge", "connections open", s.open);
    vly_prometheus_one(t, "volley_monitor_streams", "gauge", "event streams open", s.streams);
    vly_prometheus_one(t, "volley_monitor_cpu_seconds_total", "counter",
                       "processor time of the monitor's thread", vly_cpu_quota_used());
    vly_prometheus_one(t, "volley_monitor_waited_seconds_total", "counter",
                       "time that the monitor's thread slept to stay below its share",
                       m->quota.waited_s);
}

static const struct {
    const char *path;
    void (*answer)(vly_monitor *m, const vly_http_request *r, vly_http_reply *reply);
} routes[] = {
    {"/", answer_page},
    {"/api/runs", answer_runs},
    {"/api/series", answer_series},
    {"/api/config", answer_config},
    {"/api/actors", answer_actors},
    {"/api/fleet", answer_fleet},
    {"/api/frame", answer_frame},
    {"/api/events", answer_events},
    {"/metrics", answer_metrics},
};

void vly_monitor_answer(void *monitor, const vly_http_request *r, vly_http_reply *reply) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].path, r->path) == 0) {
            routes[i].answer(monitor, r, reply);
            return;
        }
    not_found(reply, "there is nothing of that name here");
}
