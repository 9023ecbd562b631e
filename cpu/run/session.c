#include "cpu/run/session.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cpu/fleet/fleet.h"
#include "cpu/fleet/gpus.h"
#include "cpu/fleet/scheme.h"
#include "cpu/machine/processors.h"
#include "cpu/monitor/monitor.h"
#include "cpu/run/actor_list.h"
#include "cpu/run/device.h"
#include "cpu/run/recorder.h"
#include "cpu/run/run_folder.h"
#include "cpu/run/saver.h"
#include "cpu/run/startup.h"
#include "envs/registry.h"

struct vly_session {
    vly_session_callbacks callbacks;
    vly_config config;
    vly_env env;
    bool env_open;
    vly_compute *compute;
    char device_note[512];
    vly_startup *startup; /* NULL after it */
    vly_run_folder folder;
    vly_fleet *fleet;
    vly_train *train;
    vly_saver saver;
    vly_recorder recorder;
    vly_monitor *monitor; /* NULL: none */
    vly_shots *shots;     /* likewise */
    int64_t steps_at_start;
    bool failed, too_many_restarts;
};

static void session_say(void *arg, const char *text) {
    const vly_session *s = arg;
    if (s->callbacks.say) s->callbacks.say(s->callbacks.arg, text);
}

static bool is_first_rank(const vly_session *s) {
    return vly_fleet_rank(s->fleet) == 0;
}

/* ---- the trainer's callbacks ---- */

static void on_session_episode(void *arg, const vly_episode *episode, int64_t steps) {
    vly_session *s = arg;
    (void)steps;
    vly_recorder_episode(&s->recorder, episode);
}

static const void *actor_state(void *train, int actor) {
    return vly_train_state(train, actor);
}

static void write_actors(vly_session *s) {
    vly_remote_stats stats;
    if (!vly_train_actors(s->train, &stats)) return;
    vly_recorder_actors(&s->recorder, &stats);
    if (vly_actor_list_write(s->folder.path, s->config.run.listen, &stats) != VLY_OK)
        session_say(s, vly_error_text());
}

static void write_record(vly_session *s, const vly_train_report *report) {
    write_actors(s);
    if (vly_recorder_write(&s->recorder, report, s->saver.seconds) != VLY_OK)
        session_say(s, vly_error_text());
}

static void show_progress(vly_session *s) {
    if (s->callbacks.progress) s->callbacks.progress(s->callbacks.arg, s->recorder.metrics);
}

static int on_session_update(void *arg, const vly_train_report *report) {
    vly_session *s = arg;
    const vly_session_callbacks *c = &s->callbacks;
    const int asked = c->updated ? c->updated(c->arg, report) : VLY_TRAIN_GO_ON;
    if (vly_recorder_due(&s->recorder, report)) write_record(s, report);
    show_progress(s);
    vly_shots_offer(s->shots, actor_state, s->train);
    s->too_many_restarts = report->pool.restarts > s->config.pool.restarts;
    return asked | (s->too_many_restarts ? VLY_TRAIN_STOP : VLY_TRAIN_GO_ON) |
           (vly_saver_due(&s->saver, report) ? VLY_TRAIN_SAVE : VLY_TRAIN_GO_ON);
}

/* A folder that was removed or moved is written again, and what it is to be resumed from with it. */
static void find_folder_again(vly_session *s) {
    char text[2048];
    vly_train_report report;
    if (!vly_run_folder_is_lost(&s->folder)) return;
    vly_train_get_report(s->train, &report);
    vly_run_folder_close(&s->folder);
    vly_status status = vly_run_folder_open(&s->folder, &s->config, &s->compute->info);
    if (status == VLY_OK)
        status = vly_recorder_reopen(&s->recorder, s->folder.path, report.total_steps);
    snprintf(text, sizeof text, "volley: %s was moved or removed: %s%s", s->folder.shown,
             status == VLY_OK ? "it is made again and holds the run from here on"
                              : "it cannot be made again: ",
             status == VLY_OK ? "" : vly_error_text());
    session_say(s, text);
}

