#include "cpu/program/bench_table.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/file.h"

enum { ROWS_SHOWN = 60, CELL = 256 };

/* ---- reading ---- */

static bool is_scalar(const json_t *v) {
    return !json_is_object(v) && !json_is_array(v);
}
static bool is_rows(const json_t *v) {
    return json_is_array(v) && json_is_object(json_array_get(v, 0));
}

static void put_flat(json_t *to, const char *prefix, json_t *from);

double vly_bench_median(const json_t *v) {
    const json_t *median = json_is_object(v) ? json_object_get(v, "median") : v;
    return json_is_number(median) ? json_number_value(median) : NAN;
}

static bool is_range(const json_t *v) {
    return json_is_number(json_object_get(v, "median")) &&
           json_is_number(json_object_get(v, "min")) && json_is_number(json_object_get(v, "max"));
}

/* A median with its range is one column; what else is beside them is a column each. */
static void put_range(json_t *to, const char *name, json_t *from) {
    json_object_set_new(to, name,
                        json_pack("{s:O, s:O, s:O}", "median", json_object_get(from, "median"),
                                  "min", json_object_get(from, "min"), "max",
                                  json_object_get(from, "max")));
    json_t *rest = json_copy(from);
    json_object_del(rest, "median"), json_object_del(rest, "min"), json_object_del(rest, "max");
    put_flat(to, name, rest);
    json_decref(rest);
}

static void put_flat(json_t *to, const char *prefix, json_t *from) {
    const char *key;
    json_t *value;
    char name[CELL];
    json_object_foreach(from, key, value) {
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (is_range(value))
            put_range(to, name, value);
        else if (json_is_object(value))
            put_flat(to, name, value);
        else if (is_scalar(value))
            json_object_set(to, name, value);
    }
}

/* A row, or, of a list of objects inside it, a row for each. */
static void add_row(json_t *rows, json_t *from) {
    const char *key;
    json_t *value, *one, *flat = json_object();
    put_flat(flat, "", from);
    bool split = false;
    json_object_foreach(from, key, value) {
        size_t i;
        if (!is_rows(value) || split) continue;
        split = true;
        json_array_foreach(value, i, one) {
            json_t *row = json_copy(flat);
            put_flat(row, "peer", one);
            json_array_append_new(rows, row);
        }
    }
    if (!split) json_array_append(rows, flat);
    json_decref(flat);
}

static void add_named_rows(json_t *rows, json_t *from) {
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value) {
        json_t *row = json_pack("{s:s}", "name", key);
        json_object_update_missing(row, value);
        add_row(rows, row);
        json_decref(row);
    }
}

static const char *rows_member(json_t *file) {
    static const char *const names[] = {"results", "rows", "rounds", "runs"};
    for (int i = 0; i < 4; i++)
        if (is_rows(json_object_get(file, names[i])) ||
            (i == 0 && json_is_object(json_object_get(file, names[i]))))
            return names[i];
    return NULL;
}

/* Under their own names, and under name.member where a member before says otherwise. */
static void add_member_facts(json_t *facts, const char *name, json_t *member) {
    const char *key;
    json_t *value;
    char own[CELL];
    json_object_foreach(member, key, value) {
        json_t *known = json_object_get(facts, key);
        if (!is_scalar(value) || (known && json_equal(known, value))) continue;
        snprintf(own, sizeof own, "%s.%s", name, key);
        json_object_set(facts, known ? own : key, value);
    }
}

/* A file of several: each member is what a file of its own would be (learning tables). */
static void add_members(json_t *rows, json_t *facts, json_t *file) {
    const char *key;
    json_t *value, *one;
    json_object_foreach(file, key, value) {
        const char *name = json_is_object(value) ? rows_member(value) : NULL;
        size_t i;
        if (!name) {
            if (is_scalar(value))
                json_object_set(facts, key, value);
            else if (json_is_object(value))
                put_flat(facts, key, value);
            continue;
        }
        add_member_facts(facts, key, value);
        json_array_foreach(json_object_get(value, name), i, one) {
            json_t *row = json_pack("{s:s}", "name", key);
            json_object_update_missing(row, one);
            add_row(rows, row);
            json_decref(row);
        }
    }
}

static void find_columns(vly_bench_table *t) {
    size_t i;
    json_t *row, *value, *known = json_object();
    const char *key;
    json_array_foreach(t->rows, i, row) json_object_foreach(row, key, value) {
        if (json_object_get(known, key)) continue;
        json_object_set_new(known, key, json_true());
        json_array_append_new(t->columns, json_string(key));
    }
    json_decref(known);
}

