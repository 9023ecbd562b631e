/* cpu_quota.h -- keeps a thread below a share of one processor.
 *
 *   vly_cpu_quota q = {0};
 *   vly_cpu_quota_begin(&q, 0.01, 0.5);  // 1 % in the long run, half a second at once
 *   for (;;) {
 *       ... some work ...
 *       vly_cpu_quota_wait(&q);          // sleeps while more has been used than the share
 *   }
 */
#ifndef VLY_CPU_MACHINE_CPU_QUOTA_H
#define VLY_CPU_MACHINE_CPU_QUOTA_H
#include <stdatomic.h>

typedef struct {
    double share, burst_s; /* share 0: no limit */
    double credit_s, wall_s, cpu_s;
    double waited_s; /* slept so far */
    atomic_int over; /* of vly_cpu_quota_end */
} vly_cpu_quota;

/* For the calling thread, whose nice value is raised by 10, or by 5 when there is no limit. */
void vly_cpu_quota_begin(vly_cpu_quota *q, double share, double burst_s);
/* Sleeps for half a second at most, so that the thread can be asked to end. */
void vly_cpu_quota_wait(vly_cpu_quota *q);
/* From any thread: it is not waited any more, as the thread is to end. */
void vly_cpu_quota_end(vly_cpu_quota *q);
/* Processor seconds that may be used at once; infinite without a share. */
double vly_cpu_quota_left(vly_cpu_quota *q);
/* Processor seconds of the calling thread. */
double vly_cpu_quota_used(void);
#endif
