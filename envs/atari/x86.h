/* x86.h -- machine code of x86-64 by the instruction; for native_x86.c only.
 *
 *   x86 c = {.at = bytes, .end = bytes + n};
 *   x86_load8(&c, RCX, x86_at(RBP, 5));        // movzx ecx, byte [rbp + 5]
 *   x86_ri(&c, X86_ADD, RAX, 3);               // add eax, 3
 *   uint8_t *over = x86_jump_short(&c, X86_E); // je over
 *   ...
 *   x86_land(&c, over);
 *
 * Registers are 32 bits wide where a name does not say otherwise. Code that does not fit is not
 * written, and `full` is set. */
#ifndef VLY_ENVS_ATARI_X86_H
#define VLY_ENVS_ATARI_X86_H
#include <stdint.h>
#include <string.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, X86_NONE };
/* What follows from a comparison, as the low bits of a jump's opcode. */
enum { X86_O, X86_B = 2, X86_AE, X86_E, X86_NE, X86_BE, X86_S = 8, X86_NS, X86_GE = 13 };
/* Arithmetic: the number in an opcode's bits 3 to 5. */
enum { X86_ADD, X86_OR, X86_ADC, X86_AND = 4, X86_SUB, X86_XOR, X86_CMP };
enum { X86_RCR = 3, X86_SHL, X86_SHR };

typedef struct {
    uint8_t *at, *end;
    int full;
} x86;

/* [base + (index << shift) + distance]; index X86_NONE: none, and not RSP. */
typedef struct {
    int base, index, shift, distance;
} x86_place;

static inline x86_place x86_at(int base, int distance) {
    return (x86_place){base, X86_NONE, 0, distance};
}
static inline x86_place x86_by(int base, int index, int distance) {
    return (x86_place){base, index, 0, distance};
}

static inline void x86_bytes(x86 *c, const void *bytes, int n) {
    if (c->end - c->at < n) {
        c->full = 1;
        return;
    }
    memcpy(c->at, bytes, (size_t)n);
    c->at += n;
}
static inline void x86_byte(x86 *c, unsigned value) {
    const uint8_t b = (uint8_t)value;
    x86_bytes(c, &b, 1);
}
static inline void x86_word(x86 *c, int64_t value) {
    const int32_t w = (int32_t)value;
    x86_bytes(c, &w, 4);
}

enum { X86_64 = 8, X86_BYTE = 0x40 }; /* of an opcode's operands: 64 bits; 8 bits */

/* An opcode above 255 has the prefix 0F. */
static inline void x86_opcode(x86 *c, unsigned size, unsigned opcode, int reg, int index,
                              int base) {
    const unsigned rex = (unsigned)((reg >> 3) << 2 | ((index & 15) >> 3) << 1 | base >> 3) |
                         (size & X86_64);
    if (rex || (size & X86_BYTE)) x86_byte(c, 0x40 | rex);
    if (opcode > 255) x86_byte(c, opcode >> 8);
    x86_byte(c, opcode);
}

