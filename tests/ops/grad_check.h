/* grad_check.h -- finite differences in double precision: central, relative to the size of the
 * gradient. */
#ifndef VLY_TESTS_OPS_GRAD_CHECK_H
#define VLY_TESTS_OPS_GRAD_CHECK_H
#include "tests/kit/golden.h"

/* The loss as a function of everything it depends on. */
typedef double (*grad_loss)(void *arg);

/* Compares gradient[i] with (loss(x_i + h) - loss(x_i - h)) / 2h for every i below n. */
static inline void grad_check(const char *what, grad_loss loss, void *arg, vly_real *x,
                              const vly_real *gradient, int64_t n) {
    const double h = 1e-5;
    double size = 0;
    CHECK_EQ(sizeof(vly_real), sizeof(double));
    for (int64_t i = 0; i < n; i++) size = fmax(size, fabs((double)gradient[i]));
    for (int64_t i = 0; i < n; i++) {
        const vly_real at = x[i];
        x[i] = at + h;
        const double above = loss(arg);
        x[i] = at - h;
        const double below = loss(arg);
        x[i] = at;
        const double want = (above - below) / (2 * h);
        if (fabs((double)gradient[i] - want) <= 1e-6 * (size + 1)) continue;
        fprintf(stderr, "%s[%lld]: the gradient is %.9g, finite differences say %.9g\n", what,
                (long long)i, (double)gradient[i], want);
        exit(TEST_FAIL);
    }
}

/* What a policy's update descends, from the sums that a loss reports. */
static inline double policy_objective(const vly_real *stats, const vly_hyper *h, bool sum) {
    const vly_real loss = stats[VLY_STAT_POLICY_LOSS] - h->entropy_coef * stats[VLY_STAT_ENTROPY] +
                          h->value_coef * stats[VLY_STAT_VALUE_LOSS];
    return loss / (sum ? 1 : stats[VLY_STAT_COUNT]);
}
#endif
