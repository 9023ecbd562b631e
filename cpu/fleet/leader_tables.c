#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/learn/learner.h"
#include "common/learn/tabular.h"
#include "cpu/fleet/leader_impl.h"
#include "cpu/train/lead.h"

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

static vly_status stop_hub(void *hub) {
    return vly_tab_hub_stop(hub);
}

static void report_table_episode(void *train, double score) {
    if (isnan(score))
        vly_lead_count_episodes(train, 1);
    else
        vly_lead_episode(train, score);
}

static vly_status serve_tables(vly_leader *l, vly_tab_hub *hub, vly_real *table, uint32_t *visits,
                               size_t cells) {
    vly_train *t = l->t;
    int64_t last = 0, lost = 0;
    bool over = false;
    while (vly_lead_stop(t) == VLY_STOP_NONE && !over) {
        const vly_status status = vly_tab_hub_serve(hub, VLY_LEADER_SERVE_MS);
        VLY_TRY(vly_leader_wait_for_store(l, status, &lost));
        if (status != VLY_OK) continue;
        lost = 0;
        if (vly_now_ms() - last < 5 * VLY_LEADER_SERVE_MS) continue;
        last = vly_now_ms();
        VLY_TRY(vly_leader_wait_for_store(l, vly_leader_watch(l, true), &lost));
        vly_tab_report r;
        vly_metric m[VLY_METRICS_MAX];
        int n = 0;
        VLY_TRY(vly_tab_hub_table(hub, table, visits));
        vly_tab_hub_report(hub, &r);
        VLY_TRY(vly_leader_wait_for_store(l, vly_leader_beat(l, r.merges), &lost));
        if (l->optimum) {
            double largest;
            vly_metric_add(m, &n, "tabular/error_rms",
                           table_error(l, table, visits, cells, &largest));
            vly_metric_add(m, &n, "tabular/error_max", largest);
        }
        vly_metric_add(m, &n, "dist/bytes", (double)(r.sent_bytes + r.received_bytes));
        vly_metric_add(m, &n, "dist/transitions_shared", (double)r.transitions_shared);
        vly_metric_add(m, &n, "dist/merges", (double)r.merges);
        vly_metric_add(m, &n, "dist/workers", r.workers);
        over = l->worker_count > 0 && r.finished == l->worker_count;
        VLY_TRY(vly_lead_tick(t, &(vly_lead_counts){r.steps, r.updates}, m, n));
    }
    vly_lead_finish(t);
    return vly_leader_announce_end(l, stop_hub, hub);
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
    VLY_TRY(vly_tab_hub_create(&hub, l->store, vly_fleet_table_scheme(l->config),
                               vly_fleet_workers(l->config), states, actions));
    vly_tab_hub_on_episode(hub, report_table_episode, l->t);
    vly_status status = vly_leader_start_fleet(l);
    if (status == VLY_OK) status = serve_tables(l, hub, q->data, visits->data, cells);
    if (status == VLY_OK) {
        vly_leader_end_workers(l); /* their final tables count */
        status = vly_tab_hub_table(hub, q->data, visits->data);
    }
    vly_tab_hub_destroy(hub);
    return status;
}
