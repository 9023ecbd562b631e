/* bench.h -- how a benchmark is timed and what it reports; the suites live in benchmarks/.
 *
 *   static double work(void *arg) { ...; return steps_done; }     // some milliseconds of it
 *   vly_bench_result r = {.name = "cartpole/step", .unit = "steps/s"};
 *   vly_bench_rate(options, work, arg, &r);                        // fills median, min, max
 *   options->report(options->arg, &r);
 *
 * A sample is `seconds` of work, its value units per second of wall-clock time, and beside it per
 * second of processor time, which other programs on the machine disturb less; the first is a
 * warm-up and thrown away. Samples are few and medians honest: compare programs by alternating
 * them (benchmarks/compare_envs.py), not by numbers of different days.
 */
#ifndef VLY_COMMON_RECORD_BENCH_H
#define VLY_COMMON_RECORD_BENCH_H
#include <stddef.h>
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char name[64];
    char params[320]; /* the inside of a JSON object: "\"actors\": 256" */
    char unit[16];    /* "steps/s" */
    double median, min, max;
    double cpu; /* median again, but per second of processor time, all threads together */
    int samples;
    long long verified, wrong; /* numbers compared with a reference before anything was timed; 0:
                                  the suite does not */
    double error;              /* the largest, as the suite measures it (benchmarks/bench_twin.h) */
} vly_bench_result;

typedef struct {
    const char *filter; /* only names that contain it; NULL: all */
    double seconds;     /* of one sample; 0: 0.2 */
    int samples;        /* 0: 7 */
    const char *env;    /* suite envs: this environment alone; NULL: all */
    const char *vs; /* with an Atari game: "ale" measures ale-py in turn with ours; NULL: no peer */
    const char *gpus; /* scaling: numbers of ranks, "1,2,4"; NULL: 1,2 */
    void (*report)(void *arg, const vly_bench_result *result);
    void *arg;
} vly_bench_options;

/* Does some work and returns how many units that was. */
typedef double (*vly_bench_fn)(void *arg);

int vly_bench_wanted(const vly_bench_options *options, const char *name);
void vly_bench_rate(const vly_bench_options *options, vly_bench_fn work, void *arg,
                    vly_bench_result *result);
/* One line, without a newline: {"name": ..., "median": ..., and "verified", "wrong", "error" where
 * the suite compares}. */
void vly_bench_json(const vly_bench_result *result, char *text, size_t bytes);

/* What others take of the machine meanwhile, in processors: user, nice and system time of all
 * programs, and what a host took away, less the time of this process and of children that ended.
 *   vly_bench_load before = vly_bench_load_begin();
 *   ... vly_bench_load_of_others(&before);            // 0.03; 0 where /proc/stat is not there */
typedef struct {
    double wall_s, busy_s, own_s;
} vly_bench_load;

vly_bench_load vly_bench_load_begin(void);
double vly_bench_load_of_others(const vly_bench_load *before);

/* The suites of `volley bench`: XX(name, what it measures); benchmarks/bench_<name>.c implements
 * vly_bench_<name>. */
#define VLY_BENCH_MAP(XX)                                                                       \
    XX(envs, "environments by the second: alone, through the actor pool")                       \
    XX(kernels, "operations of the compute interface, verified: bytes and FLOPs per second, "   \
                "share of the measured peak")                                                   \
    XX(learner, "networks, verified: forward passes and whole updates by the sample")           \
    XX(loop, "the event loop of a run: waking its thread, actors that report to it one by one") \
    XX(pipeline,                                                                                \
       "actors, transfers, inference and learning together, and which holds the rest up")       \
    XX(scaling,                                                                                 \
       "updates over several GPUs, or processors: weak, strong, all-reduce, weights' hash")     \
    XX(replay, "prioritized replay: insertion, and sampling with update")                       \
    XX(store, "experience, weights and gradients through a Redis of our own")                   \
    XX(parameters,                                                                              \
       "a parameter server over Redis: gradients of 1 to 4 workers applied, by the second")

#define XX(name, help) vly_status vly_bench_##name(const vly_bench_options *options);
VLY_BENCH_MAP(XX)
#undef XX

#ifdef __cplusplus
}
#endif
#endif
