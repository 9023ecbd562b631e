/* small_trig.h -- sine and cosine of small angles, many at a time, equal to the C library's.
 *
 *   for (int i = 0; i < n; i++) unsure[i] = vly_small_trig(x[i], &sine[i], &cosine[i]);
 *   for (int i = 0; i < n; i++) if (unsure[i]) sine[i] = sin(x[i]), cosine[i] = cos(x[i]);
 *
 * The first loop vectorises, which calls of the library do not. Its results must equal the
 * library's, because the reference calls the library, and an unstable system such as CartPole
 * amplifies a difference in the last bit to another episode within five seconds.
 *
 * The value is computed as a sum hi + lo, accurate to 2^-61, so its distance from the midpoint of
 * two doubles is known. The library's error is below half a unit in the last place plus a small
 * excess (glibc since 2.28: for |x| < 0.126 it sums x and a Taylor remainder of less than 0.0027 x,
 * above it a table's entry and a remainder of less than 0.0040, at most four roundings each).
 * Further from the midpoint than that excess, both round alike; nearer, in about 4 of 100 cases,
 * the angle is unsure and the caller uses the library. tests/envs/test_small_trig.c tries millions.
 *
 * With a C library other than glibc every angle is unsure, because its rounding is not known.
 * Needs fused multiply-add; compile the loop for a processor that has it.
 */
#ifndef VLY_ENVS_SMALL_TRIG_H
#define VLY_ENVS_SMALL_TRIG_H
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Half a unit in the last place of v, 2^-53 times its power of two. */
static inline double vly_half_ulp(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits &= 0x7ff0000000000000u;
    memcpy(&v, &bits, sizeof bits);
    return v * 0x1p-53;
}

/* Returns 1 if the C library must be called, and always beyond 0.25. */
static inline __attribute__((always_inline)) int64_t vly_small_trig(double x, double *sine,
                                                                    double *cosine) {
    const double z = x * x, z_lo = __builtin_fma(x, x, -z); /* x^2 = z + z_lo */

    /* x + x z S(z), S = -1/6 + z/120 - ... in two parts */
    const double tail =
        z * (1 / 120. +
             z * (-1 / 5040. + z * (1 / 362880. + z * (-1 / 39916800. + z * (1 / 6227020800.)))));
    const double sixth = -1 / 6., s_hi = sixth + tail;
    const double s_lo = ((sixth - s_hi) + tail) - 0x1.5555555555555p-57;
    const double cube = x * z, cube_lo = __builtin_fma(x, z, -cube) + x * z_lo;
    const double c_hi = cube * s_hi;
    const double c_lo = __builtin_fma(cube, s_hi, -c_hi) + (cube * s_lo + cube_lo * s_hi);
    const double near = x + c_hi, near_lo = ((x - near) + c_hi) + c_lo;
    const double sin_x = near + near_lo, sin_off = near_lo - (sin_x - near);

    /* 1 - z/2 + z^2 C(z), C = 1/24 - z/720 + ... */
    const double rest =
        z * z *
        (1 / 24. + z * (-1 / 720. + z * (1 / 40320. + z * (-1 / 3628800. + z * (1 / 479001600.)))));
    const double one = 1 - z * 0.5;
    const double one_lo = ((1 - one) - z * 0.5) + (rest - z_lo * 0.5);
    const double cos_x = one + one_lo, cos_off = one_lo - (cos_x - one);

    *sine = sin_x, *cosine = cos_x;
#ifdef __GLIBC__
    const double size = fabs(x), far = size < 0.126 ? 1 - 2 * 0.012 : 1 - 2 * 0.05;
    const int64_t sure = (fabs(sin_off) < far * vly_half_ulp(sin_x)) &
                         (fabs(cos_off) < (1 - 2 * 0.004) * 0x1p-54) & (size <= 0.25);
    return !sure;
#else
    return 1;
#endif
}
#endif
