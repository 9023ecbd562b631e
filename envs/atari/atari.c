#include "envs/atari/atari.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "envs/atari/emulator.h"
#include "envs/atari/palette.h"
#include "envs/atari/random.h"
#include "envs/atari/reset_cache.h"
#include "envs/atari/resize.h"
#include "envs/atari/roms.h"
#include "envs/atari/still.h"
#include "envs/env_options.h"

typedef enum { STYLE_VOLLEY, STYLE_GYMNASIUM, STYLE_ALE, STYLE_ENVPOOL } style;

typedef struct {
    vly_emulator_rules rules;
    vly_rom *rom;
    vly_atari_options options;
    style style;
    int height, channels;
    int max_steps;  /* agent steps of an episode; 0: no such limit */
    int fire_reset; /* and the action set has FIRE */
    uint8_t actions[VLY_ATARI_ACTIONS];
    uint8_t colour[3][256]; /* grey in [0], or red, green, blue of a palette index */
    vly_area area;
    vly_reset_cache *cache;
    size_t room;      /* of an actor's still */
    size_t starts_at; /* in an actor: where std::mt19937 draws its starts, behind the still */
    int loaded_ready; /* the state after loading does not depend on the seed: */
    vly_emulator loaded;
    vly_screens loaded_screens;
} world;

typedef struct {
    vly_emulator emulator;
    uint64_t seed;
    uint32_t episode; /* games begun */
    int32_t elapsed;  /* ALE: frames, EnvPool: steps, of this game */
    int32_t steps;    /* agent steps of this game */
    int32_t lives;
    int32_t score;
    uint8_t ended;     /* the next step resets */
    uint8_t game_over; /* and begins a new game */
    uint8_t failed;
    uint8_t draw_all;   /* steps for which frames are not worth skipping */
    uint8_t pooled;     /* the row before showed two screens */
    vly_integers numpy; /* Gymnasium's random numbers for no-op starts; the others' are behind the
                           still */
    vly_still still;    /* the two screens, world.room bytes long */
} actor;

/* The pictures of the actor that is being stepped. They are on the stack of whoever steps it;
 * between its steps an actor has none. */
typedef struct {
    int ready;                        /* both screens are the actor's */
    _Alignas(64) vly_screens screens; /* lines are stored 64 bytes at a time */
} stage;

/* ---- pictures ---- */

/* One channel of height x 160 bytes becomes one channel of the observation. */
static void write_channel(const world *w, const uint8_t *picture, int channel, uint8_t *obs) {
    if (w->options.size != VLY_ATARI_NATIVE_SIZE) {
        vly_area_resize(&w->area, picture, obs + channel, w->channels);
        return;
    }
    const size_t n = (size_t)w->height * VLY_SCREEN_WIDTH;
    for (size_t i = 0; i < n; i++) obs[i * (size_t)w->channels + (size_t)channel] = picture[i];
}

/* The brighter of two screens; b may be NULL. */
static void observe(const world *w, const uint8_t *a, const uint8_t *b, uint8_t *obs) {
    uint8_t picture[VLY_SCREEN_BYTES];
    for (int c = 0; c < w->channels; c++) {
        vly_pool_lookup(w->colour[c], a, b, (size_t)w->height * VLY_SCREEN_WIDTH, picture);
        write_channel(w, picture, c, obs);
    }
}

static const uint8_t *front(const actor *s, const stage *g) {
    return g->screens.pixels[s->emulator.machine.tia.front];
}
static const uint8_t *back(const actor *s, const stage *g) {
    return g->screens.pixels[s->emulator.machine.tia.front ^ 1];
}

/* Draws the actor's two screens again, as they are after its last row. */
static void see(const world *w, actor *s, stage *g) {
    if (g->ready) return;
    if (vly_still_draw(&s->still, w->room, w->rom, w->height, &g->screens, NULL)) s->failed = 1;
    g->ready = 1;
}

