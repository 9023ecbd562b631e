/* env.h -- the interface of an environment.
 *
 *   vly_env env;
 *   VLY_TRY(vly_env_open(&env, "minatar/breakout", &args));       // envs/registry.h
 *   void *states = aligned_alloc(64, n * env.state_bytes);
 *   for (i...) env.reset(&env, state_i, seed_i, rows_i);          // writes the first observation
 *   env.step(&env, states, n, actions, rows);                     // steps n actors, one row each
 *
 * An opened `vly_env` is read-only and shared by all its actors and threads; all that changes is in
 * the actor's state, `state_bytes` of plain memory: a snapshot is memcpy, on disk too (so: no
 * pointers inside). An environment does no I/O, allocates nothing after open, has no globals.
 *
 * The end of an episode ("next step" autoreset, as Gymnasium names it): the row in which an episode
 * ends carries TERMINATED and/or TRUNCATED and the observation at the end. The NEXT step ignores
 * its action, starts a new episode, and its row carries RESET, reward 0 and the first observation.
 * So every observation exists exactly once in an actor's stream of rows, a truncated episode can
 * bootstrap from its last observation, and a learner masks the RESET rows.
 */
#ifndef VLY_COMMON_BASE_ENV_H
#define VLY_COMMON_BASE_ENV_H
#include <stddef.h>
#include <stdint.h>
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { VLY_ENV_ABI = 2 }; /* changes with any change of the structs below */

typedef enum {
    VLY_F32 = 0,
    VLY_U8 = 1,
    VLY_BF16 = 2,
    VLY_F64 = 3,
    VLY_I32 = 4,
    VLY_I64 = 5,
    VLY_U32 = 6,
    VLY_U64 = 7
} vly_dtype;

/* One observation frame; the learner stacks `stack` of them (1 = none). */
typedef struct {
    vly_dtype dtype; /* VLY_F32 or VLY_U8 */
    int ndim;        /* 1: a vector; 3: an image (height, width, channels) */
    int shape[3];
    int stack;    /* Atari: 4 single frames of 84 x 84 x 1, stacked by the consumer */
    float scale;  /* network input = scale * value: 1/255 for pixels, 1 otherwise */
    size_t bytes; /* of one frame */
} vly_obs_spec;

/* Flags of one row. TERMINATED and TRUNCATED are the learner's signals; GAME_OVER is the
 * reporter's: with episodic life a lost life is TERMINATED, and the return goes on. */
enum {
    VLY_ROW_TERMINATED = 1,
    VLY_ROW_TRUNCATED = 2,
    VLY_ROW_RESET = 4, /* this row started an episode: its action was ignored */
    VLY_ROW_LIFE_LOST = 8,
    VLY_ROW_GAME_OVER = 16, /* the episode that is reported (return, length) ends with this row */
    VLY_ROW_FAILED = 32     /* the environment could not step: restart the actor with reset() */
};
#define VLY_ROW_ENDED (VLY_ROW_TERMINATED | VLY_ROW_TRUNCATED)

/* Where n actors write; every array has n entries. Borrowed from the caller. */
typedef struct {
    uint8_t *obs;      /* row i at obs + i * obs_stride; obs_spec.bytes are written */
    size_t obs_stride; /* bytes, at least obs_spec.bytes */
    float *reward;     /* what the learner sees (clipped where the options say so) */
    float *score;      /* unclipped: what an episode's return adds up */
    uint8_t *flags;
} vly_rows;

/* Row i of `rows`, as a vly_rows of its own. */
static inline vly_rows vly_rows_at(vly_rows rows, size_t i) {
    vly_rows out = {rows.obs + i * rows.obs_stride, rows.obs_stride, rows.reward + i,
                    rows.score + i, rows.flags + i};
    return out;
}

/* One thing that may follow an action in a discrete state (vly_env.model). */
typedef struct {
    double probability, reward;
    int next;
    int terminated;
} vly_outcome;

/* Where a number of the observation lies (vly_env.bounds). */
typedef struct {
    double low, high;
} vly_bounds;

typedef struct vly_env vly_env;
struct vly_env {
    uint32_t abi;          /* VLY_ENV_ABI */
    uint32_t struct_bytes; /* sizeof(vly_env) */
    char name[64];
    vly_obs_spec obs;
    int actions;         /* discrete actions 0 .. actions - 1 */
    int states;          /* number of discrete states, or 0: for tabular methods */
    int frames_per_step; /* frame skip: 4 for Atari's default, 1 elsewhere */
    size_t state_bytes;  /* of one actor, a multiple of 64 */
    float return_target; /* the usual "solved" mean return, NAN when there is none */
    void *world;         /* what all actors share (a ROM image, tables, options): read-only */

    /* Seeds an actor, starts its first episode and writes row 0 of `at` with flags RESET. */
    void (*reset)(const vly_env *env, void *state, uint64_t seed, vly_rows at);
    /* Steps n actors whose states lie state_bytes apart. action: n values in [0, actions). */
    void (*step)(const vly_env *env, void *states, int n, const int32_t *action, vly_rows out);
    /* The discrete state of an actor, in [0, states); NULL when states is 0. */
    int (*state_index)(const vly_env *env, const void *state);
    /* Draws what a person would look at: rgb[height][width][3]. NULL: cannot be drawn.
     * With rgb NULL only the size is written. */
    void (*render)(const vly_env *env, const void *state, uint8_t *rgb, int *width, int *height);
    /* One line of text for people: position, lives ...; may be NULL. */
    void (*describe)(const vly_env *env, const void *state, char *text, size_t bytes);
    void (*close)(vly_env *env);
    /* What may follow an action in a discrete state: writes at most `max` outcomes, returns their
     * number; the probabilities add up to 1. NULL: the rules are not known as a table. For value
     * iteration. */
    int (*model)(const vly_env *env, int state, int action, vly_outcome *out, int max);
    void *plugin; /* the loaded library, of envs/plugin.c; NULL: built in */
    void (*plugin_close)(vly_env *env);
    /* One for each number of a vector observation: the range that play stays in, low < high, both
     * finite; what lies outside counts as the nearer end. NULL: not known. Tabular methods cut the
     * ranges into cells. Lives as long as the environment. */
    const vly_bounds *bounds;
    /* Whether bytes from anywhere are a state that step() may be given: indices, counts and enough
     * of the rest that it does not read or write outside its memory, loop for ever or overflow.
     * Every state that reset() or step() leaves behind is valid. Returns VLY_ECORRUPT with the
     * member that is wrong. NULL: not checked (plugins may leave it out). */
    vly_status (*valid)(const vly_env *env, const void *state);
};

/* What vly_env_open gets; all zero: defaults. */
typedef struct {
    const char *options; /* of families of environments: "family.key=value family.key=value"; an
                          * environment reads its own family's; may be NULL */
    int max_steps;       /* time limit in agent steps; 0: the environment's own */
    const char *extra;   /* the environment's own options: "key=value,key=value"; may be NULL */
    const char *data;    /* folder of files that environments are made of (ROMs); NULL: the
                          * environment's usual places */
} vly_env_args;

/* A plugin (./my_env.so) exports this symbol; it fills *env, abi and struct_bytes included. */
typedef vly_status (*vly_env_plugin_fn)(vly_env *env, const vly_env_args *args);
#define VLY_ENV_PLUGIN_SYMBOL "vly_env_plugin"

#ifdef __cplusplus
}
#endif
#endif
