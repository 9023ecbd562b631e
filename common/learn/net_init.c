#include "common/learn/net_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "common/learn/orthogonal.h"

/* Operations from which the large way is taken; below it weights keep the values they always had.
 */
static const int64_t large = (int64_t)1 << 30;

static vly_status init_orthogonal(const vly_tensor *t, uint64_t seed, uint64_t index, vly_real *w) {
    const int64_t rows = t->shape[0], columns = t->n / rows;
    const bool wide = rows <= columns;
    const int64_t fewer = wide ? rows : columns, more = wide ? columns : rows;
    double *a = malloc((size_t)t->n * sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory to initialise %s", t->name);
    const vly_status status = fewer * fewer <= large / more
                                  ? vly_orthogonal_small(fewer, more, seed, index, a)
                                  : vly_orthogonal_large(fewer, more, seed, index, 0, a);
    for (int64_t i = 0; status == VLY_OK && i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            w[i * columns + k] =
                (vly_real)(t->gain * (wide ? a[i * columns + k] : a[k * rows + i]));
    free(a);
    return status;
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
    vly_fill_normal(seed, index, 0, t->n, a);
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
        if (t->constant) {
            for (int64_t k = 0; k < t->n; k++) param[t->offset + k] = (vly_real)t->first;
        } else if (t->ndim > 1) {
            fan_in = (double)(t->n / t->shape[0]);
            VLY_TRY(init_tensor(t, net->desc.init, seed, (uint64_t)i, param + t->offset));
        } else if (net->desc.init == VLY_INIT_TORCH) {
            init_uniform(t->n, 1.0 / sqrt(fan_in), seed, (uint64_t)i, param + t->offset);
        }
    }
    return VLY_OK;
}
