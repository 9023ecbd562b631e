#include "cpu/ops/bf16.h"
#include "tests/kit/golden.h"

enum { N = 1031 };

static void rounding_is_to_nearest_even(void) {
    CHECK_EQ(vly_bf16_from_f32(1.0f), 0x3f80);
    CHECK_EQ(vly_bf16_from_f32(1.00390625f), 0x3f80); /* halfway, even below */
    CHECK_EQ(vly_bf16_from_f32(1.01171875f), 0x3f82); /* halfway, even above */
    CHECK_EQ(vly_bf16_from_f32(3.4e38f), 0x7f80);     /* beyond the largest: infinity */
    CHECK(isnan(vly_bf16_to_f32(vly_bf16_from_f32(NAN))));
    for (uint32_t b = 0; b < 65536; b++) {
        const float f = vly_bf16_to_f32((uint16_t)b);
        if (f == f) CHECK_EQ(vly_bf16_from_f32(f), b);
    }
}

static void floats(void) {
    vly_real *x = noise_array(1, N), *z = noise_array(2, N), *y = poisoned(N * sizeof *y);
    CHECK_OK(cpu->relu(queue, VLY_F32, N, x, y));
    for (int i = 0; i < N; i++) CHECK_EQ(y[i] == (x[i] > 0 ? x[i] : 0), 1);
    vly_real *dx = poisoned(N * sizeof *dx);
    CHECK_OK(cpu->relu_backward(queue, VLY_F32, N, y, z, dx, false));
    for (int i = 0; i < N; i++) CHECK_EQ(dx[i] == (x[i] > 0 ? z[i] : 0), 1);
    CHECK_OK(cpu->relu_backward(queue, VLY_F32, N, y, z, dx, true));
    for (int i = 0; i < N; i++) CHECK_EQ(dx[i] == (x[i] > 0 ? z[i] + z[i] : 0), 1);
    CHECK_OK(cpu->add(queue, VLY_F32, N, x, z));
    for (int i = 0; i < N; i++) CHECK_EQ(z[i] == noise(2, (uint32_t)i) + x[i], 1);
    guard_check(y, N * sizeof *y), guard_check(dx, N * sizeof *dx);
    x[3] = NAN;
    CHECK_OK(cpu->relu(queue, VLY_F32, N, x, y));
    CHECK(isnan((double)y[3]));
}

static void halves(void) {
    vly_real *x = noise_array(3, N), *z = noise_array(4, N), *back = poisoned(N * sizeof *back);
    uint16_t *hx = poisoned(2 * N), *hz = poisoned(2 * N), *hy = poisoned(2 * N);
    CHECK_OK(cpu->convert(queue, N, VLY_F32, x, VLY_BF16, hx));
    CHECK_OK(cpu->convert(queue, N, VLY_F32, z, VLY_BF16, hz));
    CHECK_OK(cpu->convert(queue, N, VLY_BF16, hx, VLY_F32, back));
    for (int i = 0; i < N; i++) {
        CHECK_EQ(hx[i], vly_bf16_from_f32((float)x[i]));
        CHECK_EQ(back[i] == vly_bf16_to_f32(hx[i]), 1);
    }
    CHECK_OK(cpu->relu(queue, VLY_BF16, N, hx, hy));
    for (int i = 0; i < N; i++) CHECK_EQ(hy[i], back[i] > 0 ? hx[i] : 0);
    uint16_t *hd = poisoned(2 * N);
    CHECK_OK(cpu->relu_backward(queue, VLY_BF16, N, hy, hz, hd, false));
    for (int i = 0; i < N; i++) CHECK_EQ(hd[i], back[i] > 0 ? hz[i] : 0);
    CHECK_OK(cpu->add(queue, VLY_BF16, N, hx, hz));
    for (int i = 0; i < N; i++)
        CHECK_EQ(hz[i], vly_bf16_from_f32((float)back[i] +
                                          vly_bf16_to_f32(vly_bf16_from_f32((float)z[i]))));
    guard_check(hy, 2 * N), guard_check(hd, 2 * N), guard_check(hz, 2 * N);
}

static void dueling_subtracts_the_mean(void) {
    const vly_real v[] = {2, -1}, a[] = {1, 2, 6, 0, 0, 3};
    vly_real q[6], dv[2], da[6];
    CHECK_OK(cpu->dueling(queue, 2, 3, v, a, q));
    CHECK_NEAR(q[0], 0, 1e-6);
    CHECK_NEAR(q[2], 5, 1e-6);
    CHECK_NEAR(q[5], 1, 1e-6);
    const vly_real dq[] = {1, 0, 0, 0, 3, 0};
    CHECK_OK(cpu->dueling_backward(queue, 2, 3, dq, dv, da));
    CHECK_NEAR(dv[0], 1, 1e-6);
    CHECK_NEAR(dv[1], 3, 1e-6);
    CHECK_NEAR(da[0], 2.0 / 3, 1e-6);
    CHECK_NEAR(da[3], -1, 1e-6);
    CHECK_NEAR(da[4], 2, 1e-6);
}

static void bad_arguments_are_named(void) {
    vly_real x[4] = {0};
    CHECK_EQ(cpu->relu(queue, VLY_U8, 4, x, x), VLY_EINVAL);
    CHECK_EQ(cpu->add(queue, VLY_F32, -1, x, x), VLY_EINVAL);
    CHECK_EQ(cpu->convert(queue, 4, VLY_F32, NULL, VLY_BF16, x), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "convert"));
    CHECK_EQ(cpu->dueling(queue, 1, 0, x, x, x), VLY_EINVAL);
}

int main(void) {
    cpu_open(2);
    rounding_is_to_nearest_even();
    floats();
    halves();
    dueling_subtracts_the_mean();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
