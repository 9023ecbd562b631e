/* asterix.c -- collect gold, 1 point each, and avoid enemies; both cross the eight middle rows
 * and become faster and more frequent with time. */
#include "envs/minatar/minatar.h"

enum { PLAYER, ENEMY, TRAIL, GOLD, CHANNELS };
enum { SLOTS = 8, RAMP_INTERVAL = 100, FIRST_SPAWN_SPEED = 10, FIRST_MOVE_INTERVAL = 5 };

typedef struct {
    int8_t there, x, right, gold;
} entity; /* slot i lives in row i + 1 */

typedef struct {
    int8_t x, y;
    entity slot[SLOTS];
    int32_t spawn_speed, spawn_timer, move_speed, move_timer, ramp_timer, ramp_index;
} asterix;

static void asterix_start(void *game, vly_mt19937 *rng) {
    (void)rng;
    asterix *g = game;
    g->x = g->y = 5;
    g->spawn_speed = g->spawn_timer = FIRST_SPAWN_SPEED;
    g->move_speed = g->move_timer = FIRST_MOVE_INTERVAL;
    g->ramp_timer = RAMP_INTERVAL;
}

/* Into a random empty row; the side and the kind are drawn even when there is none. */
static void spawn(asterix *g, vly_mt19937 *rng) {
    const int right = vly_mt19937_double(rng) < 1.0 / 2, gold = vly_mt19937_double(rng) < 1.0 / 3;
    int empty[SLOTS];
    uint32_t n = 0;
    for (int i = 0; i < SLOTS; i++)
        if (!g->slot[i].there) empty[n++] = i;
    if (!n) return;
    const entity e = {1, right ? 0 : 9, (int8_t)right, (int8_t)gold};
    g->slot[empty[vly_mt19937_below(rng, n)]] = e;
}

static void move_player(asterix *g, int action) {
    switch (action) {
    case MINATAR_LEFT: g->x = (int8_t)minatar_max(0, g->x - 1); break;
    case MINATAR_RIGHT: g->x = (int8_t)minatar_min(9, g->x + 1); break;
    case MINATAR_UP: g->y = (int8_t)minatar_max(1, g->y - 1); break;
    case MINATAR_DOWN: g->y = (int8_t)minatar_min(8, g->y + 1); break;
    }
}

/* The only entity that can collide with the player is that of its row. */
static void meet(asterix *g, vly_minatar_step *out) {
    entity *e = &g->slot[g->y - 1];
    if (!e->there || e->x != g->x) return;
    if (e->gold)
        e->there = 0, out->reward++;
    else
        out->terminal = 1;
}

static void move_entities(asterix *g) {
    for (int i = 0; i < SLOTS; i++) {
        entity *e = &g->slot[i];
        e->x = (int8_t)(e->x + (e->right ? 1 : -1));
        if (e->x < 0 || e->x > 9) e->there = 0;
        if (!e->there) e->x = 0;
    }
}

static void ramp(asterix *g) {
    if (g->spawn_speed <= 1 && g->move_speed <= 1) return;
    if (g->ramp_timer-- >= 0) return;
    if (g->move_speed > 1 && g->ramp_index % 2) g->move_speed--;
    if (g->spawn_speed > 1) g->spawn_speed--;
    g->ramp_index++;
    g->ramp_timer = RAMP_INTERVAL;
}

static vly_minatar_step asterix_act(void *game, vly_mt19937 *rng, int action, int ramping) {
    asterix *g = game;
    vly_minatar_step out = {0, 0};
    if (g->spawn_timer == 0) {
        spawn(g, rng);
        g->spawn_timer = g->spawn_speed;
    }
    move_player(g, action);
    meet(g, &out);
    if (g->move_timer == 0) {
        g->move_timer = g->move_speed;
        move_entities(g);
        meet(g, &out);
    }
    g->spawn_timer--;
    g->move_timer--;
    if (ramping) ramp(g);
    return out;
}

static void asterix_observe(const void *game, uint8_t *obs) {
    const asterix *g = game;
    minatar_set(obs, CHANNELS, g->y, g->x, PLAYER);
    for (int i = 0; i < SLOTS; i++) {
        const entity *e = &g->slot[i];
        if (!e->there) continue;
        minatar_set(obs, CHANNELS, i + 1, e->x, e->gold ? GOLD : ENEMY);
        const int back = e->right ? e->x - 1 : e->x + 1;
        if (back >= 0 && back <= 9) minatar_set(obs, CHANNELS, i + 1, back, TRAIL);
    }
}

static vly_status asterix_valid(const void *game, int ended) {
    const asterix *g = game;
    (void)ended;
    MINATAR_RANGE(g, x, 0, 9);
    MINATAR_RANGE(g, y, 1, 8);
    for (int i = 0; i < SLOTS; i++) {
        MINATAR_RANGE(g, slot[i].there, 0, 1);
        MINATAR_RANGE(g, slot[i].x, 0, 9);
        MINATAR_RANGE(g, slot[i].right, 0, 1);
        MINATAR_RANGE(g, slot[i].gold, 0, 1);
    }
    MINATAR_RANGE(g, spawn_speed, 1, FIRST_SPAWN_SPEED);
    MINATAR_RANGE(g, spawn_timer, 0, FIRST_SPAWN_SPEED);
    MINATAR_RANGE(g, move_speed, 1, FIRST_MOVE_INTERVAL);
    MINATAR_RANGE(g, move_timer, 0, FIRST_MOVE_INTERVAL);
    MINATAR_RANGE(g, ramp_timer, -1, RAMP_INTERVAL);
    MINATAR_RANGE(g, ramp_index, 0, 2 * FIRST_SPAWN_SPEED);
    return VLY_OK;
}

vly_status vly_minatar_asterix_open(vly_env *env, const vly_env_args *args) {
    static const vly_minatar_game game = {"minatar/asterix", CHANNELS,      sizeof(asterix),
                                          "01234",           asterix_start, asterix_act,
                                          asterix_observe,   asterix_valid};
    return vly_minatar_open(env, &game, args);
}
