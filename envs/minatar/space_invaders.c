/* space_invaders.c -- shoot down a block of aliens, 1 point each, before one of them or of their
 * bullets hits the cannon; every new wave moves faster. Maps are rows of bits. */
#include "envs/minatar/minatar.h"

enum { CANNON, ALIEN, ALIEN_LEFT, ALIEN_RIGHT, FRIENDLY_BULLET, ENEMY_BULLET, CHANNELS };
enum { SHOT_COOL_DOWN = 5, FIRST_MOVE_INTERVAL = 12, ENEMY_SHOT_INTERVAL = 10, ROW = 0x3ff };

typedef struct {
    uint16_t alien[MINATAR_SIDE], friendly[MINATAR_SIDE], enemy[MINATAR_SIDE];
    int8_t pos, alien_dir;
    int32_t move_interval, move_timer, alien_shot_timer, shot_timer;
} invaders;

static void new_wave(invaders *g) {
    for (int y = 0; y < 4; y++) g->alien[y] = 0x0fc;
}

static void invaders_start(void *game, vly_mt19937 *rng) {
    (void)rng;
    invaders *g = game;
    g->pos = 5;
    g->alien_dir = -1;
    g->move_interval = g->move_timer = FIRST_MOVE_INTERVAL;
    g->alien_shot_timer = ENEMY_SHOT_INTERVAL;
    new_wave(g);
}

static void shift_up(uint16_t *map) {
    memmove(map, map + 1, (MINATAR_SIDE - 1) * sizeof *map);
    map[MINATAR_SIDE - 1] = 0;
}

static void shift_down(uint16_t *map, uint16_t first) {
    memmove(map + 1, map, (MINATAR_SIDE - 1) * sizeof *map);
    map[0] = first;
}

static int count(const uint16_t *map) {
    int n = 0;
    for (int y = 0; y < MINATAR_SIDE; y++) n += __builtin_popcount(map[y]);
    return n;
}

static int all_rows(const uint16_t *map) {
    int bits = 0;
    for (int y = 0; y < MINATAR_SIDE; y++) bits |= map[y];
    return bits;
}

/* Returns whether the march ends the game. */
static int march(invaders *g) {
    int over = 0;
    const int columns = all_rows(g->alien), edge = g->alien_dir < 0 ? 1 : 1 << 9;
    g->move_timer = minatar_min(count(g->alien), g->move_interval);
    if (columns & edge) {
        g->alien_dir = (int8_t)-g->alien_dir;
        over = g->alien[9] != 0;
        shift_down(g->alien, g->alien[9]); /* the reference rolls the map round */
    } else {
        for (int y = 0; y < MINATAR_SIDE; y++)
            g->alien[y] = (uint16_t)(g->alien_dir < 0 ? g->alien[y] >> 1
                                                      : (g->alien[y] << 1) & ROW);
    }
    return over | (g->alien[9] >> g->pos & 1);
}

/* The lowest alien of the column nearest to the cannon; the left one of two. */
static void alien_shoots(invaders *g) {
    const int columns = all_rows(g->alien);
    for (int away = 0; away < MINATAR_SIDE; away++) {
        const int left = g->pos - away, right = g->pos + away;
        const int x = left >= 0 && columns >> left & 1 ? left : right;
        if (x > 9 || !(columns >> x & 1)) continue;
        int y = MINATAR_SIDE - 1;
        while (!(g->alien[y] >> x & 1)) y--;
        g->enemy[y] |= (uint16_t)(1u << x);
        return;
    }
}

static int kill_aliens(invaders *g) {
    int killed = 0;
    for (int y = 0; y < MINATAR_SIDE; y++) {
        const uint16_t hit = g->alien[y] & g->friendly[y];
        killed += __builtin_popcount(hit);
        g->alien[y] ^= hit, g->friendly[y] ^= hit;
    }
    return killed;
}

static vly_minatar_step invaders_act(void *game, vly_mt19937 *rng, int action, int ramping) {
    (void)rng;
    invaders *g = game;
    vly_minatar_step out = {0, 0};
    if (action == MINATAR_FIRE && g->shot_timer == 0) {
        g->friendly[9] |= (uint16_t)(1u << g->pos);
        g->shot_timer = SHOT_COOL_DOWN;
    } else if (action == MINATAR_LEFT) {
        g->pos = (int8_t)minatar_max(0, g->pos - 1);
    } else if (action == MINATAR_RIGHT) {
        g->pos = (int8_t)minatar_min(9, g->pos + 1);
    }
    shift_up(g->friendly);
    shift_down(g->enemy, 0);
    out.terminal = (g->enemy[9] | g->alien[9]) >> g->pos & 1;
    if (g->move_timer == 0) out.terminal |= march(g);
    if (g->alien_shot_timer == 0) {
        g->alien_shot_timer = ENEMY_SHOT_INTERVAL;
        alien_shoots(g);
    }
    out.reward = kill_aliens(g);
    if (g->shot_timer > 0) g->shot_timer--;
    g->move_timer--;
    g->alien_shot_timer--;
    if (!all_rows(g->alien)) {
        if (g->move_interval > 6 && ramping) g->move_interval--;
        new_wave(g);
    }
    return out;
}

static void observe_map(const uint16_t *map, uint8_t *obs, int channel) {
    for (int y = 0; y < MINATAR_SIDE; y++)
        for (unsigned row = map[y]; row; row &= row - 1)
            minatar_set(obs, CHANNELS, y, __builtin_ctz(row), channel);
}

static void invaders_observe(const void *game, uint8_t *obs) {
    const invaders *g = game;
    minatar_set(obs, CHANNELS, 9, g->pos, CANNON);
    observe_map(g->alien, obs, ALIEN);
    observe_map(g->alien, obs, g->alien_dir < 0 ? ALIEN_LEFT : ALIEN_RIGHT);
    observe_map(g->friendly, obs, FRIENDLY_BULLET);
    observe_map(g->enemy, obs, ENEMY_BULLET);
}

static vly_status invaders_valid(const void *game, int ended) {
    const invaders *g = game;
    (void)ended;
    for (int y = 0; y < MINATAR_SIDE; y++) {
        MINATAR_RANGE(g, alien[y], 0, ROW);
        MINATAR_RANGE(g, friendly[y], 0, ROW);
        MINATAR_RANGE(g, enemy[y], 0, ROW);
    }
    MINATAR_RANGE(g, pos, 0, 9);
    MINATAR_RANGE(g, alien_dir, -1, g->alien_dir == 0 ? -1 : 1);
    MINATAR_RANGE(g, move_interval, 6, FIRST_MOVE_INTERVAL);
    MINATAR_RANGE(g, move_timer, 0, FIRST_MOVE_INTERVAL);
    MINATAR_RANGE(g, alien_shot_timer, 0, ENEMY_SHOT_INTERVAL);
    MINATAR_RANGE(g, shot_timer, 0, SHOT_COOL_DOWN);
    return VLY_OK;
}

vly_status vly_minatar_space_invaders_open(vly_env *env, const vly_env_args *args) {
    static const vly_minatar_game game = {
        "minatar/space_invaders", CHANNELS,     sizeof(invaders), "0135",
        invaders_start,           invaders_act, invaders_observe, invaders_valid};
    return vly_minatar_open(env, &game, args);
}
