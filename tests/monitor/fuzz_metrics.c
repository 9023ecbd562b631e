/* Random bytes as a run's metrics.jsonl: what follows a run, what exports it and what goes on with
 * it read the same lines, refuse the others, and say so in words.
 *   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_metrics &&
 *   build-fuzz/fuzz_metrics tests/fuzz/metrics
 * Two bytes first: the step that a resumed run goes on from. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/record/metrics.h"
#include "cpu/monitor/run_log.h"
#include "cpu/program/records.h"
#include "tests/fuzz/input.h"

static char folder[64], metrics[80];

static void remove_folder(void) {
    unlink(metrics);
    rmdir(folder);
}

static void make_folder(void) {
    if (folder[0]) return;
    snprintf(folder, sizeof folder, "%s/vly-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    fuzz_check(mkdtemp(folder));
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    atexit(remove_folder);
}

static void put_file(const void *data, size_t bytes) {
    const int fd = open(metrics, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_check(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes);
    close(fd);
}

static void a_log_follows_it(size_t bytes) {
    vly_run_log *r;
    fuzz_check(vly_run_log_open(&r, folder, "") == VLY_OK);
    for (int i = 0; vly_run_log_read(r); i++) fuzz_check(i < 100);
    fuzz_check(r->at <= (int64_t)bytes && r->metric_count <= VLY_RUN_METRICS);
    fuzz_check(isfinite(r->step) && isfinite(r->seconds));
    for (int i = 0; i < r->metric_count; i++)
        fuzz_check(strnlen(r->metrics[i].name, sizeof r->metrics[i].name) <
                   sizeof r->metrics[i].name);
    vly_run_log_close(r);
}

static void a_table_holds_it(void) {
    char *text = NULL;
    size_t n = 0;
    for (int csv = 0; csv < 2; csv++) {
        FILE *out = open_memstream(&text, &n);
        json_t *columns = NULL;
        int64_t rows = 0;
        vly_error_clear();
        const vly_status status = (csv ? vly_records_csv : vly_records_json_lines)(folder, out,
                                                                                   &columns, &rows);
        fclose(out);
        fuzz_check(status == VLY_OK ? rows > 0 && n > 0 : vly_error_text()[0] != '\0');
        json_decref(columns);
        free(text);
    }
}

/* What is kept is a beginning of the file, whole lines. */
static void a_resumed_run_cuts_it(const uint8_t *data, size_t bytes, int64_t step) {
    vly_metrics *m;
    struct stat info;
    fuzz_check(vly_metrics_create(&m) == VLY_OK);
    fuzz_check(vly_metrics_open_jsonl(m, metrics, step) == VLY_OK);
    fuzz_check(stat(metrics, &info) == 0 && info.st_size <= (off_t)bytes);
    fuzz_check(info.st_size == 0 || data[info.st_size - 1] == '\n');
    vly_metrics_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    fuzz_input in = {data, bytes};
    const unsigned high = fuzz_byte(&in), low = fuzz_byte(&in);
    make_folder();
    put_file(in.at, in.left);
    a_log_follows_it(in.left);
    a_table_holds_it();
    a_resumed_run_cuts_it(in.at, in.left, (int64_t)(high << 8 | low));
    return 0;
}
