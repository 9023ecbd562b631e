/* scheme_impl.h -- the inside of a distributed run's learner, and the settings that learner and
 * actors derive from the configuration in the same way.
 *
 *   lead.c         the store, start and end of the fleet, common settings
 *   workers.c      processes of workers on this machine: start, watch, restart, end
 *   lead_ps.c      gradients or unrolls through a parameter server
 *   lead_tables.c  tables of several workers
 *   lead_apex.c    experience from shards in the store
 */
#ifndef VLY_CPU_FLEET_SCHEME_IMPL_H
#define VLY_CPU_FLEET_SCHEME_IMPL_H
#include <sys/types.h>
#include "common/base/clock.h"
#include "cpu/fleet/scheme.h"
#include "cpu/fleet/ps.h"
#include "cpu/fleet/tables.h"
#include "cpu/fleet/ps_wire.h"

/* How many workers the learner starts, and among how many a table is divided. */
int vly_dist_workers(const vly_config *config);
vly_ps_policy vly_dist_policy(const vly_config *config);
vly_tab_scheme vly_dist_tables(const vly_config *config);
/* A store that does not answer within this time is treated as lost. */
int vly_dist_timeout_ms(const vly_config *config);

typedef struct {
    pid_t pid;
    int rank, restarts;
    int64_t since_ms;
} vly_dist_worker;

struct vly_dist {
    const vly_config *config;
    vly_store_server *redis; /* started by this run; NULL: run.store names another */
    vly_store *store;
    const char *folder;
    char url[300], shown[300], run[128]; /* shown: without a password */
    int64_t life;
    vly_dist_worker *workers;
    int worker_count, restarts, store_restarts;
    void (*say)(void *arg, const char *text);
    void *arg;
    vly_train *t;
    double *optimum; /* tabular: by value iteration, or NULL */
    int64_t beat_ms;
};

enum {
    VLY_DIST_SERVE_MS = 20, /* between two reports, beside thousands of messages a second */
    VLY_DIST_OWN_RETRY_MS = 300
};

/* A line for a person. */

__attribute__((format(printf, 2, 3))) void vly_dist_say(vly_dist *d, const char *format, ...);

/* ---- the store ---- */

/* Restarts the run's own Redis if it has died, and writes the configuration to it again. */
vly_status vly_dist_restart_store(vly_dist *d);
/* status of the last operation: VLY_EPEER becomes VLY_OK for dist.patience_s, in which the run's
 * own Redis is restarted; any other status is returned. *lost_ms: when the store was lost; 0: it
 * answers. */
vly_status vly_dist_wait_for_store(vly_dist *d, vly_status status, int64_t *lost_ms);
/* Repeats `announce`, which writes the end of the run to the store, while the store is lost:
 * workers that do not see it would wait for a learner that has ended. */
vly_status vly_dist_announce_end(vly_dist *d, vly_status (*announce)(void *arg), void *arg);

/* ---- the fleet ---- */

vly_status vly_dist_start_fleet(vly_dist *d);
/* The learner's entry among the members of the run. */
vly_status vly_dist_beat(vly_dist *d, int64_t version);
vly_status vly_dist_start_worker(vly_dist *d, vly_dist_worker *w);
/* Restarts workers that have died, and the run's own Redis. VLY_EUNSUPPORTED when a worker cannot
 * start, or died more often than dist.restarts. may_end: a worker that exits with 0 is done. */
vly_status vly_dist_watch(vly_dist *d, bool may_end);
void vly_dist_end_workers(vly_dist *d);

/* ---- the schemes ---- */

vly_status vly_dist_lead_gradients(vly_dist *d);
vly_status vly_dist_lead_unrolls(vly_dist *d);
vly_status vly_dist_lead_tables(vly_dist *d);
vly_status vly_dist_lead_apex(vly_dist *d);

#endif
