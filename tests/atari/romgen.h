/* romgen.h -- cartridges that nobody wrote: random programs that exercise one part of the
 * console each, so that the emulator is tested where no commercial ROM may be had.
 *
 *   uint8_t rom[VLY_ROM_MAX_BYTES];
 *   size_t n = romgen(ROMGEN_TIA, seed, rom);
 *
 * The programs keep the shape of a game (VSYNC, timer, display lines), hence frames end. The
 * banks of a switched cartridge hold the same code and different data, so that it does not
 * matter for the program, only for what it shows, which bank it continues in.
 */
#ifndef VLY_TESTS_ATARI_ROMGEN_H
#define VLY_TESTS_ATARI_ROMGEN_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "envs/atari/machine.h"

typedef enum {
    ROMGEN_TIA,
    ROMGEN_CPU,
    ROMGEN_OPCODE,
    ROMGEN_TIMER,
    ROMGEN_PAL,
    ROMGEN_PADDLE,
    ROMGEN_LATE,
    ROMGEN_2K,
    ROMGEN_F8,
    ROMGEN_F6,
    ROMGEN_F8SC,
    ROMGEN_F6SC,
    ROMGEN_E0,
    ROMGEN_FE,
    ROMGEN_DPC,
    ROMGEN_NOISE,
    ROMGEN_COUNT
} romgen_kind;

static const char *const romgen_names[ROMGEN_COUNT] = {
    "tia", "cpu", "opcode", "timer", "pal", "paddle", "late", "2k",
    "f8",  "f6",  "f8sc",   "f6sc",  "e0",  "fe",     "dpc",  "noise"};

typedef struct {
    uint64_t random;
    uint8_t code[4096];
    unsigned n;      /* bytes of code */
    unsigned origin; /* address of code[0] */
    romgen_kind kind;
} romgen_state;

static uint32_t romgen_next(romgen_state *g) { /* splitmix64 */
    uint64_t z = g->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(z >> 32 ^ z);
}
static unsigned romgen_below(romgen_state *g, unsigned n) {
    return romgen_next(g) % n;
}
static unsigned romgen_pick(romgen_state *g, const uint8_t *of, unsigned n) {
    return of[romgen_below(g, n)];
}
#define ROMGEN_PICK(g, ...) \
    romgen_pick(g, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void romgen_emit(romgen_state *g, unsigned count, ...);
#include <stdarg.h>
static void romgen_emit(romgen_state *g, unsigned count, ...) {
    va_list list;
    va_start(list, count);
    for (unsigned i = 0; i < count && g->n < sizeof g->code; ++i)
        g->code[g->n++] = (uint8_t)va_arg(list, unsigned);
    va_end(list);
}
#define EMIT(...) \
    romgen_emit(g, (unsigned)(sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned)), __VA_ARGS__)
static unsigned romgen_here(const romgen_state *g) {
    return g->origin + g->n;
}
static void romgen_branch(romgen_state *g, unsigned opcode, unsigned to) {
    EMIT(opcode, (to - (romgen_here(g) + 2)) & 0xff);
}
static void romgen_absolute(romgen_state *g, unsigned opcode, unsigned a) {
    EMIT(opcode, a & 0xff, a >> 8);
}

/* ---- pieces that are special to a cartridge ---------------------------------------------------
 */

/* Somewhere in the tables that differ from bank to bank. */
static unsigned romgen_table(romgen_state *g) {
    unsigned low = romgen_below(g, 256);
    switch (g->kind) {
    case ROMGEN_E0: return 0xf000 + romgen_below(g, 0xb00);
    case ROMGEN_FE: return (romgen_below(g, 2) ? 0xd000 : 0xf000) + 0xe00 + low % 0x80;
    case ROMGEN_2K: return 0xf700 + low % 0x80;
    default: return 0xfe00 + low;
    }
}

