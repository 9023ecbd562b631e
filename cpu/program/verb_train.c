#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/text.h"
#include "cpu/fleet/store.h"
#include "cpu/program/crash.h"
#include "cpu/program/estimate.h"
#include "cpu/program/status_line.h"
#include "cpu/program/verbs.h"
#include "cpu/run/session.h"

static int exit_code(const vly_config *config, const vly_session_result *r) {
    switch (r->train.stop) {
    case VLY_STOP_TARGET: return r->checkpoint_lost ? VLY_EXIT_FAILED : VLY_EXIT_DONE;
    case VLY_STOP_INTERRUPTED:
        return r->checkpoint_lost      ? VLY_EXIT_FAILED
               : vly_cli_signal() == 2 ? VLY_EXIT_INT
                                       : VLY_EXIT_TERM;
    case VLY_STOP_BUDGET:
        if (r->checkpoint_lost) return VLY_EXIT_FAILED;
        return config->run.until_return == config->run.until_return
                   ? VLY_EXIT_BUDGET
                   : VLY_EXIT_DONE; /* NAN: no target */
    default: return VLY_EXIT_FAILED;
    }
}

/* The environment that has changed, where there are several; else NULL. */
static const char *env_of_change(const vly_session_result *r, const vly_train_change *c) {
    return r->task_count ? r->tasks[c->task].env : NULL;
}

static void print_change(FILE *out, const vly_train_change *c, const char *env) {
    fprintf(out, "\n  change %lld%s%s, at %s steps: ", (long long)c->phase, env ? " of " : "",
            env ? env : "", vly_thousands(c->steps));
    if (isnan(c->return_before)) {
        fprintf(out, "no episode before it");
        return;
    }
    fprintf(out, "mean return of at most 20 episodes %.4g before", c->return_before);
    if (isnan(c->return_lowest)) {
        fprintf(out, ", too few episodes since");
        return;
    }
    fprintf(out, ", %.4g at the lowest", c->return_lowest);
    if (c->recovery_steps < 0)
        fprintf(out, ", not recovered: %.4g now", c->return_mean);
    else
        fprintf(out, ", recovered after %s steps", vly_thousands(c->recovery_steps));
}

static void print_run_summary(FILE *out, const vly_config *config, const vly_session_result *r) {
    const char *volley = vly_shell_word(vly_cli_program()), *folder = vly_shell_word(r->folder);
    const int64_t reached = r->steps > config->run.steps ? r->steps : config->run.steps;
    fprintf(out, "\n%s after %s steps, %s updates, %.1f s (%s steps/s)",
            vly_stop_name(r->train.stop), vly_thousands(r->steps), vly_thousands(r->updates),
            r->wall_s, vly_thousands((int64_t)r->steps_per_s));
    if (r->steps > config->run.steps && r->steps_per_s <= 0)
        fprintf(out, "\nnothing was trained: the run has more than --steps %s already",
                vly_thousands(config->run.steps));
    if (r->train.report.window)
        fprintf(out, "; mean return %.4g over the last %d episodes", r->return_mean_100,
                r->train.report.window);
    for (int i = 0; i < r->task_count; i++)
        fprintf(out, "\n  %-24s %s episodes, mean return %.4g", r->tasks[i].env,
                vly_thousands(r->tasks[i].episodes), r->tasks[i].return_mean_100);
    for (int i = 0; i < r->change_count; i++)
        print_change(out, &r->changes[i], env_of_change(r, &r->changes[i]));
    fprintf(out, "\nrun: %s\n", r->folder);
    if (r->checkpoint[0]) fprintf(out, "checkpoint: %s\n", r->checkpoint);
    if (r->checkpoint_lost)
        fprintf(stderr, "volley: the last checkpoint could not be saved: %s\n", r->words);
    if (r->train.stop == VLY_STOP_INTERRUPTED)
        fprintf(out, "%s   %s resume %s\n",
                r->checkpoint_lost ? "go on from before:" : "saved; go on with:", volley, folder);
    else if (r->checkpoint[0]) {
        fprintf(out, "see how it plays:    %s eval %s\n", volley, folder);
        fprintf(out, "train it further:    %s resume %s --steps %lld\n", volley, folder,
                (long long)reached * 2);
    }
}

static json_t *tasks_json(const vly_session_result *r) {
    json_t *list = json_array();
    for (int i = 0; i < r->task_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "env", r->tasks[i].env, "episodes",
                                              (json_int_t)r->tasks[i].episodes, "return_mean_100",
                                              vly_json_real(r->tasks[i].return_mean_100)));
    return list;
}

