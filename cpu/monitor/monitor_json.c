/* What the page asks for, as JSON. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "common/base/file.h"
#include "cpu/monitor/monitor_impl.h"
#include "cpu/monitor/prometheus.h"
#include "cpu/machine/system.h"

enum { SPARK = 60, CHECKPOINTS_MOST = 200, JSON_FILE_MOST = 1 << 18 };

/* ---- all runs ---- */

static void add_values(vly_text *t, const vly_run_log *r, bool all) {
    const char *comma = "";
    vly_text_add(t, "{");
    for (int i = 0; i < r->metric_count; i++) {
        const vly_run_metric *m = &r->metrics[i];
        if (!all && strncmp(m->name, "charts/", 7) && strncmp(m->name, "run/", 4)) continue;
        vly_text_add(t, "%s", comma);
        vly_text_json(t, m->name);
        vly_text_add(t, ":");
        vly_text_number(t, m->last);
        comma = ",";
    }
    vly_text_add(t, "}");
}

static void add_spark(vly_text *t, const vly_run_log *r) {
    vly_curve_point points[SPARK];
    const vly_run_metric *m = vly_run_log_metric(r, "charts/episodic_return");
    if (!m) m = vly_run_log_metric(r, "charts/return_mean_100");
    const int n = m ? vly_curve_reduce(&m->curve, SPARK, points) : 0;
    vly_text_add(t, "[");
    for (int i = 0; i < n; i++) {
        vly_text_add(t, i ? "," : "");
        vly_text_number(t, (double)points[i].mean);
    }
    vly_text_add(t, "]");
}

static void add_text(vly_text *t, const char *key, const char *words) {
    vly_text_add(t, ",\"%s\":", key);
    vly_text_json(t, words);
}

static void add_number(vly_text *t, const char *key, double value) {
    vly_text_add(t, ",\"%s\":", key);
    vly_text_number(t, value);
}

static void add_run_json(vly_text *t, const vly_run_log *r) {
    vly_text_add(t, "{\"name\":");
    vly_text_json(t, r->name);
    add_text(t, "env", r->env);
    add_text(t, "algo", r->algo);
    add_text(t, "preset", r->preset);
    add_text(t, "error", r->error);
    add_number(t, "seed", (double)r->seed);
    add_number(t, "steps_planned", (double)r->steps_planned);
    add_number(t, "target", r->until_return);
    add_number(t, "started", (double)r->started);
    add_number(t, "updated", (double)r->updated);
    add_number(t, "step", r->step);
    add_number(t, "seconds", r->seconds);
    add_number(t, "lines", (double)r->lines);
    add_number(t, "bad_lines", (double)r->bad_lines);
    add_number(t, "loaded", r->size > 0 ? (double)r->at / (double)r->size : 1);
    vly_text_add(t, ",\"live\":%s,\"values\":", r->live ? "true" : "false");
    add_values(t, r, false);
    vly_text_add(t, ",\"spark\":");
    add_spark(t, r);
    vly_text_add(t, "}");
}

void vly_monitor_write_runs(const vly_monitor *m, vly_text *out) {
    vly_text_add(out, "{\"instance\":\"%016llx\",\"version\":\"%s\",\"time\":%lld",
                 (unsigned long long)m->instance, vly_system_version(), (long long)time(NULL));
    add_text(out, "folder", m->runs->folder);
    vly_text_add(out, ",\"single\":%s,\"left_out\":%d,\"frames\":[",
                 m->runs->single ? "true" : "false", m->runs->left_out);
    for (int i = 0; i < vly_shots_count(m->o.shots); i++)
        vly_text_add(out, "%s%d", i ? "," : "", vly_shots_actor(m->o.shots, i));
    vly_text_add(out, "],\"runs\":[");
    for (int i = 0; i < m->runs->n; i++) {
        if (i) vly_text_add(out, ",");
        add_run_json(out, m->runs->v[i]);
    }
    vly_text_add(out, "]}");
}

/* ---- one event ---- */