/* What the row before showed, which the peers show again where an episode ends early: pooled with
 * `more` unless that is NULL. The actor's still is that of the row before until this one is
 * written. */
static void observe_again(const world *w, actor *s, const uint8_t *more, uint8_t *obs) {
    const vly_still *still = &s->still;
    uint8_t third[VLY_SCREEN_BYTES], picture[VLY_SCREEN_BYTES], other[VLY_SCREEN_BYTES];
    vly_screens was;
    const size_t n = (size_t)w->height * VLY_SCREEN_WIDTH;
    memset(&was, 0, sizeof was);
    if (vly_still_draw(still, w->room, w->rom, w->height, &was, third)) s->failed = 1;
    for (int c = 0; c < w->channels; c++) {
        vly_pool_lookup(w->colour[c], was.pixels[still->front], s->pooled ? third : NULL, n,
                        picture);
        if (more) vly_pool_lookup(w->colour[c], more, NULL, n, other);
        for (size_t i = 0; more && i < n; i++)
            picture[i] = picture[i] > other[i] ? picture[i] : other[i];
        write_channel(w, picture, c, obs);
    }
}

/* ---- frames ---- */

static int covers_display(const world *w, const vly_machine *m) {
    const int at = m->tia.front;
    return m->missing_from[at] == 0 && m->missing_to[at] >= w->height;
}

static int screens_exact(const vly_machine *m) {
    return m->missing_from[0] >= m->missing_to[0] && m->missing_from[1] >= m->missing_to[1];
}

typedef struct {
    int frames; /* played */
    int32_t reward;
    int life_lost, over, truncated;
    vly_wires wires[VLY_ATARI_SKIP_MOST]; /* of the frames */
    int held; /* the screen before the last one is in `before`, not in the back buffer */
    uint8_t before[VLY_SCREEN_BYTES];
} played;

static int reached_end(const world *w, actor *s, played *p) {
    const vly_emulator *e = &s->emulator;
    const int lives = vly_emulator_lives(e, &w->rules);
    p->over = vly_emulator_over(e);
    if (w->style == STYLE_ALE) {
        p->life_lost = lives < s->lives && lives > 0;
        p->truncated = !p->over && s->elapsed >= w->options.max_frames;
        return p->over || p->truncated || (w->options.episodic_life && p->life_lost);
    }
    p->truncated = vly_emulator_truncated(e, &w->rules);
    if (w->style == STYLE_ENVPOOL) return p->over;
    p->life_lost = lives < s->lives && (lives > 0 || w->style == STYLE_GYMNASIUM);
    return p->over || p->truncated || (w->options.episodic_life && p->life_lost);
}

/* Plays up to n frames of one action and draws those from `draw_from` on. Returns 0 where a frame
 * was not drawn that must have been. */
static int play_frames(const world *w, actor *s, stage *g, int action, int n, int draw_from,
                       played *p) {
    vly_emulator *e = &s->emulator;
    p->reward = p->held = p->frames = p->over = p->truncated = p->life_lost = 0;
    while (p->frames < n && !vly_emulator_failed(e)) {
        const int i = p->frames++, drawn = i >= draw_from;
        if (i > 0 && i == n - 1 && e->machine.tia.partial) { /* the next frame goes on in the same
                                                                buffer */
            memcpy(p->before, front(s, g), sizeof p->before);
            p->held = 1;
        }
        p->reward += vly_emulator_act(e, &w->rules, action, drawn ? &g->screens : NULL);
        if (i < VLY_ATARI_SKIP_MOST) p->wires[i] = e->machine.wires;
        s->elapsed += w->style == STYLE_ALE;
        if (!drawn && (e->machine.tia.partial || (g->ready && !covers_display(w, &e->machine))))
            return 0;
        if (reached_end(w, s, p)) break;
    }
    const int last_two_drawn = p->frames - 2 >= draw_from ||
                               (p->frames == 1 && draw_from == 0 && g->ready);
    return last_two_drawn && screens_exact(&e->machine);
}

