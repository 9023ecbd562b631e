/* tool.h -- a picture or a film that another program (gnuplot, ffmpeg) makes of what is written to
 * it.
 *
 *   const char *const argv[] = {"gnuplot", "-d", NULL};
 *   vly_tool *t;
 *   VLY_TRY(vly_tool_open(&t, argv, "curves.svg"));
 *   fprintf(vly_tool_input(t), "plot x\n");
 *   VLY_TRY(vly_tool_close(t, VLY_OK));
 *
 * No shell is started, and the tool does not get the path: it writes to its standard output, which is
 * a temporary file beside the path (a tool that seeks opens VLY_TOOL_OUTPUT). vly_tool_close
 * renames the file to its path if the tool succeeded and the file is whole, and removes it
 * otherwise: a full disk leaves what was there before.
 */
#ifndef VLY_CPU_TOOL_H
#define VLY_CPU_TOOL_H
#include <stdbool.h>
#include <stdio.h>
#include "common/base/status.h"

#define VLY_TOOL_OUTPUT "file:/dev/stdout" /* as ffmpeg spells a path that is no option */

typedef struct vly_tool vly_tool;

/* Whether the program is in PATH. */
bool vly_tool_is_there(const char *program);
/* Whether the path ends in `end` and has a name before it. */
bool vly_path_ends_with(const char *path, const char *end);
/* path: .png, .svg, .gif or .mp4; NULL: the tool makes no file. VLY_ENOTFOUND: not installed. */
vly_status vly_tool_open(vly_tool **out, const char *const argv[], const char *path);
FILE *vly_tool_input(vly_tool *t);
/* VLY_EPEER: the tool has ended; vly_tool_close returns the reason. */
vly_status vly_tool_write(vly_tool *t, const void *data, size_t bytes);
/* Waits for the tool. status: of the caller; unless it is VLY_OK or VLY_EPEER the file is dropped
 * and the status returned. */
vly_status vly_tool_close(vly_tool *t, vly_status status);
#endif
