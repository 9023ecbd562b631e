/* Steps one agent environment from bytes of actions: our side of peers.py.
 *
 *   atari_steps GAME ROMS PRESET SEED [sticky=0.25,episodic_life=1,max_frames=1000] < actions >
 *   rows
 *
 * A row per step: reward, flags, crc32 of the picture; row 0 is the reset's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/crc32.h"
#include "envs/atari/atari.h"

static void set(vly_atari_options *o, const char *text) {
    const char *at;
    if ((at = strstr(text, "sticky="))) o->sticky = strtof(at + 7, NULL);
    if ((at = strstr(text, "episodic_life="))) o->episodic_life = atoi(at + 14);
    if ((at = strstr(text, "max_frames="))) o->max_frames = atoi(at + 11);
    if ((at = strstr(text, "stale_terminal="))) o->stale_terminal = atoi(at + 15);
}

static void put(const vly_env *env, const uint8_t *obs, float reward, uint8_t flags) {
    const struct {
        float reward;
        uint32_t flags, crc;
    } row = {reward, flags, vly_crc32(0, obs, env->obs.bytes)};
    fwrite(&row, sizeof row, 1, stdout);
}

int main(int argc, char **argv) {
    vly_atari_options o = vly_atari_default_options();
    vly_env env;
    if (argc < 5 || vly_atari_preset(&o, argv[3]) != VLY_OK) return 2;
    o.roms = argv[2];
    if (argc > 5) set(&o, argv[5]);
    if (vly_atari_open(&env, argv[1], &o) != VLY_OK) {
        fprintf(stderr, "atari_steps: %s\n", vly_error_text());
        return 1;
    }
    void *state = aligned_alloc(64, env.state_bytes);
    uint8_t *obs = malloc(env.obs.bytes), flags;
    float reward, score;
    const vly_rows row = vly_rows_plain(obs, env.obs.bytes, &reward, &score, &flags);
    env.reset(&env, state, strtoull(argv[4], NULL, 0), row);
    put(&env, obs, reward, flags);
    for (int c; (c = getchar()) != EOF;) {
        const int32_t action = c;
        env.step(&env, state, 1, vly_actions_of_ints(&action), row);
        put(&env, obs, reward, flags);
    }
    free(obs);
    free(state);
    env.close(&env);
    return 0;
}
