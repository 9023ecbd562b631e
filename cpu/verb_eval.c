#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/agent.h"
#include "cpu/verbs.h"

typedef struct {
    int episodes, actors;
    int64_t seed;
    bool greedy, best;
    char device[64];
} eval_options;

typedef struct {
    vly_agent agent;
    double *returns;
    int32_t *lengths;
} evaluation;

static vly_status open_all(evaluation *e, const eval_options *o, const char *run, FILE *people) {
    const vly_agent_options agent = {.greedy = o->greedy, .best = o->best, .actors = o->actors, .seed = (uint64_t)o->seed, .device = o->device};
    VLY_TRY(vly_agent_open(&e->agent, run, &agent, people));
    e->returns = calloc((size_t)o->episodes, sizeof *e->returns);
    e->lengths = calloc((size_t)o->episodes, sizeof *e->lengths);
    if (!e->returns || !e->lengths) return vly_fail(VLY_ENOMEM, "no memory for %d episodes", o->episodes);
    return VLY_OK;
}

static void close_all(evaluation *e) {
    vly_agent_close(&e->agent);
    free(e->returns);
    free(e->lengths);
}

static void report(vly_cli *cli, const evaluation *e, int n) {
    double mean = 0, square = 0, length = 0, low = INFINITY, high = -INFINITY;
    for (int i = 0; i < n; i++) mean += e->returns[i] / n, length += (double)e->lengths[i] / n;
    for (int i = 0; i < n; i++) {
        square += (e->returns[i] - mean) * (e->returns[i] - mean);
        low = fmin(low, e->returns[i]), high = fmax(high, e->returns[i]);
    }
    double sd = n > 1 ? sqrt(square / (n - 1)) : 0, half = 1.96 * sd / sqrt(n);
    fprintf(cli->people, "%s: %d episodes of %s: mean return %.4g (95%% interval %.4g to %.4g), sd %.4g, from %.4g to %.4g, mean length %.4g\n",
            vly_checkpoint_path(e->agent.checkpoint), n, e->agent.env.name, mean, mean - half, mean + half, sd, low, high, length);
    if (!cli->json) return;
    json_t *all = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(all, vly_json_real(e->returns[i]));
    vly_cli_print_json(json_pack("{s:s, s:s, s:i, s:o, s:o, s:[o,o], s:o, s:o}", "checkpoint", vly_checkpoint_path(e->agent.checkpoint), "env",
                                 e->agent.env.name, "episodes", n, "return_mean", vly_json_real(mean), "return_sd", vly_json_real(sd), "return_ci95",
                                 vly_json_real(mean - half), vly_json_real(mean + half), "length_mean", vly_json_real(length), "returns", all));
}

static void stop(void *train) { vly_train_stop(train); }

static int eval(vly_cli *cli) {
    const eval_options *o = cli->own;
    evaluation e = {0};
    vly_status status = open_all(&e, o, cli->positional[0], cli->people);
    int code = VLY_EXIT_DONE;
    if (status == VLY_OK) {
        vly_cli_watch_signals(stop, e.agent.train);
        status = vly_train_evaluate(e.agent.train, o->episodes, e.returns, e.lengths);
        vly_cli_watch_signals(NULL, NULL);
        if (status == VLY_OK) report(cli, &e, o->episodes);
        else if (vly_cli_signal()) code = vly_cli_signal() == 2 ? VLY_EXIT_INT : VLY_EXIT_TERM;
        else code = VLY_EXIT_FAILED, fprintf(stderr, "volley: %s\n", vly_error_text());
    } else code = vly_cli_fail(status);
    close_all(&e);
    return code;
}

static const vly_option own[] = {
    VLY_CLI_INT(eval_options, episodes, "100", 1, 1e6, "episodes to play"),
    VLY_CLI_INT(eval_options, seed, "1000", 0, 9e18, "seed of environments and actions"),
    VLY_CLI_BOOL(eval_options, greedy, "take the likeliest action instead of sampling as in training"),
    VLY_CLI_BOOL(eval_options, best, "the checkpoint with the best training return instead of the newest"),
    VLY_CLI_INT(eval_options, actors, "16", 1, 4096, "environments side by side"),
    VLY_CLI_TEXT(eval_options, device, "auto", NULL, "auto, cpu, cuda, cuda:0"),
};

const vly_verb vly_verb_eval = {
    .name = "eval",
    .positional_help = "RUN",
    .summary = "plays episodes with a trained agent and reports their returns",
    .examples = "volley eval runs/cartpole-ppo-1-20261121-101500 --episodes 100\n"
                "volley eval runs/x/checkpoints/best.safetensors --greedy --json",
    .own = own,
    .own_count = sizeof own / sizeof *own,
    .own_bytes = sizeof(eval_options),
    .positional_min = 1,
    .positional_max = 1,
    .run = eval,
};