vly_status vly_bench_table_read(vly_bench_table *t, const char *path) {
    json_error_t error;
    memset(t, 0, sizeof *t);
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const size_t length = strlen(base);
    const bool json = length > 5 && !strcmp(base + length - 5, ".json");
    snprintf(t->name, sizeof t->name, "%.*s", (int)(json ? length - 5 : length), base);
    for (char *dot = t->name; (dot = strchr(dot, '.')) != NULL;) *dot = '_'; /* a link's target */
    char *text;
    size_t bytes;
    VLY_TRY(vly_file_read(path, (size_t)256 << 20, &text, &bytes));
    t->file = json_loadb(text, bytes, 0, &error);
    if (!t->file) { /* what `volley bench --json >FILE` leaves when words came before: the last line
                     */
        while (bytes && (text[bytes - 1] == '\n' || text[bytes - 1] == ' ')) text[--bytes] = '\0';
        const char *line = strrchr(text, '\n');
        t->file = line ? json_loads(line + 1, 0, NULL) : NULL;
    }
    free(text);
    if (!t->file)
        return vly_fail(VLY_EINVAL, "%s is not JSON: line %d: %.200s", path, error.line,
                        error.text);
    if (!json_is_object(t->file))
        return vly_bench_table_close(t),
               vly_fail(VLY_EINVAL, "%s is not an object of results", path);
    t->facts = json_object(), t->rows = json_array(), t->columns = json_array();
    const char *name = rows_member(t->file);
    if (name) {
        json_t *rows = json_object_get(t->file, name), *one, *rest = json_copy(t->file);
        size_t i;
        if (json_is_object(rows)) add_named_rows(t->rows, rows);
        json_array_foreach(rows, i, one) add_row(t->rows, one);
        json_object_del(rest, name);
        put_flat(t->facts, "", rest);
        json_decref(rest);
    } else
        add_members(t->rows, t->facts, t->file);
    if (json_array_size(t->rows) + json_object_size(t->facts) == 0)
        return vly_bench_table_close(t), vly_fail(VLY_EINVAL, "%s holds nothing to show", path);
    find_columns(t);
    return VLY_OK;
}

void vly_bench_table_close(vly_bench_table *t) {
    json_decref(t->file), json_decref(t->facts), json_decref(t->rows), json_decref(t->columns);
    memset(t, 0, sizeof *t);
}

/* ---- printing ---- */

void vly_bench_number(double v, char *text, size_t bytes) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    int k = 0;
    if (fabs(v) >= 1e4)
        for (; k < 4 && fabs(v) >= 999.5; k++) v /= 1000;
    if (k == 0 && v == floor(v))
        snprintf(text, bytes, "%.0f", v);
    else
        snprintf(text, bytes, fabs(v) >= 100 ? "%.0f%s" : "%.3g%s", v, units[k]);
}

/* "23.5 M (22.4 M to 24.2 M)" */
static void range_cell(const json_t *v, char *text, size_t bytes) {
    char median[32], min[32], max[32];
    vly_bench_number(vly_bench_median(v), median, sizeof median);
    vly_bench_number(json_number_value(json_object_get(v, "min")), min, sizeof min);
    vly_bench_number(json_number_value(json_object_get(v, "max")), max, sizeof max);
    snprintf(text, bytes, "%s (%s to %s)", median, min, max);
}

static void cell(const json_t *v, char *text, size_t bytes) {
    size_t n = 0;
    if (is_range(v)) {
        range_cell(v, text, bytes);
        return;
    }
    if (json_is_number(v))
        vly_bench_number(json_number_value(v), text, bytes);
    else if (json_is_boolean(v))
        snprintf(text, bytes, "%s", json_is_true(v) ? "yes" : "no");
    else if (json_is_string(v)) {
        for (const char *p = json_string_value(v); *p && n + 2 < bytes; p++) {
            if (*p == '|') text[n++] = '\\';
            text[n++] = *p == '\n' ? ' ' : *p;
        }
        text[n] = '\0';
    } else
        text[0] = '\0';
}

/* Facts that are of no use to a reader of the report. */
static bool is_dull(const char *name) {
    static const char *const parts[] = {"libraries",      "cpu_features", "kernel",
                                        "compiler",       "memory_bytes", "cuda_driver",
                                        "system.version", "suite"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i])) return true;
    return false;
}

/* Twelve digits, and "-dirty" if it is there. */
static void shorten_commit(char *text) {
    const size_t digits = strspn(text, "0123456789abcdef");
    if (digits > 12) memmove(text + 12, text + digits, strlen(text + digits) + 1);
}

