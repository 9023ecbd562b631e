#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/base/rules_action.h"
#include "common/learn/learner.h"
#include "cpu/program/acting.h"
#include "cpu/program/npz.h"
#include "cpu/program/onnx.h"
#include "cpu/program/output.h"
#include "cpu/program/records.h"
#include "cpu/run/run_folder.h"
#include "cpu/program/verbs.h"
#include "envs/registry.h"

typedef struct {
    char format[16], layout[16], out[1024];
    bool best, accept_config;
} export_options;

/* The weights of a checkpoint, in memory, in the layout that was asked for. */
typedef struct {
    vly_array *tensors;
    float **data;
    int n;
} weights;

static void free_weights(weights *w) {
    for (int i = 0; i < w->n; i++) free(w->data[i]);
    free(w->data);
    free(w->tensors);
}

static vly_status read_weights(vly_checkpoint *c, weights *w) {
    int total = vly_checkpoint_tensors(c);
    w->tensors = calloc((size_t)total + 1, sizeof *w->tensors);
    w->data = calloc((size_t)total + 1, sizeof *w->data);
    if (!w->tensors || !w->data) return vly_fail(VLY_ENOMEM, "no memory for the weights");
    for (int i = 0; i < total; i++) {
        const vly_array *t = vly_checkpoint_tensor(c, i);
        if (!t->weight || t->dtype != VLY_F32) continue;
        w->tensors[w->n] = *t;
        w->data[w->n] = malloc(vly_array_bytes(t) + 1);
        if (!w->data[w->n]) return vly_fail(VLY_ENOMEM, "no memory for the weights");
        VLY_TRY(vly_checkpoint_read(c, t->name, t->dtype, w->data[w->n++], vly_array_bytes(t)));
    }
    return w->n ? VLY_OK
                : vly_fail(VLY_EINVAL, "%s holds no weights of a network", vly_checkpoint_path(c));
}

static int find_weight(const weights *w, const char *name) {
    for (int i = 0; i < w->n; i++)
        if (!strcmp(w->tensors[i].name, name)) return i;
    return -1;
}

/* What the first layer takes from its input goes into its bias (common/learn/net.h): the weights are
 * then those of a network that reads images as they are. */
static void absorb_centre(weights *w) {
    const int centre = find_weight(w, "input.centre");
    int first = 0;
    while (first < w->n && w->tensors[first].ndim != 4) first++;
    if (centre < 0 || first == w->n) return;
    char name[sizeof w->tensors[0].name];
    const size_t stem = strlen(w->tensors[first].name) - strlen("weight");
    snprintf(name, sizeof name, "%.*sbias", (int)stem, w->tensors[first].name);
    const int bias = find_weight(w, name);
    if (bias < 0) return;
    const int64_t rows = w->tensors[first].shape[0],
                  k = (int64_t)(vly_array_bytes(&w->tensors[first]) / sizeof(float)) / rows;
    vly_rule_centre_biases((int)rows, k, w->data[centre][0], w->data[first], w->data[bias]);
    w->data[centre][0] = 0;
}

/* (outer, a, b) becomes (outer, b, a). */
static vly_status swap_inner(float **data, int64_t outer, int64_t a, int64_t b) {
    float *to = malloc((size_t)(outer * a * b) * sizeof *to + 1);
    if (!to) return vly_fail(VLY_ENOMEM, "no memory to change the layout");
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < a; i++)
            for (int64_t k = 0; k < b; k++) to[(o * b + k) * a + i] = (*data)[(o * a + i) * b + k];
    free(*data);
    *data = to;
    return VLY_OK;
}

/* A checkpoint is channels last: convolutions are (out, kh, kw, in), and the layer after them reads (y, x,
 * channel). PyTorch has (out, in, kh, kw) and flattens (channel, y, x). */
