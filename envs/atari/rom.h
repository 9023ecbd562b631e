/* rom.h -- inside of a vly_rom; for the files of this folder only. */
#ifndef VLY_ENVS_ATARI_ROM_H
#define VLY_ENVS_ATARI_ROM_H
#include "envs/atari/machine.h"

enum { VLY_MAX_BANKS = 4 };

struct vly_rom {
    uint8_t image[VLY_ROM_MAX_BYTES]; /* 2 KB cartridges are here twice */
    size_t bytes;                     /* of the cartridge file */
    vly_rom_properties properties;
    vly_machine power_on;             /* what vly_machine_init copies */
};

#endif
