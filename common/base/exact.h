/* exact.h -- exp, log and tanh with the same bits on every compiler, processor and GPU.
 *
 *   const float p = vly_exp(logit - max);
 *
 * The C library's and CUDA's versions differ in the last bit, and one bit is another action,
 * another episode. These use only additions, multiplications and divisions, which IEEE 754 fixes;
 * the build turns contraction to fma off on both sides. Errors: exp and log below 2 ulp, tanh below
 * 3 ulp. Branch-free, so that a compiler can vectorise a loop over them. Coefficients: Cephes
 * (Moshier), single precision.
 *
 * With VLY_REAL=double (gradient checks) they are the C library's.
 */
#ifndef VLY_COMMON_BASE_EXACT_H
#define VLY_COMMON_BASE_EXACT_H
#include <math.h>
#include <stdint.h>
#include "common/base/compute.h"
#include "common/base/hd.h"

typedef union {
    float f;
    int32_t i;
    uint32_t u;
} vly_float_bits;

/* e^x; 0 below -87.3, 3.4e38 at most; NaN stays NaN. */
VLY_HD float vly_expf(float x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const float lo = -87.33654f, hi = 88.72283f;
    const float c = x < lo ? lo : x > hi ? hi : x;
    const float n = (c * 1.44269504f + magic) - magic;
    const float r = (c - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * r) * r + r + 1.0f;
    /* 2^n in two factors: n reaches 128, where one exponent would overflow */
    const int32_t k = (int32_t)(n == n ? n : 0.0f), half = k / 2;
    vly_float_bits a, b;
    a.i = (half + 127) * (1 << 23);
    b.i = (k - half + 127) * (1 << 23);
    const float y = (p * a.f) * b.f;
    return x < lo ? 0.0f : y;
}

/* log(x) for x > 0 (subnormals count as the smallest normal number); -inf at 0, NaN below. */
VLY_HD float vly_logf(float x) {
    const float tiny = 1.17549435e-38f;
    vly_float_bits v;
    v.f = x < tiny ? tiny : x;
    /* m in [sqrt(1/2), sqrt(2)) */
    const uint32_t shifted = v.u - 0x3f3504f3u;
    const int32_t e = (int32_t)shifted >> 23;
    v.u = (shifted & 0x007fffffu) + 0x3f3504f3u;
    const float m = v.f - 1.0f, z = m * m, n = (float)e;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    float y = (p * m) * z + n * -2.12194440e-4f - 0.5f * z;
    y = (m + y) + n * 0.693359375f;
    y = x > 3.40282347e38f ? x : y;
    y = x == 0.0f ? -INFINITY : y;
    return x >= 0.0f ? y : NAN;
}

VLY_HD float vly_tanhf(float x) {
    const float a = x < 0.0f ? -x : x, z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const float near = (p * z) * x + x;
    const float far = 1.0f - 2.0f / (vly_expf(2.0f * a) + 1.0f);
    return a < 0.625f ? near : x < 0.0f ? -far : far;
}

#define VLY_REAL_IS_FLOAT (sizeof(vly_real) == sizeof(float))
VLY_HD vly_real vly_exp(vly_real x) {
    return VLY_REAL_IS_FLOAT ? (vly_real)vly_expf((float)x) : (vly_real)exp((double)x);
}
VLY_HD vly_real vly_log(vly_real x) {
    return VLY_REAL_IS_FLOAT ? (vly_real)vly_logf((float)x) : (vly_real)log((double)x);
}
VLY_HD vly_real vly_tanh(vly_real x) {
    return VLY_REAL_IS_FLOAT ? (vly_real)vly_tanhf((float)x) : (vly_real)tanh((double)x);
}
VLY_HD vly_real vly_sqrt(vly_real x) {
    return VLY_REAL_IS_FLOAT ? (vly_real)sqrtf((float)x) : (vly_real)sqrt((double)x);
}
VLY_HD vly_real vly_sigmoid(vly_real x) {
    return (vly_real)1 / ((vly_real)1 + vly_exp(-x));
}
/* x^y for x > 0; 0 at 0. */
VLY_HD vly_real vly_pow(vly_real x, vly_real y) {
    return x > 0 ? vly_exp(y * vly_log(x)) : (vly_real)0;
}
/* x^n by squaring. */
VLY_HD double vly_powi(double x, int64_t n) {
    double y = 1.0;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1) y *= x;
    return y;
}
VLY_HD int vly_finite(vly_real x) {
    return x - x == 0;
}

#endif
