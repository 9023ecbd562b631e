/* curve.h -- one metric over a whole run in bounded memory: means, minima and maxima of ever wider
 * stretches.
 *
 *   vly_curve c = {0};
 *   // a million times: at most VLY_CURVE_POINTS are kept
 *   vly_curve_add(&c, step, seconds, value);
 *   n = vly_curve_reduce(&c, 300, out);             // what a chart 300 pixels wide can show
 *   vly_curve_free(&c);
 *
 * When it is full, neighbours are joined and every later point covers twice as many values: no
 * extreme is ever lost, however long the run.
 */
#ifndef VLY_CPU_CURVE_H
#define VLY_CPU_CURVE_H
#include <stdbool.h>
#include <stdint.h>

enum { VLY_CURVE_POINTS = 2048 };

typedef struct {
    double step, seconds; /* of its last value */
    float mean, min, max;
    uint32_t n; /* values in it */
} vly_curve_point;

typedef struct {
    vly_curve_point *v;
    int n, room;
    uint32_t width; /* values in a full point; 0: 1 */
} vly_curve;

/* All the memory that it will ever take, in pages that are there. False: there is none; it grows as
 * without. */
bool vly_curve_reserve(vly_curve *c);
/* Not finite values are left out. False: no memory. */
bool vly_curve_add(vly_curve *c, double step, double seconds, double value);
/* At most `points` of them into out; returns how many. */
int vly_curve_reduce(const vly_curve *c, int points, vly_curve_point *out);
void vly_curve_free(vly_curve *c);
#endif