void vly_monitor_write_tick(vly_monitor *m) {
    vly_text *t = &m->message;
    const char *comma = "";
    vly_text_clear(t);
    vly_text_add(
        t,
        "event: tick\ndata: "
        "{\"tick\":%llu,\"instance\":\"%016llx\",\"changes\":%llu,\"time\":%lld,\"runs\":[",
        (unsigned long long)m->ticks, (unsigned long long)m->instance,
        (unsigned long long)m->runs->changes, (long long)time(NULL));
    for (int i = 0; i < m->runs->n; i++) {
        vly_run_log *r = m->runs->v[i];
        if (r->version == r->told || r->at < r->size)
            continue; /* not while its past is being read */
        r->told = r->version;
        vly_text_add(t, "%s{\"name\":", comma);
        vly_text_json(t, r->name);
        vly_text_add(t, ",\"live\":%s", r->live ? "true" : "false");
        add_number(t, "step", r->step);
        add_number(t, "seconds", r->seconds);
        add_number(t, "lines", (double)r->lines);
        vly_text_add(t, ",\"values\":");
        add_values(t, r, true);
        vly_text_add(t, "}");
        comma = ",";
    }
    vly_text_add(t, "]}\n\n");
}

/* ---- the curves of one run ---- */

typedef struct {
    vly_curve_point *v;
    int n, x; /* x: the first series with the same steps */
} reduced;

static bool same_steps(const reduced *a, const reduced *b) {
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (a->v[i].step != b->v[i].step || a->v[i].seconds != b->v[i].seconds) return false;
    return true;
}

typedef enum { STEP, SECONDS, MEAN, MIN, MAX } column;

static void add_column(vly_text *t, const char *key, const reduced *s, column which) {
    vly_text_add(t, "\"%s\":[", key);
    for (int i = 0; i < s->n; i++) {
        const vly_curve_point *p = &s->v[i];
        const double value = which == STEP      ? p->step
                             : which == SECONDS ? p->seconds
                                                : (double)(which == MEAN  ? p->mean
                                                           : which == MIN ? p->min
                                                                          : p->max);
        if (i) vly_text_bytes(t, ",", 1);
        vly_text_number(t, value);
    }
    vly_text_bytes(t, "]", 1);
}

static bool single(const reduced *s) {
    for (int i = 0; i < s->n; i++)
        if (s->v[i].n > 1) return false;
    return true;
}

static void add_series(vly_text *t, const vly_run_metric *m, const reduced *s) {
    bool counter;
    vly_text_json(t, m->name);
    vly_text_add(t, ":{\"x\":%d,\"help\":", s->x);
    vly_text_json(t, vly_prometheus_help(m->name, &counter));
    vly_text_add(t, ",\"last\":");
    vly_text_number(t, m->last);
    vly_text_add(t, ",");
    add_column(t, "mean", s, MEAN);
    if (!single(s)) {
        vly_text_add(t, ",");
        add_column(t, "min", s, MIN);
        vly_text_add(t, ",");
        add_column(t, "max", s, MAX);
    }
    vly_text_add(t, "}");
}

static void add_steps(vly_text *t, const reduced *all, int n) {
    const char *comma = "";
    vly_text_add(t, "},\"x\":{");
    for (int i = 0; i < n; i++) {
        if (all[i].x != i) continue;
        vly_text_add(t, "%s\"%d\":{", comma, i);
        add_column(t, "step", &all[i], STEP);
        vly_text_add(t, ",");
        add_column(t, "seconds", &all[i], SECONDS);
        vly_text_add(t, "}");
        comma = ",";
    }
    vly_text_add(t, "}}");
}

