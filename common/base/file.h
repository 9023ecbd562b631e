/* file.h -- whole files: read within a limit, replaced so that a crash leaves the old or the new
 * one.
 *
 *   char *text; size_t bytes;
 *   VLY_TRY(vly_file_read("run.yaml", 1 << 20, &text, &bytes));   // text[bytes] is 0; free(text)
 *   VLY_TRY(vly_file_replace("config.yaml", text, bytes));
 */
#ifndef VLY_COMMON_BASE_FILE_H
#define VLY_COMMON_BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "common/base/status.h"

/* A larger file, a folder or a missing one is an error that names it. */
vly_status vly_file_read(const char *path, size_t limit, char **out, size_t *bytes);
/* For reading in parts, like fopen; a pipe is refused without waiting for it. NULL: *status. */
FILE *vly_file_open(const char *path, vly_status *status);
/* The same of a file, a device, or a pipe that somebody else has opened: nobody is waited for. A pipe
 * without a writer is empty; one without a reader cannot be written. */
FILE *vly_file_open_input(const char *path, vly_status *status);
FILE *vly_file_open_output(const char *path, vly_status *status);
/* The next line of a file that is read in parts, its end included; `line` counts them from 1, for
 * messages. *there false: there was none. VLY_EINVAL where it does not fit. */
vly_status vly_file_line(FILE *file, const char *path, size_t line, char *text, size_t bytes,
                         bool *there);
/* A file of a run's own folder, with O_WRONLY or O_RDWR: made where it is missing; a link, a pipe, a
 * device and a folder are refused. -1: *status. */
int vly_file_open_own(const char *path, int flags, vly_status *status);
/* Whether something is there that is no file: a folder, a device, a pipe. */
bool vly_file_is_odd(const char *path);
/* Written beside it, fsynced, renamed over it, folder fsynced. VLY_ENOSPACE when the disk is full:
 * the old file is as it was. */
vly_status vly_file_replace(const char *path, const void *data, size_t bytes);

/* The steps of vly_file_replace, for files that are written in parts. */
/* Opens path.tmp-PID; returns the descriptor or -1 with the error set in *status. What is at `path`
 * and is no file (a folder, /dev/full, a link) is refused. */
int vly_file_begin(const char *path, char *temporary, size_t temporary_bytes, vly_status *status);
vly_status vly_file_write(int fd, const void *data, size_t bytes, const char *path);
/* fsync, close, rename, fsync of the folder; on any failure the temporary is removed. */
vly_status vly_file_commit(int fd, const char *temporary, const char *path);
void vly_file_abort(int fd, const char *temporary);
/* For a handler of a signal that ends the process: removes what was begun. `temporary` stays the caller's,
 * and where it was, until the file is committed or aborted. */
void vly_file_abandon(void);

/* mkdir -p. */
vly_status vly_file_make_folder(const char *path);
/* The same; where `path` is a link to a folder it is refused. */
vly_status vly_file_make_own_folder(const char *path);
#endif
