/* cpu6507.h -- the processor; for the files of this folder only.
 *
 * Granular by instruction, as the reference: the cycles of an instruction are counted before its
 * one data access. */
#ifndef VLY_ENVS_ATARI_CPU6507_H
#define VLY_ENVS_ATARI_CPU6507_H
#include "envs/atari/bus.h"

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
enum {
    VLY_INSTRUCTIONS_PER_FRAME = 250,
    VLY_FAST_CYCLES = 490
}; /* more frames a second to find faults in */
#else
/* An ALE frame ends after so many; at two cycles the least, VLY_FAST_CYCLES are fewer. */
enum { VLY_INSTRUCTIONS_PER_FRAME = 25000, VLY_FAST_CYCLES = 49000 };
#endif
enum { VLY_N = 0x80, VLY_V = 0x40, VLY_D = 0x08, VLY_I = 0x04, VLY_Z = 0x02, VLY_C = 0x01 };

/* Registers as after a reset, the program counter from the vector. */
void vly_cpu_reset(vly_run *r);
/* One instruction, through the general bus. */
void vly_cpu_step(vly_run *r);

#endif
