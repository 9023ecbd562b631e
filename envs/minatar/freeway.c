/* freeway.c -- a chicken crosses eight lanes of cars, 1 point each time, for 2500 frames. */
#include "envs/minatar/minatar.h"

enum { CHICKEN, CAR, SPEED_1, CHANNELS = 7 };
enum { CARS = 8, COLUMN = 4, PLAYER_SPEED = 3, TIME_LIMIT = 2500 };

/* Car i drives in row i + 1; speed is -5 .. 5 without 0: frames to wait, its sign the direction. */
typedef struct {
    int8_t x[CARS], timer[CARS], speed[CARS];
    int8_t pos, move_timer;
    int32_t time_left;
} freeway;

static void new_speeds(freeway *g, vly_mt19937 *rng) {
    for (int i = 0; i < CARS; i++) g->timer[i] = (int8_t)(1 + vly_mt19937_below(rng, 5));
    for (int i = 0; i < CARS; i++) {
        const int right = vly_mt19937_double(rng) - 0.5 > 0;
        g->speed[i] = (int8_t)(right ? g->timer[i] : -g->timer[i]);
    }
}

static void freeway_start(void *game, vly_mt19937 *rng) {
    freeway *g = game;
    new_speeds(g, rng);
    g->pos = 9;
    g->move_timer = PLAYER_SPEED;
    g->time_left = TIME_LIMIT;
}

static void move_car(freeway *g, int i) {
    const int row = i + 1;
    if (g->x[i] == COLUMN && row == g->pos) g->pos = 9;
    if (g->timer[i]) {
        g->timer[i]--;
        return;
    }
    const int right = g->speed[i] > 0, x = g->x[i] + (right ? 1 : -1);
    g->timer[i] = right ? g->speed[i] : (int8_t)-g->speed[i];
    g->x[i] = (int8_t)(x < 0 ? 9 : x > 9 ? 0 : x);
    if (g->x[i] == COLUMN && row == g->pos) g->pos = 9;
}

static vly_minatar_step freeway_act(void *game, vly_mt19937 *rng, int action, int ramping) {
    (void)ramping;
    freeway *g = game;
    vly_minatar_step out = {0, 0};
    if ((action == MINATAR_UP || action == MINATAR_DOWN) && g->move_timer == 0) {
        g->move_timer = PLAYER_SPEED;
        g->pos = (int8_t)(action == MINATAR_UP ? minatar_max(0, g->pos - 1)
                                               : minatar_min(9, g->pos + 1));
    }
    if (g->pos == 0) {
        out.reward = 1;
        new_speeds(g, rng);
        g->pos = 9;
    }
    for (int i = 0; i < CARS; i++) move_car(g, i);
    if (g->move_timer > 0) g->move_timer--;
    out.terminal = --g->time_left < 0;
    return out;
}

static void freeway_observe(const void *game, uint8_t *obs) {
    const freeway *g = game;
    minatar_set(obs, CHANNELS, g->pos, COLUMN, CHICKEN);
    for (int i = 0; i < CARS; i++) {
        const int right = g->speed[i] > 0, wait = right ? g->speed[i] : -g->speed[i];
        const int back = g->x[i] + (right ? -1 : 1);
        minatar_set(obs, CHANNELS, i + 1, g->x[i], CAR);
        minatar_set(obs, CHANNELS, i + 1, back < 0 ? 9 : back > 9 ? 0 : back, SPEED_1 + wait - 1);
    }
}

static vly_status freeway_valid(const void *game, int ended) {
    const freeway *g = game;
    for (int i = 0; i < CARS; i++) {
        MINATAR_RANGE(g, x[i], 0, 9);
        MINATAR_RANGE(g, timer[i], 0, 5);
        MINATAR_RANGE(g, speed[i], -5, g->speed[i] == 0 ? -1 : 5);
    }
    MINATAR_RANGE(g, pos, 0, 9);
    MINATAR_RANGE(g, move_timer, 0, PLAYER_SPEED);
    MINATAR_RANGE(g, time_left, ended ? -1 : 0, TIME_LIMIT);
    return VLY_OK;
}

vly_status vly_minatar_freeway_open(vly_env *env, const vly_env_args *args) {
    static const vly_minatar_game game = {
        "minatar/freeway", CHANNELS,    sizeof(freeway), "024",
        freeway_start,     freeway_act, freeway_observe, freeway_valid};
    return vly_minatar_open(env, &game, args);
}