static void romgen_switch(romgen_state *g) {
    static const uint8_t opcodes[] = {0xad, 0x8d, 0x2c, 0xee, 0x0c, 0xac, 0x8e, 0xcd};
    unsigned opcode = romgen_pick(g, opcodes, sizeof opcodes);
    switch (g->kind) {
    case ROMGEN_F8:
    case ROMGEN_F8SC:
    case ROMGEN_DPC: romgen_absolute(g, opcode, 0xfff8 + romgen_below(g, 2)); break;
    case ROMGEN_F6:
    case ROMGEN_F6SC: romgen_absolute(g, opcode, 0xfff6 + romgen_below(g, 4)); break;
    case ROMGEN_E0: romgen_absolute(g, opcode, 0xffe0 + romgen_below(g, 24)); break;
    case ROMGEN_FE: { /* go on in the other half */
        unsigned to = romgen_here(g) + 3;
        romgen_absolute(g, 0x4c, (to & 0x1fff) | (romgen_below(g, 2) ? 0xc000u : 0xe000u));
        break;
    }
    default: EMIT(0xea);
    }
}

/* Cartridge memory and the DPC's registers. */
static void romgen_cartridge_access(romgen_state *g) {
    unsigned r = romgen_below(g, 128);
    if (g->kind == ROMGEN_F8SC || g->kind == ROMGEN_F6SC) {
        switch (romgen_below(g, 5)) {
        case 0: romgen_absolute(g, 0x8d, 0xf000 + r); break;
        case 1: romgen_absolute(g, 0x9d, 0xf000 + r / 2); break;
        case 2: romgen_absolute(g, 0xbd, 0xf080 + r / 2); break;
        case 3: romgen_absolute(g, 0xad, 0xf000 + 2 * r); break;
        default: romgen_absolute(g, 0xad, 0xf080 + r); break;
        }
    } else if (g->kind == ROMGEN_DPC) {
        switch (romgen_below(g, 4)) {
        case 0: romgen_absolute(g, 0x8d, 0xf040 + r / 2); break;
        case 1: romgen_absolute(g, 0x9d, 0xf040 + r / 4); break;
        default: romgen_absolute(g, 0xad, 0xf000 + r / 2); break;
        }
    } else {
        romgen_switch(g);
    }
}

static int romgen_is_switched(const romgen_state *g) {
    return g->kind >= ROMGEN_F8 && g->kind <= ROMGEN_DPC;
}

/* ---- programs ---------------------------------------------------------------------------------
 */

static void romgen_clear_page0(romgen_state *g) {
    EMIT(0x78, 0xd8, 0xa2, 0xff, 0x9a, 0xa9, 0, 0xa2, 0); /* SEI CLD LDX #FF TXS LDA #0 LDX #0 */
    unsigned loop = romgen_here(g);
    EMIT(0x95, 0, 0xe8); /* STA 0,X INX */
    romgen_branch(g, 0xd0, loop);
}

static void romgen_wait_timer(romgen_state *g, unsigned branch) {
    unsigned loop = romgen_here(g);
    EMIT(ROMGEN_PICK(g, 0xad, 0xae, 0xac), ROMGEN_PICK(g, 0x84, 0x84, 0x86), 0x02);
    romgen_branch(g, branch, loop);
}