static vly_status to_torch(weights *w) {
    int64_t channels = 0; /* of the last convolution, until a linear layer has read it */
    for (int i = 0; i < w->n; i++) {
        vly_array *t = &w->tensors[i];
        if (t->ndim == 4) {
            const int64_t in = t->shape[3];
            VLY_TRY(swap_inner(&w->data[i], t->shape[0], t->shape[1] * t->shape[2], in));
            t->shape[3] = t->shape[2], t->shape[2] = t->shape[1], t->shape[1] = in;
            channels = t->shape[0];
        } else if (t->ndim == 2 && channels) {
            if (t->shape[1] % channels == 0)
                VLY_TRY(swap_inner(&w->data[i], t->shape[0], t->shape[1] / channels, channels));
            channels = 0;
        }
    }
    return VLY_OK;
}

static vly_status write_npz(const weights *w, const char *path) {
    vly_npz *z;
    VLY_TRY(vly_npz_open(&z, path));
    for (int i = 0; i < w->n; i++) {
        const vly_array *t = &w->tensors[i];
        if (vly_npz_add(z, t->name, t->dtype, t->ndim, t->shape, w->data[i]) != VLY_OK) break;
    }
    return vly_npz_close(z);
}

static vly_status write_safetensors(const weights *w, const char *path, const vly_checkpoint *c,
                                    const char *layout) {
    vly_note notes[3] = {{.name = "layout"}, {.name = "env"}, {.name = "digest_of_source"}};
    const char *env = vly_checkpoint_note_text(c, "env");
    snprintf(notes[0].value, sizeof notes[0].value, "%s", layout);
    snprintf(notes[1].value, sizeof notes[1].value, "%s", env ? env : "");
    snprintf(notes[2].value, sizeof notes[2].value, "%s", vly_checkpoint_digest(c));
    for (int i = 0; i < w->n; i++) w->tensors[i].data = w->data[i];
    const vly_checkpoint_data d = {
        .tensors = w->tensors, .tensor_count = w->n, .notes = notes, .note_count = 3};
    return vly_checkpoint_write(path, &d, NULL);
}

/* The network that the tensors belong to: the run's configuration names it. */
static vly_status open_net(vly_net **net, vly_env *env, vly_config *config) {
    vly_compute fp32 = {0}; /* one that offers nothing but float32 */
    vly_env_args args = vly_config_env_args(config);
    VLY_TRY(vly_env_open(env, config->run.env, &args));
    const vly_algo_args algo = {.compute = &fp32, .env = env, .config = config};
    const vly_status status = vly_algo_net(net, &algo);
    if (status != VLY_OK) env->close(env);
    return status;
}

static vly_status fill_params(const weights *w, const vly_net *net, float *param,
                              const char *path) {
    const vly_tensor *t;
    for (int i = 0; (t = vly_net_tensor(net, i)) != NULL; i++) {
        int k = 0;
        while (k < w->n && strcmp(w->tensors[k].name, t->name)) k++;
        if (k == w->n || vly_array_bytes(&w->tensors[k]) != (size_t)t->n * sizeof *param)
            return vly_fail(
                VLY_EINVAL,
                "%s does not hold %s of the network that the run's config.yaml describes", path,
                t->name);
        memcpy(param + t->offset, w->data[k], (size_t)t->n * sizeof *param);
    }
    return VLY_OK;
}

static vly_status write_onnx(vly_cli *cli, const weights *w, const char *path, vly_checkpoint *c) {
    const export_options *options = cli->own;
    const char *run = cli->positional[0];
    vly_config *config = malloc(sizeof *config);
    vly_net *net = NULL;
    vly_env env;
    float *param = NULL;
    vly_status status = config ? vly_run_load_config(run, config)
                               : vly_fail(VLY_ENOMEM, "no memory for a configuration");
    if (status == VLY_OK && !options->accept_config)
        status = vly_run_check_config(run, config, c, vly_cli_say, cli->people);
    if (status == VLY_OK && vly_algo_traits_of(config).tabular)
        status = vly_fail(VLY_EINVAL,
                          "%s has a table and no network: ONNX describes networks; --format npz "
                          "exports the table",
                          run);
    if (status == VLY_OK) status = open_net(&net, &env, config);
    if (status == VLY_OK && !(param = calloc((size_t)vly_net_params(net), sizeof *param)))
        status = vly_fail(VLY_ENOMEM, "no memory for the weights");
    if (status == VLY_OK) status = fill_params(w, net, param, vly_checkpoint_path(c));
    if (status == VLY_OK) {
        vly_acting acting = {0};
        vly_text_add(vly_acting_note(&acting, "env"), "%s", config->run.env);
        vly_text_add(vly_acting_note(&acting, "digest_of_source"), "%s", vly_checkpoint_digest(c));
        status = vly_acting_describe(&acting, &env, config, net, c);
        const vly_onnx_options o = {.native = !strcmp(options->layout, "native"),
                                    .name = vly_net_kind_name(vly_net_description(net)->kind),
                                    .notes = acting.notes,
                                    .note_count = acting.count};
        if (status == VLY_OK) status = vly_onnx_write(path, net, param, &o);
        vly_acting_free(&acting);
    }
    if (net) vly_net_destroy(net), env.close(&env);
    free(param);
    free(config);
    return status;
}

