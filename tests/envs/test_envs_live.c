/* Runs the reference implementations themselves, with seeds that no golden file holds. */
#include <sys/wait.h>
#include <unistd.h>
#include "tests/envs/env_golden.h"

static int run(const char *format, const char *python, const char *path) {
    char command[1024];
    snprintf(command, sizeof command, format, python, path);
    const int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void) {
    const char *python = getenv("VLY_PYTHON"), *steps = getenv("VLY_LIVE_STEPS");
    if (!python) python = "python3";
    if (run("%s -c 'import gymnasium, minatar%s' >/dev/null 2>&1", python, "") != 0)
        SKIP("%s has no gymnasium and minatar: set VLY_PYTHON to one that has (pip install "
             "gymnasium==1.4.0 minatar==1.0.15)",
             python);
    char path[] = "/tmp/volley-live-XXXXXX", format[256];
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    snprintf(format, sizeof format,
             "%%s tests/golden/envs.py --live 100 --steps %d --out %%s 2>/dev/null",
             steps ? atoi(steps) : 2000);
    CHECK_EQ(run(format, python, path), 0);
    const long rows = golden_replay(path);
    unlink(path);
    printf("%ld rows equal\n", rows);
    return TEST_PASS;
}
