#include "cpu/program/records.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/record/checkpoint.h"
#include "cpu/program/cli.h"

enum { LINE_MOST = 1 << 20 };

/* False at the end, and where a line is longer than there is room for: *whole is false then. */
static bool read_record_line(FILE *in, char *line, bool *whole) {
    int n = 0, c;
    while ((c = getc_unlocked(in)) != EOF && c != '\n') {
        if (n == LINE_MOST - 1) return *whole = false;
        line[n++] = (char)c;
    }
    line[n] = '\0';
    return c != EOF || n > 0;
}

vly_status vly_records_each(const char *run, vly_status (*saw)(void *arg, const json_t *record),
                            void *arg) {
    char path[VLY_PATH + 32];
    bool whole = true;
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    vly_status status = VLY_OK;
    FILE *in = vly_file_open(path, &status);
    if (!in) return status;
    char *line = malloc(LINE_MOST);
    if (!line) status = vly_fail(VLY_ENOMEM, "no memory to read %s", path);
    while (status == VLY_OK && read_record_line(in, line, &whole)) {
        json_t *record = json_loads(line, 0, NULL);
        if (json_is_object(record)) status = saw(arg, record);
        json_decref(record);
    }
    if (status == VLY_OK && !whole)
        status = vly_fail(VLY_ECORRUPT, "%s has a line of more than %d bytes: it is damaged", path,
                          LINE_MOST - 1);
    if (status == VLY_OK && ferror(in))
        status = vly_fail(VLY_EIO, "cannot read %s: %s", path, strerror(errno));
    free(line);
    fclose(in);
    return status;
}

typedef struct {
    json_t *columns, *known; /* known: an object, to look names up in */
    FILE *out;
    int64_t rows;
} table;

static vly_status note_columns(void *arg, const json_t *record) {
    table *t = arg;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)record, name, value) {
        if (json_object_get(t->known, name)) continue;
        json_object_set_new(t->known, name, json_true());
        json_array_append_new(t->columns, json_string(name));
    }
    return VLY_OK;
}

/* Standard output may be a terminal: a control character becomes '?'. */
static void put_text(FILE *out, const char *text) {
    const bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    unsigned char last = 0;
    if (quoted) fputc('"', out);
    for (; *text; text++) {
        char c = *text;
        last = vly_text_plain(&c, 1, last);
        if (c == '"') fputc('"', out);
        fputc(c, out);
    }
    if (quoted) fputc('"', out);
}

static void put_cell(FILE *out, const json_t *value) {
    if (json_is_integer(value))
        fprintf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        fprintf(out, "%.9g", json_real_value(value)); /* the digits of metrics.jsonl */
    else if (json_is_string(value))
        put_text(out, json_string_value(value));
}

static vly_status put_csv_row(void *arg, const json_t *record) {
    table *t = arg;
    size_t i;
    json_t *name;
    json_array_foreach(t->columns, i, name) {
        if (i) fputc(',', t->out);
        put_cell(t->out, json_object_get(record, json_string_value(name)));
    }
    fputc('\n', t->out);
    t->rows++;
    return VLY_OK;
}

static void put_header(const table *t) {
    size_t i;
    json_t *name;
    json_array_foreach(t->columns, i, name) {
        if (i) fputc(',', t->out);
        put_text(t->out, json_string_value(name));
    }
    fputc('\n', t->out);
}

static vly_status put_line(void *arg, const json_t *record) {
    table *t = arg;
    json_dump_callback(record, vly_json_put, t->out,
                       JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
    fputc('\n', t->out);
    t->rows++;
    return VLY_OK;
}

static vly_status put_records(const char *run, FILE *out, bool csv, json_t **columns,
                              int64_t *rows) {
    table t = {.columns = json_array(), .known = json_object(), .out = out};
    vly_status status = vly_records_each(run, note_columns, &t);
    if (status == VLY_OK && json_array_size(t.columns) == 0)
        status = vly_fail(VLY_ENOTFOUND, "%s/metrics.jsonl holds no record yet", run);
    if (status == VLY_OK && csv) put_header(&t);
    if (status == VLY_OK) status = vly_records_each(run, csv ? put_csv_row : put_line, &t);
    json_decref(t.known);
    *rows = t.rows;
    *columns = t.columns;
    if (status != VLY_OK) json_decref(t.columns), *columns = NULL;
    return status;
}

vly_status vly_records_csv(const char *run, FILE *out, json_t **columns, int64_t *rows) {
    return put_records(run, out, true, columns, rows);
}

vly_status vly_records_json_lines(const char *run, FILE *out, json_t **columns, int64_t *rows) {
    return put_records(run, out, false, columns, rows);
}
