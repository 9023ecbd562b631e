/* Plays one game from a file of actions and writes a record per frame: our side of lockstep.py.
 *
 *   atari_driver GAME ROM SEED STICKY MODE DIFFICULTY MAX_FRAMES [resets] < actions > records
 *
 * Record 0 is the state before the first action. After an episode's end the game is reset, and the
 * next record is that of the next action. A byte 255 among the actions resets too (no record). With
 * CLONE=1 in the environment every frame is played by a copy of the copy before it, with UNDRAWN=1
 * none is drawn and the records' screens are 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "envs/atari/emulator.h"

typedef struct {
    uint8_t ram[128];
    int32_t reward, lives, episode_frames;
    uint8_t over, truncated, failed, pad;
    uint32_t screen;
} record;

/* The sum of common/base/crc32.h, eight bytes at a time: a screen per frame is 40 kB. */
static uint32_t table[8][256];

static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        table[0][i] = c;
    }
    for (int t = 1; t < 8; t++)
        for (int i = 0; i < 256; i++)
            table[t][i] = table[0][table[t - 1][i] & 255] ^ (table[t - 1][i] >> 8);
}

static uint32_t crc32_of(const uint8_t *p, size_t n) { /* n: a multiple of 8 */
    uint32_t c = ~0u;
    for (const uint8_t *end = p + n; p < end; p += 8) {
        uint32_t a, b;
        memcpy(&a, p, 4), memcpy(&b, p + 4, 4);
        a ^= c;
        c = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^
            table[4][a >> 24] ^ table[3][b & 255] ^ table[2][b >> 8 & 255] ^
            table[1][b >> 16 & 255] ^ table[0][b >> 24];
    }
    return ~c;
}

static vly_emulator state[2];
static vly_screens screens[2];

static void put(const vly_emulator *e, const vly_emulator_rules *rules, const vly_screens *s,
                int reward, int height) {
    const uint32_t screen = s ? crc32_of(vly_machine_screen(&e->machine, s), 160u * (size_t)height)
                              : 0;
    record r = {{0},
                reward,
                vly_emulator_lives(e, rules),
                e->episode_frames,
                (uint8_t)vly_emulator_over(e),
                (uint8_t)vly_emulator_truncated(e, rules),
                (uint8_t)vly_emulator_failed(e),
                0,
                screen};
    memcpy(r.ram, e->machine.ram, 128);
    fwrite(&r, sizeof r, 1, stdout);
}

static int fail(const char *what) {
    fprintf(stderr, "atari_driver: %s: %s\n", what, vly_error_text());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 8) return fail("usage: GAME ROM SEED STICKY MODE DIFFICULTY MAX_FRAMES");
    static uint8_t bytes[1 << 16];
    const vly_atari_game *game = vly_atari_game_find(argv[1]);
    FILE *file = fopen(argv[2], "rb");
    if (!game || !file) return fail("no such game or file");
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    vly_rom *rom;
    make_table();
    if (vly_rom_create(&rom, bytes, n, &game->machine) != VLY_OK) return fail(argv[2]);
    const int height = vly_rom_get_properties(rom)->height;
    vly_emulator_rules rules = {game,          rom,           strtof(argv[4], NULL),
                                atoi(argv[7]), atoi(argv[5]), atoi(argv[6])};
    if (rules.mode < 0) rules.mode = game->default_mode;
    vly_emulator *e = &state[0];
    vly_screens *s = &screens[0];
    const int clone = getenv("CLONE") != NULL;
    if (getenv("UNDRAWN")) s = NULL;
    if (vly_emulator_load(e, &rules, (uint32_t)strtoul(argv[3], NULL, 0), s) != VLY_OK)
        return fail("load");
    for (int i = argc > 8 ? atoi(argv[8]) : 0; i > 0; i--)
        if (vly_emulator_reset(e, &rules, s)) return fail("reset");
    put(e, &rules, s, 0, height);
    for (int c; (c = getchar()) != EOF;) {
        if (clone) {
            const int to = e == &state[0];
            state[to] = *e;
            memset(e, 0x55, sizeof *e);
            e = &state[to];
            if (s) {
                screens[to] = *s;
                memset(s, 0x55, sizeof *s);
                s = &screens[to];
            }
        }
        if (c == 255) {
            (void)vly_emulator_reset(e, &rules, s);
            continue;
        }
        const int reward = vly_emulator_act(e, &rules, c, s);
        put(e, &rules, s, reward, height);
        if (vly_emulator_over(e) || vly_emulator_truncated(e, &rules))
            (void)vly_emulator_reset(e, &rules, s);
    }
    vly_rom_destroy(rom);
    return 0;
}