static json_t *changes_json(const vly_session_result *r) {
    json_t *list = json_array();
    for (int i = 0; i < r->change_count; i++) {
        const vly_train_change *c = &r->changes[i];
        json_t *recovery = c->recovery_steps < 0 ? json_null()
                                                 : json_integer((json_int_t)c->recovery_steps);
        json_array_append_new(
            list, json_pack("{s:s*, s:I, s:I, s:o, s:o, s:o, s:o}", "env", env_of_change(r, c),
                            "phase", (json_int_t)c->phase, "steps", (json_int_t)c->steps,
                            "return_before", vly_json_real(c->return_before), "return_lowest",
                            vly_json_real(c->return_lowest), "return_mean",
                            vly_json_real(c->return_mean), "recovery_steps", recovery));
    }
    return list;
}

static json_t *result_json(const vly_config *config, const vly_session_result *r) {
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:s, s:s?}", "run", r->folder,
        "env", config->run.env, "algo", config->run.algo, "seed", (json_int_t)config->run.seed,
        "steps", (json_int_t)r->steps, "updates", (json_int_t)r->updates, "episodes",
        (json_int_t)r->episodes, "return_mean_100", vly_json_real(r->return_mean_100), "wall_s",
        vly_json_real(r->wall_s), "steps_per_s", vly_json_real(r->steps_per_s), "frames_per_s",
        vly_json_real(r->frames_per_s), "stop", vly_stop_name(r->train.stop), "checkpoint",
        r->checkpoint[0] ? r->checkpoint : NULL);
    if (r->task_count) json_object_set_new(o, "tasks", tasks_json(r));
    if (r->change_count) json_object_set_new(o, "changes", changes_json(r));
    return o;
}

/* ---- the screen ---- */

typedef struct {
    FILE *people;
    vly_status_line *line; /* NULL before the run */
    vly_estimate estimate;
} screen;

static void say_on_screen(void *arg, const char *text) {
    const screen *out = arg;
    if (out->line)
        vly_status_line_say(out->line, text);
    else
        vly_cli_say(out->people, text);
}

static int estimate_on_screen(void *arg, const vly_train_report *r) {
    screen *out = arg;
    char text[512];
    vly_estimate *e = &out->estimate;
    if (vly_estimate_measured(e, r->total_steps, r->updates, r->wall_s)) {
        if (e->learned && e->learned->steps <= r->total_steps) e->learned = NULL; /* it is past */
        vly_estimate_words(e, text, sizeof text);
        say_on_screen(out, text);
    }
    return VLY_TRAIN_GO_ON;
}

static void show_on_screen(void *arg, vly_metrics *metrics) {
    const screen *out = arg;
    vly_status_line_update(out->line, metrics);
}

/* Several to a line, so that they fit the screen; a store without its password. */
static void print_changes(FILE *out, const vly_config *config) {
    vly_config shown = *config;
    char *text = NULL;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    if (!to) return;
    vly_store_shown(config->run.store, shown.run.store, sizeof shown.run.store);
    vly_config_print_changes(&shown, to);
    fclose(to);
    int column = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        const int n = (int)strlen(line);
        if (column && column + n + 2 > 96) fputc('\n', out), column = 0;
        column += fprintf(out, "  %s", line);
    }
    if (column) fputc('\n', out);
    free(text);
}

static void print_start(FILE *out, const vly_session_info *info) {
    fprintf(out, "%s %s on %s (%s)\n", info->env->name, info->config->run.algo, info->device->kind,
            info->device->name);
    fprintf(out, "run: %s\nsettings (preset %s):\n", info->folder, info->config->run.preset);
    print_changes(out, info->config);
    if (info->page) fprintf(out, "live page: %s\n", info->page);
    char text[512];
    vly_estimate_warning(info->env->name, info->config, text, sizeof text);
    if (text[0]) fprintf(out, "%s\n", text);
    fflush(out);
}

static vly_status_line *open_line(FILE *out, const vly_session_info *info) {
    char title[96];
    snprintf(title, sizeof title, "%s %s", info->env->name, info->config->run.algo);
    return vly_status_line_create(
        out, info->first ? info->config->metrics.status : VLY_METRICS_STATUS_NONE,
        (double)info->config->metrics.plain_s, title);
}

/* ---- the verbs ---- */

static void stop_session(void *session) {
    vly_session_stop(session);
}

