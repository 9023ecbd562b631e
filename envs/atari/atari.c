#include "envs/atari/atari.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "envs/atari/actor.h"
#include "envs/atari/palette.h"
#include "envs/atari/roms.h"
#include "envs/env_options.h"

static void atari_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    vly_atari_actor_reset(env->world, state, env->state_bytes, seed, at);
}

static void atari_restart(const vly_env *env, void *state, vly_rows at) {
    vly_atari_actor_restart(env->world, state, at);
}

static vly_status atari_valid(const vly_env *env, const void *state) {
    enum { MOST = 1 << 30 };
    const vly_atari_world *w = env->world;
    const vly_atari_actor *s = state;
    const vly_mt19937 *random = (const vly_mt19937 *)((const char *)state + w->starts_at);
    VLY_TRY(vly_emulator_valid(&s->emulator, &w->rules));
    VLY_TRY(vly_env_valid_range("elapsed", s->elapsed, 0, MOST));
    VLY_TRY(vly_env_valid_range("steps", s->steps, 0, MOST));
    VLY_TRY(vly_env_valid_range("score", s->score, -MOST, MOST));
    if (vly_atari_has_starts(w))
        VLY_TRY(vly_env_valid_range("starts.at", random->at, 0, VLY_MT_WORDS));
    VLY_TRY(vly_env_valid_range("front", s->still.front, 0, 1));
    /* A failed actor's steps do nothing, and it may have failed before two frames were drawn. */
    if (!s->failed && vly_still_check(&s->still, w->room, w->rom, w->height))
        return vly_fail(VLY_ECORRUPT, "its last two frames cannot be drawn");
    return VLY_OK;
}

static void atari_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    for (int i = 0; i < n; i++) {
        const int a = action[i] >= 0 && action[i] < env->action.n ? action[i] : 0;
        vly_atari_actor_step(env->world,
                             (vly_atari_actor *)((char *)states + (size_t)i * env->state_bytes), a,
                             vly_rows_at(out, (size_t)i));
    }
}

