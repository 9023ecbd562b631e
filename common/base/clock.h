/* clock.h -- time that only goes forward, for deadlines and durations; and a short sleep.
 *
 *   const int64_t deadline = vly_now_ms() + 5000;
 *   while (!ready() && vly_now_ms() < deadline) vly_pause_ms(10);
 */
#ifndef VLY_COMMON_BASE_CLOCK_H
#define VLY_COMMON_BASE_CLOCK_H
#include <stdint.h>
#include <time.h>

static inline int64_t vly_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int64_t vly_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline double vly_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Between two looks of a loop that spins: leaves the core to its other thread. */
static inline void vly_spin_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* A signal may end it early. */
static inline void vly_pause_ms(int64_t ms) {
    nanosleep(&(struct timespec){ms / 1000, (ms % 1000) * 1000000L}, NULL);
}
#endif
