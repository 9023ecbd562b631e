#include "common/base/rules.h"
#include "tests/kit/check.h"

static void exp_log_and_tanh_are_right_to_a_few_ulp(void) {
    for (double x = -87.0; x < 88.0; x += 0.00137)
        CHECK(fabs(vly_expf((float)x) / exp((double)(float)x) - 1) < 2.5e-7);
    for (double x = 1e-37; x < 3e38; x *= 1.00731) {
        const double want = log((double)(float)x);
        CHECK(fabs(vly_logf((float)x) - want) <= 2.4e-7 * fabs(want) + 1e-12);
    }
    for (double x = -12.0; x < 12.0; x += 0.00091)
        CHECK(fabs(vly_tanhf((float)x) - tanh((double)(float)x)) < 3.6e-7);
    CHECK(vly_expf(-200.0f) == 0.0f && vly_expf(0.0f) == 1.0f && isnan(vly_expf(NAN)) &&
          vly_expf(200.0f) > 3.3e38f);
    CHECK(vly_logf(1.0f) == 0.0f && isinf(vly_logf(0.0f)) && isnan(vly_logf(-1.0f)) &&
          isnan(vly_logf(NAN)) && isinf(vly_logf(INFINITY)));
    CHECK(vly_tanhf(0.0f) == 0.0f && vly_tanhf(30.0f) == 1.0f && vly_tanhf(-30.0f) == -1.0f);
}

static void sampling_follows_the_softmax(void) {
    const float z[5] = {0.5f, -1.0f, 2.0f, -INFINITY, 0.0f};
    double want[5], total = 0;
    int seen[5] = {0};
    enum { DRAWS = 200000 };
    for (int a = 0; a < 5; a++) total += want[a] = exp(z[a]);
    for (int i = 0; i < DRAWS; i++) {
        float logp;
        const int a = vly_rule_sample(
            5, z, vly_unit(vly_philox(3, VLY_STREAM_TEST, 9, (uint32_t)i).v[0]), &logp);
        CHECK_NEAR(logp, log(want[a] / total), 1e-6);
        CHECK(logp == vly_rule_logp(5, z, a));
        seen[a]++;
    }
    for (int a = 0; a < 5; a++) {
        const double p = want[a] / total, sd = sqrt(p * (1 - p) * DRAWS);
        CHECK(fabs(seen[a] - p * DRAWS) <= 5 * sd);
    }
}

static void a_permutation_holds_every_number_once(void) {
    static uint8_t seen[70000];
    const int sizes[] = {1, 2, 3, 5, 16, 17, 257, 1000, 4096, 4097, 65536, 65537};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const vly_rng rng = {11, s};
        memset(seen, 0, sizeof seen);
        int fixed = 0;
        for (int i = 0; i < sizes[s]; i++) {
            const int32_t at = vly_rule_permute((uint32_t)sizes[s], &rng, (uint32_t)i);
            CHECK(at >= 0 && at < sizes[s] && !seen[at]);
            seen[at] = 1;
            fixed += at == i;
        }
        CHECK(fixed <= 8);
    }
}

static void scaling_by_2_to_the_64_is_exact(void) {
    for (uint32_t i = 0; i < 10000; i++) {
        const vly_u32x4 r = vly_philox(5, VLY_STREAM_TEST, 0, i);
        const uint64_t a = (uint64_t)r.v[0] << 32 | r.v[1], b = (uint64_t)r.v[2] << 32 | r.v[3];
        __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
        CHECK(vly_rule_scale(a, b) == (uint64_t)(product >> 64));
    }
}

int main(void) {
    exp_log_and_tanh_are_right_to_a_few_ulp();
    sampling_follows_the_softmax();
    a_permutation_holds_every_number_once();
    scaling_by_2_to_the_64_is_exact();
    return TEST_PASS;
}
