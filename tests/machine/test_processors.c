#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cpu/machine/processors.h"
#include "tests/kit/check.h"

static char mount[] = "/tmp/volley-cgroup-XXXXXX"; /* stands in for /sys/fs/cgroup */

static void put(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", mount, name);
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void make(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", mount, name);
    CHECK_EQ(mkdir(path, 0755), 0);
}

static void remove_mount(void) {
    static const char *const names[] = {
        "a/b/cpu.max",           "a/b", "a/cpu.max", "a", "cpu.max", "cpu/cpu.cfs_quota_us",
        "cpu/cpu.cfs_period_us", "cpu", ""};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", mount, names[i]);
        remove(path);
    }
}

static void the_quota_is_rounded_up(void) {
    put("a/cpu.max", "150000 100000\n");
    CHECK_EQ(vly_processors_quota(mount, "/a"), 2);
    put("a/cpu.max", "200000 100000\n");
    CHECK_EQ(vly_processors_quota(mount, "/a"), 2);
    put("a/cpu.max", "1000 100000\n");
    CHECK_EQ(vly_processors_quota(mount, "/a"), 1);
}

static void the_smallest_quota_of_all_groups_above_counts(void) {
    put("cpu.max", "300000 100000\n");
    put("a/cpu.max", "800000 100000\n");
    put("a/b/cpu.max", "max 100000\n");
    CHECK_EQ(vly_processors_quota(mount, "/a/b"), 3);
    CHECK_EQ(vly_processors_quota(mount, "/"), 3);
    CHECK_EQ(vly_processors_quota(mount, "/of/another/namespace"), 3);
    put("a/b/cpu.max", "100000 50000\n");
    CHECK_EQ(vly_processors_quota(mount, "/a/b"), 2);
}

static void no_quota_is_no_limit(void) {
    put("cpu.max", "max 100000\n");
    CHECK_EQ(vly_processors_quota(mount, "/"), 0);
    CHECK_EQ(vly_processors_quota("/nowhere", "/"), 0);
    put("cpu.max", "nonsense");
    CHECK_EQ(vly_processors_quota(mount, ""), 0);
}

static void version_1_has_two_files(void) {
    make("cpu");
    put("cpu/cpu.cfs_quota_us", "-1\n");
    put("cpu/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(vly_processors_quota(mount, "/"), 0);
    put("cpu/cpu.cfs_quota_us", "50000\n");
    CHECK_EQ(vly_processors_quota(mount, "/"), 1);
}

static void affinity_counts(void) {
    cpu_set_t all, one;
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CHECK(vly_processors() >= 1 && vly_processors() <= CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(vly_processors(), 1);
}

int main(void) {
    CHECK(mkdtemp(mount));
    make("a");
    make("a/b");
    the_quota_is_rounded_up();
    the_smallest_quota_of_all_groups_above_counts();
    no_quota_is_no_limit();
    version_1_has_two_files();
    remove_mount();
    affinity_counts();
    return TEST_PASS;
}
