/* scheme_impl.h -- the inside of a distributed run's learner, and what learner and actors must read
 * alike from a configuration.
 *
 *   lead.c         the store, the fleet's life, what every scheme tells the run
 *   workers.c      the workers on this machine: started, watched, started again
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
/* A store that holds back one answer for longer is taken for gone. */
int vly_dist_timeout_ms(const vly_config *config);

typedef struct {
    pid_t pid;
    int rank, restarts;
    int64_t since_ms;
} vly_dist_worker;

struct vly_dist {
    const vly_config *config;
    vly_store_server *redis; /* NULL: somebody else's */
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
    int64_t told_ms;
};

enum {
    VLY_DIST_SERVE_MS = 20,
    VLY_DIST_OWN_RETRY_MS = 300
}; /* the pace of book-keeping beside thousands of messages a second */

__attribute__((format(printf, 2, 3))) void vly_dist_tell(vly_dist *d, const char *format, ...);

/* ---- the store ---- */

/* One of our own that died is started again, and told what only it knew. */
vly_status vly_dist_mend_store(vly_dist *d);
/* A store that does not answer is waited for, and mended when it is our own and dead; VLY_EPEER
 * when that takes too long.
 * *lost_ms: since when, 0: it answers. */
vly_status vly_dist_survive(vly_dist *d, vly_status status, int64_t *lost_ms);
/* The run ends: `tell` says so in the store, again and again while that is away for a moment.
 * Unheard, workers would wait for a learner that is gone. */
vly_status vly_dist_tell_end(vly_dist *d, vly_status (*tell)(void *arg), void *arg);

/* ---- the fleet ---- */

vly_status vly_dist_start_fleet(vly_dist *d);
vly_status vly_dist_beat(vly_dist *d, int64_t version);
vly_status vly_dist_start_worker(vly_dist *d, vly_dist_worker *w);
/* Who has died is started again, our own Redis too; who cannot even start ends the run. may_end: a
 * worker may be done. */
vly_status vly_dist_watch(vly_dist *d, bool may_end);
void vly_dist_end_workers(vly_dist *d);

/* ---- the schemes ---- */

vly_status vly_dist_lead_gradients(vly_dist *d);
vly_status vly_dist_lead_unrolls(vly_dist *d);
vly_status vly_dist_lead_tables(vly_dist *d);
vly_status vly_dist_lead_apex(vly_dist *d);

#endif
