/* fast6507_impl.h -- what decoding (fast6507_decode.c) and running (fast6507.c) share; for these two
 * alone. */
#ifndef VLY_ENVS_ATARI_FAST6507_IMPL_H
#define VLY_ENVS_ATARI_FAST6507_IMPL_H
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

/* The address of a pointer of which both bytes are in RAM. */
static inline int vly_fast_is_pointer(unsigned a) {
    return a >= 0x80 && a < 0xff;
}

/* Offsets of each handler's code from the first one's. */
const int32_t *vly_fast_handlers(void);

#endif
