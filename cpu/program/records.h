/* records.h -- the records of a run, read back from its metrics.jsonl.
 *
 *   static vly_status saw(void *arg, const json_t *record) { ... return VLY_OK; }
 *   VLY_TRY(vly_records_each("runs/x", saw, me));
 *   VLY_TRY(vly_records_csv("runs/x", file, &columns, &rows));
 *
 * A line at a time: a run with a million records needs no more memory than one. A last line that
 * was cut off (the run is still writing, or was killed) is passed over.
 */
#ifndef VLY_CPU_RECORDS_H
#define VLY_CPU_RECORDS_H
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include "common/base/status.h"

/* An error of `saw` ends it and is returned. */
vly_status vly_records_each(const char *run, vly_status (*saw)(void *arg, const json_t *record),
                            void *arg);
/* A header with every name that occurs, in the order of its first appearance, then a row a record;
 * empty where a record lacks the name. RFC 4180 with \n. The columns' names: a JSON array, the
 * caller's. */
vly_status vly_records_csv(const char *run, FILE *out, json_t **columns, int64_t *rows);
/* The same as JSON, an object a line: metrics.jsonl without what was cut off. */
vly_status vly_records_json_lines(const char *run, FILE *out, json_t **columns, int64_t *rows);
#endif
