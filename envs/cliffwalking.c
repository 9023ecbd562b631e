#include "envs/cliffwalking.h"
#include <stdio.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"

typedef struct {
    int32_t max_steps, slippery;
} world;

enum { ROWS = 4, COLUMNS = 12, CELLS = ROWS * COLUMNS, START = 36, GOAL = 47 };

static int is_cliff(int cell) {
    return cell > START && cell < GOAL;
}

static void start_cliff(vly_cliffwalking *s, vly_rows at) {
    (void)vly_pcg64_next(&s->rng); /* the reference draws the one start state there is */
    s->cell = START;
    s->step = s->ended = 0;
    vly_one_hot(at.obs, CELLS, s->cell);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void cliffwalking_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    (void)env;
    vly_cliffwalking *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_cliff(s, at);
}

static void cliffwalking_restart(const vly_env *env, void *state, vly_rows at) {
    (void)env;
    start_cliff(state, at);
}

/* Where the ice leads: to the left of the intended direction, ahead, to the right. The bounds
 * are the reference's running sum of 1/3. */
static int slip(double u, int action) {
    const double third = 1.0 / 3.0;
    return (action + (u < third ? 3 : u < third + third ? 0 : 1)) & 3;
}

static int neighbour(int cell, int direction) {
    const int row = cell / COLUMNS, column = cell % COLUMNS;
    switch (direction) {
    case 0: return row > 0 ? cell - COLUMNS : cell;
    case 1: return column < COLUMNS - 1 ? cell + 1 : cell;
    case 2: return row < ROWS - 1 ? cell + COLUMNS : cell;
    default: return column > 0 ? cell - 1 : cell;
    }
}

static int cliffwalking_model(const vly_env *env, int state, int action, vly_outcome *out,
                              int max) {
    const world *w = env->world;
    const int n = w->slippery ? 3 : 1;
    for (int i = 0; i < n && i < max; i++) {
        const int to = neighbour(state, (action + (n == 1 ? 0 : i + 3)) & 3);
        const vly_outcome o = {1.0 / n, is_cliff(to) ? -100.0 : -1.0, is_cliff(to) ? START : to,
                               to == GOAL};
        out[i] = o;
    }
    return n < max ? n : max;
}

/* Returns the reward. */
static float walk(const world *w, vly_cliffwalking *s, int action) {
    const double u = vly_pcg64_double(&s->rng); /* drawn on firm ground too, as in the reference */
    s->cell = neighbour(s->cell, w->slippery ? slip(u, action) : action);
    if (!is_cliff(s->cell)) return -1.0f;
    s->cell = START;
    return -100.0f;
}

static void cliffwalking_step(const vly_env *env, void *states, int n, vly_actions actions,
                              vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    const world *w = env->world;
    vly_cliffwalking *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_cliff(s, at);
            continue;
        }
        const float reward = walk(w, s, action[i]);
        const int there = s->cell == GOAL, late = ++s->step == w->max_steps;
        s->ended = there | late;
        vly_one_hot(at.obs, CELLS, s->cell);
        vly_row_write(at, reward, vly_row_flags(there, late));
    }
}

static int cliffwalking_state(const vly_env *env, const void *state) {
    (void)env;
    return ((const vly_cliffwalking *)state)->cell;
}

static void cliffwalking_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                                int *height) {
    (void)env;
    enum { CELL = 40 };
    const vly_cliffwalking *s = state;
    *width = COLUMNS * CELL, *height = ROWS * CELL;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    vly_draw_clear(&c, VLY_RGB(120, 120, 120));
    for (int cell = 0; cell < CELLS; cell++) {
        const int x = cell % COLUMNS * CELL, y = cell / COLUMNS * CELL;
        const uint32_t colour = is_cliff(cell)  ? VLY_RGB(60, 40, 30)
                                : cell == GOAL  ? VLY_RGB(120, 190, 90)
                                : cell == START ? VLY_RGB(200, 200, 160)
                                                : VLY_RGB(225, 225, 215);
        vly_draw_box(&c, x + 1, y + 1, x + CELL - 1, y + CELL - 1, colour);
    }
    vly_draw_disc(&c, (s->cell % COLUMNS + 0.5) * CELL, (s->cell / COLUMNS + 0.5) * CELL, 13,
                  VLY_RGB(40, 90, 200));
}

static void cliffwalking_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    (void)env;
    const vly_cliffwalking *s = state;
    snprintf(text, bytes, "step %d  row %d column %d", s->step, s->cell / COLUMNS,
             s->cell % COLUMNS);
}

static vly_status cliffwalking_valid(const vly_env *env, const void *state) {
    const vly_cliffwalking *s = state;
    VLY_TRY(vly_env_valid_range("cell", s->cell, 0, CELLS - 1));
    return vly_env_valid_episode(s->step, s->ended, ((const world *)env->world)->max_steps);
}

vly_status vly_cliffwalking_open(vly_env *env, const vly_env_args *args) {
    double slippery = 0;
    const vly_env_key keys[] = {VLY_KEY_WHOLE("slippery", &slippery, 0, 1)};
    VLY_TRY(vly_env_options("cliffwalking", args, keys, 1));
    vly_env_begin(env, "cliffwalking", 4, sizeof(vly_cliffwalking));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    world *w = env->world;
    w->max_steps = vly_env_limit(args, 0);
    w->slippery = slippery != 0;
    vly_env_vector(env, CELLS);
    env->states = CELLS;
    if (!w->slippery) env->return_target = -13.0f;
    env->reset = cliffwalking_reset;
    env->restart = cliffwalking_restart;
    env->valid = cliffwalking_valid;
    env->step = cliffwalking_step;
    env->state_index = cliffwalking_state;
    env->model = cliffwalking_model;
    env->render = cliffwalking_render;
    env->describe = cliffwalking_describe;
    return VLY_OK;
}
