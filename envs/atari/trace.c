#include "envs/atari/trace.h"
#include <stdlib.h>
#include <string.h>
#include "common/base/crc32.h"
#include "envs/atari/emulator.h"
#include "envs/atari/roms.h"

static vly_status check_actions(const int32_t *actions, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (actions[i] < 0 || actions[i] >= VLY_ATARI_ACTIONS)
            return vly_fail(VLY_EINVAL, "action %zu is %d, it must be in [0, 17] (ALE's full set)",
                            i, (int)actions[i]);
    return VLY_OK;
}

static vly_status finished(FILE *out) {
    return fflush(out) == 0 && !ferror(out) ? VLY_OK : vly_fail(VLY_EIO, "cannot write the trace");
}

/* ---- frames ---- */

typedef struct {
    vly_emulator emulator;
    vly_screens screens;
} console;

static void frame_row(FILE *out, size_t frame, int action, int32_t reward, const console *c,
                      const vly_emulator_rules *rules, size_t screen_bytes) {
    const vly_emulator *e = &c->emulator;
    fprintf(out, "%zu\t%d\t%d\t%d\t%d\t%d\t%08x\t%08x\n", frame, action, (int)reward,
            vly_emulator_over(e), vly_emulator_truncated(e, rules), vly_emulator_lives(e, rules),
            vly_crc32(0, e->machine.ram, 128),
            vly_crc32(0, vly_machine_screen(&e->machine, &c->screens), screen_bytes));
}

static vly_status trace_frames(FILE *out, console *c, const vly_emulator_rules *rules,
                               uint64_t seed, const int32_t *actions, size_t n) {
    vly_emulator *e = &c->emulator;
    const vly_atari_game *game = rules->game;
    const size_t bytes = VLY_SCREEN_WIDTH * (size_t)vly_rom_get_properties(rules->rom)->height;
    VLY_TRY(vly_emulator_load(e, rules, (uint32_t)seed, &c->screens));
    if ((rules->mode != game->default_mode || rules->difficulty != 0) &&
        vly_emulator_reset(e, rules, &c->screens))
        return vly_fail(VLY_EUNSUPPORTED, "%s: pressing SELECT does not reach mode %d", game->name,
                        rules->mode);
    fprintf(out, "frame\taction\treward\tterminated\ttruncated\tlives\tram_crc32\tscreen_crc32\n");
    for (size_t i = 0; i < n; i++) {
        const int32_t reward = vly_emulator_act(e, rules, actions[i], &c->screens);
        frame_row(out, i, actions[i], reward, c, rules, bytes);
        if (vly_emulator_failed(e))
            return vly_fail(VLY_ECORRUPT, "%s: the console stopped at frame %zu", game->name, i);
        if (vly_emulator_over(e) || vly_emulator_truncated(e, rules))
            (void)vly_emulator_reset(e, rules, &c->screens);
    }
    return finished(out);
}

/* The checks of vly_atari_open, without its environment. */
static vly_status open_rules(vly_emulator_rules *rules, vly_rom **rom, const char *name,
                             const vly_atari_options *options) {
    vly_atari_options o = *options;
    const vly_atari_game *game = vly_atari_named(name, &o);
    if (!game)
        return vly_fail(VLY_ENOTFOUND, "no Atari game named '%.64s': 'volley ls atari' lists them",
                        name);
    uint8_t bytes[VLY_ROM_MAX_BYTES];
    size_t n;
    VLY_TRY(vly_atari_rom_read(game, o.roms, bytes, &n));
    if (o.mode < 0) o.mode = game->default_mode;
    if (o.difficulty < 0) o.difficulty = 0;
    VLY_TRY(vly_atari_check(game, &o));
    VLY_TRY(vly_rom_create(rom, bytes, n, &game->machine));
    *rules = (vly_emulator_rules){game, *rom, o.sticky, o.max_frames, o.mode, o.difficulty};
    return VLY_OK;
}

vly_status vly_atari_trace(FILE *out, const char *name, const vly_atari_options *options,
                           uint64_t seed, const int32_t *actions, size_t n) {
    vly_emulator_rules rules;
    vly_rom *rom = NULL;
    VLY_TRY(check_actions(actions, n));
    VLY_TRY(open_rules(&rules, &rom, name, options));
    console *c = calloc(1, sizeof *c);
    const vly_status status = c ? trace_frames(out, c, &rules, seed, actions, n)
                                : vly_fail(VLY_ENOMEM, "no memory for a trace");
    free(c);
    vly_rom_destroy(rom);
    return status;
}

/* ---- agent steps ---- */

static int own_action(const vly_env *env, int full) {
    for (int a = 0; a < env->action.n; a++)
        if (vly_atari_action(env, a) == full) return a;
    return -1;
}

/* All before the first row: what is written is whole. */
static vly_status check_own_actions(const vly_env *env, const int32_t *actions, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (own_action(env, actions[i]) < 0)
            return vly_fail(
                VLY_EINVAL,
                "action %zu is %d (%s), which %s does not have: give --atari.full_actions", i,
                (int)actions[i], vly_atari_action_name(actions[i]), env->name);
    return VLY_OK;
}

static vly_status trace_steps(FILE *out, const vly_env *env, void *state, uint8_t *obs,
                              uint64_t seed, const int32_t *actions, size_t n) {
    float reward, score;
    uint8_t flags;
    VLY_TRY(check_own_actions(env, actions, n));
    const vly_rows row = vly_rows_plain(obs, env->obs.bytes, &reward, &score, &flags);
    env->reset(env, state, seed, row);
    fprintf(out, "step\taction\treward\tterminated\ttruncated\tlives\tobs_crc32\n");
    for (size_t i = 0; i < n; i++) {
        const int32_t action = own_action(env, actions[i]), any = 0;
        env->step(env, state, 1, vly_actions_of_ints(&action), row);
        if (flags & VLY_ROW_FAILED)
            return vly_fail(VLY_ECORRUPT, "%s: the console stopped at step %zu", env->name, i);
        fprintf(out, "%zu\t%d\t%.9g\t%d\t%d\t%d\t%08x\n", i, (int)actions[i], (double)reward,
                (flags & VLY_ROW_TERMINATED) != 0, (flags & VLY_ROW_TRUNCATED) != 0,
                vly_atari_look(env, state).lives, vly_crc32(0, obs, env->obs.bytes));
        if (flags & VLY_ROW_ENDED) env->step(env, state, 1, vly_actions_of_ints(&any), row);
    }
    return finished(out);
}

vly_status vly_atari_trace_observations(FILE *out, const char *name,
                                        const vly_atari_options *options, uint64_t seed,
                                        const int32_t *actions, size_t n) {
    vly_env env;
    VLY_TRY(check_actions(actions, n));
    VLY_TRY(vly_atari_open(&env, name, options));
    void *state = aligned_alloc(64, env.state_bytes);
    uint8_t *obs = malloc(env.obs.bytes);
    const vly_status status = state && obs ? trace_steps(out, &env, state, obs, seed, actions, n)
                                           : vly_fail(VLY_ENOMEM, "no memory for a trace");
    free(obs);
    free(state);
    env.close(&env);
    return status;
}
