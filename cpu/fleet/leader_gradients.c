/* Leaders with a parameter server: workers send gradients, or actors send unrolls. */
#include <stdio.h>
#include "common/learn/learner.h"
#include "cpu/fleet/leader_impl.h"

/* Learns from unrolls as they arrive. */
typedef struct {
    vly_leader *l;
    vly_lead_parts run;
    vly_ps_server *server;
    vly_metric metrics[VLY_METRICS_MAX]; /* of the last update */
    int count;
    int64_t lag_updates;
    double lag_sum, lag_max; /* since the last report */
} unroll_learner;

/* ---- book-keeping ---- */

static void add_lag_metrics(unroll_learner *u, vly_metric *m, int *n) {
    for (int i = 0; i < u->count; i++)
        vly_metric_add(m, n, u->metrics[i].name, u->metrics[i].value);
    vly_metric_add(m, n, "dist/lag_mean", u->lag_updates ? u->lag_sum / (double)u->lag_updates : 0);
    vly_metric_add(m, n, "dist/lag_max", u->lag_max);
    vly_metric_add(m, n, "dist/dropped_old", (double)u->run.algo->async.dropped);
    u->lag_sum = u->lag_max = 0, u->lag_updates = 0;
}

/* Both kinds; without unrolls: of gradients. */
typedef struct {
    vly_ps_server *server;
    unroll_learner *unrolls;
} server_scheme;

static vly_status serve_workers(void *arg) {
    return vly_ps_server_serve(((server_scheme *)arg)->server, VLY_LEADER_SERVE_MS);
}

static vly_status stop_server(void *arg) {
    return vly_ps_server_stop(((server_scheme *)arg)->server);
}

static vly_status report_server(void *arg, vly_leader_report *out) {
    server_scheme *s = arg;
    vly_metric *m = out->metrics;
    int *n = &out->n;
    vly_ps_report r;
    vly_ps_server_report(s->server, &r);
    out->counts = (vly_lead_counts){r.steps, r.version};
    out->version = r.version;
    if (s->unrolls) add_lag_metrics(s->unrolls, m, n);
    vly_metric_add(m, n, "dist/staleness_mean", r.staleness_mean);
    vly_metric_add(m, n, "dist/staleness_max", r.staleness_max);
    vly_metric_add(m, n, s->unrolls ? "dist/unrolls" : "dist/gradients", (double)r.gradients);
    vly_metric_add(m, n, "dist/dropped_stale", (double)r.dropped_stale);
    vly_metric_add(m, n, "dist/rejected", (double)r.rejected);
    vly_metric_add(m, n, "dist/lost", (double)r.lost);
    vly_metric_add(m, n, "dist/lost_steps", (double)r.lost_steps);
    vly_metric_add(m, n, "dist/workers", r.workers);
    return VLY_OK;
}

static void report_worker_episode(void *train, double score) {
    vly_lead_episode(train, score);
}

static vly_status start_and_serve(vly_leader *l, vly_ps_server *server, unroll_learner *u) {
    server_scheme s = {server, u};
    const vly_leader_scheme scheme = {.arg = &s,
                                      .serve = serve_workers,
                                      .report = report_server,
                                      .announce_end = stop_server,
                                      .report_ms = VLY_LEADER_SERVE_MS};
    vly_ps_server_on_episode(server, report_worker_episode, l->t);
    vly_status status = vly_leader_start_fleet(l);
    if (status == VLY_OK) status = vly_leader_serve(l, &scheme);
    if (status != VLY_OK) {
        char reason[512];
        snprintf(reason, sizeof reason, "%s", vly_error_text());
        vly_ps_server_stop(server);
        vly_fail(status, "%s", reason);
    }
    vly_ps_server_destroy(server);
    return status;
}

/* ---- gradients ---- */

vly_status vly_leader_lead_gradients(vly_leader *l) {
    const vly_lead_parts run = vly_lead_get_parts(l->t);
    const vly_lead_counts done = vly_lead_get_counts(l->t);
    vly_ps_server *server;
    const vly_ps_policy policy = vly_fleet_policy(l->config);
    if (!run.algo->arena)
        return vly_fail(
            VLY_EUNSUPPORTED,
            "%s has no gradients for a parameter server; use a3c, a2c, ppo, dqn or gorila",
            l->config->run.algo);
    VLY_TRY(vly_ps_server_create(&server, l->store, run.compute, run.queue, &policy,
                                 run.algo->optimizer, run.algo->arena, done.updates, done.steps));
    return start_and_serve(l, server, NULL);
}

/* ---- unrolls ---- */

static vly_status learn_unrolls(unroll_learner *u) {
    const vly_lead_parts *r = &u->run;
    vly_algo *a = r->algo;
    const vly_progress progress = vly_lead_progress(u->l->t);
    VLY_TRY(a->learn(a, r->queue, &progress));
    VLY_TRY(r->compute->queue_sync(r->queue));
    /* VLY_ENUMERIC ends the run before anything is published or saved */
    VLY_TRY(a->metrics(a, u->metrics, &u->count));
    VLY_TRY(a->publish(a, r->queue));
    VLY_TRY(r->compute->queue_sync(r->queue));
    u->lag_sum += a->async.lag_mean, u->lag_updates++;
    if (a->async.lag_max > u->lag_max) u->lag_max = a->async.lag_max;
    vly_lead_learned(u->l->t, a->rows_per_update);
    return vly_ps_server_learned(u->server, a->version);
}

static vly_status receive_unroll(void *arg, const void *unroll, size_t bytes) {
    unroll_learner *u = arg;
    const vly_lead_parts *r = &u->run;
    VLY_TRY(r->algo->receive(r->algo, r->queue, unroll, bytes));
    while (r->algo->collect(r->algo, r->queue)) VLY_TRY(learn_unrolls(u));
    return VLY_OK;
}

vly_status vly_leader_lead_unrolls(vly_leader *l) {
    const vly_ps_policy policy = vly_fleet_policy(l->config);
    unroll_learner u = {.l = l, .run = vly_lead_get_parts(l->t)};
    const vly_lead_parts *r = &u.run;
    if (!r->algo->receive || !r->algo->collect)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s on this schedule does not learn from other processes' unrolls; use "
                        "impala, without --pool.schedule sync",
                        l->config->run.algo);
    VLY_TRY(vly_ps_server_create(&u.server, l->store, r->compute, r->queue, &policy,
                                 r->algo->optimizer, r->algo->arena, r->algo->version,
                                 vly_lead_get_counts(l->t).steps));
    vly_ps_server_on_unroll(u.server, receive_unroll, &u);
    return start_and_serve(l, u.server, &u);
}
