#include "common/learn/net_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"

static void fill_normal(uint64_t seed, uint64_t tensor, int64_t n, double *x) {
    for (int64_t i = 0; i < n; i += 2) { /* Box-Muller */
        const vly_u32x4 r = vly_philox(seed, VLY_STREAM_INIT, tensor, (uint32_t)(i / 2));
        const double radius = sqrt(-2.0 * log(vly_unit(r.v[0]))),
                     angle = 6.283185307179586 * vly_unit(r.v[1]);
        x[i] = radius * cos(angle);
        if (i + 1 < n) x[i + 1] = radius * sin(angle);
    }
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum[8] = {0}; /* eight partial sums: a fixed order that vectorises */
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* Orthonormal rows (modified Gram-Schmidt on Gaussian rows: Haar-distributed). rows <= n. */
static void orthonormalize(double *a, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows; i++) {
        double *v = a + i * n;
        for (int64_t j = 0; j < i; j++) {
            const double *u = a + j * n, p = dot(u, v, n);
            for (int64_t k = 0; k < n; k++) v[k] -= p * u[k];
        }
        const double scale = 1.0 / sqrt(dot(v, v, n));
        for (int64_t k = 0; k < n; k++) v[k] *= scale;
    }
}

static vly_status init_orthogonal(const vly_tensor *t, uint64_t seed, uint64_t index, vly_real *w) {
    const int64_t rows = t->shape[0], columns = t->n / rows;
    const bool wide = rows <= columns;
    double *a = malloc((size_t)t->n * sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory to initialise %s", t->name);
    fill_normal(seed, index, t->n, a);
    orthonormalize(a, wide ? rows : columns, wide ? columns : rows);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            w[i * columns + k] =
                (vly_real)(t->gain * (wide ? a[i * columns + k] : a[k * rows + i]));
    free(a);
    return VLY_OK;
}

static void init_uniform(int64_t n, double bound, uint64_t seed, uint64_t index, vly_real *w) {
    for (int64_t i = 0; i < n; i++)
        w[i] =
            (vly_real)(bound *
                       (2.0 * vly_unit(vly_philox(seed, VLY_STREAM_INIT, index, (uint32_t)i).v[0]) -
                        1.0));
}

static vly_status init_normal(const vly_tensor *t, double deviation, uint64_t seed, uint64_t index,
                              vly_real *w) {
    double *a = malloc((size_t)t->n * sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory to initialise %s", t->name);
    fill_normal(seed, index, t->n, a);
    for (int64_t i = 0; i < t->n; i++) w[i] = (vly_real)(deviation * a[i]);
    free(a);
    return VLY_OK;
}

static vly_status init_tensor(const vly_tensor *t, vly_init_kind kind, uint64_t seed,
                              uint64_t index, vly_real *w) {
    const double fan_in = (double)(t->n / t->shape[0]);
    const double area = t->ndim == 4 ? (double)(t->shape[1] * t->shape[2]) : 1.0,
                 fan_out = (double)t->shape[0] * area;
    switch (kind) {
    case VLY_INIT_ORTHOGONAL: return init_orthogonal(t, seed, index, w);
    case VLY_INIT_XAVIER_UNIFORM:
        init_uniform(t->n, sqrt(6.0 / (fan_in + fan_out)), seed, index, w);
        return VLY_OK;
    case VLY_INIT_XAVIER_NORMAL:
        return init_normal(t, sqrt(2.0 / (fan_in + fan_out)), seed, index, w);
    case VLY_INIT_KAIMING_UNIFORM:
        init_uniform(t->n, sqrt(6.0 / fan_in), seed, index, w);
        return VLY_OK;
    case VLY_INIT_KAIMING_NORMAL: return init_normal(t, sqrt(2.0 / fan_in), seed, index, w);
    case VLY_INIT_LECUN_NORMAL: return init_normal(t, sqrt(1.0 / fan_in), seed, index, w);
    case VLY_INIT_TORCH: init_uniform(t->n, 1.0 / sqrt(fan_in), seed, index, w); return VLY_OK;
    }
    return vly_fail(VLY_EINVAL, "initialisation %d does not exist", (int)kind);
}

vly_status vly_net_init(const vly_net *net, uint64_t seed, vly_real *param) {
    double fan_in = 1; /* a bias follows its weight */
    memset(param, 0, (size_t)net->params * sizeof *param);
    for (int i = 0; i < net->tensor_count; i++) {
        const vly_tensor *t = &net->tensors[i];
        if (t->ndim > 1) {
            fan_in = (double)(t->n / t->shape[0]);
            VLY_TRY(init_tensor(t, net->desc.init, seed, (uint64_t)i, param + t->offset));
        } else if (net->desc.init == VLY_INIT_TORCH) {
            init_uniform(t->n, 1.0 / sqrt(fan_in), seed, (uint64_t)i, param + t->offset);
        }
    }
    return VLY_OK;
}
