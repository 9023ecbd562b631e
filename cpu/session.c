#include "cpu/session.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/file.h"
#include "cpu/program/cli.h"
#include "cpu/device.h"
#include "cpu/dist/fleet.h"
#include "cpu/gpu_use.h"
#include "cpu/monitor/monitor.h"
#include "cpu/program/status_line.h"
#include "cpu/system.h"
#include "envs/registry.h"

enum { NOTES = 16 };

struct vly_session {
    vly_config config;
    vly_env env;
    bool env_open, resumed;
    vly_compute *compute;
    vly_fleet *fleet;
    vly_train *train;
    vly_metrics *metrics;
    vly_monitor *monitor;   /* NULL: none */
    vly_gpu_use *gpu;       /* likewise */
    vly_shots *shots;
    vly_status_line *line;
    FILE *people;
    char folder[VLY_PATH - 64], checkpoints[VLY_PATH - 32], device_note[512];
    int lock;

    vly_buffer *buffers; /* what is saved, made once */
    vly_array *tensors;
    int tensor_count;
    vly_note notes[NOTES];
    vly_train *saving;

    double last_record, last_save, save_s, save_s_recorded, cpu_s, wall_recorded;
    double phase_recorded[VLY_PHASES];
    int64_t steps_recorded, updates_recorded, episodes_recorded, restarts_recorded, hung_recorded;
    int64_t steps_saved, steps_at_start;
    double best_return;
    bool save_failed, failed, too_many_restarts;
    char save_words[512], checkpoint[VLY_PATH];
};

const vly_config *vly_session_config(const vly_session *s) { return &s->config; }

/* ---- configuration ---- */

static const char *family_of(const char *given, const char *canonical) {
    const char *dot = strrchr(given, '.');
    if (strchr(given, '/') && dot && !strcmp(dot, ".so")) return "plugin";
    if (!strncmp(canonical, "minatar/", 8)) return "minatar";
    for (int i = 0; vly_env_list(i); i++)
        if (!strcmp(vly_env_list(i)->name, canonical)) return "classic";
    return "atari";
}

/* Opened once with what was given alone: its own name and family choose the preset. */
static vly_status identify(const vly_assignments *given, char *canonical, size_t bytes, const char **family) {
    static _Thread_local vly_config plain;
    VLY_TRY(vly_config_defaults(&plain));
    for (int i = 0; i < given->n; i++) VLY_TRY(vly_config_set(&plain, given->v[i].key, given->v[i].value));
    if (!plain.run.env[0]) return vly_fail(VLY_EINVAL, "which environment? `volley ls envs` lists them");
    vly_env env = {0};
    vly_env_args args = vly_config_env_args(&plain);
    VLY_TRY(vly_env_open(&env, plain.run.env, &args));
    snprintf(canonical, bytes, "%s", env.name);
    *family = family_of(plain.run.env, env.name);
    env.close(&env);
    return VLY_OK;
}

vly_status vly_session_configure(vly_config *config, const vly_assignments *given, vly_env *env) {
    char canonical[64];
    const char *family = "";
    VLY_TRY(identify(given, canonical, sizeof canonical, &family));
    VLY_TRY(vly_config_resolve(config, given, canonical, family));
    vly_env_args args = vly_config_env_args(config);
    return env ? vly_env_open(env, config->run.env, &args) : VLY_OK;
}

/* Of several ranks the first has the folder and the words. */
static bool is_first(const vly_session *s) { return vly_fleet_rank(s->fleet) == 0; }
bool vly_session_is_first(const vly_session *s) { return is_first(s); }

/* ---- folders ---- */

static bool exists(const char *folder, const char *name) {
    char path[VLY_PATH + 64];
    snprintf(path, sizeof path, "%s%s%s", folder, *name ? "/" : "", name);
    return access(path, F_OK) == 0;
}

