/* The cost of an Atari environment beside its frames: resets and memory. */
#define _GNU_SOURCE
#include <time.h>
#include "tests/kit/check.h"
#include "envs/atari/atari.h"
#include "envs/atari/emulator.h"
#include "envs/atari/roms.h"
#include "tests/kit/sanitized.h"

enum { ROM_BYTES = 4096, RESETS = 60, ENVIRONMENTS = 1000 };

/* Clears RAM, then 262 lines a frame of a colour from RAM; the rest of it is noise to look for. */
static void make_rom(uint8_t rom[ROM_BYTES]) {
    static const uint8_t code[] = {0x78, 0xD8, 0xA2, 0xFF, 0x9A, 0xE8, 0x8A,
                                   0x95, 0x00, 0xE8, 0xD0, 0xFB, /* clear 0 .. FF */
                                   0xA9, 2,    0x85, 0,    0x85, 2,    0x85,
                                   2,    0x85, 2,    0xA9, 0,    0x85, 0, /* three lines of VSYNC */
                                   0xAD, 0x80, 0x02, 0x65, 0x90, 0x85, 0x90,
                                   0xA4, 0x90, 0xA2, 129, /* 90 += SWCHA; 129 times */
                                   0x85, 2,    0x84, 9,    0xC8, 0x85, 2,
                                   0x84, 9,    0xC8, 0xCA, 0xD0, 0xF3, /* two lines */
                                   0x4C, 12,   0xF0};
    uint32_t noise = 1;
    for (int i = 0; i < ROM_BYTES; i++)
        rom[i] = (uint8_t)((noise = noise * 1664525u + 1013904223u) >> 24);
    memcpy(rom, code, sizeof code);
    rom[0xFFC] = 0, rom[0xFFD] = 0xF0, rom[0xFFE] = 0, rom[0xFFF] = 0xF0;
}

static double thread_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* The least processor time of many runs: the load of other programs does not count. */
static double reset_us(const vly_env *env) {
    void *state = aligned_alloc(64, env->state_bytes);
    uint8_t *obs = malloc(env->obs.bytes), flags;
    float reward, score, best = 1e9f;
    for (int i = 0; i < RESETS; i++) {
        const double start = thread_us();
        env->reset(env, state, 7, vly_rows_plain(obs, env->obs.bytes, &reward, &score, &flags));
        const float took = (float)(thread_us() - start);
        if (took < best) best = took;
        CHECK_EQ(flags, VLY_ROW_RESET);
    }
    free(state), free(obs);
    return (double)best;
}

static void a_reset_is_under_200_us(const char *name, const vly_env *env) {
    const double us = reset_us(env);
    printf("%s: a reset takes %.0f us\n", name, us);
    if (!SANITIZED_MEMORY && !SANITIZED_THREADS) CHECK(us < 200);
}

/* No start but the console's: no-op starts are played frames. */
static vly_atari_options plain_starts(void) {
    vly_atari_options o = vly_atari_default_options();
    o.noop_max = 0, o.fire_reset = 0;
    return o;
}

static void open_generated(vly_env *env, const uint8_t *rom) {
    const vly_atari_options o = plain_starts();
    CHECK_OK(vly_atari_open_image(env, vly_atari_game_find("koolaid"), rom, ROM_BYTES, &o));
}

static void a_thousand_environments_share_one_rom(void) {
    static uint8_t rom[ROM_BYTES];
    vly_env env;
    make_rom(rom);
    open_generated(&env, rom);
    uint8_t *states = aligned_alloc(64, ENVIRONMENTS * env.state_bytes),
            *obs = malloc(env.obs.bytes), flags;
    float reward, score;
    CHECK(states && obs);
    for (size_t i = 0; i < ENVIRONMENTS; i++) {
        uint8_t *state = states + i * env.state_bytes;
        env.reset(&env, state, i, vly_rows_plain(obs, env.obs.bytes, &reward, &score, &flags));
        if (i % 100 == 0) CHECK(memmem(state, env.state_bytes, rom + 512, 64) == NULL);
    }
    printf("an environment: %zu bytes, of which the console %d, its random numbers and the game's "
           "%zu\n",
           env.state_bytes, VLY_CONSOLE_BYTES, 2 * sizeof(vly_mt19937));
    CHECK(env.state_bytes <= 8192);
    free(states), free(obs);
    env.close(&env);
}

int main(void) {
    static const char *const games[] = {"pong", "breakout", "seaquest", "montezuma_revenge",
                                        "ms_pacman"};
    static uint8_t rom[ROM_BYTES];
    vly_env env;
    make_rom(rom);
    open_generated(&env, rom);
    a_reset_is_under_200_us("a generated ROM", &env);
    env.close(&env);
    a_thousand_environments_share_one_rom();
    for (size_t i = 0; i < sizeof games / sizeof *games; i++) {
        const vly_atari_options o = plain_starts();
        if (vly_atari_open(&env, games[i], &o) != VLY_OK)
            SKIP("Atari ROMs are not here: `make roms` fetches them (the tests without ROMs "
                 "passed)");
        a_reset_is_under_200_us(games[i], &env);
        env.close(&env);
    }
    return TEST_PASS;
}