static vly_status export_weights(vly_cli *cli, vly_checkpoint *c, char *path, size_t bytes,
                                 weights *w) {
    const export_options *o = cli->own;
    if (o->out[0])
        snprintf(path, bytes, "%s", o->out);
    else
        snprintf(path, bytes, "%.1000s%s.%s", cli->positional[0],
                 strstr(cli->positional[0], ".safetensors") ? ".weights" : "/weights", o->format);
    if (!strcmp(path, "-"))
        return vly_fail(VLY_EINVAL,
                        "--out -: standard output takes records (csv, jsonl) alone; "
                        "give --out a file for %s",
                        o->format);
    VLY_TRY(vly_output_check(path));
    VLY_TRY(read_weights(c, w));
    absorb_centre(w);
    if (!strcmp(o->format, "onnx")) return write_onnx(cli, w, path, c);
    if (!strcmp(o->layout, "torch")) VLY_TRY(to_torch(w));
    return !strcmp(o->format, "npz") ? write_npz(w, path)
                                     : write_safetensors(w, path, c, o->layout);
}

/* ---- the run's records ---- */

/* `to`: standard output, or a file that appears whole or not at all. */
static vly_status write_records(const char *run, const char *path, bool csv, json_t **columns,
                                int64_t *rows) {
    vly_status (*const put)(const char *run_, FILE *out_, json_t **columns_,
                            int64_t *rows_) = csv ? vly_records_csv : vly_records_json_lines;
    char temporary[VLY_PATH + 64];
    vly_status status;
    if (!strcmp(path, "-")) return put(run, stdout, columns, rows);
    VLY_TRY(vly_output_check(path));
    const int fd = vly_file_begin(path, temporary, sizeof temporary, &status);
    if (fd < 0) return status;
    FILE *out = fdopen(dup(fd), "w");
    status = out ? put(run, out, columns, rows)
                 : vly_fail(VLY_EIO, "cannot write %s: %s", path, strerror(errno));
    if (out && fclose(out) && status == VLY_OK) {
        json_decref(*columns);
        status = vly_fail(errno == ENOSPC ? VLY_ENOSPACE : VLY_EIO, "cannot write %s: %s", path,
                          strerror(errno));
    }
    if (status == VLY_OK) return vly_file_commit(fd, temporary, path);
    vly_file_abort(fd, temporary);
    return status;
}

static int export_records(vly_cli *cli) {
    const export_options *o = cli->own;
    const bool csv = !strcmp(o->format, "csv");
    char path[VLY_PATH];
    json_t *columns;
    int64_t rows;
    if (o->out[0])
        snprintf(path, sizeof path, "%s", o->out);
    else
        snprintf(path, sizeof path, "%.1200s/%s", cli->positional[0],
                 csv ? "metrics.csv" : "records.jsonl"); /* metrics.jsonl is the run's own */
    const vly_status status = write_records(cli->positional[0], path, csv, &columns, &rows);
    if (status != VLY_OK) return vly_cli_fail(status);
    if (strcmp(path, "-"))
        fprintf(cli->people, "%s records of %zu columns in %s\n", vly_thousands(rows),
                json_array_size(columns), path);
    if (cli->json)
        vly_cli_print_json(json_pack("{s:s, s:s, s:I, s:O}", "file", path, "format", o->format,
                                     "records", (json_int_t)rows, "columns", columns));
    json_decref(columns);
    return VLY_EXIT_DONE;
}

