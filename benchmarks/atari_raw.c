/* Raw frames per second of the 2600 on one core, nothing observed, per ROM.
 *
 *   atari_raw ROMS [--frames N] [--rounds N] [--drawn] [--game NAME]
 *
 * Plays random actions of the full set, as ALE's act() without sticky actions; a game's end
 * resets it outside the clock. One JSON object per game on standard output: the best round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "envs/atari/emulator.h"
#include "envs/atari/roms.h"

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct {
    const char *roms, *game;
    int frames, rounds, drawn;
} options;

static vly_emulator emulator;
static vly_screens screens;

/* Seconds for `frames` frames. */
static double play(const vly_emulator_rules *rules, const options *o, uint32_t *random) {
    double spent = 0;
    vly_screens *s = o->drawn ? &screens : NULL;
    for (int left = o->frames; left > 0;) {
        double from = now_s();
        for (; left > 0 && !vly_emulator_over(&emulator); --left) {
            *random = *random * 1664525 + 1013904223;
            vly_emulator_act(&emulator, rules, (int)((*random >> 16) % 18), s);
        }
        spent += now_s() - from;
        if (vly_emulator_over(&emulator)) vly_emulator_reset(&emulator, rules, s);
    }
    return spent;
}

static int bench_game(const vly_atari_game *game, const options *o) {
    static uint8_t bytes[VLY_ROM_MAX_BYTES];
    size_t n;
    vly_rom *rom;
    if (vly_atari_rom_read(game, o->roms, bytes, &n) != VLY_OK) return 1;
    if (vly_rom_create(&rom, bytes, n, &game->machine) != VLY_OK) return 1;
    vly_emulator_rules rules = {.game = game, .rom = rom, .mode = game->default_mode};
    uint32_t random = 1;
    double best = 1e30;
    int failed = vly_emulator_load(&emulator, &rules, 1, o->drawn ? &screens : NULL) != VLY_OK;
    for (int i = 0; !failed && i <= o->rounds; ++i) { /* the first warms up */
        double s = play(&rules, o, &random);
        if (i > 0 && s < best) best = s;
    }
    if (!failed)
        printf("{\"name\": \"%s/raw\", \"frames\": %d, \"drawn\": %d, \"frames_per_s\": %.0f}\n",
               game->name, o->frames, o->drawn, o->frames / best);
    fflush(stdout);
    vly_rom_destroy(rom);
    return failed;
}

int main(int argc, char **argv) {
    options o = {.frames = 1000, .rounds = 3};
    if (argc > 1) o.roms = argv[1];
    for (int i = 2; i < argc; ++i) {
        if (strcmp(argv[i], "--drawn") == 0)
            o.drawn = 1;
        else if (i + 1 >= argc)
            break;
        else if (strcmp(argv[i], "--frames") == 0)
            o.frames = atoi(argv[++i]);
        else if (strcmp(argv[i], "--rounds") == 0)
            o.rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--game") == 0)
            o.game = argv[++i];
    }
    if (!o.roms || o.frames < 1 || o.rounds < 1) {
        fprintf(stderr,
                "usage: atari_raw ROMS [--frames N] [--rounds N] [--drawn] [--game NAME]\n");
        return 2;
    }
    int failed = 0;
    for (int i = 0; i < VLY_ATARI_GAMES; ++i) {
        if (o.game && strcmp(o.game, vly_atari_games[i].name) != 0) continue;
        if (bench_game(&vly_atari_games[i], &o)) {
            fprintf(stderr, "%s: %s\n", vly_atari_games[i].name, vly_error_text());
            failed = 1;
        }
    }
    return failed;
}
