#include "common/base/philox.h"
#include "envs/small_trig.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

static double angle(uint64_t i) {
    const vly_u32x4 r = vly_philox(3, VLY_STREAM_TEST, i, 0);
    const double u = (double)(r.v[0] >> 11) * 0x1p-21 + (double)r.v[1] * 0x1p-53;
    const double sign = r.v[2] & 1 ? 1 : -1;
    if (i % 8) return sign * u * 0.25;
    return sign * ldexp(u, -(int)(r.v[3] % 64)); /* small ones, down to 2^-64 */
}

/* A value that is not marked unsure equals the library's, and nearly all are such. */
static void what_is_sure_is_what_the_library_says(void) {
    long unsure = 0, tried = 4000000;
    for (long i = 0; i < tried; i++) {
        const double x = angle((uint64_t)i);
        double s, c;
        if (vly_small_trig(x, &s, &c)) {
            unsure++;
            continue;
        }
        if (s != sin(x) || c != cos(x)) fprintf(stderr, "x = %a\n", x);
        CHECK(s == sin(x) && c == cos(x));
    }
    printf("%.2f %% are asked of the library\n", 100.0 * (double)unsure / (double)tried);
#ifdef __GLIBC__
    CHECK(unsure < tried / 8);
#endif
}

static void what_is_no_small_angle_is_left_to_the_library(void) {
    const double odd[] = {0.2500001, -0.3, 1.0, 1e9, INFINITY, -INFINITY, NAN, 0.0};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        double s, c;
        CHECK_EQ(vly_small_trig(odd[i], &s, &c), 1);
    }
}

/* Every instruction set steps the same actors to the same bits. */
static void all_instruction_sets_agree(const char *name, uint64_t steps) {
    enum { N = 203 };
    static const char *level[3] = {"simd=0", "simd=1", "simd=2"};
    static uint64_t states[3][N][16];
    static float obs[N][6], reward[N], score[N];
    static uint8_t flags[N];
    for (int k = 0; k < 3; k++) {
        vly_env env;
        const vly_env_args args = {.extra = level[k]};
        CHECK_OK(vly_env_open(&env, name, &args));
        CHECK_EQ(env.state_bytes, sizeof states[0][0]);
        const vly_rows rows = vly_rows_plain((uint8_t *)obs, sizeof obs[0], reward, score, flags);
        for (size_t i = 0; i < N; i++) env.reset(&env, states[k][i], i, vly_rows_at(rows, i));
        for (uint64_t t = 0; t < steps; t++) {
            int32_t action[N];
            for (uint32_t i = 0; i < N; i++) { /* half of them balance a pole, half play at random
                                                */
                const int good = 3 * obs[i][2] + 0.6f * obs[i][3] + 0.1f * obs[i][1] > 0;
                const vly_u32x4 random = vly_philox(1, VLY_STREAM_TEST, t, i);
                action[i] = i % 2 ? good : (int)vly_below(random.v[0], (uint32_t)env.action.n);
            }
            env.step(&env, states[k], N, vly_actions_of_ints(action), rows);
        }
        env.close(&env);
        CHECK(memcmp(states[k], states[0], sizeof states[0]) == 0);
    }
}

int main(void) {
    what_is_sure_is_what_the_library_says();
    what_is_no_small_angle_is_left_to_the_library();
    all_instruction_sets_agree("cartpole", 3000);
    all_instruction_sets_agree("acrobot", 600);
    return TEST_PASS;
}
