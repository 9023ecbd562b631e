#include "envs/atari/emulator.h"
#include <string.h>
#include "envs/atari/modes.h"
#include "envs/env_options.h"

/* ALE's paddles: a joystick direction moves the paddle by this much per frame, within these
 * bounds. */
enum { PADDLE_LOW = 27450, PADDLE_HIGH = 790196, PADDLE_STEP = 23000 };
enum { BOOT_FRAMES = 60, RESET_FRAMES = 4, PRESSES_MAX = 2000 };

static int has_paddles(const vly_atari_game *game) {
    return game->machine.left == VLY_CONTROLLER_PADDLES ||
           game->machine.right == VLY_CONTROLLER_PADDLES;
}

static int32_t paddle_end(const vly_atari_game *game) {
    if (strcmp(game->name, "backgammon") == 0) return 1000000;
    if (strcmp(game->name, "blackjack") == 0) return 795000;
    return PADDLE_HIGH;
}

static void center_paddles(vly_emulator *e, const vly_atari_game *game) {
    memset(&e->controls, 0, sizeof e->controls);
    e->controls.paddle[0] = e->controls.paddle[1] = (PADDLE_LOW + paddle_end(game)) / 2;
}

static void move_paddle(vly_controls *c, const vly_atari_game *game, uint8_t stick) {
    int32_t to = c->paddle[0];
    if (stick & VLY_STICK_LEFT) to += PADDLE_STEP;
    if (stick & VLY_STICK_RIGHT) to -= PADDLE_STEP;
    const int32_t end = paddle_end(game);
    c->paddle[0] = to < PADDLE_LOW ? PADDLE_LOW : to > end ? end : to;
    c->paddle_fire[0] = (stick & VLY_STICK_FIRE) != 0;
}

/* One console frame with player A doing `action` and the console's switches held. */
static void emulate(vly_emulator *e, const vly_emulator_rules *rules, uint8_t action,
                    uint8_t switches, vly_screens *screens) {
    vly_controls *c = &e->controls;
    const uint8_t stick = vly_atari_action_stick(action);
    if (has_paddles(rules->game))
        move_paddle(c, rules->game, stick);
    else
        c->stick[0] = stick;
    c->switches = switches;
    c->difficulty_a[0] = rules->difficulty & 1;
    c->difficulty_a[1] = rules->difficulty >> 1 & 1;
    vly_machine_set_controls(&e->machine, rules->rom, c);
    const int ended = vly_machine_frame(&e->machine, rules->rom, screens);
    e->jammed = (ended & VLY_FRAME_JAMMED) != 0;
    e->stuck = ended & VLY_FRAME_PARTIAL ? (uint16_t)(e->stuck + (e->stuck < UINT16_MAX)) : 0;
    vly_atari_reading_update(rules->game, &e->reading, e->machine.ram, e->machine.cart.ram);
}

static void press_reset(vly_emulator *e, const vly_emulator_rules *rules, vly_screens *screens) {
    for (int i = 0; i < RESET_FRAMES; i++) emulate(e, rules, VLY_NOOP, VLY_SWITCH_RESET, screens);
    e->action = VLY_NOOP;
}

static void play_start(vly_emulator *e, const vly_emulator_rules *rules, vly_screens *screens) {
    for (const vly_atari_press *p = rules->game->start; p < rules->game->start + 3 && p->frames;
         p++)
        for (int i = 0; i < p->frames; i++) {
            const int reset = p->action == VLY_PRESS_RESET;
            emulate(e, rules, reset ? VLY_NOOP : (uint8_t)p->action, reset ? VLY_SWITCH_RESET : 0,
                    screens);
        }
}

uint8_t vly_emulator_choose(vly_emulator *e, const vly_emulator_rules *rules, int action) {
    const double a = vly_mt19937_next(&e->rng) / 4294967296.0;
    (void)vly_mt19937_next(&e->rng); /* player B's draw, which has no effect */
    const int fires = vly_atari_action_stick(action) & VLY_STICK_FIRE;
    if (a >= (double)rules->sticky)
        e->action = fires && rules->game->legal < VLY_ATARI_ACTIONS ? VLY_NOOP : (uint8_t)action;
    return e->action;
}

int32_t vly_emulator_frame(vly_emulator *e, const vly_emulator_rules *rules, uint8_t chosen,
                           vly_screens *screens) {
    if (e->reading.over || vly_emulator_truncated(e, rules)) return 0;
    emulate(e, rules, chosen, 0, screens);
    e->frames++;
    e->episode_frames++;
    return e->reading.reward;
}

int32_t vly_emulator_act(vly_emulator *e, const vly_emulator_rules *rules, int action,
                         vly_screens *screens) {
    return vly_emulator_frame(e, rules, vly_emulator_choose(e, rules, action), screens);
}

/* SELECT for a few frames, then one frame without; only that one counts towards the episode. */
static void press_select(vly_emulator *e, const vly_emulator_rules *rules, int frames,
                         vly_screens *screens) {
    for (int i = 0; i < frames; i++) emulate(e, rules, VLY_NOOP, VLY_SWITCH_SELECT, screens);
    emulate(e, rules, VLY_NOOP, 0, screens);
    e->frames++;
    e->episode_frames++;
}

/* The player presses for one frame and releases for one, repeated until sticky actions let it
 * through. */
static void press_once(vly_emulator *e, const vly_emulator_rules *rules, int action,
                       vly_screens *screens) {
    (void)vly_emulator_act(e, rules, action, screens);
    (void)vly_emulator_act(e, rules, VLY_NOOP, screens);
}

/* Double Dunk's menu: SELECT shows it, the stick moves down and toggles the current line. A
 * mode's bits are the four options below the second line. */