/* Random register writes between WSYNCs, in a loop over the display. */
static void romgen_display(romgen_state *g, int lines, unsigned outer_loops, int paddles) {
    static const uint8_t regs[35] = {4,    5,    6,    7,    8,    9,    0x0a, 0x0b, 0x0c,
                                     0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x1b,
                                     0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24,
                                     0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c};
    static const uint8_t weight[35] = {2, 2, 2, 2, 2, 2, 3, 1, 1, 4, 4, 4, 2, 2, 2, 2, 2, 5,
                                       5, 4, 4, 4, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 4, 1, 1};
    EMIT(0xa6, 0x80, 0xa9, outer_loops, 0x85, 0x81); /* LDX frame; outer counter */
    unsigned outer = romgen_here(g);
    for (int i = 0; i < lines; ++i) {
        EMIT(0x85, 2); /* WSYNC */
        int writes = 2 + (int)romgen_below(g, 8);
        for (int j = 0; j < writes; ++j) {
            unsigned k = romgen_below(g, 100), w = romgen_below(g, 77), reg = 0;
            if (romgen_is_switched(g) && romgen_below(g, 6) == 0) romgen_cartridge_access(g);
            if (paddles && romgen_below(g, 3) == 0) {
                EMIT(0xa5, ROMGEN_PICK(g, 8, 9, 10, 11, 0x38, 12, 13, 14), 0x95, 0xa0);
                if (romgen_below(g, 4) == 0) EMIT(0xa9, romgen_below(g, 256) & 0xfd, 0x85, 1);
                continue;
            }
            if (k < 55)
                romgen_absolute(g, 0xbd, romgen_table(g));
            else if (k < 75)
                EMIT(0xa9, romgen_below(g, 256));
            else if (k < 85) {
                EMIT(0xa5, romgen_below(g, 8), 0x95, 0x90 + romgen_below(g, 16));
                continue;
            } else
                for (unsigned m = 1 + romgen_below(g, 4); m; --m) EMIT(0xea);
            while (w >= weight[reg]) w -= weight[reg++];
            EMIT(0x85, regs[reg]);
        }
        EMIT(0xe8);
    }
    EMIT(0xc6, 0x81, 0xf0, 3); /* DEC counter; BEQ on */
    romgen_absolute(g, 0x4c, outer);
}

static void romgen_tia_program(romgen_state *g) {
    int pal = g->kind == ROMGEN_PAL, small = g->kind == ROMGEN_E0, two = g->kind == ROMGEN_2K;
    romgen_clear_page0(g);
    unsigned frame = romgen_here(g);
    EMIT(0xa9, 2, 0x85, 0, 0x85, 2, 0x85, 2, 0x85, 2, 0xa9, 0, 0x85, 0); /* VSYNC, 3 lines */
    EMIT(0xa9, 2, 0x85, 1);                                              /* VBLANK on */
    EMIT(0xa9, ROMGEN_PICK(g, 30, 37, 43), 0x8d, 0x96, 0x02, 0xe6, 0x80);
    romgen_wait_timer(g, 0xd0);
    EMIT(0xa9, 0, 0x85, 2, 0x85, 1);
    unsigned loops = ROMGEN_PICK(g, 4, 6, 8, 9, 10, 12, 13);
    if (pal) loops = ROMGEN_PICK(g, 10, 11, 12);
    if (small) loops *= 2;
    if (two) loops *= 2;
    romgen_display(g, small || two ? 11 : 22, loops, g->kind == ROMGEN_PADDLE);
    EMIT(0xa9, 2, 0x85, 2, 0x85, 1);
    /* An odd number of lines on some frames: PAL sets lose the colour then. */
    if (pal) EMIT(0xa5, 0x80, 0x29, ROMGEN_PICK(g, 1, 3, 0x10), 0xf0, 2, 0x85, 2);
    unsigned late = g->kind == ROMGEN_LATE ? romgen_below(g, 3) : 1;
    if (late) {
        EMIT(0xa9, ROMGEN_PICK(g, 20, 30), 0x8d, 0x96, 0x02);
        romgen_wait_timer(g, romgen_below(g, 10) < 3 ? 0x10 : 0xd0);
    }
    romgen_absolute(g, 0x4c, frame);
}

static unsigned romgen_length(unsigned op) {
    static const uint8_t single[] = {0x08, 0x28, 0x48, 0x68, 0x18, 0x38, 0x58, 0x78,
                                     0xb8, 0xd8, 0xf8, 0x88, 0xc8, 0xca, 0xe8, 0xa8,
                                     0x98, 0xaa, 0x8a, 0xba, 0x9a, 0x0a, 0x4a, 0x2a,
                                     0x6a, 0x1a, 0x3a, 0x5a, 0x7a, 0xda, 0xea, 0xfa};
    if (memchr(single, (int)op, sizeof single)) return 1;
    unsigned mode = op >> 2 & 7;
    return mode == 0 || mode == 1 || mode == 2 || mode == 4 || mode == 5 ? 2 : 3;
}

