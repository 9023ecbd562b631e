/* bench_report.h -- files of benchmark results become one report: `volley bench report FILES...
 * --out REPORT.md`.
 *
 * NAME.md: a section for each file, tables, and pictures NAME-FILE-KIND.svg beside it where gnuplot
 * is here. NAME.svg or NAME.png: the pictures alone, NAME-FILE-KIND.
 */
#ifndef VLY_CPU_BENCH_REPORT_H
#define VLY_CPU_BENCH_REPORT_H
#include <jansson.h>
#include "common/base/status.h"

/* written: a JSON array of the files that were made. The name of each is printed on `people`. */
vly_status vly_bench_report(const char *const *files, int count, const char *out, FILE *people,
                            json_t *written);
#endif
