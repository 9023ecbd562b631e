#include "common/record/metrics.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/record/tfevents.h"

enum { NAME = 64, HELP = 128, LINE = 48 << 10 };

typedef struct {
    char name[NAME], help[HELP];
    vly_metric_kind kind;
    bool set, changed;      /* changed: since the last record */
    double value, min, max; /* series: of the last closed interval */
    double sum, low, high;  /* series: of the open interval */
    int64_t open, count;
    int64_t total; /* counters */
} metric;

struct vly_metrics {
    pthread_mutex_t lock;
    atomic_int n;
    metric v[VLY_M_MAX];
    struct timespec start;
    int jsonl;
    char jsonl_path[1400];
    vly_tfevents *events;
    char line[LINE];
    const char *names[VLY_M_MAX];
    double values[VLY_M_MAX];
    bool complained;
};

static const struct {
    const char *name;
    vly_metric_kind kind;
    const char *help;
} standard[VLY_M_STANDARD] = {
#define XX(id, name, kind, help) {name, VLY_METRIC_##kind, help},
    VLY_METRIC_MAP(XX)
#undef XX
};

vly_status vly_metrics_create(vly_metrics **out) {
    vly_metrics *m = calloc(1, sizeof *m);
    if (!m) return vly_fail(VLY_ENOMEM, "no memory for the metrics");
    pthread_mutex_init(&m->lock, NULL);
    clock_gettime(CLOCK_MONOTONIC, &m->start);
    m->jsonl = -1;
    for (int i = 0; i < VLY_M_STANDARD; i++)
        vly_metrics_add(m, standard[i].name, standard[i].kind, standard[i].help);
    return *out = m, VLY_OK;
}

void vly_metrics_destroy(vly_metrics *m) {
    if (!m) return;
    if (m->jsonl >= 0) close(m->jsonl);
    vly_tfevents_close(m->events);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* Names never move or vanish, so looking needs no lock. */
static int metrics_find(vly_metrics *m, const char *name) {
    int n = atomic_load_explicit(&m->n, memory_order_acquire);
    for (int i = 0; i < n; i++)
        if (!strcmp(m->v[i].name, name)) return i;
    return -1;
}

int vly_metrics_add(vly_metrics *m, const char *name, vly_metric_kind kind, const char *help) {
    int id = metrics_find(m, name);
    if (id >= 0) return id;
    pthread_mutex_lock(&m->lock);
    id = metrics_find(m, name); /* another thread may have been first */
    int n = atomic_load(&m->n);
    if (id < 0 && n < VLY_M_MAX && strlen(name) < NAME) {
        metric *v = &m->v[id = n];
        snprintf(v->name, NAME, "%s", name);
        snprintf(v->help, HELP, "%s", help ? help : "");
        v->kind = kind;
        atomic_store_explicit(&m->n, n + 1, memory_order_release);
    }
    pthread_mutex_unlock(&m->lock);
    return id;
}

static metric *metrics_begin(vly_metrics *m, int id) {
    if (id < 0 || id >= atomic_load_explicit(&m->n, memory_order_acquire)) return NULL;
    pthread_mutex_lock(&m->lock);
    m->v[id].set = m->v[id].changed = true;
    return &m->v[id];
}

void vly_metrics_count(vly_metrics *m, int id, int64_t n) {
    metric *v = metrics_begin(m, id);
    if (!v) return;
    v->total += n;
    pthread_mutex_unlock(&m->lock);
}

void vly_metrics_set(vly_metrics *m, int id, double value) {
    metric *v = metrics_begin(m, id);
    if (!v) return;
    v->value = value;
    pthread_mutex_unlock(&m->lock);
}

void vly_metrics_observe(vly_metrics *m, int id, double value) {
    metric *v = metrics_begin(m, id);
    if (!v) return;
    v->low = !v->open || value < v->low ? value : v->low;
    v->high = !v->open || value > v->high ? value : v->high;
    v->sum = v->open ? v->sum + value : value;
    v->open++, v->count++;
    pthread_mutex_unlock(&m->lock);
}

void vly_metrics_set_by_name(vly_metrics *m, const char *name, double value) {
    vly_metrics_set(m, vly_metrics_add(m, name, VLY_METRIC_GAUGE, ""), value);
}

int vly_metrics_count_of(const vly_metrics *m) {
    return atomic_load_explicit(&((vly_metrics *)m)->n, memory_order_acquire);
}

vly_metric_value vly_metrics_get(vly_metrics *m, int id) {
    if (id < 0 || id >= vly_metrics_count_of(m)) return (vly_metric_value){.name = "", .help = ""};
    pthread_mutex_lock(&m->lock);
    const metric *v = &m->v[id];
    vly_metric_value out = {.name = v->name,
                            .help = v->help,
                            .kind = v->kind,
                            .set = v->set,
                            .value = v->value,
                            .min = v->min,
                            .max = v->max,
                            .count = v->count};
    if (v->kind == VLY_METRIC_COUNTER) out.value = (double)v->total;
    if (v->kind == VLY_METRIC_SERIES && v->count == v->open && v->open) /* nothing was recorded yet
                                                                         */
        out.value = v->sum / (double)v->open, out.min = v->low, out.max = v->high;
    pthread_mutex_unlock(&m->lock);
    return out;
}

double vly_metrics_seconds(const vly_metrics *m) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - m->start.tv_sec) + 1e-9 * (double)(now.tv_nsec - m->start.tv_nsec);
}