static int romgen_runs_on(unsigned op) { /* neither JAM nor a jump */
    static const uint8_t stops[] = {0x02, 0x12, 0x22, 0x32, 0x42, 0x52, 0x62, 0x72, 0x92,
                                    0xb2, 0xd2, 0xf2, 0x00, 0x20, 0x40, 0x60, 0x4c, 0x6c,
                                    0x10, 0x30, 0x50, 0x70, 0x90, 0xb0, 0xd0, 0xf0};
    return !memchr(stops, (int)op, sizeof stops);
}

static void romgen_any_opcode(romgen_state *g) {
    unsigned op;
    do {
        op = romgen_below(g, 256);
    } while (!romgen_runs_on(op) || (memchr("\x9a\x9b\xbb", (int)op, 3) && romgen_below(g, 5)));
    unsigned n = romgen_length(op), ram = 0x80 + romgen_below(g, 128), a = ram;
    if (n == 1) EMIT(op);
    if (n == 2) EMIT(op, romgen_below(g, 10) < 4 ? romgen_below(g, 256) : ram);
    if (n != 3) return;
    switch (romgen_below(g, 6)) {
    case 0: a = 0xfe00 + romgen_below(g, 256); break;
    case 1: a = romgen_below(g, 0x40); break;
    case 2: a = 0x180 + romgen_below(g, 128); break;
    case 3: a = 0x280 + romgen_below(g, 0x20); break;
    case 4: a = romgen_below(g, 65536); break;
    default: break;
    }
    romgen_absolute(g, op, a);
}

static void romgen_cpu_program(romgen_state *g) {
    static const uint16_t count[3] = {150, 300, 450};
    romgen_clear_page0(g);
    unsigned frame = romgen_here(g);
    EMIT(0xa9, 2, 0x85, 0, 0x85, 2, 0x85, 2, 0x85, 2, 0xa9, 0, 0x85, 0, 0x85, 1);
    EMIT(0xe6, 0x80, 0xa6, 0x80, 0xa4, 0x81);
    for (unsigned i = count[romgen_below(g, 3)]; i; --i) {
        unsigned k = romgen_below(g, 100);
        if (k < 4)
            EMIT(0x85, 2);
        else if (k < 7)
            EMIT(ROMGEN_PICK(g, 0x10, 0x30, 0x50, 0x70, 0x90, 0xb0, 0xd0, 0xf0), romgen_below(g, 4),
                 0xea, 0xea, 0xea);
        else if (k < 10)
            EMIT(romgen_below(g, 10) < 6 ? 0xf8 : 0xd8);
        else if (k < 13)
            EMIT(0x8d, ROMGEN_PICK(g, 0x94, 0x95, 0x96, 0x97), 0x02);
        else if (k < 17)
            EMIT(0xad, ROMGEN_PICK(g, 0x84, 0x85, 0x80, 0x82), 0x02, 0x85,
                 0x80 + romgen_below(g, 128));
        else
            romgen_any_opcode(g);
    }
    EMIT(0xa2, 0xff, 0x9a, 0xd8);
    unsigned loop = romgen_here(g);
    EMIT(0x85, 2, 0xad, 0x84, 2);
    if (romgen_below(g, 2)) romgen_branch(g, 0x10, loop);
    romgen_absolute(g, 0x4c, frame);
}

/* One opcode (the seed says which) with ever new registers, flags and operands; what it leaves is
 * mixed into 90h .. 97h. */
