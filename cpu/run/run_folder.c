#include "cpu/run/run_folder.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/learn/algo.h"
#include "cpu/machine/system.h"
#include "cpu/run/saver.h"
#include "cpu/run/settings.h"

/* ---- to write ---- */

static bool has_file(const char *folder, const char *name) {
    char path[VLY_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* runs/minatar_breakout-ppo-1-20261121-101500 */
static void choose_default(vly_run_folder *f, const vly_config *config, const char *env) {
    char name[128], when[32];
    time_t now = time(NULL);
    struct tm local;
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    snprintf(name, sizeof name, "%.100s", env);
    for (char *p = name; *p; p++)
        if (*p == '/' || *p == ' ') *p = '_';
    snprintf(f->path, sizeof f->path, "runs/%s-%s-%lld-%s", name, config->run.algo,
             (long long)config->run.seed, when);
}

/* By a run that goes on, in this process or another. */
static bool is_locked(const char *folder) {
    char path[VLY_PATH];
    snprintf(path, sizeof path, "%s/lock", folder);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    const bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    if (fd >= 0) close(fd);
    return locked;
}

static vly_status holds_a_run(const vly_run_folder *f) {
    if (vly_run_is_unsaved(f->path))
        return vly_fail(VLY_EINVAL,
                        "%s holds a run that saved no checkpoint: `volley resume %s` starts it "
                        "again, another --out starts anew",
                        f->shown, vly_shell_word(f->shown));
    return vly_fail(
        VLY_EINVAL,
        "%s holds a run already: `volley resume %s` continues it, another --out starts anew",
        f->shown, vly_shell_word(f->shown));
}

vly_status vly_run_folder_choose(vly_run_folder *f, const vly_config *config, const char *env) {
    *f = (vly_run_folder){.lock = -1, .fresh = true, .unclaimed = !config->run.out[0]};
    if (f->unclaimed)
        choose_default(f, config, env);
    else
        snprintf(f->path, sizeof f->path, "%s", config->run.out);
    memcpy(f->shown, f->path, sizeof f->shown);
    if (f->unclaimed || !has_file(f->path, "config.yaml")) return VLY_OK;
    if (is_locked(f->path))
        return vly_fail(VLY_EINVAL, "%s is being written by a run that goes on: give another --out",
                        f->path);
    return holds_a_run(f);
}

/* "a/b/c" to "a/b" */
static void parent_of(const char *path, char *parent, size_t bytes) {
    snprintf(parent, bytes, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash) *slash = '\0';
}

/* mkdir decides between runs that start in the same second. */
vly_status vly_run_folder_claim(vly_run_folder *f) {
    char parent[sizeof f->path];
    const size_t path = strlen(f->path), shown = strlen(f->shown);
    if (!f->unclaimed) return VLY_OK;
    f->unclaimed = false;
    parent_of(f->path, parent, sizeof parent);
    f->made_parent = mkdir(parent, 0755) == 0;
    for (int i = 2; !(f->made = mkdir(f->path, 0755) == 0) && errno == EEXIST && i < 1000; i++) {
        snprintf(f->path + path, sizeof f->path - path, "-%d", i);
        snprintf(f->shown + shown, sizeof f->shown - shown, "-%d", i);
    }
    return f->made ? VLY_OK : vly_file_make_folder(f->path);
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

vly_status vly_run_folder_find(vly_run_folder *f, const char *run) {
    *f = (vly_run_folder){.lock = -1};
    snprintf(f->path, sizeof f->path, "%.1200s", run);
    for (size_t n = strlen(f->path); n > 1 && f->path[n - 1] == '/'; n--) f->path[n - 1] = '\0';
    memcpy(f->shown, f->path, sizeof f->shown);
    return is_folder(run) ? VLY_OK
                          : vly_fail(VLY_EINVAL, "resume takes a run's folder, not %s", run);
}

vly_status vly_run_folder_anchor(vly_run_folder *f) {
    char home[VLY_PATH];
    if (f->path[0] == '/') return VLY_OK;
    if (!getcwd(home, sizeof home))
        return vly_fail(VLY_EIO, "cannot find the working directory: %s", strerror(errno));
    if (strlen(home) + 1 + strlen(f->shown) >= sizeof f->path)
        return vly_fail(VLY_EINVAL, "%s/%s is longer than %zu characters: choose another --out",
                        home, f->shown, sizeof f->path - 1);
    strcpy(f->path, home);
    strcat(strcat(f->path, "/"), f->shown);
    return VLY_OK;
}

static vly_status lock_folder(vly_run_folder *f) {
    char path[VLY_PATH];
    snprintf(path, sizeof path, "%s/lock", f->path);
    vly_status status;
    f->lock = vly_file_open_own(path, O_RDWR, &status);
    if (f->lock < 0) return status;
    if (flock(f->lock, LOCK_EX | LOCK_NB) == 0) return VLY_OK;
    return vly_fail(VLY_EINVAL, "%s is being written by another process: one run at a time",
                    f->shown);
}

static vly_status save_system(const vly_run_folder *f, const vly_compute_info *device) {
    char path[VLY_PATH], host[256] = "", when[40];
    time_t now = time(NULL);
    struct tm utc;
    gethostname(host, sizeof host - 1);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *o = vly_system_json();
    if (!o) return vly_fail(VLY_ENOMEM, "no memory for system.json");
    json_object_set_new(o, "host", json_string(host));
    json_object_set_new(o, "started", json_string(when));
    json_object_set_new(o, "device", json_string(device->name));
    json_object_set_new(o, "device_kind", json_string(device->kind));
    json_object_set_new(o, "threads", json_integer(device->threads));
    char *text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    if (!text) return vly_fail(VLY_ENOMEM, "no memory for system.json");
    snprintf(path, sizeof path, "%s/system.json", f->path);
    vly_status status = vly_file_replace(path, text, strlen(text));
    free(text);
    return status;
}

/* The lock is the folder's own file: another at its path is of another folder. */
bool vly_run_folder_is_lost(const vly_run_folder *f) {
    char path[VLY_PATH];
    struct stat there, ours;
    snprintf(path, sizeof path, "%s/lock", f->path);
    if (f->lock < 0 || fstat(f->lock, &ours)) return false;
    return stat(path, &there) || there.st_ino != ours.st_ino || there.st_dev != ours.st_dev;
}

vly_status vly_run_folder_open(vly_run_folder *f, const vly_config *config,
                               const vly_compute_info *device) {
    char path[VLY_PATH];
    VLY_TRY(vly_file_make_folder(f->path));
    VLY_TRY(lock_folder(f));
    if (f->fresh && has_file(f->path, "config.yaml")) /* of a run that was quicker */
        return holds_a_run(f);
    snprintf(f->checkpoints, sizeof f->checkpoints, "%s/checkpoints", f->path);
    VLY_TRY(vly_file_make_own_folder(f->checkpoints));
    snprintf(path, sizeof path, "%s/config.yaml", f->path);
    VLY_TRY(vly_settings_save(config, path, f->digest));
    f->fresh = f->made = false;
    return save_system(f, device);
}

void vly_run_folder_close(vly_run_folder *f) {
    char parent[sizeof f->path];
    if (f->lock >= 0) close(f->lock);
    f->lock = -1;
    if (!f->made || rmdir(f->path)) return;
    parent_of(f->path, parent, sizeof parent);
    if (f->made_parent) rmdir(parent); /* where another run is in it, it stays */
    f->made = false;
}

/* ---- to read ---- */

static vly_status check_exists(const char *run) {
    return access(run, F_OK)
               ? vly_fail(VLY_ENOTFOUND, "there is no run %s; `volley ls runs` lists them", run)
               : VLY_OK;
}

typedef struct {
    void (*say)(void *arg, const char *text);
    void *arg;
} listener;

static void say_skipped(void *arg, const char *path, const char *words) {
    const listener *l = arg;
    char text[2048];
    (void)path;
    snprintf(text, sizeof text, "volley: skipped: %s", words);
    if (l->say) l->say(l->arg, text);
}

static vly_status open_checkpoint_file(const char *path, vly_checkpoint **out) {
    VLY_TRY(vly_checkpoint_open(out, path));
    const vly_status status = vly_checkpoint_verify(*out);
    if (status != VLY_OK) vly_checkpoint_close(*out);
    return status;
}

static vly_status no_best(const char *run) {
    return vly_fail(VLY_ENOTFOUND,
                    "%s has no best checkpoint: the first is saved after %d episodes; leave --best "
                    "out for the newest",
                    run, VLY_SAVER_BEST_EPISODES);
}

static vly_status no_checkpoint(const char *run) {
    if (!has_file(run, "config.yaml"))
        return vly_fail(VLY_ENOTFOUND, "there is no checkpoint in %s/checkpoints", run);
    if (is_locked(run))
        return vly_fail(VLY_ENOTFOUND,
                        "%s has no checkpoint yet, and goes on: wait for the first of them", run);
    return vly_fail(VLY_ENOTFOUND, "%s has no checkpoint: `volley resume %s` starts it again", run,
                    vly_shell_word(run));
}

vly_status vly_run_open_checkpoint(const char *run, bool best,
                                   void (*say)(void *arg, const char *text), void *arg,
                                   vly_checkpoint **out) {
    char path[VLY_PATH];
    listener l = {say, arg};
    VLY_TRY(check_exists(run));
    if (!is_folder(run)) return open_checkpoint_file(run, out);
    snprintf(path, sizeof path, "%.1200s/checkpoints%s", run, best ? "/best.safetensors" : "");
    if (best) return access(path, F_OK) ? no_best(run) : vly_checkpoint_open(out, path);
    if (!is_folder(path) && !has_file(run, "config.yaml"))
        return vly_fail(VLY_ENOTFOUND, "%s is not a run: it has no checkpoints", run);
    const vly_status status = vly_checkpoints_open_newest(out, path, say_skipped, &l);
    return status == VLY_ENOTFOUND ? no_checkpoint(run) : status;
}

bool vly_run_is_unsaved(const char *run) {
    char path[VLY_PATH];
    vly_checkpoint *c;
    snprintf(path, sizeof path, "%.1200s/checkpoints", run);
    if (!has_file(run, "config.yaml")) return false;
    if (!is_folder(path)) return true;
    const vly_status status = vly_checkpoints_open_newest(&c, path, NULL, NULL);
    if (status == VLY_OK) vly_checkpoint_close(c);
    return status == VLY_ENOTFOUND;
}

static void config_path(const char *run, char path[VLY_PATH]) {
    if (is_folder(run)) {
        snprintf(path, VLY_PATH, "%.1200s/config.yaml", run);
        return;
    }
    snprintf(path, VLY_PATH, "%.1200s", run); /* RUN/checkpoints/step-N.safetensors */
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash : path, VLY_PATH - (size_t)(slash ? slash - path : 0),
             "%s../config.yaml", slash ? "/" : "");
}

vly_status vly_run_check_config(const char *run, const vly_config *config, vly_checkpoint *c,
                                void (*say)(void *arg, const char *text), void *arg) {
    char path[VLY_PATH];
    config_path(run, path);
    return vly_settings_check(path, config, c, say, arg);
}

vly_status vly_run_load_config(const char *run, vly_config *config) {
    char path[VLY_PATH];
    VLY_TRY(check_exists(run));
    config_path(run, path);
    if (access(path, F_OK))
        return vly_fail(VLY_ENOTFOUND, "%s is not a run: there is no %s", run, path);
    return vly_algo_restore(config, path);
}
