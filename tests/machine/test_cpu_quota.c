/* A thread's share of a processor. */
#include <stdint.h>
#include <time.h>
#include "cpu/machine/cpu_quota.h"
#include "tests/kit/check.h"

static double clock_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void burn(double seconds) {
    volatile uint32_t x = 0;
    for (const double end = vly_cpu_quota_used() + seconds; vly_cpu_quota_used() < end;)
        for (int i = 0; i < 1000; i++) x += 1;
}

/* A millionth: what was used is hours away. */
static void what_is_over_the_share_is_waited_for(void) {
    vly_cpu_quota q = {0};
    vly_cpu_quota_begin(&q, 1e-6, 0);
    CHECK(vly_cpu_quota_left(&q) <= 0);
    burn(0.01);
    const double begun = clock_seconds();
    vly_cpu_quota_wait(&q);
    vly_cpu_quota_wait(&q);
    CHECK(clock_seconds() - begun > 0.9 && q.waited_s > 0.9);
    CHECK(vly_cpu_quota_left(&q) < -0.009);
}

/* Whoever joins the thread does not wait for each event that is left. */
static void a_thread_that_is_to_end_waits_no_more(void) {
    vly_cpu_quota q = {0};
    vly_cpu_quota_end(&q); /* also where it comes before the beginning */
    vly_cpu_quota_begin(&q, 1e-6, 0);
    burn(0.01);
    const double begun = clock_seconds();
    for (int i = 0; i < 1000; i++) vly_cpu_quota_wait(&q);
    CHECK(clock_seconds() - begun < 60); /* not 500 */
    CHECK(q.waited_s == 0);
}

int main(void) {
    what_is_over_the_share_is_waited_for();
    a_thread_that_is_to_end_waits_no_more();
    return TEST_PASS;
}