static void romgen_opcode_program(romgen_state *g, unsigned op) {
    if (!romgen_runs_on(op)) op = 0xea;
    romgen_clear_page0(g);
    unsigned frame = romgen_here(g);
    EMIT(0xd8, 0xa9, 2, 0x85, 0, 0x85, 2, 0x85, 2, 0x85, 2, 0xa9, 0, 0x85, 0, 0x85, 1);
    EMIT(0xa9, 40, 0x85, 0x81);
    unsigned loop = romgen_here(g);
    EMIT(0xe6, 0x80, 0xd0, 2, 0xe6, 0x82); /* two counters */
    EMIT(0xa5, 0x80, 0x0a, 0x0a, 0x0a, 0x18, 0x65, 0x82, 0x65, 0x80, 0x45, 0x86, 0x85, 0x84);
    EMIT(0xa5, 0x84, 0x0a, 0x0a, 0x18, 0x65, 0x84, 0x69, 0x3b, 0x85, 0x84); /* a little generator */
    EMIT(0x45, 0x82, 0x85, 0x83, 0x4a, 0x45, 0x84, 0x85, 0x85);
    EMIT(0xa6, 0x83, 0xa4, 0x85, 0xa5, 0x84, 0x48, 0x45, 0x80, 0x09, 0x04, 0x48); /* X Y; A, P */
    EMIT(0x86, 0xa1, 0x84, 0xa2, 0xa9, 0xfe, 0x85, 0xa3, 0x8d, 0x94, 0x02, 0x28, 0x68);
    EMIT(0x08, 0x48, 0x68, 0x28); /* SP is FFh again */
    unsigned n = romgen_length(op), at = (op & 0x1f) == 0x1b || romgen_below(g, 2) ? 0xa1 : 0xa2;
    if (n == 1) EMIT(op);
    if (n == 2) EMIT(op, (op & 0x1f) == 0x09 || (op & 0x1f) == 0x0b ? romgen_below(g, 256) : at);
    if (n == 3) romgen_absolute(g, op, romgen_below(g, 2) ? at : 0xfe00 + romgen_below(g, 256));
    EMIT(0x08, 0xd8, 0x18); /* PHP CLD CLC */
    EMIT(0x45, 0x90, 0x0a, 0x69, 0, 0x85, 0x90, 0xad, 0x84, 0x02, 0x45, 0x97, 0x0a, 0x69, 0, 0x85,
         0x97);                                              /* A, cycles */
    EMIT(0x8a, 0x45, 0x91, 0x0a, 0x69, 0, 0x85, 0x91);       /* X */
    EMIT(0x98, 0x45, 0x92, 0x0a, 0x69, 0, 0x85, 0x92);       /* Y */
    EMIT(0xba, 0x8a, 0x45, 0x93, 0x0a, 0x69, 0, 0x85, 0x93); /* SP */
    EMIT(0x68, 0x45, 0x94, 0x0a, 0x69, 0, 0x85, 0x94);       /* P */
    EMIT(0xa5, 0xa1, 0x45, 0x95, 0x0a, 0x69, 0, 0x85, 0x95, 0xa5, 0xa2, 0x45, 0x96, 0x85, 0x96);
    EMIT(0xa2, 0xff, 0x9a, 0xc6, 0x81, 0xf0, 3);
    romgen_absolute(g, 0x4c, loop);
    EMIT(0xa9, 2, 0x85, 2, 0x85, 2);
    romgen_absolute(g, 0x4c, frame);
}

/* Reads the timer at random times into successive bytes of RAM. */
static void romgen_timer_program(romgen_state *g) {
    romgen_clear_page0(g);
    unsigned frame = romgen_here(g);
    EMIT(0xa9, 2, 0x85, 0, 0x85, 2, 0x85, 2, 0x85, 2, 0xa9, 0, 0x85, 0, 0x85, 1, 0xe6, 0x80);
    for (unsigned at = 0x81; at < 0xf0; ++at) {
        unsigned value = romgen_below(g, 3) ? romgen_below(g, 8) : romgen_below(g, 256);
        if (romgen_below(g, 4) == 0)
            EMIT(0xa9, value, 0x45, 0x80, 0x29, 7, 0x8d, ROMGEN_PICK(g, 0x94, 0x95, 0x96, 0x97),
                 0x02);
        for (unsigned n = romgen_below(g, 8); n; --n) EMIT(0xea);
        if (romgen_below(g, 3) == 0) EMIT(0xa5, 0x80);
        if (romgen_below(g, 8) == 0) EMIT(0x85, 2);
        EMIT(0xad, ROMGEN_PICK(g, 0x84, 0x84, 0x86, 0x85, 0x87), 0x02, 0x85, at);
    }
    romgen_absolute(g, 0x4c, frame);
}

