#include "cpu/monitor/run_log.h"
#include "common/learn/algo.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/file.h"

enum { PIECE = 256 << 10, FORGET_MOST = 8 };

/* More is nobody's run; sums of them stay finite. */
static const double STEP_MOST = 1e18, SECONDS_MOST = 1e12;

static void file_of(const vly_run_log *r, const char *name, char *path, size_t bytes) {
    snprintf(path, bytes, "%s/%s", r->path, name);
}

vly_status vly_run_log_config(const vly_run_log *r, vly_config *config) {
    char path[VLY_RUN_PATH + 32];
    file_of(r, "config.yaml", path, sizeof path);
    return vly_algo_restore(config, path);
}

static void read_settings(vly_run_log *r) {
    vly_config *c = malloc(sizeof *c);
    r->error[0] = '\0';
    if (!c || vly_run_log_config(r, c) != VLY_OK) {
        snprintf(r->error, sizeof r->error, "%.250s", c ? vly_error_text() : "out of memory");
    } else {
        snprintf(r->env, sizeof r->env, "%s", c->run.env);
        snprintf(r->algo, sizeof r->algo, "%s", c->run.algo);
        snprintf(r->preset, sizeof r->preset, "%s", c->run.preset);
        snprintf(r->store, sizeof r->store, "%s", c->run.store);
        r->seed = c->run.seed, r->steps_planned = c->run.steps,
        r->until_return = (double)c->run.until_return;
    }
    free(c);
    r->version++;
}

vly_status vly_run_log_open(vly_run_log **out, const char *folder, const char *name) {
    vly_run_log *r = calloc(1, sizeof *r);
    if (!r) return vly_fail(VLY_ENOMEM, "no memory for the run %s", name);
    snprintf(r->name, sizeof r->name, "%s", name);
    const int n = snprintf(r->path, sizeof r->path, "%s%s%s", folder, *name ? "/" : "", name);
    if (n >= (int)sizeof r->path || strlen(name) >= sizeof r->name) {
        free(r);
        return vly_fail(VLY_EINVAL, "the path of the run %.60s is too long", name);
    }
    r->until_return = NAN;
    vly_run_log_look(r);
    return *out = r, VLY_OK;
}

static void forget(vly_run_log *r) {
    for (int i = 0; i < r->metric_count; i++) vly_curve_free(&r->metrics[i].curve);
    r->metric_count = r->next = 0;
    r->lines = r->bad_lines = r->at = 0;
    r->step = r->seconds = r->before_resume = 0;
    r->version++;
}

void vly_run_log_close(vly_run_log *r) {
    if (!r) return;
    forget(r);
    free(r->metrics);
    free(r);
}

/* Of a Redis that was started for the run. */
static void read_store(vly_run_log *r) {
    char path[VLY_RUN_PATH + 32];
    file_of(r, "redis/url", path, sizeof path);
    vly_status status;
    FILE *f = vly_file_open(path, &status);
    if (!f) return;
    if (!fgets(r->store, sizeof r->store, f)) r->store[0] = '\0';
    r->store[strcspn(r->store, "\n")] = '\0';
    fclose(f);
}

void vly_run_log_look(vly_run_log *r) {
    char path[VLY_RUN_PATH + 32];
    struct stat info;
    file_of(r, "config.yaml", path, sizeof path);
    if (stat(path, &info) == 0 && (int64_t)info.st_mtime != r->config_time) {
        r->config_time = info.st_mtime;
        if (!r->started) r->started = info.st_mtime;
        read_settings(r);
    }
    if (!r->store[0]) read_store(r);
    file_of(r, "metrics.jsonl", path, sizeof path);
    if (stat(path, &info)) return;
    r->updated = info.st_mtime;
    if (info.st_size < r->at) forget(r); /* resumed from before: its later lines are gone */
    r->size = info.st_size;
}

/* ---- lines ---- */

static vly_run_metric *metric(vly_run_log *r, const char *name, size_t n) {
    if (n >= sizeof r->metrics->name) return NULL;
    for (int k = 0; k < r->metric_count; k++) { /* lines name much the same in the same order */
        const int i = (r->next + k) % r->metric_count;
        if (strncmp(r->metrics[i].name, name, n) == 0 && r->metrics[i].name[n] == '\0')
            return r->next = i + 1, &r->metrics[i];
    }
    if (r->metric_count == VLY_RUN_METRICS) return NULL;
    if (r->metric_count == r->metric_room) {
        const int room = r->metric_room ? r->metric_room * 2 : 32;
        vly_run_metric *more = realloc(r->metrics, (size_t)room * sizeof *more);
        if (!more) return NULL;
        r->metrics = more, r->metric_room = room;
    }
    vly_run_metric *m = &r->metrics[r->metric_count++];
    memset(m, 0, sizeof *m);
    memcpy(m->name, name, n);
    if (r->live) vly_curve_reserve(&m->curve); /* a run that is followed takes no more later */
    return m;
}