static int export_verb(vly_cli *cli) {
    const export_options *o = cli->own;
    char path[VLY_PATH];
    if (!strcmp(o->format, "csv") || !strcmp(o->format, "jsonl")) return export_records(cli);
    weights w = {0};
    vly_checkpoint *c;
    vly_status status = vly_run_open_checkpoint(cli->positional[0], o->best, vly_cli_say,
                                                cli->people, &c);
    if (status != VLY_OK) return vly_cli_fail(status);
    status = export_weights(cli, c, path, sizeof path, &w);
    int code = VLY_EXIT_DONE;
    if (status == VLY_OK) {
        json_t *names = json_array();
        for (int i = 0; i < w.n; i++) json_array_append_new(names, json_string(w.tensors[i].name));
        fprintf(cli->people, "%d tensors of %s in %s (%s layout)\n", w.n, vly_checkpoint_path(c),
                path, o->layout);
        if (cli->json)
            vly_cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:o}", "file", path, "format",
                                         o->format, "layout", o->layout, "checkpoint",
                                         vly_checkpoint_path(c), "tensors", names));
        else
            json_decref(names);
    } else
        code = vly_cli_fail(status);
    vly_checkpoint_close(c);
    free_weights(&w);
    return code;
}

static const vly_option export_table[] = {
    VLY_CLI_TEXT(export_options, format, "safetensors", "safetensors|npz|onnx|csv|jsonl",
                 "of the file"),
    VLY_CLI_TEXT(export_options, layout, "torch", "torch|native",
                 "of convolutions and of the layer that reads them; onnx: of the input"),
    VLY_CLI_TEXT(export_options, out, "", NULL,
                 "file to write; default: RUN/weights.FORMAT, RUN/metrics.csv, RUN/records.jsonl; "
                 "- is standard output for the last two"),
    VLY_CLI_BOOL(export_options, best,
                 "the checkpoint with the best training return instead of the newest"),
    VLY_CLI_BOOL(export_options, accept_config,
                 "onnx: go on although config.yaml is not what the checkpoint was saved with"),
};

const vly_verb vly_verb_export = {
    .name = "export",
    .positional_help = "RUN",
    .summary = "an agent for other programs: weights or an ONNX model; a run's records as CSV",
    .examples = "volley export runs/x --format npz\nvolley export runs/x --format safetensors "
                "--out agent.safetensors\nvolley export runs/x --format onnx --best\n"
                "volley export runs/x --format csv --out - | head",
    .own = export_table,
    .own_count = sizeof export_table / sizeof *export_table,
    .own_bytes = sizeof(export_options),
    .more =
        "Layouts. Linear layers are (out, in) in both. torch: convolutions (out, in, kh, kw), and "
        "the layer after them\n"
        "reads (channel, y, x), as torch.nn.Flatten gives it. native: (out, kh, kw, in) and (y, x, "
        "channel).\n"
        "onnx: the whole network, from `obs` as the environment gives it (uint8 images unscaled; "
        "torch: channels first)\n"
        "to `logits` and, with a critic, `value`; to `q`; or to `action` (td3). An LSTM reads `h`, "
        "`c` and writes `h_next`, `c_next`.\n"
        "Its metadata says how to act. `action` is discrete or multi: a softmax over each of "
        "`choices`, the largest of `q`;\n"
        "or box: means, then log deviations that `deviation` keeps between deviation_low and "
        "deviation_high (td3: none).\n"
        "`squash` takes a mean to [low, high]: clip; stretch, from [-1, 1]; tanh, then stretch. "
        "`reward_scale`: what `value` and\n"
        "`q` are to be divided by. examples/play_onnx.py acts so.\n"
        "csv: metrics.jsonl as a table; a row a record, a column a name, empty where a record "
        "lacks it.\n"
        "jsonl: the same, an object a line.",
    .positional_min = 1,
    .positional_max = 1,
    .run = export_verb,
};
