#include <string.h>
#include "envs/atari/tia_lines.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Pixels of word i of a line that have the colours of P0, P1 and PF, no pixel in two of them; the rest is
 * background. */
typedef struct {
    uint64_t p0, p1, pf;
} colour_sets;

static inline uint64_t shown(const vly_tia_work *w, int object, int i) {
    return w->enabled >> object & 1 ? w->mask[object].w[i] : 0;
}

static inline int has_score(const vly_tia_work *w) {
    const int ctrlpf = w->m->tia.ctrlpf, only_pf = w->enabled == 1u << VLY_PF;
    return (ctrlpf & 2) && (!(ctrlpf & 4) || only_pf);
}

static inline colour_sets colours_of(const vly_tia_work *w, int i, int score) {
    static const uint64_t left[3] = {~0ull, 0xffff, 0};
    uint64_t p0 = shown(w, VLY_P0, i) | shown(w, VLY_M0, i);
    uint64_t p1 = shown(w, VLY_P1, i) | shown(w, VLY_M1, i);
    uint64_t pf = shown(w, VLY_PF, i), bl = shown(w, VLY_BL, i);
    if (score) {
        p0 |= pf & left[i];
        p1 |= pf & ~left[i];
        pf = bl;
    } else {
        pf |= bl;
        if (w->m->tia.ctrlpf & 4) return (colour_sets){p0 & ~pf, p1 & ~(pf | p0), pf};
    }
    return (colour_sets){p0, p1 & ~p0, pf & ~(p0 | p1)};
}

/* Byte i is FFh where bit i is set. */
static inline uint64_t spread_byte(unsigned bits) {
    uint64_t x = bits * 0x0101010101010101ull & 0x8040201008040201ull;
    return ((x + 0x7f7f7f7f7f7f7f7full) >> 7 & 0x0101010101010101ull) * 0xff;
}

static inline uint64_t filled(uint8_t c) {
    return c * 0x0101010101010101ull;
}

/* Pixels x .. x + 7, of which those in [from, to). */
static inline void store_eight(uint8_t *row, int x, uint64_t pixels, int from, int to) {
    uint8_t bytes[8];
    const int first = from > x ? from - x : 0, last = to < x + 8 ? to - x : 8;
    memcpy(bytes, &pixels, 8);
    if (last - first == 8)
        memcpy(row + x, bytes, 8);
    else
        memcpy(row + x + first, bytes + first, (size_t)(last - first));
}

static void paint_portable(const vly_tia_work *w, uint8_t *row, int from, int to) {
    const uint8_t *colour = w->m->tia.color;
    const int score = has_score(w);
    uint64_t back = filled(colour[3]), flip[3];
    for (int i = 0; i < 3; ++i) flip[i] = back ^ filled(colour[i]);
    for (int x = from & ~7; x < to;) {
        const int end = to < (x | 63) + 1 ? to : (x | 63) + 1;
        const colour_sets s = colours_of(w, x >> 6, score);
        for (; x < end; x += 8) {
            const int at = x & 63;
            store_eight(row, x,
                        back ^ (flip[0] & spread_byte((unsigned)(s.p0 >> at) & 0xff)) ^
                            (flip[1] & spread_byte((unsigned)(s.p1 >> at) & 0xff)) ^
                            (flip[2] & spread_byte((unsigned)(s.pf >> at) & 0xff)),
                        from, to);
        }
    }
}

#if defined(__x86_64__)
/* Sixty-four pixels at a time: the sets are the write masks. */
__attribute__((target("avx512f,avx512bw"))) static void
paint_avx512(const vly_tia_work *w, uint8_t *row, int from, int to) {
    const uint8_t *colour = w->m->tia.color;
    const int score = has_score(w);
    __m512i c[4];
    for (int i = 0; i < 4; ++i) c[i] = _mm512_set1_epi8((char)colour[i]);
    for (int i = from >> 6; i <= (to - 1) >> 6; ++i) {
        const colour_sets s = colours_of(w, i, score);
        const uint64_t after = i == from >> 6 ? ~0ull << (from & 63) : ~0ull,
                       before = i == to >> 6 ? (1ull << (to & 63)) - 1 : ~0ull;
        __m512i v = _mm512_mask_blend_epi8(s.p0, c[3], c[0]);
        v = _mm512_mask_blend_epi8(s.p1, v, c[1]);
        v = _mm512_mask_blend_epi8(s.pf, v, c[2]);
        _mm512_mask_storeu_epi8(row + 64 * i, after & before, v);
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
    if (w->enabled == 0)
        memset(row + from, w->m->tia.color[3], (size_t)(to - from));
    else if (w->wide)
        paint_avx512(w, row, from, to);
    else
        paint_portable(w, row, from, to);
}
