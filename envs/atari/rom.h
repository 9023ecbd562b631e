/* rom.h -- the inside of a vly_rom; for the files of this folder only. */
#ifndef VLY_ENVS_ATARI_ROM_H
#define VLY_ENVS_ATARI_ROM_H
#include "envs/atari/machine.h"

/* An instruction as the fast processor runs it: there is one for every byte of ROM, so a jump
 * goes anywhere. */
typedef struct {
    int32_t handler;  /* where its code is, from the first handler on */
    uint16_t operand; /* the handler's operand: an address, a constant or a distance */
    uint8_t cycles;   /* base cycles; of a branch: the extra cycles when taken */
    uint8_t bus;      /* the operand's last byte: what is on the data bus before the access */
} vly_decoded;

typedef struct vly_native vly_native; /* native.h */

/* Sentinels follow a window's last byte: an instruction may extend past it. */
enum { VLY_WINDOW_SENTINELS = 4 };

struct vly_rom {
    uint8_t image[VLY_ROM_MAX_BYTES]; /* 2 KB cartridges are here twice */
    size_t bytes;                     /* of the cartridge file */
    vly_rom_properties properties;
    vly_machine power_on;          /* what vly_machine_init copies */
    uint16_t window;               /* bytes that are switched together: 4096, E0: 1024 */
    uint16_t plain_from, plain_to; /* cartridge addresses without side effects */
    uint32_t stride;               /* decoded instructions per window, sentinels included */
    vly_decoded *decoded;          /* window after window */
    vly_native *native;            /* the same as machine code, or NULL */
};

#endif
