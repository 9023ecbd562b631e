/* Random bytes as a console's saved state, on every kind of cartridge: repaired it runs, and the
 * fast processor does with it what the general one does. The program may as well be in the state's
 * RAM.
 *   cmake --preset fuzz && cmake --build --preset fuzz && build-fuzz/fuzz_atari_state
 *   tests/fuzz/atari_state
 * The first byte chooses the cartridge, the second what is drawn and how many frames; the rest is the state from its
 * beginning. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "envs/atari/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check(int good) {
    if (!good) abort();
}

static size_t image_bytes(vly_cart_kind kind) {
    switch (kind) {
    case VLY_CART_2K: return 2048;
    case VLY_CART_4K: return 4096;
    case VLY_CART_F6:
    case VLY_CART_F6SC: return 16384;
    case VLY_CART_DPC: return 8192 + 2048 + 255;
    default: return 8192;
    }
}

/* Random instructions, none that jams. */
static vly_rom *open_cartridge(vly_cart_kind kind) {
    static uint8_t image[16384];
    const vly_rom_properties properties = {.cart = kind, .format = VLY_FORMAT_NTSC};
    for (size_t i = 0; i < sizeof image; i++) {
        const uint8_t byte =
            (uint8_t)vly_philox(7, VLY_STREAM_TEST, (uint64_t)kind << 32 | i, 0).v[0];
        image[i] = (byte & 0x1f) == 0x12 || (byte & 0x9f) == 0x02 ? 0xea : byte;
    }
    vly_rom *rom = NULL;
    check(vly_rom_create(&rom, image, image_bytes(kind), &properties) == VLY_OK);
    return rom;
}

static const vly_rom *cartridge(unsigned choice) {
    static vly_rom *roms[VLY_CART_COUNT];
    const vly_cart_kind kind = (vly_cart_kind)(1 + choice % (VLY_CART_COUNT - 1));
    if (!roms[kind]) roms[kind] = open_cartridge(kind);
    return roms[kind];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static vly_machine fast, slow;
    static vly_screens fast_screens, slow_screens;
    if (bytes < 2) return 0;
    const vly_rom *rom = cartridge(data[0]);
    const unsigned drawn = data[1];
    vly_machine_init(&fast, rom);
    const size_t room = offsetof(vly_machine, rng) + sizeof fast.rng,
                 n = bytes - 2 < room ? bytes - 2 : room;
    memcpy((uint8_t *)&fast, data + 2, n);
    vly_machine_repair(&fast, rom);
    slow = fast;
    for (int i = 0; i < (drawn & 128 ? 2 : 1); i++) {
        vly_screens *const a = (drawn & 31) == (unsigned)i ? &fast_screens : NULL,
                           *const b = a ? &slow_screens : NULL;
        const int ended = vly_machine_frame(&fast, rom, a);
        check(vly_machine_frame_slowly(&slow, rom, b) == ended);
        check(memcmp(fast.ram, slow.ram, sizeof fast.ram) == 0);
        check(fast.cycles == slow.cycles && fast.cpu.pc == slow.cpu.pc && fast.cpu.a == slow.cpu.a);
    }
    return 0;
}
