/* normalize.c -- running moments, what normalises by them, centred inputs, columns of matrices. */
#include <string.h>
#include "common/base/rules_action.h"
#include "cpu/ops/ops.h"

vly_status vly_cpu_columns(vly_queue *q, int n, int width, const vly_real *from,
                           int64_t from_stride, vly_real *to, int64_t to_stride) {
    (void)q;
    VLY_NEED("columns", n >= 0 && width >= 0 && from && to);
    VLY_NEED("columns", (from_stride == 0 || from_stride >= width) && to_stride >= width);
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * to_stride, from + i * from_stride, (size_t)width * sizeof *to);
    return VLY_OK;
}

vly_status vly_cpu_column_sums(vly_queue *q, int n, int width, const vly_real *x, int64_t stride,
                               vly_real *out) {
    (void)q;
    VLY_NEED("column_sums", n >= 0 && width >= 0 && x && out && stride >= width);
    for (int k = 0; k < width; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += x[i * stride + k];
        out[k] = (vly_real)sum;
    }
    return VLY_OK;
}

vly_status vly_cpu_normalize(vly_queue *q, int n, int width, const vly_real *x,
                             const vly_real *mean, const vly_real *scale, float limit,
                             vly_real *y) {
    (void)q;
    VLY_NEED("normalize", n >= 0 && width >= 1 && x && scale && limit > 0 && y);
    for (int64_t i = 0; i < n; i++, x += width, y += width)
        for (int k = 0; k < width; k++)
            y[k] = vly_rule_normalize(x[k], mean ? mean[k] : 0, scale[k], (vly_real)limit);
    return VLY_OK;
}

vly_status vly_cpu_centre(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                          const vly_real *w, vly_real *to) {
    (void)q;
    VLY_NEED("centre", rows >= 1 && k >= 1 && centre && w && to && w != to);
    memcpy(to, w, (size_t)(rows * k + rows) * sizeof *to);
    vly_rule_centre_biases(rows, k, *centre, w, to + rows * k);
    return VLY_OK;
}

vly_status vly_cpu_centre_backward(vly_queue *q, int rows, int64_t k, const vly_real *centre,
                                   vly_real *dw) {
    (void)q;
    VLY_NEED("centre_backward", rows >= 1 && k >= 1 && centre && dw);
    for (int o = 0; o < rows; o++) {
        const vly_real less = *centre * dw[rows * k + o];
        for (int64_t i = 0; i < k; i++) dw[o * k + i] -= less;
    }
    return VLY_OK;
}

static void running_column(const vly_running_args *a, int column) {
    double count = 0, sum = 0, squares = 0;
    for (int64_t i = 0; i < a->n; i++)
        if (!a->mask || a->mask[i] != 0) count += 1, sum += a->x[i * a->width + column];
    const double mean = count > 0 ? sum / count : 0;
    for (int64_t i = 0; i < a->n; i++) {
        const double d = a->x[i * a->width + column] - mean;
        if (!a->mask || a->mask[i] != 0) squares += d * d;
    }
    vly_rule_running(a, column, count, mean, squares);
}

vly_status vly_cpu_running(vly_queue *q, const vly_running_args *a) {
    (void)q;
    VLY_NEED("running", a && a->n >= 0 && a->width >= 1 && a->x && a->state && a->scale);
    for (int k = 0; k < a->width; k++) running_column(a, k);
    return VLY_OK;
}

vly_status vly_cpu_discounted(vly_queue *q, const vly_discounted_args *a) {
    (void)q;
    VLY_NEED("discounted", a && a->T >= 0 && a->N >= 1 && a->reward && a->flags && a->hyper);
    VLY_NEED("discounted", a->carry && a->out && a->mask);
    for (int n = 0; n < a->N; n++) vly_rule_discounted(a, n);
    return VLY_OK;
}
