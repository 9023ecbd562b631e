#include "envs/atari/options.h"
#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "common/config/option.h"
#include "envs/atari/modes.h"

/* clang-format off */
#define AT(k) offsetof(vly_atari_options, k), sizeof(((vly_atari_options *)0)->k)
#define BOOL(s, k, def, help) {#s, #k, VLY_OPTION_BOOL, AT(k), def, 0, 1, NULL, help},
#define INT(s, k, def, min, max, help) {#s, #k, VLY_OPTION_INT, AT(k), def, min, max, NULL, help},
#define FLOAT(s, k, def, min, max, help) {#s, #k, VLY_OPTION_FLOAT, AT(k), def, min, max, NULL, help},
#define CHOICE(s, k, def, choices, help) {#s, #k, VLY_OPTION_CHOICE, AT(k), def, 0, 0, choices, help},
#define TEXT(s, k, bytes, def, help) {#s, #k, VLY_OPTION_TEXT, AT(k), def, 0, 0, NULL, help},
#define NAME(s, k, def, choices, help) {#s, #k, VLY_OPTION_TEXT, AT(k), def, 0, 0, choices, help},
static const vly_option rows[] = {
#include "common/config/atari.def"
};

#define ALGO(name, settings)
#define PRESET(name, env, algo, summary, settings)
#define FAMILY_PRESET(family, name, settings) {#family, #name, settings},
static const struct {
    const char *family, *name, *settings;
} presets[] = {
#include "common/config/presets.def"
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows, PRESETS = sizeof presets / sizeof *presets };
/* Room for a key or a value, more than any option takes: one that is cut off is refused. */
enum { SETTING = 128 };

vly_atari_options vly_atari_default_options(void) {
    vly_atari_options o;
    memset(&o, 0, sizeof o);
    for (int i = 0; i < ROWS; i++) (void)vly_option_set(&o, &rows[i], rows[i].key, rows[i].def);
    return o;
}

/* The next "atari.key=value" of a text of settings, past those of other families; NULL at the end.
 */
static const char *next_setting(const char *at, char *key, char *value, size_t bytes) {
    while (*(at += strspn(at, " "))) {
        const size_t n = strcspn(at, " "), name = strcspn(at, "= ");
        if (strncmp(at, "atari.", 6) == 0 && name < n) {
            snprintf(key, bytes, "%.*s", (int)(name - 6), at + 6);
            snprintf(value, bytes, "%.*s", (int)(n - name - 1), at + name + 1);
            return at + n;
        }
        at += n;
    }
    return NULL;
}

static vly_status set_option(vly_atari_options *o, const char *key, const char *value) {
    char what[SETTING + 8];
    snprintf(what, sizeof what, "atari.%s", key);
    for (int i = 0; i < ROWS; i++)
        if (strcmp(rows[i].key, key) == 0) return vly_option_set(o, &rows[i], what, value);
    return vly_fail(VLY_EINVAL, "Atari games have no option '%.60s'", key);
}

static vly_status apply_settings(vly_atari_options *o, const char *settings) {
    char key[SETTING], value[SETTING];
    while ((settings = next_setting(settings, key, value, sizeof key)))
        VLY_TRY(set_option(o, key, value));
    return VLY_OK;
}

static vly_status apply_preset(vly_atari_options *o, const char *name) {
    VLY_TRY(set_option(o, "preset", name));
    for (int i = 0; i < PRESETS; i++)
        if (strcmp(presets[i].family, "atari") == 0 && strcmp(presets[i].name, name) == 0)
            VLY_TRY(apply_settings(o, presets[i].settings));
    return VLY_OK;
}

vly_status vly_atari_preset(vly_atari_options *options, const char *name) {
    vly_atari_options o = vly_atari_default_options();
    o.roms = options->roms, o.max_steps = options->max_steps;
    VLY_TRY(apply_preset(&o, name));
    *options = o;
    return VLY_OK;
}

/* ---- names ---- */

/* "SpaceInvaders" and "space_invaders" are the same game. */
static bool is_camel_of(const char *game, const char *camel, size_t n) {
    size_t i = 0;
    for (; *game; game++) {
        if (*game == '_') continue;
        if (i >= n || tolower((unsigned char)camel[i]) != *game) return false;
        i++;
    }
    return i == n;
}

static const vly_atari_game *game_of_camel(const char *camel, size_t n) {
    for (int i = 0; i < VLY_ATARI_GAMES; i++)
        if (is_camel_of(vly_atari_games[i].name, camel, n)) return &vly_atari_games[i];
    return NULL;
}

