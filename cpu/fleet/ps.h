/* ps.h -- a parameter server over the store: global weights with versions, gradients from anyone.
 *
 *   server (the learner's process):
 *     VLY_TRY(vly_ps_server_create(&s, store, compute, queue, &policy, algo->optimizer,
 *         algo->arena, 0, 0));
 *     while (training) VLY_TRY(vly_ps_server_serve(s, 50, &report));     // one message, or 50 ms
 *   worker (any number, they come and go):
 *     VLY_TRY(vly_ps_client_create(&c, store, url, run, "w3", &policy));
 *     args.sync = vly_ps_client_sync(c);
 *         // any algorithm of common/learn/algo.h; its size comes with the first broadcast
 *     vly_ps_client_note(c, steps, returns, count);  // goes along with the next gradient
 *
 * How gradients become weights (vly_ps_update):
 *   SYNC         a barrier: the mean over all living workers' gradients of one version; each waits
 *                for the next version
 *   ASYNC        every gradient is applied as it comes (Gorila, A3C); its worker waits for that
 *                alone; its staleness in versions is measured, and bounded (older ones are dropped
 *                and counted) or down-weighted by 1 / (1 + staleness)
 *   COORDINATED  the coordinator collects so many gradients, from whoever, and applies their mean;
 *                nobody waits
 *   OVERLAPPED   as ASYNC, but the push of one gradient, in parts, runs beside the computation of
 *                the next
 *   UNROLLS      no gradients: what was acted (IMPALA), for a learner beside the server; weights
 *                are published when it has learned
 *   FEDAVG       workers take K optimizer steps of their own, then the server averages weights by
 *                sample count; K is fixed, or follows the measured time of a round (adaptive)
 *
 * What is lost when something dies: a worker, its unsent gradient; the store, the gradients queued
 * in it (at most `queue_limit`, counted from the sequence numbers); the weights live in the
 * server's memory and are published again. A push that arrives twice is applied once.
 */
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
    bool weigh_staleness; /* the learning rate times 1 / (1 + staleness) */
    int local_steps;      /* FEDAVG: K */
    bool adaptive; /* FEDAVG: K follows the lag, so that a round costs about a tenth of the work */
    int queue_limit; /* pushes that may wait in the store: back-pressure; 0: 64, UNROLLS: 4 */
    int patience_ms; /* how long a worker waits for a server that does nothing; 0: 120000 */
    int ttl_ms;      /* a worker silent for so long is gone; 0: 5000 */
    int parts;       /* OVERLAPPED: messages per gradient; 0: 2 */
} vly_ps_policy;

const char *vly_ps_update_name(vly_ps_update update);

/* ---- server ---- */

typedef struct vly_ps_server vly_ps_server;

typedef struct { /* since create */
    int64_t version, steps, gradients, dropped_stale, dropped_duplicate, rejected, rounds, episodes;
    int64_t lost, lost_steps;             /* pushes that never came, and the agent steps in them */
    double staleness_mean, staleness_max; /* of the gradients applied since the last report */
    int workers;                          /* heard of within ttl_ms */
    double return_mean_100;               /* NAN before the first episode */
    int returns;                          /* episodes in that mean, at most 100 */
} vly_ps_report;

/* params: the master copy with its moments, of an algorithm's arena or the caller's own (borrowed,
 * device memory); published at once as `version` after `steps` agent steps: 0, or where a resumed
 * run goes on. */
vly_status vly_ps_server_create(vly_ps_server **out, vly_store *store, vly_compute *c, vly_queue *q,
                                const vly_ps_policy *policy, const vly_optimizer *optimizer,
                                const vly_params *params, int64_t version, int64_t steps);
void vly_ps_server_destroy(vly_ps_server *s);
/* Handles what arrives within wait_ms, at most one update. */
vly_status vly_ps_server_serve(vly_ps_server *s, int wait_ms);
void vly_ps_server_report(vly_ps_server *s, vly_ps_report *out);
/* Tells all workers to end. */
vly_status vly_ps_server_stop(vly_ps_server *s);
/* UNROLLS: each one that came, valid during the call; VLY_ECORRUPT counts it as rejected, another
 * error ends serve. */
void vly_ps_server_on_unroll(vly_ps_server *s,
                             vly_status (*fn)(void *arg, const void *unroll, size_t bytes),
                             void *arg);
/* UNROLLS: the learner has changed the weights. They are published when that costs at most a fifth
 * of the time. */
vly_status vly_ps_server_learned(vly_ps_server *s, int64_t version);
/* Called for every episode that a worker reports. */
void vly_ps_server_on_episode(vly_ps_server *s, void (*fn)(void *arg, double score), void *arg);

/* ---- worker ---- */

typedef struct vly_ps_client vly_ps_client;

/* url: OVERLAPPED opens a second connection for its sender. `store` is borrowed, used by the
 * caller's thread alone. */
vly_status vly_ps_client_create(vly_ps_client **out, vly_store *store, const char *url,
                                const char *run, const char *worker, const vly_ps_policy *policy);
void vly_ps_client_destroy(vly_ps_client *c);
vly_sync *vly_ps_client_sync(vly_ps_client *c);
/* Agent steps done and returns of episodes that ended since the last note. */
void vly_ps_client_note(vly_ps_client *c, int64_t steps, const double *returns, int count);
/* Fleet-wide steps at the newest version seen; true once the server has said stop. */
int64_t vly_ps_client_steps(const vly_ps_client *c);
bool vly_ps_client_stopped(const vly_ps_client *c);

#endif