/* runs/minatar_breakout-ppo-1-20261121-101500 */
static void default_folder(vly_session *s) {
    char name[128], when[32];
    const char *env = s->env.name[0] ? s->env.name : s->config.run.env;
    time_t now = time(NULL);
    struct tm local;
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    snprintf(name, sizeof name, "%.100s", env);
    for (char *p = name; *p; p++)
        if (*p == '/' || *p == ' ') *p = '_';
    int n = snprintf(s->folder, sizeof s->folder, "runs/%s-%s-%lld-%s", name, s->config.run.algo, (long long)s->config.run.seed, when);
    for (int i = 2; exists(s->folder, "") && i < 1000; i++) snprintf(s->folder + n, sizeof s->folder - (size_t)n, "-%d", i);
}

/* One process writes to a run's folder. */
static vly_status lock_folder(vly_session *s) {
    char path[VLY_PATH];
    snprintf(path, sizeof path, "%s/lock", s->folder);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->lock < 0) return vly_fail(VLY_EIO, "cannot write in %s: %s", s->folder, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB) == 0) return VLY_OK;
    return vly_fail(VLY_EINVAL, "%s is being written by another process: one run at a time", s->folder);
}

static vly_status save_text(const vly_session *s, const char *name, const char *text) {
    char path[VLY_PATH];
    snprintf(path, sizeof path, "%s/%s", s->folder, name);
    return vly_file_replace(path, text, strlen(text));
}

static vly_status save_system(const vly_session *s) {
    char host[256] = "", when[40];
    time_t now = time(NULL);
    struct tm utc;
    gethostname(host, sizeof host - 1);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *o = vly_system_json();
    if (!o) return vly_fail(VLY_ENOMEM, "no memory for system.json");
    json_object_set_new(o, "host", json_string(host));
    json_object_set_new(o, "started", json_string(when));
    json_object_set_new(o, "device", json_string(s->compute->info.name));
    json_object_set_new(o, "device_kind", json_string(s->compute->info.kind));
    json_object_set_new(o, "threads", json_integer(s->compute->info.threads));
    char *text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    if (!text) return vly_fail(VLY_ENOMEM, "no memory for system.json");
    vly_status status = save_text(s, "system.json", text);
    free(text);
    return status;
}

static vly_status open_folder(vly_session *s) {
    char path[VLY_PATH];
    if (!is_first(s)) return VLY_OK;
    VLY_TRY(vly_file_make_folder(s->folder));
    VLY_TRY(lock_folder(s));
    snprintf(s->checkpoints, sizeof s->checkpoints, "%s/checkpoints", s->folder);
    VLY_TRY(vly_file_make_folder(s->checkpoints));
    snprintf(path, sizeof path, "%s/config.yaml", s->folder);
    VLY_TRY(vly_config_save(&s->config, path));
    return save_system(s);
}

static vly_status open_metrics(vly_session *s, int64_t resumed) {
    char path[VLY_PATH];
    VLY_TRY(vly_metrics_create(&s->metrics));
    snprintf(path, sizeof path, "%s/metrics.jsonl", s->folder);
    if (s->config.metrics.jsonl) VLY_TRY(vly_metrics_open_jsonl(s->metrics, path, resumed));
    if (s->config.metrics.tensorboard) VLY_TRY(vly_metrics_open_tensorboard(s->metrics, s->folder, resumed));
    return VLY_OK;
}

/* ---- the live page ---- */

/* A hundredth of each processor, of one at most a tenth: what is left over is enough for a page. */
static double monitor_share(void) { return fmin(0.01 * vly_system_processors(), 0.1); }

static vly_status open_monitor(vly_session *s, const char *token) {
    if (!s->config.run.monitor || !is_first(s)) return VLY_OK;
    VLY_TRY(vly_shots_create(&s->shots, &s->env, s->config.run.envs));
    const vly_monitor_options o = {.folder = s->folder, .bind = s->config.monitor.bind, .token = token, .hosts = s->config.monitor.hosts,
                                   .port = s->config.monitor.port, .metrics = s->config.metrics.jsonl ? NULL : s->metrics,
                                   .shots = s->shots, .cpu_share = monitor_share()};
    return vly_monitor_start(&s->monitor, &o);
}

static const void *state_of(void *train, int actor) { return vly_train_state(train, actor); }

