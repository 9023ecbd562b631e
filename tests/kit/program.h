/* program.h -- the program as users and scripts start it, one call at a time, in a folder of the
 * test's own. What runs in the background is started by runs.h.
 *
 *   program_open();
 *   CHECK_EQ(volley("train cartpole --steps %d --out r --json", 2000), 0);
 *   SAYS(err, "r/checkpoints");               out, err: what the last call wrote
 *   json_t *o = program_json();               its last line; json_decref(o)
 *   char *text = program_read("r/config.yaml"); free(text);
 *   return program_close();                   removes the folder, returns TEST_PASS
 */
#ifndef VLY_TESTS_KIT_PROGRAM_H
#define VLY_TESTS_KIT_PROGRAM_H
#include "tests/kit/check.h"
#include <jansson.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/file.h"

static char folder[64] = "/tmp/volley-program-XXXXXX";
static char *out, *err;

#define SAYS(text, words)                                                                     \
    do {                                                                                      \
        if (!strstr(text, words)) {                                                           \
            fprintf(stderr, "%s:%d: '%s' is not in:\n%s\n", __FILE__, __LINE__, words, text); \
            exit(TEST_FAIL);                                                                  \
        }                                                                                     \
    } while (0)

static inline void program_open(void) {
    CHECK(mkdtemp(folder) != NULL);
}

static inline int program_close(void) {
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    free(out);
    free(err);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}

/* A file of the folder; the caller frees it. */
static inline char *program_read(const char *name) {
    char path[256], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(vly_file_read(path, 1 << 26, &text, &bytes));
    return text;
}

/* Starts a shell command in the folder; it writes to the files out and err. */
static inline pid_t program_start(const char *command) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (chdir(folder) == 0) execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Its exit code, or 1000 + signal; `out` and `err` hold what it wrote. What a sanitizer or a crash
 * left there is printed: 66 is ThreadSanitizer's code. */
static inline int program_finish(pid_t child) {
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    free(out);
    free(err);
    out = program_read("out"), err = program_read("err");
    const int code = WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
    if (code == 66 || strstr(err, "Sanitizer")) fprintf(stderr, "exit %d\n%s\n", code, err);
    return code;
}

static inline int shell(const char *command) {
    return program_finish(program_start(command));
}

/* Runs `volley ARGS`; prints what it wrote if the exit code is not one that the program documents.
 */
__attribute__((format(printf, 1, 2))) static inline int volley(const char *format, ...) {
    char args[2048], command[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(args, sizeof args, format, list);
    va_end(list);
    snprintf(command, sizeof command, "exec %s %s >out 2>err", VLY_TEST_PROGRAM, args);
    const int code = shell(command);
    if (code > 3 && code != 130 && code != 143)
        fprintf(stderr, "volley %s: exit %d\n%s%s\n", args, code, out, err);
    return code;
}

/* The object on the last line of standard output. */
static inline json_t *program_json(void) {
    const size_t n = strlen(out);
    CHECK(n > 1 && out[n - 1] == '\n');
    out[n - 1] = '\0';
    const char *line = strrchr(out, '\n') ? strrchr(out, '\n') + 1 : out;
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(o)) fprintf(stderr, "not an object: %s\n", line);
    CHECK(json_is_object(o));
    return o;
}

static inline const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    if (!text) fprintf(stderr, "no text %s\n", key);
    CHECK(text);
    return text;
}

/* The digest of a run's newest checkpoint. */
static inline void digest_of(const char *run, char digest[40]) {
    CHECK_EQ(volley("inspect %s --json", run), 0);
    json_t *o = program_json();
    snprintf(digest, 40, "%s", text_of(o, "digest"));
    CHECK_EQ(strlen(digest), 32);
    json_decref(o);
}
#endif