static void count_missing_from_here(vly_machine *m) {
    memset(m->missing_from, 0, sizeof m->missing_from);
    memset(m->missing_to, 0, sizeof m->missing_to);
}

/* Only the last two frames of a step are seen, so the others are played without drawing. Nor are
 * the pictures of the step before needed as a rule: frames that cover the display leave nothing of
 * them. Where that shows (a frame is shorter than one before it, or goes on with it, an episode
 * ends early), the step is taken back and played again, with the older pictures and every frame
 * drawn: the same frames, as nothing is random that is not in the state. Where the older pictures
 * were there from the start, the frames drawn in vain are painted over, since at least two undrawn
 * frames before them were found to cover the display. */
static void play(const world *w, actor *s, stage *g, int action, int n, played *p) {
    vly_emulator before;
    const int32_t elapsed = s->elapsed;
    if (n == 1 || s->emulator.machine.tia.partial || vly_still_is_long(&s->still)) see(w, s, g);
    const int draw_from = n > 2 + g->ready && !s->draw_all ? n - 2 : 0;
    const int blind = !g->ready;
    if (s->draw_all) s->draw_all--;
    if (blind && vly_still_begin(&s->still, w->room, &s->emulator.machine, w->height, &g->screens))
        s->failed = 1;
    if (draw_from > 0 || blind) before = s->emulator;
    const int good = play_frames(w, s, g, action, n, draw_from, p);
    if (!good && (draw_from > 0 || blind)) {
        const int ended = p->frames < n && reached_end(w, s, p);
        s->emulator = before;
        s->elapsed = elapsed;
        count_missing_from_here(&s->emulator.machine);
        see(w, s, g);
        (void)play_frames(w, s, g, action, n, 0, p);
        if (!ended) s->draw_all = 64;
    }
    count_missing_from_here(&s->emulator.machine);
    g->ready = 1;
}

/* ---- the beginning of a game ---- */

static int has_starts(const world *w) {
    return w->style == STYLE_ALE || w->style == STYLE_ENVPOOL;
}

static vly_mt19937 *starts(const world *w, actor *s) {
    return (vly_mt19937 *)((char *)s + w->starts_at);
}

static int next_start(const world *w, actor *s, int n) {
    if (n <= 0) return 0;
    switch (w->style) {
    case STYLE_GYMNASIUM: return 1 + (int)vly_integers_below(&s->numpy, (uint32_t)n);
    case STYLE_ALE:
    case STYLE_ENVPOOL: return (int)vly_uniform_int(starts(w, s), (uint32_t)n);
    default:
        return (int)vly_below(vly_philox(s->seed, VLY_STREAM_ENV, s->episode, 0).v[0],
                              (uint32_t)n + 1);
    }
}

static uint32_t fold(uint64_t seed) {
    return (uint32_t)(seed ^ seed >> 32);
}

static void reset_game(const world *w, actor *s, stage *g) {
    see(w, s, g); /* a game may leave some of them standing */
    if (vly_reset_cached(w->cache, &s->emulator, &w->rules, &g->screens)) s->failed = 1;
    count_missing_from_here(&s->emulator.machine);
    s->elapsed = s->steps = s->score = 0;
    s->draw_all = 0;
    s->episode++;
}

/* What ALE's loadROM does with a seed. */
static void load(const world *w, actor *s, stage *g) {
    uint32_t seed = fold(s->seed), words[2];
    if (w->style == STYLE_GYMNASIUM) {
        vly_seed_sequence(s->seed, words, 2);
        vly_integers_seed(&s->numpy, words[0]);
        seed = words[1];
    } else if (w->style != STYLE_VOLLEY) {
        vly_mt19937_seed(starts(w, s), seed);
    }
    if (w->loaded_ready) {
        s->emulator = w->loaded;
        g->screens = w->loaded_screens;
        vly_mt19937_seed(&s->emulator.rng, seed);
    } else {
        memset(&g->screens, 0, sizeof g->screens);
        if (vly_emulator_load(&s->emulator, &w->rules, seed, &g->screens) != VLY_OK) s->failed = 1;
    }
    g->ready = 1;
}

