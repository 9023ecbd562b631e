/* Leaders with a parameter server: workers send gradients, or actors send unrolls. */
#include <stdio.h>
#include "common/learn/learner.h"
#include "cpu/fleet/scheme_impl.h"
#include "cpu/train/lead.h"

/* Learns from unrolls as they arrive. */
typedef struct {
    vly_dist *d;
    vly_lead_parts run;
    vly_ps_server *server;
    vly_metric metrics[VLY_METRICS_MAX]; /* of the last update */
    int count;
    int64_t lag_updates;
    double lag_sum, lag_max; /* since the last report */
} unroll_learner;

/* ---- book-keeping ---- */

static void add_lag_metrics(unroll_learner *l, vly_metric *m, int *n) {
    for (int i = 0; i < l->count; i++)
        vly_metric_add(m, n, l->metrics[i].name, l->metrics[i].value);
    vly_metric_add(m, n, "dist/lag_mean", l->lag_updates ? l->lag_sum / (double)l->lag_updates : 0);
    vly_metric_add(m, n, "dist/lag_max", l->lag_max);
    vly_metric_add(m, n, "dist/dropped_old", (double)l->run.algo->async.dropped);
    l->lag_sum = l->lag_max = 0, l->lag_updates = 0;
}

static vly_status report_server(vly_dist *d, vly_ps_server *server, unroll_learner *l,
                                int64_t *lost) {
    vly_ps_report r;
    vly_metric m[VLY_METRICS_MAX];
    int n = 0;
    vly_ps_server_report(server, &r);
    if (vly_now_ms() - d->beat_ms > 500) {
        VLY_TRY(vly_dist_wait_for_store(d, vly_dist_beat(d, r.version), lost));
        d->beat_ms = vly_now_ms();
    }
    if (l) add_lag_metrics(l, m, &n);
    vly_metric_add(m, &n, "dist/staleness_mean", r.staleness_mean);
    vly_metric_add(m, &n, "dist/staleness_max", r.staleness_max);
    vly_metric_add(m, &n, l ? "dist/unrolls" : "dist/gradients", (double)r.gradients);
    vly_metric_add(m, &n, "dist/dropped_stale", (double)r.dropped_stale);
    vly_metric_add(m, &n, "dist/rejected", (double)r.rejected);
    vly_metric_add(m, &n, "dist/lost", (double)r.lost);
    vly_metric_add(m, &n, "dist/lost_steps", (double)r.lost_steps);
    vly_metric_add(m, &n, "dist/workers", r.workers);
    vly_metric_add(m, &n, "dist/restarts", d->restarts);
    vly_metric_add(m, &n, "dist/store_restarts", d->store_restarts);
    return vly_lead_tick(d->t, &(vly_lead_counts){r.steps, r.version}, m, n);
}

static vly_status stop_server(void *server) {
    return vly_ps_server_stop(server);
}

static vly_status serve_workers(vly_dist *d, vly_ps_server *server, unroll_learner *l) {
    vly_train *t = d->t;
    int64_t last = 0, lost = 0;
    while (vly_lead_stop(t) == VLY_STOP_NONE) {
        const vly_status status = vly_ps_server_serve(server, VLY_DIST_SERVE_MS);
        VLY_TRY(vly_dist_wait_for_store(d, status, &lost));
        if (status == VLY_OK) lost = 0;
        vly_lead_mark(t, VLY_PHASE_LEARN);
        if (vly_now_ms() - last < VLY_DIST_SERVE_MS) continue;
        last = vly_now_ms();
        VLY_TRY(vly_dist_wait_for_store(d, vly_dist_watch(d, false), &lost));
        VLY_TRY(report_server(d, server, l, &lost));
        vly_lead_mark(t, VLY_PHASE_OTHER);
    }
    return vly_dist_announce_end(d, stop_server, server);
}

static void on_episode(void *train, double score) {
    vly_lead_episode(train, score);
}

static vly_status start_and_serve(vly_dist *d, vly_ps_server *server, unroll_learner *l) {
    vly_ps_server_on_episode(server, on_episode, d->t);
    vly_status status = vly_dist_start_fleet(d);
    if (status == VLY_OK) status = serve_workers(d, server, l);
    if (status != VLY_OK) {
        char words[512];
        snprintf(words, sizeof words, "%s", vly_error_text());
        vly_ps_server_stop(server);
        vly_fail(status, "%s", words);
    }
    vly_ps_server_destroy(server);
    return status;
}

/* ---- gradients ---- */

vly_status vly_dist_lead_gradients(vly_dist *d) {
    const vly_lead_parts run = vly_lead_get_parts(d->t);
    const vly_lead_counts done = vly_lead_get_counts(d->t);
    vly_ps_server *server;
    const vly_ps_policy policy = vly_dist_policy(d->config);
    if (!run.algo->arena)
        return vly_fail(
            VLY_EUNSUPPORTED,
            "%s has no gradients for a parameter server; use a3c, a2c, ppo, dqn or gorila",
            d->config->run.algo);
    VLY_TRY(vly_ps_server_create(&server, d->store, run.compute, run.queue, &policy,
                                 run.algo->optimizer, run.algo->arena, done.updates, done.steps));
    return start_and_serve(d, server, NULL);
}

/* ---- unrolls ---- */

static vly_status learn_unrolls(unroll_learner *l) {
    const vly_lead_parts *r = &l->run;
    vly_algo *a = r->algo;
    const vly_progress progress = vly_lead_progress(l->d->t);
    VLY_TRY(a->learn(a, r->queue, &progress));
    VLY_TRY(r->compute->queue_sync(r->queue));
    VLY_TRY(a->metrics(a, l->metrics, &l->count)); /* VLY_ENUMERIC ends the run before anything is
                                                      published or saved */
    VLY_TRY(a->publish(a, r->queue));
    VLY_TRY(r->compute->queue_sync(r->queue));
    l->lag_sum += a->async.lag_mean, l->lag_updates++;
    if (a->async.lag_max > l->lag_max) l->lag_max = a->async.lag_max;
    vly_lead_learned(l->d->t, a->rows_per_update);
    return vly_ps_server_learned(l->server, a->version);
}

static vly_status on_unroll(void *arg, const void *unroll, size_t bytes) {
    unroll_learner *l = arg;
    const vly_lead_parts *r = &l->run;
    VLY_TRY(r->algo->receive(r->algo, r->queue, unroll, bytes));
    while (r->algo->collect(r->algo, r->queue)) VLY_TRY(learn_unrolls(l));
    return VLY_OK;
}

vly_status vly_dist_lead_unrolls(vly_dist *d) {
    const vly_ps_policy policy = vly_dist_policy(d->config);
    unroll_learner l = {.d = d, .run = vly_lead_get_parts(d->t)};
    const vly_lead_parts *r = &l.run;
    if (!r->algo->receive || !r->algo->collect)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s on this schedule does not learn from other processes' unrolls; use "
                        "impala, without --pool.schedule sync",
                        d->config->run.algo);
    VLY_TRY(vly_ps_server_create(&l.server, d->store, r->compute, r->queue, &policy,
                                 r->algo->optimizer, r->algo->arena, r->algo->version,
                                 vly_lead_get_counts(d->t).steps));
    vly_ps_server_on_unroll(l.server, on_unroll, &l);
    return start_and_serve(d, l.server, &l);
}
