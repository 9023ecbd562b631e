/* bench_twin.h -- verify, then time: what a suite measures exists on the device and on the
 * reference, which is the processor's plain C code (no vector instructions). Both get the same
 * random numbers and do the work once; every number is compared.
 *
 *   // VLY_BENCH_DEVICE: auto, cpu, cuda:0
 *   VLY_TRY(vly_bench_twin_open(&t));
 *   vly_bench_array a = {.type = VLY_F32, .count = n, .tolerance = 1e-4};
 *   // a.on[0] on the device, a.on[1] on the reference
 *   VLY_TRY(vly_bench_twin_add(&t, &a));
 *   ... the same work on both sides ...
 *   // result.verified, .wrong, .error
 *   VLY_TRY(vly_bench_twin_compare(&t, &result));
 *   // the arrays; then the next operation
 *   vly_bench_twin_forget(&t);
 *   vly_bench_twin_close(&t);
 */
#ifndef VLY_BENCHMARKS_BENCH_TWIN_H
#define VLY_BENCHMARKS_BENCH_TWIN_H
#include "common/record/bench.h"
#include "common/base/compute.h"

enum { VLY_SIDE_DEVICE, VLY_SIDE_REFERENCE, VLY_SIDES };

/* What operations take besides their arrays; reset before each of them. */
typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_hyper *hyper;
    vly_rng *rng;
    vly_real *stats, *norm; /* norm (4): 1, 0, 0, 0 */
    int64_t *step;
} vly_bench_side;

typedef struct {
    vly_dtype type;       /* F32, BF16, I32, I64 or U8 */
    size_t count, period; /* period: the device repeats the reference's so many numbers; 0: count,
                             no repetition */
    int below;            /* I32: 0 .. below - 1 */
    bool flags;           /* U8: of rows, an end in a hundred; else any byte */
    bool positive;        /* reals: 0 .. spread; else -spread .. spread */
    float spread;         /* 0: 1 */
    double tolerance; /* reals: |got - want| <= tolerance (|want| + root of the mean square of all);
                         0: the same bits */
    double factor; /* the device's are so many times the reference's: sums over repeated rows; 0: 1
                    */
    bool scratch;  /* not compared */
    void *on[VLY_SIDES];
} vly_bench_array;

enum { VLY_BENCH_ARRAYS = 24 };
typedef struct {
    vly_bench_side side[VLY_SIDES];
    bool gpu;
    int divide; /* VLY_BENCH_DIVIDE: problem sizes are divided by it, for rehearsals; the results
                   say so */
    vly_bench_array array[VLY_BENCH_ARRAYS];
    int kept, count; /* arrays: of the sides, of the operation too */
} vly_bench_twin;

/* The reference alone, on all processors; for suites that lay out their own work. */
vly_status vly_bench_reference_open(vly_compute **out);
vly_status vly_bench_twin_open(vly_bench_twin *t);
void vly_bench_twin_close(vly_bench_twin *t);
/* Fills both sides; a->on borrows from t. */
vly_status vly_bench_twin_add(vly_bench_twin *t, vly_bench_array *a);
vly_status vly_bench_twin_reset(vly_bench_twin *t);
/* Adds to result->verified and ->wrong, raises ->error; what is wrong is a result too, not a
 * failure. */
vly_status vly_bench_twin_compare(vly_bench_twin *t, vly_bench_result *result);
void vly_bench_twin_forget(vly_bench_twin *t);
#endif
