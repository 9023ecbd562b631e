/* tia_objects.h -- the six objects of a line as masks, and which of them can collide; for tia.c
 * only, whose functions these are.
 *
 * An object's mask is computed when a collision or a pixel needs it. Its footprint, the pixels
 * that its position and size allow whatever its picture, decides which latches are in reach. */
#ifndef VLY_ENVS_ATARI_TIA_OBJECTS_H
#define VLY_ENVS_ATARI_TIA_OBJECTS_H
#include "envs/atari/tia_lines.h"

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

/* All copies of a shape but those at 64: a multiplication, because branches would be
 * mispredicted. */
static inline uint64_t copied(uint64_t bits, unsigned set) {
    static const uint64_t at[8] = {0,
                                   1,
                                   1ull << 16,
                                   1ull << 16 | 1,
                                   1ull << 32,
                                   1ull << 32 | 1,
                                   1ull << 32 | 1ull << 16,
                                   1ull << 32 | 1ull << 16 | 1};
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

/* A byte of the playfield as 32 pixels, bit 0 or bit 7 first. */
#define WIDE_BIT(n, bit, at) ((n) >> (bit)&1 ? 15u << 4 * (at) : 0u)
#define WIDE_UP(n)                                                                   \
    (WIDE_BIT(n, 0, 0) | WIDE_BIT(n, 1, 1) | WIDE_BIT(n, 2, 2) | WIDE_BIT(n, 3, 3) | \
     WIDE_BIT(n, 4, 4) | WIDE_BIT(n, 5, 5) | WIDE_BIT(n, 6, 6) | WIDE_BIT(n, 7, 7))
#define WIDE_DOWN(n)                                                                 \
    (WIDE_BIT(n, 7, 0) | WIDE_BIT(n, 6, 1) | WIDE_BIT(n, 5, 2) | WIDE_BIT(n, 4, 3) | \
     WIDE_BIT(n, 3, 4) | WIDE_BIT(n, 2, 5) | WIDE_BIT(n, 1, 6) | WIDE_BIT(n, 0, 7))
#define WIDE4(f, n) f(n), f((n) + 1), f((n) + 2), f((n) + 3)
#define WIDE16(f, n) WIDE4(f, n), WIDE4(f, (n) + 4), WIDE4(f, (n) + 8), WIDE4(f, (n) + 12)
#define WIDE64(f, n) WIDE16(f, n), WIDE16(f, (n) + 16), WIDE16(f, (n) + 32), WIDE16(f, (n) + 48)
#define WIDE256(f) WIDE64(f, 0), WIDE64(f, 64), WIDE64(f, 128), WIDE64(f, 192)
static const uint32_t wide_up[256] = {WIDE256(WIDE_UP)}, wide_down[256] = {WIDE256(WIDE_DOWN)};

/* Straight and reflected right halves, or both: a line's end can change the reflection. */
static vly_line playfield_halves(const vly_tia_state *t, int straight, int turned) {
    const uint64_t left = wide_up[t->pf[0]] >> 16 | (uint64_t)wide_down[t->pf[1]] << 16 |
                          (uint64_t)wide_up[t->pf[2]] << 48,
                   left_end = wide_up[t->pf[2]] >> 16; /* 80 bits */
    uint64_t right = straight ? left : 0, right_end = straight ? left_end : 0;
    if (turned) {
        right |= wide_down[t->pf[2]] | (uint64_t)wide_up[t->pf[1]] << 32;
        right_end |= wide_down[t->pf[0]] & 0xffffu;
    }
    return (vly_line){{left, left_end | right << 16, right >> 48 | right_end << 16}};
}

static vly_line playfield_mask(const vly_tia_state *t) {
    return playfield_halves(t, !t->reflect, t->reflect);
}

/* The footprint: a mask that depends on position and size only. The playfield's is its picture,
 * in both reflections. */
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

/* Enabled by its registers, whether or not a pixel of it is in the line. */
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
    CX_M0P1 = 1 << 0,
    CX_M0P0 = 1 << 1,
    CX_M1P0 = 1 << 2,
    CX_M1P1 = 1 << 3,
    CX_P0PF = 1 << 4,
    CX_P0BL = 1 << 5,
    CX_P1PF = 1 << 6,
    CX_P1BL = 1 << 7,
    CX_M0PF = 1 << 8,
    CX_M0BL = 1 << 9,
    CX_M1PF = 1 << 10,
    CX_M1BL = 1 << 11,
    CX_BLPF = 1 << 12,
    CX_P0P1 = 1 << 14,
    CX_M0M1 = 1 << 15
};
/* The pair of each latch, by its bit. */
static const struct {
    uint8_t a, b;
} pairs[16] = {{VLY_M0, VLY_P1}, {VLY_M0, VLY_P0}, {VLY_M1, VLY_P0}, {VLY_M1, VLY_P1},
               {VLY_P0, VLY_PF}, {VLY_P0, VLY_BL}, {VLY_P1, VLY_PF}, {VLY_P1, VLY_BL},
               {VLY_M0, VLY_PF}, {VLY_M0, VLY_BL}, {VLY_M1, VLY_PF}, {VLY_M1, VLY_BL},
               {VLY_BL, VLY_PF}, {0, 0},           {VLY_P0, VLY_P1}, {VLY_M0, VLY_M1}};

