/* leader_impl.h -- the parts of the leader, and the settings that the leader and its actors derive
 * from the configuration in the same way.
 *
 *   leader.c             the store, start and end of the fleet, common settings
 *   leader_workers.c     processes of workers on this machine: start, watch, restart, end
 *   leader_gradients.c   gradients or unrolls through a parameter server
 *   leader_tables.c      tables of several workers
 *   leader_experience.c  experience from shards in the store */
#ifndef VLY_CPU_FLEET_LEADER_IMPL_H
#define VLY_CPU_FLEET_LEADER_IMPL_H
#include <sys/types.h>
#include "common/base/clock.h"
#include "cpu/fleet/leader.h"
#include "cpu/fleet/scheme.h"
#include "cpu/fleet/ps.h"
#include "cpu/fleet/tables.h"
#include "cpu/fleet/ps_wire.h"
#include "cpu/train/lead.h"

/* How many workers the learner starts, and among how many a table is divided. */
int vly_fleet_workers(const vly_config *config);
vly_ps_policy vly_fleet_policy(const vly_config *config);
vly_tab_scheme vly_fleet_table_scheme(const vly_config *config);
/* Of each worker: its share of run.steps. */
int64_t vly_fleet_table_steps(const vly_config *config);
/* A store that does not answer within this time is treated as lost. */
int vly_fleet_timeout_ms(const vly_config *config);

typedef struct {
    pid_t pid;
    int rank, restarts;
    int64_t since_ms;
} vly_leader_worker;

struct vly_leader {
    const vly_config *config;
    vly_store_server *redis; /* started by this run; NULL: run.store names another */
    vly_store *store;
    const char *folder;
    char url[300], shown[300], run[128]; /* shown: without a password */
    int64_t life;
    vly_leader_worker *workers;
    int worker_count, restarts, store_restarts;
    void (*say)(void *arg, const char *text);
    void *arg;
    vly_train *t;
    double *optimum; /* tabular: by value iteration, or NULL */
    int64_t beat_ms;
    uint64_t connections; /* reconnects of the store when the configuration was published */
};

enum {
    VLY_LEADER_SERVE_MS = 20, /* beside thousands of messages a second */
    VLY_LEADER_OWN_RETRY_MS = 300
};

/* A line for a person. */
__attribute__((format(printf, 2, 3))) void vly_leader_say(vly_leader *l, const char *format, ...);

/* ---- the store ---- */

/* Restarts the run's own Redis if it has died, and writes the configuration to it again. */
vly_status vly_leader_restart_store(vly_leader *l);
/* status of the last operation: VLY_EPEER becomes VLY_OK for dist.patience_s, in which the run's
 * own Redis is restarted; any other status is returned. *lost_ms: when the store was lost; 0: it
 * answers. */
vly_status vly_leader_wait_for_store(vly_leader *l, vly_status status, int64_t *lost_ms);

/* ---- the fleet ---- */

vly_status vly_leader_start_fleet(vly_leader *l);
/* The learner's entry among the members of the run, twice a second at most. */
vly_status vly_leader_beat(vly_leader *l, int64_t version);
vly_status vly_leader_start_worker(vly_leader *l, vly_leader_worker *w);
/* Restarts workers that have died, and the run's own Redis. VLY_EIO when a worker cannot
 * start, or died more often than dist.restarts. may_end: a worker that exits with 0 is done. */
vly_status vly_leader_watch(vly_leader *l, bool may_end);
void vly_leader_end_workers(vly_leader *l);

/* ---- the schemes ---- */

/* What a report tells: version is the learner's in the store. */
typedef struct {
    vly_lead_counts counts;
    int64_t version;
    vly_metric metrics[VLY_METRICS_MAX];
    int n;
} vly_leader_report;

/* What a scheme does in turn, until the run is over. VLY_EPEER of any of them: the store is lost. */
typedef struct {
    void *arg;
    vly_status (*serve)(void *arg); /* some milliseconds of work, or of waiting for it */
    /* At least report_ms after the last. out->counts are those of now, out->n is 0. */
    vly_status (*report)(void *arg, vly_leader_report *out);
    vly_status (*announce_end)(void *arg); /* to the workers */
    int report_ms;
    bool workers_end; /* one that exits with 0 is done */
} vly_leader_scheme;
/* The one loop of a leader. It ends with announce_end. */
vly_status vly_leader_serve(vly_leader *l, const vly_leader_scheme *scheme);

vly_status vly_leader_lead_gradients(vly_leader *l);
vly_status vly_leader_lead_unrolls(vly_leader *l);
vly_status vly_leader_lead_tables(vly_leader *l);
vly_status vly_leader_lead_experience(vly_leader *l);

#endif
