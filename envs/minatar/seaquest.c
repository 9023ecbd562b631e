/* seaquest.c -- a submarine shoots enemies, 1 point each, collects divers and must surface for
 * air with at least one diver; six divers at once bring up to 10 points. */
#include "envs/minatar/minatar.h"

enum {
    SUB_FRONT,
    SUB_BACK,
    FRIENDLY_BULLET,
    TRAIL,
    ENEMY_BULLET,
    ENEMY_FISH,
    ENEMY_SUB,
    OXYGEN_GAUGE,
    DIVER_GAUGE,
    DIVER,
    CHANNELS
};
enum {
    MAX_OXYGEN = 200,
    FIRST_SPAWN_SPEED = 20,
    DIVER_SPAWN_SPEED = 30,
    FIRST_MOVE_INTERVAL = 5,
    SHOT_COOL_DOWN = 5,
    ENEMY_SHOT_INTERVAL = 10,
    DIVER_MOVE_INTERVAL = 5
};

/* A fish, submarine, diver or bullet; members that its kind does not use stay 0. */
typedef struct {
    int8_t x, y, right, move, shot, unused[3];
} thing;

/* 64 of each are enough: at most one enemy appears per frame and crosses the ten columns in 30
 * frames; a bullet crosses in 10. A full shoal ignores more. */
enum { MOST = 64 };
typedef struct {
    int32_t n;
    thing at[MOST];
} shoal;

typedef struct {
    int32_t oxygen, divers_aboard;
    int32_t spawn_speed, spawn_timer, diver_timer, move_speed, ramp_index, shot_timer;
    int8_t x, y, right, surface, unused[4];
    shoal bullets, enemy_bullets, fish, subs, divers;
} seaquest;

static void shoal_add(shoal *s, thing t) {
    if (s->n < MOST) s->at[s->n++] = t;
}

