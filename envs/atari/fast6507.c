#include "envs/atari/fast6507.h"
#include <string.h>
#include "envs/atari/cpu6507.h"
#include "envs/atari/fast6507_handlers.h"
#include "envs/atari/fast6507_impl.h"
#include "envs/atari/opcodes.h"

static const int32_t *fast_run(vly_run *r, int *finished);

/* TIA registers with effects outside the log. */
static inline int is_plain_register(unsigned reg) {
    return reg > VLY_WSYNC;
}

static __attribute__((noinline)) uint8_t io_read(vly_run *r, uint16_t address) {
    return vly_bus_read(r, address);
}

static __attribute__((noinline)) void io_write(vly_run *r, uint16_t address, uint8_t value) {
    r->was_read = 1; /* the operand */
    vly_bus_write(r, address, value);
}

int vly_fast_run(vly_run *r) {
    int finished;
    fast_run(r, &finished);
    return finished;
}

const int32_t *vly_fast_handlers(void) {
    return fast_run(NULL, NULL);
}

/* A single function, because its labels are taken; with r NULL it only returns their addresses. */
#ifdef __clang__
#define ONE_COPY __attribute__((noinline))
#else
#define ONE_COPY __attribute__((noinline, noclone))
#endif
ONE_COPY static const int32_t *fast_run(vly_run *r, int *finished) {
    static const int32_t handlers[H_COUNT] = {
#define XX(code, op, mode_, kind_, n) FORMS_##mode_##_##kind_(code)
        VLY_OPCODES(XX)
#undef XX
            SPECIAL(H_SLOW, slow) SPECIAL(H_LEAVE, leave) SPECIAL(H_WSYNC2, wsync2) SPECIAL(
                H_WSYNC3, wsync3) SPECIAL(H_TIMER_LDA, timer_lda) SPECIAL(H_TIMER_LDX, timer_ldx)
                SPECIAL(H_TIMER_LDY, timer_ldy) SPECIAL(H_WAIT_LDA_BNE, wait_lda_bne)
                    SPECIAL(H_WAIT_LDX_BNE, wait_ldx_bne) SPECIAL(H_WAIT_LDY_BNE, wait_ldy_bne)
                        SPECIAL(H_WAIT_LDA_BPL, wait_lda_bpl) SPECIAL(H_WAIT_LDX_BPL, wait_ldx_bpl)
                            SPECIAL(H_WAIT_LDY_BPL, wait_ldy_bpl)
                                SPECIAL(H_SPIN_DEX_BNE, spin_dex_bne)
                                    SPECIAL(H_SPIN_DEY_BNE, spin_dey_bne)
                                        SPECIAL(H_SPIN_DEX_BPL, spin_dex_bpl)
                                            SPECIAL(H_SPIN_DEY_BPL, spin_dey_bpl)
    };
    if (!r) return handlers;

    const vly_rom *rom = r->rom;
    vly_machine *m = r->m;
    const char *const base = (const char *)&&slow;
    const uint8_t *const image = rom->image;
    uint8_t *const ram = m->ram;
    const uint8_t *pages[16];
    const unsigned plain_from = rom->plain_from, plain_span = rom->plain_to - rom->plain_from;
    const int32_t frame_cycle = m->tia.frame_clock / 3, line_limit = r->line_limit;
    const vly_decoded *first, *ip;
    uint32_t *log;
    int32_t cycles;
    unsigned nz, c, overflow;
    uint16_t pc, window_pc;
    uint8_t a, x, y, sp, decimal, interrupt, io_value;

#define LOAD                  \
    cycles = m->cycles;       \
    log = r->log + r->logged; \
    pc = m->cpu.pc;           \
    a = m->cpu.a;             \
    x = m->cpu.x;             \
    y = m->cpu.y;             \
    sp = m->cpu.sp;           \
    SET_FLAGS(m->cpu.flags)
#define STORE                        \
    m->cycles = cycles;              \
    r->logged = (int)(log - r->log); \
    m->cpu.pc = pc;                  \
    m->cpu.a = a;                    \
    m->cpu.x = x;                    \
    m->cpu.y = y;                    \
    m->cpu.sp = sp;                  \
    m->cpu.flags = FLAGS

    LOAD;
    vly_fast_pages(rom, m, pages);
    uint64_t banks = vly_fast_banks(m);
    goto jump;

slow: /* vly_cpu_step runs one instruction, whatever it is */
    pc = (uint16_t)(window_pc + (ip - first));
general:
    STORE;
    do vly_cpu_step(r);
    while (!r->stop && !m->cpu.jammed && !(m->cpu.pc & 0x1000) && m->cycles < VLY_FAST_CYCLES);
    if (r->stop || m->cpu.jammed) {
        *finished = 1;
        return NULL;
    }
    if (banks != vly_fast_banks(m)) {
        banks = vly_fast_banks(m);
        vly_fast_pages(rom, m, pages);
    }
    LOAD;
    goto jump;

leave: /* reached only by a jump to a window's end */
    pc = (uint16_t)(window_pc + (ip - first));
jump: /* to pc */
    if (__builtin_expect(cycles >= VLY_FAST_CYCLES, 0)) goto too_long;
    if (!(pc & 0x1000)) goto general;
    first = rom->decoded + vly_fast_window(rom, m, pc) * rom->stride;
    window_pc = (uint16_t)(pc & -(int)rom->window);
    ip = first + (pc - window_pc);
    NEXT(0);

stopped:
    pc = (uint16_t)(window_pc + (ip - first));
    STORE;
    *finished = 1;
    return NULL;

too_long: /* the caller takes the frame back */
    *finished = 0;
    return NULL;

wsync2:
    WSYNC(2)
wsync3:
    WSYNC(3)

timer_lda:
    TIMER_READ(a) NEXT(3);
timer_ldx:
    TIMER_READ(x) NEXT(3);
timer_ldy:
    TIMER_READ(y) NEXT(3);
wait_lda_bne:
    WAIT_TIMER(a, 0)
wait_ldx_bne:
    WAIT_TIMER(x, 0)
wait_ldy_bne:
    WAIT_TIMER(y, 0)
wait_lda_bpl:
    WAIT_TIMER(a, 1)
wait_ldx_bpl:
    WAIT_TIMER(x, 1)
wait_ldy_bpl:
    WAIT_TIMER(y, 1)
spin_dex_bne:
    SPIN(x, 0)
spin_dey_bne:
    SPIN(y, 0)
spin_dex_bpl:
    SPIN(x, 1)
spin_dey_bpl:
    SPIN(y, 1)

#define XX(code, op, mode_, kind_, n) HANDLERS_##mode_##_##kind_(code, op, n)
    VLY_OPCODES(XX)
#undef XX
}
