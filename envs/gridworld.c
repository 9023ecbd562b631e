#include "envs/gridworld.h"
#include <stdio.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"

enum { LONGEST = 32, MOST_CELLS = LONGEST * LONGEST };

typedef struct {
    int32_t rows, columns, start, max_steps;
    double slip;
    float cost;
    char cell[MOST_CELLS];
    int32_t next[MOST_CELLS][4]; /* where a move that does not slip leads */
    int32_t distance[MOST_CELLS];
} world;

static void start_walk(const world *w, vly_gridworld *s, vly_rows at) {
    s->cell = w->start;
    s->step = s->ended = 0;
    vly_one_hot(at.obs, w->rows * w->columns, s->cell);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void gridworld_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    vly_gridworld *s = state;
    memset(s, 0, sizeof *s);
    vly_pcg64_seed(&s->rng, seed);
    start_walk(env->world, s, at);
}

static void gridworld_restart(const vly_env *env, void *state, vly_rows at) {
    start_walk(env->world, state, at);
}

static int slipped(const world *w, vly_gridworld *s, int action) {
    if (w->slip == 0) return action;
    const double u = vly_pcg64_double(&s->rng);
    return (action + (u < w->slip / 2 ? 3 : u < w->slip ? 1 : 0)) & 3;
}

static float reward_of(const world *w, int cell) {
    return w->cell[cell] == 'G' ? 1.0f : w->cell[cell] == 'P' ? -1.0f : -w->cost;
}

static int is_end(const world *w, int cell) {
    return w->cell[cell] == 'G' || w->cell[cell] == 'P';
}

static int gridworld_model(const vly_env *env, int state, int action, vly_outcome *out, int max) {
    const world *w = env->world;
    const double chance[3] = {1 - w->slip, w->slip / 2, w->slip / 2};
    const int n = w->slip > 0 ? 3 : 1;
    for (int i = 0; i < n && i < max; i++) {
        const int to = w->next[state][(action + (i == 1 ? 3 : i == 2 ? 1 : 0)) & 3];
        const vly_outcome o = {chance[i], reward_of(w, to), to, is_end(w, to)};
        out[i] = o;
    }
    return n < max ? n : max;
}

static void gridworld_step(const vly_env *env, void *states, int n, vly_actions actions,
                           vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    const world *w = env->world;
    vly_gridworld *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_walk(w, s, at);
            continue;
        }
        s->cell = w->next[s->cell][slipped(w, s, action[i])];
        const int over = is_end(w, s->cell), late = ++s->step == w->max_steps;
        s->ended = over | late;
        vly_one_hot(at.obs, env->states, s->cell);
        vly_row_write(at, reward_of(w, s->cell), vly_row_flags(over, late));
    }
}

static int gridworld_state(const vly_env *env, const void *state) {
    (void)env;
    return ((const vly_gridworld *)state)->cell;
}

static void gridworld_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                             int *height) {
    const world *w = env->world;
    const vly_gridworld *s = state;
    const int cell = w->columns > 16 || w->rows > 16 ? 16 : 40;
    *width = w->columns * cell, *height = w->rows * cell;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    vly_draw_clear(&c, VLY_RGB(120, 120, 120));
    for (int i = 0; i < w->rows * w->columns; i++) {
        const int x = i % w->columns * cell, y = i / w->columns * cell;
        const char what = w->cell[i];
        const uint32_t colour = what == '#'   ? VLY_RGB(70, 70, 80)
                                : what == 'G' ? VLY_RGB(120, 190, 90)
                                : what == 'P' ? VLY_RGB(190, 80, 60)
                                : what == 'S' ? VLY_RGB(200, 200, 160)
                                              : VLY_RGB(225, 225, 215);
        vly_draw_box(&c, x + 1, y + 1, x + cell - 1, y + cell - 1, colour);
    }
    vly_draw_disc(&c, (s->cell % w->columns + 0.5) * cell, (s->cell / w->columns + 0.5) * cell,
                  cell / 3.0, VLY_RGB(40, 90, 200));
}

static void gridworld_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    const world *w = env->world;
    const vly_gridworld *s = state;
    snprintf(text, bytes, "step %d  row %d column %d, %d to go", s->step, s->cell / w->columns,
             s->cell % w->columns, w->distance[s->cell]);
}

static vly_status gridworld_valid(const vly_env *env, const void *state) {
    const world *w = env->world;
    const vly_gridworld *s = state;
    VLY_TRY(vly_env_valid_range("cell", s->cell, 0, env->states - 1));
    return vly_env_valid_episode(s->step, s->ended, w->max_steps);
}

static void built_in_maze(world *w, int size) {
    w->rows = w->columns = size;
    for (int i = 0; i < size * size; i++) {
        const int wall = size > 2 && i % size == size / 2 && i / size < size - 1;
        w->cell[i] = wall ? '#' : '.';
    }
    w->cell[0] = 'S';
    w->cell[size - 1] = 'G';
}

