/* Several games as one environment: each steps as it does alone with all actions, and a strip below its
 * picture says which it is. Needs ROMs. */
#include "common/base/philox.h"
#include "envs/atari/atari.h"
#include "envs/atari/roms.h"
#include "envs/multi.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

enum { TASKS = 3, SIDE = 84, STRIP = VLY_MULTI_STRIP, STEPS = 1500 };
static const char *const games[TASKS] = {"pong", "breakout", "seaquest"};

typedef struct {
    vly_env env;
    uint8_t *state, obs[(SIDE + STRIP) * SIDE], flags;
    float reward, score;
} player;

static vly_rows row_of(player *p) {
    return vly_rows_plain(p->obs, sizeof p->obs, &p->reward, &p->score, &p->flags);
}

static void player_open(player *p, const char *name, int actor) {
    const vly_env_args args = {.options = "atari.full_actions=true "};
    memset(p, 0, sizeof *p);
    CHECK_OK(vly_env_open(&p->env, name, &args));
    p->state = aligned_alloc(64, p->env.state_bytes);
    memset(p->state, 0, p->env.state_bytes);
    if (p->env.assign) p->env.assign(&p->env, p->state, actor);
    p->env.reset(&p->env, p->state, 7, row_of(p));
}

static void player_close(player *p) {
    free(p->state);
    p->env.close(&p->env);
}

static void player_step(player *p, int i) {
    const int32_t action = (int32_t)vly_below(vly_philox(3, VLY_STREAM_TEST, (uint64_t)i, 0).v[0],
                                              VLY_ATARI_ACTIONS);
    p->env.step(&p->env, p->state, 1, vly_actions_of_ints(&action), row_of(p));
}

static void check_space(const vly_env *all, const vly_env *one) {
    CHECK(all->tasks == TASKS && all->players == 1);
    CHECK_EQ(all->action.n, VLY_ATARI_ACTIONS);
    CHECK(all->obs.ndim == 3 && all->obs.stack == one->obs.stack);
    CHECK(all->obs.shape[0] == SIDE + STRIP && all->obs.shape[1] == SIDE && all->obs.shape[2] == 1);
    CHECK_EQ(all->obs.bytes, (SIDE + STRIP) * SIDE);
}

/* One third of each line of the strip is white: 28 pixels. */
static void check_strip(const uint8_t *strip, int task) {
    for (int y = 0; y < STRIP; y++)
        for (int x = 0; x < SIDE; x++)
            CHECK_EQ(strip[y * SIDE + x], x / (SIDE / TASKS) == task ? 255 : 0);
}

static void check_row(const player *all, const player *one, int task) {
    CHECK(!memcmp(all->obs, one->obs, SIDE * SIDE));
    check_strip(all->obs + SIDE * SIDE, task);
    CHECK(all->reward == one->reward && all->score == one->score && all->flags == one->flags);
    CHECK_OK(all->env.valid(&all->env, all->state));
}

/* Once an id's own six actions were over the eighteen that all games share. */
static void ids_have_the_actions_of_all(void) {
    static const char *const lists[] = {"multi:ALE/Pong-v5,ALE/Breakout-v5",
                                        "multi:pong,ALE/Breakout-v5"};
    for (int i = 0; i < 2; i++) {
        vly_env env;
        CHECK_OK(vly_env_open(&env, lists[i], NULL));
        CHECK_EQ(env.action.n, VLY_ATARI_ACTIONS);
        CHECK(!env.masked); /* in each of them */
        CHECK_STR(env.name, "multi:pong,breakout");
        env.close(&env);
    }
}

static void each_game_is_what_it_is_alone(int task) {
    player all, one;
    int rewards = 0, ends = 0;
    player_open(&all, "multi:pong,breakout,seaquest", TASKS + task);
    player_open(&one, games[task], 0);
    check_space(&all.env, &one.env);
    CHECK_STR(all.env.task_names[task], games[task]);
    for (int i = 0; i < STEPS; i++) {
        check_row(&all, &one, task);
        rewards += one.score != 0, ends += (one.flags & VLY_ROW_ENDED) != 0;
        player_step(&all, i), player_step(&one, i);
    }
    CHECK(rewards > 0 && ends > 0);
    all.env.restart(&all.env, all.state, row_of(&all));
    one.env.restart(&one.env, one.state, row_of(&one));
    check_row(&all, &one, task);
    player_close(&all), player_close(&one);
}

int main(void) {
    uint8_t found[VLY_ATARI_GAMES];
    (void)vly_atari_rom_scan(NULL, found);
    for (int i = 0; i < TASKS; i++)
        if (!found[vly_atari_game_find(games[i]) - vly_atari_games])
            SKIP("the ROM of %s is not here: `make roms` fetches it", games[i]);
    for (int i = 0; i < TASKS; i++) each_game_is_what_it_is_alone(i);
    ids_have_the_actions_of_all();
    return TEST_PASS;
}
