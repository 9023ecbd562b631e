/* thrift.h -- keeps a thread below a share of one processor, so that serving somebody never costs
 * somebody else.
 *
 *   vly_thrift t;
 *   // 1 % in the long run, half a second at once; behind others
 *   vly_thrift_begin(&t, 0.01, 0.5);
 *   ... some work ...;  vly_thrift_rest(&t);   // sleeps when more was used than is due
 */
#ifndef VLY_CPU_MACHINE_THRIFT_H
#define VLY_CPU_MACHINE_THRIFT_H

typedef struct {
    double share, burst_s; /* share 0: no limit */
    double credit_s, wall_s, cpu_s;
    double rested_s; /* slept so far */
} vly_thrift;

/* For the calling thread, whose priority is lowered: by ten steps, by five when there is no limit.
 */
void vly_thrift_begin(vly_thrift *t, double share, double burst_s);
void vly_thrift_rest(vly_thrift *t);
/* Processor seconds of the calling thread. */
double vly_thrift_used(void);
#endif
