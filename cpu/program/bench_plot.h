/* bench_plot.h -- pictures of benchmark results, where a table has what they need.
 *
 *   bool drawn;
 *   for (int i = 0; vly_bench_pictures[i].name; i++)
 *       // drawn: there was something
 *       VLY_TRY(vly_bench_pictures[i].draw(&table, "report-envs-ratios.svg", &drawn));
 *
 * ratios: how many times a peer's speed, a bar for each row and peer (ratio_per_cpu_s, else ratio;
 * times_PEER, ratio_PEER). bandwidth: rows in GB/s, as shares of the copy measured beside them. roofline: rows
 * with flop_per_byte under what that copy and the largest product allow. scaling: rows whose names
 * differ by a number, over it. learning: runs with a curve of steps, seconds, return.
 */
#ifndef VLY_CPU_BENCH_PLOT_H
#define VLY_CPU_BENCH_PLOT_H
#include <stdbool.h>
#include "cpu/program/bench_table.h"

typedef struct {
    const char *name, *words; /* words: below the picture */
    vly_status (*draw)(const vly_bench_table *t, const char *path, bool *drawn);
} vly_bench_picture;

extern const vly_bench_picture vly_bench_pictures[];
#endif
