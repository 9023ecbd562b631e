/* env.h -- the interface of an environment.
 *
 *   vly_env env;
 *   VLY_TRY(vly_env_open(&env, "minatar/breakout", &args));       // envs/registry.h
 *   void *states = aligned_alloc(64, n * env.state_bytes);
 *   for (i...) env.reset(&env, state_i, seed_i, rows_i);          // writes the first observation
 *   env.step(&env, states, n, vly_actions_of_ints(choices), rows); // steps n actors, one row each
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
 *
 * Several players: one state has `players` rows, state i's at i * players and after, and as many
 * actions. RESET, TERMINATED, TRUNCATED, GAME_OVER and FAILED are the same in all rows of a state: a
 * player that is out before the others gets IDLE rows with reward 0 until the end.
 *
 * To port a plugin of ABI 1: `env->actions = n` is `env->action = vly_space_discrete(n)`, with
 * `env->players = env->tasks = 1`; step() takes vly_actions, of which vly_action_ints(action)[i] is
 * actor i's. A vly_rows that is made by hand is vly_rows_plain(...).
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
    float scale;  /* above 0: network input = scale * value: 1/255 for pixels, 1 otherwise */
    size_t bytes; /* of one frame */
} vly_obs_spec;

/* Where a number of an observation or of an action lies. */
typedef struct {
    double low, high;
} vly_bounds;

/* ---- actions ---- */

typedef enum {
    VLY_SPACE_DISCRETE, /* one of n choices */
    VLY_SPACE_MULTI,    /* one choice in each of several factors */
    VLY_SPACE_BOX       /* several numbers, each within bounds */
} vly_space_kind;

/* What an action may be. What it points to lives as long as the environment. */
typedef struct {
    vly_space_kind kind;
    vly_dtype dtype;          /* of one value: VLY_I32, in a box VLY_F32 */
    int count;                /* values of an action: 1; MULTI: factors; BOX: numbers */
    int n;                    /* choices of all factors together; BOX: 0 */
    const int32_t *sizes;     /* MULTI: the choices of each factor; else NULL */
    const vly_bounds *bounds; /* BOX: of each number, finite, low < high; else NULL */
    const char *const *names; /* of the n choices or the numbers, in order; NULL: none */
    size_t bytes;             /* of an action: 4 * count */
} vly_space;

enum { VLY_SPACE_COUNT_MAX = 1024, VLY_SPACE_CHOICES_MAX = 4096 };
enum { VLY_ENV_INFO_MAX = 64 }; /* numbers of vly_env.info */

static inline vly_space vly_space_discrete(int n) {
    vly_space s = {VLY_SPACE_DISCRETE, VLY_I32, 1, n, NULL, NULL, NULL, 4};
    return s;
}
static inline vly_space vly_space_multi(int count, const int32_t *sizes) {
    vly_space s = {VLY_SPACE_MULTI, VLY_I32, count, 0, sizes, NULL, NULL, 4 * (size_t)count};
    for (int i = 0; i < count; i++) s.n += sizes[i];
    return s;
}
static inline vly_space vly_space_box(int count, const vly_bounds *bounds) {
    vly_space s = {VLY_SPACE_BOX, VLY_F32, count, 0, NULL, bounds, NULL, 4 * (size_t)count};
    return s;
}
/* The choices of factor i. */
static inline int vly_space_size(const vly_space *s, int i) {
    return s->kind == VLY_SPACE_MULTI ? s->sizes[i] : s->n;
}

/* The actions of several rows, borrowed. stride: bytes from one row's to the next, a multiple of 4;
 * where the space is DISCRETE always 4, so that the data is an array. */
typedef struct {
    const void *data; /* NULL: none */
    size_t stride;
} vly_actions;

static inline vly_actions vly_actions_of_ints(const int32_t *choices) {
    vly_actions a = {choices, sizeof *choices};
    return a;
}
/* Those from row i on. */
static inline vly_actions vly_actions_at(vly_actions a, size_t i) {
    vly_actions out = {(const uint8_t *)a.data + i * a.stride, a.stride};
    return out;
}
/* DISCRETE: one for each row. MULTI: the first row's, one for each factor. */
static inline const int32_t *vly_action_ints(vly_actions a) {
    return (const int32_t *)a.data;
}
/* BOX: the first row's numbers. */
static inline const float *vly_action_floats(vly_actions a) {
    return (const float *)a.data;
}

/* The first row's, for people: "3", "1,0,2", "0.5,-1"; cut where the text is full. */
void vly_action_text(const vly_space *space, vly_actions action, char *text, size_t bytes);

/* Whether the mask of a row (vly_rows.mask) allows no choice of a factor: then there is no action.
 * 1 or 0. */
int vly_mask_blocks(const vly_space *space, const uint8_t *mask);

/* ---- rows ---- */

/* Flags of one row. TERMINATED and TRUNCATED are the learner's signals; GAME_OVER is the
 * reporter's: with episodic life a lost life is TERMINATED, and the return goes on. */
enum {
    VLY_ROW_TERMINATED = 1,
    VLY_ROW_TRUNCATED = 2,
    VLY_ROW_RESET = 4, /* this row started an episode: its action was ignored */
    VLY_ROW_LIFE_LOST = 8,
    VLY_ROW_GAME_OVER = 16, /* the episode that is reported (return, length) ends with this row */
    VLY_ROW_FAILED = 32,    /* the environment could not step: restart the actor with reset() */
    VLY_ROW_IDLE = 64       /* this player does not move next: the action chosen here is ignored */
};
#define VLY_ROW_ENDED (VLY_ROW_TERMINATED | VLY_ROW_TRUNCATED)

