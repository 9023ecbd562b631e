#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/learn/learner.h"
#include "common/learn/tabular.h"
#include "cpu/fleet/leader_impl.h"

static vly_buffer *find_buffer(vly_buffer *list, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    return NULL;
}

/* RMS error over visited pairs only: a state that no policy reaches has no estimate. */
static double table_error(const vly_leader *l, const vly_real *table, const uint32_t *visits,
                          size_t cells, double *largest) {
    double sum = 0;
    size_t n = 0;
    *largest = 0;
    for (size_t i = 0; i < cells; i++) {
        if (visits[i] == 0) continue;
        const double e = fabs((double)table[i] - l->optimum[i]);
        sum += e * e, n++;
        if (e > *largest) *largest = e;
    }
    return n ? sqrt(sum / (double)n) : NAN;
}

typedef struct {
    vly_leader *l;
    vly_tab_hub *hub;
    vly_real *table;
    uint32_t *visits;
    size_t cells;
    bool over; /* all workers have done their steps */
} table_scheme;

static void report_table_episode(void *train, double score) {
    if (isnan(score))
        vly_lead_count_episodes(train, 1);
    else
        vly_lead_episode(train, score);
}

static vly_status serve_tables(void *arg) {
    table_scheme *s = arg;
    if (s->over) vly_lead_finish(s->l->t);
    return vly_tab_hub_serve(s->hub, VLY_LEADER_SERVE_MS);
}

static vly_status stop_hub(void *arg) {
    return vly_tab_hub_stop(((table_scheme *)arg)->hub);
}

static vly_status report_tables(void *arg, vly_leader_report *out) {
    table_scheme *s = arg;
    vly_metric *m = out->metrics;
    int *n = &out->n;
    vly_tab_report r;
    VLY_TRY(vly_tab_hub_table(s->hub, s->table, s->visits));
    vly_tab_hub_report(s->hub, &r);
    out->counts = (vly_lead_counts){r.steps, r.updates};
    out->version = r.merges;
    if (s->l->optimum) {
        double largest;
        vly_metric_add(m, n, "tabular/error_rms",
                       table_error(s->l, s->table, s->visits, s->cells, &largest));
        vly_metric_add(m, n, "tabular/error_max", largest);
    }
    vly_metric_add(m, n, "dist/bytes", (double)(r.sent_bytes + r.received_bytes));
    vly_metric_add(m, n, "dist/transitions_shared", (double)r.transitions_shared);
    vly_metric_add(m, n, "dist/merges", (double)r.merges);
    vly_metric_add(m, n, "dist/workers", r.workers);
    s->over = s->l->worker_count > 0 && r.finished == s->l->worker_count;
    return VLY_OK;
}

vly_status vly_leader_lead_tables(vly_leader *l) {
    const vly_env *env = vly_lead_get_parts(l->t).env;
    vly_buffer list[64];
    vly_tab_hub *hub;
    const int n = vly_train_buffers(l->t, list, 64);
    const vly_buffer *q = find_buffer(list, n, "table.q"),
                     *visits = find_buffer(list, n, "table.visits");
    if (!q || !visits) return vly_fail(VLY_EINVAL, "%s has no table", l->config->run.algo);
    const int states = (int)q->shape[0], actions = (int)q->shape[1];
    const size_t cells = (size_t)states * (size_t)actions;
    if (env->model && env->states == states) {
        l->optimum = malloc(cells * sizeof *l->optimum);
        if (!l->optimum) return vly_fail(VLY_ENOMEM, "leader: out of memory");
        VLY_TRY(vly_tabular_solve(env, (double)l->config->tabular.gamma, l->optimum));
    }
    const vly_tab_options o = {.scheme = vly_fleet_table_scheme(l->config),
                               .world = vly_fleet_workers(l->config),
                               .ttl_ms = (int)(1000 * l->config->dist.ttl_s)};
    VLY_TRY(vly_tab_hub_create(&hub, l->store, &o, states, actions));
    vly_status status = vly_tab_hub_begin(hub, vly_lead_get_counts(l->t).steps > 0,
                                          vly_fleet_table_steps(l->config));
    table_scheme s = {.l = l, .hub = hub, .table = q->data, .visits = visits->data, .cells = cells};
    const vly_leader_scheme scheme = {.arg = &s,
                                      .serve = serve_tables,
                                      .report = report_tables,
                                      .announce_end = stop_hub,
                                      .report_ms = 5 * VLY_LEADER_SERVE_MS,
                                      .workers_end = true};
    vly_tab_hub_on_episode(hub, report_table_episode, l->t);
    if (status == VLY_OK) status = vly_leader_start_fleet(l);
    if (status == VLY_OK) status = vly_leader_serve(l, &scheme);
    if (status == VLY_OK) {
        vly_leader_end_workers(l); /* their final tables count */
        status = vly_tab_hub_table(hub, q->data, visits->data);
    }
    vly_tab_hub_destroy(hub);
    return status;
}
