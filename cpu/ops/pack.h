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

typedef float vly_four __attribute__((vector_size(16), aligned(4), may_alias));

/* out (4, width) = w (4, k) transposed. */
static inline void vly_transpose_4x4(const float *w, int64_t k, float *out, int width) {
    vly_four r[4], t[4];
    for (int j = 0; j < 4; j++) r[j] = *(const vly_four *)(const void *)(w + j * k);
    t[0] = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    t[1] = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    t[2] = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    t[3] = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    for (int h = 0; h < 2; h++) {
        *(vly_four *)(void *)(out + 2 * h * width) = __builtin_shufflevector(t[h], t[h + 2], 0, 1,
                                                                             4, 5);
        *(vly_four *)(void *)(out + (2 * h + 1) * width) = __builtin_shufflevector(t[h], t[h + 2],
                                                                                   2, 3, 6, 7);
    }
}

/* w (n, k) as panels of columns: (k, width) each; padding is zero already. */
static inline void vly_pack_columns(const vly_panels *p, int panel, int64_t k, const float *w,
                                    float *out) {
    const int first = vly_panel_column(p, panel), cols = vly_panel_columns(p, panel),
              width = vly_panel_vectors(p, panel) * p->lanes;
    for (int64_t k0 = 0; k0 < k; k0 += 16) { /* one cache line of w at a time */
        const int64_t k1 = k0 + 16 < k ? k0 + 16 : k;
        const int fours = k1 - k0 == 16 ? cols / 4 * 4 : 0;
        for (int j = 0; j < fours; j += 4)
            for (int64_t i = k0; i < k1; i += 4)
                vly_transpose_4x4(w + (first + j) * k + i, k, out + i * width + j, width);
        for (int j = fours; j < cols; j++)
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
