/* numpy_sum.h -- sums as NumPy rounds them: a different order gives different bits.
 *
 *   float cost = vly_numpy_squares_f32(action, 8);     // np.square(action).sum(), of float32
 *   double far = vly_numpy_norm(v, 3);                 // np.linalg.norm(v)
 *
 * NumPy adds up to 128 numbers in eight lanes when there are eight or more; longer arrays, which it
 * splits in halves, do not occur here.
 */
#ifndef VLY_ENVS_MUJOCO_NUMPY_SUM_H
#define VLY_ENVS_MUJOCO_NUMPY_SUM_H
#include <math.h>
#include <stdbool.h>

#define VLY_NUMPY_SUM(name, real, value)                           \
    static inline real name(const real *v, int n) {                \
        real lane[8], sum = 0;                                     \
        int i = 0;                                                 \
        if (n >= 8) {                                              \
            for (; i < 8; i++) lane[i] = value(v[i]);              \
            for (; i < n - n % 8; i++) lane[i % 8] += value(v[i]); \
            sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) +    \
                  ((lane[4] + lane[5]) + (lane[6] + lane[7]));     \
        }                                                          \
        for (; i < n; i++) sum += value(v[i]);                     \
        return sum;                                                \
    }
#define VLY_NUMPY_ITSELF(x) (x)
#define VLY_NUMPY_SQUARE(x) ((x) * (x))
VLY_NUMPY_SUM(vly_numpy_sum, double, VLY_NUMPY_ITSELF)
VLY_NUMPY_SUM(vly_numpy_squares, double, VLY_NUMPY_SQUARE)
VLY_NUMPY_SUM(vly_numpy_squares_f32, float, VLY_NUMPY_SQUARE)

/* Of few numbers. NumPy takes its dot product from OpenBLAS, whose loop fuses each product with the
 * sum on every processor that has the instruction. */
static inline double vly_numpy_norm(const double *v, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum = fma(v[i], v[i], sum);
    return sqrt(sum);
}

/* np.isfinite(v).all() */
static inline bool vly_mj_finite(const double *v, int n) {
    bool finite = true;
    for (int i = 0; i < n; i++) finite &= isfinite(v[i]) != 0;
    return finite;
}

/* np.float64(x) ** 2 is the C library's pow, which is not x * x in one of a thousand numbers. */
static inline double vly_numpy_power2(double x) {
    volatile const double two = 2; /* or the compiler would multiply */
    return pow(x, two);
}
#endif
