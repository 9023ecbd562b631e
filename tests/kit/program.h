/* program.h -- one call of the program in a folder of the test's own.
 *
 *   program_open();
 *   CHECK_EQ(volley("train cartpole --steps %d --out r", 2000), 0);      // its words are in `out`
 * and `err` char *text = program_read("r/config.yaml"); ... free(text); return program_close(); //
 * removes the folder; TEST_PASS
 */
#ifndef VLY_TESTS_KIT_PROGRAM_H
#define VLY_TESTS_KIT_PROGRAM_H
#include "tests/kit/check.h"
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/file.h"

static char folder[64] = "/tmp/volley-program-XXXXXX";

static inline void program_open(void) {
    CHECK(mkdtemp(folder) != NULL);
}

static inline int program_close(void) {
    char clean[96];
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    return system(clean) == 0 ? TEST_PASS : TEST_FAIL;
}

/* The exit code, or 1000 and more when it was killed. */
__attribute__((format(printf, 1, 2))) static inline int volley(const char *format, ...) {
    char args[1024], command[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(args, sizeof args, format, list);
    va_end(list);
    snprintf(command, sizeof command, "cd %s && timeout 100 %s %s >out 2>err", folder,
             VLY_TEST_PROGRAM, args);
    const int how = system(command);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 1000 + how;
}

/* A file of the folder; the caller's. */
static inline char *program_read(const char *name) {
    char path[256], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(vly_file_read(path, 1 << 26, &text, &bytes));
    return text;
}
#endif
