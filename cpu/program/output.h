/* output.h -- where a verb may write, and how text reaches people.
 *
 *   VLY_TRY(vly_output_check(o->out));       // before --out FILE is written
 *   FILE *people = vly_people_open(stdout);  // ... fprintf(people, "run: %s\n", name);
 * fclose(people);
 */
#ifndef VLY_CPU_OUTPUT_H
#define VLY_CPU_OUTPUT_H
#include <stdio.h>
#include "common/base/status.h"

/* VLY_EINVAL: the path is a checkpoint of a run, or a run's settings or records. */
vly_status vly_output_check(const char *path);

/* A stream to `target` that replaces control characters, so that no name moves a terminal's cursor.
 * One at a time; closing it leaves the target open. NULL: no memory. */
FILE *vly_people_open(FILE *target);
/* The target of such a stream, for what draws with control characters; any other stream is
 * returned as it is. */
FILE *vly_people_raw(FILE *people);
#endif
