/* A start-up that takes longer than a second says what it does, once for each phase. */
#include "cpu/run/startup.h"
#include "tests/kit/check.h"
#include <time.h>

static char said[256];

static void hear(void *arg, const char *text) {
    const size_t n = strlen(said);
    CHECK(arg == said);
    snprintf(said + n, sizeof said - n, "%s;", text);
}

static void wait_ms(long ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

int main(void) {
    vly_startup *u = vly_startup_begin(hear, said);
    CHECK(u != NULL);
    vly_startup_phase(u, "short");
    vly_startup_end(u);
    CHECK_STR(said, "");
    u = vly_startup_begin(hear, said);
    vly_startup_phase(u, "short");
    vly_startup_phase(u, "long");
    wait_ms(2500);
    vly_startup_phase(u, "last");
    vly_startup_end(u);
    CHECK_STR(said, "starting: long;");
    CHECK(vly_startup_begin(NULL, NULL) == NULL);
    vly_startup_phase(NULL, "none");
    vly_startup_end(NULL);
    return TEST_PASS;
}
