#include "envs/numpy_normal.h"
#include <math.h>

#define WIDTH 3.6541528853610088 /* of the last strip, where the tail begins */

typedef struct {
    uint64_t k; /* mantissas below it lie under the next strip */
    double w, f;
} strip;

static const strip strips[256] = {
#define STRIP(k, w, f) {k, w, f},
#include "envs/numpy_ziggurat.def"
#undef STRIP
};

/* Marsaglia 1964: beyond WIDTH, by exponential draws. */
static double draw_tail(vly_pcg64 *rng, int negative) {
    const double inverse = 0.27366123732975828; /* 1 / WIDTH, as NumPy rounds it */
    for (;;) {
        const double x = -inverse * log1p(-vly_pcg64_double(rng));
        const double y = -log1p(-vly_pcg64_double(rng));
        if (y + y > x * x) return negative ? -(WIDTH + x) : WIDTH + x;
    }
}

double vly_pcg64_normal(vly_pcg64 *rng) {
    for (;;) {
        const uint64_t bits = vly_pcg64_next(rng), mantissa = bits >> 9 & 0xfffffffffffff;
        const int i = (int)(bits & 0xff);
        const double size = (double)mantissa * strips[i].w, x = bits >> 8 & 1 ? -size : size;
        if (mantissa < strips[i].k) return x;
        if (i == 0) return draw_tail(rng, (int)(mantissa >> 8 & 1));
        const double height = strips[i - 1].f - strips[i].f;
        if (height * vly_pcg64_double(rng) + strips[i].f < exp(-0.5 * x * x)) return x;
    }
}
