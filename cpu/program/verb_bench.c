/* The suites themselves live in benchmarks/ and are linked into the program
 * (common/record/bench.h). */
#include <stdio.h>
#include <string.h>
#include "common/base/text.h"
#include "common/record/bench.h"
#include "cpu/program/bench_record.h"
#include "cpu/program/bench_report.h"
#include "cpu/program/verbs.h"

typedef struct {
    char env[64], vs[16];
    char filter[64], out[1024], gpus[64], record[1024];
    bool busy;
    float seconds;
    int samples;
} bench_options;

typedef struct {
    FILE *people;
    json_t *results;
    int wrong; /* benchmarks whose results differ from their reference */
} reporter;

static const char *verdict(const vly_bench_result *r, char *text, size_t bytes) {
    if (r->verified == 0) return "";
    snprintf(text, bytes, "%s %lld of %lld wrong, error %.1e; ",
             r->wrong ? "WRONG:" : "verified:", r->wrong, r->verified, r->error);
    return text;
}

static void report_result(void *arg, const vly_bench_result *r) {
    reporter *to = arg;
    char text[1024];
    to->wrong += r->wrong > 0;
    fprintf(to->people, "%-34s %14.6g %14.6g %14.6g  %-10s %3d  %s%s\n", r->name, r->median, r->min,
            r->max, r->unit, r->samples, verdict(r, text, sizeof text), r->params);
    fflush(to->people);
    vly_bench_json(r, text, sizeof text);
    json_t *object = json_loads(text, 0, NULL);
    if (object) json_array_append_new(to->results, object);
}

static const struct {
    const char *name, *help;
    vly_status (*run)(const vly_bench_options *options);
} suites[] = {
#define XX(name, help) {#name, help, vly_bench_##name},
    VLY_BENCH_MAP(XX)
#undef XX
};
enum { SUITES = sizeof suites / sizeof *suites };

static const char *suite_name(int i) {
    return i < SUITES ? suites[i].name : NULL;
}

static int list_suites(vly_cli *cli) {
    json_t *list = json_array();
    for (int i = 0; i < SUITES; i++) {
        fprintf(cli->people, "  volley bench %-10s %s\n", suites[i].name, suites[i].help);
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", suites[i].name, "help", suites[i].help));
    }
    if (cli->json)
        vly_cli_print_json(json_pack("{s:o}", "suites", list));
    else
        json_decref(list);
    return VLY_EXIT_DONE;
}

static int make_report(vly_cli *cli) {
    const bench_options *own = cli->own;
    if (cli->count < 2)
        return vly_cli_fail(vly_fail(
            VLY_EINVAL,
            "volley bench report needs files of results; `volley bench --help` shows an example"));
    json_t *written = json_array();
    const vly_status status = vly_bench_report(cli->positional + 1, cli->count - 1, own->out,
                                               cli->people, written);
    if (status == VLY_OK && cli->json) vly_cli_print_json(json_pack("{s:O}", "files", written));
    json_decref(written);
    return status == VLY_OK ? VLY_EXIT_DONE : vly_cli_fail(status);
}

/* With every option that changes what is measured. */
static void print_command(const bench_options *o, const char *suite, char *text, size_t bytes) {
    const struct {
        const char *name, *value;
    } words[] = {{"filter", o->filter}, {"env", o->env}, {"vs", o->vs}, {"gpus", o->gpus}};
    size_t at = (size_t)snprintf(text, bytes, "volley bench %s", suite);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (*words[i].value)
            at += (size_t)snprintf(text + at, bytes - at, " --%s %s", words[i].name,
                                   vly_shell_word(words[i].value));
    if (o->seconds > 0)
        at += (size_t)snprintf(text + at, bytes - at, " --seconds %g", (double)o->seconds);
    if (o->samples > 0) at += (size_t)snprintf(text + at, bytes - at, " --samples %d", o->samples);
    snprintf(text + at, bytes - at, " --json");
}

