/* bench_table.h -- a file of benchmark results as a table, whatever program wrote it.
 *
 *   vly_bench_table t;
 *   VLY_TRY(vly_bench_table_read(&t, "benchmarks/results/envs.json"));
 *   vly_bench_table_print(&t, stdout);                       // Markdown
 *   json_array_foreach(t.rows, i, row) ... json_object_get(row, "ratio")
 *   vly_bench_table_close(&t);
 *
 * A file is an object with a list of objects in it (results, rows, rounds or runs; or an object of
 * objects), or several such objects by name, or facts alone; its other members say what was run,
 * where and when. Objects inside a row become columns "volley.median"; a list of objects inside a
 * row (peers) becomes a row for each. An object with median, min and max is one column: "median
 * (min to max)". Lists of numbers, the single measurements, are left out.
 */
#ifndef VLY_CPU_BENCH_TABLE_H
#define VLY_CPU_BENCH_TABLE_H
#include <jansson.h>
#include <stdio.h>
#include "common/base/status.h"

typedef struct {
    char name[96];   /* "envs" */
    json_t *file;    /* as it was read */
    json_t *facts;   /* its other members, flat: command, hardware, commit ... */
    json_t *rows;    /* flat objects */
    json_t *columns; /* names, in order of appearance */
} vly_bench_table;

vly_status vly_bench_table_read(vly_bench_table *t, const char *path);
void vly_bench_table_close(vly_bench_table *t);
/* What was run and where, then the rows; more than 60 rows are summed up column by column. */
void vly_bench_table_print(const vly_bench_table *t, FILE *out);
/* Of a cell: a number, or the median of a range; NAN: neither. */
double vly_bench_median(const json_t *cell);
/* 83.3 M, 0.0124, 475. */
void vly_bench_number(double value, char *text, size_t bytes);
#endif
