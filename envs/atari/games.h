/* games.h -- the 104 games: which ROM each is, how it is played, and where in RAM it keeps score.
 *
 *   const vly_atari_game *g = vly_atari_game_find("pong");
 *   vly_atari_reading r;
 *   vly_atari_reading_start(g, &r);
 *   vly_atari_reading_update(g, &r, m.ram, m.cart.ram);      // after every emulated frame
 *   r.reward, r.over, vly_atari_lives(g, &r)
 *
 * The numbers are ALE 0.12.1's, found by running it; tests/atari/lockstep.py compares every game.
 * A row with `unproven` set differed somewhere: it says where, and the environment refuses it.
 */
#ifndef VLY_ENVS_ATARI_GAMES_H
#define VLY_ENVS_ATARI_GAMES_H
#include <stdint.h>
#include "envs/atari/machine.h"
#ifdef __cplusplus
extern "C" {
#endif

/* ALE's full action set, in its order. */
enum {
    VLY_NOOP,
    VLY_FIRE,
    VLY_UP,
    VLY_RIGHT,
    VLY_LEFT,
    VLY_DOWN,
    VLY_UPRIGHT,
    VLY_UPLEFT,
    VLY_DOWNRIGHT,
    VLY_DOWNLEFT,
    VLY_UPFIRE,
    VLY_RIGHTFIRE,
    VLY_LEFTFIRE,
    VLY_DOWNFIRE,
    VLY_UPRIGHTFIRE,
    VLY_UPLEFTFIRE,
    VLY_DOWNRIGHTFIRE,
    VLY_DOWNLEFTFIRE,
    VLY_ATARI_ACTIONS,
    VLY_PRESS_RESET = 40 /* the console's switch, in starting sequences only; ALE's number */
};
/* VLY_STICK_* bits of an action; 0 past the set. */
uint8_t vly_atari_action_stick(int action);
const char *vly_atari_action_name(int action); /* "UPRIGHTFIRE" */

typedef struct {
    uint16_t action, frames;
} vly_atari_press;

/* What was read so far; plain memory, part of an actor's state. */
typedef struct {
    int32_t score;  /* the previous frame's; the reward is the difference */
    int32_t reward; /* of the last frame */
    int16_t lives;
    uint8_t over, started;
    int32_t memo[4]; /* what an irregular game remembers */
} vly_atari_reading;

typedef struct {
    const char *name, *md5;
    vly_rom_properties machine;
    uint32_t minimal;            /* bit a: action a is in the minimal set */
    uint8_t legal;               /* 18, or 9 where ALE says so */
    vly_atari_press start[3];    /* played after a reset; ends at frames == 0 */
    const uint16_t *modes;       /* n_modes, ascending */
    const uint8_t *difficulties; /* n_difficulties */
    uint16_t n_modes, n_difficulties, default_mode;
    const char *unproven; /* NULL, or what differs from ALE */
} vly_atari_game;

enum { VLY_ATARI_GAMES = 104 };
extern const vly_atari_game vly_atari_games[VLY_ATARI_GAMES];

/* NULL when there is none. */
const vly_atari_game *vly_atari_game_find(const char *name);
const vly_atari_game *vly_atari_game_by_md5(const char *md5);
int vly_atari_has_mode(const vly_atari_game *game, int mode);
int vly_atari_has_difficulty(const vly_atari_game *game, int difficulty);

/* ---- readings (readings.c) ---- */
void vly_atari_reading_start(const vly_atari_game *game, vly_atari_reading *r);
/* ram: the 128 bytes at 80h; cart_ram: the cartridge's 128, read by Klax only. */
void vly_atari_reading_update(const vly_atari_game *game, vly_atari_reading *r, const uint8_t *ram,
                              const uint8_t *cart_ram);
/* The name that row i of the readings carries: the same as game i's. */
const char *vly_atari_rules_name(int i);
int vly_atari_lives(const vly_atari_game *game, const vly_atari_reading *r);

#ifdef __cplusplus
}
#endif
#endif