/* ---- sinks ---- */

/* {"step":N, ...: the number, or -1 when the line is not one of ours. */
static int64_t line_step(const char *line) {
    static const char start[] = "{\"step\":";
    if (strncmp(line, start, sizeof start - 1)) return -1;
    char *end;
    int64_t step = strtoll(line + sizeof start - 1, &end, 10);
    return *end == ',' || *end == '}' ? step : -1;
}

/* Where the first line begins that is later than `step`, or is cut off. Of a line its beginning is kept. */
static size_t keep_until(FILE *in, int64_t step) {
    char head[64];
    size_t n = 0, at = 0, keep = 0;
    for (int c; (c = getc_unlocked(in)) != EOF; n = c == '\n' ? 0 : n + 1) {
        at++;
        if (n < sizeof head) head[n] = (char)c;
        if (n == LINE) break; /* none of ours is as long */
        if (c != '\n') continue;
        head[n < sizeof head ? n : sizeof head - 1] = '\0';
        if (line_step(head) < 0 || line_step(head) > step) break;
        keep = at;
    }
    return keep;
}

vly_status vly_metrics_open_jsonl(vly_metrics *m, const char *path, int64_t resumed) {
    size_t keep = 0;
    vly_status status = VLY_OK;
    if (resumed >= 0 && access(path, F_OK) == 0) {
        FILE *in = vly_file_open(path, &status);
        if (!in) return status;
        keep = keep_until(in, resumed);
        fclose(in);
    }
    snprintf(m->jsonl_path, sizeof m->jsonl_path, "%s", path);
    if (m->jsonl >= 0) close(m->jsonl);
    m->jsonl = vly_file_open_own(path, O_WRONLY, &status);
    if (m->jsonl < 0) return status;
    if (ftruncate(m->jsonl, (off_t)keep) || lseek(m->jsonl, (off_t)keep, SEEK_SET) < 0)
        return vly_fail(VLY_EIO, "cannot write %s: %s", path, strerror(errno));
    return VLY_OK;
}

vly_status vly_metrics_open_tensorboard(vly_metrics *m, const char *folder, int64_t resumed) {
    vly_tfevents_close(m->events);
    m->events = NULL;
    return vly_tfevents_open(&m->events, folder, resumed);
}

/* Closes intervals and gathers what changed; returns how many. */
static int metrics_gather(vly_metrics *m) {
    int n = vly_metrics_count_of(m), out = 0;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < n; i++) {
        metric *v = &m->v[i];
        if (!v->changed) continue;
        v->changed = false;
        if (v->kind == VLY_METRIC_SERIES) {
            v->value = v->sum / (double)v->open, v->min = v->low, v->max = v->high;
            v->open = 0;
        }
        m->names[out] = v->name;
        m->values[out++] = v->kind == VLY_METRIC_COUNTER ? (double)v->total : v->value;
    }
    pthread_mutex_unlock(&m->lock);
    return out;
}

static vly_status metrics_write_line(vly_metrics *m, int64_t steps, int n) {
    size_t used = (size_t)snprintf(m->line, LINE, "{\"step\":%lld,\"seconds\":%.3f",
                                   (long long)steps, vly_metrics_seconds(m));
    for (int i = 0; i < n && used + NAME * 2 + 64 < LINE; i++) {
        used += (size_t)snprintf(m->line + used, LINE - used, ",\"");
        for (const char *p = m->names[i]; *p; p++) {
            if (*p == '"' || *p == '\\') m->line[used++] = '\\';
            m->line[used++] = *p;
        }
        if (isfinite(m->values[i]) && m->values[i] == floor(m->values[i]) &&
            fabs(m->values[i]) < 1e15)
            used += (size_t)snprintf(m->line + used, LINE - used, "\":%.0f", m->values[i]);
        else if (isfinite(m->values[i]))
            used += (size_t)snprintf(m->line + used, LINE - used, "\":%.9g", m->values[i]);
        else
            used += (size_t)snprintf(m->line + used, LINE - used, "\":null");
    }
    used += (size_t)snprintf(m->line + used, LINE - used, "}\n");
    off_t before = lseek(m->jsonl, 0, SEEK_CUR);
    vly_status status = vly_file_write(m->jsonl, m->line, used, m->jsonl_path);
    if (status != VLY_OK && before >= 0 &&
        (ftruncate(m->jsonl, before) || lseek(m->jsonl, before, SEEK_SET) < 0)) {
        close(m->jsonl); /* half a line that cannot be taken back: no more lines */
        m->jsonl = -1;
    }
    return status;
}

vly_status vly_metrics_record(vly_metrics *m, int64_t steps) {
    int n = metrics_gather(m);
    vly_status line = m->jsonl >= 0 ? metrics_write_line(m, steps, n) : VLY_OK;
    vly_status event = m->events && n
                           ? vly_tfevents_scalars(m->events, steps, m->names, m->values, n)
                           : VLY_OK;
    vly_status status = line != VLY_OK ? line : event;
    if (status == VLY_OK || m->complained) return VLY_OK;
    m->complained = true;
    return status;
}