/* The game of a Gymnasium id, and what the id sets. */
static const vly_atari_game *game_of_id(const char *name, const char **settings) {
    const char *v5 = "-v5", *plain = "NoFrameskip-v4";
    const size_t length = strlen(name), tail = strlen(plain);
    if (strncmp(name, "ALE/", 4) == 0 && length > 7 && strcmp(name + length - 3, v5) == 0) {
        *settings = "atari.sticky=0.25 atari.frame_skip=4 atari.full_actions=false "
                    "atari.max_frames=108000 ";
        return game_of_camel(name + 4, length - 7);
    }
    if (length <= tail || strcmp(name + length - tail, plain) != 0) return NULL;
    *settings = "atari.sticky=0 atari.frame_skip=1 atari.full_actions=false "
                "atari.max_frames=108000 ";
    return game_of_camel(name, length - tail);
}

const char *vly_atari_id_settings(const char *name, const vly_atari_game **game) {
    const char *settings = "";
    *game = vly_atari_game_find(name);
    if (!*game) *game = game_of_id(name, &settings);
    return *game ? settings : "";
}

const vly_atari_game *vly_atari_named(const char *name, vly_atari_options *options) {
    const vly_atari_game *game;
    const char *settings = vly_atari_id_settings(name, &game);
    return apply_settings(options, settings) == VLY_OK ? game : NULL;
}

/* The last preset of a text of settings; "" where there is none. */
static void find_given_preset(const char *settings, char *preset, size_t bytes) {
    char key[SETTING], value[SETTING];
    preset[0] = '\0';
    while ((settings = next_setting(settings, key, value, sizeof key)))
        if (strcmp(key, "preset") == 0) snprintf(preset, bytes, "%s", value);
}

vly_status vly_atari_options_read(vly_atari_options *options, const char *name,
                                  const vly_env_args *args) {
    const vly_atari_game *game;
    char preset[SETTING];
    *options = vly_atari_default_options();
    VLY_TRY(apply_settings(options, vly_atari_id_settings(name, &game)));
    if (!args) return VLY_OK;
    const char *settings = args->options ? args->options : "";
    find_given_preset(settings, preset, sizeof preset);
    if (preset[0]) VLY_TRY(apply_preset(options, preset));
    VLY_TRY(apply_settings(options, settings));
    options->max_steps = args->max_steps;
    options->roms = args->data;
    return VLY_OK;
}

/* ---- checks ---- */

/* Members may hold any value: checks each one against its row. */
static vly_status check_ranges(const vly_atari_game *game, const vly_atari_options *o) {
    vly_atari_options copy = *o;
    char what[96], value[64];
    for (int i = 0; i < ROWS; i++) {
        snprintf(what, sizeof what, "%s: atari.%s", game->name, rows[i].key);
        vly_option_get(o, &rows[i], value, sizeof value);
        VLY_TRY(vly_option_set(&copy, &rows[i], what, value));
    }
    return VLY_OK;
}

/* "0, 4, 8 ... 44" */
static void list_modes(const vly_atari_game *game, char *text, size_t bytes) {
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < game->n_modes && at + 8 < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, i ? ", %d" : "%d", game->modes[i]);
}

static void list_difficulties(const vly_atari_game *game, char *text, size_t bytes) {
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < game->n_difficulties && at + 8 < bytes; i++)
        at += (size_t)snprintf(text + at, bytes - at, i ? ", %d" : "%d", game->difficulties[i]);
}

static vly_status check_game(const vly_atari_game *game, int mode, int difficulty) {
    char text[700];
    if (game->unproven)
        return vly_fail(VLY_EUNSUPPORTED, "%s: not offered, since it differs from ALE: %s",
                        game->name, game->unproven);
    list_modes(game, text, sizeof text);
    if (!vly_atari_has_mode(game, mode))
        return vly_fail(VLY_EINVAL, "%s has no mode %d: it has %s", game->name, mode, text);
    const vly_atari_select *select = vly_atari_select_of(game);
    if (select && select->only_default && mode != game->default_mode)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s: mode %d is not offered, only %d: how ALE reaches it is not known",
                        game->name, mode, game->default_mode);
    list_difficulties(game, text, sizeof text);
    if (difficulty != 0 && !vly_atari_has_difficulty(game, difficulty)) /* ALE starts with 0 even
                                                                           where it is not listed */
        return vly_fail(VLY_EINVAL, "%s has no difficulty %d: it has %s", game->name, difficulty,
                        text);
    return VLY_OK;
}

vly_status vly_atari_check(const vly_atari_game *game, const vly_atari_options *options) {
    VLY_TRY(check_ranges(game, options));
    return check_game(game, options->mode, options->difficulty);
}
