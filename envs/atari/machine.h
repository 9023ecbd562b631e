/* machine.h -- an Atari 2600 as one plain struct, equal to ALE 0.12.1 bit for bit.
 *
 *   vly_rom *rom;                                    // shared by every machine that plays it
 *   VLY_TRY(vly_rom_create(&rom, bytes, n, NULL));   // NULL: properties by size and content
 *   vly_machine m;
 *   vly_machine_init(&m, rom);                       // what ALE's loadROM leaves behind
 *   vly_machine_set_controls(&m, rom, &(vly_controls){.stick = {VLY_STICK_FIRE}});
 *   vly_machine_frame(&m, rom, screens);             // screens may be NULL: nothing is drawn
 *   m.ram[0x0E]; vly_machine_screen(&m, screens);    // height x 160 palette indices
 *   vly_machine copy = m;                            // a clone
 *   vly_rom_destroy(rom);
 *
 * MEMORY MAP. The bus has 13 address lines; x is any value, so that everything is mirrored.
 *
 *   A12 A9 A7   usual address   device                                            file
 *    1   x  x   1000 .. 1FFF    cartridge                                         cart.h
 *    0   x  0   0000 .. 003F    TIA: writes & 3F, reads & 0F                      tia.h
 *    0   0  1   0080 .. 00FF    128 bytes of RAM; the stack is its mirror at 0180 machine.h
 *    0   1  1   0280 .. 0297    RIOT: ports and timer                             riot.h
 *
 * RIOT
 *   read & 7   0    SWCHA   left stick in bits 7-4 (right, left, down, up), right stick in bits 3-0;
 *                           0 = pressed. The triggers of a port's two paddles are right and left.
 *              1    SWACNT  as written
 *              2    SWCHB   bit 0 RESET, 1 SELECT (0 = pressed), 3 colour (always 1), 6 and 7 left and
 *                           right difficulty (1 = A)
 *              3    SWBCNT  always 0
 *              4 6  INTIM   the timer
 *              5 7  TIMINT  bit 7: the timer has expired and has not been read since
 *   write      A4 and A2 set: the timer, in steps of 1, 8, 64 or 1024 cycles by A1 and A0;
 *              & 7 = 1: SWACNT; any other write has no effect
 *
 * CARTRIDGES (addresses within its 4 KB)
 *   kind     file           banks                     switched by an access to
 *   2K 4K    2, 4 KB        1                         (2K is mirrored)
 *   F8       8 KB           2 of 4 KB                 FF8, FF9
 *   F6       16 KB          4 of 4 KB                 FF6 .. FF9
 *   F8SC F6SC  same         same, and 128 bytes of RAM: written at 000 .. 07F, read at 080 .. 0FF
 *   E0       8 KB           8 of 1 KB in 3 slices     FE0 .. FF7; the last KB is fixed
 *   FE       8 KB           2 of 4 KB                 address bit 13 of the processor
 *   DPC      10 to 10.25 KB 2 of 4 KB, display chip   FF8, FF9; the chip's registers at 000 .. 07F
 *
 * TIMING. The processor runs at a third of the colour clock, 76 cycles a line. An instruction runs
 * as a whole: its cycles are counted first, then its one data access takes place. A call of
 * vly_machine_frame ends where the program ends VSYNC, at a TIA write past 291 lines (PAL: 343),
 * or after 25,000 instructions: a partial frame, which the next call continues.
 *
 * EMULATED: the 6507 with all opcodes, the unofficial ones included (JAM stops it until a reset);
 * TIA (tia.h), RIOT, the cartridges above, joysticks, paddles, the console's switches, NTSC and PAL.
 * NOT EMULATED: sound; other cartridges and controllers, SECAM; interrupts, dummy accesses and
 * clocks within an instruction; the data direction's effect on the ports. Not here: rewards,
 * actions, resets of the environment (emulator.h, atari.h).
 *
 * OWNERSHIP. A machine holds no pointer: memcpy and write() are its snapshot, and nothing is to be
 * freed. The caller owns the rom, which must outlive the calls that name it. Any bytes
 * are a valid ROM and, after vly_machine_repair, a valid state.
 *
 * SCREENS. The frame buffers are beside the machine because most frames need none: a frame run
 * with `screens == NULL` leaves RAM, collisions and timing exactly as a drawn one, at a fraction of
 * the time. The two buffers alternate as on ALE. A frame that ends before the last display line
 * leaves older pixels below it: those are right only if the frame before last was drawn into the
 * same `screens`. vly_machine_screen_exact() tells whether the current picture is.
 */