/* A checkpoint that cannot be written does not end the run: the one before stays. */
static vly_status on_session_save(void *arg, vly_train *t) {
    vly_session *s = arg;
    vly_metrics *m = s->recorder.metrics;
    (void)t;
    find_folder_again(s);
    if (vly_saver_save(&s->saver) == VLY_OK) {
        vly_metrics_count(m, VLY_M_CHECKPOINTS, 1);
    } else {
        char text[2048];
        vly_metrics_count(m, VLY_M_CHECKPOINT_FAILURES, 1);
        snprintf(text, sizeof text, "volley: checkpoint not saved: %s; %s%s", s->saver.error,
                 s->saver.path[0] ? "the one before stays: " : "there is none yet", s->saver.path);
        session_say(s, text);
    }
    vly_metrics_set(m, VLY_M_CHECKPOINT_SECONDS, s->saver.last_seconds);
    return VLY_OK;
}

/* ---- starting ---- */

static vly_status open_session_device(vly_session *s) {
    vly_startup_phase(s->startup, "opening the device");
    return vly_device_open(&s->compute, s->config.run.device, s->config.run.workers, s->device_note,
                           sizeof s->device_note);
}

static vly_status open_trainer(vly_session *s) {
    vly_startup_phase(s->startup, "making the network, its first weights and the environments");
    VLY_TRY(vly_fleet_open(&s->fleet, &s->config, s->compute, s->folder.path, session_say, s));
    if (is_first_rank(s)) VLY_TRY(vly_run_folder_claim(&s->folder));
    vly_train_options o = {.compute = s->compute,
                           .env = &s->env,
                           .config = &s->config,
                           .arg = s,
                           .on_update = on_session_update,
                           .on_episode = on_session_episode,
                           .on_save = on_session_save,
                           .patience_s = (double)s->config.checkpoint.patience_s,
                           .on_warning = session_say};
    if (!is_first_rank(s)) {
        o.on_save = NULL;
        s->config.metrics.jsonl = s->config.metrics.tensorboard = false;
    }
    vly_fleet_join(s->fleet, &o);
    VLY_TRY(vly_train_create(&s->train, &o));
    return vly_saver_open(&s->saver, s->train, &s->config, s->env.name, s->folder.checkpoints,
                          s->folder.shown);
}

/* A hundredth of all processors, at most a tenth of one: what a page needs at most. */
static double monitor_share(void) {
    return fmin(0.01 * vly_processors(), 0.1);
}

/* Its token does not go into a folder that may be given to others. */
static vly_status bind_monitor(vly_session *s) {
    char token[sizeof s->config.monitor.token];
    memcpy(token, s->config.monitor.token, sizeof token);
    s->config.monitor.token[0] = '\0';
    if (!is_first_rank(s) || !s->config.run.monitor) return VLY_OK;
    VLY_TRY(vly_shots_create(&s->shots, &s->env, s->config.run.envs));
    const vly_monitor_options o = {.folder = s->folder.path,
                                   .bind = s->config.monitor.bind,
                                   .token = token,
                                   .hosts = s->config.monitor.hosts,
                                   .port = s->config.monitor.port,
                                   .shots = s->shots,
                                   .cpu_share = monitor_share()};
    return vly_monitor_bind(&s->monitor, &o);
}

/* The folder and what is written there, after all that may be refused; resumed: the step the run goes
 * on from, or -1. */
static vly_status open_outputs(vly_session *s, int64_t resumed) {
    const bool first = is_first_rank(s);
    VLY_TRY(bind_monitor(s));
    if (first) VLY_TRY(vly_run_folder_open(&s->folder, &s->config, &s->compute->info));
    if (first && resumed >= 0) VLY_TRY(vly_checkpoints_drop_after(s->folder.checkpoints, resumed));
    VLY_TRY(vly_recorder_open(&s->recorder, &s->config, &s->env, s->folder.path, resumed));
    if (!s->compute->info.is_host) vly_recorder_watch_gpu(&s->recorder);
    return s->monitor
               ? vly_monitor_run(s->monitor, s->config.metrics.jsonl ? NULL : s->recorder.metrics)
               : VLY_OK;
}

static vly_status create_session(vly_session **out, const vly_session_callbacks *callbacks) {
    vly_session *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "no memory for a run");
    s->callbacks = *callbacks;
    s->folder.lock = -1;
    return *out = s, VLY_OK;
}

static bool is_alone(const vly_session *s) {
    return vly_fleet_scheme_of(&s->config) == VLY_FLEET_ALONE &&
           !vly_gpus_wanted(&s->config, s->compute);
}

static vly_status hand_out_env(vly_session *s) {
    return s->callbacks.opened ? s->callbacks.opened(s->callbacks.arg, &s->env) : VLY_OK;
}