/* n frames of no action; a game that ends on the way begins anew. */
static void play_noops(const world *w, actor *s, stage *g, int n) {
    played p;
    const int32_t elapsed = s->elapsed;
    s->lives = INT32_MIN; /* no life is lost before the game */
    while (n > 0 && !s->failed) {
        play(w, s, g, VLY_NOOP, n, &p);
        n -= p.frames;
        if (vly_emulator_failed(&s->emulator)) s->failed = 1;
        if (p.over || p.truncated) reset_game(w, s, g);
    }
    s->elapsed = elapsed;
}

static void press_fire(const world *w, actor *s, stage *g) {
    played p;
    s->lives = INT32_MIN;
    const int32_t elapsed = s->elapsed;
    play(w, s, g, VLY_FIRE, 1, &p);
    s->elapsed = elapsed;
    if (p.over && w->style != STYLE_ENVPOOL) reset_game(w, s, g);
}

static void begin_game(const world *w, actor *s, stage *g) {
    const int noops = next_start(w, s, w->options.noop_max);
    reset_game(w, s, g);
    switch (w->style) {
    case STYLE_ALE:
        if (w->fire_reset) press_fire(w, s, g);
        play_noops(w, s, g, noops - w->fire_reset);
        break;
    case STYLE_ENVPOOL:
        play_noops(w, s, g, noops + 1 - w->fire_reset);
        if (w->fire_reset) press_fire(w, s, g);
        break;
    default:
        play_noops(w, s, g, noops);
        if (w->fire_reset) press_fire(w, s, g);
    }
}

/* A life was lost and the learner begins again, but the game goes on: it may wait for FIRE. */
static void begin_life(const world *w, actor *s, stage *g, played *p) {
    if (w->style == STYLE_ENVPOOL) {
        play_noops(w, s, g, next_start(w, s, w->options.noop_max) + 1 - w->fire_reset);
        if (w->fire_reset) press_fire(w, s, g);
        return;
    }
    s->lives = INT32_MIN;
    play(w, s, g, w->fire_reset ? VLY_FIRE : VLY_NOOP, 1, p);
}

/* ---- the environment ---- */

static void write_row(const world *w, actor *s, float reward, int32_t score, uint8_t flags,
                      vly_rows at) {
    (void)w;
    *at.reward = reward;
    *at.score = (float)score;
    *at.flags = s->failed ? VLY_ROW_FAILED : flags;
    s->ended = (flags & VLY_ROW_ENDED) != 0;
    s->game_over = (flags & VLY_ROW_GAME_OVER) != 0;
}

/* What the next step has to know of the pictures. p: the only frames since the row before, or NULL.
 */
static void keep(const world *w, actor *s, const stage *g, int pooled, const played *p) {
    const vly_machine *m = &s->emulator.machine;
    const uint8_t *before = p && p->held && w->options.stale_terminal ? p->before : NULL;
    if (s->failed) return;
    s->pooled = (uint8_t)pooled;
    if (vly_still_take(&s->still, w->room, m, w->height, &g->screens, before) == 0) return;
    if (!p || vly_still_extend(&s->still, w->room, m, p->wires, p->frames)) s->failed = 1;
}

static void start_episode(const world *w, actor *s, stage *g, vly_rows at) {
    played p = {.over = 0};
    const int goes_on = !s->game_over && (w->style == STYLE_VOLLEY || w->style == STYLE_ENVPOOL);
    if (goes_on)
        begin_life(w, s, g, &p);
    else
        begin_game(w, s, g);
    s->lives = vly_emulator_lives(&s->emulator, &w->rules);
    s->score += p.reward;
    const int pooled = goes_on && w->style == STYLE_VOLLEY && w->options.max_pool &&
                       !w->options.stale_terminal;
    observe(w, front(s, g), pooled ? back(s, g) : NULL, at.obs);
    keep(w, s, g, pooled, goes_on && w->style == STYLE_VOLLEY ? &p : NULL);
    uint8_t flags = VLY_ROW_RESET;
    if (p.over) flags |= VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER;
    if (p.truncated && !p.over) flags |= VLY_ROW_TRUNCATED | VLY_ROW_GAME_OVER;
    write_row(w, s, 0, p.reward, flags, at);
}

