#include "envs/atari/machine.h"
#include <string.h>
#include "envs/atari/cpu6507.h"
#include "envs/atari/fast6507.h"
#include "envs/atari/native.h"

static void open_run(vly_run *r, vly_machine *m, const vly_rom *rom) {
    r->m = m;
    r->rom = rom;
    r->bus = m->cpu.bus;
    r->was_read = r->stop = r->eager = 0;
    r->logged = 0;
    r->line_limit = 0;
}

void vly_machine_reset(vly_machine *m, const vly_rom *rom) {
    vly_run r;
    open_run(&r, m, rom);
    m->tia.dump_off_cycle = vly_cycles_from(m->tia.dump_off_cycle, m->cycles);
    m->cycles = 0;
    vly_riot_reset(m); /* before the cartridge: both draw random numbers */
    vly_cart_reset(m, rom);
    memset(m->missing_from, 0, sizeof m->missing_from);
    memset(m->missing_to, 0, sizeof m->missing_to);
    vly_tia_reset(&m->tia, rom->properties.ystart, rom->properties.height);
    vly_tia_open(&r.tia, m, rom, NULL);
    vly_cpu_reset(&r);
    m->cpu.bus = r.bus;
}

/* The reference ends a frame that has more lines than a television can show. */
static int32_t line_limit(const vly_machine *m, const vly_rom *rom) {
    int lines = rom->properties.format == VLY_FORMAT_PAL ? 342 : 290;
    return m->tia.frame_clock / 3 + (lines + 1) * (VLY_CLOCKS_PER_LINE / 3);
}

static void shoot(const vly_machine *m, vly_screens *screens) {
    vly_shot *shot = &screens->shot[screens->last ^= 1];
    memcpy(shot->machine, m, sizeof shot->machine);
    shot->partial = m->tia.partial;
}

/* A timer that was set TIMER_FAR cycles ago has expired, and reads the same a multiple of 2^18
 * cycles later: its clocks stay within range however long the program leaves it alone. */
enum { TIMER_FAR = 1 << 29 };

static void rebase_timer(vly_riot_state *t, int32_t cycles) {
    t->set_cycle = vly_cycles_from(t->set_cycle, cycles);
    t->reset_cycle = vly_cycles_from(t->reset_cycle, cycles);
    if (t->set_cycle > -TIMER_FAR) return;
    t->set_cycle += TIMER_FAR / 2;
    t->reset_cycle = vly_cycles_from(t->reset_cycle, -(TIMER_FAR / 2));
}

static void start_frame(vly_run *r, vly_screens *screens) {
    vly_machine *m = r->m;
    if (screens) shoot(m, screens);
    int32_t cycles = m->cycles;
    if (m->tia.partial) {
        vly_tia_open(&r->tia, m, r->rom, screens ? screens->pixels[m->tia.front] : NULL);
        return;
    }
    vly_tia_open(&r->tia, m, r->rom, screens ? screens->pixels[m->tia.front ^ 1] : NULL);
    vly_tia_start_frame(&r->tia, cycles);
    rebase_timer(&m->riot, cycles);
    m->cart.music_cycles -= (uint32_t)cycles;
    m->cycles = 0;
}

/* Runs instruction by instruction, at most as many as the reference allows per frame. */
static void run_counted(vly_run *r) {
    vly_machine *m = r->m;
    r->eager = 1;
    for (int i = 0; i < VLY_INSTRUCTIONS_PER_FRAME && !r->stop && !m->cpu.jammed; ++i)
        vly_cpu_step(r);
}

/* Runs the fast processor; a frame that takes too long is undone and run again with
 * instructions counted. */