static void print_facts(const vly_bench_table *t, FILE *out) {
    const char *key, *command = json_string_value(json_object_get(t->facts, "command")),
                     *note = json_string_value(json_object_get(t->facts, "note"));
    json_t *value;
    char text[CELL];
    int n = 0;
    if (command) fprintf(out, "    %s\n\n", command);
    json_object_foreach(t->facts, key, value) {
        cell(value, text, sizeof text);
        if (!strcmp(key, "command") || !strcmp(key, "note") || is_dull(key) || !*text) continue;
        if (!strcmp(key, "commit")) shorten_commit(text);
        fprintf(out, "%s%s: %s", n++ ? " · " : "", key, text);
    }
    fprintf(out, "%s\n", n ? "\n" : "");
    if (note) fprintf(out, "%s.\n\n", note);
}

/* The value that every row has, or NULL. */
static const json_t *constant(const vly_bench_table *t, const char *column) {
    const json_t *first = json_object_get(json_array_get(t->rows, 0), column);
    size_t i;
    json_t *row;
    if (json_array_size(t->rows) < 2) return NULL;
    json_array_foreach(t->rows, i,
                       row) if (!first ||
                                !json_equal(first, json_object_get(row, column))) return NULL;
    return first;
}

static void print_constants(const vly_bench_table *t, FILE *out) {
    size_t i;
    json_t *name;
    char text[CELL];
    int n = 0;
    json_array_foreach(t->columns, i, name) {
        const json_t *v = constant(t, json_string_value(name));
        if (!v) continue;
        cell(v, text, sizeof text);
        fprintf(out, "%s%s %s", n++ ? ", " : "In all rows: ", json_string_value(name), text);
    }
    if (n) fputs(".\n\n", out);
}

static void print_rows(const vly_bench_table *t, FILE *out) {
    size_t i, k;
    json_t *name, *row;
    char text[CELL];
    int columns = 0;
    json_array_foreach(t->columns, i, name) if (!constant(t, json_string_value(name)))
        fprintf(out, "| %s ", json_string_value(name)),
        columns++;
    if (!columns) return;
    fputs("|\n", out);
    for (int c = 0; c < columns; c++) fputs("|---", out);
    fputs("|\n", out);
    json_array_foreach(t->rows, k, row) {
        json_array_foreach(t->columns, i, name) {
            if (constant(t, json_string_value(name))) continue;
            cell(json_object_get(row, json_string_value(name)), text, sizeof text);
            fprintf(out, "| %s ", text);
        }
        fputs("|\n", out);
    }
    fputc('\n', out);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_column_summary(const vly_bench_table *t, const char *name, double *numbers,
                                 FILE *out) {
    size_t i, n = 0, yes = 0, no = 0;
    json_t *row;
    char low[32], middle[32], high[32];
    json_array_foreach(t->rows, i, row) {
        const json_t *v = json_object_get(row, name);
        if (isfinite(vly_bench_median(v))) numbers[n++] = vly_bench_median(v);
        yes += json_is_true(v), no += json_is_false(v);
    }
    if (yes + no) fprintf(out, "| %s | yes in %zu, no in %zu | | |\n", name, yes, no);
    if (!n) return;
    qsort(numbers, n, sizeof *numbers, ascending);
    vly_bench_number(numbers[0], low, sizeof low);
    vly_bench_number(numbers[n / 2], middle, sizeof middle);
    vly_bench_number(numbers[n - 1], high, sizeof high);
    fprintf(out, "| %s | %s | %s | %s |\n", name, low, middle, high);
}

static void print_table_summary(const vly_bench_table *t, FILE *out) {
    size_t i, bytes;
    json_t *name;
    char *text;
    double *numbers = malloc(json_array_size(t->rows) * sizeof *numbers);
    FILE *lines = open_memstream(&text, &bytes);
    if (numbers && lines)
        json_array_foreach(t->columns, i, name) if (!constant(t, json_string_value(name)))
            print_column_summary(t, json_string_value(name), numbers, lines);
    free(numbers);
    if (!lines) return;
    const bool written = fclose(lines) == 0;
    fprintf(out, "%zu rows", json_array_size(t->rows));
    if (written && bytes)
        fprintf(out, ", summed up.\n\n| column | least | median | most |\n|---|---|---|---|\n%s\n",
                text);
    else
        fputs(".\n\n", out);
    free(text);
}

void vly_bench_table_print(const vly_bench_table *t, FILE *out) {
    fprintf(out, "## %s\n\n", t->name);
    print_facts(t, out);
    print_constants(t, out);
    if (json_array_size(t->rows) == 0) return;
    if (json_array_size(t->rows) > ROWS_SHOWN)
        print_table_summary(t, out);
    else
        print_rows(t, out);
}
