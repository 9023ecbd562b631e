/* atari.h -- Atari games as environments: frame skip, pooling, grey 84 x 84 pictures, starts,
 * lives.
 *
 *   vly_env env;
 *   // or "ALE/Pong-v5", "PongNoFrameskip-v4"
 *   VLY_TRY(vly_atari_open(&env, "pong", NULL));
 *   ... as any vly_env (common/base/env.h) ...
 *   env.close(&env);
 *
 * One opened environment holds the ROM, its decoded form and the pictures' tables for all its
 * actors. An actor's state is 8 kB (10.5 kB with the presets ale and envpool): the console, the
 * random numbers and a still of the last two frames (still.h). A step uses some 250 kB of stack.
 * Observations are single frames; the consumer stacks them.
 *
 * Options and presets are in options.h.
 */
#ifndef VLY_ENVS_ATARI_ATARI_H
#define VLY_ENVS_ATARI_ATARI_H
#include "common/base/env.h"
#include "envs/atari/games.h"
#include "envs/atari/options.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Fills those members of *env that do not depend on the ROM: name, observation, actions, frames per step. With
 * VLY_ATARI_NATIVE_SIZE the height is the usual one; a PAL game's is taller once opened. */
vly_status vly_atari_describe(vly_env *env, const vly_atari_game *game,
                              const vly_atari_options *options);
/* options may be NULL: defaults. */
vly_status vly_atari_open(vly_env *env, const char *name, const vly_atari_options *options);
/* The same with a ROM from memory, whatever its md5: for tests with generated ROMs. */
vly_status vly_atari_open_image(vly_env *env, const vly_atari_game *game, const uint8_t *rom,
                                size_t bytes, const vly_atari_options *options);

/* Whether an opened environment is one of these games. */
bool vly_atari_is(const vly_env *env);

/* An actor's state for tools that display it. */
typedef struct {
    const uint8_t *ram; /* 128 bytes */
    int height, lives, frames, episode_frames, score;
    int still_bytes; /* older lines that the state had to keep (still.h) */
} vly_atari_view;
vly_atari_view vly_atari_look(const vly_env *env, const void *state);
/* Draws the current screen again, height x 160 palette indices; takes as long as two frames. */
void vly_atari_screen(const vly_env *env, const void *state, uint8_t *pixels);
/* ALE's number of the environment's action: 3 is RIGHT whatever the set. */
int vly_atari_action(const vly_env *env, int action);

#ifdef __cplusplus
}
#endif
#endif
