#include "cpu/machine/cpu_quota.h"
#include <math.h>
#include <sys/resource.h>
#include <time.h>

static const double SLEEP_MOST_S = 0.5;

static double clock_s(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double vly_cpu_quota_used(void) {
    return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

void vly_cpu_quota_begin(vly_cpu_quota *q, double share, double burst_s) {
    q->share = share, q->burst_s = q->credit_s = burst_s, q->waited_s = 0; /* `over` stays */
    q->wall_s = clock_s(CLOCK_MONOTONIC);
    q->cpu_s = vly_cpu_quota_used();
    /* On Linux the nice value is the thread's. */
    const int nice = getpriority(PRIO_PROCESS, 0) + (share > 0 ? 10 : 5);
    setpriority(PRIO_PROCESS, 0, nice < 19 ? nice : 19);
}

/* The credit grows with the clock and falls with the processor time used. */
static void update_credit(vly_cpu_quota *q) {
    const double wall = clock_s(CLOCK_MONOTONIC), cpu = vly_cpu_quota_used();
    q->credit_s += q->share * (wall - q->wall_s) - (cpu - q->cpu_s);
    if (q->credit_s > q->burst_s) q->credit_s = q->burst_s;
    q->wall_s = wall, q->cpu_s = cpu;
}

double vly_cpu_quota_left(vly_cpu_quota *q) {
    if (q->share <= 0) return INFINITY;
    update_credit(q);
    return q->credit_s;
}

void vly_cpu_quota_end(vly_cpu_quota *q) {
    atomic_store(&q->over, 1);
}

void vly_cpu_quota_wait(vly_cpu_quota *q) {
    if (q->share <= 0 || atomic_load(&q->over)) return;
    update_credit(q);
    if (q->credit_s >= 0) return;
    double sleep_s = -q->credit_s / q->share;
    if (sleep_s > SLEEP_MOST_S) sleep_s = SLEEP_MOST_S;
    nanosleep(&(struct timespec){.tv_nsec = (long)(sleep_s * 999999999.0)}, NULL);
    q->waited_s += sleep_s;
}
