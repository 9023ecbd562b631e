#include "cpu/program/bench_report.h"
#include <stdlib.h>
#include <string.h>
#include "common/record/checkpoint.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "cpu/program/bench_plot.h"
#include "cpu/program/bench_table.h"
#include "cpu/program/output.h"
#include "cpu/program/tool.h"

typedef struct {
    char stem[VLY_PATH]; /* of --out, without its end */
    const char *end;     /* of pictures */
    FILE *people;
    json_t *written;
} report;

static void note(const report *r, const char *path) {
    fprintf(r->people, "%s\n", path);
    json_array_append_new(r->written, json_string(path));
}

/* Links are relative: the pictures lie beside the report. */
static vly_status add_pictures(const report *r, const vly_bench_table *t, FILE *out) {
    char path[VLY_PATH + 200];
    for (int i = 0; vly_bench_pictures[i].name; i++) {
        bool drawn;
        snprintf(path, sizeof path, "%s-%s-%s%s", r->stem, t->name, vly_bench_pictures[i].name,
                 r->end);
        VLY_TRY(vly_bench_pictures[i].draw(t, path, &drawn));
        if (!drawn) continue;
        const char *slash = strrchr(path, '/');
        if (out)
            fprintf(out, "![%s: %s](%s)\n\n", t->name, vly_bench_pictures[i].words,
                    slash ? slash + 1 : path);
        note(r, path);
    }
    return VLY_OK;
}

static vly_status write_sections(const report *r, const char *const *files, int count, FILE *out,
                                 bool pictures) {
    for (int i = 0; i < count; i++) {
        vly_bench_table t;
        VLY_TRY(vly_bench_table_read(&t, files[i]));
        if (out) vly_bench_table_print(&t, out);
        const vly_status status = pictures ? add_pictures(r, &t, out) : VLY_OK;
        vly_bench_table_close(&t);
        VLY_TRY(status);
    }
    return VLY_OK;
}

/* Links to the sections, and files that cannot be read found before anything is drawn. */
static vly_status write_contents(const char *const *files, int count, FILE *out) {
    for (int i = 0; i < count; i++) {
        vly_bench_table t;
        VLY_TRY(vly_bench_table_read(&t, files[i]));
        fprintf(out, "%s[%s](#%s)", i ? " · " : "", t.name, t.name);
        vly_bench_table_close(&t);
    }
    fputs("\n\n", out);
    return VLY_OK;
}

static vly_status write_text(const report *r, const char *const *files, int count,
                             const char *out) {
    char *text;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    if (!f) return vly_fail(VLY_ENOMEM, "no memory for a report");
    const bool pictures = vly_tool_is_there("gnuplot");
    fprintf(f,
            "# Measurements\n\nWritten by `volley bench report FILES... --out REPORT.md` from "
            "the files of results named in the headings.\nA section begins with what its file says "
            "of command, hardware, commit and date.\n\n");
    if (!pictures)
        fprintf(r->people, "no pictures: gnuplot is not installed (apt-get install gnuplot-nox)\n");
    vly_status status = write_contents(files, count, f);
    if (status == VLY_OK) status = write_sections(r, files, count, f, pictures);
    if (fclose(f) && status == VLY_OK) status = vly_fail(VLY_ENOMEM, "no memory for a report");
    if (status == VLY_OK) vly_text_plain(text, bytes, 0); /* a page is read in terminals too */
    if (status == VLY_OK) status = vly_file_replace(out, text, bytes);
    if (status == VLY_OK) note(r, out);
    free(text);
    return status;
}

vly_status vly_bench_report(const char *const *files, int count, const char *out, FILE *people,
                            json_t *written) {
    report r = {.people = people, .written = written, .end = ".svg"};
    const char *end = strrchr(out, '.');
    const bool text = end && !strcmp(end, ".md");
    if (!text && !(end && (!strcmp(end, ".svg") || !strcmp(end, ".png"))))
        return vly_fail(VLY_EINVAL, "--out %s: the name has to end in .md, .svg or .png", out);
    snprintf(r.stem, sizeof r.stem, "%.*s", (int)(end - out), out);
    VLY_TRY(vly_output_check(out));
    if (text) return write_text(&r, files, count, out);
    r.end = end;
    VLY_TRY(write_sections(&r, files, count, NULL, true));
    return json_array_size(written)
               ? VLY_OK
               : vly_fail(
                     VLY_EINVAL,
                     "nothing in these files makes a picture; --out NAME.md writes their tables");
}
