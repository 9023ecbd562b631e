/* check.h -- assertions that survive NDEBUG and print both values. */
#ifndef VLY_TESTS_KIT_CHECK_H
#define VLY_TESTS_KIT_CHECK_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/status.h"

enum { TEST_PASS = 0, TEST_FAIL = 1, TEST_SKIP = 77 };

#define CHECK(cond)                                                             \
    do {                                                                        \
        if (!(cond)) {                                                          \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #cond); \
            exit(TEST_FAIL);                                                    \
        }                                                                       \
    } while (0)
#define CHECK_EQ(a, b)                                                                          \
    do {                                                                                        \
        long long a_ = (long long)(a), b_ = (long long)(b);                                     \
        if (a_ != b_) {                                                                         \
            fprintf(stderr, "%s:%d: %s == %s (%lld vs %lld)\n", __FILE__, __LINE__, #a, #b, a_, \
                    b_);                                                                        \
            exit(TEST_FAIL);                                                                    \
        }                                                                                       \
    } while (0)
#define CHECK_NEAR(a, b, tol)                                                                  \
    do {                                                                                       \
        double a_ = (a), b_ = (b);                                                             \
        if (!(fabs(a_ - b_) <= (tol) * (1.0 + fabs(b_)))) {                                    \
            fprintf(stderr, "%s:%d: %s ~ %s (%.9g vs %.9g)\n", __FILE__, __LINE__, #a, #b, a_, \
                    b_);                                                                       \
            exit(TEST_FAIL);                                                                   \
        }                                                                                      \
    } while (0)
#define CHECK_STR(a, b)                                                                         \
    do {                                                                                        \
        const char *a_ = (a), *b_ = (b);                                                        \
        if (strcmp(a_, b_) != 0) {                                                              \
            fprintf(stderr, "%s:%d: %s == %s (\"%s\" vs \"%s\")\n", __FILE__, __LINE__, #a, #b, \
                    a_, b_);                                                                    \
            exit(TEST_FAIL);                                                                    \
        }                                                                                       \
    } while (0)
/* The expression must return VLY_OK; prints the reason otherwise. */
#define CHECK_OK(expr)                                                                             \
    do {                                                                                           \
        vly_status s_ = (expr);                                                                    \
        if (s_ != VLY_OK) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s (%s)\n", __FILE__, __LINE__, #expr, vly_status_str(s_), \
                    vly_error_text());                                                             \
            exit(TEST_FAIL);                                                                       \
        }                                                                                          \
    } while (0)
/* tests/run.sh counts and prints both: SKIP ends the test, SKIP_PART leaves out what follows. */
#define SKIP(...)                                 \
    do {                                          \
        fprintf(stderr, "SKIPPED: " __VA_ARGS__); \
        fputc('\n', stderr);                      \
        exit(TEST_SKIP);                          \
    } while (0)
#define SKIP_PART(...)                                    \
    do {                                                  \
        fprintf(stderr, "SKIPPED in part: " __VA_ARGS__); \
        fputc('\n', stderr);                              \
    } while (0)
#endif
