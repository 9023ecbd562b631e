#include "envs/storage.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "envs/draw.h"
#include "envs/env_options.h"
#include "envs/episode.h"

enum { UNITS = 10, LEVELS = 7, DAY = 24, HOURS_MOST = 24 * 366, BEGIN_UNITS = 5 };
enum { MOST = 2, ACTIONS = 2 * MOST + 1 }; /* units that an hour moves */

static const double efficiency = 0.95, wear = 1.0, reward_unit = 100.0;

/* What the best policy earns from one hour on. */
typedef struct {
    double at[UNITS + 1];
} unit_values;

typedef struct {
    int32_t hours, hidden, max_steps;
    vly_stream_source prices;
    double chain[LEVELS * LEVELS];
    unit_values *best; /* (hours + 1, LEVELS); NULL with prices of a file */
} world;

/* The mean price of each hour of the day: low at night, dear in the morning and the evening. */
static const double mean_price[DAY] = {28, 25, 23, 22, 23, 28, 38, 50, 54, 48, 42, 38,
                                       35, 33, 34, 38, 46, 58, 66, 62, 52, 44, 37, 32};
/* What a level multiplies it by. */
static const double factor[LEVELS] = {0.40, 0.60, 0.80, 1.00, 1.25, 1.60, 2.20};

/* Towards the middle more often than away from it. */
static void fill_chain(double *chain) {
    for (int from = 0; from < LEVELS; from++) {
        double *to = chain + from * LEVELS;
        const double back = 0.10 + 0.06 * abs(from - LEVELS / 2), away = 0.10;
        const bool low = from < LEVELS / 2, middle = from == LEVELS / 2;
        const double up = middle || !low ? away : back, down = middle || low ? away : back;
        for (int i = 0; i < LEVELS; i++) to[i] = 0;
        if (from + 1 < LEVELS) to[from + 1] = up;
        if (from > 0) to[from - 1] = down;
        to[from] = 1 - (from + 1 < LEVELS ? up : 0) - (from > 0 ? down : 0);
    }
}

static double price_at(const world *w, int hour, int at) {
    return w->prices.value ? w->prices.value[at] : mean_price[hour % DAY] * factor[at];
}

static double price_now(const world *w, const vly_storage *s) {
    return price_at(w, s->step, s->prices.at);
}

/* Of so many units bought, negative: sold, as a reward. */
static double gain_of(int moved, double price) {
    if (moved >= 0) return -moved * (price / efficiency + wear) / reward_unit;
    return -moved * (price * efficiency - wear) / reward_unit;
}

/* What the action earns at this price, and the units afterwards. */
static double trade(int *units, int action, double price) {
    const int wanted = *units + action - MOST;
    const int to = wanted < 0 ? 0 : wanted > UNITS ? UNITS : wanted, moved = to - *units;
    *units = to;
    return gain_of(moved, price);
}

static void write_storage_obs(const world *w, const vly_storage *s, uint8_t *obs) {
    const double hour = (w->prices.value ? s->prices.at : s->step) % DAY * 2 * M_PI / DAY;
    const float row[5] = {(float)s->units / UNITS, (float)sin(hour), (float)cos(hour),
                          1 - (float)s->step / (float)w->hours,
                          w->hidden ? 0.0f : (float)(price_now(w, s) / 50)};
    memcpy(obs, row, sizeof row);
}

static void start_week(const world *w, vly_storage *s, vly_rows at) {
    s->units = BEGIN_UNITS;
    s->step = s->ended = 0;
    s->earned = 0;
    write_storage_obs(w, s, at.obs);
    vly_row_write(at, 0.0f, VLY_ROW_RESET);
}

static void storage_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    const world *w = env->world;
    vly_storage *s = state;
    memset(s, 0, sizeof *s);
    vly_stream_begin(&w->prices, &s->prices, seed);
    start_week(w, s, at);
}

static void storage_restart(const vly_env *env, void *state, vly_rows at) {
    start_week(env->world, state, at);
}

static void storage_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    const world *w = env->world;
    vly_storage *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows at = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start_week(w, s, at);
            continue;
        }
        int units = s->units;
        const double reward = trade(&units, action[i], price_now(w, s));
        s->units = units;
        s->earned += reward;
        vly_stream_next(&w->prices, &s->prices);
        const int over = ++s->step == w->hours, late = s->step == w->max_steps;
        s->ended = over | late;
        write_storage_obs(w, s, at.obs);
        vly_row_write(at, (float)reward, vly_row_flags(over, late));
    }
}

/* ---- the optimum ---- */

/* Values of all units at this price, from those of the hour after it. A trade for which there is no
 * room or no energy is one of fewer units. */
static void best_trades(double price, const unit_values *after, unit_values *v) {
    double edged[UNITS + ACTIONS], gain[ACTIONS];
    for (int i = 0; i < UNITS + ACTIONS; i++) edged[i] = -INFINITY;
    memcpy(edged + MOST, after->at, sizeof after->at);
    for (int a = 0; a < ACTIONS; a++) gain[a] = gain_of(a - MOST, price);
    for (int u = 0; u <= UNITS; u++) v->at[u] = gain[0] + edged[u];
    for (int a = 1; a < ACTIONS; a++)
        for (int u = 0; u <= UNITS; u++) {
            const double value = gain[a] + edged[u + a];
            v->at[u] = value > v->at[u] ? value : v->at[u];
        }
}

static unit_values mean_after(const world *w, int hour, int level) {
    unit_values mean = {{0}};
    for (int to = 0; to < LEVELS; to++)
        for (int u = 0; u <= UNITS; u++)
            mean.at[u] += w->chain[level * LEVELS + to] * w->best[(hour + 1) * LEVELS + to].at[u];
    return mean;
}

