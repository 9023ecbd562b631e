/* palette.h -- what a palette index of the 2600 looks like.
 *
 *   rgb = vly_palette_rgb(pal, index);        // 0xRRGGBB
 *   grey = vly_palette_grey(pal, index);      // what ALE's getScreenGrayscale gives
 *
 * Colours measured from ALE 0.12.1 with a test cartridge that shows them all.
 */
#ifndef VLY_ENVS_ATARI_PALETTE_H
#define VLY_ENVS_ATARI_PALETTE_H
#include <stdint.h>

/* pal: 0 NTSC, 1 PAL. An odd index is a PAL colour that the set could not decode (a frame of an odd
 * number of lines): it shows grey. */
uint32_t vly_palette_rgb(int pal, uint8_t index);
/* For an odd index ALE reads one entry too far and returns the blue of the next colour;
 * reproduced here. */
uint8_t vly_palette_grey(int pal, uint8_t index);
#endif
