#include "envs/deepsea.h"
#include <stdbool.h>
#include <stdio.h>
#include "common/base/philox.h"
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"

enum { SIZE_MOST = 50 };

typedef struct {
    int32_t size, max_steps;
    uint8_t right[SIZE_MOST * SIZE_MOST]; /* the action that goes right */
} world;

static int sea_cell(const world *w, int row, int column) {
    return row * w->size + column;
}

static void write_sea(const vly_env *env, const vly_deepsea *s, uint8_t *obs) {
    const world *w = env->world;
    if (s->row < w->size)
        vly_one_hot(obs, env->states, sea_cell(w, s->row, s->column));
    else
        memset(obs, 0, env->obs.bytes);
}

static void start_dive(const vly_env *env, void *state, vly_rows at) {
    vly_deepsea *s = state;
    memset(s, 0, sizeof *s);
    write_sea(env, s, at.obs);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void deepsea_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)seed; /* nothing is left to chance */
    start_dive(env, state, at);
}

/* From a cell; returns the reward. */
static double dive(const world *w, int row, int *column, int action) {
    const bool right = action == w->right[sea_cell(w, row, *column)];
    const double treasure = right && *column == w->size - 1 ? 1.0 : 0.0;
    const int to = *column + (right ? 1 : -1);
    *column = to < 0 ? 0 : to >= w->size ? w->size - 1 : to;
    return right ? treasure - 0.01 / w->size : treasure;
}

static void deepsea_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    const world *w = env->world;
    vly_deepsea *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_dive(env, s, at);
            continue;
        }
        int column = s->column;
        const double reward = dive(w, s->row, &column, action[i]);
        s->column = column;
        const int bottom = ++s->row == w->size, late = s->row == w->max_steps;
        s->ended = bottom | late;
        write_sea(env, s, at.obs);
        vly_row_write(at, (float)reward, vly_row_flags(bottom, late));
    }
}

/* At the bottom the cell above: the state after the last row has no number. */
static int deepsea_state(const vly_env *env, const void *state) {
    const world *w = env->world;
    const vly_deepsea *s = state;
    return sea_cell(w, s->row < w->size ? s->row : w->size - 1, s->column);
}

static int deepsea_model(const vly_env *env, int state, int action, vly_outcome *out, int max) {
    const world *w = env->world;
    const int row = state / w->size;
    int column = state % w->size;
    if (max < 1) return 0;
    const double reward = dive(w, row, &column, action);
    const bool bottom = row + 1 == w->size;
    *out = (vly_outcome){1.0, (double)(float)reward, bottom ? state : sea_cell(w, row + 1, column),
                         bottom};
    return 1;
}

static void deepsea_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                           int *height) {
    const world *w = env->world;
    const vly_deepsea *s = state;
    const int cell = 400 / w->size, side = cell * w->size;
    *width = *height = side;
    if (!rgb) return;
    vly_canvas c = {rgb, side, side};
    vly_draw_clear(&c, VLY_RGB(20, 60, 110));
    vly_draw_box(&c, side - cell, side - cell, side, side, VLY_RGB(220, 190, 60));
    const int row = s->row < w->size ? s->row : w->size - 1;
    vly_draw_disc(&c, (s->column + 0.5) * cell, (row + 0.5) * cell, cell / 2.5,
                  VLY_RGB(240, 240, 240));
}

static void deepsea_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const vly_deepsea *s = state;
    snprintf(text, bytes, "row %d  column %d", s->row, s->column);
}

static vly_status deepsea_valid(const vly_env *env, const void *state) {
    const world *w = env->world;
    const vly_deepsea *s = state;
    VLY_TRY(vly_env_valid_range("column", s->column, 0, w->size - 1));
    VLY_TRY(vly_env_valid_range("ended", s->ended, 0, 1));
    return vly_env_valid_range("row", s->row, 0, s->ended ? w->size : w->size - 1);
}

vly_status vly_deepsea_open(vly_env *env, const vly_env_args *args) {
    double size = 10, mapping = 1;
    const vly_env_key keys[] = {VLY_KEY_WHOLE("size", &size, 2, SIZE_MOST),
                                VLY_KEY_WHOLE("mapping", &mapping, 0, 1e9)};
    VLY_TRY(vly_env_options("deepsea", args, keys, 2));
    vly_env_begin(env, "deepsea", 2, sizeof(vly_deepsea));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    world *w = env->world;
    w->size = (int32_t)size;
    w->max_steps = vly_env_limit(args, 0);
    for (int i = 0; i < w->size * w->size; i++) {
        const vly_u32x4 random = vly_philox((uint64_t)mapping, VLY_STREAM_ENV, (uint64_t)i, 0);
        w->right[i] = mapping < 1 ? 1 : random.v[0] & 1;
    }
    env->states = w->size * w->size;
    vly_env_vector(env, env->states);
    env->return_target = 0.99f;
    env->reset = deepsea_reset, env->restart = start_dive, env->step = deepsea_step;
    env->valid = deepsea_valid, env->state_index = deepsea_state, env->model = deepsea_model;
    env->render = deepsea_render, env->describe = deepsea_describe;
    return VLY_OK;
}
