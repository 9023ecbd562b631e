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
 * random numbers and what it takes to draw the last two frames again (still.h). A step uses some
 * 250 kB of stack. Pictures come as single frames; who reads them stacks them.
 *
 * Presets (vly_atari_preset) set every option to what another system does; the name stays in
 * options.preset and chooses between their kinds of reset:
 *   volley     no-op and FIRE starts from the actor's own random numbers; a lost life ends the
 *              learner's episode and the game goes on; the picture of an episode's end is that of
 *              the end
 *   gymnasium  AtariPreprocessing over AtariEnv (Gymnasium 1.4, ale-py 0.12): NumPy's random
 *              numbers
 *   ale        ALE's AtariVectorEnv: std::mt19937
 *   envpool    EnvPool 1.2: starts as it counts them, time limit in steps
 *   machado    Machado et al. (2018): sticky actions, all actions, the whole game, nothing else
 *   dqn        Mnih et al. (2015): no-op starts, a lost life ends an episode, rewards clipped
 * The peers' picture at an episode's end mixes in an older one; stale_terminal does so too.
 */
#ifndef VLY_ENVS_ATARI_ATARI_H
#define VLY_ENVS_ATARI_ATARI_H
#include "common/base/env.h"
#include "envs/atari/games.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The value of options.size that leaves the screen as it is: 160 wide, 210 (or more) high. */
enum { VLY_ATARI_NATIVE_SIZE = 210 };
enum { VLY_ATARI_SKIP_MOST = 64 }; /* of options.frame_skip */

/* What a NULL means, and what options.def says. */
vly_atari_options vly_atari_default_options(void);
/* Sets all options but `roms`; fails for an unknown name with the list. */
vly_status vly_atari_preset(vly_atari_options *options, const char *name);

/* The game that a name means: "space_invaders", "ALE/SpaceInvaders-v5",
 * "SpaceInvadersNoFrameskip-v4"; NULL when none. The ids bring their own settings: v5 sticky 0.25
 * and skip 4, NoFrameskip sticky 0. */
const vly_atari_game *vly_atari_named(const char *name, vly_atari_options *options);

/* Whether the options (mode and difficulty filled in) make sense for the game; says what would. */
vly_status vly_atari_check(const vly_atari_game *game, const vly_atari_options *options);
vly_status vly_atari_open(vly_env *env, const char *name, const vly_env_args *args);
/* The same with a ROM from memory, whatever its md5: for tests with generated ROMs. */
vly_status vly_atari_open_image(vly_env *env, const vly_atari_game *game, const uint8_t *rom,
                                size_t bytes, const vly_env_args *args);

/* What a tool wants to see of an actor. */
typedef struct {
    const uint8_t *ram; /* 128 bytes */
    int height, lives, frames, episode_frames, score;
    int still_bytes; /* older lines that the state had to keep (still.h) */
} vly_atari_view;
vly_atari_view vly_atari_look(const vly_env *env, const void *state);
/* The current screen, height x 160 palette indices: drawn again, two frames' time. */
void vly_atari_screen(const vly_env *env, const void *state, uint8_t *pixels);
/* ALE's number of the environment's action: 3 is RIGHT whatever the set. */
int vly_atari_action(const vly_env *env, int action);

#ifdef __cplusplus
}
#endif
#endif
