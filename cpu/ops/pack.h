/* pack.h -- how wide the panels of a packed matrix are. */
#ifndef VLY_CPU_PACK_H
#define VLY_CPU_PACK_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/ops/simd.h"

/* n columns as panels of nearly equal numbers of vectors. */
typedef struct {
    int lanes, vectors, count; /* vectors in all panels together */
    int n;
} vly_panels;

static inline vly_panels vly_panels_of(const vly_simd *simd, int n) {
    const int vectors = (n + simd->lanes - 1) / simd->lanes;
    vly_panels p = {simd->lanes, vectors, (vectors + simd->vectors_max - 1) / simd->vectors_max, n};
    return p;
}
/* First vector of panel i; panel count ends at `vectors`. */
static inline int vly_panel_first(const vly_panels *p, int i) {
    return (int)((int64_t)p->vectors * i / p->count);
}
static inline int vly_panel_vectors(const vly_panels *p, int i) {
    return vly_panel_first(p, i + 1) - vly_panel_first(p, i);
}
static inline int vly_panel_column(const vly_panels *p, int i) {
    return vly_panel_first(p, i) * p->lanes;
}
static inline int vly_panel_columns(const vly_panels *p, int i) {
    const int from = vly_panel_column(p, i), width = vly_panel_vectors(p, i) * p->lanes;
    return p->n - from < width ? p->n - from : width;
}

/* w (n, k) as panels of columns: (k, width) each; padding is zero already. */
static inline void vly_pack_columns(const vly_panels *p, int panel, int64_t k, const float *w,
                                    float *out) {
    const int first = vly_panel_column(p, panel), cols = vly_panel_columns(p, panel),
              width = vly_panel_vectors(p, panel) * p->lanes;
    for (int64_t k0 = 0; k0 < k; k0 += 16) { /* one cache line of w at a time */
        const int64_t k1 = k0 + 16 < k ? k0 + 16 : k;
        for (int j = 0; j < cols; j++)
            for (int64_t i = k0; i < k1; i++) out[i * width + j] = w[(first + j) * k + i];
    }
}

/* w (k, ld), its n columns as panels: (k, width) each. */
static inline void vly_pack_rows(const vly_panels *p, int panel, int64_t k, const float *w,
                                 int64_t ld, float *out) {
    const int first = vly_panel_column(p, panel), cols = vly_panel_columns(p, panel),
              width = vly_panel_vectors(p, panel) * p->lanes;
    for (int64_t i = 0; i < k; i++)
        for (int j = 0; j < cols; j++) out[i * width + j] = w[i * ld + first + j];
}
#endif
