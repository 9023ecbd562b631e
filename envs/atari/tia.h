/* tia.h -- the television interface adaptor: a picture and 15 collision latches from register
 * writes; for the files of this folder only.
 *
 *   vly_tia_work w;
 *   vly_tia_open(&w, m, rom, pixels);        // pixels NULL: collisions only
 *   vly_tia_poke(&w, clock, reg, value);     // in the order of their clocks
 *   vly_tia_replay(&w, log, n);              // the same for a log of VLY_LOG(cycles, reg, value)
 *
 * Everything is drawn lazily: a write first draws up to the clock at which it takes effect. An
 * object is a mask of 160 bits over the line; a collision is an AND of two masks. The masks
 * live in `vly_tia_work`, outside the machine: they follow from the registers.
 */
#ifndef VLY_ENVS_ATARI_TIA_H
#define VLY_ENVS_ATARI_TIA_H
#include "envs/atari/machine.h"

enum { VLY_CLOCKS_PER_LINE = 228, VLY_HBLANK = 68 };
enum {
    VLY_VSYNC = 0x00,
    VLY_VBLANK,
    VLY_WSYNC,
    VLY_RSYNC,
    VLY_NUSIZ0,
    VLY_NUSIZ1,
    VLY_COLUP0,
    VLY_COLUP1,
    VLY_COLUPF,
    VLY_COLUBK,
    VLY_CTRLPF,
    VLY_REFP0,
    VLY_REFP1,
    VLY_PF0,
    VLY_PF1,
    VLY_PF2,
    VLY_RESP0,
    VLY_RESP1,
    VLY_RESM0,
    VLY_RESM1,
    VLY_RESBL,
    VLY_AUDC0,
    VLY_AUDC1,
    VLY_AUDF0,
    VLY_AUDF1,
    VLY_AUDV0,
    VLY_AUDV1,
    VLY_GRP0,
    VLY_GRP1,
    VLY_ENAM0,
    VLY_ENAM1,
    VLY_ENABL,
    VLY_HMP0,
    VLY_HMP1,
    VLY_HMM0,
    VLY_HMM1,
    VLY_HMBL,
    VLY_VDELP0,
    VLY_VDELP1,
    VLY_VDELBL,
    VLY_RESMP0,
    VLY_RESMP1,
    VLY_HMOVE,
    VLY_HMCLR,
    VLY_CXCLR,
    VLY_TOUCH = 0x3f /* no register: an access that draws up to its clock and does no more */
};

/* A write in a log; cycles 0 .. 2^18 - 1 since the frame began. */
#define VLY_LOG(cycles, reg, value) \
    ((uint32_t)(cycles) << 14 | (uint32_t)(reg) << 8 | (uint32_t)(value))

/* 160 pixels of a line, bit x % 64 of word x / 64 is pixel x. */
typedef struct {
    uint64_t w[3];
} vly_line;

typedef struct {
    vly_machine *m;
    uint8_t *pixels; /* the current frame buffer, or NULL */
    int pal, blanks, ystart, height;
    uint8_t wide;       /* the processor has 512-bit stores with byte masks */
    uint8_t dirty;      /* bit per object: mask[] must be made again */
    uint8_t stale;      /* bit per object: its bit of `enabled` must be */
    uint8_t enabled;    /* bit per object: switched on, even if its mask is empty */
    uint8_t settled;    /* these masks have met over a whole line */
    uint8_t moved;      /* bit per object: foot[] must be made again */
    uint16_t measured;  /* latches whose bit of `reach` holds */
    uint16_t reach;     /* latches of objects that are near enough to meet */
    int32_t line_begin; /* the clock at which the line that is being drawn began; BEYOND: no more
                           lines */
    int32_t line;       /* its number */
    vly_line mask[6];   /* in the order VLY_P0 .. VLY_PF */
    vly_line foot[6];   /* where an object may be, whatever its picture */
} vly_tia_work;

/* Pixels [from, to) of a row from the masks of the objects that are on; tia_paint.c. */
void vly_tia_paint(const vly_tia_work *w, uint8_t *row, int from, int to);
int vly_tia_is_wide(void); /* the processor has what `wide` says */

void vly_tia_open(vly_tia_work *w, vly_machine *m, const vly_rom *rom, uint8_t *pixels);
void vly_tia_reset(vly_tia_state *t, int ystart, int height);
/* Begins a frame: the clocks count from the line that the electron beam is in. */
void vly_tia_start_frame(vly_tia_work *w, int32_t cycles);
/* A write to register reg (0 .. 3Fh) as far as it shows. What VSYNC, WSYNC and bit 7 of VBLANK do
 * besides is the bus's business: the processor notices it at once. */
void vly_tia_poke(vly_tia_work *w, int32_t clock, unsigned reg, uint8_t value);
void vly_tia_replay(vly_tia_work *w, const uint32_t *log, int n);
/* After a frame() that met the bound: what is below the beam gets grey. */
void vly_tia_grey(vly_tia_work *w, int32_t cycles);
/* The upper bits of read register reg (0 .. 15); the log must have been played. */
uint8_t vly_tia_peek(const vly_machine *m, unsigned reg);

#endif
