/* tia.h -- the television interface adaptor (TIA): a picture and 15 collision latches from register
 * writes; for the files of this folder only.
 *
 *   vly_tia_work w;
 *   vly_tia_open(&w, m, rom, pixels);        // pixels NULL: collisions only
 *   vly_tia_poke(&w, clock, reg, value);     // in the order of their clocks
 *   vly_tia_replay(&w, log, n);              // the same for a log of VLY_LOG(cycles, reg, value)
 *   vly_tia_peek(m, reg);                    // after the log was replayed
 *
 * WRITE REGISTERS (address & 3Fh). `bits` are those that are read, `after` the colour clocks from
 * the write to the first pixel that shows it.
 *
 *   reg   name           bits      after  effect
 *   00    VSYNC          ......1.         0 at least 228 clocks after 1 ends the frame (bus.h)
 *   01    VBLANK         7.....1.    1    1: pixels are 0, nothing collides; 7: grounds INPT0-3
 *   02    WSYNC          ........         halts the processor until the next line (bus.h)
 *   03    RSYNC                           not emulated
 *   04-05 NUSIZ0-1       ..54.210    8    4-5: missile width 1, 2, 4, 8; 0-2: copies at offsets
 *                                         0 | 0 16 | 0 32 | 0 16 32 | 0 64 | double width |
 *                                         0 32 64 | fourfold width
 *   06-09 COLUP0 COLUP1  7654321.    0    colours: P0 and M0, P1 and M1, playfield and ball,
 *         COLUPF COLUBK                   background
 *   0A    CTRLPF         ..54.210    0    0: right half reflected (from hpos 147 on: at the next
 *                                         line); 1: score colours; 2: playfield and ball in
 *                                         front; 4-5: ball width 1, 2, 4, 8
 *   0B-0C REFP0-1        ....3...    1    player reversed
 *   0D-0F PF0 PF1 PF2    7654.... ,  2-5  20 bits of the left half, 4 pixels each: PF0 bits 4-7,
 *                        all, all         PF1 bits 7-0, PF2 bits 0-7
 *   10-11 RESP0-1        ........    0    player's position := the beam's
 *   12-14 RESM0-1 RESBL  ........   8, 0  missile's, ball's position := the beam's
 *   15-1A AUDC0 .. AUDV1                  sound: not emulated
 *   1B-1C GRP0-1         76543210    1    8 pixels of the player; copies the other player's to its
 *                                         delayed register, GRP1 the ball's ENABL too
 *   1D-1F ENAM0-1 ENABL  ......1.    0    missile, ball on
 *   20-24 HMP0-1 HMM0-1  7654....         motion of each object at HMOVE: 1 .. 7 to the left,
 *         HMBL                            8 .. 15 to the right by 8 .. 1
 *   25-27 VDELP0-1       .......0    0    shows the delayed register instead
 *         VDELBL
 *   28-29 RESMP0-1       ......1.    0    1: missile hidden; 1 -> 0: to the player's middle
 *   2A    HMOVE          ........    0    moves all five by their motions; strobed at cycles 0-20
 *                                         or 75 of a line it blanks the next first eight pixels,
 *                                         unless the cartridge is no_hmove_blanks
 *   2B    HMCLR          ........         all motions := 0
 *   2C    CXCLR          ........    0    all collision latches := 0
 *   2D-3F                                 none
 *
 * READ REGISTERS (address & 0Fh). The other bits read as 0; bits 5-0 as on the data bus (bus.h).
 *
 *   reg  name     bit 7  bit 6            reg  name     bit 7  bit 6
 *   0    CXM0P    M0 P1  M0 P0            5    CXM1FB   M1 PF  M1 BL
 *   1    CXM1P    M1 P0  M1 P1            6    CXBLPF   BL PF
 *   2    CXP0FB   P0 PF  P0 BL            7    CXPPMM   P0 P1  M0 M1
 *   3    CXP1FB   P1 PF  P1 BL            8-B  INPT0-3  paddle's capacitor is charged
 *   4    CXM0FB   M0 PF  M0 BL            C-D  INPT4-5  0: trigger pressed
 *
 * TIMING. Three colour clocks are a processor cycle, 228 a line, of which 68 are blank and 160 are
 * pixels; hpos is the clock within the line. Clocks count from the processor's cycle 0; the frame
 * begins at frame_clock (-227 .. 0). Lines ystart .. ystart + height - 1 of it are drawn.
 *
 * PIXELS are palette indices: a colour register's value with bit 0 clear; PAL sets bit 0 after a
 * frame with an odd number of lines. In front is, first to last: P0 M0, P1 M1, PF BL, background;
 * with CTRLPF bit 2: PF BL, P0 M0, P1 M1, background.
 *
 * EMULATED as the reference does it: the relation of a RESPx to the copy that is being drawn (its
 * first copy may be left out for the line), strobes shortly after HMOVE, HMOVE at any cycle of a
 * line, Cosmic Ark's stars, PAL's colour loss, the grey rest of a frame that ran out of
 * instructions. NOT EMULATED: sound, RSYNC, pixels and collisions outside the displayed lines, the
 * clock of an access within its instruction (it is the instruction's last).
 *
 * HOW. Everything is drawn lazily: a write first draws up to the clock at which it takes effect. An
 * object is a mask of 160 bits over the line; a collision is an AND of two masks. The registers are
 * vly_tia_state in the machine (machine.h); masks follow from them and live in vly_tia_work, on the
 * stack of the function that runs a frame. It borrows machine and pixels and owns nothing.
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
    uint8_t defers;     /* a line is painted when it is whole, and not change by change */
    uint8_t held;       /* bit per object: it has changed within the span */
    uint8_t displaced;  /* bit per object: its place or size has */
    int span_from, span_to; /* pixels of the line that are drawn but not painted yet */
    int held_to[6];         /* up to which pixel an object's old pixels are in kept[] */
    vly_line kept[6];
    uint64_t
        look; /* colours, priorities and objects of the line above where masks and these are all
                      that it shows; 0: it shows more */
    vly_line mask[6]; /* in the order VLY_P0 .. VLY_PF */
    vly_line foot[6]; /* where an object may be, whatever its picture */
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
