/* bench_record.h -- what results of `volley bench` say about themselves, and when they may be
 * recorded; benchmarks/measured.py is the same for scripts.
 *
 *   vly_bench_record r = {.suite = "envs", .command = "volley bench envs --json",
 *                         .path = "envs.json"};
 *   VLY_TRY(vly_bench_record_begin(&r));                    // refuses before anything is measured
 *   ... measure ...
 *   json_t *file = vly_bench_record_json(&r, results);      // command, commit, load ... results
 *   VLY_TRY(vly_bench_record_write(&r, file));              // refuses what others disturbed
 *
 * Without a path nothing is refused and nothing is written.
 */
#ifndef VLY_CPU_BENCH_RECORD_H
#define VLY_CPU_BENCH_RECORD_H
#include <jansson.h>
#include <stdbool.h>
#include "common/record/bench.h"

typedef struct {
    const char *suite, *command, *path; /* path: "" for none; borrowed */
    bool busy;                          /* record although others use the machine */
    vly_bench_load before;
    double load; /* processors that others used while it was measured */
} vly_bench_record;

vly_status vly_bench_record_begin(vly_bench_record *r);
/* The caller's reference. Ends the time in which the load of others is taken. */
json_t *vly_bench_record_json(vly_bench_record *r, json_t *results);
vly_status vly_bench_record_write(const vly_bench_record *r, const json_t *file);
#endif
