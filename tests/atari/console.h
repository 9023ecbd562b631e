/* console.h -- ALE's environment around the console, as far as Amidar needs it: a reset presses
 * RESET and nothing else. For tests that compare a console with ALE playing the same cartridge.
 *
 *   console c;
 *   console_open(&c, bytes, n);        // what ALE's loadROM leaves, before its environment reset
 *   console_play(&c, CONSOLE_RESET);   // then ALE's actions 0 .. 17, or further resets
 *   c.m.ram; console_screen(&c);
 *   console_close(&c);
 */
#ifndef VLY_TESTS_ATARI_CONSOLE_H
#define VLY_TESTS_ATARI_CONSOLE_H
#include <string.h>
#include "envs/atari/machine.h"
#include "tests/kit/check.h"

enum { CONSOLE_RESET = 255 };

typedef struct {
    vly_rom *rom;
    vly_machine m;
    vly_screens screens;
    vly_controls controls;
} console;

static inline void console_open(console *c, const uint8_t *bytes, size_t n) {
    memset(c, 0, sizeof *c);
    CHECK_OK(vly_rom_create(&c->rom, bytes, n, NULL));
    vly_machine_init(&c->m, c->rom);
}

static inline void console_close(console *c) {
    vly_rom_destroy(c->rom);
}

static inline int console_height(const console *c) {
    return vly_rom_get_properties(c->rom)->height;
}

static inline const uint8_t *console_screen(const console *c) {
    return vly_machine_screen(&c->m, &c->screens);
}

static inline void console_frame(console *c) {
    vly_machine_set_controls(&c->m, c->rom, &c->controls);
    vly_machine_frame(&c->m, c->rom, &c->screens);
}

static inline void console_reset(console *c) {
    const int32_t middle = (27450 + 790196) / 2;
    c->controls.paddle[0] = c->controls.paddle[1] = middle;
    memset(&c->screens, 0, sizeof c->screens);
    vly_machine_reset(&c->m, c->rom);
    c->controls.stick[0] = 0;
    c->controls.switches = 0;
    for (int i = 0; i < 60; ++i) console_frame(c);
    c->controls.switches = VLY_SWITCH_RESET;
    for (int i = 0; i < 8; ++i) console_frame(c);
    c->controls.switches = 0;
}

/* action: 0 .. 17 in ALE's order, or CONSOLE_RESET. */
static inline void console_play(console *c, int action) {
    static const uint8_t stick[18] = {0, 16, 1,  8,  4,  2,  9,  5,  10,
                                      6, 17, 24, 20, 18, 25, 21, 26, 22};
    if (action == CONSOLE_RESET) {
        console_reset(c);
        return;
    }
    c->controls.stick[0] = stick[action];
    c->controls.difficulty_a[0] = c->controls.difficulty_a[1] = 0;
    console_frame(c);
}

#endif