static void atari_render(const vly_env *env, const void *state, uint8_t *rgb, int *width,
                         int *height) {
    const vly_atari_world *w = env->world;
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

bool vly_atari_is(const vly_env *env) {
    return env->reset == atari_reset;
}

vly_atari_view vly_atari_look(const vly_env *env, const void *state) {
    const vly_atari_world *w = env->world;
    const vly_atari_actor *s = state;
    return (vly_atari_view){s->emulator.machine.ram,
                            w->height,
                            vly_emulator_lives(&s->emulator, &w->rules),
                            s->emulator.frames,
                            s->emulator.episode_frames,
                            s->score,
                            (int)s->still.bytes};
}

void vly_atari_screen(const vly_env *env, const void *state, uint8_t *pixels) {
    const vly_atari_world *w = env->world;
    const vly_atari_actor *s = state;
    vly_screens screens;
    memset(&screens, 0, sizeof screens);
    (void)vly_still_draw(&s->still, w->room, w->rom, w->height, &screens, NULL);
    memcpy(pixels, screens.pixels[s->still.front], (size_t)w->height * VLY_SCREEN_WIDTH);
}

int vly_atari_action(const vly_env *env, int action) {
    const vly_atari_world *w = env->world;
    return action >= 0 && action < env->action.n ? w->actions[action] : VLY_NOOP;
}

static void atari_close(vly_env *env) {
    vly_atari_world *w = env->world;
    if (!w) return;
    vly_reset_cache_destroy(w->cache);
    vly_rom_destroy(w->rom);
    free(w);
    env->world = NULL;
}

static vly_atari_style style_of(const char *preset) {
    if (strcmp(preset, "gymnasium") == 0) return VLY_STYLE_GYMNASIUM;
    if (strcmp(preset, "ale") == 0) return VLY_STYLE_ALE;
    return strcmp(preset, "envpool") == 0 ? VLY_STYLE_ENVPOOL : VLY_STYLE_VOLLEY;
}

/* ---- opening ---- */

static void fill_colours(vly_atari_world *w) {
    const int pal = vly_rom_get_properties(w->rom)->format == VLY_FORMAT_PAL;
    for (int i = 0; i < 256; i++) {
        const uint32_t rgb = vly_palette_rgb(pal, (uint8_t)i);
        for (int c = 0; c < 3; c++) w->colour[c][i] = (uint8_t)(rgb >> (16 - 8 * c));
        if (w->options.grayscale) w->colour[0][i] = vly_palette_grey(pal, (uint8_t)i);
    }
}

/* Loads the console once for all actors if the seed does not matter for it. */
static vly_status preload(vly_atari_world *w) {
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

/* These programs run for long without a VSYNC, at start or while they compute a move; their
 * stills then hold both screens as code. */
static int goes_on_and_on(const vly_atari_game *game) {
    return strcmp(game->name, "tic_tac_toe_3d") == 0 || strcmp(game->name, "qbert") == 0;
}

/* A known game's stills are small; so are those of another ROM if its frames cover the display. */
static void choose_room(vly_atari_world *w, const uint8_t *rom, size_t bytes) {
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
    w->starts_at = (offsetof(vly_atari_actor, still.code) + w->room + 7) / 8 * 8;
}

/* Where ALE's full set has 9 actions, it is those that do not fire. */
static bool offers(const vly_atari_game *game, const vly_atari_options *o, int action) {
    if (!o->full_actions) return game->minimal >> action & 1;
    return game->legal == VLY_ATARI_ACTIONS || !(vly_atari_action_stick(action) & VLY_STICK_FIRE);
}

static int choose_actions(const vly_atari_game *game, const vly_atari_options *o,
                          uint8_t actions[VLY_ATARI_ACTIONS]) {
    int n = 0;
    for (int a = 0; a < VLY_ATARI_ACTIONS; a++)
        if (offers(game, o, a)) actions[n++] = (uint8_t)a;
    return n;
}

/* EnvPool's observations are of the first 210 lines of a screen that has more. */
static int lines_shown(const vly_atari_options *o, int height) {
    enum { ENVPOOL_LINES = 210 };
    return style_of(o->preset) == VLY_STYLE_ENVPOOL && height > ENVPOOL_LINES ? ENVPOOL_LINES
                                                                              : height;
}

/* height: of the screen. */
static void describe_env(vly_env *env, const vly_atari_game *game, const vly_atari_options *o,
                         int height) {
    uint8_t actions[VLY_ATARI_ACTIONS];
    const int native = o->size == VLY_ATARI_NATIVE_SIZE;
    const int high = native ? lines_shown(o, height) : o->size,
              wide = native ? VLY_SCREEN_WIDTH : o->size;
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
    env->action = vly_space_discrete(choose_actions(game, o, actions));
    env->players = env->tasks = 1;
    env->frames_per_step = o->frame_skip;
    env->step_s = o->frame_skip / 60.0;
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

static void atari_info(const vly_env *env, const void *state, double *out) {
    const vly_atari_view view = vly_atari_look(env, state);
    out[0] = view.lives;
    out[1] = view.frames;
    out[2] = view.episode_frames;
}

static void attach(vly_env *env, vly_atari_world *w) {
    static const char *const info_names[] = {"lives", "frame_number", "episode_frame_number"};
    w->fire_reset = w->options.fire_reset && offers(w->rules.game, &w->options, VLY_FIRE);
    const int n = choose_actions(w->rules.game, &w->options, w->actions);
    for (int i = 0; i < n; i++) w->names[i] = vly_atari_action_name(w->actions[i]);
    env->action.names = w->names;
    env->info_count = 3, env->info_names = info_names, env->info = atari_info;
    env->state_bytes = (w->starts_at + (vly_atari_has_starts(w) ? sizeof(vly_mt19937) : 0) + 63) /
                       64 * 64;
    env->reset = atari_reset, env->restart = atari_restart, env->step = atari_step,
    env->valid = atari_valid;
    env->render = atari_render, env->describe = atari_describe, env->close = atari_close;
    env->world = w;
}

static vly_status open_world(vly_atari_world *w, const vly_atari_game *game, const uint8_t *bytes,
                             size_t n, const vly_atari_options *o) {
    w->options = *o;
    w->options.roms = NULL;
    w->style = style_of(o->preset);
    w->channels = o->grayscale ? 1 : 3;
    VLY_TRY(vly_rom_create(&w->rom, bytes, n, &game->machine));
    w->height = vly_rom_get_properties(w->rom)->height;
    w->lines = lines_shown(o, w->height);
    if (o->size != VLY_ATARI_NATIVE_SIZE && vly_area_init(&w->area, w->lines, o->size) != 0)
        return vly_fail(VLY_EINVAL,
                        "%s: size is %d, it must be in [16, 160], or 210 for the whole screen",
                        game->name, o->size);
    w->rules = (vly_emulator_rules){game, w->rom, o->sticky, o->max_frames, o->mode, o->difficulty};
    if (w->style == VLY_STYLE_ALE || w->style == VLY_STYLE_ENVPOOL) w->rules.max_frames = 0;
    if (w->style == VLY_STYLE_ENVPOOL) w->max_steps = o->max_frames / o->frame_skip;
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
    vly_env opened = {.world = calloc(1, sizeof(vly_atari_world))};
    vly_atari_world *w = opened.world;
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
