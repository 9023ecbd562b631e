#include "common/record/checkpoint_impl.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/file.h"

enum { LISTED_MAX = 100000 };

static const char PREFIX[] = "step-", SUFFIX[] = ".safetensors", BEST[] = "best.safetensors";

static bool parse_name(const char *name, int64_t *steps) {
    if (strncmp(name, PREFIX, sizeof PREFIX - 1)) return false;
    char *end;
    errno = 0;
    *steps = strtoll(name + sizeof PREFIX - 1, &end, 10);
    return end != name + sizeof PREFIX - 1 && !errno && !strcmp(end, SUFFIX);
}

static int newest_first(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* X.tmp-PID of a process that is gone. */
static void remove_leftover(const char *folder, const char *name) {
    char path[VLY_PATH + 300];
    const char *mark = strstr(name, ".tmp-");
    if (!mark) return;
    long pid = strtol(mark + 5, NULL, 10);
    if (pid <= 0 || (pid != (long)getpid() && (kill((pid_t)pid, 0) == 0 || errno != ESRCH))) return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

/* Steps of the checkpoints in the folder, newest first; freed by the caller. */
static vly_status list_steps(const char *folder, bool clean, int64_t **out, int *count) {
    DIR *dir = opendir(folder);
    if (!dir)
        return vly_fail(errno == ENOENT ? VLY_ENOTFOUND : VLY_EIO, "cannot read the folder %s: %s",
                        folder, strerror(errno));
    int64_t *steps = NULL, s;
    int n = 0;
    for (struct dirent *e; (e = readdir(dir)) && n < LISTED_MAX;) {
        if (clean) remove_leftover(folder, e->d_name);
        if (!parse_name(e->d_name, &s)) continue;
        int64_t *more = realloc(steps, (size_t)(n + 1) * sizeof *more);
        if (!more) {
            closedir(dir);
            free(steps);
            return vly_fail(VLY_ENOMEM, "no memory to list %s", folder);
        }
        (steps = more)[n++] = s;
    }
    closedir(dir);
    if (n) qsort(steps, (size_t)n, sizeof *steps, newest_first);
    *out = steps, *count = n;
    return VLY_OK;
}

static void step_path(const char *folder, int64_t steps, char *path) {
    snprintf(path, VLY_PATH, "%s/%s%012" PRId64 "%s", folder, PREFIX, steps, SUFFIX);
}

/* The best is the same file under a second name, so it costs no second write. */
static vly_status link_best(const char *folder, const char *path, const vly_checkpoint_data *data) {
    char best[VLY_PATH], temporary[VLY_PATH + 32];
    snprintf(best, sizeof best, "%.1200s/%s", folder, BEST);
    snprintf(temporary, sizeof temporary, "%s.tmp-%ld", best, (long)getpid());
    unlink(temporary);
    if (link(path, temporary))
        return vly_checkpoint_write(best, data, NULL); /* a file system without links */
    if (rename(temporary, best)) {
        unlink(temporary);
        return vly_fail(VLY_EIO, "cannot replace %s: %s", best, strerror(errno));
    }
    unlink(temporary); /* rename leaves it when both were one file already */
    return VLY_OK;
}

vly_status vly_checkpoints_save(const char *folder, int64_t steps, int keep, bool best,
                                const vly_checkpoint_data *data, char *path, char *digest) {
    char at[VLY_PATH];
    int64_t *listed = NULL;
    int n = 0;
    if (strlen(folder) + 64 > VLY_PATH)
        return vly_fail(VLY_EINVAL, "the path %.200s... is too long", folder);
    VLY_TRY(vly_file_make_folder(folder));
    step_path(folder, steps, at);
    VLY_TRY(vly_checkpoint_write(at, data, digest));
    if (path) snprintf(path, VLY_PATH, "%s", at);
    if (best) VLY_TRY(link_best(folder, at, data));
    VLY_TRY(list_steps(folder, true, &listed, &n));
    for (int i = 0, kept = 0; i < n; i++) {
        if (kept++ < keep || listed[i] == steps)
            continue; /* the one just written stays, whatever its number */
        step_path(folder, listed[i], at);
        unlink(at);
    }
    free(listed);
    return VLY_OK;
}

vly_status vly_checkpoints_drop_after(const char *folder, int64_t steps) {
    char path[VLY_PATH];
    int64_t *listed = NULL;
    int n = 0;
    if (strlen(folder) + 64 > VLY_PATH)
        return vly_fail(VLY_EINVAL, "the path %.200s... is too long", folder);
    VLY_TRY(list_steps(folder, false, &listed, &n));
    for (int i = 0; i < n && listed[i] > steps; i++) {
        step_path(folder, listed[i], path);
        unlink(path);
    }
    free(listed);
    return VLY_OK;
}

static vly_status open_verified(vly_checkpoint **out, const char *path) {
    vly_checkpoint *c;
    VLY_TRY(vly_checkpoint_open(&c, path));
    vly_status status = vly_checkpoint_verify(c);
    if (status == VLY_OK && !c->format)
        status = vly_checkpoint_damaged(
            c, "it was not written by this program: there is nothing to resume from");
    if (status != VLY_OK) return vly_checkpoint_close(c), status;
    return *out = c, VLY_OK;
}

vly_status vly_checkpoints_open_newest(vly_checkpoint **out, const char *folder,
                                       void (*on_bad)(void *, const char *, const char *),
                                       void *arg) {
    char path[VLY_PATH], words[1024];
    int64_t *listed = NULL;
    int n = 0, bad = 0;
    if (strlen(folder) + 64 > VLY_PATH)
        return vly_fail(VLY_EINVAL, "the path %.200s... is too long", folder);
    VLY_TRY(list_steps(folder, false, &listed, &n));
    vly_status status = VLY_ENOTFOUND;
    for (int i = 0; i <= n && status != VLY_OK; i++) {
        if (i < n)
            step_path(folder, listed[i], path);
        else
            snprintf(path, sizeof path, "%s/%s", folder, BEST);
        status = open_verified(out, path);
        if (status == VLY_OK || (i == n && status == VLY_ENOTFOUND)) break;
        snprintf(words, sizeof words, "%s", vly_error_text());
        bad++;
        if (on_bad) on_bad(arg, path, words);
    }
    free(listed);
    if (status == VLY_OK) return VLY_OK;
    if (!bad) return vly_fail(VLY_ENOTFOUND, "there is no checkpoint in %s", folder);
    return vly_fail(VLY_ECORRUPT, "none of the %d checkpoints in %s is good; the last said: %.600s",
                    bad, folder, words);
}