/* ---- numbers ---- */

static void observe(void *arg, const vly_episode *episode, int64_t steps) {
    vly_session *s = arg;
    (void)steps;
    vly_metrics_observe(s->metrics, VLY_M_EPISODIC_RETURN, episode->score);
    vly_metrics_observe(s->metrics, VLY_M_EPISODIC_LENGTH, episode->length);
}

static void count_since(vly_metrics *m, int id, int64_t now, int64_t *before) {
    if (now != *before) vly_metrics_count(m, id, now - *before);
    *before = now;
}

/* Shares of the time since the last record; the trainer books saving under `other`. */
static void record_phases(vly_session *s, const vly_train_report *r, double elapsed) {
    static const int ids[VLY_PHASES] = {VLY_M_TIME_STEP, VLY_M_TIME_ACT, VLY_M_TIME_LEARN, VLY_M_TIME_OTHER};
    double saving = s->save_s - s->save_s_recorded;
    for (int i = 0; i < VLY_PHASES; i++) {
        double spent = r->phase_s[i] - s->phase_recorded[i] - (i == VLY_PHASE_OTHER ? saving : 0);
        vly_metrics_set(s->metrics, ids[i], elapsed > 0 ? fmin(fmax(spent / elapsed, 0), 1) : 0);
        s->phase_recorded[i] = r->phase_s[i];
    }
    vly_metrics_set(s->metrics, VLY_M_TIME_SAVE, elapsed > 0 ? fmin(saving / elapsed, 1) : 0);
    s->save_s_recorded = s->save_s;
}

static void record_rates(vly_session *s, const vly_train_report *r, double elapsed) {
    double cpu = vly_system_cpu_seconds();
    vly_metrics_set(s->metrics, VLY_M_SPS, r->steps_per_s);
    vly_metrics_set(s->metrics, VLY_M_FPS, r->steps_per_s * s->env.frames_per_step);
    vly_metrics_set(s->metrics, VLY_M_SPS_LEARN, r->learn_rows_per_s);
    vly_metrics_set(s->metrics, VLY_M_QUEUE_STEP, r->pool.queued + r->pool.running);
    vly_metrics_set(s->metrics, VLY_M_QUEUE_ACT, r->pool.finished);
    if (r->lag_max > 0 || r->ready || r->learning) {
        vly_metrics_set(s->metrics, VLY_M_POLICY_LAG, r->lag_mean);
        vly_metrics_set(s->metrics, VLY_M_QUEUE_LEARN, r->ready);
    }
    vly_metrics_set(s->metrics, VLY_M_MEMORY, (double)vly_system_resident_bytes());
    if (elapsed > 0.01) vly_metrics_set(s->metrics, VLY_M_CPU, (cpu - s->cpu_s) / elapsed);
    s->cpu_s = cpu;
    double busy, memory;
    if (vly_gpu_use_read(s->gpu, &busy, &memory)) {
        vly_metrics_set(s->metrics, VLY_M_GPU, busy);
        vly_metrics_set(s->metrics, VLY_M_GPU_MEMORY, memory);
    }
}

static void record(vly_session *s, const vly_train_report *r) {
    double elapsed = r->wall_s - s->wall_recorded;
    s->wall_recorded = r->wall_s;
    count_since(s->metrics, VLY_M_STEPS, r->total_steps, &s->steps_recorded);
    count_since(s->metrics, VLY_M_UPDATES, r->updates, &s->updates_recorded);
    count_since(s->metrics, VLY_M_EPISODES, r->episodes, &s->episodes_recorded);
    count_since(s->metrics, VLY_M_RESTARTS, r->pool.restarts, &s->restarts_recorded);
    count_since(s->metrics, VLY_M_HUNG, r->pool.hung_total, &s->hung_recorded);
    if (r->window) vly_metrics_set(s->metrics, VLY_M_RETURN_MEAN_100, r->return_mean_100);
    record_rates(s, r, elapsed);
    record_phases(s, r, elapsed);
    for (int i = 0; i < r->metric_count; i++) vly_metrics_set_by_name(s->metrics, r->metrics[i].name, r->metrics[i].value);
    if (vly_metrics_record(s->metrics, r->total_steps) != VLY_OK) vly_status_line_say(s->line, vly_error_text());
    vly_status_line_update(s->line, s->metrics);
}

