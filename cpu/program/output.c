#define _GNU_SOURCE /* fopencookie */
#include "cpu/program/output.h"
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include "common/base/text.h"
#include "common/record/checkpoint.h"

/* ---- files that are not overwritten ---- */

/* An exported file has our format too, but nothing to resume from: no note of a configuration. */
static bool is_run_checkpoint(const char *path) {
    vly_checkpoint *c;
    if (access(path, F_OK) || vly_checkpoint_open(&c, path) != VLY_OK) return false;
    const bool found = vly_checkpoint_is_ours(c) && vly_checkpoint_note_text(c, "config");
    vly_checkpoint_close(c);
    return found;
}

static bool is_run_file(const char *path) {
    static const char *const names[] = {"config.yaml", "metrics.jsonl", "system.json"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char settings[VLY_PATH + 16];
    snprintf(settings, sizeof settings, "%.*sconfig.yaml", (int)(name - path), path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return access(path, F_OK) == 0 && access(settings, F_OK) == 0;
    return false;
}

vly_status vly_output_check(const char *path) {
    if (is_run_checkpoint(path))
        return vly_fail(VLY_EINVAL, "%s is a run's checkpoint: give --out another name", path);
    if (is_run_file(path))
        return vly_fail(VLY_EINVAL, "%s is a run's own file: give --out another name", path);
    return VLY_OK;
}

/* ---- text without control characters ---- */

static struct {
    FILE *people, *target;
    unsigned char last; /* byte written */
} plain;

static ssize_t write_plain(void *cookie, const char *text, size_t bytes) {
    char piece[512];
    (void)cookie;
    for (size_t at = 0; at < bytes; at += sizeof piece) {
        const size_t n = bytes - at < sizeof piece ? bytes - at : sizeof piece;
        memcpy(piece, text + at, n);
        plain.last = vly_text_plain(piece, n, plain.last);
        if (fwrite(piece, 1, n, plain.target) != n) return 0;
    }
    return fflush(plain.target) == 0 ? (ssize_t)bytes
                                     : 0; /* a flush of `people` reaches the reader */
}

static int close_plain(void *cookie) {
    (void)cookie;
    plain.people = NULL;
    return fflush(plain.target);
}

FILE *vly_people_open(FILE *target) {
    plain.target = target;
    plain.last = 0;
    plain.people = fopencookie(NULL, "w",
                               (cookie_io_functions_t){.write = write_plain, .close = close_plain});
    if (plain.people) setvbuf(plain.people, NULL, target == stderr ? _IONBF : _IOLBF, BUFSIZ);
    return plain.people;
}

FILE *vly_people_raw(FILE *people) {
    return people && people == plain.people ? plain.target : people;
}
