#include <math.h>
#include <string.h>
#include "cpu/fleet/scheme.h"
#include "cpu/program/estimate.h"
#include "cpu/program/verbs.h"
#include "cpu/run/device.h"
#include "cpu/run/session.h"

typedef struct {
    float within;
} estimate_options;

static const vly_option estimate_table[] = {
    VLY_CLI_FLOAT(estimate_options, within, "0", 0, 1e9,
                  "exit 3 if the target, or without one the budget, takes more seconds; 0: any"),
};

typedef struct {
    vly_config config;
    vly_env env;
    bool env_open;
    vly_compute *compute;
    vly_train *train;
    vly_estimate estimate;
} estimation;

static int estimate_update(void *arg, const vly_train_report *r) {
    estimation *s = arg;
    return vly_estimate_measured(&s->estimate, r->total_steps, r->updates, r->wall_s)
               ? VLY_TRAIN_STOP
               : VLY_TRAIN_GO_ON;
}

static void warn_of_estimation(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, "volley: %s\n", text);
}

static void stop_estimation(void *train) {
    vly_train_stop(train);
}

/* Trains in memory until the rate is known; nothing is kept. */
static vly_status measure_rate(estimation *s, const vly_assignments *given, vly_stop *stop) {
    VLY_TRY(vly_session_configure(&s->config, given, &s->env));
    s->env_open = true;
    if (vly_fleet_scheme_of(&s->config) != VLY_FLEET_ALONE)
        return vly_fail(VLY_EINVAL,
                        "estimate measures runs of one process, and this one has several: `volley "
                        "train` says how long it takes after its first updates");
    if (s->config.run.listen[0])
        return vly_fail(VLY_EINVAL,
                        "estimate measures what this machine does alone: leave --listen "
                        "out; `volley train` says how long it takes with its actors");
    VLY_TRY(vly_device_open(&s->compute, s->config.run.device, s->config.run.workers, NULL, 0));
    vly_algo_settle(&s->config, &s->env, &s->compute->info, true);
    vly_estimate_begin(&s->estimate, s->env.name, &s->config, 0);
    s->config.run.until_return = NAN;
    const vly_train_options o = {.compute = s->compute,
                                 .env = &s->env,
                                 .config = &s->config,
                                 .arg = s,
                                 .on_update = estimate_update,
                                 .on_warning = warn_of_estimation};
    VLY_TRY(vly_train_create(&s->train, &o));
    vly_cli_watch_signals(stop_estimation, s->train);
    vly_train_result result;
    const vly_status status = vly_train_run(s->train, &result);
    vly_cli_watch_signals(NULL, NULL);
    *stop = result.stop;
    if (status != VLY_OK || s->estimate.steps_per_s > 0) return status;
    if (result.report.wall_s > 0) /* all steps were made before the rate was known */
        s->estimate.steps_per_s = (double)result.report.total_steps / result.report.wall_s;
    return VLY_OK;
}

static void close_estimation(estimation *s) {
    vly_train_destroy(s->train);
    if (s->compute) s->compute->destroy(s->compute);
    if (s->env_open) s->env.close(&s->env);
}

static json_t *estimate_json(const estimation *s) {
    const vly_learned *l = s->estimate.learned;
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "env", s->env.name, "algo",
        s->config.run.algo, "preset", s->config.run.preset, "steps_per_s",
        vly_json_real(s->estimate.steps_per_s), "target", vly_json_real(l ? l->target : NAN),
        "target_steps", l ? json_integer(l->steps) : json_null(), "target_s",
        vly_json_real(vly_estimate_target_s(&s->estimate)), "target_least_s",
        vly_json_real(vly_estimate_least_s(&s->estimate)), "target_most_s",
        vly_json_real(vly_estimate_most_s(&s->estimate)), "steps", (json_int_t)s->config.run.steps,
        "steps_s", vly_json_real(vly_estimate_budget_s(&s->estimate)));
}

static int report_estimate(vly_cli *cli, const estimation *s) {
    const estimate_options *o = cli->own;
    const double target = vly_estimate_target_s(&s->estimate),
                 seconds = isfinite(target) ? target : vly_estimate_budget_s(&s->estimate);
    char text[512];
    vly_estimate_words(&s->estimate, text, sizeof text);
    fprintf(cli->people, "%s %s: %s\n", s->env.name, s->config.run.algo, text);
    vly_estimate_warning(s->env.name, &s->config, text, sizeof text);
    if (text[0]) fprintf(cli->people, "%s\n", text);
    if (cli->json) vly_cli_print_json(estimate_json(s));
    return o->within > 0 && seconds > (double)o->within ? VLY_EXIT_BUDGET : VLY_EXIT_DONE;
}

static int estimate_verb(vly_cli *cli) {
    static estimation s;
    vly_stop stop = VLY_STOP_NONE;
    vly_status status = vly_assignments_add(&cli->given, "run.env", cli->positional[0], "ENV");
    if (status == VLY_OK) status = measure_rate(&s, &cli->given, &stop);
    int code;
    if (status != VLY_OK)
        code = vly_cli_fail(status);
    else if (vly_cli_signal())
        code = vly_cli_signal() == 2 ? VLY_EXIT_INT : VLY_EXIT_TERM;
    else
        code = report_estimate(cli, &s);
    close_estimation(&s);
    return code;
}

static const char *const estimate_without[] = {"run.env", "run.out", "run.monitor", NULL};

const vly_verb vly_verb_estimate = {
    .name = "estimate",
    .positional_help = "ENV",
    .summary = "trains for a second or two, keeps nothing, and says how long the run would take",
    .examples = "volley estimate pong\n"
                "volley estimate minatar/breakout --algo dqn --workers 1\n"
                "volley estimate pong --within 300 && volley train pong --until-return 18",
    .own = estimate_table,
    .own_count = sizeof estimate_table / sizeof *estimate_table,
    .own_bytes = sizeof(estimate_options),
    .config = VLY_CONFIG_TRAIN,
    .without = estimate_without,
    .refusal = "it keeps and shows nothing, and ENV stands alone",
    .more =
        "The steps to the target are the median, the least and the most of measured runs with the "
        "preset (benchmarks/results/learning_table.json); `volley train` says the same after its "
        "first updates.",
    .positional_min = 1,
    .positional_max = 1,
    .run = estimate_verb,
};
