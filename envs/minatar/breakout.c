/* breakout.c -- a paddle keeps a ball in play that breaks three rows of bricks, 1 point each. */
#include "envs/minatar/minatar.h"

enum { PADDLE, BALL, TRAIL, BRICK, CHANNELS };
/* Directions of the ball: 0 up left, 1 up right, 2 down right, 3 down left. */

typedef struct {
    int8_t ball_x, ball_y, ball_dir, last_x, last_y, pos, strike;
    uint16_t brick[MINATAR_SIDE]; /* rows of bits; only rows 1, 2 and 3 are ever set */
} breakout;

static void new_wall(breakout *g) {
    for (int y = 1; y < 4; y++) g->brick[y] = 0x3ff;
}

static void breakout_start(void *game, vly_mt19937 *rng) {
    breakout *g = game;
    const int right = vly_mt19937_below(rng, 2) != 0;
    g->ball_x = right ? 9 : 0, g->ball_y = 3, g->ball_dir = right ? 3 : 2;
    g->last_x = g->ball_x, g->last_y = g->ball_y;
    g->pos = 4;
    new_wall(g);
}

static int8_t mirror_x(int dir) {
    return (int8_t)(dir ^ 1);
}
static int8_t mirror_y(int dir) {
    return (int8_t)(3 - dir);
}
static int8_t reverse(int dir) {
    return (int8_t)((dir + 2) & 3);
}

/* The ball arrives in row 9 of column x: returns whether it is lost. */
static int bounce(breakout *g, int x, int *y) {
    if (!(g->brick[1] | g->brick[2] | g->brick[3])) new_wall(g);
    if (g->ball_x == g->pos)
        g->ball_dir = mirror_y(g->ball_dir);
    else if (x == g->pos)
        g->ball_dir = reverse(g->ball_dir);
    else
        return 1;
    *y = g->last_y;
    return 0;
}

static vly_minatar_step breakout_act(void *game, vly_mt19937 *rng, int action, int ramping) {
    (void)rng, (void)ramping;
    breakout *g = game;
    vly_minatar_step out = {0, 0};
    if (action == MINATAR_LEFT)
        g->pos = (int8_t)minatar_max(0, g->pos - 1);
    else if (action == MINATAR_RIGHT)
        g->pos = (int8_t)minatar_min(9, g->pos + 1);

    g->last_x = g->ball_x, g->last_y = g->ball_y;
    int x = g->ball_x + (g->ball_dir == 1 || g->ball_dir == 2 ? 1 : -1);
    int y = g->ball_y + (g->ball_dir >= 2 ? 1 : -1);
    if (x < 0 || x > 9) {
        x = x < 0 ? 0 : 9;
        g->ball_dir = mirror_x(g->ball_dir);
    }
    int struck = 0;
    if (y < 0) {
        y = 0;
        g->ball_dir = mirror_y(g->ball_dir);
    } else if (g->brick[y] >> x & 1) {
        struck = 1;
        if (!g->strike) {
            out.reward = 1;
            g->strike = 1;
            g->brick[y] &= (uint16_t) ~(1u << x);
            y = g->last_y;
            g->ball_dir = mirror_y(g->ball_dir);
        }
    } else if (y == 9) {
        out.terminal = bounce(g, x, &y);
    }
    if (!struck) g->strike = 0;
    g->ball_x = (int8_t)x, g->ball_y = (int8_t)y;
    return out;
}

static void breakout_observe(const void *game, uint8_t *obs) {
    const breakout *g = game;
    minatar_set(obs, CHANNELS, g->ball_y, g->ball_x, BALL);
    minatar_set(obs, CHANNELS, 9, g->pos, PADDLE);
    minatar_set(obs, CHANNELS, g->last_y, g->last_x, TRAIL);
    for (int y = 1; y < 4; y++)
        for (int x = 0; x < MINATAR_SIDE; x++)
            obs[(y * MINATAR_SIDE + x) * CHANNELS + BRICK] = g->brick[y] >> x & 1;
}

static vly_status breakout_valid(const void *game, int ended) {
    const breakout *g = game;
    MINATAR_RANGE(g, ball_x, 0, 9);
    MINATAR_RANGE(g, ball_y, 0, ended ? 9 : 8); /* a ball in the last row is lost */
    MINATAR_RANGE(g, ball_dir, 0, 3);
    MINATAR_RANGE(g, last_x, 0, 9);
    MINATAR_RANGE(g, last_y, 0, 8);
    MINATAR_RANGE(g, pos, 0, 9);
    MINATAR_RANGE(g, strike, 0, 1);
    for (int y = 0; y < MINATAR_SIDE; y++)
        MINATAR_RANGE(g, brick[y], 0, y >= 1 && y < 4 ? 0x3ff : 0);
    return VLY_OK;
}

vly_status vly_minatar_breakout_open(vly_env *env, const vly_env_args *args) {
    static const vly_minatar_game game = {
        "minatar/breakout", CHANNELS,     sizeof(breakout), "013",
        breakout_start,     breakout_act, breakout_observe, breakout_valid};
    return vly_minatar_open(env, &game, args);
}
