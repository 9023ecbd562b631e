/* cart.h -- cartridges: what answers when address line 12 is high; for the files of this folder.
 *
 * Every access returns the byte and switches banks where its address is a hot spot. `address` is
 * the processor's whole 16 bits: FE chooses its bank by bit 13. */
#ifndef VLY_ENVS_ATARI_CART_H
#define VLY_ENVS_ATARI_CART_H
#include "envs/atari/rom.h"

/* Sets banks and slices as after a system reset; fills SC memory from the random stream. */
void vly_cart_reset(vly_machine *m, const vly_rom *rom);
uint8_t vly_dpc_read(vly_machine *m, const vly_rom *rom, unsigned a);
void vly_dpc_write(vly_machine *m, unsigned a, uint8_t value);

/* The bank that a hot spot selects, or -1. a: 0 .. FFFh. */
static inline int vly_cart_hotspot(vly_cart_kind kind, unsigned a) {
    switch (kind) {
    case VLY_CART_F8:
    case VLY_CART_F8SC:
    case VLY_CART_DPC: return a == 0xff8 || a == 0xff9 ? (int)a - 0xff8 : -1;
    case VLY_CART_F6:
    case VLY_CART_F6SC: return a >= 0xff6 && a <= 0xff9 ? (int)a - 0xff6 : -1;
    default: return -1;
    }
}

static inline void vly_cart_switch(vly_machine *m, const vly_rom *rom, unsigned a) {
    vly_cart_kind kind = rom->properties.cart;
    if (kind == VLY_CART_E0) {
        if (a >= 0xfe0 && a < 0xff8) m->cart.slice[(a - 0xfe0) >> 3] = a & 7;
        return;
    }
    int bank = vly_cart_hotspot(kind, a);
    if (bank >= 0) m->cart.bank = (uint8_t)bank;
}

static inline uint8_t vly_cart_read(vly_machine *m, const vly_rom *rom, uint16_t address) {
    vly_cart_kind kind = rom->properties.cart;
    unsigned a = address & 0xfff;
    if (kind <= VLY_CART_4K) return rom->image[a];
    if (kind == VLY_CART_FE) return rom->image[a + (address & 0x2000 ? 0 : 4096)];
    if (kind == VLY_CART_DPC) return vly_dpc_read(m, rom, a);
    if (a >= 0xfc0) vly_cart_switch(m, rom, a);
    if (kind == VLY_CART_E0) return rom->image[m->cart.slice[a >> 10] * 1024 + (a & 0x3ff)];
    if ((kind == VLY_CART_F8SC || kind == VLY_CART_F6SC) && a >= 0x80 && a < 0x100)
        return m->cart.ram[a - 0x80];
    return rom->image[m->cart.bank * 4096 + a];
}

static inline void vly_cart_write(vly_machine *m, const vly_rom *rom, uint16_t address,
                                  uint8_t value) {
    vly_cart_kind kind = rom->properties.cart;
    unsigned a = address & 0xfff;
    if (kind == VLY_CART_DPC) vly_dpc_write(m, a, value);
    if ((kind == VLY_CART_F8SC || kind == VLY_CART_F6SC) && a < 0x80) m->cart.ram[a] = value;
    if (a >= 0xfc0) vly_cart_switch(m, rom, a);
}

#endif
