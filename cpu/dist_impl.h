/* dist_impl.h -- the inside of a distributed run: what learner and actors must read alike from a configuration, and what
 * leaders of every kind share (cpu/dist_lead*.c). */
#ifndef VLY_CPU_DIST_IMPL_H
#define VLY_CPU_DIST_IMPL_H
#include <sys/types.h>
#include "cpu/dist.h"
#include "cpu/dist_ps.h"
#include "cpu/dist_tabular.h"
#include "cpu/dist_wire.h"

/* How many workers the learner starts, and among how many a table is divided. */
int vly_dist_workers(const vly_config *config);
vly_ps_policy vly_dist_policy(const vly_config *config);
vly_tab_scheme vly_dist_tables(const vly_config *config);

/* ---- the leader ---- */

enum { VLY_DIST_SERVE_MS = 20, VLY_DIST_OWN_RETRY_MS = 300 };

typedef struct { /* a process on this machine */
    pid_t pid;
    int rank, restarts;
    int64_t since_ms;
} vly_dist_worker;

struct vly_dist {
    const vly_config *config;
    vly_store_server *redis; /* NULL: somebody else's */
    vly_store *store;
    const char *folder;
    char url[300], run[128];
    vly_dist_worker *workers;
    int worker_count, restarts, died;
    void (*say)(void *arg, const char *text);
    void *arg;
    vly_train *t;
    double *optimum;         /* tabular: by value iteration, or NULL */
    int64_t told_ms;
};

/* A line for a person. */
void vly_dist_tell(vly_dist *d, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* Publishes the configuration and starts the workers of this machine. */
vly_status vly_dist_start_fleet(vly_dist *d);
/* Who has died is started again, our own Redis too; who cannot even start ends the run. may_end: a worker may be done. */
vly_status vly_dist_watch(vly_dist *d, bool may_end);
/* A store that does not answer: mended when it is our own and dead, given up after a while. *lost_ms: since when, 0: it answers. */
vly_status vly_dist_survive(vly_dist *d, vly_status status, int64_t *lost_ms);
vly_status vly_dist_beat(vly_dist *d, int64_t version);
/* An episode that an actor reports; arg: the vly_dist. */
void vly_dist_heard_episode(void *arg, double score);
/* Numbers out, wishes in; at most every VLY_DIST_SERVE_MS, for thousands of gradients a second may arrive. */
vly_status vly_dist_led(vly_dist *d, int64_t steps, int64_t updates, const vly_metric *metrics, int count);

#endif
