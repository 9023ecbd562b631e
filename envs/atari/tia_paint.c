#include <string.h>
#include "envs/atari/tia_lines.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline vly_line shown(const vly_tia_work *w, int object) {
    return w->enabled >> object & 1 ? w->mask[object] : (vly_line){{0}};
}

/* Which pixels of the line have the colours of P0, P1 and PF; the rest is background. */
static void colour_masks(const vly_tia_work *w, vly_line out[3]) {
    static const vly_line left = {{~0ull, 0xffff, 0}}, right = {{0, ~0xffffull, 0xffffffffu}};
    const vly_tia_state *t = &w->m->tia;
    vly_line p0 = line_or(shown(w, VLY_P0), shown(w, VLY_M0));
    vly_line p1 = line_or(shown(w, VLY_P1), shown(w, VLY_M1));
    vly_line pf = shown(w, VLY_PF), bl = shown(w, VLY_BL);
    int only_pf = w->enabled == 1u << VLY_PF;
    int score = (t->ctrlpf & 2) && (!(t->ctrlpf & 4) || only_pf);
    if (score) {
        p0 = line_or(p0, line_and(pf, left));
        p1 = line_or(p1, line_and(pf, right));
        pf = bl;
    } else {
        pf = line_or(pf, bl);
    }
    if ((t->ctrlpf & 4) && !score) {
        out[2] = pf;
        out[0] = line_without(p0, pf);
        out[1] = line_without(line_without(p1, pf), p0);
    } else {
        out[0] = p0;
        out[1] = line_without(p1, p0);
        out[2] = line_without(line_without(pf, p0), p1);
    }
}

/* Byte i is FFh where bit i is set. */
static inline uint64_t spread_byte(unsigned bits) {
    uint64_t x = bits * 0x0101010101010101ull & 0x8040201008040201ull;
    return ((x + 0x7f7f7f7f7f7f7f7full) >> 7 & 0x0101010101010101ull) * 0xff;
}

static inline uint64_t filled(uint8_t c) {
    return c * 0x0101010101010101ull;
}

/* Eight pixels at a time; the three sets have no pixel in common. */
static void paint_portable(const uint8_t colour[4], const vly_line set[3], uint8_t *row, int from,
                           int to) {
    uint64_t back = filled(colour[3]), flip[3];
    for (int i = 0; i < 3; ++i) flip[i] = back ^ filled(colour[i]);
    for (int x = from & ~7; x < to; x += 8) {
        uint64_t group = back, bytes;
        for (int i = 0; i < 3; ++i)
            group ^= flip[i] & spread_byte((unsigned)(set[i].w[x >> 6] >> (x & 63)) & 0xff);
        int first = from > x ? from - x : 0, last = to < x + 8 ? to - x : 8;
        memcpy(&bytes, &group, 8);
        if (last - first == 8)
            memcpy(row + x, &bytes, 8);
        else
            memcpy(row + x + first, (const uint8_t *)&bytes + first, (size_t)(last - first));
    }
}

#if defined(__x86_64__)
/* Sixty-four pixels at a time: the sets are the write masks. */
__attribute__((target("avx512f,avx512bw"))) static void
paint_avx512(const uint8_t colour[4], const vly_line set[3], uint8_t *row, int from, int to) {
    __m512i c[4];
    for (int i = 0; i < 4; ++i) c[i] = _mm512_set1_epi8((char)colour[i]);
    vly_line window = line_window(from, to);
    for (int i = 0; i < 3; ++i) {
        __m512i v = _mm512_mask_blend_epi8(set[0].w[i], c[3], c[0]);
        v = _mm512_mask_blend_epi8(set[1].w[i], v, c[1]);
        v = _mm512_mask_blend_epi8(set[2].w[i], v, c[2]);
        if (window.w[i]) _mm512_mask_storeu_epi8(row + 64 * i, window.w[i], v);
    }
}
int vly_tia_is_wide(void) {
    return __builtin_cpu_supports("avx512bw");
}
#else
#define paint_avx512 paint_portable
int vly_tia_is_wide(void) {
    return 0;
}
#endif

void vly_tia_paint(const vly_tia_work *w, uint8_t *row, int from, int to) {
    const vly_tia_state *t = &w->m->tia;
    if (w->enabled == 0) {
        memset(row + from, t->color[3], (size_t)(to - from));
        return;
    }
    vly_line set[3];
    colour_masks(w, set);
    if (w->wide)
        paint_avx512(t->color, set, row, from, to);
    else
        paint_portable(t->color, set, row, from, to);
}