static bool save_is_due(const vly_session *s, const vly_train_report *r) {
    int64_t every = s->config.checkpoint.every_steps;
    if (every > 0) return r->total_steps / every > s->steps_saved / every;
    return r->wall_s - s->last_save >= (double)s->config.checkpoint.every_s;
}

/* Every every_s, and closer together in the first seconds: a run that is over in one has a curve too. */
static bool record_is_due(const vly_session *s, const vly_train_report *r) {
    const double early = fmax(0.005, 0.05 * r->wall_s), every = (double)s->config.metrics.every_s;
    return s->last_record == 0 || r->wall_s - s->last_record >= fmin(every, early);
}

static int on_update(void *arg, const vly_train_report *r) {
    vly_session *s = arg;
    if (record_is_due(s, r)) {
        s->last_record = r->wall_s;
        record(s, r);
    } else vly_status_line_update(s->line, s->metrics);
    vly_shots_offer(s->shots, state_of, s->train);
    s->too_many_restarts = r->pool.restarts > s->config.pool.restarts;
    return (vly_cli_signal() || s->too_many_restarts ? VLY_TRAIN_STOP : VLY_TRAIN_GO_ON) | (save_is_due(s, r) ? VLY_TRAIN_SAVE : VLY_TRAIN_GO_ON);
}

static void on_warning(void *arg, const char *text) { vly_status_line_say(((vly_session *)arg)->line, text); }

/* ---- saving ---- */

static vly_buffer part_of(const vly_buffer *b, size_t offset, size_t bytes) {
    vly_buffer part = *b;
    part.dtype = VLY_U8, part.ndim = 1, part.shape[0] = (int64_t)bytes;
    part.data = (char *)b->data + offset;
    return part;
}

static vly_status fetch(void *arg, int i, size_t offset, void *to, size_t bytes) {
    vly_session *s = arg;
    vly_buffer part = part_of(&s->buffers[i], offset, bytes);
    return vly_train_read(s->saving, &part, to);
}

static vly_status list_tensors(vly_session *s) {
    int n = vly_train_buffers(s->train, NULL, 0);
    s->buffers = calloc((size_t)n + 1, sizeof *s->buffers);
    s->tensors = calloc((size_t)n + 1, sizeof *s->tensors);
    if (!s->buffers || !s->tensors) return vly_fail(VLY_ENOMEM, "no memory to list %d tensors", n);
    vly_train_buffers(s->train, s->buffers, n);
    for (int i = 0; i < n; i++) {
        const vly_buffer *b = &s->buffers[i];
        if (b->role == VLY_BUFFER_REPLAY && !s->config.checkpoint.replay) continue;
        vly_array *t = &s->tensors[s->tensor_count];
        snprintf(t->name, sizeof t->name, "%s", b->name);
        t->dtype = b->dtype, t->ndim = b->ndim, t->state = true, t->weight = b->role == VLY_BUFFER_WEIGHT;
        memcpy(t->shape, b->shape, sizeof t->shape);
        t->data = b->device ? NULL : b->data;
        s->buffers[s->tensor_count++] = *b;
    }
    return VLY_OK;
}

__attribute__((format(printf, 4, 5))) static void note(vly_session *s, int *n, const char *name, const char *format, ...) {
    vly_note *v = &s->notes[(*n)++];
    va_list args;
    va_start(args, format);
    vsnprintf(v->value, sizeof v->value, format, args);
    va_end(args);
    v->state = name[0] == '*'; /* decides how training goes on */
    snprintf(v->name, sizeof v->name, "%s", name + v->state);
}

