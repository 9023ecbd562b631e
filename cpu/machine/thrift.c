#include "cpu/machine/thrift.h"
#include <sys/resource.h>
#include <time.h>

static const double NAP_MOST_S = 0.5;

static double clock_s(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double vly_thrift_used(void) {
    return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

void vly_thrift_begin(vly_thrift *t, double share, double burst_s) {
    *t = (vly_thrift){.share = share, .burst_s = burst_s, .credit_s = burst_s};
    t->wall_s = clock_s(CLOCK_MONOTONIC);
    t->cpu_s = vly_thrift_used();
    const int nice = getpriority(PRIO_PROCESS, 0) + (share > 0 ? 10 : 5); /* on Linux: of this
                                                                             thread */
    setpriority(PRIO_PROCESS, 0, nice < 19 ? nice : 19);
}

/* The credit grows with the clock and falls with the processor time used. */
static void settle(vly_thrift *t) {
    const double wall = clock_s(CLOCK_MONOTONIC), cpu = vly_thrift_used();
    t->credit_s += t->share * (wall - t->wall_s) - (cpu - t->cpu_s);
    if (t->credit_s > t->burst_s) t->credit_s = t->burst_s;
    t->wall_s = wall, t->cpu_s = cpu;
}

void vly_thrift_rest(vly_thrift *t) {
    if (t->share <= 0) return;
    settle(t);
    if (t->credit_s >= 0) return;
    double nap = -t->credit_s / t->share;
    if (nap > NAP_MOST_S) nap = NAP_MOST_S; /* the thread must hear when it is asked to end */
    nanosleep(&(struct timespec){.tv_nsec = (long)(nap * 999999999.0)}, NULL);
    t->rested_s += nap;
}