#ifndef VLY_ENVS_ATARI_MACHINE_H
#define VLY_ENVS_ATARI_MACHINE_H
#include <stddef.h>
#include <stdint.h>
#include "common/base/status.h"
#include "envs/atari/mt19937.h"
#ifdef __cplusplus
extern "C" {
#endif

enum {
    VLY_SCREEN_WIDTH = 160,
    VLY_SCREEN_MAX_HEIGHT = 250,
    VLY_SCREEN_BYTES = VLY_SCREEN_WIDTH * VLY_SCREEN_MAX_HEIGHT,
    VLY_ROM_MAX_BYTES = 16384
};

typedef enum {
    VLY_CART_AUTO = 0, /* by md5 where known, else by size and content */
    VLY_CART_2K,
    VLY_CART_4K,
    VLY_CART_F8,
    VLY_CART_F6,
    VLY_CART_F8SC,
    VLY_CART_F6SC,
    VLY_CART_E0,
    VLY_CART_FE,
    VLY_CART_DPC,
    VLY_CART_COUNT
} vly_cart_kind;

typedef enum { VLY_FORMAT_AUTO = 0, VLY_FORMAT_NTSC, VLY_FORMAT_PAL } vly_tv_format;
typedef enum { VLY_CONTROLLER_JOYSTICK = 0, VLY_CONTROLLER_PADDLES } vly_controller;

/* How a cartridge is to be run. All zero: found out, with the usual defaults. */
typedef struct {
    vly_cart_kind cart;
    vly_tv_format format;
    int ystart;          /* first displayed scanline; 0: 34 */
    int height;          /* displayed scanlines; 0: 210, or 250 for PAL */
    int no_hmove_blanks; /* 1: HMOVE leaves no black comb at the left edge */
    vly_controller left, right;
    int swap_ports;      /* player A's controller is in the right port */
    int swap_paddles;    /* the two paddles of a port are exchanged */
    int difficulty_a[2]; /* left, right switch at power-on: 1 = A, 0 = B */
} vly_rom_properties;

typedef struct vly_rom vly_rom;

/* Copies and decodes n bytes of cartridge; `properties` may be NULL. Runs the first 60 frames to
 * find the television format where it is AUTO. Refuses sizes that are no cartridge.
 * The rom is read-only afterwards: any number of threads may use it. */
vly_status vly_rom_create(vly_rom **rom, const uint8_t *bytes, size_t n,
                          const vly_rom_properties *properties);
void vly_rom_destroy(vly_rom *rom);
/* As they were found: no field is AUTO or 0-for-default any more. */
const vly_rom_properties *vly_rom_get_properties(const vly_rom *rom);
size_t vly_rom_bytes(const vly_rom *rom); /* memory of the rom object, decoded tables included */
const char *vly_cart_kind_name(vly_cart_kind kind); /* "F8SC" */
/* 32 hexadecimal digits and a 0: the md5 by which games.c finds a game. */
void vly_rom_md5(const uint8_t *bytes, size_t n, char hex[33]);

/* What the players hold. */
enum {
    VLY_STICK_UP = 1,
    VLY_STICK_DOWN = 2,
    VLY_STICK_LEFT = 4,
    VLY_STICK_RIGHT = 8,
    VLY_STICK_FIRE = 16
};
enum { VLY_SWITCH_RESET = 1, VLY_SWITCH_SELECT = 2 }; /* held down */
typedef struct {
    uint8_t stick[2];        /* VLY_STICK_* of player A, B; ignored where paddles are plugged in */
    uint8_t paddle_fire[4];  /* paddles 0, 1: left port; 2, 3: right port (before swapping) */
    int32_t paddle[4];       /* resistance, 27450 .. 790196 in ALE */
    uint8_t switches;        /* VLY_SWITCH_* */
    uint8_t difficulty_a[2]; /* left, right: 1 = A */
} vly_controls;

/* The wires that the controls end in; all that the machine sees of them. */
typedef struct {
    uint8_t swcha, swchb; /* as read: 0 = pressed */
    uint8_t fire[2];      /* INPT4, INPT5: 1 = pressed */
    uint8_t pad_[4];
    int32_t resistance[4]; /* INPT0..3; VLY_OPEN: nothing there */
} vly_wires;
#define VLY_OPEN INT32_MAX

typedef struct {
    uint8_t a, x, y, sp;
    uint8_t flags; /* N V - - D I Z C */
    uint8_t jammed;
    uint16_t pc;
    uint8_t bus; /* the byte on the data bus, while the program runs outside the cartridge */
    uint8_t pad_;
} vly_cpu_state;

typedef struct {
    uint8_t timer, shift, read_after_expiry;
    uint8_t ddra;
    int32_t set_cycle, reset_cycle;
} vly_riot_state;

enum { VLY_P0 = 0, VLY_P1, VLY_M0, VLY_M1, VLY_BL, VLY_PF };

typedef struct {
    int32_t frame_clock;  /* colour clock at which the frame began: -227 .. 0 */
    int32_t start, stop;  /* clocks between which lines are displayed */
    int32_t updated;      /* drawn up to here */
    int32_t vsync_finish; /* earliest clock at which VSYNC off ends the frame */
    int32_t hmove_clock;  /* of the last HMOVE */
    int32_t dump_off_cycle;
    int32_t last_touch;  /* clock of the last access that forced drawing */
    uint16_t collisions; /* 15 latches */
    uint16_t scanlines;  /* of the last frame that ended */
    uint8_t pos[5];      /* P0 P1 M0 M1 BL: 0 .. 159 */
    uint8_t hm[5];       /* high nibbles of HMP0 .. HMBL, 0 .. 15 */
    uint8_t nusiz[2];
    uint8_t grp[2], delayed_grp[2];
    uint8_t vdel[2], refp[2], resmp[2];
    uint8_t suppress[2]; /* the first copy of P0, P1 is left out */
    uint8_t enam[2], enabl, delayed_enabl, vdelbl;
    uint8_t pf[3];
    uint8_t ctrlpf, reflect; /* reflect follows CTRLPF bit 0 late in the line */
    uint8_t color[4];        /* P0, P1, PF, BK */
    uint8_t vsync, vblank;
    uint8_t dump;
    uint8_t comb; /* the next first eight pixels are black */
    uint8_t stars, star_counter, star_width, star_hidden; /* Cosmic Ark's missile 0 */
    uint8_t color_loss; /* PAL: the last frame had an odd number of lines */
    uint8_t partial;    /* the last frame() stopped at 25,000 instructions */
    uint8_t greyed;     /* the partial frame has been dimmed already */
    uint8_t front;      /* which of the two buffers is current */
} vly_tia_state;

typedef struct {
    uint8_t bank;
    uint8_t slice[4]; /* E0: bank of each 1 KB; others: unused */
    uint8_t random;   /* DPC */
    uint8_t fetch_flag[8], top[8], bottom[8], music[3];
    uint16_t counter[8];
    uint32_t music_cycles;
    double fraction;
    uint8_t ram[128]; /* F8SC, F6SC */
} vly_cart_state;

typedef struct {
    vly_cpu_state cpu;
    int32_t cycles;   /* since the frame began */
    uint8_t ram[128]; /* 80h .. FFh */
    vly_riot_state riot;
    vly_tia_state tia;
    vly_cart_state cart;
    vly_wires wires;
    /* Lines [from, to) of each buffer that were not drawn because screens was NULL. */
    uint16_t missing_from[2], missing_to[2];
    vly_mt19937 rng; /* RAM fill, timer at reset; one draw or so per reset */
} vly_machine;

/* What a frame leaves unchanged: everything but the random numbers. */
enum { VLY_CONSOLE_BYTES = offsetof(vly_machine, rng) };

/* A drawn frame, so that it can be drawn again. */
typedef struct {
    _Alignas(8) uint8_t machine[VLY_CONSOLE_BYTES]; /* before it */
    uint16_t rows;                                  /* from the first one, that it drew whole */
    uint8_t buffer;                                 /* in which */
    uint8_t partial; /* it went on with a frame, or did not come to its end */
} vly_shot;

/* Both frame buffers, and how the last two drawn frames began; zero them before the first frame. */
typedef struct {
    uint8_t pixels[2][VLY_SCREEN_BYTES];
    vly_shot shot[2];
    uint8_t last; /* of the shots */
} vly_screens;

/* Power-on as ALE's loadROM: RAM filled, reset, the 60 frames of format detection, reset.
 * A copy of a state kept in the rom: costs a memcpy. The controls are released. */
void vly_machine_init(vly_machine *m, const vly_rom *rom);
/* The console's system reset: CPU, RIOT, TIA, cartridge; RAM stays. The reference blanks its frame
 * buffers too: zero `screens`. */
void vly_machine_reset(vly_machine *m, const vly_rom *rom);
void vly_machine_set_controls(vly_machine *m, const vly_rom *rom, const vly_controls *controls);

/* What became of a frame. */
enum {
    VLY_FRAME_PARTIAL = 1, /* 25,000 instructions passed without its end; the next call goes on */
    VLY_FRAME_JAMMED = 2   /* the CPU met a JAM: nothing runs until a reset */
};
/* One ALE update(): until the frame ends or 25,000 instructions have passed. */
int vly_machine_frame(vly_machine *m, const vly_rom *rom, vly_screens *screens);
/* The same, instruction by instruction and access by access: for tests, several times slower. */
int vly_machine_frame_slowly(vly_machine *m, const vly_rom *rom, vly_screens *screens);

/* The current buffer, height x 160, as ALE's getScreen. */
static inline const uint8_t *vly_machine_screen(const vly_machine *m, const vly_screens *screens) {
    return screens->pixels[m->tia.front];
}
/* 1: every line of the current buffer is what ALE would show, given that `screens` has been
 * passed to the frames that drew. */
static inline int vly_machine_screen_exact(const vly_machine *m) {
    return m->missing_from[m->tia.front] >= m->missing_to[m->tia.front];
}

/* Forces every field into its range, so that bytes from anywhere are safe to run. A state that a
 * machine left behind stays as it is. */
void vly_machine_repair(vly_machine *m, const vly_rom *rom);
/* 1: repairing would change nothing. */
int vly_machine_valid(const vly_machine *m, const vly_rom *rom);
/* The difference of two clocks, cycles or colour clocks. They wrap: a program that never strobes
 * HMOVE or sets the timer lets the distance grow without limit. */
static inline int32_t vly_cycles_from(int32_t clock, int32_t origin) {
    return (int32_t)((uint32_t)clock - (uint32_t)origin);
}

#ifdef __cplusplus
}
#endif
#endif
