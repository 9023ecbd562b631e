/* runs.h -- the program as users start it, in a folder of the test's own: what it said, how it
 * ended. */
#ifndef VLY_TESTS_KIT_RUNS_H
#define VLY_TESTS_KIT_RUNS_H
#include "tests/kit/check.h"
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/file.h"

static char runs_folder[64] = "/tmp/volley-runs-XXXXXX";

/* Starts `BEFORE volley ARGS --json` there; its words go to NAME.out and NAME.err. */
static pid_t runs_spawn(const char *before, const char *name, const char *format, va_list list) {
    char args[1024], command[2048];
    vsnprintf(args, sizeof args, format, list);
    snprintf(command, sizeof command, "cd %s && exec %s %s %s --json >%s.out 2>%s.err", runs_folder,
             before, VLY_TEST_PROGRAM, args, name, name);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return child;
}

__attribute__((format(printf, 2, 3), unused)) static pid_t runs_start(const char *name,
                                                                      const char *format, ...) {
    va_list list;
    va_start(list, format);
    const pid_t child = runs_spawn("", name, format, list);
    va_end(list);
    return child;
}

static char *runs_read(const char *file) {
    char path[256], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", runs_folder, file);
    if (vly_file_read(path, 1 << 26, &text, &bytes) != VLY_OK) {
        text = calloc(1, 1);
        CHECK(text != NULL);
    }
    return text;
}

/* Its result, NULL when it printed none (then what it said is shown). *code: its exit status, 1000
 * and more: a signal. */
static json_t *runs_finish(const char *name, pid_t child, int *code) {
    char file[96];
    int how;
    CHECK_EQ(waitpid(child, &how, 0), child);
    *code = WIFSIGNALED(how) ? 1000 + WTERMSIG(how) : WEXITSTATUS(how);
    snprintf(file, sizeof file, "%s.out", name);
    char *text = runs_read(file);
    size_t to = strlen(text), from;
    while (to > 0 && text[to - 1] != '}') to--; /* its last line */
    for (from = to; from > 0 && text[from - 1] != '\n';) from--;
    json_t *object = to > 0 ? json_loadb(text + from, to - from, 0, NULL) : NULL;
    if (*code != 0 && *code != 1000 + SIGKILL) {
        snprintf(file, sizeof file, "%s.err", name);
        char *err = runs_read(file);
        fprintf(stderr, "%s: exit %d: %s\n%s\n", name, *code, text, err);
        free(err);
    }
    free(text);
    return object;
}

static double runs_number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

/* A metric in a run's metrics.jsonl: the first from byte `from` on, or the last of all (from < 0).
 * NAN: none. */
static __attribute__((unused)) double runs_metric(const char *run, const char *metric, long from) {
    char path[128], key[128];
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    snprintf(key, sizeof key, "\"%s\":", metric);
    char *text = runs_read(path), *found = NULL,
         *at = from < 0 || (size_t)from > strlen(text) ? text : text + from;
    while ((at = strstr(at, key))) {
        found = at++;
        if (from >= 0) break;
    }
    const double value = found ? strtod(found + strlen(key), NULL) : NAN;
    free(text);
    return value;
}

static __attribute__((unused)) long runs_metrics_bytes(const char *run) {
    char path[128];
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    char *text = runs_read(path);
    const long bytes = (long)strlen(text);
    free(text);
    return bytes;
}

static int runs_clean(void) {
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", runs_folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}
#endif
