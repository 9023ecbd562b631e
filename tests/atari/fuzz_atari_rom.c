/* Random bytes as a ROM: refused with words, or played, paddles and all, whatever it does.
 *   cmake --preset fuzz && cmake --build --preset fuzz && build-fuzz/fuzz_atari_rom -max_len=16400
 *   tests/fuzz/atari_rom
 * The first byte chooses the properties; the rest is the file. Its last byte decides how many frames
 * are played, as one is most of what an execution takes. */
#include <stdlib.h>
#include <string.h>
#include "envs/atari/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static vly_rom_properties properties_of(unsigned choice) {
    return (vly_rom_properties){
        .cart = (vly_cart_kind)(choice % VLY_CART_COUNT),
        .format = choice & 16 ? VLY_FORMAT_AUTO : VLY_FORMAT_NTSC,
        .left = choice & 32 ? VLY_CONTROLLER_PADDLES : VLY_CONTROLLER_JOYSTICK,
        .no_hmove_blanks = choice >> 6 & 1,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static vly_machine m;
    static vly_screens screens;
    vly_rom *rom = NULL;
    if (bytes < 1) return 0;
    const vly_rom_properties properties = properties_of(data[0]);
    vly_error_clear();
    if (vly_rom_create(&rom, data + 1, bytes - 1, &properties) != VLY_OK) {
        if (vly_error_text()[0] == '\0') abort();
        return 0;
    }
    vly_machine_init(&m, rom);
    const unsigned more = data[bytes - 1];
    const int frames = more % 8 ? 1 : 3;
    for (int i = 0; i < frames; i++) {
        vly_controls controls = {.paddle = {27450 + 100000 * i, 500000},
                                 .switches = (uint8_t)(i == 1)};
        controls.stick[0] = (uint8_t)(1 << i), controls.paddle_fire[0] = (uint8_t)(i & 1);
        vly_machine_set_controls(&m, rom, &controls);
        vly_machine_frame(&m, rom, i == frames - 1 && more % 4 < 2 ? &screens : NULL);
    }
    vly_rom_destroy(rom);
    return 0;
}
