/* count.h -- what may be read from a checkpoint as a count of anything: not negative, and the sum of
 * two fits. */
#ifndef VLY_COMMON_BASE_COUNT_H
#define VLY_COMMON_BASE_COUNT_H
#include <stdbool.h>
#include <stdint.h>

#define VLY_COUNT_MOST ((int64_t)1 << 60)

static inline bool vly_is_count(int64_t n) {
    return n >= 0 && n < VLY_COUNT_MOST;
}

/* Of counts that are doubles: those that go up by ones. */
static inline bool vly_is_count_of_ones(double x) {
    return x >= 0 && x < 9e15;
}
#endif