static void run_frame(vly_run *r) {
    vly_machine *m = r->m;
    uint8_t before[offsetof(vly_machine, rng)];
    if (m->tia.partial || m->cpu.jammed) {
        run_counted(r);
        return;
    }
    memcpy(before, m, sizeof before);
    if (r->rom->native ? vly_native_run(r) : vly_fast_run(r)) {
        vly_bus_flush(r);
        return;
    }
    uint8_t *pixels = r->tia.pixels;
    memcpy(m, before, sizeof before);
    r->logged = 0;
    r->stop = 0;
    r->bus = m->cpu.bus;
    vly_tia_open(&r->tia, m, r->rom, pixels);
    run_counted(r);
}

/* Records which lines the reference has drawn and this frame has not. */
static void note_missing(vly_machine *m, int drawn, int greyed) {
    const vly_tia_state *t = &m->tia;
    uint16_t *from = &m->missing_from[t->front], *to = &m->missing_to[t->front];
    int whole = (t->updated - t->start) / VLY_CLOCKS_PER_LINE;
    if (drawn) {
        if (*from < whole) *from = (uint16_t)whole;
        return;
    }
    int end = (t->updated - t->start + VLY_CLOCKS_PER_LINE - 1) / VLY_CLOCKS_PER_LINE;
    if (greyed) end = (t->stop - t->start) / VLY_CLOCKS_PER_LINE;
    if (*from >= *to) *to = 0;
    *from = 0;
    if (*to < end) *to = (uint16_t)end;
}

static void end_shot(const vly_machine *m, vly_screens *screens) {
    const vly_tia_state *t = &m->tia;
    vly_shot *shot = &screens->shot[screens->last];
    const int rows = (t->updated - t->start) / VLY_CLOCKS_PER_LINE,
              height = (t->stop - t->start) / VLY_CLOCKS_PER_LINE;
    shot->rows = (uint16_t)(rows < 0 ? 0 : rows < height ? rows : height);
    shot->buffer = t->front;
    shot->partial |= t->partial;
}

static int finish_frame(vly_run *r, vly_screens *screens) {
    vly_machine *m = r->m;
    m->tia.partial = !r->stop;
    m->cpu.bus = m->cpu.pc & 0x1000 ? 0 : r->bus; /* in the cartridge, fetching overwrites it */
    m->tia.scanlines = (uint16_t)((3 * m->cycles - m->tia.frame_clock) / VLY_CLOCKS_PER_LINE);
    if (!r->stop) vly_tia_grey(&r->tia, m->cycles);
    note_missing(m, screens != NULL, !r->stop);
    if (screens) end_shot(m, screens);
    if (r->stop) return 0;
    return VLY_FRAME_PARTIAL | (m->cpu.jammed ? VLY_FRAME_JAMMED : 0);
}

/* A program that never ends a frame stops here, before the clocks overflow. */
enum { CYCLES_MOST = 1 << 28 };

static int run_machine(vly_machine *m, const vly_rom *rom, vly_screens *screens,
                       void (*run)(vly_run *r)) {
    vly_run r;
    if (m->cycles > CYCLES_MOST) return VLY_FRAME_PARTIAL;
    open_run(&r, m, rom);
    start_frame(&r, screens);
    r.line_limit = line_limit(m, rom);
    run(&r);
    return finish_frame(&r, screens);
}

int vly_machine_frame(vly_machine *m, const vly_rom *rom, vly_screens *screens) {
    return run_machine(m, rom, screens, run_frame);
}

int vly_machine_frame_slowly(vly_machine *m, const vly_rom *rom, vly_screens *screens) {
    return run_machine(m, rom, screens, run_counted);
}

/* ---- controls ------------------------------------------------------------------------------ */

/* The four direction lines of a port: 0 = pressed, in the order of a joystick's pins. */
static unsigned port_lines(const vly_rom_properties *p, const vly_controls *c, int port) {
    int paddles = (port ? p->right : p->left) == VLY_CONTROLLER_PADDLES;
    if (!paddles) return ~c->stick[port ^ (p->swap_ports != 0)] & 15u;
    int first = 2 * port, swap = p->swap_paddles != 0;
    unsigned lines = 15;
    if (c->paddle_fire[first + swap]) lines &= ~8u;       /* pin 4 */
    if (c->paddle_fire[first + (swap ^ 1)]) lines &= ~4u; /* pin 3 */
    return lines;
}