static vly_status read_map(world *w, const char *map) {
    int cells = 0, column = 0;
    w->rows = 1, w->columns = 0;
    for (const char *p = map; *p; p++) {
        if (*p == '/') {
            if (w->rows == 1) w->columns = column;
            if (column != w->columns || column == 0)
                return vly_fail(VLY_EINVAL, "gridworld: map row %d has %d cells, the first row %d",
                                w->rows, column, w->columns);
            column = 0;
            if (++w->rows > LONGEST)
                return vly_fail(VLY_EINVAL, "gridworld: the map has more than %d rows", LONGEST);
            continue;
        }
        if (!strchr("SG#P.", *p))
            return vly_fail(VLY_EINVAL, "gridworld: '%c' in the map is not one of S G # P . /", *p);
        if (++column > LONGEST)
            return vly_fail(VLY_EINVAL, "gridworld: map row %d has more than %d cells", w->rows,
                            LONGEST);
        w->cell[cells++] = *p;
    }
    if (w->rows == 1) w->columns = column;
    if (column != w->columns)
        return vly_fail(VLY_EINVAL, "gridworld: map row %d has %d cells, the first row %d", w->rows,
                        column, w->columns);
    return VLY_OK;
}

static int target(const world *w, int cell, int direction) {
    static const int down[4] = {-1, 0, 1, 0}, right[4] = {0, 1, 0, -1};
    const int row = cell / w->columns + down[direction];
    const int column = cell % w->columns + right[direction];
    if (row < 0 || row >= w->rows || column < 0 || column >= w->columns) return cell;
    const int to = row * w->columns + column;
    return w->cell[to] == '#' ? cell : to;
}

/* Breadth first from the goals; moves are reversible except out of goals and pits. */
static void fill_distances(world *w) {
    int32_t queue[MOST_CELLS];
    int head = 0, tail = 0;
    for (int i = 0; i < w->rows * w->columns; i++) {
        w->distance[i] = w->cell[i] == 'G' ? 0 : -1;
        if (w->cell[i] == 'G') queue[tail++] = i;
        for (int d = 0; d < 4; d++) w->next[i][d] = target(w, i, d);
    }
    while (head < tail) {
        const int cell = queue[head++];
        for (int d = 0; d < 4; d++) {
            const int from = w->next[cell][d];
            if (w->distance[from] >= 0 || w->cell[from] == 'P') continue;
            w->distance[from] = w->distance[cell] + 1;
            queue[tail++] = from;
        }
    }
}

static vly_status find_start(world *w) {
    int starts = 0, goals = 0;
    for (int i = 0; i < w->rows * w->columns; i++) {
        if (w->cell[i] == 'S') w->start = i, starts++;
        goals += w->cell[i] == 'G';
    }
    if (starts != 1 || goals == 0)
        return vly_fail(VLY_EINVAL,
                        "gridworld: the map has %d S and %d G, it needs one S and at least one G",
                        starts, goals);
    fill_distances(w);
    if (w->distance[w->start] < 0)
        return vly_fail(VLY_EINVAL, "gridworld: no path leads from S to a G");
    return VLY_OK;
}

static vly_status fill_world(world *w, const vly_env_args *args) {
    double size = 5, slip = 0, cost = 0.01;
    char map[LONGEST * (LONGEST + 1) + 1] = "";
    const vly_env_key keys[] = {VLY_KEY_WHOLE("size", &size, 2, LONGEST),
                                VLY_KEY_REAL("slip", &slip, 0, 1),
                                VLY_KEY_REAL("cost", &cost, 0, 1), VLY_KEY_TEXT("map", map)};
    VLY_TRY(vly_env_options("gridworld", args, keys, 4));
    if (*map)
        VLY_TRY(read_map(w, map));
    else
        built_in_maze(w, (int)size);
    VLY_TRY(find_start(w));
    w->slip = slip;
    w->cost = (float)cost;
    w->max_steps = vly_env_limit(args, 4 * w->rows * w->columns);
    return VLY_OK;
}

vly_status vly_gridworld_open(vly_env *env, const vly_env_args *args) {
    vly_env_begin(env, "gridworld", 4, sizeof(vly_gridworld));
    VLY_TRY(vly_env_world(env, sizeof(world)));
    world *w = env->world;
    const vly_status status = fill_world(w, args);
    if (status != VLY_OK) {
        vly_env_close_world(env);
        return status;
    }
    env->states = w->rows * w->columns;
    vly_env_vector(env, env->states);
    if (w->slip == 0) env->return_target = 1.0f - w->cost * (float)(w->distance[w->start] - 1);
    env->reset = gridworld_reset;
    env->restart = gridworld_restart;
    env->valid = gridworld_valid;
    env->step = gridworld_step;
    env->state_index = gridworld_state;
    env->model = gridworld_model;
    env->render = gridworld_render;
    env->describe = gridworld_describe;
    return VLY_OK;
}

int vly_gridworld_distance(const vly_env *env, int cell) {
    const world *w = env->world;
    return cell >= 0 && cell < env->states ? w->distance[cell] : -1;
}