static float shown_reward(const world *w, int32_t reward) {
    if (w->options.reward_mode == VLY_ATARI_REWARD_MODE_CLIP)
        return reward > 1 ? 1 : reward < -1 ? -1 : (float)reward;
    if (w->options.reward_mode == VLY_ATARI_REWARD_MODE_SIGN)
        return (float)((reward > 0) - (reward < 0));
    return (float)reward;
}

/* The peers keep two pictures, those of the last two frames of a whole skip, and miss an end before
 * it: there they show what they showed before. EnvPool takes a frame before it looks for the end,
 * and pools only after a whole skip. */
static void observe_stale(const world *w, actor *s, const stage *g, const played *p, uint8_t *obs) {
    const int n = w->options.frame_skip, envpool = w->style == STYLE_ENVPOOL,
              whole = p->frames == n;
    const int early = !envpool &&
                      (p->over || p->truncated || (w->options.episodic_life && p->life_lost));
    const uint8_t *last = front(s, g), *before = p->held ? p->before : back(s, g);
    if (whole && !early)
        observe(w, last, n > 1 ? before : NULL, obs);
    else if (envpool && p->frames == n - 1)
        observe(w, last, NULL, obs);
    else
        observe_again(w, s, whole && n > 1 ? before : NULL, obs);
}

static void observe_step(const world *w, actor *s, const stage *g, const played *p, uint8_t *obs) {
    const uint8_t *before = p->held ? p->before : back(s, g);
    const int stale = w->options.stale_terminal;
    if (stale)
        observe_stale(w, s, g, p, obs);
    else
        observe(w, front(s, g), w->options.max_pool ? before : NULL, obs);
    keep(w, s, g, w->options.frame_skip > 1, p);
}

static uint8_t end_flags(const world *w, actor *s, const played *p) {
    uint8_t flags = p->life_lost ? VLY_ROW_LIFE_LOST : 0;
    if (p->over) flags |= VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER;
    if (w->options.episodic_life && p->life_lost) flags |= VLY_ROW_TERMINATED;
    const int late = p->truncated || (w->max_steps > 0 && s->steps >= w->max_steps);
    if (late && (!p->over || w->style == STYLE_GYMNASIUM))
        flags |= VLY_ROW_TRUNCATED | VLY_ROW_GAME_OVER;
    return flags;
}

static void step_actor(const world *w, actor *s, stage *g, int action, vly_rows at) {
    played p;
    if (s->failed) {
        write_row(w, s, 0, 0, VLY_ROW_FAILED, at);
        return;
    }
    if (s->ended) {
        start_episode(w, s, g, at);
        return;
    }
    play(w, s, g, w->actions[action], w->options.frame_skip, &p);
    s->steps++;
    s->score += p.reward;
    const int lives = vly_emulator_lives(&s->emulator, &w->rules);
    if (w->style == STYLE_ENVPOOL) p.life_lost = lives < s->lives && lives > 0;
    s->lives = lives;
    s->failed = (uint8_t)vly_emulator_failed(&s->emulator);
    observe_step(w, s, g, &p, at.obs);
    write_row(w, s, shown_reward(w, p.reward), p.reward, end_flags(w, s, &p), at);
}

static void atari_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    const world *w = env->world;
    actor *s = state;
    stage g = {.ready = 0};
    memset(s, 0, env->state_bytes);
    s->seed = seed;
    load(w, s, &g);
    s->game_over = 1;
    start_episode(w, s, &g, at);
}