static int write_notes(vly_session *s, const vly_train_report *r) {
    int n = 0;
    char when[40];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    note(s, &n, "*env", "%s", s->env.name);
    note(s, &n, "*config", "%016" PRIx64, vly_config_hash(&s->config));
    note(s, &n, "algo", "%s", s->config.run.algo);
    note(s, &n, "seed", "%lld", (long long)s->config.run.seed);
    note(s, &n, "steps", "%lld", (long long)r->total_steps);
    note(s, &n, "updates", "%lld", (long long)r->updates);
    note(s, &n, "episodes", "%lld", (long long)r->episodes);
    note(s, &n, "return_mean_100", "%.9g", r->return_mean_100);
    note(s, &n, "best_return", "%.9g", s->best_return);
    note(s, &n, "time", "%s", when);
    note(s, &n, "commit", "%s", vly_system_commit());
    return n;
}

static double monotonic(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A checkpoint that cannot be written does not end the run: the one before stays, and everybody hears of it. */
static vly_status on_save(void *arg, vly_train *t) {
    vly_session *s = arg;
    double begun = monotonic();
    vly_train_report r;
    vly_train_get_report(t, &r);
    bool best = r.window >= 20 && r.return_mean_100 > s->best_return;
    if (best) s->best_return = r.return_mean_100;
    s->saving = t;
    vly_checkpoint_data data = {.tensors = s->tensors, .tensor_count = s->tensor_count, .notes = s->notes,
                                .note_count = write_notes(s, &r), .fetch = fetch, .arg = s};
    char path[VLY_PATH];
    vly_status status = vly_checkpoints_save(s->checkpoints, r.total_steps, s->config.checkpoint.keep, best, &data, path, NULL);
    s->save_failed = status != VLY_OK;
    if (status == VLY_OK) {
        vly_metrics_count(s->metrics, VLY_M_CHECKPOINTS, 1);
        snprintf(s->checkpoint, sizeof s->checkpoint, "%s", path);
    } else {
        vly_metrics_count(s->metrics, VLY_M_CHECKPOINT_FAILURES, 1);
        snprintf(s->save_words, sizeof s->save_words, "%s", vly_error_text());
        char words[2048];
        snprintf(words, sizeof words, "volley: checkpoint not saved: %s; %s%s", s->save_words, s->checkpoint[0] ? "the one before stays: " : "",
                 s->checkpoint);
        vly_status_line_say(s->line, words);
    }
    double took = monotonic() - begun;
    s->save_s += took;
    s->last_save = r.wall_s + took;
    s->steps_saved = r.total_steps;
    vly_metrics_set(s->metrics, VLY_M_CHECKPOINT_SECONDS, took);
    return VLY_OK;
}

/* ---- restoring ---- */

typedef struct {
    vly_train *train;
    const vly_buffer *buffer;
} restoring;

static vly_status give(void *arg, size_t offset, const void *piece, size_t n) {
    restoring *r = arg;
    vly_buffer part = part_of(r->buffer, offset, n);
    return vly_train_write(r->train, &part, piece);
}

typedef enum { RESTORE_ALL, RESTORE_WEIGHTS, RESTORE_SHARED } restore_kind;

/* SHARED: what a rank other than the first takes over; its environments and random numbers stay its own. */
static bool wanted(const vly_buffer *b, restore_kind kind) {
    switch (kind) {
    case RESTORE_WEIGHTS: return b->role == VLY_BUFFER_WEIGHT;
    case RESTORE_SHARED: return b->role == VLY_BUFFER_WEIGHT || b->role == VLY_BUFFER_OPTIMIZER || !strcmp(b->name, "train.counters");
    default: return true;
    }
}

static vly_status restore(vly_checkpoint *c, vly_train *t, restore_kind kind) {
    int n = vly_train_buffers(t, NULL, 0);
    vly_buffer *list = calloc((size_t)n + 1, sizeof *list);
    if (!list) return vly_fail(VLY_ENOMEM, "no memory to list %d tensors", n);
    vly_train_buffers(t, list, n);
    vly_status status = VLY_OK;
    for (int i = 0; i < n && status == VLY_OK; i++) {
        restoring r = {t, &list[i]};
        if (!wanted(&list[i], kind)) continue;
        status = vly_checkpoint_stream(c, list[i].name, list[i].dtype, vly_buffer_bytes(&list[i]), give, &r);
    }
    free(list);
    return status == VLY_OK ? vly_train_restored(t) : status;
}

vly_status vly_run_restore(vly_checkpoint *c, vly_train *t) { return restore(c, t, RESTORE_WEIGHTS); }

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static void name_bad(void *arg, const char *path, const char *words) {
    (void)path;
    fprintf(arg, "volley: skipped: %s\n", words);
}

static vly_status check_run(const char *run) {
    return access(run, F_OK) ? vly_fail(VLY_ENOTFOUND, "there is no run %s; `volley ls runs` lists them", run) : VLY_OK;
}

vly_status vly_run_open_checkpoint(const char *run, bool best, FILE *people, vly_checkpoint **out) {
    char path[VLY_PATH];
    VLY_TRY(check_run(run));
    if (!is_folder(run)) {
        VLY_TRY(vly_checkpoint_open(out, run));
        vly_status status = vly_checkpoint_verify(*out);
        if (status != VLY_OK) vly_checkpoint_close(*out);
        return status;
    }
    snprintf(path, sizeof path, "%.1200s/checkpoints%s", run, best ? "/best.safetensors" : "");
    if (best) return vly_checkpoint_open(out, path);
    if (!is_folder(path)) return vly_fail(VLY_ENOTFOUND, "%s is not a run: it has no checkpoints", run);
    return vly_checkpoints_open_newest(out, path, name_bad, people);
}

vly_status vly_run_load_config(const char *run, vly_config *config) {
    char path[VLY_PATH];
    VLY_TRY(check_run(run));
    if (is_folder(run)) snprintf(path, sizeof path, "%.1200s/config.yaml", run);
    else { /* RUN/checkpoints/step-N.safetensors */
        snprintf(path, sizeof path, "%.1200s", run);
        char *slash = strrchr(path, '/');
        snprintf(slash ? slash : path, sizeof path - (size_t)(slash ? slash - path : 0), "%s../config.yaml", slash ? "/" : "");
    }
    if (access(path, F_OK)) return vly_fail(VLY_ENOTFOUND, "%s is not a run: there is no %s", run, path);
    return vly_config_restore(config, path);
}

/* ---- beginning and end ---- */

/* The folder, what is written there, and who shows it; resumed: the step it goes on from, or -1. */
static vly_status open_outputs(vly_session *s, int64_t resumed) {
    char token[sizeof s->config.monitor.token];
    memcpy(token, s->config.monitor.token, sizeof token);
    s->config.monitor.token[0] = '\0'; /* the folder may be given to others */
    VLY_TRY(open_folder(s));
    if (resumed >= 0 && is_first(s)) VLY_TRY(vly_checkpoints_drop_after(s->checkpoints, resumed));
    VLY_TRY(open_metrics(s, resumed));
    if (!s->compute->info.is_host) s->gpu = vly_gpu_use_open(NULL, vly_gpu_use_index(s->config.run.device));
    return open_monitor(s, token);
}

static vly_status open_trainer(vly_session *s) {
    VLY_TRY(vly_fleet_open(&s->fleet, &s->config, s->compute, s->folder, on_warning, s));
    vly_train_options o = {.compute = s->compute, .env = &s->env, .config = &s->config, .arg = s, .on_update = on_update,
                                 .on_episode = observe, .on_save = on_save, .on_warning = on_warning};
    if (!is_first(s)) {
        o.on_save = NULL;
        s->config.metrics.jsonl = s->config.metrics.tensorboard = false;
        s->config.metrics.status = VLY_STATUS_NONE;
    }
    vly_fleet_join(s->fleet, &o);
    VLY_TRY(vly_train_create(&s->train, &o));
    return list_tensors(s);
}

static vly_status open_device(vly_session *s) {
    return vly_device_open(&s->compute, s->config.run.device, s->config.run.workers, s->device_note, sizeof s->device_note);
}

static void say_hello(vly_session *s) {
    fprintf(s->people, "%s %s on %s (%s)\n", s->env.name, s->config.run.algo, s->compute->info.kind, s->compute->info.name);
    fprintf(s->people, "run: %s\nsettings (preset %s):\n", s->folder, s->config.run.preset);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return;
    vly_config_print_changes(&s->config, out);
    fclose(out);
    int column = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) { /* several to a line: it fits the screen */
        int n = (int)strlen(line);
        if (column && column + n + 2 > 96) fputc('\n', s->people), column = 0;
        column += fprintf(s->people, "  %s", line);
    }
    if (column) fputc('\n', s->people);
    free(text);
    if (s->monitor) fprintf(s->people, "live page: %s\n", vly_monitor_url(s->monitor));
    fflush(s->people);
}

