#include "envs/windy.h"
#include <math.h>
#include <stdio.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"

enum { ROWS = 7, COLUMNS = 10, CELLS = ROWS * COLUMNS, START = 30, GOAL = 37, GUSTS = 3 };

typedef struct {
    int32_t max_steps, steady, shown;
    int64_t drift; /* moves until the wind turns; 0: it does not */
    vly_stream_source gusts;
} world;

static const int wind_of[COLUMNS] = {0, 0, 0, 1, 1, 1, 2, 2, 1, 0};
/* -1, 0 and 1 with equal chances, whatever came before. */
static const double any_gust[GUSTS * GUSTS] = {1.0 / 3, 1.0 / 3, 1.0 / 3, 1.0 / 3, 1.0 / 3,
                                               1.0 / 3, 1.0 / 3, 1.0 / 3, 1.0 / 3};

static int clamp_to(int v, int last) {
    return v < 0 ? 0 : v > last ? last : v;
}

/* up: 1, or -1 where the wind has turned. */
static int blown(int cell, int action, int gust, int up) {
    static const int down[9] = {-1, 0, 1, 0, -1, 1, 1, -1, 0};
    static const int right[9] = {0, 1, 0, -1, 1, 1, -1, -1, 0};
    const int row = cell / COLUMNS, column = cell % COLUMNS;
    const int wind = wind_of[column] ? wind_of[column] + gust : 0;
    return clamp_to(row + down[action] - up * wind, ROWS - 1) * COLUMNS +
           clamp_to(column + right[action], COLUMNS - 1);
}

/* Of the next move: -1, 0 or 1. */
static int gust_of(const world *w, const vly_windy *s) {
    if (w->steady) return 0;
    const int value = (int)vly_stream_value(&w->gusts, &s->gust);
    return w->gusts.value ? value : value - 1;
}

static int windy_state(const vly_env *env, const void *state) {
    const world *w = env->world;
    const vly_windy *s = state;
    return w->shown ? s->cell * GUSTS + gust_of(w, s) + 1 : s->cell;
}

static void start_windy(const vly_env *env, vly_windy *s, vly_rows at) {
    const world *w = env->world;
    s->cell = START;
    s->step = s->ended = 0;
    if (w->drift) s->phase = (int32_t)(s->moves / w->drift);
    vly_one_hot(at.obs, env->states, windy_state(env, s));
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void windy_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    const world *w = env->world;
    vly_windy *s = state;
    memset(s, 0, sizeof *s);
    if (!w->steady) vly_stream_begin(&w->gusts, &s->gust, seed);
    start_windy(env, s, at);
}

static void windy_restart(const vly_env *env, void *state, vly_rows at) {
    start_windy(env, state, at);
}

static void windy_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    const world *w = env->world;
    vly_windy *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_windy(env, s, at);
            continue;
        }
        s->cell = blown(s->cell, action[i], gust_of(w, s), s->phase % 2 ? -1 : 1);
        s->moves += w->drift > 0;
        if (!w->steady) vly_stream_next(&w->gusts, &s->gust);
        const int there = s->cell == GOAL, late = ++s->step == w->max_steps;
        s->ended = there | late;
        vly_one_hot(at.obs, env->states, windy_state(env, s));
        vly_row_write(at, -1.0f, vly_row_flags(there, late));
    }
}

/* Shown, a state knows its gust and not the next one; else it is the gust that is not known. */
static int windy_model(const vly_env *env, int state, int action, vly_outcome *out, int max) {
    const world *w = env->world;
    const int n = w->steady ? 1 : GUSTS;
    for (int i = 0; i < n && i < max; i++) {
        const int cell = w->shown ? state / GUSTS : state;
        const int gust = w->steady ? 0 : w->shown ? state % GUSTS - 1 : i - 1;
        const int to = blown(cell, action, gust, 1);
        const vly_outcome o = {1.0 / n, -1.0, w->shown ? to * GUSTS + (w->steady ? 1 : i) : to,
                               to == GOAL};
        out[i] = o;
    }
    return n < max ? n : max;
}

static void windy_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                         int *height) {
    enum { CELL = 40 };
    (void)env;
    const vly_windy *s = state;
    *width = COLUMNS * CELL, *height = ROWS * CELL;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    vly_draw_clear(&c, VLY_RGB(120, 120, 120));
    for (int cell = 0; cell < CELLS; cell++) {
        const int x = cell % COLUMNS * CELL, y = cell / COLUMNS * CELL;
        const int shade = 225 - 28 * wind_of[cell % COLUMNS];
        const uint32_t colour = cell == GOAL    ? VLY_RGB(120, 190, 90)
                                : cell == START ? VLY_RGB(200, 200, 160)
                                                : VLY_RGB(shade, shade, 225);
        vly_draw_box(&c, x + 1, y + 1, x + CELL - 1, y + CELL - 1, colour);
    }
    vly_draw_disc(&c, (s->cell % COLUMNS + 0.5) * CELL, (s->cell / COLUMNS + 0.5) * CELL, 13,
                  VLY_RGB(40, 90, 200));
}