static int set_dunk_menu(vly_emulator *e, const vly_emulator_rules *rules, vly_screens *screens) {
    enum { OPTIONS = 0x00, LINE = 0x31, FIRST = 2 };
    static const uint8_t bits[4] = {0x08, 0x10, 0x04, 0x20};
    const uint8_t *ram = e->machine.ram;
    int left = PRESSES_MAX;
    press_select(e, rules, 5, screens);
    for (int line = 0; line < FIRST + 4; line++) {
        const int option = line - FIRST, on = option >= 0 && (rules->mode >> option & 1);
        for (; option >= 0 && ((ram[OPTIONS] & bits[option]) != 0) != on && left > 0; left--)
            press_once(e, rules, on ? VLY_RIGHT : VLY_LEFT, screens);
        const uint8_t at = ram[LINE];
        for (; line < FIRST + 3 && ram[LINE] == at && left > 0; left--)
            press_once(e, rules, VLY_DOWN, screens);
    }
    press_reset(e, rules, screens);
    press_once(e, rules, VLY_UPFIRE, screens);
    return left > 0 ? 0 : -1;
}

/* Video Cube counts through its 50 cubes while the stick is held to the right. */
static int turn_to_cube(vly_emulator *e, const vly_emulator_rules *rules, vly_screens *screens) {
    enum { CUBE = 0x1F };
    int left = PRESSES_MAX;
    for (; left > 0 && e->machine.ram[CUBE] != vly_atari_cube_of(rules->mode); left--)
        (void)vly_emulator_act(e, rules, VLY_RIGHT, screens);
    return left > 0 ? 0 : -1;
}

static int select_mode(vly_emulator *e, const vly_emulator_rules *rules, vly_screens *screens) {
    const vly_atari_select *s = vly_atari_select_of(rules->game);
    if (!s) return 0;
    if (s->dunk_menu) return set_dunk_menu(e, rules, screens);
    for (int i = 0; i < s->wait; i++) (void)vly_emulator_act(e, rules, VLY_NOOP, screens);
    const vly_machine *m = &e->machine;
    int left = PRESSES_MAX, look = !s->press_first;
    for (; left > 0; left--, look = 1) {
        if (look && vly_atari_select_done(s, rules->mode, m->ram, m->cart.ram)) break;
        for (int i = 0; i < 1 + s->pairs; i++) press_select(e, rules, s->frames, screens);
    }
    for (int i = 0; i < 1 + (s->resets > 1); i++) press_reset(e, rules, screens);
    if (s->cube && turn_to_cube(e, rules, screens)) return -1;
    return left > 0 ? 0 : -1;
}

void vly_emulator_reset_begin(vly_emulator *e, const vly_emulator_rules *rules, int frames,
                              vly_screens *screens) {
    e->episode_frames = 0;
    e->stuck = 0;
    center_paddles(e, rules->game);
    vly_machine_reset(&e->machine, rules->rom);
    for (int i = 0; i < frames; i++) emulate(e, rules, VLY_NOOP, 0, screens);
}

int vly_emulator_reset_finish(vly_emulator *e, const vly_emulator_rules *rules, int frames,
                              vly_screens *screens) {
    for (int i = frames; i < BOOT_FRAMES; i++) emulate(e, rules, VLY_NOOP, 0, screens);
    press_reset(e, rules, screens);
    vly_atari_reading_start(rules->game, &e->reading);
    const int reached = select_mode(e, rules, screens);
    press_reset(e, rules, screens);
    play_start(e, rules, screens);
    return reached;
}

int vly_emulator_reset(vly_emulator *e, const vly_emulator_rules *rules, vly_screens *screens) {
    vly_emulator_reset_begin(e, rules, 0, screens);
    return vly_emulator_reset_finish(e, rules, 0, screens);
}

vly_status vly_emulator_load(vly_emulator *e, const vly_emulator_rules *rules, uint32_t seed,
                             vly_screens *screens) {
    memset(e, 0, sizeof *e);
    vly_machine_init(&e->machine, rules->rom);
    vly_mt19937_seed(&e->rng, seed);
    vly_emulator_rules first = *rules; /* ALE loads a game before mode and difficulty can be set */
    first.mode = rules->game->default_mode, first.difficulty = 0;
    if (vly_emulator_reset(e, &first, screens) == 0) return VLY_OK;
    return vly_fail(VLY_EUNSUPPORTED, "%s: pressing SELECT does not reach mode %d",
                    rules->game->name, first.mode);
}

vly_status vly_emulator_valid(const vly_emulator *e, const vly_emulator_rules *rules) {
    enum { MOST = 1 << 30 }; /* bound of every counter, so that sums of two fit 32 bits */
    const vly_atari_reading *r = &e->reading;
    if (!vly_machine_valid(&e->machine, rules->rom))
        return vly_fail(VLY_ECORRUPT, "the console has a register out of range");
    VLY_TRY(vly_env_valid_range("rng.at", e->rng.at, 0, VLY_MT_WORDS));
    VLY_TRY(vly_env_valid_range("score", r->score, -MOST, MOST));
    VLY_TRY(vly_env_valid_range("reward", r->reward, -MOST, MOST));
    for (int i = 0; i < 4; i++) VLY_TRY(vly_env_valid_range("memo", r->memo[i], -MOST, MOST));
    for (int i = 0; i < 4; i++)
        VLY_TRY(vly_env_valid_range("paddle", e->controls.paddle[i], 0, paddle_end(rules->game)));
    VLY_TRY(vly_env_valid_range("frames", e->frames, 0, MOST));
    return vly_env_valid_range("episode_frames", e->episode_frames, 0, MOST);
}