void vly_monitor_write_series(const vly_run_log *r, int points, vly_text *out) {
    reduced all[VLY_RUN_METRICS];
    vly_curve_point *room = malloc(((size_t)r->metric_count * (size_t)points + 1) * sizeof *room);
    if (!room) {
        out->failed = true;
        return;
    }
    vly_text_add(out, "{\"run\":");
    vly_text_json(out, r->name);
    vly_text_add(out, ",\"lines\":%lld,\"series\":{", (long long)r->lines);
    for (int i = 0; i < r->metric_count; i++) {
        all[i].v = room + (size_t)i * (size_t)points;
        all[i].n = vly_curve_reduce(&r->metrics[i].curve, points, all[i].v);
        for (all[i].x = 0; all[i].x < i && !same_steps(&all[all[i].x], &all[i]);) all[i].x++;
        if (i) vly_text_add(out, ",");
        add_series(out, &r->metrics[i], &all[i]);
    }
    add_steps(out, all, r->metric_count);
    free(room);
}

/* ---- the settings of one run ---- */

static void add_options(vly_text *t, const vly_config *c) {
    char value[VLY_CONFIG_TEXT], def[VLY_CONFIG_TEXT];
    int n;
    const vly_option *o = vly_config_options(&n);
    vly_config *plain = malloc(sizeof *plain);
    if (!plain || vly_config_defaults(plain) != VLY_OK) n = 0;
    for (int i = 0; i < n; i++) {
        const bool secret = strcmp(o[i].key, "token") == 0 || strcmp(o[i].key, "store") == 0;
        vly_option_get(c, &o[i], value, sizeof value);
        vly_option_get(plain, &o[i], def, sizeof def);
        vly_text_add(t, "%s[\"%s.%s\",", i ? "," : "", o[i].section, o[i].key);
        vly_text_json(t, secret && value[0] ? "(set)" : value); /* it may hold a password */
        vly_text_add(t, ",");
        vly_text_json(t, def);
        vly_text_add(t, ",");
        vly_text_json(t, o[i].help);
        vly_text_add(t, "]");
    }
    free(plain);
}

/* A file of the run's folder, or null where it is no object. */
static void add_json_file(vly_text *t, const vly_run_log *r, const char *name) {
    char path[VLY_RUN_PATH + 32], *text = NULL;
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/%s", r->path, name);
    json_t *object = vly_file_read(path, JSON_FILE_MOST, &text, &bytes) == VLY_OK
                         ? json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL)
                         : NULL;
    char *words = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
    vly_text_add(t, "%s", words ? words : "null");
    free(words);
    free(text);
    json_decref(object);
}

static void add_checkpoints(vly_text *t, const vly_run_log *r) {
    char path[VLY_RUN_PATH + 300];
    struct stat info;
    int n = 0;
    snprintf(path, sizeof path, "%s/checkpoints", r->path);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && n < CHECKPOINTS_MOST && (e = readdir(dir));) {
        const size_t length = strlen(e->d_name);
        if (length < 13 || strcmp(e->d_name + length - 12, ".safetensors")) continue;
        snprintf(path, sizeof path, "%s/checkpoints/%s", r->path, e->d_name);
        if (stat(path, &info)) continue;
        vly_text_add(t, "%s[", n++ ? "," : "");
        vly_text_json(t, e->d_name);
        vly_text_add(t, ",%lld,%lld]", (long long)info.st_size, (long long)info.st_mtime);
    }
    if (dir) closedir(dir);
}

void vly_monitor_write_config(const vly_run_log *r, vly_text *out) {
    vly_config *c = malloc(sizeof *c);
    vly_text_add(out, "{\"run\":");
    vly_text_json(out, r->name);
    add_text(out, "path", r->path);
    vly_text_add(out, ",\"options\":[");
    if (c && vly_run_log_config(r, c) == VLY_OK) add_options(out, c);
    vly_text_add(out, "],\"system\":");
    add_json_file(out, r, "system.json");
    vly_text_add(out, ",\"checkpoints\":[");
    add_checkpoints(out, r);
    vly_text_add(out, "]}");
    free(c);
}

void vly_monitor_write_actors(const vly_run_log *r, vly_text *out) {
    vly_text_add(out, "{\"run\":");
    vly_text_json(out, r->name);
    vly_text_add(out, ",\"actors\":");
    add_json_file(out, r, "actors.json"); /* cpu/run/actor_list.h */
    vly_text_add(out, "}");
}
