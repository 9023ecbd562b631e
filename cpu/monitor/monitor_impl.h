/* monitor_impl.h -- the inside of the monitor, for cpu/monitor/monitor*.c alone. Everything belongs
 * to its thread. */
#ifndef VLY_CPU_MONITOR_IMPL_H
#define VLY_CPU_MONITOR_IMPL_H
#include "cpu/fleet/fleet_view.h"
#include "cpu/monitor/http.h"
#include "cpu/monitor/monitor.h"
#include "cpu/monitor/run_list.h"

/* Of the quota's burst: kept for numbers and pages. Pictures and the reading of finished runs wait
 * for what is above it. */
#define VLY_MONITOR_RESERVE_S 0.25

struct vly_monitor {
    vly_monitor_options o;
    char folder[1300], store[300], token[128];
    char url[512];
    uv_loop_t loop;
    uv_thread_t thread;
    bool runs_loop; /* the thread, which then alone may touch the rest */
    uv_async_t stop;
    uv_timer_t tick;
    uv_idle_t reader; /* runs while there are lines to catch up with */
    vly_http *http;
    vly_cpu_quota quota;
    vly_run_list *runs;
    vly_fleet_view *fleet;
    uint64_t instance, ticks; /* instance: another one after a restart */
    uint64_t fleet_wanted;    /* the tick until which somebody looks at the fleet */
    uint64_t list_told;
    vly_text message; /* of the event that is being sent */
};

/* monitor_api.c */
void vly_monitor_answer(void *monitor, const vly_http_request *request, vly_http_reply *reply);
/* The event of a tick into m->message: runs that have changed since the last. */
void vly_monitor_write_tick(vly_monitor *m);
/* monitor_page.c: the page, with a policy that lets nothing else run. */
void vly_monitor_write_page(vly_http_reply *reply);
/* monitor_json.c */
void vly_monitor_write_runs(const vly_monitor *m, vly_text *out);
void vly_monitor_write_series(const vly_run_log *r, int points, vly_text *out);
void vly_monitor_write_config(const vly_run_log *r, vly_text *out);
/* Who steps the run's environments elsewhere (actors.json), null where nobody does. */
void vly_monitor_write_actors(const vly_run_log *r, vly_text *out);
#endif