static vly_status solve_chain(world *w) {
    w->best = calloc((size_t)(w->hours + 1) * LEVELS, sizeof *w->best);
    if (!w->best) return vly_fail(VLY_ENOMEM, "no memory for the values of %d hours", w->hours);
    for (int hour = w->hours - 1; hour >= 0; hour--)
        for (int level = 0; level < LEVELS; level++) {
            const unit_values after = mean_after(w, hour, level);
            best_trades(price_at(w, hour, level), &after, &w->best[hour * LEVELS + level]);
        }
    return VLY_OK;
}

static double optimum_of_rows(const world *w, const vly_storage *s) {
    unit_values v = {{0}};
    int row = (int)(((int64_t)s->prices.at + w->hours - s->step) % w->prices.rows);
    for (int hour = w->hours - 1; hour >= s->step; hour--) {
        row = row > 0 ? row - 1 : w->prices.rows - 1;
        best_trades(w->prices.value[row], &v, &v);
    }
    return v.at[s->units];
}

double vly_storage_optimum(const vly_env *env, const vly_storage *s) {
    const world *w = env->world;
    if (s->ended) return 0;
    return w->best ? w->best[s->step * LEVELS + s->prices.at].at[s->units] : optimum_of_rows(w, s);
}

static const char *const info_names[] = {"price", "units", "earned", "optimum"};

static void storage_info(const vly_env *env, const void *state, double *out) {
    const vly_storage *s = state;
    out[0] = price_now(env->world, s);
    out[1] = s->units;
    out[2] = s->earned;
    out[3] = vly_storage_optimum(env, s);
}

/* ---- to look at ---- */

static void storage_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                           int *height) {
    const world *w = env->world;
    const vly_storage *s = state;
    *width = 300, *height = 200;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    const double full = 160.0 * s->units / UNITS, price = fmin(price_now(w, s), 150.0);
    vly_draw_clear(&c, VLY_RGB(255, 255, 255));
    vly_draw_box(&c, 40, 18, 120, 182, VLY_RGB(60, 60, 60));
    vly_draw_box(&c, 42, 20, 118, 180, VLY_RGB(235, 235, 235));
    vly_draw_box(&c, 42, 180 - full, 118, 180, VLY_RGB(90, 180, 90));
    vly_draw_box(&c, 180, 180 - price, 240, 180, VLY_RGB(70, 110, 200));
    vly_draw_box(&c, 20, 188, 20 + 260.0 * s->step / w->hours, 192, VLY_RGB(120, 120, 120));
}

static void storage_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    const vly_storage *s = state;
    snprintf(text, bytes, "hour %d  units %d  price %.1f  earned %.2f", s->step, s->units,
             price_now(env->world, s), s->earned);
}

static vly_status storage_valid(const vly_env *env, const void *state) {
    const world *w = env->world;
    const vly_storage *s = state;
    VLY_TRY(vly_env_valid_range("units", s->units, 0, UNITS));
    VLY_TRY(vly_env_valid_range("earned", s->earned, -1e9, 1e9));
    VLY_TRY(vly_stream_valid(&w->prices, &s->prices));
    return vly_env_valid_episode(s->step, s->ended,
                                 w->hours < w->max_steps ? w->hours : w->max_steps);
}

static void storage_close(vly_env *env) {
    world *w = env->world;
    if (w) vly_stream_free(&w->prices), free(w->best);
    vly_env_close_world(env);
}

/* ---- opening ---- */

static vly_status open_prices(world *w, const vly_env_args *args, const char *prices) {
    if (*prices) return vly_stream_read(&w->prices, args, prices, 0, 10000);
    fill_chain(w->chain);
    w->prices = (vly_stream_source){.levels = LEVELS, .chain = w->chain};
    return solve_chain(w);
}

static const vly_bounds bounds[] = {{0, 1}, {-1, 1}, {-1, 1}, {0, 1}, {0, 3}};
static const char *const names[] = {"sell 2", "sell 1", "hold", "buy 1", "buy 2"};

vly_status vly_storage_open(vly_env *env, const vly_env_args *args) {
    double hours = 7 * DAY, hidden = 0;
    char prices[512] = "";
    const vly_env_key keys[] = {VLY_KEY_WHOLE("hours", &hours, 1, HOURS_MOST),
                                VLY_KEY_WHOLE("hidden", &hidden, 0, 1),
                                VLY_KEY_TEXT("prices", prices)};
    vly_env made;
    VLY_TRY(vly_env_options("storage", args, keys, 3));
    vly_env_begin(&made, "storage", ACTIONS, sizeof(vly_storage));
    VLY_TRY(vly_env_world(&made, sizeof(world)));
    world *w = made.world;
    made.close = storage_close;
    w->hours = (int32_t)hours;
    w->max_steps = vly_env_limit(args, 0);
    w->hidden = hidden != 0;
    const vly_status status = open_prices(w, args, prices);
    if (status != VLY_OK) {
        storage_close(&made);
        return status;
    }
    vly_env_vector(&made, 5);
    made.bounds = bounds;
    made.action.names = names;
    if (!w->prices.value) {
        const vly_storage middle = {.units = BEGIN_UNITS, .prices = {.at = LEVELS / 2}};
        made.return_target = (float)(0.95 * vly_storage_optimum(&made, &middle));
    }
    made.reset = storage_reset, made.restart = storage_restart, made.step = storage_step;
    made.valid = storage_valid, made.render = storage_render, made.describe = storage_describe;
    made.info_count = 4, made.info_names = info_names, made.info = storage_info;
    *env = made;
    return VLY_OK;
}
