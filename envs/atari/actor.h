/* actor.h -- one player of an Atari environment: its games, frames, pictures and rows; for the files
 * of this folder only.
 *
 *   vly_atari_actor_reset(w, s, bytes, seed, at);   // the row of a first reset
 *   vly_atari_actor_step(w, s, action, at);         // an action; after an end, the row of a reset
 *
 * The world is what all actors of an opened environment share; steps only read it. An actor is
 * plain memory of env.state_bytes bytes. atari.h is the public face of both.
 */
#ifndef VLY_ENVS_ATARI_ACTOR_H
#define VLY_ENVS_ATARI_ACTOR_H
#include "common/base/env.h"
#include "envs/atari/emulator.h"
#include "envs/atari/options.h"
#include "envs/atari/random.h"
#include "envs/atari/reset_cache.h"
#include "envs/atari/resize.h"
#include "envs/atari/still.h"

typedef enum {
    VLY_STYLE_VOLLEY,
    VLY_STYLE_GYMNASIUM,
    VLY_STYLE_ALE,
    VLY_STYLE_ENVPOOL
} vly_atari_style;

typedef struct {
    vly_emulator_rules rules;
    vly_rom *rom;
    vly_atari_options options;
    vly_atari_style style;
    int height, lines, channels; /* lines: of the screen that observations show */
    int max_steps;               /* agent steps of an episode; 0: no such limit */
    int fire_reset;              /* and the action set has FIRE */
    uint8_t actions[VLY_ATARI_ACTIONS];
    const char *names[VLY_ATARI_ACTIONS]; /* of these actions */
    uint8_t colour[3][256];               /* grey in [0], or red, green, blue of a palette index */
    vly_area area;
    vly_reset_cache *cache;
    size_t room;      /* of an actor's still */
    size_t starts_at; /* in an actor: where std::mt19937 draws its starts, behind the still */
    int loaded_ready; /* the state after loading does not depend on the seed: */
    vly_emulator loaded;
    vly_screens loaded_screens;
} vly_atari_world;

typedef struct {
    vly_emulator emulator;
    uint64_t seed;
    uint32_t episode; /* games begun */
    int32_t elapsed;  /* ALE: frames, EnvPool: steps, of this game */
    int32_t steps;    /* agent steps of this game */
    int32_t lives;
    int32_t score;
    uint8_t ended;     /* the next step resets */
    uint8_t game_over; /* and begins a new game */
    uint8_t failed;
    uint8_t draw_all;   /* steps for which frames are not worth skipping */
    uint8_t pooled;     /* the row before showed two screens */
    vly_integers numpy; /* Gymnasium's random numbers for no-op starts; the others' are behind the
                           still */
    vly_still still;    /* the two screens, world.room bytes long */
} vly_atari_actor;

/* Only these styles draw the number of no-op starts from std::mt19937. */
static inline int vly_atari_has_starts(const vly_atari_world *w) {
    return w->style == VLY_STYLE_ALE || w->style == VLY_STYLE_ENVPOOL;
}
static inline vly_mt19937 *vly_atari_starts(const vly_atari_world *w, vly_atari_actor *s) {
    return (vly_mt19937 *)((char *)s + w->starts_at);
}

/* bytes: of the state, all of which is overwritten. */
void vly_atari_actor_reset(const vly_atari_world *w, vly_atari_actor *s, size_t bytes,
                           uint64_t seed, vly_rows at);
/* Leaves the game and begins another. */
void vly_atari_actor_restart(const vly_atari_world *w, vly_atari_actor *s, vly_rows at);
/* action: an index of w->actions, in range. */
void vly_atari_actor_step(const vly_atari_world *w, vly_atari_actor *s, int action, vly_rows at);

#endif