static vly_status atari_valid(const vly_env *env, const void *state) {
    enum { MOST = 1 << 30 };
    const world *w = env->world;
    const actor *s = state;
    const vly_mt19937 *random = (const vly_mt19937 *)((const char *)state + w->starts_at);
    VLY_TRY(vly_emulator_valid(&s->emulator, &w->rules));
    VLY_TRY(vly_env_valid_range("elapsed", s->elapsed, 0, MOST));
    VLY_TRY(vly_env_valid_range("steps", s->steps, 0, MOST));
    VLY_TRY(vly_env_valid_range("score", s->score, -MOST, MOST));
    if (has_starts(w)) VLY_TRY(vly_env_valid_range("starts.at", random->at, 0, VLY_MT_WORDS));
    VLY_TRY(vly_env_valid_range("front", s->still.front, 0, 1));
    /* A failed actor's steps do nothing, and it may have failed before it had two frames. */
    if (!s->failed && vly_still_check(&s->still, w->room, w->rom, w->height))
        return vly_fail(VLY_ECORRUPT, "its last two frames cannot be drawn");
    return VLY_OK;
}

static void atari_step(const vly_env *env, void *states, int n, const int32_t *action,
                       vly_rows out) {
    const world *w = env->world;
    stage g;
    for (int i = 0; i < n; i++) {
        g.ready = 0;
        const int a = action[i] >= 0 && action[i] < env->actions ? action[i] : 0;
        step_actor(w, (actor *)((char *)states + (size_t)i * env->state_bytes), &g, a,
                   vly_rows_at(out, (size_t)i));
    }
}

static void atari_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                         int *height) {
    const world *w = env->world;
    *width = VLY_SCREEN_WIDTH, *height = w->height;
    if (!rgb) return;
    const int pal = vly_rom_get_properties(w->rom)->format == VLY_FORMAT_PAL;
    uint8_t screen[VLY_SCREEN_BYTES];
    vly_atari_screen(env, state, screen);
    for (int i = 0; i < VLY_SCREEN_WIDTH * w->height; i++) {
        const uint32_t colour = vly_palette_rgb(pal, screen[i]);
        rgb[3 * i] = (uint8_t)(colour >> 16), rgb[3 * i + 1] = (uint8_t)(colour >> 8),
                rgb[3 * i + 2] = (uint8_t)colour;
    }
}

static void atari_describe(const vly_env *env, const void *state, char *text, size_t bytes) {
    const vly_atari_view v = vly_atari_look(env, state);
    snprintf(text, bytes, "score %d, lives %d, frame %d", v.score, v.lives, v.episode_frames);
}

vly_atari_view vly_atari_look(const vly_env *env, const void *state) {
    const world *w = env->world;
    const actor *s = state;
    return (vly_atari_view){s->emulator.machine.ram,
                            w->height,
                            vly_emulator_lives(&s->emulator, &w->rules),
                            s->emulator.frames,
                            s->emulator.episode_frames,
                            s->score,
                            (int)s->still.bytes};
}

void vly_atari_screen(const vly_env *env, const void *state, uint8_t *pixels) {
    const world *w = env->world;
    const actor *s = state;
    vly_screens screens;
    memset(&screens, 0, sizeof screens);
    (void)vly_still_draw(&s->still, w->room, w->rom, w->height, &screens, NULL);
    memcpy(pixels, screens.pixels[s->still.front], (size_t)w->height * VLY_SCREEN_WIDTH);
}

int vly_atari_action(const vly_env *env, int action) {
    const world *w = env->world;
    return action >= 0 && action < env->actions ? w->actions[action] : VLY_NOOP;
}

static void atari_close(vly_env *env) {
    world *w = env->world;
    if (!w) return;
    vly_reset_cache_destroy(w->cache);
    vly_rom_destroy(w->rom);
    free(w);
    env->world = NULL;
}

static style style_of(const char *preset) {
    if (strcmp(preset, "gymnasium") == 0) return STYLE_GYMNASIUM;
    if (strcmp(preset, "ale") == 0) return STYLE_ALE;
    return strcmp(preset, "envpool") == 0 ? STYLE_ENVPOOL : STYLE_VOLLEY;
}