static vly_status start_session(vly_session *s, const vly_assignments *given) {
    vly_startup_phase(s->startup, "opening the environment");
    VLY_TRY(vly_session_configure(&s->config, given, &s->env));
    s->env_open = true;
    VLY_TRY(hand_out_env(s));
    VLY_TRY(vly_run_folder_choose(&s->folder, &s->config,
                                  s->env.name[0] ? s->env.name : s->config.run.env));
    if (s->env.plugin) VLY_TRY(vly_run_folder_anchor(&s->folder));
    VLY_TRY(open_session_device(s));
    if (vly_fleet_scheme_of(&s->config) != VLY_FLEET_ALONE)
        s->config.fit_envs = false; /* its workers act on processors */
    vly_algo_settle(&s->config, &s->env, &s->compute->info, is_alone(s));
    VLY_TRY(open_trainer(s));
    return open_outputs(s, -1);
}

vly_status vly_session_start(vly_session **out, const vly_assignments *given,
                             const vly_session_callbacks *callbacks) {
    vly_session *s = NULL;
    VLY_TRY(create_session(&s, callbacks));
    s->startup = vly_startup_begin(session_say, s);
    const vly_status status = start_session(s, given);
    vly_startup_end(s->startup);
    s->startup = NULL;
    if (status != VLY_OK) return vly_session_close(s), status;
    return *out = s, VLY_OK;
}

const char *const vly_session_kept[] = {"run.env",  "run.algo", "run.preset", "run.out",
                                        "run.seed", "run.envs", NULL};

/* Refuses what may not change between the parts of one run. */
static vly_status override_config(vly_config *config, const vly_assignments *given) {
    for (int i = 0; i < given->n; i++) {
        for (const char *const *kept = vly_session_kept; *kept; kept++)
            if (!strcmp(given->v[i].key, *kept))
                return vly_fail(VLY_EINVAL,
                                "%s: a run keeps its %s; start another with `volley train`",
                                given->v[i].where, *kept + 4);
        VLY_TRY(vly_config_set(config, given->v[i].key, given->v[i].value));
    }
    return VLY_OK;
}

static vly_status resume_from(vly_session *s, vly_checkpoint *c) {
    VLY_TRY(open_session_device(s));
    VLY_TRY(open_trainer(s));
    vly_startup_phase(s->startup, "restoring the checkpoint");
    VLY_TRY(
        vly_saver_restore(&s->saver, c, is_first_rank(s) ? VLY_RESTORE_ALL : VLY_RESTORE_SHARED));
    s->steps_at_start = s->saver.last_steps;
    return VLY_OK;
}

/* A run that ended before its first checkpoint. */
static vly_status start_again(vly_session *s) {
    char text[VLY_PATH + 64];
    snprintf(text, sizeof text, "volley: %s has no checkpoint: it starts again", s->folder.shown);
    session_say(s, text);
    VLY_TRY(open_session_device(s));
    VLY_TRY(open_trainer(s));
    return open_outputs(s, -1);
}

/* NULL: the run has no checkpoint. */
static vly_status open_newest(vly_session *s, const char *run, bool accept, vly_checkpoint **out) {
    *out = NULL;
    vly_startup_phase(s->startup, "reading and checking the checkpoints");
    if (vly_run_is_unsaved(run)) return VLY_OK;
    VLY_TRY(vly_run_open_checkpoint(run, false, session_say, s, out));
    vly_startup_phase(s->startup, "opening the environment");
    snprintf(s->folder.digest, sizeof s->folder.digest, "%s", vly_checkpoint_digest(*out));
    const vly_status status = accept ? VLY_OK
                                     : vly_run_check_config(run, &s->config, *out, session_say, s);
    if (status != VLY_OK) vly_checkpoint_close(*out);
    return status;
}

static vly_status resume_session(vly_session *s, const char *run, const vly_assignments *given,
                                 bool accept) {
    vly_checkpoint *c;
    char folder[4096];
    const char *home = getcwd(folder, sizeof folder); /* before a plugin can change it */
    VLY_TRY(vly_run_load_config(run, &s->config));
    VLY_TRY(vly_run_folder_find(&s->folder, run));
    VLY_TRY(open_newest(s, run, accept, &c));
    vly_status status = override_config(&s->config, given);
    vly_session_anchor(&s->config, home);
    const vly_env_args args = vly_config_env_args(&s->config);
    if (status == VLY_OK) status = vly_env_open(&s->env, s->config.run.env, &args);
    s->env_open = status == VLY_OK;
    if (status == VLY_OK) status = hand_out_env(s);
    if (status == VLY_OK && s->env.plugin) status = vly_run_folder_anchor(&s->folder);
    if (status == VLY_OK) status = c ? resume_from(s, c) : start_again(s);
    if (!c) return status;
    vly_checkpoint_close(c);
    return status == VLY_OK ? open_outputs(s, s->steps_at_start) : status;
}