static vly_status create(vly_session **out, FILE *people) {
    vly_session *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a run");
    s->people = people;
    s->lock = -1;
    s->best_return = -INFINITY;
    return *out = s, VLY_OK;
}

static vly_status start(vly_session *s, const vly_assignments *given) {
    VLY_TRY(vly_session_configure(&s->config, given, &s->env));
    s->env_open = true;
    if (s->config.run.out[0]) snprintf(s->folder, sizeof s->folder, "%s", s->config.run.out);
    else default_folder(s);
    if (exists(s->folder, "config.yaml"))
        return vly_fail(VLY_EINVAL, "%s holds a run already: `volley resume %s` goes on with it, another --out starts anew", s->folder, s->folder);
    VLY_TRY(open_device(s));
    VLY_TRY(open_trainer(s));
    return open_outputs(s, -1);
}

vly_status vly_session_start(vly_session **out, const vly_assignments *given, FILE *people) {
    vly_session *s = NULL;
    VLY_TRY(create(&s, people));
    vly_status status = start(s, given);
    if (status != VLY_OK) return vly_session_close(s), status;
    return *out = s, VLY_OK;
}

/* What may not change between the parts of one run. */
static vly_status override(vly_config *config, const vly_assignments *given) {
    static const char *const fixed[] = {"run.env", "run.algo", "run.preset", "run.out", "run.seed", "run.envs"};
    for (int i = 0; i < given->n; i++) {
        for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++)
            if (!strcmp(given->v[i].key, fixed[k]))
                return vly_fail(VLY_EINVAL, "%s: a run keeps its %s; start another with `volley train`", given->v[i].where, fixed[k] + 4);
        VLY_TRY(vly_config_set(config, given->v[i].key, given->v[i].value));
    }
    return VLY_OK;
}

