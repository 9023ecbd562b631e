/* fast6507_impl.h -- what decoding (fast6507_decode.c) and running (fast6507.c) share; for these two
 * and the translation to machine code (native.h). */
#ifndef VLY_ENVS_ATARI_FAST6507_IMPL_H
#define VLY_ENVS_ATARI_FAST6507_IMPL_H
#include <string.h>
#include "envs/atari/fast6507.h"

/* Handlers are numbered opcode * 4 + variant, then the special ones. */
enum {
    H_SLOW = 1024, /* one instruction by vly_cpu_step */
    H_LEAVE,       /* behind a window: find the next one */
    H_WSYNC2,
    H_WSYNC3,
    H_TIMER_LDA,
    H_TIMER_LDX,
    H_TIMER_LDY,
    H_WAIT_LDA_BNE,
    H_WAIT_LDX_BNE,
    H_WAIT_LDY_BNE,
    H_WAIT_LDA_BPL,
    H_WAIT_LDX_BPL,
    H_WAIT_LDY_BPL,
    H_SPIN_DEX_BNE,
    H_SPIN_DEY_BNE,
    H_SPIN_DEX_BPL,
    H_SPIN_DEY_BPL,
    H_COUNT
};

typedef enum {
    VLY_MODE_IMP,
    VLY_MODE_ACC,
    VLY_MODE_IMM,
    VLY_MODE_REL,
    VLY_MODE_ZPG,
    VLY_MODE_ZPX,
    VLY_MODE_ZPY,
    VLY_MODE_ABS,
    VLY_MODE_ABX,
    VLY_MODE_ABXP,
    VLY_MODE_ABY,
    VLY_MODE_ABYP,
    VLY_MODE_INX,
    VLY_MODE_INY,
    VLY_MODE_INYP,
    VLY_MODE_IND
} vly_fast_mode;
typedef enum {
    VLY_KIND_READ,
    VLY_KIND_WRITE,
    VLY_KIND_MODIFY,
    VLY_KIND_PLAIN,
    VLY_KIND_NONE
} vly_fast_kind;

/* Of each opcode. */
typedef struct {
    uint8_t mode, kind, cycles;
} vly_fast_opcode;
extern const vly_fast_opcode vly_fast_info[256];

/* How many windows a cartridge has, and which is at a program counter: bit 13 matters for FE alone. */
unsigned vly_fast_windows(vly_cart_kind kind);
static inline unsigned vly_fast_window(const vly_rom *rom, const vly_machine *m, uint16_t pc) {
    switch (rom->properties.cart) {
    case VLY_CART_2K:
    case VLY_CART_4K: return 0;
    case VLY_CART_E0: return m->cart.slice[pc >> 10 & 3];
    case VLY_CART_FE: return pc & 0x2000 ? 0 : 1;
    default: return m->cart.bank;
    }
}
/* The 1 KB pages that data are read from: bits 10 to 13 of an address choose the page. */
void vly_fast_pages(const vly_rom *rom, const vly_machine *m, const uint8_t *pages[16]);
/* What the two above depend on. */
static inline uint64_t vly_fast_banks(const vly_machine *m) {
    uint32_t slices;
    memcpy(&slices, m->cart.slice, sizeof slices);
    return (uint64_t)m->cart.bank << 32 | slices;
}

/* First cycle at which the timer reads 0 (BNE falls through) or is negative (BPL does). */
static inline int32_t vly_fast_until(const vly_riot_state *t, int bpl) {
    return t->set_cycle + 1 + (t->timer - (bpl ? 0 : 1)) * (1 << t->shift);
}
/* The cycles of a waiting loop's turns before the last one; first_read: where it reads the timer. */
static inline int32_t vly_fast_wait(const vly_riot_state *t, int32_t first_read, int32_t turn,
                                    int bpl) {
    const int32_t left = vly_fast_until(t, bpl) - first_read;
    const int32_t now = t->timer - ((first_read - 1 - t->set_cycle) >> t->shift) - 1;
    return left > 0 && (!bpl || now < 128) ? (left + turn - 1) / turn * turn : 0;
}

/* The address of a pointer of which both bytes are in RAM. */
static inline int vly_fast_is_pointer(unsigned a) {
    return a >= 0x80 && a < 0xff;
}

/* Offsets of each handler's code from the first one's. */
const int32_t *vly_fast_handlers(void);

#endif
