#include "cpu/program/bench_record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "common/base/file.h"
#include "cpu/machine/processors.h"
#include "cpu/machine/system.h"

static const double LOAD_MOST = 0.5, LOOK_S = 0.5;

static vly_status refuse_load(const vly_bench_record *r, double load) {
    if (r->busy || load <= LOAD_MOST) return VLY_OK;
    return vly_fail(VLY_EIO,
                    "not recorded: others use %.1f processors; run it again on a quiet machine, or "
                    "with --busy",
                    load);
}

/* What would be found out after minutes of measuring. */
static vly_status check_place(const char *path) {
    char folder[1024];
    struct stat there;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash && slash != path ? (int)(slash - path) : 1,
             slash ? path : ".");
    if (stat(folder, &there) || !S_ISDIR(there.st_mode))
        return vly_fail(VLY_ENOTFOUND, "--record %s: there is no folder %s: make it first", path,
                        folder);
    if (vly_file_is_odd(path))
        return vly_fail(VLY_EINVAL, "--record %s: it is there and is not a file", path);
    return VLY_OK;
}

vly_status vly_bench_record_begin(vly_bench_record *r) {
    if (*r->path) {
        VLY_TRY(check_place(r->path));
        const char *commit = vly_system_commit();
        if (strstr(commit, "-dirty") || !strcmp(commit, "unknown"))
            return vly_fail(VLY_EINVAL,
                            "--record %s: this program was built from %s, which no commit names; "
                            "commit, build again, then record",
                            r->path, commit);
        const struct timespec look = {(time_t)LOOK_S,
                                      (long)(1e9 * (LOOK_S - (double)(long)LOOK_S))};
        vly_bench_load now = vly_bench_load_begin();
        nanosleep(&look, NULL);
        VLY_TRY(refuse_load(r, vly_bench_load_of_others(&now)));
    }
    r->before = vly_bench_load_begin();
    return VLY_OK;
}

json_t *vly_bench_record_json(vly_bench_record *r, json_t *results) {
    char hardware[300], cpu[128], flags[256], date[16];
    time_t now = time(NULL);
    struct tm local;
    r->load = vly_bench_load_of_others(&r->before);
    strftime(date, sizeof date, "%Y-%m-%d", localtime_r(&now, &local));
    vly_system_cpu_name(cpu, sizeof cpu);
    vly_system_cpu_features(flags, sizeof flags);
    snprintf(hardware, sizeof hardware, "%d cores of %s", vly_processors(), cpu);
    json_t *file = json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s, s:O, s:o}", "command", r->command,
                             "commit", vly_system_commit(), "date", date, "hardware", hardware,
                             "flags", flags, "load", r->load, "suite", r->suite, "results", results,
                             "system", vly_system_json());
    if (file && r->load > LOAD_MOST) json_object_set_new(file, "busy", json_true());
    return file;
}

vly_status vly_bench_record_write(const vly_bench_record *r, const json_t *file) {
    if (!*r->path) return VLY_OK;
    VLY_TRY(refuse_load(r, r->load));
    char *text = json_dumps(file, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    if (!text) return vly_fail(VLY_ENOMEM, "no memory for the results");
    const vly_status status = vly_file_replace(r->path, text, strlen(text));
    free(text);
    return status;
}