static vly_status restore_session(vly_session *s, vly_checkpoint *c) {
    int64_t steps;
    const char *env = vly_checkpoint_note_text(c, "env"), *best = vly_checkpoint_note_text(c, "best_return");
    if (env && strcmp(env, s->env.name)) return vly_fail(VLY_EINVAL, "%s is of %s, not of %s", vly_checkpoint_path(c), env, s->env.name);
    VLY_TRY(vly_checkpoint_note_int(c, "steps", &steps));
    VLY_TRY(restore(c, s->train, is_first(s) ? RESTORE_ALL : RESTORE_SHARED));
    if (best) s->best_return = strtod(best, NULL);
    snprintf(s->checkpoint, sizeof s->checkpoint, "%s", vly_checkpoint_path(c));
    s->steps_at_start = s->steps_saved = steps;
    return VLY_OK;
}

static vly_status resume(vly_session *s, const char *run, const vly_assignments *given) {
    vly_checkpoint *c;
    snprintf(s->folder, sizeof s->folder, "%.1200s", run);
    for (size_t n = strlen(s->folder); n > 1 && s->folder[n - 1] == '/'; n--) s->folder[n - 1] = '\0';
    VLY_TRY(vly_run_load_config(run, &s->config));
    if (!is_folder(run)) return vly_fail(VLY_EINVAL, "resume takes a run's folder, not %s", run);
    VLY_TRY(override(&s->config, given));
    vly_env_args args = vly_config_env_args(&s->config);
    VLY_TRY(vly_env_open(&s->env, s->config.run.env, &args));
    s->env_open = true;
    VLY_TRY(vly_run_open_checkpoint(run, false, s->people, &c));
    vly_status status = open_device(s);
    if (status == VLY_OK) status = open_trainer(s);
    if (status == VLY_OK) status = restore_session(s, c);
    vly_checkpoint_close(c);
    VLY_TRY(status);
    return open_outputs(s, s->steps_at_start);
}

