#include "tests/kit/golden.h"

static vly_rng rng = {.seed = 5, .step = 9};

/* Chi-square of 200,000 draws against the softmax; 99.99 % quantile by Wilson and Hilferty. */
static void actions_follow_the_softmax(int A) {
    enum { n = 200000 };
    vly_real *z = malloc(sizeof *z * (size_t)n * (size_t)A), *logp = poisoned(n * sizeof *logp);
    double p[32], total = 0, chi = 0;
    int32_t *action = poisoned(4 * n);
    long hits[32] = {0};
    for (int a = 0; a < A; a++) total += exp((double)noise(9, (uint32_t)a) * 2);
    for (int a = 0; a < A; a++) p[a] = exp((double)noise(9, (uint32_t)a) * 2) / total;
    for (int i = 0; i < n * A; i++)
        z[i] = noise(9, (uint32_t)(i % A)) * 2 + 100; /* a shift changes nothing */
    CHECK_OK(cpu->sample_policy(queue, n, A, z, &rng, NULL, 3, action, NULL, logp));
    for (int i = 0; i < n; i++) {
        CHECK(action[i] >= 0 && action[i] < A);
        CHECK_NEAR(logp[i], log(p[action[i]]), 1e-4);
        hits[action[i]]++;
    }
    for (int a = 0; a < A; a++) chi += (hits[a] - n * p[a]) * (hits[a] - n * p[a]) / (n * p[a]);
    const double k = A - 1, q = k > 0 ? k * pow(1 - 2 / (9 * k) + 3.72 * sqrt(2 / (9 * k)), 3) : 1;
    if (!(chi <= q)) fprintf(stderr, "%d actions: chi-square %g, at most %g\n", A, chi, q);
    CHECK(chi <= q);
    vly_real *again = poisoned(n * sizeof *again);
    CHECK_OK(cpu->action_logp(queue, n, A, z, action, again));
    for (int i = 0; i < n; i++) CHECK_NEAR(again[i], logp[i], 1e-6);
    free(z), free(logp), free(action), free(again);
}

/* Which rows share a batch must not matter: a row is its lane. */
static void a_draw_depends_on_its_lane_alone(void) {
    enum { n = 300, A = 6 };
    vly_real *z = noise_array(4, n * A);
    int32_t whole[n], part[n], lane[n];
    for (int i = 0; i < n; i++) lane[i] = i;
    CHECK_OK(cpu->sample_policy(queue, n, A, z, &rng, NULL, 0, whole, NULL, NULL));
    for (int at = 0, k = 1; at < n; at += k, k = k % 37 + 1) {
        if (at + k > n) k = n - at;
        CHECK_OK(cpu->sample_policy(queue, k, A, z + at * A, &rng, at % 2 ? lane + at : NULL, at,
                                    part + at, NULL, NULL));
    }
    CHECK(memcmp(whole, part, sizeof whole) == 0);
    CHECK_OK(cpu->rng_advance(queue, &rng));
    CHECK_EQ(rng.step, 10);
    CHECK_OK(cpu->sample_policy(queue, n, A, z, &rng, NULL, 0, part, NULL, NULL));
    CHECK(memcmp(whole, part, sizeof whole) != 0);
}

static void extremes_stay_in_range(void) {
    const vly_real z[][3] = {{NAN, NAN, NAN},
                             {-INFINITY, 0, -INFINITY},
                             {1e30f, -1e30f, 0},
                             {INFINITY, 0, 0},
                             {-1e30f, -1e30f, -1e30f}};
    for (int i = 0; i < 5; i++)
        for (int lane = 0; lane < 50; lane++) {
            int32_t action = -7;
            vly_real logp;
            CHECK_OK(cpu->sample_policy(queue, 1, 3, z[i], &rng, NULL, lane, &action, NULL, &logp));
            CHECK(action >= 0 && action < 3);
            if (i == 1) CHECK_EQ(action, 1);
            if (i == 2) CHECK_EQ(action, 0);
        }
}

static void greedy_explores_with_epsilon(void) {
    enum { n = 100000, A = 4 };
    vly_real *q = noise_array(6, n * A), *epsilon = malloc(n * sizeof *epsilon);
    int32_t *action = poisoned(4 * n), *shown = poisoned(4 * n);
    long other = 0;
    for (int i = 0; i < n; i++) epsilon[i] = (vly_real)0.2;
    CHECK_OK(cpu->sample_greedy(queue, n, A, q, epsilon, &rng, NULL, 0, action, shown));
    CHECK(!memcmp(shown, action, 4 * n));
    free(shown);
    for (int i = 0; i < n; i++) {
        int best = 0;
        for (int a = 1; a < A; a++) best = q[i * A + a] > q[i * A + best] ? a : best;
        CHECK(action[i] >= 0 && action[i] < A);
        other += action[i] != best;
    }
    CHECK_NEAR((double)other / n, 0.2 * 0.75, 0.005);
    CHECK_OK(cpu->sample_greedy(queue, n, A, q, NULL, NULL, NULL, 0, action, NULL));
    const vly_real tie[] = {1, 3, 3, 3};
    CHECK_OK(cpu->sample_greedy(queue, 1, A, tie, NULL, NULL, NULL, 0, action, NULL));
    CHECK_EQ(action[0], 1); /* the first of equals */
    free(q), free(epsilon), free(action);
}

static void a_permutation_holds_every_number_once(void) {
    static const int size[] = {1, 2, 3, 5, 16, 17, 1000, 4096, 100003};
    for (int k = 0; k < 9; k++) {
        const int n = size[k];
        int32_t *order = poisoned(4 * (size_t)n);
        uint8_t *seen = calloc((size_t)n, 1);
        long fixed = 0;
        CHECK_OK(cpu->permutation(queue, n, &rng, order));
        for (int i = 0; i < n; i++) {
            CHECK(order[i] >= 0 && order[i] < n);
            CHECK_EQ(seen[order[i]]++, 0);
            fixed += order[i] == i;
        }
        if (n >= 1000) CHECK(fixed < 12); /* 1 is expected */
        guard_check(order, 4 * (size_t)n);
        free(order), free(seen);
    }
}

static void bad_arguments_are_named(void) {
    int32_t action;
    CHECK_EQ(cpu->sample_policy(queue, 1, 0, (vly_real[]){0}, &rng, NULL, 0, &action, NULL, NULL),
             VLY_EINVAL);
    CHECK_EQ(cpu->sample_policy(queue, 1, 2, NULL, &rng, NULL, 0, &action, NULL, NULL), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "sample_policy"));
    CHECK_EQ(cpu->permutation(queue, 5, NULL, &action), VLY_EINVAL);
}

int main(void) {
    cpu_open(2);
    for (int A = 1; A <= 18; A += A < 6 ? 1 : 6) actions_follow_the_softmax(A);
    a_draw_depends_on_its_lane_alone();
    extremes_stay_in_range();
    greedy_explores_with_epsilon();
    a_permutation_holds_every_number_once();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