/* Where n actors write, a row for each player. Borrowed from the caller. */
typedef struct {
    uint8_t *obs;      /* row i at obs + i * obs_stride; obs_spec.bytes are written */
    size_t obs_stride; /* bytes, at least obs_spec.bytes */
    float *reward;     /* what the learner sees (clipped where the options say so) */
    float *score;      /* unclipped: what an episode's return adds up */
    uint8_t *flags;
    uint8_t *mask; /* action.n bytes a row, in the order of the choices: 1 allowed, 0 not, for the
                    * action that is chosen on this row; in each factor of every row, ended and
                    * idle ones too, at least one is 1. NULL: not asked for */
    size_t mask_stride;
    uint8_t *shared; /* shared.bytes for each state, not each row. NULL: not asked for */
    size_t shared_stride;
} vly_rows;

/* Rows without masks and shared state. */
static inline vly_rows vly_rows_plain(uint8_t *obs, size_t obs_stride, float *reward, float *score,
                                      uint8_t *flags) {
    vly_rows out = {obs, obs_stride, reward, score, flags, NULL, 0, NULL, 0};
    return out;
}

/* From the first row of state i on. */
static inline vly_rows vly_rows_of(vly_rows rows, size_t i, int players) {
    const size_t row = i * (size_t)players;
    vly_rows out = {rows.obs + row * rows.obs_stride,
                    rows.obs_stride,
                    rows.reward + row,
                    rows.score + row,
                    rows.flags + row,
                    rows.mask ? rows.mask + row * rows.mask_stride : NULL,
                    rows.mask_stride,
                    rows.shared ? rows.shared + i * rows.shared_stride : NULL,
                    rows.shared_stride};
    return out;
}

/* Row i of `rows`, of an environment of one player, as a vly_rows of its own. */
static inline vly_rows vly_rows_at(vly_rows rows, size_t i) {
    return vly_rows_of(rows, i, 1);
}

/* One thing that may follow an action in a discrete state (vly_env.model). */
typedef struct {
    double probability, reward;
    int next;
    int terminated;
} vly_outcome;

typedef struct vly_env vly_env;
struct vly_env {
    uint32_t abi;          /* VLY_ENV_ABI */
    uint32_t struct_bytes; /* sizeof(vly_env) */
    char name[64];
    vly_obs_spec obs;
    vly_space action;
    int players;         /* rows of one state, at least 1 */
    int masked;          /* rows have masks; not where actions are a box */
    vly_obs_spec shared; /* of a state, for critics that see all of it; bytes 0: there is none */
    int tasks;           /* environments in this one: actor a is in number a % tasks; at least 1 */
    int states;          /* number of discrete states, or 0: for tabular methods */
    int frames_per_step; /* frame skip: 4 for Atari's default, 1 elsewhere */
    size_t state_bytes;  /* of one actor, a multiple of 64 */
    float return_target; /* the usual "solved" mean return, NAN when there is none */
    void *world;         /* what all actors share (a ROM image, tables, options): read-only */

    /* Seeds an actor, starts its first episode and writes a row for each player, flags RESET. */
    void (*reset)(const vly_env *env, void *state, uint64_t seed, vly_rows at);
    /* Steps n actors whose states lie state_bytes apart. action: within the space, for each row. */
    void (*step)(const vly_env *env, void *states, int n, vly_actions action, vly_rows out);
    /* Leaves the episode and starts the next as the step after an end does: the random state goes
     * on. NULL: it cannot. */
    void (*restart)(const vly_env *env, void *state, vly_rows at);
    /* Before the first reset() of an actor, of a zeroed state: where `tasks` is more than 1. */
    void (*assign)(const vly_env *env, void *state, int actor);
    const char *const *task_names; /* where `tasks` is more than 1 */
    /* The discrete state of an actor, in [0, states); NULL when states is 0. */
    int (*state_index)(const vly_env *env, const void *state);
    /* Draws what a person would look at: rgb[height][width][3]. NULL: cannot be drawn.
     * With rgb NULL only the size is written; 0 x 0: it cannot be drawn here, and
     * vly_error_text() says why. */
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
    /* Numbers for who asks, at most VLY_ENV_INFO_MAX, by names that differ ("lives", "frame"): out
     * has room for info_count. One that is named "phase" counts changes of the rules, from 0 on: the
     * trainer reports how far returns fall with each and how fast they recover. */
    int info_count;
    const char *const *info_names;
    void (*info)(const vly_env *env, const void *state, double *out);
    /* Seconds of its own time that a step takes, for who watches it (4 / 60 in an Atari game); 0: it
     * has none. */
    double step_s;
};

/* What vly_env_open gets; all zero: defaults. */
typedef struct {
    const char *options; /* of families of environments: "family.key=value family.key=value"; an
                          * environment reads its own family's; may be NULL */
    int max_steps;       /* time limit in agent steps; 0: the environment's own */
    const char *extra;   /* the environment's own options: "key=value,key=value"; may be NULL */
    const char *data;    /* folder of files that environments are made of (ROMs); NULL: the
                          * environment's usual places */
    int no_files; /* options and extra are somebody else's: no file that they name is opened */
} vly_env_args;

/* A plugin (./my_env.so) exports this symbol; it fills *env, abi and struct_bytes included. */
typedef vly_status (*vly_env_plugin_fn)(vly_env *env, const vly_env_args *args);
#define VLY_ENV_PLUGIN_SYMBOL "vly_env_plugin"

#ifdef __cplusplus
}
#endif
#endif