static int equal(const thing *a, const thing *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Removes the first thing equal to number i, as the reference's list does, which may be an
 * earlier one: number i has then become i - 1. Returns its new number, or -1 if it is gone. */
static int remove_equal(shoal *s, int i) {
    int j = 0;
    while (!equal(&s->at[j], &s->at[i])) j++;
    s->n--;
    memmove(&s->at[j], &s->at[j + 1], (size_t)(s->n - j) * sizeof *s->at);
    return j == i ? -1 : i - 1;
}

static int meets(const thing *a, int x, int y) {
    return a->x == x && a->y == y;
}

static int shoal_find(const shoal *s, int x, int y) {
    for (int i = 0; i < s->n; i++)
        if (meets(&s->at[i], x, y)) return i;
    return -1;
}

static int swim(thing *t) { /* returns whether it left the screen */
    t->x = (int8_t)(t->x + (t->right ? 1 : -1));
    return t->x < 0 || t->x > 9;
}

static void seaquest_start(void *game, vly_mt19937 *rng) {
    (void)rng;
    seaquest *g = game;
    g->oxygen = MAX_OXYGEN;
    g->x = 5;
    g->spawn_speed = g->spawn_timer = FIRST_SPAWN_SPEED;
    g->diver_timer = DIVER_SPAWN_SPEED;
    g->move_speed = FIRST_MOVE_INTERVAL;
    g->surface = 1;
}

static int opposes(const shoal *s, int y, int right) {
    for (int i = 0; i < s->n; i++)
        if (s->at[i].y == y && s->at[i].right != right) return 1;
    return 0;
}

static void spawn_enemy(seaquest *g, vly_mt19937 *rng) {
    const int right = vly_mt19937_double(rng) < 1.0 / 2;
    const int is_sub = vly_mt19937_double(rng) < 1.0 / 3;
    const int y = 1 + (int)vly_mt19937_below(rng, 8);
    if (opposes(&g->subs, y, right) || opposes(&g->fish, y, right)) return;
    const thing t = {right ? 0 : 9,
                     (int8_t)y,
                     (int8_t)right,
                     (int8_t)g->move_speed,
                     is_sub ? ENEMY_SHOT_INTERVAL : 0,
                     {0, 0, 0}};
    shoal_add(is_sub ? &g->subs : &g->fish, t);
}

static void spawn_diver(seaquest *g, vly_mt19937 *rng) {
    const int right = vly_mt19937_double(rng) < 1.0 / 2;
    const int y = 1 + (int)vly_mt19937_below(rng, 8);
    const thing t = {right ? 0 : 9, (int8_t)y, (int8_t)right, DIVER_MOVE_INTERVAL, 0, {0, 0, 0}};
    shoal_add(&g->divers, t);
}

static void steer(seaquest *g, int action) {
    if (action == MINATAR_FIRE && g->shot_timer == 0) {
        const thing t = {g->x, g->y, g->right, 0, 0, {0, 0, 0}};
        shoal_add(&g->bullets, t);
        g->shot_timer = SHOT_COOL_DOWN;
    } else if (action == MINATAR_LEFT) {
        g->x = (int8_t)minatar_max(0, g->x - 1), g->right = 0;
    } else if (action == MINATAR_RIGHT) {
        g->x = (int8_t)minatar_min(9, g->x + 1), g->right = 1;
    } else if (action == MINATAR_UP) {
        g->y = (int8_t)minatar_max(0, g->y - 1);
    } else if (action == MINATAR_DOWN) {
        g->y = (int8_t)minatar_min(8, g->y + 1);
    }
}

static int shoot_at(seaquest *g, int i, shoal *enemies) {
    const int hit = shoal_find(enemies, g->bullets.at[i].x, g->bullets.at[i].y);
    if (hit < 0) return 0;
    remove_equal(enemies, hit);
    remove_equal(&g->bullets, i);
    return 1;
}

/* All shoals are traversed from the newest to the oldest, as in the reference. */
static int move_bullets(seaquest *g) {
    int reward = 0;
    for (int i = g->bullets.n - 1; i >= 0; i--) {
        if (swim(&g->bullets.at[i]))
            remove_equal(&g->bullets, i);
        else
            reward += shoot_at(g, i, &g->fish) || shoot_at(g, i, &g->subs);
    }
    return reward;
}

static int take_aboard(seaquest *g, int i) {
    if (!meets(&g->divers.at[i], g->x, g->y) || g->divers_aboard >= 6) return 0;
    remove_equal(&g->divers, i);
    g->divers_aboard++;
    return 1;
}

static void move_divers(seaquest *g) {
    for (int i = g->divers.n - 1; i >= 0; i--) {
        thing *t = &g->divers.at[i];
        if (take_aboard(g, i)) continue;
        if (t->move) {
            t->move--;
            continue;
        }
        t->move = DIVER_MOVE_INTERVAL;
        if (swim(t))
            remove_equal(&g->divers, i);
        else
            take_aboard(g, i);
    }
}

/* Moves enemy i; returns its new number, or -1 if it is gone. */
static int move_enemy(seaquest *g, shoal *enemies, int i, vly_minatar_step *out) {
    thing *t = &enemies->at[i];
    if (meets(t, g->x, g->y)) out->terminal = 1;
    if (t->move) {
        t->move--;
        return i;
    }
    t->move = (int8_t)g->move_speed;
    if (swim(t)) return remove_equal(enemies, i);
    if (meets(t, g->x, g->y)) {
        out->terminal = 1;
        return i;
    }
    const int bullet = shoal_find(&g->bullets, t->x, t->y);
    if (bullet < 0) return i;
    remove_equal(&g->bullets, bullet);
    out->reward++;
    return remove_equal(enemies, i);
}

static void move_subs(seaquest *g, vly_minatar_step *out) {
    for (int i = g->subs.n - 1; i >= 0; i--) {
        thing gone = g->subs.at[i]; /* in the reference, a sub that is hit may still shoot */
        const int before = gone.x, moved = gone.move == 0;
        const int now = move_enemy(g, &g->subs, i, out);
        if (moved) gone.x = (int8_t)(before + (gone.right ? 1 : -1));
        thing *t = now < 0 ? &gone : &g->subs.at[now];
        if (t->shot) {
            t->shot--;
            continue;
        }
        t->shot = ENEMY_SHOT_INTERVAL;
        const thing bullet = {t->x, t->y, t->right, 0, 0, {0, 0, 0}};
        shoal_add(&g->enemy_bullets, bullet);
    }
}

static void move_enemy_bullets(seaquest *g, vly_minatar_step *out) {
    for (int i = g->enemy_bullets.n - 1; i >= 0; i--) {
        thing *t = &g->enemy_bullets.at[i];
        if (meets(t, g->x, g->y)) out->terminal = 1;
        if (swim(t))
            remove_equal(&g->enemy_bullets, i);
        else if (meets(t, g->x, g->y))
            out->terminal = 1;
    }
}

/* With six divers aboard the air that is left counts; the count goes to -1 then, as it does in
 * the reference. */
static int come_up(seaquest *g, int ramping) {
    int reward = 0;
    g->surface = 1;
    if (g->divers_aboard == 6) {
        g->divers_aboard = 0;
        reward = g->oxygen * 10 / MAX_OXYGEN;
    }
    g->oxygen = MAX_OXYGEN;
    g->divers_aboard--;
    if (ramping && (g->spawn_speed > 1 || g->move_speed > 2)) {
        if (g->move_speed > 2 && g->ramp_index % 2) g->move_speed--;
        if (g->spawn_speed > 1) g->spawn_speed--;
        g->ramp_index++;
    }
    return reward;
}

static void breathe(seaquest *g, int ramping, vly_minatar_step *out) {
    if (g->oxygen <= 0) out->terminal = 1;
    if (g->y > 0) {
        g->oxygen--;
        g->surface = 0;
    } else if (!g->surface) {
        if (g->divers_aboard == 0)
            out->terminal = 1;
        else
            out->reward += come_up(g, ramping);
    }
}

static vly_minatar_step seaquest_act(void *game, vly_mt19937 *rng, int action, int ramping) {
    seaquest *g = game;
    vly_minatar_step out = {0, 0};
    if (g->spawn_timer == 0) {
        spawn_enemy(g, rng);
        g->spawn_timer = g->spawn_speed;
    }
    if (g->diver_timer == 0) {
        spawn_diver(g, rng);
        g->diver_timer = DIVER_SPAWN_SPEED;
    }
    steer(g, action);
    out.reward += move_bullets(g);
    move_divers(g);
    move_subs(g, &out);
    move_enemy_bullets(g, &out);
    for (int i = g->fish.n - 1; i >= 0; i--) move_enemy(g, &g->fish, i, &out);
    if (g->spawn_timer > 0) g->spawn_timer--;
    if (g->diver_timer > 0) g->diver_timer--;
    if (g->shot_timer > 0) g->shot_timer--;
    breathe(g, ramping, &out);
    return out;
}

static void observe_shoal(const shoal *s, uint8_t *obs, int channel, int trail) {
    for (int i = 0; i < s->n; i++) {
        const thing *t = &s->at[i];
        minatar_set(obs, CHANNELS, t->y, t->x, channel);
        const int back = t->right ? t->x - 1 : t->x + 1;
        if (trail && back >= 0 && back <= 9) minatar_set(obs, CHANNELS, t->y, back, TRAIL);
    }
}

static void seaquest_observe(const void *game, uint8_t *obs) {
    const seaquest *g = game;
    minatar_set(obs, CHANNELS, g->y, g->x, SUB_FRONT);
    minatar_set(obs, CHANNELS, g->y, g->right ? g->x - 1 : g->x + 1, SUB_BACK);
    for (int x = 0, n = minatar_max(0, g->oxygen) * 10 / MAX_OXYGEN; x < n; x++)
        minatar_set(obs, CHANNELS, 9, x, OXYGEN_GAUGE);
    for (int x = 9 - g->divers_aboard; x < 9; x++) minatar_set(obs, CHANNELS, 9, x, DIVER_GAUGE);
    observe_shoal(&g->bullets, obs, FRIENDLY_BULLET, 0);
    observe_shoal(&g->enemy_bullets, obs, ENEMY_BULLET, 0);
    observe_shoal(&g->fish, obs, ENEMY_FISH, 1);
    observe_shoal(&g->subs, obs, ENEMY_SUB, 1);
    observe_shoal(&g->divers, obs, DIVER, 1);
}

static vly_status shoal_valid(const shoal *s) {
    MINATAR_RANGE(s, n, 0, MOST);
    for (int i = 0; i < s->n; i++) {
        MINATAR_RANGE(s, at[i].x, 0, 9);
        MINATAR_RANGE(s, at[i].y, 0, 8);
        MINATAR_RANGE(s, at[i].right, 0, 1);
        MINATAR_RANGE(s, at[i].move, 0, FIRST_MOVE_INTERVAL);
        MINATAR_RANGE(s, at[i].shot, 0, ENEMY_SHOT_INTERVAL);
    }
    return VLY_OK;
}

static vly_status seaquest_valid(const void *game, int ended) {
    const seaquest *g = game;
    (void)ended;
    const shoal *shoals[] = {&g->bullets, &g->enemy_bullets, &g->fish, &g->subs, &g->divers};
    for (int i = 0; i < 5; i++) VLY_TRY(shoal_valid(shoals[i]));
    MINATAR_RANGE(g, oxygen, -1, MAX_OXYGEN);
    MINATAR_RANGE(g, divers_aboard, -1, 6);
    MINATAR_RANGE(g, spawn_speed, 1, FIRST_SPAWN_SPEED);
    MINATAR_RANGE(g, spawn_timer, 0, FIRST_SPAWN_SPEED);
    MINATAR_RANGE(g, diver_timer, 0, DIVER_SPAWN_SPEED);
    MINATAR_RANGE(g, move_speed, 2, FIRST_MOVE_INTERVAL);
    MINATAR_RANGE(g, ramp_index, 0, 2 * FIRST_SPAWN_SPEED);
    MINATAR_RANGE(g, shot_timer, 0, SHOT_COOL_DOWN);
    MINATAR_RANGE(g, right, 0, 1);
    MINATAR_RANGE(g, x, g->right, 8 + g->right); /* the stern is behind it, on the screen */
    MINATAR_RANGE(g, y, 0, 8);
    MINATAR_RANGE(g, surface, 0, 1);
    return VLY_OK;
}

vly_status vly_minatar_seaquest_open(vly_env *env, const vly_env_args *args) {
    static const vly_minatar_game game = {"minatar/seaquest", CHANNELS,       sizeof(seaquest),
                                          "012345",           seaquest_start, seaquest_act,
                                          seaquest_observe,   seaquest_valid};
    return vly_minatar_open(env, &game, args);
}
