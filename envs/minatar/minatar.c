#include "envs/minatar/minatar.h"
#include <stdio.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"

typedef struct {
    const vly_minatar_game *game;
    double sticky;
    int32_t ramping, max_steps, actions;
    int32_t action[6]; /* ours to the game's */
    const char *names[6];
} world;

/* One actor; the game's struct follows in the next cache line. */
typedef struct {
    int32_t step, ended, last_action;
    vly_mt19937 rng;
} actor;

enum { GAME_AT = (sizeof(actor) + 63) / 64 * 64 };

static void *game_of(actor *a) {
    return (uint8_t *)a + GAME_AT;
}

static void write_planes(const world *w, actor *a, uint8_t *obs) {
    memset(obs, 0, (size_t)(MINATAR_SIDE * MINATAR_SIDE * w->game->channels));
    w->game->observe(game_of(a), obs);
}

/* The last action is kept, as in the reference: a sticky first step repeats it. */
static void start_minatar(const world *w, actor *a, vly_rows at) {
    a->step = a->ended = 0;
    memset(game_of(a), 0, w->game->game_bytes);
    w->game->start(game_of(a), &a->rng);
    write_planes(w, a, at.obs);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void minatar_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    actor *a = state;
    memset(a, 0, env->state_bytes);
    vly_mt19937_seed(&a->rng, seed);
    start_minatar(env->world, a, at);
}

static void minatar_restart(const vly_env *env, void *state, vly_rows at) {
    start_minatar(env->world, state, at);
}

static vly_status minatar_valid(const vly_env *env, const void *state) {
    const world *w = env->world;
    const actor *a = state;
    VLY_TRY(vly_env_valid_episode(a->step, a->ended, w->max_steps));
    VLY_TRY(vly_env_valid_range("last_action", a->last_action, 0, 5));
    VLY_TRY(vly_env_valid_range("rng.at", a->rng.at, 0, VLY_MT_WORDS));
    return w->game->valid((const uint8_t *)state + GAME_AT, a->ended);
}

static void step_one(const world *w, actor *a, int action, vly_rows at) {
    if (vly_mt19937_double(&a->rng) < w->sticky) action = a->last_action;
    a->last_action = action;
    const vly_minatar_step did = w->game->act(game_of(a), &a->rng, action, w->ramping);
    const int late = ++a->step == w->max_steps;
    a->ended = did.terminal | late;
    write_planes(w, a, at.obs);
    vly_row_write(at, (float)did.reward, vly_row_flags(did.terminal, late));
}

static void minatar_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    const world *w = env->world;
    uint8_t *state = states;
    for (int i = 0; i < n; i++, state += env->state_bytes) {
        actor *a = (actor *)(void *)state;
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (a->ended)
            start_minatar(w, a, at);
        else
            step_one(w, a, w->action[action[i]], at);
    }
}

/* The highest channel set in a cell decides its colour, as in MinAtar's own display. */
static uint32_t cell_colour(const uint8_t *cell, int channels) {
    static const uint32_t palette[MINATAR_CHANNELS_MAX] = {
        VLY_RGB(80, 120, 240), VLY_RGB(40, 200, 120), VLY_RGB(150, 150, 150),
        VLY_RGB(230, 120, 60), VLY_RGB(240, 220, 80), VLY_RGB(220, 70, 120),
        VLY_RGB(160, 90, 220), VLY_RGB(90, 210, 230), VLY_RGB(250, 170, 190),
        VLY_RGB(245, 245, 245)};
    for (int c = channels - 1; c >= 0; c--)
        if (cell[c]) return palette[c];
    return VLY_RGB(12, 12, 16);
}

static void minatar_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                           int *height) {
    enum { CELL = 24 };
    *width = *height = MINATAR_SIDE * CELL;
    if (!rgb) return;
    const vly_minatar_game *game = ((const world *)env->world)->game;
    vly_canvas c = {rgb, *width, *height};
    vly_draw_clear(&c, VLY_RGB(24, 24, 30));
    uint8_t obs[MINATAR_SIDE * MINATAR_SIDE * MINATAR_CHANNELS_MAX] = {0};
    game->observe((const uint8_t *)state + GAME_AT, obs);
    for (int i = 0; i < MINATAR_SIDE * MINATAR_SIDE; i++) {
        const int x = i % MINATAR_SIDE * CELL, y = i / MINATAR_SIDE * CELL;
        vly_draw_box(&c, x + 1, y + 1, x + CELL - 1, y + CELL - 1,
                     cell_colour(obs + i * game->channels, game->channels));
    }
}

static const char *const minatar_actions[6] = {"nothing", "left", "up", "right", "down", "fire"};
static const char *const minatar_numbers[] = {"last_action"};

static void minatar_info(const vly_env *env, const void *state, double *out) {
    (void)env;
    out[0] = ((const actor *)state)->last_action;
}

static void minatar_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const actor *a = state;
    snprintf(text, bytes, "step %d  %s", a->step, minatar_actions[a->last_action]);
}

vly_status vly_minatar_open(vly_env *env, const vly_minatar_game *game, const vly_env_args *args) {
    double sticky = 0.1, ramping = 1, minimal = 0;
    const vly_env_key keys[] = {VLY_KEY_REAL("sticky", &sticky, 0, 1),
                                VLY_KEY_WHOLE("ramping", &ramping, 0, 1),
                                VLY_KEY_WHOLE("minimal", &minimal, 0, 1)};
    VLY_TRY(vly_env_options(game->name, args, keys, 3));
    vly_env_begin(env, game->name, 6, GAME_AT + game->game_bytes);
    VLY_TRY(vly_env_world(env, sizeof(world)));
    world *w = env->world;
    w->game = game;
    w->sticky = sticky;
    w->ramping = ramping != 0;
    w->max_steps = vly_env_limit(args, 0);
    for (int i = 0; i < 6; i++) w->action[i] = i;
    if (minimal != 0) {
        env->action.n = (int)strlen(game->minimal);
        for (int i = 0; i < env->action.n; i++) w->action[i] = game->minimal[i] - '0';
    }
    for (int i = 0; i < env->action.n; i++) w->names[i] = minatar_actions[w->action[i]];
    env->action.names = w->names;
    vly_env_bytes_image(env, MINATAR_SIDE, MINATAR_SIDE, game->channels);
    env->reset = minatar_reset;
    env->restart = minatar_restart;
    env->valid = minatar_valid;
    env->step = minatar_step;
    env->render = minatar_render;
    env->describe = minatar_describe;
    env->info_count = 1, env->info_names = minatar_numbers, env->info = minatar_info;
    return VLY_OK;
}
