/* bus.h -- one access to the console's 13-bit bus; for the files of this folder.
 *
 * This is the general path, exact for any address. The fast processor (fast6507.c) uses it for
 * accesses whose device is not known when an instruction is decoded. */
#ifndef VLY_ENVS_ATARI_BUS_H
#define VLY_ENVS_ATARI_BUS_H
#include "envs/atari/cart.h"
#include "envs/atari/riot.h"
#include "envs/atari/tia.h"

/* A write takes three cycles, and those after line_limit end the frame. The fast processors log one
 * without a test: there is always room for as many as can still come (vly_bus_log). */
enum { VLY_LOG_ENTRIES = 9000 };

/* The processor while machine code runs (native.h): its registers between two pieces of it, and what
 * the code looks up. */
typedef struct {
    uint32_t a, x, y, sp;
    uint32_t nz, carry, overflow; /* flags as fast6507_handlers.h has them */
    int32_t frame, frame_75;      /* the cycle at which the frame began; 75 before that */
    uint16_t window_pc;           /* the program counter at the window's first byte */
    uint8_t decimal_interrupt;    /* VLY_D, VLY_I */
    const uint8_t *image;
    const uint8_t *pages[16];
} vly_native_cpu;

/* A frame in progress. Writes to the TIA are logged, and replayed when the processor reads a
 * collision or the frame ends. */
typedef struct {
    vly_native_cpu native;
    vly_machine *m;
    const vly_rom *rom;
    uint8_t bus;        /* the last byte on the data bus; undriven bits of a TIA read return it */
    uint8_t was_read;   /* the last access was a read: WSYNC works only then */
    uint8_t stop;       /* the frame has ended */
    uint8_t eager;      /* no log: every access draws at once, as the reference does it */
    int32_t line_limit; /* cycles from which any TIA write ends the frame */
    int logged;
    vly_tia_work tia;
    uint32_t log[VLY_LOG_ENTRIES];
} vly_run;

static inline void vly_bus_flush(vly_run *r) {
    vly_tia_replay(&r->tia, r->log, r->logged);
    r->logged = 0;
}

static inline void vly_bus_vsync(vly_run *r, int32_t clock, uint8_t value) {
    vly_tia_state *t = &r->m->tia;
    t->vsync = value;
    if (value & 2) {
        t->vsync_finish = clock + VLY_CLOCKS_PER_LINE;
    } else if (clock >= t->vsync_finish) {
        t->vsync_finish = INT32_MAX;
        r->stop = 1;
    }
}

/* Cycles for which WSYNC halts the processor at `cycles`; frame: the cycle at which the frame
 * began. */
static inline int32_t vly_bus_halt(int32_t cycles, int32_t frame) {
    int32_t into = (int32_t)((uint32_t)(cycles - frame) % 76);
    return into ? 76 - into : 0;
}

/* Bit 7 of VBLANK grounds the paddles; INPT0-3 show at once that it does. */
static inline void vly_bus_dump(vly_machine *m, uint8_t value) {
    vly_tia_state *t = &m->tia;
    if (!(value & 0x80) && t->dump) t->dump_off_cycle = m->cycles;
    t->dump = value >> 7;
}

/* Logs a TIA access; draws at once if there is no log, the frame is over its limit, or a program
 * that reads the TIA faster than it could write to it has used up the room. */
static inline void vly_bus_log(vly_run *r, unsigned reg, uint8_t value) {
    const int32_t cycles = r->m->cycles, left = r->line_limit - cycles;
    if (!r->eager && left > 0 && r->logged < VLY_LOG_ENTRIES - left / 3) {
        r->log[r->logged++] = VLY_LOG(cycles, reg, value);
        return;
    }
    vly_bus_flush(r);
    vly_tia_poke(&r->tia, 3 * cycles, reg, value);
}

static inline void vly_bus_tia_write(vly_run *r, unsigned reg, uint8_t value) {
    vly_machine *m = r->m;
    vly_bus_log(r, reg, value);
    if (m->cycles >= r->line_limit) r->stop = 1;
    if (reg == VLY_VSYNC) vly_bus_vsync(r, 3 * m->cycles, value);
    if (reg == VLY_VBLANK) vly_bus_dump(m, value);
    if (reg == VLY_WSYNC && r->was_read)
        m->cycles += vly_bus_halt(m->cycles, m->tia.frame_clock / 3);
}

static inline uint8_t vly_bus_tia_read(vly_run *r, unsigned reg) {
    vly_bus_log(r, VLY_TOUCH, 0);
    if (reg < 8) vly_bus_flush(r);
    return vly_tia_peek(r->m, reg);
}

static inline uint8_t vly_bus_read(vly_run *r, uint16_t address) {
    vly_machine *m = r->m;
    if (address & 0x1000) {
        r->bus = vly_cart_read(m, r->rom, address);
    } else if (!(address & 0x80)) {
        r->bus = (uint8_t)(vly_bus_tia_read(r, address & 15) | (r->bus & 0x3f));
    } else if (!(address & 0x200)) {
        r->bus = m->ram[address & 0x7f];
    } else {
        r->bus = vly_riot_read(m, address);
    }
    r->was_read = 1;
    return r->bus;
}

static inline void vly_bus_write(vly_run *r, uint16_t address, uint8_t value) {
    vly_machine *m = r->m;
    if (address & 0x1000)
        vly_cart_write(m, r->rom, address, value);
    else if (!(address & 0x80))
        vly_bus_tia_write(r, address & 0x3f, value);
    else if (!(address & 0x200))
        m->ram[address & 0x7f] = value;
    else
        vly_riot_write(m, address, value);
    r->bus = value;
    r->was_read = 0;
}

#endif
