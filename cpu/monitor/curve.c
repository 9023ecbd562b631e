#include "cpu/monitor/curve.h"
#include <math.h>
#include <stdlib.h>

static vly_curve_point join_points(const vly_curve_point *a, const vly_curve_point *b) {
    const double n = (double)a->n + b->n;
    return (vly_curve_point){
        .step = b->step,
        .seconds = b->seconds,
        .n = a->n + b->n,
        .min = fminf(a->min, b->min),
        .max = fmaxf(a->max, b->max),
        .mean = (float)((a->mean * (double)a->n + b->mean * (double)b->n) / n)};
}

static void halve(vly_curve *c) {
    for (int i = 0; i < c->n / 2; i++) c->v[i] = join_points(&c->v[2 * i], &c->v[2 * i + 1]);
    c->n /= 2;
    c->width *= 2;
}

static bool halve_curve(vly_curve *c) {
    if (c->n < c->room) return true;
    if (c->room == VLY_CURVE_POINTS) return halve(c), true;
    const int room = c->room ? c->room * 2 : 32;
    vly_curve_point *v = realloc(c->v, (size_t)room * sizeof *v);
    if (!v) return false;
    c->v = v, c->room = room;
    return true;
}

bool vly_curve_reserve(vly_curve *c) {
    if (c->room == VLY_CURVE_POINTS) return true;
    vly_curve_point *v = realloc(c->v, VLY_CURVE_POINTS * sizeof *v);
    if (!v) return false;
    for (int i = c->n; i < VLY_CURVE_POINTS; i++) v[i] = (vly_curve_point){.n = 1};
    c->v = v, c->room = VLY_CURVE_POINTS;
    return true;
}

bool vly_curve_add(vly_curve *c, double step, double seconds, double value) {
    if (!isfinite(value)) return true;
    if (!c->width) c->width = 1;
    const vly_curve_point one = {step, seconds, (float)value, (float)value, (float)value, 1};
    if (c->n && c->v[c->n - 1].n < c->width) {
        c->v[c->n - 1] = join_points(&c->v[c->n - 1], &one);
        return true;
    }
    if (!halve_curve(c)) return false;
    c->v[c->n++] = one;
    return true;
}

int vly_curve_reduce(const vly_curve *c, int points, vly_curve_point *out) {
    if (points < 1 || c->n < 1) return 0;
    const int each = (c->n + points - 1) / points;
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        if (i % each == 0)
            out[n++] = c->v[i];
        else
            out[n - 1] = join_points(&out[n - 1], &c->v[i]);
    }
    return n;
}

void vly_curve_free(vly_curve *c) {
    free(c->v);
    *c = (vly_curve){0};
}
