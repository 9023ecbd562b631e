/* Random bytes as a ROM: refused with words, or played, paddles and all, whatever it does. The
 * sanitizers do not see what a ROM's machine code writes: the interpreter, which they do see, has to
 * come to the same, and bytes around the machine have to stay.
 *   cmake --preset fuzz && cmake --build --preset fuzz && build-fuzz/fuzz_atari_rom -max_len=16400
 *   tests/fuzz/atari_rom
 * The first byte chooses the properties; the rest is the file. Its last byte decides how many frames
 * are played, as one is most of what an execution takes. */
#include <stdlib.h>
#include <string.h>
#include "envs/atari/machine.h"
#include "envs/atari/rom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static vly_rom_properties properties_of(unsigned choice) {
    return (vly_rom_properties){
        .cart = (vly_cart_kind)(choice % VLY_CART_COUNT),
        .format = choice & 16 ? VLY_FORMAT_AUTO : VLY_FORMAT_NTSC,
        .left = choice & 32 ? VLY_CONTROLLER_PADDLES : VLY_CONTROLLER_JOYSTICK,
        .no_hmove_blanks = choice >> 6 & 1,
    };
}

enum { AROUND = 4096, MARK = 0xa5 };

typedef struct {
    uint8_t before[AROUND];
    vly_machine m;
    vly_screens screens;
    uint8_t after[AROUND];
} player;

static void begin_player(player *p, const vly_rom *rom) {
    memset(p->before, MARK, AROUND);
    memset(&p->m, 0, sizeof p->m);
    memset(&p->screens, 0, sizeof p->screens);
    memset(p->after, MARK, AROUND);
    vly_machine_init(&p->m, rom);
}

static void check_around(const player *p) {
    for (int i = 0; i < AROUND; i++)
        if (p->before[i] != MARK || p->after[i] != MARK) abort();
}

static void play_frame(player *p, const vly_rom *rom, int i, int drawn) {
    vly_controls controls = {.paddle = {27450 + 100000 * i, 500000}, .switches = (uint8_t)(i == 1)};
    controls.stick[0] = (uint8_t)(1 << i), controls.paddle_fire[0] = (uint8_t)(i & 1);
    vly_machine_set_controls(&p->m, rom, &controls);
    vly_machine_frame(&p->m, rom, drawn ? &p->screens : NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static player coded, plain;
    vly_rom *rom = NULL;
    if (bytes < 1) return 0;
    const vly_rom_properties properties = properties_of(data[0]);
    vly_error_clear();
    if (vly_rom_create(&rom, data + 1, bytes - 1, &properties) != VLY_OK) {
        if (vly_error_text()[0] == '\0') abort();
        return 0;
    }
    begin_player(&coded, rom);
    begin_player(&plain, rom);
    vly_native *const code = rom->native;
    const unsigned more = data[bytes - 1];
    const int frames = more % 8 ? 1 : 3;
    for (int i = 0; i < frames; i++) {
        const int drawn = i == frames - 1 && more % 4 < 2;
        play_frame(&coded, rom, i, drawn);
        rom->native = NULL;
        play_frame(&plain, rom, i, drawn);
        rom->native = code;
    }
    check_around(&coded);
    if (memcmp(&coded.m, &plain.m, sizeof coded.m) != 0) abort();
    if (memcmp(&coded.screens, &plain.screens, sizeof coded.screens) != 0) abort();
    vly_rom_destroy(rom);
    return 0;
}
