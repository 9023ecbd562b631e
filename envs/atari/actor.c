#include "envs/atari/actor.h"
#include <string.h>
#include "common/base/philox.h"

/* The two screens of the actor that is being stepped, on the caller's stack. An actor stores no
 * screens between its steps. */
typedef struct {
    int ready;                        /* both screens are the actor's */
    _Alignas(64) vly_screens screens; /* lines are stored 64 bytes at a time */
} stage;

/* ---- pictures ---- */

/* One channel of the lines that are shown becomes one channel of the observation. */
static void write_channel(const vly_atari_world *w, const uint8_t *picture, int channel,
                          uint8_t *obs) {
    if (w->options.size != VLY_ATARI_NATIVE_SIZE) {
        vly_area_resize(&w->area, picture, obs + channel, w->channels);
        return;
    }
    const size_t n = (size_t)w->lines * VLY_SCREEN_WIDTH;
    for (size_t i = 0; i < n; i++) obs[i * (size_t)w->channels + (size_t)channel] = picture[i];
}

/* The brighter of two screens; b may be NULL. */
static void write_picture(const vly_atari_world *w, const uint8_t *a, const uint8_t *b,
                          uint8_t *obs) {
    uint8_t picture[VLY_SCREEN_BYTES];
    if (w->channels == 1 && w->options.size != VLY_ATARI_NATIVE_SIZE &&
        vly_area_pool_usual(&w->area, w->colour[0], a, b, obs))
        return;
    for (int c = 0; c < w->channels; c++) {
        vly_pool_lookup(w->colour[c], a, b, (size_t)w->height * VLY_SCREEN_WIDTH, picture);
        write_channel(w, picture, c, obs);
    }
}

static const uint8_t *front(const vly_atari_actor *s, const stage *g) {
    return g->screens.pixels[s->emulator.machine.tia.front];
}
static const uint8_t *back(const vly_atari_actor *s, const stage *g) {
    return g->screens.pixels[s->emulator.machine.tia.front ^ 1];
}

/* Draws the actor's two screens again, as they were after its last row. */
static void see(const vly_atari_world *w, vly_atari_actor *s, stage *g) {
    if (g->ready) return;
    if (vly_still_draw(&s->still, w->room, w->rom, w->height, &g->screens, NULL)) s->failed = 1;
    g->ready = 1;
}

/* Writes the picture of the previous row again, which the peers do where an episode ends early;
 * pooled with `more` unless that is NULL. s->still describes the previous row until the new one
 * is written. */
