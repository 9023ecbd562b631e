/* Through a parameter server: workers' gradients, or actors' unrolls that are learned from here. */
#include <stdio.h>
#include "cpu/fleet/scheme_impl.h"
#include "cpu/train/train_impl.h"

/* What the learner of unrolls does with each, and what came of it. */
typedef struct {
    vly_dist *d;
    vly_ps_server *server;
    vly_metric metrics[VLY_METRICS_MAX]; /* of the last update */
    int count;
    int64_t lag_updates;
    double lag_sum, lag_max; /* since the last report */
} unroll_learner;

/* ---- book-keeping ---- */

static void add_lag(unroll_learner *l, vly_metric *m, int *n) {
    for (int i = 0; i < l->count && *n < VLY_METRICS_MAX; i++) m[(*n)++] = l->metrics[i];
    vly_dist_add_metric(m, n, "dist/lag_mean",
                        l->lag_updates ? l->lag_sum / (double)l->lag_updates : 0);
    vly_dist_add_metric(m, n, "dist/lag_max", l->lag_max);
    vly_dist_add_metric(m, n, "dist/dropped_old", (double)l->d->t->algo->async.dropped);
    l->lag_sum = l->lag_max = 0, l->lag_updates = 0;
}

static vly_status report(vly_dist *d, vly_ps_server *server, unroll_learner *l, int64_t *lost) {
    vly_ps_report r;
    vly_metric m[VLY_METRICS_MAX];
    int n = 0;
    vly_ps_server_report(server, &r);
    if (vly_now_ms() - d->told_ms > 500) {
        VLY_TRY(vly_dist_survive(d, vly_dist_beat(d, r.version), lost));
        d->told_ms = vly_now_ms();
    }
    if (l) add_lag(l, m, &n);
    vly_dist_add_metric(m, &n, "dist/staleness_mean", r.staleness_mean);
    vly_dist_add_metric(m, &n, "dist/staleness_max", r.staleness_max);
    vly_dist_add_metric(m, &n, l ? "dist/unrolls" : "dist/gradients", (double)r.gradients);
    vly_dist_add_metric(m, &n, "dist/dropped_stale", (double)r.dropped_stale);
    vly_dist_add_metric(m, &n, "dist/rejected", (double)r.rejected);
    vly_dist_add_metric(m, &n, "dist/lost", (double)r.lost);
    vly_dist_add_metric(m, &n, "dist/lost_steps", (double)r.lost_steps);
    vly_dist_add_metric(m, &n, "dist/workers", r.workers);
    vly_dist_add_metric(m, &n, "dist/restarts", d->restarts);
    vly_dist_add_metric(m, &n, "dist/store_restarts", d->store_restarts);
    return vly_dist_led(d, r.steps, r.version, m, n);
}

static vly_status tell_end(void *server) {
    return vly_ps_server_stop(server);
}

static vly_status serve(vly_dist *d, vly_ps_server *server, unroll_learner *l) {
    vly_train *t = d->t;
    int64_t last = 0, lost = 0;
    while (t->stop == VLY_STOP_NONE) {
        const vly_status status = vly_ps_server_serve(server, VLY_DIST_SERVE_MS);
        VLY_TRY(vly_dist_survive(d, status, &lost));
        if (status == VLY_OK) lost = 0;
        vly_train_mark(t, VLY_PHASE_LEARN);
        if (vly_now_ms() - last < VLY_DIST_SERVE_MS) continue;
        last = vly_now_ms();
        VLY_TRY(vly_dist_survive(d, vly_dist_watch(d, false), &lost));
        if (t->o.loop) uv_run(t->o.loop, UV_RUN_NOWAIT);
        VLY_TRY(report(d, server, l, &lost));
        vly_train_mark(t, VLY_PHASE_OTHER);
    }
    return vly_dist_tell_end(d, tell_end, server);
}

static vly_status start_and_serve(vly_dist *d, vly_ps_server *server, unroll_learner *l) {
    vly_ps_server_on_episode(server, vly_dist_heard_episode, d);
    vly_status status = vly_dist_start_fleet(d);
    if (status == VLY_OK) status = serve(d, server, l);
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
    vly_train *t = d->t;
    vly_ps_server *server;
    const vly_ps_policy policy = vly_dist_policy(d->config);
    if (!t->algo->arena)
        return vly_fail(
            VLY_EUNSUPPORTED,
            "%s has no gradients for a parameter server; use a3c, a2c, ppo, dqn or gorila",
            d->config->run.algo);
    t->algo->made = NULL; /* not learn() makes the updates but the server, and they are its version
                           */
    VLY_TRY(vly_ps_server_create(&server, d->store, t->c, t->learn, &policy, t->algo->optimizer,
                                 t->algo->arena, t->counters.updates, t->counters.steps));
    return start_and_serve(d, server, NULL);
}

/* ---- unrolls ---- */

static vly_status learn_once(unroll_learner *l) {
    vly_train *t = l->d->t;
    vly_algo *a = t->algo;
    const vly_progress progress = vly_train_progress(t);
    VLY_TRY(a->learn(a, t->learn, &progress));
    VLY_TRY(t->c->queue_sync(t->learn));
    VLY_TRY(a->metrics(a, l->metrics, &l->count)); /* not finite: that ends the run before anything
                                                      is published or saved */
    VLY_TRY(a->publish(a, t->learn));
    VLY_TRY(t->c->queue_sync(t->learn));
    l->lag_sum += a->async.lag_mean, l->lag_updates++;
    if (a->async.lag_max > l->lag_max) l->lag_max = a->async.lag_max;
    t->rows_learned += (double)a->rows_per_update;
    return vly_ps_server_learned(l->server, a->version);
}

static vly_status heard_unroll(void *arg, const void *unroll, size_t bytes) {
    unroll_learner *l = arg;
    vly_train *t = l->d->t;
    VLY_TRY(t->algo->receive(t->algo, t->learn, unroll, bytes));
    while (t->algo->collect(t->algo, t->learn)) VLY_TRY(learn_once(l));
    return VLY_OK;
}

vly_status vly_dist_lead_unrolls(vly_dist *d) {
    vly_train *t = d->t;
    const vly_ps_policy policy = vly_dist_policy(d->config);
    unroll_learner l = {.d = d};
    if (!t->algo->receive || !t->algo->collect)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s on this schedule does not learn from other processes' unrolls; use "
                        "impala, without --pool.schedule sync",
                        d->config->run.algo);
    VLY_TRY(vly_ps_server_create(&l.server, d->store, t->c, t->learn, &policy, t->algo->optimizer,
                                 t->algo->arena, t->algo->version, t->counters.steps));
    vly_ps_server_on_unroll(l.server, heard_unroll, &l);
    return start_and_serve(d, l.server, &l);
}
