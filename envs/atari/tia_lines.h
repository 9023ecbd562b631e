/* tia_lines.h -- lines of 160 pixels as bits; for the TIA's files only. */
#ifndef VLY_ENVS_ATARI_TIA_LINES_H
#define VLY_ENVS_ATARI_TIA_LINES_H
#include "envs/atari/tia.h"

/* A pattern of up to 80 bits (low, high), rotated left by pos around the line. Selected word by
 * word without branches, so that a line stays in registers. */
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
/* Nonzero if two lines overlap. Operands are in memory, where the words are. */
static inline uint64_t lines_meet(const vly_line *a, const vly_line *b) {
    return (a->w[0] & b->w[0]) | (a->w[1] & b->w[1]) | (a->w[2] & b->w[2]);
}
static inline uint64_t lines_meet_in(const vly_line *a, const vly_line *b, const vly_line *in) {
    return (a->w[0] & b->w[0] & in->w[0]) | (a->w[1] & b->w[1] & in->w[1]) |
           (a->w[2] & b->w[2] & in->w[2]);
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

#endif
