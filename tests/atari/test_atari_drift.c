/* A game that changes its mode on a schedule: each phase is the game in that mode. Needs ROMs. */
#include "envs/atari/atari.h"
#include "envs/atari/roms.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

typedef struct {
    vly_env env;
    uint8_t *state, obs[84 * 84], flags;
    float reward, score;
} player;

static vly_rows row_of(player *p) {
    return vly_rows_plain(p->obs, sizeof p->obs, &p->reward, &p->score, &p->flags);
}

static vly_status player_open(player *p, const char *options) {
    const vly_env_args args = {.options = options};
    memset(p, 0, sizeof *p);
    VLY_TRY(vly_env_open(&p->env, "breakout", &args));
    p->state = aligned_alloc(64, p->env.state_bytes);
    memset(p->state, 0, p->env.state_bytes);
    p->env.reset(&p->env, p->state, 4, row_of(p));
    return VLY_OK;
}

static void player_step(player *p, int i) {
    const int32_t action = i * 7 / 3 % 4;
    p->env.step(&p->env, p->state, 1, vly_actions_of_ints(&action), row_of(p));
}

/* The number of that name. */
static double number(const player *p, const char *name) {
    double all[VLY_ENV_INFO_MAX];
    p->env.info(&p->env, p->state, all);
    for (int i = 0; i < p->env.info_count; i++)
        if (!strcmp(p->env.info_names[i], name)) return all[i];
    fprintf(stderr, "%s has no number '%s'\n", p->env.name, name);
    exit(TEST_FAIL);
}

static int phase_of(const player *p) {
    return (int)number(p, "phase");
}

static void check_game_numbers(const player *drifts, const player *plain) {
    static const char *const names[] = {"lives", "frame_number", "episode_frame_number"};
    for (int i = 0; i < 3; i++) CHECK_EQ(number(drifts, names[i]), number(plain, names[i]));
}

static void phases_change_between_games_alone(void) {
    player drifts, plain;
    int steps = 0, phase = 0, seen = 0;
    CHECK_OK(player_open(&drifts, "atari.drift=300:4/0,700:0/1 "));
    CHECK_OK(player_open(&plain, ""));
    CHECK_STR(drifts.env.name, "breakout+drift");
    CHECK(drifts.env.action.n == plain.env.action.n && drifts.env.obs.bytes == plain.env.obs.bytes);
    for (int i = 0; i < 3000; i++) {
        const int over = drifts.flags & VLY_ROW_GAME_OVER;
        if (phase_of(&drifts) == 0) {
            CHECK(!memcmp(drifts.obs, plain.obs, sizeof plain.obs));
            check_game_numbers(&drifts, &plain);
        }
        player_step(&drifts, i), player_step(&plain, i);
        steps += !(drifts.flags & VLY_ROW_RESET);
        CHECK_OK(drifts.env.valid(&drifts.env, drifts.state));
        if (phase_of(&drifts) == phase) continue;
        CHECK(over && drifts.flags == VLY_ROW_RESET);
        CHECK_EQ(phase_of(&drifts), phase + 1);
        phase++, seen++;
        CHECK(steps >= (phase == 1 ? 300 : 700));
        CHECK_EQ(number(&drifts, "mode"), phase == 1 ? 4 : 0);
        CHECK_EQ(number(&drifts, "difficulty"), phase == 1 ? 0 : 1);
    }
    CHECK_EQ(seen, 2);
    free(drifts.state), free(plain.state);
    drifts.env.close(&drifts.env), plain.env.close(&plain.env);
}

static void a_wrong_schedule_is_named(void) {
    static const char *const bad[] = {
        "x",        "300",      "300:1",     "0:4/0",   "300:4/0,200:0/0",
        "300:4/0,", "300:4/0;", "300:999/0", "300:4/9", "99999999999999999999:0/0"};
    player p;
    char options[96];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(options, sizeof options, "atari.drift=%s ", bad[i]);
        CHECK_EQ(player_open(&p, options), VLY_EINVAL);
    }
}

int main(void) {
    uint8_t found[VLY_ATARI_GAMES];
    (void)vly_atari_rom_scan(NULL, found);
    const vly_atari_game *game = vly_atari_game_find("breakout");
    if (!found[game - vly_atari_games]) SKIP("Breakout's ROM is not here: `make roms` fetches it");
    phases_change_between_games_alone();
    a_wrong_schedule_is_named();
    return TEST_PASS;
}
