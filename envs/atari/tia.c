#include "envs/atari/tia.h"
#include <string.h>
#include "envs/atari/rom.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- lines of 160 bits ------------------------------------------------------------------- */

/* A pattern of up to 80 bits (low, high), rotated left by pos around the line. Chosen word by word, so
 * that a line stays in registers and no jump hangs on where an object is. */
static inline vly_line line_rotated(uint64_t low, uint64_t high, unsigned pos) {
    unsigned b = pos & 63;
    uint64_t w0 = low << b, w1 = low >> 1 >> (63 - b) | high << b, w2 = high >> 1 >> (63 - b);
    uint64_t s0 = w0 >> 32 | w1 << 32, s1 = w1 >> 32 | w2 << 32;
    vly_line out;
    out.w[0] = pos < 64 ? w0 : pos < 128 ? s1 : s0;
    out.w[1] = pos < 64 ? w1 : pos < 128 ? w0 : s1;
    out.w[2] = pos < 64 ? w2 : (pos < 128 ? w1 : w0) & 0xffffffffu;
    return out;
}

static inline vly_line line_and(vly_line a, vly_line b) {
    return (vly_line){{a.w[0] & b.w[0], a.w[1] & b.w[1], a.w[2] & b.w[2]}};
}
static inline vly_line line_or(vly_line a, vly_line b) {
    return (vly_line){{a.w[0] | b.w[0], a.w[1] | b.w[1], a.w[2] | b.w[2]}};
}
static inline vly_line line_without(vly_line a, vly_line b) {
    return (vly_line){{a.w[0] & ~b.w[0], a.w[1] & ~b.w[1], a.w[2] & ~b.w[2]}};
}
/* Do they meet? From memory, where the words are. */
static inline uint64_t lines_meet(const vly_line *a, const vly_line *b) {
    return (a->w[0] & b->w[0]) | (a->w[1] & b->w[1]) | (a->w[2] & b->w[2]);
}
static inline uint64_t lines_meet_in(const vly_line *a, const vly_line *b, const vly_line *in) {
    return (a->w[0] & b->w[0] & in->w[0]) | (a->w[1] & b->w[1] & in->w[1]) | (a->w[2] & b->w[2] & in->w[2]);
}

/* Pixels [from, to). */
static inline vly_line line_window(int from, int to) {
    vly_line out;
    for (int i = 0; i < 3; ++i) {
        int a = from - 64 * i, b = to - 64 * i;
        uint64_t below_a = a <= 0 ? 0 : a >= 64 ? ~0ull : (1ull << a) - 1;
        uint64_t below_b = b <= 0 ? 0 : b >= 64 ? ~0ull : (1ull << b) - 1;
        out.w[i] = below_b & ~below_a;
    }
    return out;
}

/* ---- the six objects --------------------------------------------------------------------- */

/* Bit n: a copy at offset 0, 16, 32, 64. */
static const uint8_t copies[8] = {1, 3, 5, 7, 9, 1, 13, 1};

static const uint8_t reversed[256] = {
#define R2(n) n, n + 128, n + 64, n + 192
#define R4(n) R2(n), R2(n + 32), R2(n + 16), R2(n + 48)
#define R6(n) R4(n), R4(n + 8), R4(n + 4), R4(n + 12)
    R6(0), R6(2), R6(1), R6(3)
#undef R2
#undef R4
#undef R6
};

/* Every bit of b twice. */
static inline uint32_t doubled(uint32_t b) {
    b = (b | b << 4) & 0x0f0f;
    b = (b | b << 2) & 0x3333;
    b = (b | b << 1) & 0x5555;
    return b * 3;
}
/* Every bit of b four times. */
static inline uint32_t fourfold(uint32_t b) {
    b = (b | b << 12) & 0x000f000f;
    b = (b | b << 6) & 0x03030303;
    b = (b | b << 3) & 0x11111111;
    return b * 15;
}

/* All copies of a shape but those at 64: a product, where a jump for each would be guessed wrong. */
static inline uint64_t copied(uint64_t bits, unsigned set) {
    static const uint64_t at[8] = {0, 1, 1ull << 16, 1ull << 16 | 1, 1ull << 32, 1ull << 32 | 1,
                                   1ull << 32 | 1ull << 16, 1ull << 32 | 1ull << 16 | 1};
    return bits * at[set & 7];
}

static vly_line player_mask(const vly_tia_state *t, int p) {
    uint8_t grp = t->vdel[p] ? t->delayed_grp[p] : t->grp[p];
    uint64_t bits = t->refp[p] ? grp : reversed[grp];
    unsigned mode = t->nusiz[p] & 7, set = copies[mode];
    if (t->suppress[p]) set &= ~1u;
    if (mode == 5) bits = (uint64_t)doubled((uint32_t)bits) << 1;
    if (mode == 7) bits = (uint64_t)fourfold((uint32_t)bits) << 1;
    return line_rotated(copied(bits, set), set & 8 ? bits : 0, t->pos[p]);
}

static vly_line missile_mask(const vly_tia_state *t, int i) {
    if (!t->enam[i] || t->resmp[i]) return (vly_line){{0}};
    if (i == 0 && t->star_hidden) return (vly_line){{0}};
    unsigned set = copies[t->nusiz[i] & 7], width = t->nusiz[i] >> 4 & 3;
    if (i == 0 && t->star_width) width |= 1;
    uint64_t bits = (1u << (1u << width)) - 1;
    return line_rotated(copied(bits, set), set & 8 ? bits : 0, t->pos[VLY_M0 + i]);
}

