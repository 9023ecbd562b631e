#include <string.h>
#include <sys/stat.h>
#include "common/record/checkpoint.h"
#include "cpu/run/run_folder.h"
#include "cpu/program/verbs.h"

static void shape_text(const vly_array *t, char *text, size_t bytes) {
    size_t used = (size_t)snprintf(text, bytes, "(");
    for (int i = 0; i < t->ndim && used < bytes; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%lld", i ? ", " : "",
                                 (long long)t->shape[i]);
    if (used < bytes) snprintf(text + used, bytes - used, ")");
}

static void print_people(FILE *out, const vly_checkpoint *c) {
    char shape[128];
    size_t total = 0;
    fprintf(out, "%s%s\n", vly_checkpoint_path(c),
            vly_checkpoint_is_ours(c) ? "" : " (written by another program)");
    for (int i = 0; i < vly_checkpoint_notes(c); i++)
        fprintf(out, "  %-18s %s\n", vly_checkpoint_note(c, i)->name,
                vly_checkpoint_note(c, i)->value);
    if (vly_checkpoint_is_ours(c)) fprintf(out, "  %-18s %s\n", "digest", vly_checkpoint_digest(c));
    fprintf(out, "\n%-40s %-5s %-22s %14s  %s\n", "tensor", "type", "shape", "bytes", "xxh3");
    for (int i = 0; i < vly_checkpoint_tensors(c); i++) {
        const vly_array *t = vly_checkpoint_tensor(c, i);
        shape_text(t, shape, sizeof shape);
        total += vly_array_bytes(t);
        fprintf(out, "%-40s %-5s %-22s %14s  %s\n", t->name, vly_dtype_name(t->dtype), shape,
                vly_thousands((int64_t)vly_array_bytes(t)), vly_checkpoint_checksum(c, i));
    }
    fprintf(out, "%d tensors, %s bytes, all checksums good\n", vly_checkpoint_tensors(c),
            vly_thousands((int64_t)total));
}

static json_t *tensor_json(const vly_checkpoint *c, int i) {
    const vly_array *t = vly_checkpoint_tensor(c, i);
    json_t *shape = json_array();
    for (int k = 0; k < t->ndim; k++) json_array_append_new(shape, json_integer(t->shape[k]));
    return json_pack("{s:s, s:s, s:o, s:I, s:s, s:b}", "name", t->name, "dtype",
                     vly_dtype_name(t->dtype), "shape", shape, "bytes",
                     (json_int_t)vly_array_bytes(t), "xxh3", vly_checkpoint_checksum(c, i), "state",
                     t->state);
}

static json_t *checkpoint_json(const vly_checkpoint *c) {
    static const char *const counters[] = {"steps", "updates", "episodes", "seed"};
    json_t *tensors = json_array(), *notes = json_object(), *counts = json_object();
    for (int i = 0; i < vly_checkpoint_tensors(c); i++)
        json_array_append_new(tensors, tensor_json(c, i));
    for (int i = 0; i < vly_checkpoint_notes(c); i++)
        json_object_set_new(notes, vly_checkpoint_note(c, i)->name,
                            json_string(vly_checkpoint_note(c, i)->value));
    for (int i = 0; i < 4; i++) {
        int64_t value;
        if (vly_checkpoint_note_int(c, counters[i], &value) == VLY_OK)
            json_object_set_new(counts, counters[i], json_integer(value));
    }
    return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "checkpoint", vly_checkpoint_path(c),
                     "digest", vly_checkpoint_digest(c), "ours", vly_checkpoint_is_ours(c),
                     "counters", counts, "notes", notes, "tensors", tensors);
}

static void offer_newest(const char *path) {
    char folder[VLY_PATH];
    vly_checkpoint *good;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash) return;
    *slash = '\0';
    if (vly_checkpoints_open_newest(&good, folder, NULL, NULL) != VLY_OK) return;
    fprintf(stderr, "volley: the newest good checkpoint there is %s\n", vly_checkpoint_path(good));
    vly_checkpoint_close(good);
}

static int inspect(vly_cli *cli) {
    vly_checkpoint *c;
    vly_status status = vly_run_open_checkpoint(cli->positional[0], false, vly_cli_say, cli->people,
                                                &c);
    if (status != VLY_OK) {
        int code = vly_cli_fail(status);
        if (status == VLY_ECORRUPT || status == VLY_EVERSION) offer_newest(cli->positional[0]);
        return code;
    }
    print_people(cli->people, c);
    if (cli->json) vly_cli_print_json(checkpoint_json(c));
    vly_checkpoint_close(c);
    return VLY_EXIT_DONE;
}

const vly_verb vly_verb_inspect = {
    .name = "inspect",
    .positional_help = "CHECKPOINT",
    .summary = "what a checkpoint holds: tensors, checksums, counters, digest",
    .examples = "volley inspect runs/x/checkpoints/best.safetensors\nvolley inspect runs/x --json",
    .more = "A run's folder stands for its newest good checkpoint. The digest covers everything "
            "that decides how\n"
            "training goes on, and no times, paths or hosts.",
    .positional_min = 1,
    .positional_max = 1,
    .run = inspect,
};