static int bench(vly_cli *cli) {
    const bench_options *own = cli->own;
    if (!cli->count) return list_suites(cli);
    if (!strcmp(cli->positional[0], "report")) return make_report(cli);
    if (cli->count > 1)
        return vly_cli_fail(vly_fail(
            VLY_EINVAL, "volley bench: '%.100s' is one argument too many; only report takes files",
            cli->positional[1]));
    reporter to = {.people = cli->people, .results = json_array()};
    const vly_bench_options options = {.filter = own->filter[0] ? own->filter : NULL,
                                       .seconds = (double)own->seconds,
                                       .samples = own->samples,
                                       .gpus = own->gpus[0] ? own->gpus : NULL,
                                       .env = own->env[0] ? own->env : NULL,
                                       .vs = own->vs[0] ? own->vs : NULL,
                                       .report = report_result,
                                       .arg = &to};
    int i = 0;
    while (i < SUITES && strcmp(suites[i].name, cli->positional[0])) i++;
    if (i == SUITES) {
        char near[128];
        json_decref(to.results);
        vly_nearest(cli->positional[0], suite_name, near, sizeof near);
        return vly_cli_fail(vly_fail(VLY_EINVAL, "no suite '%.60s'%s%s; `volley bench` lists them",
                                     cli->positional[0], *near ? "; nearest: " : "", near));
    }
    fprintf(cli->people, "%-34s %14s %14s %14s  %-10s %3s\n", "name", "median", "min", "max",
            "unit", "n");
    char command[1024]; /* four words, each at most four times as long quoted, and two numbers */
    print_command(own, suites[i].name, command, sizeof command);
    vly_bench_record record = {
        .suite = suites[i].name, .command = command, .path = own->record, .busy = own->busy};
    vly_status status = vly_bench_record_begin(&record);
    if (status == VLY_OK) status = suites[i].run(&options);
    if (status == VLY_OK && json_array_size(to.results) == 0 && own->filter[0])
        status = vly_fail(VLY_EINVAL, "nothing in %s has '%s' in its name", suites[i].name,
                          own->filter);
    json_t *file = vly_bench_record_json(&record, to.results);
    if (status == VLY_OK && to.wrong == 0) status = vly_bench_record_write(&record, file);
    if (status == VLY_OK && cli->json) vly_cli_print_json(json_incref(file));
    json_decref(file);
    json_decref(to.results);
    if (status == VLY_OK && to.wrong > 0)
        status = vly_fail(VLY_ENUMERIC,
                          "%d of these results differ from their reference: marked WRONG above",
                          to.wrong);
    return status == VLY_OK ? VLY_EXIT_DONE : vly_cli_fail(status);
}

static const vly_option bench_table[] = {
    VLY_CLI_TEXT(bench_options, filter, "", NULL, "only what has this in its name"),
    VLY_CLI_TEXT(bench_options, env, "", NULL, "envs: this environment or Atari game alone"),
    VLY_CLI_TEXT(bench_options, vs, "", NULL, "envs: 'ale' plays the Atari game in turn with ours"),
    VLY_CLI_FLOAT(bench_options, seconds, "0", 0, 3600, "of one sample; 0: the suite's own"),
    VLY_CLI_TEXT(bench_options, out, "report.md", NULL,
                 "report: name.md with pictures beside it, or name.svg, name.png: pictures alone"),
    VLY_CLI_TEXT(
        bench_options, record, "", NULL,
        "writes the results, unless the program's code is not committed or others use more "
        "than half a processor"),
    VLY_CLI_BOOL(bench_options, busy, "records although others use the machine"),
    VLY_CLI_TEXT(bench_options, gpus, "", NULL, "scaling: how many ranks, 1,2,4,8; default 1,2"),
    VLY_CLI_INT(bench_options, samples, "0", 0, 99, "samples a measurement; 0: the suite's own"),
};

const vly_verb vly_verb_bench = {
    .name = "bench",
    .positional_help = "[SUITE | report FILES...]",
    .summary = "measures this machine; without a suite lists them; turns results into a report",
    .examples = "volley bench envs --filter cartpole\nvolley bench envs --env pong --vs "
                "ale\nvolley bench envs --record envs.json\n"
                "volley bench kernels --record kernels.json && volley bench report kernels.json "
                "--out report.md",
    .own = bench_table,
    .own_count = sizeof bench_table / sizeof *bench_table,
    .own_bytes = sizeof(bench_options),
    .positional_max = VLY_CLI_POSITIONAL,
    .run = bench,
};
