#include "cpu/monitor/prometheus.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/record/metrics.h"

enum { FAMILIES = 1024 };

static const struct {
    const char *name, *help;
    vly_metric_kind kind;
} standard[] = {
#define XX(id, name, kind, help) {name, help, VLY_METRIC_##kind},
    VLY_METRIC_MAP(XX)
#undef XX
};

const char *vly_prometheus_help(const char *metric, bool *counter) {
    *counter = false;
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
        if (strcmp(standard[i].name, metric) == 0)
            return *counter = standard[i].kind == VLY_METRIC_COUNTER, standard[i].help;
    return "";
}

/* "_total" belongs to counters: a gauge of that name is a limit (run/steps_total: the steps
 * planned). */
static void family_name(const char *metric, char *name, size_t bytes, bool *counter) {
    vly_prometheus_help(metric, counter);
    size_t n = (size_t)snprintf(name, bytes, "volley_%s", metric);
    for (char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9')))
            *p = '_';
    const bool total = n > 6 && strcmp(name + n - 6, "_total") == 0;
    if (*counter && !total) snprintf(name + n, bytes - n, "_total");
    if (!*counter && total) snprintf(name + n - 6, bytes - n + 6, "_limit");
}

static void add_value(vly_text *t, double value) {
    if (isnan(value))
        vly_text_add(t, "NaN");
    else if (isinf(value))
        vly_text_add(t, value > 0 ? "+Inf" : "-Inf");
    else
        vly_text_add(t, "%.17g", value);
}

static void add_escaped(vly_text *t, const char *words, bool quotes) {
    int n;
    for (const char *p = words; *p; p += n ? n : 1) {
        n = vly_text_utf8(p);
        if (!n)
            vly_text_bytes(t, "\xef\xbf\xbd", 3); /* U+FFFD */
        else if (*p == '\\')
            vly_text_add(t, "\\\\");
        else if (*p == '\n')
            vly_text_add(t, "\\n");
        else if (*p == '"' && quotes)
            vly_text_add(t, "\\\"");
        else
            vly_text_bytes(t, p, (size_t)n);
    }
}

static void add_labels(vly_text *t, const vly_run_log *r) {
    vly_text_add(t, "{run=\"");
    add_escaped(t, r->name, true);
    vly_text_add(t, "\",env=\"");
    add_escaped(t, r->env, true);
    vly_text_add(t, "\",algo=\"");
    add_escaped(t, r->algo, true);
    vly_text_add(t, "\",seed=\"%lld\"} ", (long long)r->seed);
}

static void add_head(vly_text *t, const char *name, const char *type, const char *help) {
    vly_text_add(t, "# HELP %s ", name);
    add_escaped(t, help, false);
    vly_text_add(t, "\n# TYPE %s %s\n", name, type);
}

void vly_prometheus_one(vly_text *out, const char *name, const char *type, const char *help,
                        double value) {
    add_head(out, name, type, help);
    vly_text_add(out, "%s ", name);
    add_value(out, value);
    vly_text_add(out, "\n");
}

typedef struct {
    char name[96];
    const vly_run_log *run;
    const vly_run_metric *metric;
    bool counter;
} sample;

static int by_family(const void *a, const void *b) {
    const sample *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->run->name, y->run->name);
}

static void add_samples(vly_text *out, const sample *v, int n) {
    for (int i = 0; i < n; i++) {
        bool counter;
        if (i == 0 || strcmp(v[i].name, v[i - 1].name) != 0)
            add_head(out, v[i].name, v[i].counter ? "counter" : "gauge",
                     vly_prometheus_help(v[i].metric->name, &counter));
        else if (v[i].run == v[i - 1].run)
            continue; /* two names that differ only in what Prometheus does not know */
        vly_text_add(out, "%s", v[i].name);
        add_labels(out, v[i].run);
        add_value(out, v[i].metric->last);
        vly_text_add(out, "\n");
    }
}

void vly_prometheus_write(vly_run_log *const *runs, int n, vly_text *out) {
    int count = 0, at = 0;
    for (int i = 0; i < n; i++) count += runs[i]->metric_count;
    sample *v = malloc(((size_t)count + 1) * sizeof *v);
    if (!v) {
        out->failed = true;
        return;
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < runs[i]->metric_count; k++) {
            v[at] = (sample){.run = runs[i], .metric = &runs[i]->metrics[k]};
            family_name(v[at].metric->name, v[at].name, sizeof v[at].name, &v[at].counter);
            at++;
        }
    qsort(v, (size_t)at, sizeof *v, by_family);
    add_samples(out, v, at);
    free(v);
    if (n == 0) return;
    add_head(out, "volley_run_live", "gauge", "1 while a process writes the run");
    for (int i = 0; i < n; i++) {
        vly_text_add(out, "volley_run_live");
        add_labels(out, runs[i]);
        vly_text_add(out, "%d\n", runs[i]->live);
    }
}