/* ---- cartridges --------------------------------------------------------------------------------
 */

static void romgen_put_vectors(uint8_t *end, unsigned entry) {
    for (int i = 1; i <= 3; ++i) {
        end[-2 * i] = (uint8_t)entry;
        end[-2 * i + 1] = (uint8_t)(entry >> 8);
    }
}

/* A bank: the code at its place, random tables, vectors. */
static void romgen_put_bank(romgen_state *g, uint8_t *bank, unsigned bytes, unsigned base) {
    for (unsigned i = 0; i < bytes; ++i) bank[i] = (uint8_t)romgen_next(g);
    memcpy(bank + (g->origin - base), g->code, g->n);
    romgen_put_vectors(bank + bytes, g->origin);
}

static size_t romgen_banks(romgen_state *g, uint8_t *rom, unsigned banks) {
    int sc = g->kind == ROMGEN_F8SC || g->kind == ROMGEN_F6SC;
    for (unsigned i = 0; i < banks; ++i) {
        romgen_put_bank(g, rom + 4096 * i, 4096, 0xf000);
        if (sc) memset(rom + 4096 * i, 0x55, 256); /* where the cartridge's memory is */
    }
    return banks * 4096u;
}

static size_t romgen(romgen_kind kind, uint64_t seed, uint8_t rom[VLY_ROM_MAX_BYTES]) {
    romgen_state g_ = {.random = seed * 1000003 + kind, .origin = 0xf000, .kind = kind}, *g = &g_;
    if (kind == ROMGEN_F8SC || kind == ROMGEN_F6SC || kind == ROMGEN_DPC) g->origin = 0xf100;
    if (kind == ROMGEN_E0) g->origin = 0xfc00;
    if (kind == ROMGEN_2K) g->origin = 0xf000;
    if (kind == ROMGEN_NOISE) {
        static const uint16_t size[5] = {2048, 4096, 8192, 10495, 16384};
        unsigned n = size[romgen_below(g, 5)];
        for (unsigned i = 0; i < n; ++i) rom[i] = (uint8_t)romgen_next(g);
        return n;
    }
    if (kind == ROMGEN_CPU)
        romgen_cpu_program(g);
    else if (kind == ROMGEN_TIMER)
        romgen_timer_program(g);
    else if (kind == ROMGEN_OPCODE)
        romgen_opcode_program(g, (unsigned)seed & 0xff);
    else
        romgen_tia_program(g);
    switch (kind) {
    case ROMGEN_2K: romgen_put_bank(g, rom, 2048, 0xf000); return 2048;
    case ROMGEN_F8: return romgen_banks(g, rom, 2);
    case ROMGEN_F8SC: return romgen_banks(g, rom, 2);
    case ROMGEN_F6: return romgen_banks(g, rom, 4);
    case ROMGEN_F6SC: return romgen_banks(g, rom, 4);
    case ROMGEN_E0:
        for (unsigned i = 0; i < 7168; ++i) rom[i] = (uint8_t)romgen_next(g);
        memcpy(rom, "\x8d\xe0\x1f", 3); /* what E0 is recognised by */
        romgen_put_bank(g, rom + 7168, 1024, 0xfc00);
        return 8192;
    case ROMGEN_FE:
        romgen_banks(g, rom, 2);
        memcpy(rom + 0xf00, "\x20\x00\xd0\xc6\xc5", 5); /* what FE is recognised by */
        return 8192;
    case ROMGEN_DPC:
        romgen_banks(g, rom, 2);
        for (unsigned i = 8192; i < 10495; ++i) rom[i] = (uint8_t)romgen_next(g);
        return 10495;
    default: romgen_put_bank(g, rom, 4096, 0xf000); return 4096;
    }
}
#undef EMIT
#undef ROMGEN_PICK
#endif
