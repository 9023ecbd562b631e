/* monitor.h -- the live page of one run or of a folder of runs, served by a thread of this process.
 *
 *   vly_monitor_options o = {.folder = "runs", .bind = "127.0.0.1", .port = 8265};
 *   VLY_TRY(vly_monitor_start(&m, &o));
 *   puts(vly_monitor_url(m));                  // http://127.0.0.1:8265/
 *   vly_monitor_stop(m);
 *
 * It reads what the run writes (cpu/monitor/run_log.h) and takes nothing from it: no lock, no
 * callback but the picture of some environments, when somebody looks. It has an event loop of its
 * own, so that no client can delay the run's. Beside a trainer its thread has a low priority and a share of processor time that it cannot exceed, whatever clients do
 * (cpu/machine/cpu_quota.h); cpu/monitor/http_guard.h decides which clients are allowed.
 *
 *   /              the page
 *   /api/runs      and /api/series, /api/config, /api/fleet: JSON; /api/frame: PNG
 *   /api/events    server-sent events
 *   /metrics       Prometheus
 */
#ifndef VLY_CPU_MONITOR_H
#define VLY_CPU_MONITOR_H
#include "common/record/metrics.h"
#include "cpu/monitor/shots.h"

typedef struct vly_monitor vly_monitor;

typedef struct {
    const char *folder;               /* of runs, or a run */
    const char *bind, *token, *hosts; /* see cpu/monitor/http_guard.h; hosts: further names,
                                         comma-separated */
    int port;                         /* 0: any that is free */
    const char *store; /* a Redis to look for fleets in, beside those of the runs; "" or NULL: none
                        */
    vly_metrics *metrics; /* of a run that writes no metrics.jsonl; else NULL; borrowed */
    vly_shots *shots;     /* pictures; may be NULL; borrowed */
    double cpu_share;     /* of one processor; 0: no limit */
} vly_monitor_options;

vly_status vly_monitor_start(vly_monitor **out, const vly_monitor_options *options);
/* The same in two steps, for a folder that does not exist yet. VLY_EINVAL: the address cannot be had.
 * metrics: instead of the options'. */
vly_status vly_monitor_bind(vly_monitor **out, const vly_monitor_options *options);
vly_status vly_monitor_run(vly_monitor *m, vly_metrics *metrics);
/* With the token, if there is one: not for logs. */
const char *vly_monitor_url(const vly_monitor *m);
void vly_monitor_stop(vly_monitor *m); /* NULL is fine */
#endif