static void observe_again(const vly_atari_world *w, vly_atari_actor *s, const uint8_t *more,
                          uint8_t *obs) {
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

static int covers_display(const vly_atari_world *w, const vly_machine *m) {
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

static int reached_end(const vly_atari_world *w, vly_atari_actor *s, played *p) {
    const vly_emulator *e = &s->emulator;
    const int lives = vly_emulator_lives(e, &w->rules);
    p->over = vly_emulator_over(e);
    if (w->style == VLY_STYLE_ALE) {
        p->life_lost = lives < s->lives && lives > 0;
        p->truncated = !p->over && s->elapsed >= w->options.max_frames;
        return p->over || p->truncated || (w->options.episodic_life && p->life_lost);
    }
    p->truncated = vly_emulator_truncated(e, &w->rules);
    if (w->style == VLY_STYLE_ENVPOOL) return p->over;
    p->life_lost = lives < s->lives && (lives > 0 || w->style == VLY_STYLE_GYMNASIUM);
    return p->over || p->truncated || (w->options.episodic_life && p->life_lost);
}

/* Plays up to n frames of one action and draws those from `draw_from` on. Returns 0 if an
 * undrawn frame turns out to be needed. */
static int play_frames(const vly_atari_world *w, vly_atari_actor *s, stage *g, int action, int n,
                       int draw_from, played *p) {
    vly_emulator *e = &s->emulator;
    p->reward = p->held = p->frames = p->over = p->truncated = p->life_lost = 0;
    while (p->frames < n && !vly_emulator_failed(e)) {
        const int i = p->frames++, drawn = i >= draw_from;
        if (i > 0 && i == n - 1 &&
            e->machine.tia.partial) { /* the next frame continues in the same buffer */
            memcpy(p->before, front(s, g), sizeof p->before);
            p->held = 1;
        }
        p->reward += vly_emulator_act(e, &w->rules, action, drawn ? &g->screens : NULL);
        if (i < VLY_ATARI_SKIP_MOST) p->wires[i] = e->machine.wires;
        s->elapsed += w->style == VLY_STYLE_ALE;
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

/* Only the last two frames of a step are observed, so earlier ones are played without drawing.
 * The screens from before the step are usually not needed either: frames that cover the display
 * overwrite them. Where that fails (a frame is shorter than an earlier one or continues it, or
 * an episode ends early) the step is undone and played again with the older screens and every
 * frame drawn. All random state is part of the actor, so the frames are the same. Where the
 * older screens were present from the start, the frames drawn by the first attempt are
 * overwritten: at least two undrawn frames before them covered the display. */
static void play_action(const vly_atari_world *w, vly_atari_actor *s, stage *g, int action, int n,
                        played *p) {
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

static int next_start(const vly_atari_world *w, vly_atari_actor *s, int n) {
    if (n <= 0) return 0;
    switch (w->style) {
    case VLY_STYLE_GYMNASIUM: return 1 + (int)vly_integers_below(&s->numpy, (uint32_t)n);
    case VLY_STYLE_ALE:
    case VLY_STYLE_ENVPOOL: return (int)vly_uniform_int(vly_atari_starts(w, s), (uint32_t)n);
    default:
        return (int)vly_below(vly_philox(s->seed, VLY_STREAM_ENV, s->episode, 0).v[0],
                              (uint32_t)n + 1);
    }
}

static uint32_t fold(uint64_t seed) {
    return (uint32_t)(seed ^ seed >> 32);
}

static void reset_game(const vly_atari_world *w, vly_atari_actor *s, stage *g) {
    see(w, s, g); /* a game may not overwrite all of them */
    if (vly_reset_cached(w->cache, &s->emulator, &w->rules, &g->screens)) s->failed = 1;
    count_missing_from_here(&s->emulator.machine);
    s->elapsed = s->steps = s->score = 0;
    s->draw_all = 0;
    s->episode++;
}

/* Seeds and powers on as ALE's loadROM does. */
static void load_console(const vly_atari_world *w, vly_atari_actor *s, stage *g) {
    uint32_t seed = fold(s->seed), words[2];
    if (w->style == VLY_STYLE_GYMNASIUM) {
        vly_seed_sequence(s->seed, words, 2);
        vly_integers_seed(&s->numpy, words[0]);
        seed = words[1];
    } else if (w->style != VLY_STYLE_VOLLEY) {
        vly_mt19937_seed(vly_atari_starts(w, s), seed);
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

/* Plays n frames of no action; if the game ends meanwhile, starts a new one. */
static void play_noops(const vly_atari_world *w, vly_atari_actor *s, stage *g, int n) {
    played p;
    const int32_t elapsed = s->elapsed;
    s->lives = INT32_MIN; /* no life is lost before the game */
    while (n > 0 && !s->failed) {
        play_action(w, s, g, VLY_NOOP, n, &p);
        n -= p.frames;
        if (vly_emulator_failed(&s->emulator)) s->failed = 1;
        if (p.over || p.truncated) reset_game(w, s, g);
    }
    s->elapsed = elapsed;
}

static void press_fire(const vly_atari_world *w, vly_atari_actor *s, stage *g) {
    played p;
    s->lives = INT32_MIN;
    const int32_t elapsed = s->elapsed;
    play_action(w, s, g, VLY_FIRE, 1, &p);
    s->elapsed = elapsed;
    if (p.over && w->style != VLY_STYLE_ENVPOOL) reset_game(w, s, g);
}

static void begin_game(const vly_atari_world *w, vly_atari_actor *s, stage *g) {
    const int noops = next_start(w, s, w->options.noop_max);
    reset_game(w, s, g);
    switch (w->style) {
    case VLY_STYLE_ALE:
        if (w->fire_reset) press_fire(w, s, g);
        play_noops(w, s, g, noops - w->fire_reset);
        break;
    case VLY_STYLE_ENVPOOL:
        play_noops(w, s, g, noops + 1 - w->fire_reset);
        if (w->fire_reset) press_fire(w, s, g);
        break;
    default:
        play_noops(w, s, g, noops);
        if (w->fire_reset) press_fire(w, s, g);
    }
}

/* Starts a new episode after a lost life, in the same game, which may wait for FIRE. */
static void begin_life(const vly_atari_world *w, vly_atari_actor *s, stage *g, played *p) {
    if (w->style == VLY_STYLE_ENVPOOL) {
        play_noops(w, s, g, next_start(w, s, w->options.noop_max) + 1 - w->fire_reset);
        if (w->fire_reset) press_fire(w, s, g);
        return;
    }
    s->lives = INT32_MIN;
    play_action(w, s, g, w->fire_reset ? VLY_FIRE : VLY_NOOP, 1, p);
}

/* ---- rows ---- */

static void write_actor_row(const vly_atari_world *w, vly_atari_actor *s, float reward,
                            int32_t score, uint8_t flags, vly_rows at) {
    (void)w;
    *at.reward = reward;
    *at.score = (float)score;
    *at.flags = s->failed ? VLY_ROW_FAILED : flags;
    s->ended = (flags & VLY_ROW_ENDED) != 0;
    s->game_over = (flags & VLY_ROW_GAME_OVER) != 0;
}

/* Records what drawing these screens again takes. p: the frames since the previous row if there
 * were no others, or NULL. */
static void keep(const vly_atari_world *w, vly_atari_actor *s, const stage *g, int pooled,
                 const played *p) {
    const vly_machine *m = &s->emulator.machine;
    const uint8_t *before = p && p->held && w->options.stale_terminal ? p->before : NULL;
    if (s->failed) return;
    s->pooled = (uint8_t)pooled;
    if (vly_still_take(&s->still, w->room, m, w->height, &g->screens, before) == 0) return;
    if (!p || vly_still_extend(&s->still, w->room, m, p->wires, p->frames)) s->failed = 1;
}

static void start_game_or_life(const vly_atari_world *w, vly_atari_actor *s, stage *g,
                               vly_rows at) {
    played p = {.over = 0};
    const int goes_on = !s->game_over &&
                        (w->style == VLY_STYLE_VOLLEY || w->style == VLY_STYLE_ENVPOOL);
    if (goes_on)
        begin_life(w, s, g, &p);
    else
        begin_game(w, s, g);
    s->lives = vly_emulator_lives(&s->emulator, &w->rules);
    s->score += p.reward;
    const int pooled = goes_on && w->style == VLY_STYLE_VOLLEY && w->options.max_pool &&
                       !w->options.stale_terminal;
    write_picture(w, front(s, g), pooled ? back(s, g) : NULL, at.obs);
    keep(w, s, g, pooled, goes_on && w->style == VLY_STYLE_VOLLEY ? &p : NULL);
    uint8_t flags = VLY_ROW_RESET;
    if (p.over) flags |= VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER;
    if (p.truncated && !p.over) flags |= VLY_ROW_TRUNCATED | VLY_ROW_GAME_OVER;
    write_actor_row(w, s, 0, p.reward, flags, at);
}

static float shown_reward(const vly_atari_world *w, int32_t reward) {
    if (w->options.reward_mode == VLY_ATARI_REWARD_MODE_CLIP)
        return reward > 1 ? 1 : reward < -1 ? -1 : (float)reward;
    if (w->options.reward_mode == VLY_ATARI_REWARD_MODE_SIGN)
        return (float)((reward > 0) - (reward < 0));
    return (float)reward;
}

/* The peers store the last two frames of a whole skip only. Where an episode ends before that
 * they show the stored ones again. EnvPool stores a frame before it tests for the end, and
 * pools after a whole skip only. */
static void observe_stale(const vly_atari_world *w, vly_atari_actor *s, const stage *g,
                          const played *p, uint8_t *obs) {
    const int n = w->options.frame_skip, envpool = w->style == VLY_STYLE_ENVPOOL,
              whole = p->frames == n, pools = n > 1 && w->options.max_pool;
    const int early = !envpool &&
                      (p->over || p->truncated || (w->options.episodic_life && p->life_lost));
    const uint8_t *last = front(s, g), *before = p->held ? p->before : back(s, g);
    if (whole && !early)
        write_picture(w, last, pools ? before : NULL, obs);
    else if (envpool && p->frames == n - 1)
        write_picture(w, last, NULL, obs);
    else
        observe_again(w, s, whole && pools ? before : NULL, obs);
}

static void observe_step(const vly_atari_world *w, vly_atari_actor *s, const stage *g,
                         const played *p, uint8_t *obs) {
    const uint8_t *before = p->held ? p->before : back(s, g);
    const int stale = w->options.stale_terminal;
    if (stale)
        observe_stale(w, s, g, p, obs);
    else
        write_picture(w, front(s, g), w->options.max_pool ? before : NULL, obs);
    keep(w, s, g, w->options.frame_skip > 1 && (w->options.max_pool || !stale), p);
}

static uint8_t end_flags(const vly_atari_world *w, vly_atari_actor *s, const played *p) {
    uint8_t flags = p->life_lost ? VLY_ROW_LIFE_LOST : 0;
    if (p->over) flags |= VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER;
    if (w->options.episodic_life && p->life_lost) flags |= VLY_ROW_TERMINATED;
    if (!p->truncated && (w->max_steps <= 0 || s->steps < w->max_steps)) return flags;
    /* What has terminated is not cut off as well; a lost life only in ALE's vector, nothing in
     * Gymnasium's environment. */
    const int alone = w->style == VLY_STYLE_GYMNASIUM ? 0
                      : w->style == VLY_STYLE_ALE     ? flags & VLY_ROW_TERMINATED
                                                      : p->over;
    return flags | VLY_ROW_GAME_OVER | (alone ? 0 : VLY_ROW_TRUNCATED);
}

void vly_atari_actor_step(const vly_atari_world *w, vly_atari_actor *s, int action, vly_rows at) {
    stage g;
    played p;
    g.ready = 0;
    if (s->failed) {
        write_actor_row(w, s, 0, 0, VLY_ROW_FAILED, at);
        return;
    }
    if (s->ended) {
        start_game_or_life(w, s, &g, at);
        return;
    }
    play_action(w, s, &g, w->actions[action], w->options.frame_skip, &p);
    s->steps++;
    s->score += p.reward;
    const int lives = vly_emulator_lives(&s->emulator, &w->rules);
    if (w->style == VLY_STYLE_ENVPOOL) p.life_lost = lives < s->lives && lives > 0;
    s->lives = lives;
    s->failed = (uint8_t)vly_emulator_failed(&s->emulator);
    observe_step(w, s, &g, &p, at.obs);
    write_actor_row(w, s, shown_reward(w, p.reward), p.reward, end_flags(w, s, &p), at);
}

void vly_atari_actor_reset(const vly_atari_world *w, vly_atari_actor *s, size_t bytes,
                           uint64_t seed, vly_rows at) {
    stage g;
    g.ready = 0;
    memset(s, 0, bytes);
    s->seed = seed;
    load_console(w, s, &g);
    s->game_over = 1;
    start_game_or_life(w, s, &g, at);
}

void vly_atari_actor_restart(const vly_atari_world *w, vly_atari_actor *s, vly_rows at) {
    stage g;
    g.ready = 0;
    if (s->failed) {
        write_actor_row(w, s, 0, 0, VLY_ROW_FAILED, at);
        return;
    }
    s->game_over = 1;
    start_game_or_life(w, s, &g, at);
}