vly_status vly_session_resume(vly_session **out, const char *run, const vly_assignments *given, FILE *people) {
    vly_session *s = NULL;
    VLY_TRY(create(&s, people));
    s->resumed = true;
    vly_status status = resume(s, run, given);
    if (status != VLY_OK) return vly_session_close(s), status;
    fprintf(people, "going on from %s\n", s->checkpoint);
    return *out = s, VLY_OK;
}

static void stop_training(void *train) { vly_train_stop(train); }

static void fill_result(vly_session *s, vly_session_result *out) {
    const vly_train_report *r = &out->train.report;
    snprintf(out->folder, sizeof out->folder, "%s", s->folder);
    snprintf(out->checkpoint, sizeof out->checkpoint, "%s", s->checkpoint);
    snprintf(out->words, sizeof out->words, "%s", s->save_words);
    out->steps = r->total_steps, out->updates = r->updates, out->episodes = r->episodes;
    out->return_mean_100 = r->return_mean_100;
    out->wall_s = r->wall_s;
    out->steps_per_s = r->wall_s > 0 ? (double)(r->total_steps - s->steps_at_start) / r->wall_s : 0;
    out->frames_per_s = out->steps_per_s * s->env.frames_per_step;
    out->checkpoint_lost = s->save_failed;
}

vly_status vly_session_run(vly_session *s, vly_session_result *result) {
    char title[96];
    snprintf(title, sizeof title, "%s %s", s->env.name, s->config.run.algo);
    memset(result, 0, sizeof *result);
    if (is_first(s)) say_hello(s);
    if (s->device_note[0] && access("/dev/nvidiactl", F_OK) == 0) /* there is a GPU and we do not use it */
        fprintf(s->people, "on the CPU: %s\n", s->device_note);
    s->line = vly_status_line_create(s->people, s->config.metrics.status, (double)s->config.metrics.plain_s, title);
    vly_metrics_set(s->metrics, VLY_M_STEPS_TOTAL, (double)s->config.run.steps);
    if (!isnan(s->config.run.until_return)) vly_metrics_set(s->metrics, VLY_M_RETURN_TARGET, (double)s->config.run.until_return);
    vly_cli_watch_signals(stop_training, s->train);
    vly_status status = vly_train_run(s->train, &result->train);
    s->failed = status != VLY_OK;
    vly_cli_watch_signals(NULL, NULL);
    if (vly_cli_signal() && status == VLY_OK && result->train.stop == VLY_STOP_NONE) result->train.stop = VLY_STOP_INTERRUPTED;
    if (status == VLY_OK && s->too_many_restarts) {
        result->train.stop = VLY_STOP_FAILED;
        status = vly_fail(VLY_EPEER, "%s failed %lld times and was started again, more than --pool.restarts %d: it is broken",
                          s->config.run.env, (long long)result->train.report.pool.restarts, s->config.pool.restarts);
    }
    char words[1024];
    snprintf(words, sizeof words, "%s", vly_error_text());
    record(s, &result->train.report);
    vly_status_line_end(s->line);
    s->line = NULL;
    fill_result(s, result);
    return status == VLY_OK ? VLY_OK : vly_fail(status, "%s", words);
}

void vly_session_close(vly_session *s) {
    if (!s) return;
    vly_monitor_stop(s->monitor);
    vly_gpu_use_close(s->gpu);
    vly_shots_destroy(s->shots);
    vly_train_destroy(s->train);
    vly_fleet_close(s->fleet, s->failed);
    vly_metrics_destroy(s->metrics);
    vly_status_line_end(s->line);
    if (s->compute) s->compute->destroy(s->compute);
    if (s->env_open) s->env.close(&s->env);
    if (s->lock >= 0) close(s->lock);
    free(s->buffers);
    free(s->tensors);
    free(s);
}
