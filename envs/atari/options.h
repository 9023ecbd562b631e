/* options.h -- the options of Atari games.
 *
 *   vly_atari_options o = vly_atari_default_options();
 *   VLY_TRY(vly_atari_preset(&o, "machado"));
 *   o.frame_skip = 4;
 *   const vly_atari_game *game = vly_atari_named("ALE/Pong-v5", &o);
 *   VLY_TRY(vly_atari_check(game, &o));
 *
 * Names, types, defaults and ranges are the rows of common/config/atari.def, presets those of
 * common/config/presets.def. A preset sets every option to what another system does; its name also
 * chooses how an episode starts:
 *   volley     no-op and FIRE starts from the actor's own random numbers; a lost life ends the
 *              learner's episode and the game goes on; the picture at an episode's end is the last
 *   gymnasium  AtariPreprocessing over AtariEnv (Gymnasium 1.4, ale-py 0.12): NumPy's generator
 *   ale        ALE's AtariVectorEnv: std::mt19937
 *   envpool    EnvPool 1.2: its count of no-op starts, its time limit in steps
 *   machado    Machado et al. (2018): sticky actions, all actions, whole games
 *   dqn        Mnih et al. (2015): no-op starts, a lost life ends an episode, clipped rewards
 * gymnasium, ale and envpool mix an older picture into the one at an episode's end; stale_terminal
 * reproduces it.
 */
#ifndef VLY_ENVS_ATARI_OPTIONS_H
#define VLY_ENVS_ATARI_OPTIONS_H
#include <stdbool.h>
#include "common/base/env.h"
#include "config_choices.h" /* generated: VLY_ATARI_REWARD_MODE_CLIP is a value of reward_mode */
#include "envs/atari/games.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The value of `size` that leaves the screen as it is: 160 wide, 210 (or more) high. */
enum { VLY_ATARI_NATIVE_SIZE = 210 };
enum { VLY_ATARI_SKIP_MOST = 64 }; /* of frame_skip */

/* clang-format off */
#define BOOL(section, key, def, help) bool key;
#define INT(section, key, def, min, max, help) int key;
#define FLOAT(section, key, def, min, max, help) float key;
#define CHOICE(section, key, def, choices, help) int key;
#define NAME(section, key, def, choices, help) char key[16];
#define TEXT(section, key, bytes, def, help) char key[bytes];
typedef struct {
#include "common/config/atari.def"
    int max_steps;    /* agent steps of an episode; 0: max_frames alone limits it */
    const char *roms; /* folder of ROM files; NULL: the usual places (roms.h); borrowed */
} vly_atari_options;
#undef BOOL
#undef INT
#undef FLOAT
#undef CHOICE
#undef NAME
#undef TEXT
/* clang-format on */

vly_atari_options vly_atari_default_options(void);
/* Sets all options but `roms` and `max_steps`; fails for an unknown name with the list. */
vly_status vly_atari_preset(vly_atari_options *options, const char *name);
/* Defaults, and over them what a Gymnasium id sets, then the preset in args->options, then the rest of
 * args (may be NULL); borrows args->data. */
vly_status vly_atari_options_read(vly_atari_options *options, const char *name,
                                  const vly_env_args *args);

/* The game of a name: "space_invaders", "ALE/SpaceInvaders-v5", "SpaceInvadersNoFrameskip-v4";
 * NULL when there is none. Gymnasium's ids set options as ale-py registers them: v5 sticky 0.25 and skip
 * 4, NoFrameskip-v4 neither. */
const vly_atari_game *vly_atari_named(const char *name, vly_atari_options *options);
/* The game, or NULL, and what its id sets, as vly_env_args.options has it. */
const char *vly_atari_id_settings(const char *name, const vly_atari_game **game);

/* Fails, with what is allowed, where an option is out of range or the game lacks the mode or the
 * difficulty (both filled in, not -1). */
vly_status vly_atari_check(const vly_atari_game *game, const vly_atari_options *options);

#ifdef __cplusplus
}
#endif
#endif
