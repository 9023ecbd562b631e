/* Every state of play is valid; bits of it turned over are refused or can be played on. */
#include "envs/atari/atari.h"
#include "tests/atari/romgen.h"
#include "tests/envs/turned_bits.h"
#include "tests/kit/sanitized.h"

enum { ROUNDS = SANITIZED_MEMORY || SANITIZED_THREADS ? 100 : 400 };

static void generated_cartridges(void) {
    static uint8_t rom[VLY_ROM_MAX_BYTES];
    static const char *const presets[] = {"volley", "ale", "gymnasium", "envpool"};
    for (int i = 0; i < ROMGEN_COUNT; i++) {
        const size_t n = romgen((romgen_kind)i, (uint64_t)i, rom);
        vly_atari_options o = vly_atari_default_options();
        vly_env env;
        CHECK_OK(vly_atari_preset(&o, presets[i % 4]));
        if (vly_atari_open_image(&env, vly_atari_game_find("koolaid"), rom, n, &o) != VLY_OK)
            continue;
        every_state_of_play_is_valid(&env, ROUNDS / 4);
        turned_bits_are_refused_or_played_on(&env, ROUNDS);
        env.close(&env);
    }
}

static void games(int n, const char *const *names) {
    for (int i = 0; i < n; i++) {
        vly_env env;
        if (vly_atari_open(&env, names[i], NULL) != VLY_OK)
            SKIP("Atari ROMs are not here: `make roms` fetches them (the tests without ROMs "
                 "passed)");
        every_state_of_play_is_valid(&env, ROUNDS);
        turned_bits_are_refused_or_played_on(&env, ROUNDS / 4);
        env.close(&env);
    }
}

int main(int argc, char **argv) {
    static const char *const some[] = {"pong",     "breakout",       "qbert",
                                       "pitfall2", "tic_tac_toe_3d", "klax"};
    if (argc > 1) {
        games(argc - 1, (const char *const *)argv + 1);
        return TEST_PASS;
    }
    generated_cartridges();
    games(6, some);
    return TEST_PASS;
}