static vly_line ball_mask(const vly_tia_state *t) {
    if (!(t->vdelbl ? t->delayed_enabl : t->enabl)) return (vly_line){{0}};
    uint64_t bits = (1u << (1u << (t->ctrlpf >> 4 & 3))) - 1;
    return line_rotated(bits, 0, t->pos[VLY_BL]);
}

/* Both ways in which the right half may be: a line's end can turn it. */
static vly_line playfield_halves(const vly_tia_state *t, int straight, int turned) {
    uint64_t e0 = fourfold(t->pf[0] >> 4), e1 = fourfold(reversed[t->pf[1]]), e2 = fourfold(t->pf[2]);
    uint64_t left = e0 | e1 << 16 | e2 << 48, left_end = e2 >> 16; /* 80 bits */
    uint64_t right = straight ? left : 0, right_end = straight ? left_end : 0;
    if (turned) {
        right |= fourfold(reversed[t->pf[2]]) | (uint64_t)fourfold(t->pf[1]) << 32;
        right_end |= fourfold(reversed[t->pf[0]] & 15u);
    }
    return (vly_line){{left, left_end | right << 16, right >> 48 | right_end << 16}};
}

static vly_line playfield_mask(const vly_tia_state *t) { return playfield_halves(t, !t->reflect, t->reflect); }

/* Where an object may be, whatever its picture: a mask that only its place and its size change. The
 * playfield's picture is its place. */
static inline vly_line footprint(const vly_tia_state *t, int object) {
    static const uint64_t ball[4] = {1, 3, 15, 255};
    static const uint64_t player[8] = {255, 255, 255, 255, 255, 0x1fffe, 255, 0x1fffffffe};
    if (object == VLY_PF) return playfield_halves(t, 1, 1);
    if (object == VLY_BL) return line_rotated(ball[t->ctrlpf >> 4 & 3], 0, t->pos[VLY_BL]);
    unsigned nusiz = t->nusiz[object & 1], mode = nusiz & 7, set = copies[mode];
    uint64_t bits = object >= VLY_M0 ? ball[nusiz >> 4 & 3] : player[mode];
    return line_rotated(copied(bits, set), set & 8 ? bits : 0, t->pos[object]);
}

static vly_line object_mask(const vly_tia_state *t, int object) {
    switch (object) {
    case VLY_P0:
    case VLY_P1: return player_mask(t, object);
    case VLY_M0:
    case VLY_M1: return missile_mask(t, object - VLY_M0);
    case VLY_BL: return ball_mask(t);
    default: return playfield_mask(t);
    }
}

/* Switched on by its registers, whether or not a pixel of it is in the line. */
static int is_enabled(const vly_tia_state *t, int object) {
    switch (object) {
    case VLY_P0:
    case VLY_P1: return t->vdel[object] ? t->delayed_grp[object] : t->grp[object];
    case VLY_M0:
    case VLY_M1: return t->enam[object - VLY_M0] && !t->resmp[object - VLY_M0];
    case VLY_BL: return t->vdelbl ? t->delayed_enabl : t->enabl;
    default: return (t->pf[0] & 0xf0) | t->pf[1] | t->pf[2];
    }
}

/* ---- collisions -------------------------------------------------------------------------- */

/* The latches in the order of the registers CXM0P .. CXPPMM, two a register, bit 7 first. */
enum {
    CX_M0P1 = 1 << 0, CX_M0P0 = 1 << 1, CX_M1P0 = 1 << 2, CX_M1P1 = 1 << 3, CX_P0PF = 1 << 4,
    CX_P0BL = 1 << 5, CX_P1PF = 1 << 6, CX_P1BL = 1 << 7, CX_M0PF = 1 << 8, CX_M0BL = 1 << 9,
    CX_M1PF = 1 << 10, CX_M1BL = 1 << 11, CX_BLPF = 1 << 12, CX_P0P1 = 1 << 14, CX_M0M1 = 1 << 15
};
/* The pair of each latch, by its bit. */
static const struct {
    uint8_t a, b;
} pairs[16] = {{VLY_M0, VLY_P1}, {VLY_M0, VLY_P0}, {VLY_M1, VLY_P0}, {VLY_M1, VLY_P1},
               {VLY_P0, VLY_PF}, {VLY_P0, VLY_BL}, {VLY_P1, VLY_PF}, {VLY_P1, VLY_BL},
               {VLY_M0, VLY_PF}, {VLY_M0, VLY_BL}, {VLY_M1, VLY_PF}, {VLY_M1, VLY_BL},
               {VLY_BL, VLY_PF}, {0, 0},           {VLY_P0, VLY_P1}, {VLY_M0, VLY_M1}};

