/* ps.h -- a parameter server over the store: versioned global weights, updated by any number of
 * workers.
 *
 *   server (the learner's process):
 *     VLY_TRY(vly_ps_server_create(&s, store, compute, queue, &policy, algo->optimizer,
 *         algo->arena, 0, 0));
 *     while (training) VLY_TRY(vly_ps_server_serve(s, 50));   // waits 50 ms for a message
 *   worker (may join and leave at any time):
 *     VLY_TRY(vly_ps_client_create(&c, store, url, run, "w3", &policy));
 *     args.sync = vly_ps_client_sync(c);              // for any algorithm with an arena
 *     vly_ps_client_note(c, steps, returns, count);   // sent with the next push
 *
 * How pushes become weights (vly_ps_update):
 *   SYNC         a barrier: the mean of all living workers' gradients of one version; each worker
 *                waits for the next version
 *   ASYNC        each gradient is applied as it arrives (Gorila, A3C); its worker waits until then.
 *                Its staleness in versions is measured and bounded (older gradients are dropped and
 *                counted) or shortens its step by 1 / (1 + staleness)
 *   COORDINATED  the server collects a number of gradients, from any workers, and applies their
 *                mean; workers do not wait for the new version
 *   OVERLAPPED   as ASYNC, but one gradient is sent, in parts, while the next is computed
 *   FEDAVG       each worker takes K optimizer steps, then the server averages the weights by
 *                sample count; K is fixed, or follows the measured time of a round (adaptive)
 *   UNROLLS      no gradients: actors send unrolls (IMPALA) to a learner in the server's process,
 *                which publishes its weights
 *
 * What a failure loses. A worker: its unsent push. The store: the pushes queued in it, at most
 * `queue_limit`, counted by their sequence numbers. The weights are in the server's memory and are
 * published again. A push that arrives twice is applied once. */
#ifndef VLY_CPU_FLEET_PS_H
#define VLY_CPU_FLEET_PS_H
#include "common/sync/sync.h"
#include "cpu/fleet/store.h"

typedef enum {
    VLY_PS_SYNC,
    VLY_PS_ASYNC,
    VLY_PS_COORDINATED,
    VLY_PS_OVERLAPPED,
    VLY_PS_FEDAVG,
    VLY_PS_UNROLLS
} vly_ps_update;

typedef struct {
    vly_ps_update update;
    int collect;          /* COORDINATED: gradients in a mean; 0: one per living worker */
    int max_staleness;    /* ASYNC, OVERLAPPED: older gradients are dropped; 0: no bound */
    bool weigh_staleness; /* the learning rate is multiplied by 1 / (1 + staleness) */
    int local_steps;      /* FEDAVG: K */
    /* FEDAVG: K is chosen so that an exchange takes a tenth of the time of its K steps */
    bool adaptive;
    /* the most pushes queued in the store, then workers wait; 0: 64, UNROLLS: 4 */
    int queue_limit;
    int patience_ms; /* how long a worker waits for the server; 0: 120000 */
    int ttl_ms;      /* a worker silent for longer counts as dead; 0: 5000 */
    int parts;       /* OVERLAPPED: messages per gradient; 0: 2 */
} vly_ps_policy;

const char *vly_ps_update_name(vly_ps_update update);

/* ---- server ---- */

typedef struct vly_ps_server vly_ps_server;

typedef struct { /* counted since create */
    int64_t version, steps, gradients, dropped_stale, dropped_duplicate, rejected, rounds, episodes;
    int64_t lost, lost_steps;             /* pushes that never arrived, and their agent steps */
    double staleness_mean, staleness_max; /* of the gradients applied since the last report */
    int workers;                          /* those heard of within ttl_ms */
    double return_mean_100;               /* NAN before the first episode */
    int returns;                          /* episodes in that mean, at most 100 */
} vly_ps_report;

/* params: the master copy with its moments, in device memory: an algorithm's arena or the
 * caller's own; borrowed. It is published at once as `version` after `steps` agent steps: 0, or
 * the values at which a resumed run continues. */
vly_status vly_ps_server_create(vly_ps_server **out, vly_store *store, vly_compute *c, vly_queue *q,
                                const vly_ps_policy *policy, const vly_optimizer *optimizer,
                                const vly_params *params, int64_t version, int64_t steps);
void vly_ps_server_destroy(vly_ps_server *s);
/* Waits at most wait_ms for a message and handles it; makes at most one update. */
vly_status vly_ps_server_serve(vly_ps_server *s, int wait_ms);
void vly_ps_server_report(vly_ps_server *s, vly_ps_report *out);
/* Publishes the end of the run and wakes all workers. */
vly_status vly_ps_server_stop(vly_ps_server *s);
/* UNROLLS: called for each unroll, which is valid during the call. VLY_ECORRUPT counts it as
 * rejected; serve returns any other error. */
void vly_ps_server_on_unroll(vly_ps_server *s,
                             vly_status (*fn)(void *arg, const void *unroll, size_t bytes),
                             void *arg);
/* UNROLLS: call after each update. Publishes the weights, using at most a fifth of the
 * time for it. */
vly_status vly_ps_server_learned(vly_ps_server *s, int64_t version);
/* Called for every episode that a worker reports. */
void vly_ps_server_on_episode(vly_ps_server *s, void (*fn)(void *arg, double score), void *arg);

/* ---- worker ---- */

typedef struct vly_ps_client vly_ps_client;

/* `store` is borrowed and used only by the caller's thread. url: OVERLAPPED opens a second
 * connection for its sender. */
vly_status vly_ps_client_create(vly_ps_client **out, vly_store *store, const char *url,
                                const char *run, const char *worker, const vly_ps_policy *policy);
void vly_ps_client_destroy(vly_ps_client *c);
vly_sync *vly_ps_client_sync(vly_ps_client *c);
/* Adds agent steps, and returns of episodes that ended, since the last call. */
void vly_ps_client_note(vly_ps_client *c, int64_t steps, const double *returns, int count);
/* Agent steps of the fleet at the newest version seen. */
int64_t vly_ps_client_steps(const vly_ps_client *c);
/* True once the server has published the end of the run. */
bool vly_ps_client_stopped(const vly_ps_client *c);

#endif
