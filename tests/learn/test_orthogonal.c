/* Orthogonal initialisation: rows are orthonormal, matrices uniform (Haar), bits the same whatever
 * the number of threads. */
#include "common/learn/orthogonal.h"
#include <stdbool.h>
#include "tests/kit/check.h"

static void make(bool large, int64_t rows, int64_t n, uint64_t seed, int threads, double *a) {
    CHECK_OK(large ? vly_orthogonal_large(rows, n, seed, 3, threads, a)
                   : vly_orthogonal_small(rows, n, seed, 3, a));
}

static void rows_are_orthonormal(void) {
    static const int64_t shapes[][2] = {{1, 1},     {1, 17},    {2, 2},    {3, 5},
                                        {63, 64},   {64, 64},   {65, 65},  {65, 257},
                                        {128, 130}, {130, 130}, {131, 515}};
    for (size_t k = 0; k < 2 * sizeof shapes / sizeof *shapes; k++) {
        const int64_t rows = shapes[k / 2][0], n = shapes[k / 2][1];
        double *a = malloc((size_t)(rows * n) * sizeof *a);
        CHECK(a != NULL);
        make(k % 2, rows, n, 11, 0, a);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j <= i; j++) {
                double dot = 0;
                for (int64_t l = 0; l < n; l++) dot += a[i * n + l] * a[j * n + l];
                CHECK_NEAR(dot, i == j, 2e-6);
            }
        free(a);
    }
}

static void threads_do_not_change_bits(void) {
    enum { ROWS = 133, N = 200 };
    static double one[ROWS * N], some[ROWS * N];
    make(true, ROWS, N, 5, 1, one);
    for (int threads = 2; threads <= 8; threads += 3) {
        make(true, ROWS, N, 5, threads, some);
        CHECK_EQ(memcmp(one, some, sizeof one), 0);
    }
    make(true, ROWS, N, 6, 1, some);
    CHECK(memcmp(one, some, sizeof one) != 0);
}

/* Moments of the uniform distribution on O(n) (Collins and Sniady 2006): E q^2 = 1/n, E q^4 =
 * 3/(n(n+2)), E trace = 0, E trace^2 = 1, E trace^4 = 3 for n >= 4, E det = 0. */
static void matrices_are_uniform(void) {
    enum { N = 4, SAMPLES = 20000 };
    for (int large = 0; large < 2; large++) {
        double q2[N * N] = {0}, q4 = 0, t1 = 0, t2 = 0, t4 = 0;
        for (int s = 0; s < SAMPLES; s++) {
            double a[N * N];
            double trace = 0;
            make(large, N, N, (uint64_t)s, 1, a);
            for (int i = 0; i < N * N; i++) q2[i] += a[i] * a[i] / SAMPLES;
            for (int i = 0; i < N * N; i++) q4 += pow(a[i], 4) / (N * N * SAMPLES);
            for (int i = 0; i < N; i++) trace += a[i * N + i];
            t1 += trace / SAMPLES, t2 += trace * trace / SAMPLES, t4 += pow(trace, 4) / SAMPLES;
        }
        for (int i = 0; i < N * N; i++) CHECK(fabs(q2[i] - 0.25) < 0.01);
        CHECK(fabs(q4 - 3.0 / 24) < 0.002);
        CHECK(fabs(t1) < 0.03 && fabs(t2 - 1) < 0.05 && fabs(t4 - 3) < 0.4);
    }
}

int main(void) {
    rows_are_orthonormal();
    threads_do_not_change_bits();
    matrices_are_uniform();
    return TEST_PASS;
}