/* Two registers; `reg` may be a number that extends the opcode. */
static inline void x86_rr(x86 *c, unsigned size, unsigned opcode, int reg, int rm) {
    x86_opcode(c, size, opcode, reg, 0, rm);
    x86_byte(c, 0xc0u | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

/* A register and memory. */
static inline void x86_rm(x86 *c, unsigned size, unsigned opcode, int reg, x86_place p) {
    const int sib = p.index != X86_NONE || (p.base & 7) == RSP,
              near_ = p.distance == (int8_t)p.distance;
    const unsigned mode = near_ ? 0x40 : 0x80;
    x86_opcode(c, size, opcode, reg, p.index == X86_NONE ? 0 : p.index, p.base);
    x86_byte(c, mode | (unsigned)(reg & 7) << 3 | (sib ? 4u : (unsigned)(p.base & 7)));
    if (sib)
        x86_byte(c, (unsigned)p.shift << 6 |
                        (p.index == X86_NONE ? 4u : (unsigned)(p.index & 7)) << 3 |
                        (unsigned)(p.base & 7));
    if (near_)
        x86_byte(c, (unsigned)p.distance);
    else
        x86_word(c, p.distance);
}

/* ---- by name ---- */

static inline void x86_mov(x86 *c, int to, int from) {
    x86_rr(c, 0, 0x8b, to, from);
}
static inline void x86_mov64(x86 *c, int to, int from) {
    x86_rr(c, X86_64, 0x8b, to, from);
}
static inline void x86_set(x86 *c, int to, uint32_t value) {
    if (to >= R8) x86_byte(c, 0x41);
    x86_byte(c, 0xb8u + (unsigned)(to & 7));
    x86_word(c, (int32_t)value);
}
static inline void x86_set64(x86 *c, int to, uint64_t value) {
    x86_byte(c, to >= R8 ? 0x49 : 0x48);
    x86_byte(c, 0xb8u + (unsigned)(to & 7));
    x86_bytes(c, &value, 8);
}
/* Arithmetic on two registers, on their low bytes, on a register and a constant. */
static inline void x86_do(x86 *c, unsigned what, int to, int from) {
    x86_rr(c, 0, what << 3 | 3, to, from);
}
static inline void x86_do8(x86 *c, unsigned what, int to, int from) {
    x86_rr(c, X86_BYTE, what << 3 | 2, to, from);
}
static inline void x86_ri(x86 *c, unsigned what, int to, int32_t value) {
    x86_rr(c, 0, value == (int8_t)value ? 0x83 : 0x81, (int)what, to);
    if (value == (int8_t)value)
        x86_byte(c, (unsigned)value);
    else
        x86_word(c, value);
}
static inline void x86_ri8(x86 *c, unsigned what, int to, unsigned value) {
    x86_rr(c, X86_BYTE, 0x80, (int)what, to);
    x86_byte(c, value);
}
static inline void x86_ri64(x86 *c, unsigned what, int to, int value) {
    x86_rr(c, X86_64, 0x83, (int)what, to);
    x86_byte(c, (unsigned)value);
}
static inline void x86_test(x86 *c, int a, int b) {
    x86_rr(c, 0, 0x85, b, a);
}
static inline void x86_test8(x86 *c, int a, int b) {
    x86_rr(c, X86_BYTE, 0x84, b, a);
}
static inline void x86_test_bits(x86 *c, int a, uint32_t bits) {
    x86_rr(c, 0, 0xf7, 0, a);
    x86_word(c, (int32_t)bits);
}
static inline void x86_shift(x86 *c, unsigned what, int reg, unsigned by) {
    x86_rr(c, 0, 0xc1, (int)what, reg);
    x86_byte(c, by);
}
static inline void x86_shift8_by_one(x86 *c, unsigned what, int reg) {
    x86_rr(c, X86_BYTE, 0xd0, (int)what, reg);
}
static inline void x86_inc8(x86 *c, int reg) {
    x86_rr(c, X86_BYTE, 0xfe, 0, reg);
}
static inline void x86_dec8(x86 *c, int reg) {
    x86_rr(c, X86_BYTE, 0xfe, 1, reg);
}
static inline void x86_set_if(x86 *c, unsigned condition, int reg) { /* its low byte */
    x86_rr(c, X86_BYTE, 0x0f90u + condition, 0, reg);
}
static inline void x86_widen8(x86 *c, int to, int from) {
    x86_rr(c, X86_BYTE, 0x0fb6, to, from);
}
static inline void x86_widen16(x86 *c, int to, int from) {
    x86_rr(c, 0, 0x0fb7, to, from);
}
static inline void x86_carry_from(x86 *c, int reg) { /* bit 0 */
    x86_rr(c, 0, 0x0fba, 4, reg);
    x86_byte(c, 0);
}
static inline void x86_multiply(x86 *c, int to, int from, int32_t by) {
    x86_rr(c, 0, 0x69, to, from);
    x86_word(c, by);
}
static inline void x86_address(x86 *c, int to, x86_place p) { /* lea, 32 bits */
    x86_rm(c, 0, 0x8d, to, p);
}
static inline void x86_address64(x86 *c, int to, x86_place p) {
    x86_rm(c, X86_64, 0x8d, to, p);
}
static inline void x86_load8(x86 *c, int to, x86_place p) {
    x86_rm(c, 0, 0x0fb6, to, p);
}
static inline void x86_load16(x86 *c, int to, x86_place p) {
    x86_rm(c, 0, 0x0fb7, to, p);
}
static inline void x86_load32(x86 *c, int to, x86_place p) {
    x86_rm(c, 0, 0x8b, to, p);
}
static inline void x86_load64(x86 *c, int to, x86_place p) {
    x86_rm(c, X86_64, 0x8b, to, p);
}
static inline void x86_store8(x86 *c, int from, x86_place p) {
    x86_rm(c, X86_BYTE, 0x88, from, p);
}
static inline void x86_store16(x86 *c, int from, x86_place p) {
    x86_byte(c, 0x66);
    x86_rm(c, 0, 0x89, from, p);
}
static inline void x86_store32(x86 *c, int from, x86_place p) {
    x86_rm(c, 0, 0x89, from, p);
}
static inline void x86_store8_constant(x86 *c, unsigned value, x86_place p) {
    x86_rm(c, 0, 0xc6, 0, p);
    x86_byte(c, value);
}
static inline void x86_store16_constant(x86 *c, unsigned value, x86_place p) {
    x86_byte(c, 0x66);
    x86_rm(c, 0, 0xc7, 0, p);
    x86_byte(c, value), x86_byte(c, value >> 8);
}
static inline void x86_do_memory(x86 *c, unsigned what, int to, x86_place p) {
    x86_rm(c, 0, what << 3 | 3, to, p);
}
static inline void x86_memory8_constant(x86 *c, unsigned what, unsigned value, x86_place p) {
    x86_rm(c, 0, 0x80, (int)what, p);
    x86_byte(c, value);
}
static inline void x86_test_memory8(x86 *c, unsigned bits, x86_place p) {
    x86_rm(c, 0, 0xf6, 0, p);
    x86_byte(c, bits);
}
static inline void x86_push(x86 *c, int reg) {
    if (reg >= R8) x86_byte(c, 0x41);
    x86_byte(c, 0x50u + (unsigned)(reg & 7));
}
static inline void x86_pop(x86 *c, int reg) {
    if (reg >= R8) x86_byte(c, 0x41);
    x86_byte(c, 0x58u + (unsigned)(reg & 7));
}
static inline void x86_return(x86 *c) {
    x86_byte(c, 0xc3);
}
static inline void x86_call_register(x86 *c, int reg) {
    x86_rr(c, 0, 0xff, 2, reg);
}
static inline void x86_jump_register(x86 *c, int reg) {
    x86_rr(c, 0, 0xff, 4, reg);
}

/* Jumps to places that are known, and the four bytes of a distance that is filled in later. */
static inline void x86_reach(uint8_t *distance, const uint8_t *to) {
    const int32_t d = (int32_t)(to - (distance + 4));
    memcpy(distance, &d, 4);
}
static inline uint8_t *x86_distance(x86 *c) {
    x86_word(c, 0);
    return c->at - 4;
}
static inline uint8_t *x86_jump(x86 *c) {
    x86_byte(c, 0xe9);
    return x86_distance(c);
}
static inline uint8_t *x86_jump_if(x86 *c, unsigned condition) {
    x86_byte(c, 0x0f), x86_byte(c, 0x80 + condition);
    return x86_distance(c);
}
static inline uint8_t *x86_call(x86 *c) {
    x86_byte(c, 0xe8);
    return x86_distance(c);
}
/* Short jumps forward; X86_NONE: always. */
static inline uint8_t *x86_jump_short(x86 *c, unsigned condition) {
    x86_byte(c, condition == X86_NONE ? 0xeb : 0x70 + condition);
    x86_byte(c, 0);
    return c->at;
}
static inline void x86_land(x86 *c, uint8_t *from) {
    if (c->at - from > 127) c->full = 1;
    if (!c->full) from[-1] = (uint8_t)(c->at - from);
}
#endif
