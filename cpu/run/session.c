#include "cpu/run/session_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cpu/run/device.h"
#include "cpu/program/cli.h"
#include "envs/registry.h"

const vly_config *vly_session_config(const vly_session *s) {
    return &s->config;
}
bool vly_session_is_first(const vly_session *s) {
    return vly_fleet_rank(s->fleet) == 0;
}

static void on_warning(void *arg, const char *text) {
    vly_status_line_say(((vly_session *)arg)->line, text);
}

static vly_status open_trainer(vly_session *s) {
    VLY_TRY(vly_fleet_open(&s->fleet, &s->config, s->compute, s->folder, on_warning, s));
    vly_train_options o = {.compute = s->compute,
                           .env = &s->env,
                           .config = &s->config,
                           .arg = s,
                           .on_update = vly_session_on_update,
                           .on_episode = vly_session_observe,
                           .on_save = vly_session_on_save,
                           .on_warning = on_warning};
    if (!vly_session_is_first(s)) {
        o.on_save = NULL;
        s->config.metrics.jsonl = s->config.metrics.tensorboard = false;
        s->config.metrics.status = VLY_METRICS_STATUS_NONE;
    }
    vly_fleet_join(s->fleet, &o);
    VLY_TRY(vly_train_create(&s->train, &o));
    return vly_session_list_tensors(s);
}

static vly_status open_device(vly_session *s) {
    return vly_device_open(&s->compute, s->config.run.device, s->config.run.workers, s->device_note,
                           sizeof s->device_note);
}

static void say_hello(vly_session *s) {
    fprintf(s->people, "%s %s on %s (%s)\n", s->env.name, s->config.run.algo, s->compute->info.kind,
            s->compute->info.name);
    fprintf(s->people, "run: %s\nsettings (preset %s):\n", s->folder, s->config.run.preset);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return;
    vly_config_print_changes(&s->config, out);
    fclose(out);
    int column = 0;
    for (char *line = strtok(text, "\n"); line;
         line = strtok(NULL, "\n")) { /* several to a line: it fits the screen */
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
    VLY_TRY(vly_session_choose_folder(s));
    VLY_TRY(open_device(s));
    VLY_TRY(open_trainer(s));
    return vly_session_open_outputs(s, -1);
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
    static const char *const fixed[] = {"run.env", "run.algo", "run.preset",
                                        "run.out", "run.seed", "run.envs"};
    for (int i = 0; i < given->n; i++) {
        for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++)
            if (!strcmp(given->v[i].key, fixed[k]))
                return vly_fail(VLY_EINVAL,
                                "%s: a run keeps its %s; start another with `volley train`",
                                given->v[i].where, fixed[k] + 4);
        VLY_TRY(vly_config_set(config, given->v[i].key, given->v[i].value));
    }
    return VLY_OK;
}

static vly_status resume(vly_session *s, const char *run, const vly_assignments *given) {
    vly_checkpoint *c;
    snprintf(s->folder, sizeof s->folder, "%.1200s", run);
    for (size_t n = strlen(s->folder); n > 1 && s->folder[n - 1] == '/'; n--)
        s->folder[n - 1] = '\0';
    VLY_TRY(vly_run_load_config(run, &s->config));
    if (!vly_run_is_folder(run))
        return vly_fail(VLY_EINVAL, "resume takes a run's folder, not %s", run);
    VLY_TRY(override(&s->config, given));
    vly_env_args args = vly_config_env_args(&s->config);
    VLY_TRY(vly_env_open(&s->env, s->config.run.env, &args));
    s->env_open = true;
    VLY_TRY(vly_run_open_checkpoint(run, false, s->people, &c));
    vly_status status = open_device(s);
    if (status == VLY_OK) status = open_trainer(s);
    if (status == VLY_OK) status = vly_session_restore(s, c);
    vly_checkpoint_close(c);
    VLY_TRY(status);
    return vly_session_open_outputs(s, s->steps_at_start);
}

vly_status vly_session_resume(vly_session **out, const char *run, const vly_assignments *given,
                              FILE *people) {
    vly_session *s = NULL;
    VLY_TRY(create(&s, people));
    s->resumed = true;
    vly_status status = resume(s, run, given);
    if (status != VLY_OK) return vly_session_close(s), status;
    fprintf(people, "going on from %s\n", s->checkpoint);
    return *out = s, VLY_OK;
}

static void stop_training(void *train) {
    vly_train_stop(train);
}

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
    if (vly_session_is_first(s)) say_hello(s);
    if (s->device_note[0] && access("/dev/nvidiactl", F_OK) == 0) /* there is a GPU and we do not
                                                                     use it */
        fprintf(s->people, "on the CPU: %s\n", s->device_note);
    s->line = vly_status_line_create(s->people, s->config.metrics.status,
                                     (double)s->config.metrics.plain_s, title);
    vly_metrics_set(s->metrics, VLY_M_STEPS_TOTAL, (double)s->config.run.steps);
    if (!isnan(s->config.run.until_return))
        vly_metrics_set(s->metrics, VLY_M_RETURN_TARGET, (double)s->config.run.until_return);
    vly_cli_watch_signals(stop_training, s->train);
    vly_status status = vly_train_run(s->train, &result->train);
    s->failed = status != VLY_OK;
    vly_cli_watch_signals(NULL, NULL);
    if (vly_cli_signal() && status == VLY_OK && result->train.stop == VLY_STOP_NONE)
        result->train.stop = VLY_STOP_INTERRUPTED;
    if (status == VLY_OK && s->too_many_restarts) {
        result->train.stop = VLY_STOP_FAILED;
        status = vly_fail(VLY_EPEER,
                          "%s failed %lld times and was started again, more than --pool.restarts "
                          "%d: it is broken",
                          s->config.run.env, (long long)result->train.report.pool.restarts,
                          s->config.pool.restarts);
    }
    char words[1024];
    snprintf(words, sizeof words, "%s", vly_error_text());
    vly_session_record(s, &result->train.report);
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