/* ---- opening ---- */

static void fill_colours(world *w) {
    const int pal = vly_rom_get_properties(w->rom)->format == VLY_FORMAT_PAL;
    for (int i = 0; i < 256; i++) {
        const uint32_t rgb = vly_palette_rgb(pal, (uint8_t)i);
        for (int c = 0; c < 3; c++) w->colour[c][i] = (uint8_t)(rgb >> (16 - 8 * c));
        if (w->options.grayscale) w->colour[0][i] = vly_palette_grey(pal, (uint8_t)i);
    }
}

/* The console is loaded once for all actors where the seed does not matter for it. */
static vly_status preload(world *w) {
    VLY_TRY(vly_emulator_load(&w->loaded, &w->rules, 1, &w->loaded_screens));
    vly_mt19937 untouched;
    vly_mt19937_seed(&untouched, 1);
    w->loaded_ready = memcmp(&untouched, &w->loaded.rng, sizeof untouched) == 0;
    vly_emulator *e = malloc(sizeof *e);
    if (!e) return vly_fail(VLY_ENOMEM, "%s: no memory", w->rules.game->name);
    *e = w->loaded;
    const int reached = vly_emulator_reset(e, &w->rules, NULL);
    free(e);
    if (reached == 0) return VLY_OK;
    return vly_fail(VLY_EUNSUPPORTED, "%s: pressing SELECT does not reach mode %d",
                    w->rules.game->name, w->rules.mode);
}

/* The program goes without a VSYNC for long, when it thinks or begins; then both its pictures are
 * in the code. */
static int goes_on_and_on(const vly_atari_game *game) {
    return strcmp(game->name, "tic_tac_toe_3d") == 0 || strcmp(game->name, "qbert") == 0;
}

/* A known game's pictures need little; of other ROMs, those whose frames cover the display. */
static void choose_room(world *w, const uint8_t *rom, size_t bytes) {
    char md5[33];
    vly_rom_md5(rom, bytes, md5);
    const vly_shot *shot = w->loaded_screens.shot;
    const int whole = !shot[0].partial && !shot[1].partial && shot[0].rows >= w->height &&
                      shot[1].rows >= w->height;
    const vly_atari_game *known = vly_atari_game_by_md5(md5);
    w->room = !whole && !known ? VLY_STILL_MOST
              : known && (shot[0].partial || shot[1].partial || goes_on_and_on(known))
                  ? VLY_STILL_LONG
                  : VLY_STILL_USUAL;
    w->starts_at = (offsetof(actor, still.code) + w->room + 7) / 8 * 8;
}

static int choose_actions(const vly_atari_game *game, const vly_atari_options *o,
                          uint8_t actions[VLY_ATARI_ACTIONS]) {
    int n = 0;
    for (int a = 0; a < VLY_ATARI_ACTIONS; a++)
        if (o->full_actions || (game->minimal >> a & 1)) actions[n++] = (uint8_t)a;
    return n;
}

/* height: of the screen. */
static void describe_env(vly_env *env, const vly_atari_game *game, const vly_atari_options *o,
                         int height) {
    uint8_t actions[VLY_ATARI_ACTIONS];
    const int native = o->size == VLY_ATARI_NATIVE_SIZE;
    const int high = native ? height : o->size, wide = native ? VLY_SCREEN_WIDTH : o->size;
    const int channels = o->grayscale ? 1 : 3;
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    snprintf(env->name, sizeof env->name, "%s", game->name);
    env->obs = (vly_obs_spec){VLY_U8,
                              3,
                              {high, wide, channels},
                              o->stack,
                              1.0f / 255.0f,
                              (size_t)high * (size_t)wide * (size_t)channels};
    env->actions = choose_actions(game, o, actions);
    env->frames_per_step = o->frame_skip;
    env->return_target = strcmp(env->name, "pong") == 0 ? 18.0f : NAN;
}

