/* modes.h -- how a game's mode is chosen: SELECT is pressed until a byte of RAM says so.
 *
 *   const vly_atari_select *s = vly_atari_select_of(game);    // NULL: one mode, nothing to press
 *   while (!vly_atari_select_done(s, mode, ram, cart_ram)) press(s->frames);
 *
 * Found by comparing RAM and frame counts after ALE 0.12.1's setMode with presses of every length.
 */
#ifndef VLY_ENVS_ATARI_MODES_H
#define VLY_ENVS_ATARI_MODES_H
#include "envs/atari/games.h"

typedef struct {
    const char *name;
    uint8_t frames;                /* SELECT is held this long, then released for one frame */
    uint8_t at, mask;              /* the byte that is watched; cart: of the cartridge's RAM */
    uint8_t times, add, bcd, cart; /* its value for mode m: (times * m + add) & mask, maybe in BCD
                                    */
    uint8_t press_first;           /* once before the byte is looked at */
    uint8_t pairs;                 /* two presses between looks */
    uint8_t wait;                  /* frames of no action before */
    uint8_t only_default;          /* the other modes are refused: how to reach them is not known */
    uint8_t cube;      /* Video Cube: the mode's hundreds are one of 50 cubes, chosen with the stick
                          (emulator.c) */
    uint8_t dunk_menu; /* not SELECT but Double Dunk's menu (emulator.c) */
    uint8_t resets;    /* console resets afterwards; 0 means 1 */
} vly_atari_select;

const vly_atari_select *vly_atari_select_of(const vly_atari_game *game);
/* Of a mode of Video Cube: the number of its cube, in BCD. */
int vly_atari_cube_of(int mode);
int vly_atari_select_done(const vly_atari_select *select, int mode, const uint8_t *ram,
                          const uint8_t *cart_ram);
#endif
