#include <string.h>
#include "cpu/run/session.h"
#include "cpu/program/verbs.h"

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

static void print_summary(FILE *out, const vly_config *config, const vly_session_result *r) {
    const char *volley = vly_cli_program();
    fprintf(out, "\n%s after %s steps, %s updates, %.1f s (%s steps/s)",
            vly_stop_name(r->train.stop), vly_thousands(r->steps), vly_thousands(r->updates),
            r->wall_s, vly_thousands((int64_t)r->steps_per_s));
    if (r->train.report.window)
        fprintf(out, "; mean return %.4g over the last %d episodes", r->return_mean_100,
                r->train.report.window);
    fprintf(out, "\nrun: %s\n", r->folder);
    if (r->checkpoint[0]) fprintf(out, "checkpoint: %s\n", r->checkpoint);
    if (r->checkpoint_lost)
        fprintf(stderr, "volley: the last checkpoint could not be saved: %s\n", r->words);
    if (r->train.stop == VLY_STOP_INTERRUPTED)
        fprintf(out, "saved; go on with:   %s resume %s\n", volley, r->folder);
    else if (r->checkpoint[0]) {
        fprintf(out, "see how it plays:    %s eval %s\n", volley, r->folder);
        fprintf(out, "train it further:    %s resume %s --steps %lld\n", volley, r->folder,
                (long long)config->run.steps * 2);
    }
}

static json_t *to_json(const vly_config *config, const vly_session_result *r) {
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:s, s:s?}", "run",
                     r->folder, "env", config->run.env, "algo", config->run.algo, "seed",
                     (json_int_t)config->run.seed, "steps", (json_int_t)r->steps, "updates",
                     (json_int_t)r->updates, "episodes", (json_int_t)r->episodes, "return_mean_100",
                     vly_json_real(r->return_mean_100), "wall_s", vly_json_real(r->wall_s),
                     "steps_per_s", vly_json_real(r->steps_per_s), "frames_per_s",
                     vly_json_real(r->frames_per_s), "stop", vly_stop_name(r->train.stop),
                     "checkpoint", r->checkpoint[0] ? r->checkpoint : NULL);
}

static int run_session(vly_cli *cli, vly_session *s) {
    vly_session_result result;
    vly_status status = vly_session_run(s, &result);
    int code = status == VLY_OK ? exit_code(vly_session_config(s), &result) : VLY_EXIT_FAILED;
    if (status != VLY_OK) fprintf(stderr, "volley: %s\n", vly_error_text());
    const bool first = vly_session_is_first(s);
    if (first) print_summary(cli->people, vly_session_config(s), &result);
    json_t *object = to_json(vly_session_config(s), &result);
    vly_session_close(s);
    if (cli->json && first)
        vly_cli_print_json(object);
    else
        json_decref(object);
    return code;
}

static int train(vly_cli *cli) {
    vly_session *s = NULL;
    vly_status status = vly_assignments_add(&cli->given, "run.env", cli->positional[0], "ENV");
    if (status == VLY_OK) status = vly_session_start(&s, &cli->given, cli->people);
    return status == VLY_OK ? run_session(cli, s) : vly_cli_fail(status);
}

static int resume(vly_cli *cli) {
    vly_session *s = NULL;
    vly_status status = vly_session_resume(&s, cli->positional[0], &cli->given, cli->people);
    return status == VLY_OK ? run_session(cli, s) : vly_cli_fail(status);
}

const vly_verb vly_verb_train = {
    .name = "train",
    .positional_help = "ENV",
    .summary = "trains an agent; the run's folder holds settings, curves and checkpoints",
    .examples = "volley train cartpole --algo ppo --seed 1 --ppo.lr 3e-4\n"
                "volley train minatar/breakout --until-return 20 --out runs/mine\n"
                "volley train ./my_env.so --config my.yaml --json",
    .config = VLY_CONFIG_TRAIN,
    .positional_min = 1,
    .positional_max = 1,
    .run = train,
};

const vly_verb vly_verb_resume = {
    .name = "resume",
    .positional_help = "RUN",
    .summary = "goes on with a run from its newest good checkpoint",
    .examples = "volley resume runs/cartpole-ppo-1-20261121-101500 --steps 400k",
    .config = VLY_CONFIG_TRAIN,
    .more = "Settings are the run's; what is given here changes them. Damaged checkpoints are "
            "named and skipped.",
    .positional_min = 1,
    .positional_max = 1,
    .run = resume,
};
