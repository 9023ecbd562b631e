/* emulator.h -- one game as ALE 0.12.1 plays it, frame by frame: its resets, its random numbers,
 * its sticky actions, its end. The agent's environment (atari.h) is built on this.
 *
 *   vly_emulator_rules rules = {.game = game, .rom = rom, .sticky = 0.25f, .max_frames = 108000};
 *   vly_emulator e;
 *   vly_emulator_load(&e, &rules, seed, &screens);           // ale.loadROM with random_seed = seed
 *   vly_emulator_reset(&e, &rules, &screens);                // ale.reset_game()
 *   int reward = vly_emulator_act(&e, &rules, action, &screens);    // ale.act(action)
 *   vly_emulator_over(&e, &rules), vly_emulator_lives(&e, &rules), e.machine.ram
 *
 * A vly_emulator is plain memory without pointers: assignment clones it, screens beside it. Rules
 * are shared and read-only. With screens == NULL a frame is not drawn; everything else stays the
 * same.
 */
#ifndef VLY_ENVS_ATARI_EMULATOR_H
#define VLY_ENVS_ATARI_EMULATOR_H
#include "envs/atari/games.h"
#include "envs/atari/machine.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const vly_atari_game *game;
    const vly_rom *rom;
    float sticky;   /* probability per frame that the previous action is repeated */
    int max_frames; /* of an episode; 0: no limit */
    int mode, difficulty;
} vly_emulator_rules;

typedef struct {
    vly_machine machine;
    vly_mt19937 rng; /* the environment's, not the console's: two draws a frame */
    vly_atari_reading reading;
    vly_controls controls;
    int32_t frames;         /* since loading, as getFrameNumber */
    int32_t episode_frames; /* as getEpisodeFrameNumber */
    uint16_t stuck;         /* partial frames in a row */
    uint8_t jammed;
    uint8_t action; /* the action last played, which a sticky frame repeats */
} vly_emulator;

enum { VLY_EMULATOR_STUCK = 600 }; /* consecutive partial frames after which a ROM is given up */

/* Powers on, seeds and resets; fails where the mode is never reached by pressing SELECT. */
vly_status vly_emulator_load(vly_emulator *e, const vly_emulator_rules *rules, uint32_t seed,
                             vly_screens *screens);
/* 0, or -1 where SELECT never reaches the mode. */
int vly_emulator_reset(vly_emulator *e, const vly_emulator_rules *rules, vly_screens *screens);

/* The same in two parts, the first of `frames` frames: for the cache of resets. */
void vly_emulator_reset_begin(vly_emulator *e, const vly_emulator_rules *rules, int frames,
                              vly_screens *screens);
int vly_emulator_reset_finish(vly_emulator *e, const vly_emulator_rules *rules, int frames,
                              vly_screens *screens);

/* Draws this frame's random numbers and returns the action that is played. */
uint8_t vly_emulator_choose(vly_emulator *e, const vly_emulator_rules *rules, int action);
/* Plays one frame of the chosen action; returns the reward. Does nothing after the game's end. */
int32_t vly_emulator_frame(vly_emulator *e, const vly_emulator_rules *rules, uint8_t chosen,
                           vly_screens *screens);
/* Both. */
int32_t vly_emulator_act(vly_emulator *e, const vly_emulator_rules *rules, int action,
                         vly_screens *screens);

static inline int vly_emulator_truncated(const vly_emulator *e, const vly_emulator_rules *rules) {
    return rules->max_frames > 0 && e->episode_frames >= rules->max_frames;
}
static inline int vly_emulator_over(const vly_emulator *e) {
    return e->reading.over;
}
static inline int vly_emulator_lives(const vly_emulator *e, const vly_emulator_rules *rules) {
    return vly_atari_lives(rules->game, &e->reading);
}
/* 1: the CPU is jammed, or frames no longer end. */
static inline int vly_emulator_failed(const vly_emulator *e) {
    return e->jammed || e->stuck >= VLY_EMULATOR_STUCK;
}

/* As vly_env.valid. */
vly_status vly_emulator_valid(const vly_emulator *e, const vly_emulator_rules *rules);

#ifdef __cplusplus
}
#endif
#endif
