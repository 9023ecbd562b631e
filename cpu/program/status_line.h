/* status_line.h -- the run on the screen: redrawn on a terminal, a line now and then on a pipe.
 *
 *   vly_status_line *l = vly_status_line_create(out, VLY_METRICS_STATUS_AUTO, 10, "cartpole ppo");
 *   vly_status_line_update(l, metrics);     // as often as you like
 *   vly_status_line_stop(l);                // leaves the last state on the screen
 *   vly_status_line_end(l);
 *
 * What a pipe or terminal has no room for is left out: training does not wait for its reader.
 * It reads the metrics registry alone (common/record/metrics.h).
 */
#ifndef VLY_CPU_STATUS_LINE_H
#define VLY_CPU_STATUS_LINE_H
#include <stdio.h>
#include "common/record/metrics.h"

typedef struct vly_status_line vly_status_line;

/* kind: VLY_METRICS_STATUS_* of common/config/config.h. NULL when there is no memory, which every
 * function takes. */
vly_status_line *vly_status_line_create(FILE *out, int kind, double plain_s, const char *title);
void vly_status_line_update(vly_status_line *l, vly_metrics *m);
/* Prints a line of its own above the live part. */
void vly_status_line_say(vly_status_line *l, const char *text);
/* What is on the screen stays, and text may be printed below it. */
void vly_status_line_stop(vly_status_line *l);
void vly_status_line_end(vly_status_line *l);
#endif