/* Latches that a set of objects can set. */
#define BOTH(s, a, b, latch) (((s) >> (a) & (s) >> (b) & 1) ? (latch) : 0)
#define PAIRS(s)                                                                                   \
    (BOTH(s, VLY_M0, VLY_P1, CX_M0P1) | BOTH(s, VLY_M0, VLY_P0, CX_M0P0) |                         \
     BOTH(s, VLY_M1, VLY_P0, CX_M1P0) | BOTH(s, VLY_M1, VLY_P1, CX_M1P1) |                         \
     BOTH(s, VLY_P0, VLY_PF, CX_P0PF) | BOTH(s, VLY_P0, VLY_BL, CX_P0BL) |                         \
     BOTH(s, VLY_P1, VLY_PF, CX_P1PF) | BOTH(s, VLY_P1, VLY_BL, CX_P1BL) |                         \
     BOTH(s, VLY_M0, VLY_PF, CX_M0PF) | BOTH(s, VLY_M0, VLY_BL, CX_M0BL) |                         \
     BOTH(s, VLY_M1, VLY_PF, CX_M1PF) | BOTH(s, VLY_M1, VLY_BL, CX_M1BL) |                         \
     BOTH(s, VLY_BL, VLY_PF, CX_BLPF) | BOTH(s, VLY_P0, VLY_P1, CX_P0P1) |                         \
     BOTH(s, VLY_M0, VLY_M1, CX_M0M1))
#define PAIRS8(s)                                                                                  \
    PAIRS(s), PAIRS(s + 1), PAIRS(s + 2), PAIRS(s + 3), PAIRS(s + 4), PAIRS(s + 5), PAIRS(s + 6),  \
        PAIRS(s + 7)
static const uint16_t pairs_of[64] = {PAIRS8(0),  PAIRS8(8),  PAIRS8(16), PAIRS8(24),
                                      PAIRS8(32), PAIRS8(40), PAIRS8(48), PAIRS8(56)};

/* Latches that a change of these objects concerns. */
static inline unsigned pairs_with(unsigned objects) { return pairs_of[63] & ~(unsigned)pairs_of[63 & ~objects]; }

/* Makes the masks of `wanted` objects anew where registers have changed. */
static void make_masks(vly_tia_work *w, unsigned wanted) {
    for (unsigned due = w->dirty & wanted; due; due &= due - 1)
        w->mask[__builtin_ctz(due)] = object_mask(&w->m->tia, __builtin_ctz(due));
    w->dirty &= (uint8_t)~wanted;
}

/* Objects' pictures have changed. */
static inline void touch(vly_tia_work *w, unsigned objects) {
    w->dirty |= (uint8_t)objects;
    w->stale |= (uint8_t)objects;
}

/* Their places or sizes have. */
static inline void move(vly_tia_work *w, unsigned objects) {
    w->dirty |= (uint8_t)objects;
    w->moved |= (uint8_t)objects;
    w->measured &= (uint16_t)~pairs_with(objects);
}

/* An object's picture has changed, and not its place. */
static inline void switch_on(vly_tia_work *w, int object, unsigned on) {
    w->dirty |= (uint8_t)(1u << object);
    w->enabled = (uint8_t)((w->enabled & ~(1u << object)) | (unsigned)(on != 0) << object);
}

static void find_enabled(vly_tia_work *w) {
    unsigned set = w->enabled;
    for (unsigned due = w->stale; due; due &= due - 1) {
        int o = __builtin_ctz(due);
        set = (set & ~(1u << o)) | (unsigned)(is_enabled(&w->m->tia, o) != 0) << o;
    }
    w->enabled = (uint8_t)set;
    w->stale = 0;
}

/* ---- drawing ----------------------------------------------------------------------------- */

/* Finds which of the latches in `wanted` have objects near enough to meet, be their pictures what they may. */
static void measure(vly_tia_work *w, unsigned wanted) {
    const vly_tia_state *t = &w->m->tia;
    unsigned near = w->reach | wanted;
    w->measured |= (uint16_t)wanted;
    if (t->stars | t->star_width | t->star_hidden) wanted &= ~pairs_with(1u << VLY_M0);
    for (unsigned due = wanted; due; due &= due - 1) {
        int i = __builtin_ctz(due), a = pairs[i].a, b = pairs[i].b;
        if (w->moved >> a & 1) w->foot[a] = footprint(t, a);
        if (w->moved >> b & 1) w->foot[b] = footprint(t, b);
        w->moved &= (uint8_t)~(1u << a | 1u << b);
        if (!lines_meet(&w->foot[a], &w->foot[b])) near &= ~(1u << i);
    }
    w->reach = (uint16_t)near;
}

/* The latches of `due` that are open and in reach. */
static inline unsigned watched(vly_tia_work *w, unsigned due) {
    due &= ~(unsigned)w->m->tia.collisions;
    if (due & ~w->measured) measure(w, due & ~w->measured);
    return due & w->reach;
}

/* Latches what meets in pixels [from, to). A whole line without change needs no second look. */
static void collide(vly_tia_work *w, int from, int to) {
    vly_tia_state *t = &w->m->tia;
    unsigned due = watched(w, pairs_of[w->enabled]);
    if (!due || (w->settled && !(due & pairs_with(w->dirty)))) return;
    int whole = from == 0 && to == VLY_SCREEN_WIDTH;
    vly_line window = {{~0ull, ~0ull, ~0ull}};
    if (!whole) window = line_window(from, to);
    w->settled = (uint8_t)whole;
    for (; due; due &= due - 1) {
        int i = __builtin_ctz(due);
        make_masks(w, 1u << pairs[i].a | 1u << pairs[i].b);
        if (lines_meet_in(&w->mask[pairs[i].a], &w->mask[pairs[i].b], &window)) t->collisions |= (uint16_t)(1u << i);
    }
}

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

static inline uint64_t filled(uint8_t c) { return c * 0x0101010101010101ull; }

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
        if (last - first == 8) memcpy(row + x, &bytes, 8);
        else memcpy(row + x + first, (const uint8_t *)&bytes + first, (size_t)(last - first));
    }
}

