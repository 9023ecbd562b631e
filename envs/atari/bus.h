/* bus.h -- one access to the console's 13-bit bus; for the files of this folder.
 *
 * This is the general path, exact for any address. The fast processor (cpu6507.c) calls it for
 * what its decoded instructions do not know beforehand. */
#ifndef VLY_ENVS_ATARI_BUS_H
#define VLY_ENVS_ATARI_BUS_H
#include "envs/atari/cart.h"
#include "envs/atari/riot.h"
#include "envs/atari/tia.h"

typedef struct {
    vly_machine *m;
    const vly_rom *rom;
    vly_tia_work tia;
    uint8_t bus;      /* the byte that was last on the data bus: what open inputs read as */
    uint8_t was_read; /* the last access was a read: WSYNC works only then */
    uint8_t stop;     /* the frame has ended */
    int32_t max_lines;
} vly_run;

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

static inline void vly_bus_wsync(vly_machine *m) {
    int32_t wait = 76 - (m->cycles - m->tia.frame_clock / 3) % 76;
    if (wait != 76) m->cycles += wait;
}

static inline void vly_bus_tia_write(vly_run *r, unsigned reg, uint8_t value) {
    vly_machine *m = r->m;
    int32_t clock = 3 * m->cycles;
    vly_tia_poke(&r->tia, clock, reg, value);
    if ((clock - m->tia.frame_clock) / VLY_CLOCKS_PER_LINE > r->max_lines) r->stop = 1;
    if (reg == VLY_VSYNC) vly_bus_vsync(r, clock, value);
    if (reg == VLY_WSYNC && r->was_read) vly_bus_wsync(m);
}

static inline uint8_t vly_bus_read(vly_run *r, uint16_t address) {
    vly_machine *m = r->m;
    if (address & 0x1000) {
        r->bus = vly_cart_read(m, r->rom, address);
    } else if (!(address & 0x80)) {
        vly_tia_draw(&r->tia, 3 * m->cycles);
        r->bus = (uint8_t)(vly_tia_peek(m, address & 15) | (r->bus & 0x3f));
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
    if (address & 0x1000) vly_cart_write(m, r->rom, address, value);
    else if (!(address & 0x80)) vly_bus_tia_write(r, address & 0x3f, value);
    else if (!(address & 0x200)) m->ram[address & 0x7f] = value;
    else vly_riot_write(m, address, value);
    r->bus = value;
    r->was_read = 0;
}

#endif
