/* fast6507.h -- the processor again, for speed: instructions decoded once per ROM, each with its
 * own piece of code for its addressing and its target. For the files of this folder only.
 *
 * It runs whole frames. Code in RAM, hot spots and a stack in the TIA are left to vly_cpu_step, one
 * instruction at a time. Instructions are not counted: if a frame takes longer than VLY_FAST_CYCLES,
 * the caller runs it again with vly_cpu_step.
 */
#ifndef VLY_ENVS_ATARI_FAST6507_H
#define VLY_ENVS_ATARI_FAST6507_H
#include "envs/atari/bus.h"
#include "envs/atari/cpu6507.h"

/* Decodes the image into rom->decoded, of vly_fast_decoded_bytes. */
size_t vly_fast_decoded_bytes(vly_cart_kind kind);
void vly_fast_decode(vly_rom *rom);

/* Runs until the frame ends (r->stop), the processor jams, or VLY_FAST_CYCLES have passed: 0 then,
 * and the frame must be run again from its start. */
int vly_fast_run(vly_run *r);

#endif
