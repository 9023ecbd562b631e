#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "cpu/machine/processors.h"
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* "max 100000" or "150000 100000"; v1 has the two numbers in two files. INFINITY: no limit. */
static double read_quota(const char *mount, const char *group) {
    char path[2 * PATH_BYTES];
    double quota = 0, period = 0;
    snprintf(path, sizeof path, "%s%s/cpu.max", mount, group);
    FILE *f = fopen(path, "r");
    if (!f) return INFINITY;
    const int n = fscanf(f, "%lf %lf", &quota, &period);
    fclose(f);
    return n == 2 && quota > 0 && period > 0 ? quota / period : INFINITY;
}

static double read_number(const char *mount, const char *name) {
    char path[2 * PATH_BYTES];
    double value = 0;
    snprintf(path, sizeof path, "%s/cpu/%s", mount, name);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    if (fscanf(f, "%lf", &value) != 1) value = 0;
    fclose(f);
    return value;
}

static double read_quota_v1(const char *mount) {
    const double quota = read_number(mount, "cpu.cfs_quota_us"),
                 period = read_number(mount, "cpu.cfs_period_us");
    return quota > 0 && period > 0 ? quota / period : INFINITY;
}

int vly_processors_quota(const char *mount, const char *group) {
    char at[PATH_BYTES];
    double least = read_quota_v1(mount);
    snprintf(at, sizeof at, "%s", group);
    for (;;) { /* "/a/b", "/a", "" */
        char *slash = strrchr(at, '/');
        if (slash && !slash[1]) *slash = '\0';
        least = fmin(least, read_quota(mount, at));
        slash = strrchr(at, '/');
        if (!slash) break;
        *slash = '\0';
    }
    return least < 1e6 ? (int)ceil(least) : 0;
}

/* Of version 2: the line "0::/a/b". */
static void find_group(char *group, size_t bytes) {
    char line[PATH_BYTES];
    FILE *f = fopen("/proc/self/cgroup", "r");
    group[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "0::", 3)) snprintf(group, bytes, "%s", line + 3);
    }
    if (f) fclose(f);
}

int vly_processors(void) {
    cpu_set_t set;
    char group[PATH_BYTES];
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                        : (int)sysconf(_SC_NPROCESSORS_ONLN);
    find_group(group, sizeof group);
    const int quota = vly_processors_quota("/sys/fs/cgroup", group);
    if (quota > 0 && quota < n) n = quota;
    return n > 0 ? n : 1;
}