vly_status vly_session_resume(vly_session **out, const char *run, const vly_assignments *given,
                              bool accept, const vly_session_callbacks *callbacks) {
    vly_session *s = NULL;
    VLY_TRY(create_session(&s, callbacks));
    s->startup = vly_startup_begin(session_say, s);
    const vly_status status = resume_session(s, run, given, accept);
    vly_startup_end(s->startup);
    s->startup = NULL;
    if (status != VLY_OK) return vly_session_close(s), status;
    return *out = s, VLY_OK;
}

/* ---- running ---- */

void vly_session_get_info(const vly_session *s, vly_session_info *out) {
    *out = (vly_session_info){.config = &s->config,
                              .env = &s->env,
                              .device = &s->compute->info,
                              .device_note = s->device_note,
                              .folder = s->folder.shown,
                              .checkpoint = s->saver.path,
                              .page = s->monitor ? vly_monitor_url(s->monitor) : NULL,
                              .steps_at_start = s->steps_at_start,
                              .first = is_first_rank(s)};
}

static void fill_result(const vly_session *s, vly_session_result *out) {
    const vly_train_report *r = &out->train.report;
    snprintf(out->folder, sizeof out->folder, "%s", s->folder.shown);
    snprintf(out->checkpoint, sizeof out->checkpoint, "%s", s->saver.path);
    snprintf(out->words, sizeof out->words, "%s", s->saver.error);
    out->steps = r->total_steps, out->updates = r->updates, out->episodes = r->episodes;
    out->return_mean_100 = r->return_mean_100;
    out->wall_s = r->wall_s;
    out->steps_per_s = r->wall_s > 0 ? (double)(r->total_steps - s->steps_at_start) / r->wall_s : 0;
    out->frames_per_s = out->steps_per_s * s->env.frames_per_step;
    out->checkpoint_lost = s->saver.failed;
    for (int i = 0; i < r->task_count && i < VLY_SESSION_TASKS_MAX; i++) {
        vly_session_task *task = &out->tasks[out->task_count++];
        snprintf(task->env, sizeof task->env, "%s", r->tasks[i].env);
        task->episodes = r->tasks[i].episodes;
        task->return_mean_100 = r->tasks[i].return_mean_100;
    }
    for (int i = 0; i < r->change_count && i < VLY_SESSION_CHANGES_MAX; i++)
        out->changes[out->change_count++] = r->changes[i];
}

static vly_status check_restarts(const vly_session *s, vly_train_result *train) {
    if (!s->too_many_restarts) return VLY_OK;
    train->stop = VLY_STOP_FAILED;
    return vly_train_check_restarts(s->train);
}

static void warn_of_a_full_disk(vly_session *s) {
    char text[2048];
    if (!is_first_rank(s) || vly_saver_check_room(&s->saver) == VLY_OK) return;
    snprintf(text, sizeof text, "volley: %s", vly_error_text());
    session_say(s, text);
}

vly_status vly_session_run(vly_session *s, vly_session_result *result) {
    char words[1024];
    memset(result, 0, sizeof *result);
    warn_of_a_full_disk(s);
    vly_status status = vly_train_run(s->train, &result->train);
    if (status == VLY_OK) status = check_restarts(s, &result->train);
    s->failed = status != VLY_OK; /* other ranks are not left in an update of theirs */
    snprintf(words, sizeof words, "%s", vly_error_text());
    write_record(s, &result->train.report);
    show_progress(s);
    fill_result(s, result);
    return status == VLY_OK ? VLY_OK : vly_fail(status, "%s", words);
}

void vly_session_stop(vly_session *s) {
    vly_train_stop(s->train);
}

void vly_session_close(vly_session *s) {
    if (!s) return;
    vly_monitor_stop(s->monitor);
    vly_shots_destroy(s->shots);
    vly_saver_close(&s->saver);
    vly_train_destroy(s->train);
    vly_fleet_close(s->fleet, s->failed);
    vly_recorder_close(&s->recorder);
    if (s->compute) s->compute->destroy(s->compute);
    if (s->env_open) s->env.close(&s->env);
    vly_run_folder_close(&s->folder);
    free(s);
}
