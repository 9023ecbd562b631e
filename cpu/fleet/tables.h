/* tables.h -- tabular learners that combine their tables through the store, by the schemes of the
 * literature.
 *
 *   worker:  VLY_TRY(vly_tab_create(&t, store, &options));
 *            args.sync = vly_tab_sync(t);                       // common/learn/tabular.h
 *   learner: VLY_TRY(vly_tab_hub_create(&h, store, &options, states, actions));
 *            while (...) VLY_TRY(vly_tab_hub_serve(h, 50));
 *            VLY_TRY(vly_tab_hub_table(h, q, visits));
 *
 *   SHARE        every worker learns from all workers' transitions (Tan 1993)
 *   SHARD_STATE  the state-action pairs are divided among the workers, Q(s,a) = sum_i Q_i(s,a)
 *                [(s,a) in Omega_i]; a transition goes to its owner, the maximum at s' ranges over
 *                the other workers' shards
 *   SHARD_TIME   the same, where a pair belongs to the worker that visited it first
 *   MERGE_*      the hub merges the workers' tables: mean, maximum, or mean weighted by visits
 *   GOSSIP       a worker averages with one random neighbour at a time; there is no centre
 *   ALLREDUCE    all workers average with all others at a barrier */
#ifndef VLY_CPU_FLEET_TABLES_H
#define VLY_CPU_FLEET_TABLES_H
#include "common/sync/sync.h"
#include "cpu/fleet/store.h"

typedef enum {
    VLY_TAB_SHARE,
    VLY_TAB_SHARD_STATE,
    VLY_TAB_SHARD_TIME,
    VLY_TAB_MERGE_MEAN,
    VLY_TAB_MERGE_MAX,
    VLY_TAB_MERGE_VISITS,
    VLY_TAB_GOSSIP,
    VLY_TAB_ALLREDUCE,
    VLY_TAB_SCHEMES
} vly_tab_scheme;
const char *vly_tab_scheme_name(vly_tab_scheme scheme);

typedef struct {
    vly_tab_scheme scheme;
    int rank, world;
    int block;     /* transitions per message; 0: 32 */
    int every;     /* updates between two exchanges; 0: 64 */
    int ttl_ms;    /* of silence after which a rank is gone, and half of what one that stands still
                      is waited for; 0: 5000 */
    uint64_t seed; /* for the choice of neighbours */
} vly_tab_options;

typedef struct vly_tab vly_tab;
/* A rank whose table is in the store goes on from it. */
vly_status vly_tab_create(vly_tab **out, vly_store *store, const vly_tab_options *options);
void vly_tab_destroy(vly_tab *t);
vly_sync *vly_tab_sync(vly_tab *t);
/* Adds agent steps, updates of cells, and returns of episodes that ended, since the last call. */
void vly_tab_note(vly_tab *t, int64_t steps, int64_t updates, const double *returns, int count);
/* Agent steps of this rank, those before it was started again included. */
int64_t vly_tab_steps(const vly_tab *t);
bool vly_tab_stopped(const vly_tab *t);
/* Publishes the final table, marked as finished. */
vly_status vly_tab_finish(vly_tab *t);

/* ---- the learner's side: merges tables, reports the workers' progress ---- */

typedef struct {
    int64_t steps, updates, episodes, merges;
    uint64_t sent_bytes, received_bytes, transitions_shared;
    int workers, finished;
} vly_tab_report;

typedef struct vly_tab_hub vly_tab_hub;
/* Of the options the scheme, the world and ttl_ms. */
vly_status vly_tab_hub_create(vly_tab_hub **out, vly_store *store, const vly_tab_options *options,
                              int states, int actions);
/* Before the workers start. A run that begins removes the tables of an earlier one of its name; in
 * one that goes on, a worker that has done less than `steps` steps is not finished. */
vly_status vly_tab_hub_begin(vly_tab_hub *h, bool resumed, int64_t steps);
void vly_tab_hub_destroy(vly_tab_hub *h);
vly_status vly_tab_hub_serve(vly_tab_hub *h, int wait_ms);
vly_status vly_tab_hub_stop(vly_tab_hub *h);
/* Called for every episode that a worker finished since its last table, oldest first; only the
 * scores of the newest few episodes of each table are known, NAN stands for the others. */
void vly_tab_hub_on_episode(vly_tab_hub *h, void (*fn)(void *arg, double score), void *arg);
/* The fleet's table: merged, assembled from the shards, or the mean. visits may be NULL. */
vly_status vly_tab_hub_table(vly_tab_hub *h, vly_real *table, uint32_t *visits);
void vly_tab_hub_report(const vly_tab_hub *h, vly_tab_report *out);
#endif