static int run_session(vly_cli *cli, vly_session *s, screen *out) {
    vly_session_info info;
    vly_session_result result;
    char words[1024];
    vly_session_get_info(s, &info);
    const vly_config config = *info.config; /* and after the session is closed */
    if (info.first) print_start(out->people, &info);
    if (info.device_note[0] && access("/dev/nvidiactl", F_OK) == 0) /* a GPU that is not used */
        fprintf(out->people, "on the CPU: %s\n", info.device_note);
    out->line = open_line(out->people, &info);
    vly_estimate_begin(&out->estimate, info.env->name, info.config, info.steps_at_start);
    vly_cli_watch_signals(stop_session, s);
    vly_crash_checkpoint(info.checkpoint);
    const vly_status status = vly_session_run(s, &result);
    vly_cli_watch_signals(NULL, NULL);
    vly_status_line_stop(out->line);
    snprintf(words, sizeof words, "%s", vly_error_text());
    const int code = status == VLY_OK             ? exit_code(&config, &result)
                     : status == VLY_EUNSUPPORTED ? VLY_EXIT_USAGE /* seen in the first rows only */
                                                  : VLY_EXIT_FAILED;
    if (status != VLY_OK) { /* now: where ranks are ended with it, closing does not return */
        vly_cli_end_soon(code);
        fprintf(stderr, "volley: %s\n", words);
    }
    vly_session_close(s);
    vly_crash_checkpoint(NULL);
    vly_status_line_end(out->line); /* the session's threads have ended */
    if (status == VLY_OK) vly_cli_end_soon(code);
    if (info.first) print_run_summary(out->people, &config, &result);
    if (cli->json && info.first) vly_cli_print_json(result_json(&config, &result));
    return code;
}

/* As a variable of the shell that is not set. A file may have `out: ""`, which config.yaml does. */
static vly_status refuse_empty_out(const vly_assignments *given) {
    for (int i = 0; i < given->n; i++) {
        const vly_assignment *a = &given->v[i];
        if (!strcmp(a->key, "run.out") && !a->value[0] && !strncmp(a->where, "--", 2))
            return vly_fail(VLY_EINVAL,
                            "%s is empty: name the run's folder, or leave it out for one in runs/",
                            a->where);
    }
    return VLY_OK;
}

static int train(vly_cli *cli) {
    vly_session *s = NULL;
    screen out = {.people = cli->people};
    const vly_session_callbacks callbacks = {.arg = &out,
                                             .say = say_on_screen,
                                             .updated = estimate_on_screen,
                                             .progress = show_on_screen};
    vly_cli_hold_signals();
    vly_status status = refuse_empty_out(&cli->given);
    if (status == VLY_OK)
        status = vly_assignments_add(&cli->given, "run.env", cli->positional[0], "ENV");
    if (status == VLY_OK) status = vly_session_start(&s, &cli->given, &callbacks);
    return status == VLY_OK ? run_session(cli, s, &out) : vly_cli_fail(status);
}

typedef struct {
    bool accept_config;
} resume_options;

static const vly_option resume_own[] = {
    VLY_CLI_BOOL(resume_options, accept_config,
                 "go on although config.yaml is not what the checkpoint was saved with"),
};

static int resume(vly_cli *cli) {
    const resume_options *o = cli->own;
    vly_session *s = NULL;
    vly_session_info info;
    screen out = {.people = cli->people};
    const vly_session_callbacks callbacks = {.arg = &out,
                                             .say = say_on_screen,
                                             .updated = estimate_on_screen,
                                             .progress = show_on_screen};
    vly_cli_hold_signals();
    const vly_status status = vly_session_resume(&s, cli->positional[0], &cli->given,
                                                 o->accept_config, &callbacks);
    if (status != VLY_OK) return vly_cli_fail(status);
    vly_session_get_info(s, &info);
    if (info.checkpoint[0]) fprintf(cli->people, "going on from %s\n", info.checkpoint);
    return run_session(cli, s, &out);
}

static const char *const train_without[] = {"run.env", NULL};

const vly_verb vly_verb_train = {
    .name = "train",
    .positional_help = "ENV",
    .summary = "trains an agent; the run's folder holds settings, curves and checkpoints",
    .examples = "volley train cartpole --algo ppo --seed 1 --ppo.lr 3e-4\n"
                "volley train minatar/breakout --until-return 20 --out runs/mine\n"
                "volley train ./my_env.so --config my.yaml --json",
    .config = VLY_CONFIG_TRAIN,
    .without = train_without,
    .refusal = "the environment stands alone, as in `volley train pong`",
    .positional_min = 1,
    .positional_max = 1,
    .run = train,
};

const vly_verb vly_verb_resume = {
    .name = "resume",
    .positional_help = "RUN",
    .summary = "goes on with a run from its newest good checkpoint",
    .own = resume_own,
    .own_count = sizeof resume_own / sizeof *resume_own,
    .own_bytes = sizeof(resume_options),
    .examples = "volley resume runs/cartpole-ppo-1-20261121-101500 --steps 400k",
    .config = VLY_CONFIG_TRAIN,
    .without = vly_session_kept,
    .more = "Settings are the run's; what is given here changes them. Damaged checkpoints are "
            "named and skipped. A run without a checkpoint starts again.",
    .positional_min = 1,
    .positional_max = 1,
    .run = resume,
};
