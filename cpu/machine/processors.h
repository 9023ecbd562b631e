/* processors.h -- how many processors this process may use.
 *
 *   threads = vly_processors();     // at least 1
 *
 * The smaller of the affinity mask and the quota of its control group (cgroup v2: cpu.max of the
 * group and of all above it; v1: cpu.cfs_quota_us), which is rounded up: 1.5 processors are 2.
 */
#ifndef VLY_CPU_MACHINE_PROCESSORS_H
#define VLY_CPU_MACHINE_PROCESSORS_H

int vly_processors(void);
/* The quota alone; 0: none. mount: "/sys/fs/cgroup"; group: from /proc/self/cgroup, "/a/b". */
int vly_processors_quota(const char *mount, const char *group);
#endif
