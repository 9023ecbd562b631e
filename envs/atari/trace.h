/* trace.h -- a game's frames as a table that anyone can check against ale-py.
 *
 *   VLY_TRY(vly_atari_trace(stdout, "pong", &options, seed, actions, n));
 *   VLY_TRY(vly_atari_trace_observations(stdout, "pong", &options, seed, actions, n));
 *
 * The first plays each action for one frame and writes
 *   frame action reward terminated truncated lives ram_crc32 screen_crc32
 * which is also
 *   ale.setInt("random_seed", seed)
 *   ale.setFloat("repeat_action_probability", options.sticky)       # 0 unless given
 *   ale.setInt("max_num_frames_per_episode", options.max_frames)
 *   ale.loadROM(rom)
 *   # only where a mode or difficulty was asked for: setMode, setDifficulty, reset_game
 *   for frame, action in enumerate(actions):
 *       reward = ale.act(action)
 *       row(frame, action, reward, ale.game_over(with_truncation=False), ale.game_truncated(),
 *           ale.lives(), zlib.crc32(ale.getRAM()), zlib.crc32(ale.getScreen()))
 *       if ale.game_over(): ale.reset_game()
 * with ale-py 0.12.1. Actions are ALE's full set, 0 to 17, whatever the game's own set.
 *
 * The second steps the agent's environment (frame skip, starts, lives: all of the options) with the
 * same action numbers, and writes a line per step with obs_crc32 of the newest picture in place of
 * the last two columns. An ended episode is reset without a row.
 */
#ifndef VLY_ENVS_ATARI_TRACE_H
#define VLY_ENVS_ATARI_TRACE_H
#include <stdio.h>
#include "envs/atari/atari.h"

/* Actions outside 0 .. 17 are refused before anything is written. */
vly_status vly_atari_trace(FILE *out, const char *name, const vly_atari_options *options,
                           uint64_t seed, const int32_t *actions, size_t n);
vly_status vly_atari_trace_observations(FILE *out, const char *name,
                                        const vly_atari_options *options, uint64_t seed,
                                        const int32_t *actions, size_t n);
#endif