#if defined(__x86_64__)
/* Sixty-four pixels at a time: the sets are the write masks. */
__attribute__((target("avx512f,avx512bw"))) static void paint_avx512(const uint8_t colour[4],
                                                                     const vly_line set[3],
                                                                     uint8_t *row, int from,
                                                                     int to) {
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
static int has_avx512(void) { return __builtin_cpu_supports("avx512bw"); }
#else
#define paint_avx512 paint_portable
static int has_avx512(void) { return 0; }
#endif

static void paint(const vly_tia_work *w, uint8_t *row, int from, int to) {
    const vly_tia_state *t = &w->m->tia;
    if (w->enabled == 0) {
        memset(row + from, t->color[3], (size_t)(to - from));
        return;
    }
    vly_line set[3];
    colour_masks(w, set);
    if (w->wide) paint_avx512(t->color, set, row, from, to);
    else paint_portable(t->color, set, row, from, to);
}

/* Pixels [from, to) of one line. */
static void draw_span(vly_tia_work *w, int line, int from, int to) {
    vly_tia_state *t = &w->m->tia;
    uint8_t *row = w->pixels ? w->pixels + line * VLY_SCREEN_WIDTH : NULL;
    if (t->vblank & 2) {
        if (row) memset(row + from, 0, (size_t)(to - from));
    } else {
        if (w->stale) find_enabled(w);
        collide(w, from, to);
        if (row) {
            make_masks(w, w->enabled);
            paint(w, row, from, to);
        }
    }
    if (t->comb) {
        if (row && from < 8) memset(row + from, 0, (size_t)(8 - from));
        if (to >= 8) t->comb = 0;
    }
}

static void star_line_end(vly_tia_work *w) {
    static const uint8_t step[4] = {18, 33, 0, 17};
    vly_tia_state *t = &w->m->tia;
    t->star_counter = (t->star_counter + 1) & 3;
    t->pos[VLY_M0] = (uint8_t)((t->pos[VLY_M0] + 160 - step[t->star_counter]) % 160);
    t->star_width = t->star_counter == 1;
    t->star_hidden = t->star_counter == 2;
    move(w, 1u << VLY_M0);
}

/* Due when the first clock after a displayed line is drawn. */
static void line_end(vly_tia_work *w) {
    vly_tia_state *t = &w->m->tia;
    if (t->reflect != (t->ctrlpf & 1)) {
        t->reflect = t->ctrlpf & 1;
        touch(w, 1u << VLY_PF);
    }
    if (t->suppress[0] | t->suppress[1]) {
        t->suppress[0] = t->suppress[1] = 0;
        touch(w, 1u << VLY_P0 | 1u << VLY_P1);
    }
    if (t->stars) star_line_end(w);
}

enum { BEYOND = INT32_MAX / 2 };

/* Finds the line that the beam is in: `updated` lies in [line_begin, line_begin + 228). */
static void place_beam(vly_tia_work *w) {
    const vly_tia_state *t = &w->m->tia;
    w->line = (t->updated - t->start) / VLY_CLOCKS_PER_LINE;
    w->line_begin = t->updated >= t->stop ? BEYOND : t->start + w->line * VLY_CLOCKS_PER_LINE;
}

/* Without pixels: nothing will be latched, and the line ends change nothing that could be. */
static inline int is_quiet(vly_tia_work *w) {
    const vly_tia_state *t = &w->m->tia;
    if (t->stars) return 0;
    if (t->vblank & 2) return 1;
    if (w->stale) find_enabled(w);
    unsigned due = watched(w, pairs_of[w->enabled]);
    if (!due) return 1;
    return w->settled && !(due & pairs_with(w->dirty)) &&
           !((t->reflect ^ t->ctrlpf) & 1 || t->suppress[0] | t->suppress[1]);
}

/* On to `clock`, not past the display. */
static inline void skip(vly_tia_work *w, int32_t clock) {
    vly_tia_state *t = &w->m->tia;
    int32_t next = w->line_begin + VLY_CLOCKS_PER_LINE;
    if ((t->updated == w->line_begin && w->line > 0) || clock > next) line_end(w);
    if (clock >= w->line_begin + VLY_HBLANK + 8) t->comb = 0;
    t->updated = clock;
    if (clock >= next) place_beam(w);
}

static __attribute__((noinline)) void draw(vly_tia_work *w, int32_t clock) {
    vly_tia_state *t = &w->m->tia;
    if (clock > t->stop) clock = t->stop;
    while (t->updated < clock) {
        if (!w->pixels && is_quiet(w)) {
            skip(w, clock);
            break;
        }
        int h = t->updated - w->line_begin, to = clock - w->line_begin;
        if (to > VLY_CLOCKS_PER_LINE) to = VLY_CLOCKS_PER_LINE;
        if (h == 0 && w->line > 0) line_end(w);
        t->updated = w->line_begin + to;
        if (to > VLY_HBLANK)
            draw_span(w, w->line, h > VLY_HBLANK ? h - VLY_HBLANK : 0, to - VLY_HBLANK);
        else if (t->comb && w->pixels) /* seen only if the frame ends here */
            memset(w->pixels + w->line * VLY_SCREEN_WIDTH, 0, (size_t)(VLY_HBLANK + 8 - to));
        if (to == VLY_CLOCKS_PER_LINE) {
            w->line_begin = t->updated;
            ++w->line;
        }
    }
    if (t->updated >= t->stop) w->line_begin = BEYOND;
}

/* ---- registers --------------------------------------------------------------------------- */

static inline uint8_t wrapped(int x) { return (uint8_t)(((x % 160) + 160) % 160); }

/* What a strobe of RESPx at `now` does, given the copy that is being drawn there. */
static void reset_player(vly_tia_work *w, int p, int32_t clock, int hpos) {
    static const uint8_t offset[4] = {0, 16, 32, 64};
    vly_tia_state *t = &w->m->tia;
    unsigned mode = t->nusiz[p] & 7, set = copies[mode];
    int width = mode == 5 ? 16 : mode == 7 ? 32 : 8;
    int now = hpos < VLY_HBLANK ? 3 : (hpos - VLY_HBLANK + 5) % 160;
    int delay = 0, display = 0;
    for (int i = 0; i < 4; ++i) {
        if (!(set >> i & 1)) continue;
        int d = now - t->pos[p] - offset[i];
        d += d < -160 ? 320 : d < 0 ? 160 : 0;
        if (d < 4) delay = 1;
        else if (d < 4 + width) display = 1;
    }
    if (display) draw(w, clock + 11);
    t->suppress[p] = display || !delay;
    t->pos[p] = (uint8_t)now;
    move(w, 1u << p);
}

static void reset_missile(vly_tia_work *w, int object, int32_t clock, int hpos) {
    vly_tia_state *t = &w->m->tia;
    int since = clock - t->hmove_clock;
    int now = hpos < VLY_HBLANK ? 2 : (hpos - VLY_HBLANK + 4) % 160;
    /* Strobes so soon after HMOVE that the extra clocks still move the object. */
    if (object == VLY_M0 && since == 60 && hpos == 69) now = 8;
    if (object == VLY_M1 && since == 9 && hpos == 18) now = 3;
    if (object == VLY_BL) {
        if (since == 54 && (hpos == 60 || hpos == 69)) now = 10;
        if (since == 9 && hpos == 18) now = 3;
        if (since == 21 && hpos == 30) now = 6;
        if (since == 18 && hpos == 27) now = 5;
    }
    t->pos[object] = (uint8_t)now;
    move(w, 1u << object);
}

static void missile_to_player(vly_tia_work *w, int i, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    uint8_t on = value & 2;
    if (t->resmp[i] && !on) {
        unsigned mode = t->nusiz[i] & 7;
        t->pos[VLY_M0 + i] = wrapped(t->pos[i] + (mode == 5 ? 8 : mode == 7 ? 16 : 4));
    }
    t->resmp[i] = on;
    touch(w, 1u << (VLY_M0 + i));
    move(w, 1u << (VLY_M0 + i));
}

static inline int floor_div4(int n) { return n >= 0 ? n / 4 : -((3 - n) / 4); }

/* How far motion nibble h moves an object when HMOVE is strobed at cycle x of the line. */
static int motion(int x, int h) {
    int m = h < 8 ? -h : 16 - h;
    if (x <= 3 || x == 75) return m;
    if (x <= 20) {
        int least = floor_div4(3 * x - 35);
        return m > least ? m : least;
    }
    if (x <= 54) return 0;
    m += floor_div4(190 - 3 * x);
    return m < 0 ? m : 0;
}

/* The new place of an object that HMOVE moves by m. */
static inline uint8_t moved_by(int pos, int m) {
    pos += m;
    pos += pos < 0 ? 160 : 0;
    return (uint8_t)(pos - (pos >= 160 ? 160 : 0));
}

/* HMOVE where programs strobe it, at a line's begin: what moves is what has a motion. */
static unsigned hmove_usual(vly_tia_state *t) {
    unsigned changed = 0;
    for (int o = 0; o < 5; ++o) {
        if (t->hm[o] == 0) continue;
        t->pos[o] = moved_by(t->pos[o], motion(0, t->hm[o]));
        changed |= 1u << o;
    }
    return changed;
}

static unsigned hmove_late(vly_tia_state *t, int x) {
    unsigned changed = 0;
    for (int o = 0; o < 5; ++o) {
        uint8_t pos = moved_by(t->pos[o], motion(x, t->hm[o]));
        if (pos != t->pos[o]) changed |= 1u << o;
        t->pos[o] = pos;
    }
    return changed;
}

static inline void hmove(vly_tia_work *w, int32_t clock, int x) {
    vly_tia_state *t = &w->m->tia;
    t->hmove_clock = clock;
    if (w->blanks && (x <= 20 || x == 75)) t->comb = 1;
    unsigned changed = x <= 3 ? hmove_usual(t) : hmove_late(t, x);
    if (t->suppress[0] | t->suppress[1] | t->stars | t->star_width | t->star_hidden) {
        changed = 0x1f;
        t->suppress[0] = t->suppress[1] = 0;
        t->stars = t->star_width = t->star_hidden = 0;
    }
    if (changed) move(w, changed);
}

static void set_motion(vly_tia_work *w, int object, int32_t clock, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    uint8_t next = value >> 4;
    if (object == VLY_M0 && clock == t->hmove_clock + 21 * 3 && t->hm[VLY_M0] == 7 && next == 6) {
        t->stars = 1;
        t->star_counter = 0;
    }
    t->hm[object] = next;
}

static void set_copies(vly_tia_work *w, int p, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    t->nusiz[p] = value;
    t->suppress[p] = 0;
    if (p == 0) t->star_width = t->star_hidden = 0;
    move(w, 1u << p | 1u << (VLY_M0 + p));
}

static int write_delay(unsigned reg, int hpos) {
    static const uint8_t pf_delay[4] = {4, 5, 2, 3};
    switch (reg) {
    case VLY_NUSIZ0:
    case VLY_NUSIZ1:
    case VLY_RESM0:
    case VLY_RESM1: return 8;
    case VLY_VBLANK:
    case VLY_REFP0:
    case VLY_REFP1:
    case VLY_GRP0:
    case VLY_GRP1: return 1;
    case VLY_PF0:
    case VLY_PF1:
    case VLY_PF2: return pf_delay[hpos / 3 & 3];
    default: return 0;
    }
}

/* What a write changes, once everything before it is drawn. */
static inline void apply(vly_tia_work *w, int32_t clock, int hpos, unsigned reg, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    switch (reg) {
    case VLY_VBLANK: t->vblank = value; break;
    case VLY_NUSIZ0:
    case VLY_NUSIZ1: set_copies(w, reg - VLY_NUSIZ0, value); break;
    case VLY_COLUP0:
    case VLY_COLUP1:
    case VLY_COLUPF:
    case VLY_COLUBK: t->color[reg - VLY_COLUP0] = (value & 0xfe) | t->color_loss; break;
    case VLY_CTRLPF:
        t->ctrlpf = value;
        if (hpos < 79 + VLY_HBLANK) t->reflect = value & 1;
        move(w, 1u << VLY_PF | 1u << VLY_BL);
        break;
    case VLY_REFP0:
    case VLY_REFP1:
        t->refp[reg - VLY_REFP0] = value & 8;
        touch(w, 1u << (reg - VLY_REFP0));
        break;
    case VLY_PF0:
    case VLY_PF1:
    case VLY_PF2:
        t->pf[reg - VLY_PF0] = value;
        touch(w, 1u << VLY_PF);
        move(w, 1u << VLY_PF);
        break;
    case VLY_RESP0:
    case VLY_RESP1: reset_player(w, reg - VLY_RESP0, clock, hpos); break;
    case VLY_RESM0:
    case VLY_RESM1:
    case VLY_RESBL: reset_missile(w, VLY_M0 + reg - VLY_RESM0, clock, hpos); break;
    case VLY_GRP0:
        t->grp[0] = value;
        t->delayed_grp[1] = t->grp[1];
        touch(w, 1u << VLY_P0 | 1u << VLY_P1);
        break;
    case VLY_GRP1:
        t->grp[1] = value;
        t->delayed_grp[0] = t->grp[0];
        t->delayed_enabl = t->enabl;
        touch(w, 1u << VLY_P0 | 1u << VLY_P1 | 1u << VLY_BL);
        break;
    case VLY_ENAM0:
    case VLY_ENAM1:
        t->enam[reg - VLY_ENAM0] = value & 2;
        touch(w, 1u << (VLY_M0 + reg - VLY_ENAM0));
        break;
    case VLY_ENABL:
        t->enabl = value & 2;
        touch(w, 1u << VLY_BL);
        break;
    case VLY_HMP0:
    case VLY_HMP1:
    case VLY_HMM0:
    case VLY_HMM1:
    case VLY_HMBL: set_motion(w, reg - VLY_HMP0, clock, value); break;
    case VLY_VDELP0:
    case VLY_VDELP1:
        t->vdel[reg - VLY_VDELP0] = value & 1;
        touch(w, 1u << (reg - VLY_VDELP0));
        break;
    case VLY_VDELBL:
        t->vdelbl = value & 1;
        touch(w, 1u << VLY_BL);
        break;
    case VLY_RESMP0:
    case VLY_RESMP1: missile_to_player(w, reg - VLY_RESMP0, value); break;
    case VLY_HMOVE: hmove(w, clock, hpos / 3); break;
    case VLY_HMCLR: memset(t->hm, 0, sizeof t->hm); break;
    case VLY_CXCLR:
        t->collisions = 0;
        w->settled = 0;
        break;
    default: break; /* sound, RSYNC and the registers that are not there */
    }
}

static inline int hpos_of(const vly_tia_state *t, int32_t clock) {
    return (int)((uint32_t)(clock - t->frame_clock) % VLY_CLOCKS_PER_LINE);
}

void vly_tia_poke(vly_tia_work *w, int32_t clock, unsigned reg, uint8_t value) {
    int hpos = hpos_of(&w->m->tia, clock);
    draw(w, clock + write_delay(reg, hpos));
    apply(w, clock, hpos, reg, value);
}

/* Draws up to `clock`, where that shows. In the blank between two lines the beam just goes on; but the
 * first step into a line is draw's. */
static inline void advance(vly_tia_work *w, int32_t clock) {
    vly_tia_state *t = &w->m->tia;
    if (clock <= t->updated) return;
    if (clock - w->line_begin <= VLY_HBLANK && t->updated != w->line_begin) t->updated = clock;
    else if (!w->pixels && clock < t->stop && is_quiet(w)) skip(w, clock);
    else draw(w, clock);
}

/* Whether a change of these objects' pictures can be seen or latched. If not, the beam need not come up
 * to it: it is elsewhere that each of their neighbours is, or off, or all their latches are set. */
static inline int matters(vly_tia_work *w, unsigned objects) {
    if (w->pixels) return 1;
    if (w->m->tia.vblank & 2) return 0;
    if (w->stale) find_enabled(w);
    return watched(w, pairs_of[w->enabled | objects] & pairs_with(objects)) != 0;
}

static inline void write_graphics(vly_tia_work *w, int p, int32_t clock, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    int q = p ^ 1;
    int own = t->grp[p] != value && !t->vdel[p];
    int others = t->delayed_grp[q] != t->grp[q] && t->vdel[q];
    int ball = p == 1 && t->delayed_enabl != t->enabl && t->vdelbl;
    unsigned seen = (unsigned)own << p | (unsigned)others << q | (unsigned)ball << VLY_BL;
    if (seen && matters(w, seen)) advance(w, clock + 1);
    t->grp[p] = value;
    t->delayed_grp[q] = t->grp[q];
    if (p == 1) t->delayed_enabl = t->enabl;
    if (own) switch_on(w, p, value);
    if (others) switch_on(w, q, t->delayed_grp[q]);
    if (ball) switch_on(w, VLY_BL, t->delayed_enabl);
}

/* The same for places and sizes: wherever they were and will be. */
static inline int may_matter(vly_tia_work *w, unsigned objects) {
    if (w->pixels) return 1;
    if (w->m->tia.vblank & 2) return 0;
    if (w->stale) find_enabled(w);
    return (pairs_of[w->enabled | objects] & pairs_with(objects) & ~(unsigned)w->m->tia.collisions) != 0;
}

static inline void write_playfield(vly_tia_work *w, unsigned i, int32_t clock, uint8_t value) {
    static const uint8_t delay[4] = {4, 5, 2, 3};
    vly_tia_state *t = &w->m->tia;
    if (t->pf[i] == value) return;
    if (may_matter(w, 1u << VLY_PF)) advance(w, clock + delay[hpos_of(t, clock) / 3 & 3]);
    t->pf[i] = value;
    move(w, 1u << VLY_PF);
    switch_on(w, VLY_PF, (t->pf[0] & 0xf0) | t->pf[1] | t->pf[2]);
}

static inline void write_enable(vly_tia_work *w, int object, int32_t clock, uint8_t *state, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    int ball = object == VLY_BL;
    if (*state == (value & 2)) return;
    if (ball ? t->vdelbl : t->resmp[object - VLY_M0]) {
        *state = value & 2; /* not shown yet */
        return;
    }
    if (matters(w, 1u << object)) advance(w, clock);
    *state = value & 2;
    switch_on(w, object, value & 2);
}

/* As vly_tia_poke, but what changes nothing to be seen does not draw. */
static inline void replay_one(vly_tia_work *w, int32_t clock, unsigned reg, uint8_t value) {
    vly_tia_state *t = &w->m->tia;
    switch (reg) {
    case VLY_COLUP0:
    case VLY_COLUP1:
    case VLY_COLUPF:
    case VLY_COLUBK: {
        uint8_t *c = &t->color[reg - VLY_COLUP0], next = (value & 0xfe) | t->color_loss;
        if (w->pixels && *c != next) advance(w, clock);
        *c = next;
        return;
    }
    case VLY_PF0:
    case VLY_PF1:
    case VLY_PF2: write_playfield(w, reg - VLY_PF0, clock, value); return;
    case VLY_GRP0: write_graphics(w, 0, clock, value); return;
    case VLY_GRP1: write_graphics(w, 1, clock, value); return;
    case VLY_ENAM0:
    case VLY_ENAM1:
        write_enable(w, VLY_M0 + (int)(reg - VLY_ENAM0), clock, &t->enam[reg - VLY_ENAM0], value);
        return;
    case VLY_ENABL: write_enable(w, VLY_BL, clock, &t->enabl, value); return;
    case VLY_HMP0:
    case VLY_HMP1:
    case VLY_HMM0:
    case VLY_HMM1:
    case VLY_HMBL:
        if (t->hm[reg - VLY_HMP0] == value >> 4) return;
        if (reg == VLY_HMM0) advance(w, clock); /* it may start Cosmic Ark's stars */
        set_motion(w, (int)reg - VLY_HMP0, clock, value);
        return;
    case VLY_HMCLR: memset(t->hm, 0, sizeof t->hm); return;
    case VLY_VBLANK:
        if (t->vblank == value) return;
        advance(w, clock + 1);
        t->vblank = value;
        return;
    case VLY_NUSIZ0:
    case VLY_NUSIZ1: {
        int p = (int)(reg - VLY_NUSIZ0);
        if (t->nusiz[p] == value && !t->suppress[p] && (p || !(t->star_width | t->star_hidden))) return;
        advance(w, clock + 8);
        set_copies(w, p, value);
        return;
    }
    case VLY_CTRLPF:
        if (t->ctrlpf == value && t->reflect == (value & 1)) return;
        break;
    case VLY_REFP0:
    case VLY_REFP1:
        if (t->refp[reg - VLY_REFP0] == (value & 8)) return;
        break;
    case VLY_VDELP0:
    case VLY_VDELP1:
        if (t->vdel[reg - VLY_VDELP0] == (value & 1)) return;
        break;
    case VLY_VDELBL:
        if (t->vdelbl == (value & 1)) return;
        break;
    case VLY_RESMP0:
    case VLY_RESMP1:
        if (t->resmp[reg - VLY_RESMP0] == (value & 2)) return;
        break;
    case VLY_RESP0:
    case VLY_RESP1:
        advance(w, clock);
        reset_player(w, (int)(reg - VLY_RESP0), clock, hpos_of(t, clock));
        return;
    case VLY_HMOVE:
        advance(w, clock);
        hmove(w, clock, hpos_of(t, clock) / 3);
        return;
    case VLY_RESM0:
    case VLY_RESM1:
    case VLY_RESBL:
    case VLY_CXCLR: break;
    default: return; /* VSYNC, WSYNC, VLY_TOUCH, sound and the registers that are not there */
    }
    int hpos = hpos_of(t, clock);
    advance(w, clock + write_delay(reg, hpos));
    apply(w, clock, hpos, reg, value);
}

/* Up to the last line that the log reaches into. That one is drawn access by access: where a frame
 * ends within a line, what is left on the screen depends on the steps in which it was drawn. */
static int before_last_line(const vly_tia_work *w, const uint32_t *log, int n) {
    const vly_tia_state *t = &w->m->tia;
    int32_t last = 3 * (int32_t)(log[n - 1] >> 14);
    if (!w->pixels || last < t->start || last >= t->stop) return n;
    int32_t begin = last - hpos_of(t, last) - 8; /* with the longest delay */
    while (n > 0 && 3 * (int32_t)(log[n - 1] >> 14) >= begin) --n;
    return n;
}

void vly_tia_replay(vly_tia_work *w, const uint32_t *log, int n) {
    vly_tia_state *t = &w->m->tia;
    if (n == 0) return;
    int quick = before_last_line(w, log, n);
    for (int i = 0; i < quick; ++i)
        replay_one(w, 3 * (int32_t)(log[i] >> 14), log[i] >> 8 & 0x3f, (uint8_t)log[i]);
    for (int i = quick; i < n; ++i)
        vly_tia_poke(w, 3 * (int32_t)(log[i] >> 14), log[i] >> 8 & 0x3f, (uint8_t)log[i]);
    advance(w, 3 * (int32_t)(log[n - 1] >> 14)); /* every access draws up to its clock at least */
    if (t->updated > t->stop) t->updated = t->stop;
    place_beam(w);
}

uint8_t vly_tia_peek(const vly_machine *m, unsigned reg) {
    const vly_tia_state *t = &m->tia;
    if (reg < 8) return (uint8_t)((t->collisions >> 2 * reg & 1) << 7 |
                                  (t->collisions >> (2 * reg + 1) & 1) << 6);
    if (reg < 12) {
        int32_t r = m->wires.resistance[reg - 8];
        if (r == 0) return 0x80;
        if (t->dump || r == VLY_OPEN) return 0;
        uint32_t needed = (uint32_t)(1.6 * r * 0.01e-6 * 1.19e6);
        return (uint32_t)m->cycles > (uint32_t)t->dump_off_cycle + needed ? 0x80 : 0;
    }
    if (reg < 14) return m->wires.fire[reg - 12] ? 0 : 0x80;
    return 0;
}

/* ---- frames ------------------------------------------------------------------------------ */

void vly_tia_open(vly_tia_work *w, vly_machine *m, const vly_rom *rom, uint8_t *pixels) {
    w->m = m;
    w->pixels = pixels;
    w->wide = pixels && has_avx512();
    w->pal = rom->properties.format == VLY_FORMAT_PAL;
    w->blanks = !rom->properties.no_hmove_blanks;
    w->ystart = rom->properties.ystart;
    w->height = rom->properties.height;
    w->dirty = w->stale = w->moved = 0x3f;
    w->measured = w->reach = 0;
    w->enabled = w->settled = 0;
    place_beam(w);
}

static void place_display(vly_tia_state *t, int ystart, int height) {
    t->start = t->frame_clock + VLY_CLOCKS_PER_LINE * ystart;
    t->stop = t->start + VLY_CLOCKS_PER_LINE * height;
    t->updated = t->start;
}

void vly_tia_reset(vly_tia_state *t, int ystart, int height) {
    uint8_t partial = t->partial, front = t->front;
    memset(t, 0, sizeof *t);
    t->partial = partial;
    t->front = front;
    t->vsync_finish = INT32_MAX;
    place_display(t, ystart, height);
}

void vly_tia_start_frame(vly_tia_work *w, int32_t cycles) {
    vly_tia_state *t = &w->m->tia;
    int32_t lines = (3 * cycles - t->frame_clock) / VLY_CLOCKS_PER_LINE;
    t->frame_clock = -((3 * cycles - t->frame_clock) % VLY_CLOCKS_PER_LINE);
    t->vsync_finish = t->vsync_finish == INT32_MAX ? INT32_MAX : t->vsync_finish - 3 * cycles;
    t->hmove_clock -= 3 * cycles;
    t->dump_off_cycle -= cycles;
    t->front ^= 1;
    t->greyed = 0;
    t->color_loss = w->pal && (lines & 1);
    for (int i = 0; i < 4; ++i) t->color[i] = (t->color[i] & 0xfe) | t->color_loss;
    place_display(t, w->ystart, w->height);
    place_beam(w);
}

void vly_tia_grey(vly_tia_work *w, int32_t cycles) {
    vly_tia_state *t = &w->m->tia;
    int from = (3 * cycles - t->frame_clock) / VLY_CLOCKS_PER_LINE;
    if (t->greyed) return;
    t->greyed = 1;
    from = from < w->ystart ? 0 : from - w->ystart;
    for (int i = from * VLY_SCREEN_WIDTH; w->pixels && i < w->height * VLY_SCREEN_WIDTH; ++i)
        w->pixels[i] = (w->pixels[i] & 0x0f) >> 1;
}
