/* native.h -- the processor a third time: a ROM's decoded instructions (fast6507.h) as machine code
 * of the computer that runs it. For the files of this folder only.
 *
 * native_x86.c (with native_data.c and native_flow.c) translates every byte of a ROM once, when it is
 * opened, as if an instruction began there: a jump goes anywhere, and nothing is translated while a
 * game runs. Each piece of code does what the handler of fast6507_handlers.h does, in the same order;
 * what it has no code for it leaves to vly_cpu_step before it has done anything. native.c is the loop
 * around it.
 *
 * Code is written before any thread runs it, and can be executed but not written from then on. Where
 * the system refuses that, or the computer is not an x86-64, rom->native is NULL and vly_fast_run
 * runs the frames.
 */
#ifndef VLY_ENVS_ATARI_NATIVE_H
#define VLY_ENVS_ATARI_NATIVE_H
#include "envs/atari/bus.h"
#include "envs/atari/fast6507_impl.h"

struct vly_native {
    uint8_t *memory; /* tables and code */
    size_t bytes;
    /* Runs from `code` until it ends: an exit << 16, and a place in the window or an address. */
    uint32_t (*enter)(vly_run *r, const uint8_t *code);
    /* A window's table: where the code of each place is, from the table on. */
    const int32_t *entries;
    uint32_t stride;
};

enum {
    VLY_EXIT_STEP,  /* the instruction at this place is vly_cpu_step's */
    VLY_EXIT_JUMP,  /* go on at this address */
    VLY_EXIT_LEAVE, /* at this place, which is behind the window */
    VLY_EXIT_STOP,  /* the frame has ended before this place */
    VLY_EXIT_TOO_LONG
};

/* From rom->decoded, whose handlers are still numbers. NULL: not possible here. */
vly_native *vly_native_create(const vly_rom *rom);
void vly_native_destroy(vly_native *native);
size_t vly_native_bytes(const vly_native *native);
/* As vly_fast_run, with rom->native. */
int vly_native_run(vly_run *r);

/* What the code calls: an access whose device has effects, and the wait for the timer. */
uint32_t vly_native_read(vly_run *r, uint32_t address, uint32_t last);
uint32_t vly_native_write(vly_run *r, uint32_t address, uint32_t value);
uint32_t vly_native_wait(vly_run *r, uint32_t turn, uint32_t bpl);
#endif