void vly_machine_set_controls(vly_machine *m, const vly_rom *rom, const vly_controls *c) {
    const vly_rom_properties *p = &rom->properties;
    vly_wires w = {0};
    w.swcha = (uint8_t)(port_lines(p, c, 0) << 4 | port_lines(p, c, 1));
    w.swchb = (uint8_t)(0x3f & ~(c->switches & 3));
    if (c->difficulty_a[0]) w.swchb |= 0x40;
    if (c->difficulty_a[1]) w.swchb |= 0x80;
    for (int port = 0; port < 2; ++port) {
        int paddles = (port ? p->right : p->left) == VLY_CONTROLLER_PADDLES;
        int swap = p->swap_paddles != 0, first = 2 * port;
        w.resistance[first] = paddles ? c->paddle[first + swap] : VLY_OPEN;
        w.resistance[first + 1] = paddles ? c->paddle[first + (swap ^ 1)] : VLY_OPEN;
        w.fire[port] = !paddles && (c->stick[port ^ (p->swap_ports != 0)] & VLY_STICK_FIRE);
    }
    m->wires = w;
}

void vly_machine_repair(vly_machine *m, const vly_rom *rom) {
    vly_tia_state *t = &m->tia;
    vly_cart_state *c = &m->cart;
    int height = rom->properties.height;
    if (m->cycles < 0 || m->cycles > CYCLES_MOST)
        m->cycles = (int32_t)((uint32_t)m->cycles % 4000000);
    t->frame_clock = -(int32_t)((0 - (uint32_t)t->frame_clock) % 228 / 3 * 3);
    t->start = t->frame_clock + VLY_CLOCKS_PER_LINE * rom->properties.ystart;
    t->stop = t->start + VLY_CLOCKS_PER_LINE * height;
    if (t->updated < t->start || t->updated > t->stop) t->updated = t->start;
    if (m->riot.set_cycle < -2 * TIMER_FAR || m->riot.set_cycle > TIMER_FAR)
        m->riot.set_cycle = (int32_t)((uint32_t)m->riot.set_cycle % 4000000) - 2000000;
    if (m->riot.shift > 10) m->riot.shift = 10;
    for (int i = 0; i < 5; ++i) {
        t->pos[i] %= 160;
        t->hm[i] &= 15;
    }
    t->color_loss &= 1;
    t->reflect &= 1;
    t->front &= 1;
    t->star_counter &= 3;
    c->bank &= rom->bytes > 8192 && rom->properties.cart != VLY_CART_DPC ? 3 : 1;
    for (int i = 0; i < 3; ++i) c->slice[i] &= 7;
    c->slice[3] = 7; /* E0: the last kilobyte, which has the hot spots, is fixed */
    for (int i = 0; i < 8; ++i) c->counter[i] &= 0x7ff;
    if (!(c->fraction >= 0.0 && c->fraction < 1.0)) c->fraction = 0.0;
    for (int i = 0; i < 2; ++i) {
        if (m->missing_from[i] > height) m->missing_from[i] = 0;
        if (m->missing_to[i] > height) m->missing_to[i] = (uint16_t)height;
    }
    for (int i = 0; i < 4; ++i)
        if (m->wires.resistance[i] < 0) m->wires.resistance[i] = VLY_OPEN;
    if (m->rng.at < 0 || m->rng.at > VLY_MT_WORDS) m->rng.at = VLY_MT_WORDS;
}

int vly_machine_valid(const vly_machine *m, const vly_rom *rom) {
    vly_machine copy;
    memcpy(&copy, m, sizeof copy);
    vly_machine_repair(&copy, rom);
    return memcmp(&copy, m, VLY_CONSOLE_BYTES) == 0 && copy.rng.at == m->rng.at;
}
