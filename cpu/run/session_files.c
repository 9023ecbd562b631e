#include "cpu/run/session_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include "common/base/file.h"
#include "cpu/machine/system.h"

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
    int n = snprintf(s->folder, sizeof s->folder, "runs/%s-%s-%lld-%s", name, s->config.run.algo,
                     (long long)s->config.run.seed, when);
    for (int i = 2; exists(s->folder, "") && i < 1000; i++)
        snprintf(s->folder + n, sizeof s->folder - (size_t)n, "-%d", i);
}

vly_status vly_session_choose_folder(vly_session *s) {
    if (s->config.run.out[0])
        snprintf(s->folder, sizeof s->folder, "%s", s->config.run.out);
    else
        default_folder(s);
    if (exists(s->folder, "config.yaml"))
        return vly_fail(
            VLY_EINVAL,
            "%s holds a run already: `volley resume %s` goes on with it, another --out starts anew",
            s->folder, s->folder);
    return VLY_OK;
}

/* One process writes to a run's folder. */
static vly_status lock_folder(vly_session *s) {
    char path[VLY_PATH];
    snprintf(path, sizeof path, "%s/lock", s->folder);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->lock < 0) return vly_fail(VLY_EIO, "cannot write in %s: %s", s->folder, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB) == 0) return VLY_OK;
    return vly_fail(VLY_EINVAL, "%s is being written by another process: one run at a time",
                    s->folder);
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
    if (!vly_session_is_first(s)) return VLY_OK;
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
    if (s->config.metrics.tensorboard)
        VLY_TRY(vly_metrics_open_tensorboard(s->metrics, s->folder, resumed));
    return VLY_OK;
}

/* A hundredth of each processor, of one at most a tenth: what is left over is enough for a page. */
static double monitor_share(void) {
    return fmin(0.01 * vly_system_processors(), 0.1);
}

static vly_status open_monitor(vly_session *s, const char *token) {
    if (!s->config.run.monitor || !vly_session_is_first(s)) return VLY_OK;
    VLY_TRY(vly_shots_create(&s->shots, &s->env, s->config.run.envs));
    const vly_monitor_options o = {.folder = s->folder,
                                   .bind = s->config.monitor.bind,
                                   .token = token,
                                   .hosts = s->config.monitor.hosts,
                                   .port = s->config.monitor.port,
                                   .metrics = s->config.metrics.jsonl ? NULL : s->metrics,
                                   .shots = s->shots,
                                   .cpu_share = monitor_share()};
    return vly_monitor_start(&s->monitor, &o);
}

/* The folder, what is written there, and who shows it; resumed: the step it goes on from, or -1. */
vly_status vly_session_open_outputs(vly_session *s, int64_t resumed) {
    char token[sizeof s->config.monitor.token];
    memcpy(token, s->config.monitor.token, sizeof token);
    s->config.monitor.token[0] = '\0'; /* the folder may be given to others */
    VLY_TRY(open_folder(s));
    if (resumed >= 0 && vly_session_is_first(s))
        VLY_TRY(vly_checkpoints_drop_after(s->checkpoints, resumed));
    VLY_TRY(open_metrics(s, resumed));
    if (!s->compute->info.is_host)
        s->gpu = vly_gpu_use_open(NULL, vly_gpu_use_index(s->config.run.device));
    return open_monitor(s, token);
}