vly_status vly_atari_describe(vly_env *env, const vly_atari_game *game,
                              const vly_atari_options *options) {
    enum { USUAL_HEIGHT = 210 };
    vly_atari_options o = *options;
    if (o.mode < 0) o.mode = game->default_mode;
    if (o.difficulty < 0) o.difficulty = 0;
    VLY_TRY(vly_atari_check(game, &o));
    describe_env(env, game, &o, game->machine.height ? game->machine.height : USUAL_HEIGHT);
    return VLY_OK;
}

static void attach(vly_env *env, world *w) {
    w->fire_reset = w->options.fire_reset &&
                    (w->options.full_actions || (w->rules.game->minimal >> VLY_FIRE & 1));
    (void)choose_actions(w->rules.game, &w->options, w->actions);
    env->state_bytes = (w->starts_at + (has_starts(w) ? sizeof(vly_mt19937) : 0) + 63) / 64 * 64;
    env->reset = atari_reset, env->step = atari_step, env->valid = atari_valid;
    env->render = atari_render, env->describe = atari_describe, env->close = atari_close;
    env->world = w;
}

static vly_status open_world(world *w, const vly_atari_game *game, const uint8_t *bytes, size_t n,
                             const vly_atari_options *o) {
    w->options = *o;
    w->options.roms = NULL;
    w->style = style_of(o->preset);
    w->channels = o->grayscale ? 1 : 3;
    VLY_TRY(vly_rom_create(&w->rom, bytes, n, &game->machine));
    w->height = vly_rom_get_properties(w->rom)->height;
    if (o->size != VLY_ATARI_NATIVE_SIZE && vly_area_init(&w->area, w->height, o->size) != 0)
        return vly_fail(VLY_EINVAL,
                        "%s: size is %d, it must be in [16, 160], or 210 for the whole screen",
                        game->name, o->size);
    w->rules = (vly_emulator_rules){game, w->rom, o->sticky, o->max_frames, o->mode, o->difficulty};
    if (w->style == STYLE_ALE || w->style == STYLE_ENVPOOL) w->rules.max_frames = 0;
    if (w->style == STYLE_ENVPOOL) w->max_steps = o->max_frames / o->frame_skip;
    fill_colours(w);
    VLY_TRY(vly_reset_cache_create(&w->cache));
    VLY_TRY(preload(w));
    choose_room(w, bytes, n);
    return VLY_OK;
}

vly_status vly_atari_open_image(vly_env *env, const vly_atari_game *game, const uint8_t *rom,
                                size_t bytes, const vly_atari_options *options) {
    vly_atari_options o = options ? *options : vly_atari_default_options();
    if (o.mode < 0) o.mode = game->default_mode;
    if (o.difficulty < 0) o.difficulty = 0;
    VLY_TRY(vly_atari_check(game, &o));
    vly_env opened = {.world = calloc(1, sizeof(world))};
    world *w = opened.world;
    if (!w) return vly_fail(VLY_ENOMEM, "%s: no memory", game->name);
    const vly_status status = open_world(w, game, rom, bytes, &o);
    if (status != VLY_OK) {
        atari_close(&opened);
        return status;
    }
    if (o.max_steps > 0) w->max_steps = o.max_steps;
    describe_env(env, game, &o, w->height);
    attach(env, w);
    return VLY_OK;
}

vly_status vly_atari_open(vly_env *env, const char *name, const vly_atari_options *options) {
    vly_atari_options o = options ? *options : vly_atari_default_options();
    const vly_atari_game *game = vly_atari_named(name, &o);
    if (!game)
        return vly_fail(VLY_ENOTFOUND, "no Atari game named '%.64s': 'volley ls atari' lists them",
                        name);
    uint8_t bytes[VLY_ROM_MAX_BYTES];
    size_t n;
    VLY_TRY(vly_atari_rom_read(game, o.roms, bytes, &n));
    return vly_atari_open_image(env, game, bytes, n, &o);
}
