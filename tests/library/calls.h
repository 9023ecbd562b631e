/* calls.h -- calls of libvolley that have to succeed, and calls that have to be refused. */
#ifndef VLY_TESTS_LIBRARY_CALLS_H
#define VLY_TESTS_LIBRARY_CALLS_H
#include "include/volley.h"
#include "tests/kit/check.h"

#define CHECK_CALL(expr)                                                           \
    do {                                                                           \
        const int s_ = (expr);                                                     \
        if (s_ != 0) {                                                             \
            fprintf(stderr, "%s:%d: %s: %d (%s)\n", __FILE__, __LINE__, #expr, s_, \
                    vly_last_error());                                             \
            exit(TEST_FAIL);                                                       \
        }                                                                          \
    } while (0)

static inline void refused(int status, int expected, const char *words, const char *where) {
    if (status == expected && strstr(vly_last_error(), words)) return;
    fprintf(stderr, "%s: %d \"%s\", expected %d with \"%s\"\n", where, status, vly_last_error(),
            expected, words);
    exit(TEST_FAIL);
}
#define REFUSED(expr, status, words) refused(expr, status, words, #expr)
#endif