static void store(vly_run_log *r, const char *name, size_t n, double value) {
    vly_run_metric *m = metric(r, name, n);
    if (!m) return;
    m->last = value;
    vly_curve_add(&m->curve, r->step, r->seconds, value);
}

void vly_run_log_row(vly_run_log *r, double step, double seconds) {
    if (seconds + r->before_resume < r->seconds)
        r->before_resume = r->seconds; /* a resumed run counts anew */
    r->step = step;
    r->seconds = seconds + r->before_resume;
    r->lines++;
    r->version++;
}

void vly_run_log_value(vly_run_log *r, const char *name, double value) {
    store(r, name, strlen(name), value);
}

/* ,"name":value at p: the end of the value, or NULL when it is something else. */
static const char *read_member(const char *p, const char **name, size_t *n, double *value) {
    if (p[0] != ',' || p[1] != '"') return NULL;
    *name = p + 2;
    *n = strcspn(*name, "\"\\\n");
    p = *name + *n;
    if (p[0] != '"' || p[1] != ':') return NULL;
    p += 2;
    if (strncmp(p, "null", 4) == 0) return *value = NAN, p + 4;
    if (*p != '-' && (*p < '0' || *p > '9')) return NULL; /* strtod would take "nan" and blanks */
    char *after;
    *value = strtod(p, &after);
    return after;
}

/* Ends with the newline that was made a 0. */
static bool read_line(vly_run_log *r, const char *line) {
    static const char start[] = "{\"step\":";
    const char *name, *p;
    char *after;
    size_t n;
    double value, seconds;
    if (strncmp(line, start, sizeof start - 1)) return false;
    const double step = strtod(line + sizeof start - 1, &after);
    p = read_member(after, &name, &n, &seconds);
    if (!p || n != 7 || strncmp(name, "seconds", 7)) return false;
    if (!(fabs(step) < STEP_MOST) || !(fabs(seconds) < SECONDS_MOST)) return false;
    vly_run_log_row(r, step, seconds);
    while (*p != '}') {
        if (!(p = read_member(p, &name, &n, &value))) return false;
        store(r, name, n, value);
    }
    return true;
}

static void read_record_lines(vly_run_log *r, char *text, size_t bytes) {
    size_t at = 0;
    for (char *end; (end = memchr(text + at, '\n', bytes - at)); at = (size_t)(end - text) + 1) {
        *end = '\0';
        r->bad_lines += !read_line(r, text + at);
    }
    if (at == 0 && bytes == PIECE) at = bytes, r->bad_lines++; /* no line is that long */
    if (at == 0) r->size = r->at;                              /* its end is still to be written */
    r->at += (int64_t)at;
}

bool vly_run_log_read(vly_run_log *r) {
    char path[VLY_RUN_PATH + 32], piece[PIECE + 1];
    if (r->at >= r->size) return false;
    file_of(r, "metrics.jsonl", path, sizeof path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t n = fd < 0 ? -1 : pread(fd, piece, PIECE, (off_t)r->at);
    if (fd >= 0) close(fd);
    if (n <= 0) return r->size = r->at, false;
    piece[n] = '\0';
    const double before = r->step;
    read_record_lines(r, piece, (size_t)n);
    if (r->step < before && r->forgotten++ < FORGET_MOST) { /* not the lines that were read before:
                                                               from the start */
        const int64_t size = r->size;
        forget(r);
        r->size = size;
    }
    return r->at < r->size;
}

const vly_run_metric *vly_run_log_metric(const vly_run_log *r, const char *name) {
    for (int i = 0; i < r->metric_count; i++)
        if (strcmp(r->metrics[i].name, name) == 0) return &r->metrics[i];
    return NULL;
}

double vly_run_log_last(const vly_run_log *r, const char *name) {
    const vly_run_metric *m = vly_run_log_metric(r, name);
    return m ? m->last : NAN;
}