/* Latches that a set of objects can set. */
#define BOTH(s, a, b, latch) (((s) >> (a) & (s) >> (b)&1) ? (latch) : 0)
#define PAIRS(s)                                                           \
    (BOTH(s, VLY_M0, VLY_P1, CX_M0P1) | BOTH(s, VLY_M0, VLY_P0, CX_M0P0) | \
     BOTH(s, VLY_M1, VLY_P0, CX_M1P0) | BOTH(s, VLY_M1, VLY_P1, CX_M1P1) | \
     BOTH(s, VLY_P0, VLY_PF, CX_P0PF) | BOTH(s, VLY_P0, VLY_BL, CX_P0BL) | \
     BOTH(s, VLY_P1, VLY_PF, CX_P1PF) | BOTH(s, VLY_P1, VLY_BL, CX_P1BL) | \
     BOTH(s, VLY_M0, VLY_PF, CX_M0PF) | BOTH(s, VLY_M0, VLY_BL, CX_M0BL) | \
     BOTH(s, VLY_M1, VLY_PF, CX_M1PF) | BOTH(s, VLY_M1, VLY_BL, CX_M1BL) | \
     BOTH(s, VLY_BL, VLY_PF, CX_BLPF) | BOTH(s, VLY_P0, VLY_P1, CX_P0P1) | \
     BOTH(s, VLY_M0, VLY_M1, CX_M0M1))
#define PAIRS8(s)                                                                                 \
    PAIRS(s), PAIRS(s + 1), PAIRS(s + 2), PAIRS(s + 3), PAIRS(s + 4), PAIRS(s + 5), PAIRS(s + 6), \
        PAIRS(s + 7)
static const uint16_t pairs_of[64] = {PAIRS8(0),  PAIRS8(8),  PAIRS8(16), PAIRS8(24),
                                      PAIRS8(32), PAIRS8(40), PAIRS8(48), PAIRS8(56)};

/* Latches that a change of these objects concerns. */
static inline unsigned pairs_with(unsigned objects) {
    return pairs_of[63] & ~(unsigned)pairs_of[63 & ~objects];
}

/* Computes the masks of `wanted` objects whose registers have changed. */
static void make_masks(vly_tia_work *w, unsigned wanted) {
    unsigned due = w->dirty & wanted;
    if (!due) return;
    w->dirty &= (uint8_t)~due;
    w->look = 0;
    for (; due; due &= due - 1)
        w->mask[__builtin_ctz(due)] = object_mask(&w->m->tia, __builtin_ctz(due));
}

/* Objects' pictures have changed. */
static inline void picture_changed(vly_tia_work *w, unsigned objects) {
    w->dirty |= (uint8_t)objects;
    w->stale |= (uint8_t)objects;
}

/* Their places or sizes have. */
static inline void place_changed(vly_tia_work *w, unsigned objects) {
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

/* Finds which of the latches in `wanted` have overlapping footprints. */
static void measure_reach(vly_tia_work *w, unsigned wanted) {
    const vly_tia_state *t = &w->m->tia;
    unsigned near = w->reach | wanted;
    w->measured |= (uint16_t)wanted;
    if (t->stars | t->star_width | t->star_hidden) wanted &= ~pairs_with(1u << VLY_M0);
    for (unsigned due = wanted; due; due &= due - 1) {
        int i = __builtin_ctz(due), a = pairs[i].a, b = pairs[i].b;
        if (w->moved >> a & 1) w->foot[a] = footprint(t, a);
        if (w->moved >> b & 1) w->foot[b] = footprint(t, b);
        w->moved &= (uint8_t) ~(1u << a | 1u << b);
        if (!lines_meet(&w->foot[a], &w->foot[b])) near &= ~(1u << i);
    }
    w->reach = (uint16_t)near;
}

/* The latches of `due` that are open and in reach. */
static inline unsigned watched(vly_tia_work *w, unsigned due) {
    due &= ~(unsigned)w->m->tia.collisions;
    if (due & ~w->measured) measure_reach(w, due & ~w->measured);
    return due & w->reach;
}

/* Sets those of the latches in `due` whose objects meet in pixels [from, to). */
static void latch(vly_tia_work *w, unsigned due, int from, int to) {
    vly_line window = {{~0ull, ~0ull, ~0ull}};
    if (from > 0 || to < VLY_SCREEN_WIDTH) window = line_window(from, to);
    for (; due; due &= due - 1) {
        int i = __builtin_ctz(due);
        make_masks(w, 1u << pairs[i].a | 1u << pairs[i].b);
        if (lines_meet_in(&w->mask[pairs[i].a], &w->mask[pairs[i].b], &window))
            w->m->tia.collisions |= (uint16_t)(1u << i);
    }
}

/* Latches the collisions in pixels [from, to). A whole line without changes is tested once. */
static void collide(vly_tia_work *w, int from, int to) {
    unsigned due = watched(w, pairs_of[w->enabled]);
    if (!due || (w->settled && !(due & pairs_with(w->dirty)))) return;
    int whole = from == 0 && to == VLY_SCREEN_WIDTH;
    w->settled = (uint8_t)whole;
    latch(w, due, from, to);
}

#endif