static void windy_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    const vly_windy *s = state;
    snprintf(text, bytes, "step %d  row %d column %d  gust %+d", s->step, s->cell / COLUMNS,
             s->cell % COLUMNS, gust_of(env->world, s));
}

static void windy_info(const vly_env *env, const void *state, double *out) {
    const world *w = env->world;
    out[0] = gust_of(w, state);
    if (w->drift) out[1] = ((const vly_windy *)state)->phase;
}

static vly_status windy_valid(const vly_env *env, const void *state) {
    const world *w = env->world;
    const vly_windy *s = state;
    VLY_TRY(vly_env_valid_range("cell", s->cell, 0, CELLS - 1));
    if (!w->steady) VLY_TRY(vly_stream_valid(&w->gusts, &s->gust));
    VLY_TRY(vly_env_valid_range("phase", s->phase, 0, w->drift ? INT32_MAX : 0));
    VLY_TRY(
        vly_env_valid_range("moves", (double)s->moves, 0, w->drift ? 1e9 * (double)w->drift : 0));
    return vly_env_valid_episode(s->step, s->ended, w->max_steps);
}

static void windy_close(vly_env *env) {
    if (env->world) vly_stream_free(&((world *)env->world)->gusts);
    vly_env_close_world(env);
}

static vly_status open_wind(world *w, const vly_env_args *args, const char *wind) {
    w->steady = strcmp(wind, "steady") == 0;
    if (w->steady) return VLY_OK;
    if (strcmp(wind, "gusts") == 0) {
        w->gusts = (vly_stream_source){.levels = GUSTS, .chain = any_gust};
        return VLY_OK;
    }
    VLY_TRY(vly_stream_read(&w->gusts, args, wind, -1, 1));
    for (int i = 0; i < w->gusts.rows; i++)
        if (w->gusts.value[i] != rint(w->gusts.value[i]))
            return vly_fail(VLY_EINVAL, "windy: %s: row %d is %g, not -1, 0 or 1", wind, i + 1,
                            w->gusts.value[i]);
    return VLY_OK;
}

static const char *const names[] = {"up",         "right",     "down",    "left", "up right",
                                    "down right", "down left", "up left", "stay"};
static const char *const info_names[] = {"gust", "phase"};

vly_status vly_windy_open(vly_env *env, const vly_env_args *args) {
    double moves = 4, shown = 0, drift = 0;
    char wind[512] = "steady";
    const vly_env_key keys[] = {VLY_KEY_WHOLE("moves", &moves, 4, 9),
                                VLY_KEY_WHOLE("shown", &shown, 0, 1),
                                VLY_KEY_WHOLE("drift", &drift, 0, 1e9), VLY_KEY_TEXT("wind", wind)};
    vly_env made;
    VLY_TRY(vly_env_options("windy", args, keys, 4));
    if (moves != 4 && moves != 8 && moves != 9)
        return vly_fail(VLY_EINVAL, "windy: moves=%g: 4, 8 (with diagonals) or 9 (and staying)",
                        moves);
    vly_env_begin(&made, "windy", (int)moves, sizeof(vly_windy));
    VLY_TRY(vly_env_world(&made, sizeof(world)));
    world *w = made.world;
    made.close = windy_close;
    w->max_steps = vly_env_limit(args, 0);
    w->shown = shown != 0;
    w->drift = (int64_t)drift;
    const vly_status status = open_wind(w, args, wind);
    if (status != VLY_OK) {
        windy_close(&made);
        return status;
    }
    made.states = w->shown ? CELLS * GUSTS : CELLS;
    vly_env_vector(&made, made.states);
    made.action.names = names;
    if (w->steady) made.return_target = moves == 4 ? -15.0f : -7.0f;
    made.reset = windy_reset, made.restart = windy_restart, made.step = windy_step;
    made.valid = windy_valid, made.state_index = windy_state;
    if (!w->gusts.value && !w->drift) made.model = windy_model;
    made.render = windy_render, made.describe = windy_describe;
    made.info_count = w->drift ? 2 : 1, made.info_names = info_names, made.info = windy_info;
    *env = made;
    return VLY_OK;
}
