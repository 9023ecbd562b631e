/* Several environments as one: each task steps as it does alone, and says which it is. */
#include "common/base/philox.h"
#include "envs/multi.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

typedef struct {
    vly_env env;
    uint8_t *state, obs[8192], flags;
    float reward, score;
} player;

static vly_rows row_of(player *p) {
    return vly_rows_plain(p->obs, sizeof p->obs, &p->reward, &p->score, &p->flags);
}

static void player_open_with(player *p, const char *name, const char *extra, int actor,
                             uint64_t seed) {
    const vly_env_args args = {.extra = extra};
    memset(p, 0, sizeof *p);
    CHECK_OK(vly_env_open(&p->env, name, &args));
    CHECK(p->env.obs.bytes <= sizeof p->obs);
    p->state = aligned_alloc(64, p->env.state_bytes);
    memset(p->state, 0, p->env.state_bytes);
    if (p->env.assign) p->env.assign(&p->env, p->state, actor);
    p->env.reset(&p->env, p->state, seed, row_of(p));
}

static void player_open(player *p, const char *name, int actor, uint64_t seed) {
    player_open_with(p, name, NULL, actor, seed);
}

static void player_close(player *p) {
    free(p->state);
    p->env.close(&p->env);
}

static void player_step(player *p, int32_t action) {
    p->env.step(&p->env, p->state, 1, vly_actions_of_ints(&action), row_of(p));
}

/* An action that the task does not have is its first, where somebody chooses it all the same. */
static int32_t as_alone(const player *alone, int32_t action) {
    return action < alone->env.action.n ? action : 0;
}

static void vectors_are_padded_and_marked(void) {
    static const char *const names[] = {"cartpole", "mountaincar", "acrobot"};
    for (int task = 0; task < 3; task++) {
        player all, one;
        player_open(&all, "multi:cartpole,MountainCar-v0,acrobot", 3 + task, 5);
        player_open(&one, names[task], 0, 5);
        CHECK_STR(all.env.name, "multi:cartpole,mountaincar,acrobot");
        CHECK_STR(all.env.task_names[task], names[task]);
        CHECK(all.env.tasks == 3 && all.env.action.n == 3 && all.env.obs.shape[0] == 6 + 3);
        for (int i = 0; i < 2000; i++) {
            const float *wide = (const float *)(const void *)all.obs;
            const size_t own = one.env.obs.bytes / sizeof *wide;
            CHECK(!memcmp(all.obs, one.obs, one.env.obs.bytes));
            for (size_t k = own; k < 9; k++) CHECK(wide[k] == (k == 6 + (size_t)task ? 1 : 0));
            CHECK(all.flags == one.flags && all.reward == one.reward && all.score == one.score);
            CHECK_OK(all.env.valid(&all.env, all.state));
            const int32_t action =
                (int32_t)vly_below(vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0).v[0], 3);
            player_step(&all, action), player_step(&one, as_alone(&one, action));
        }
        all.env.restart(&all.env, all.state, row_of(&all));
        one.env.restart(&one.env, one.state, row_of(&one));
        CHECK(!memcmp(all.obs, one.obs, one.env.obs.bytes) && all.flags == VLY_ROW_RESET);
        player_close(&all), player_close(&one);
    }
}

/* Rows with the mask that comes with them. */
static vly_rows masked_row_of(player *p, uint8_t *mask) {
    vly_rows rows = row_of(p);
    rows.mask = mask, rows.mask_stride = (size_t)p->env.action.n;
    return rows;
}

static void check_mask(const uint8_t *mask, int n, int own) {
    for (int i = 0; i < n; i++) CHECK_EQ(mask[i], i < own);
}

/* CartPole's two actions are two of MountainCar's three: the third is not another "left". */
static void actions_of_other_tasks_are_masked(void) {
    static const int own[] = {2, 3};
    for (int task = 0; task < 2; task++) {
        player p;
        uint8_t mask[3];
        player_open(&p, "multi:cartpole,mountaincar", task, 5);
        CHECK(p.env.masked && p.env.action.n == 3);
        for (int i = 0; i < 500; i++) {
            const int32_t action =
                (int32_t)vly_below(vly_philox(8, VLY_STREAM_TEST, (uint64_t)i, 0).v[0], 2);
            memset(mask, 0xa5, sizeof mask);
            p.env.step(&p.env, p.state, 1, vly_actions_of_ints(&action), masked_row_of(&p, mask));
            check_mask(mask, 3, own[task]);
        }
        memset(mask, 0xa5, sizeof mask);
        p.env.restart(&p.env, p.state, masked_row_of(&p, mask));
        check_mask(mask, 3, own[task]);
        player_close(&p);
    }
}

static void a_task_with_masks_is_taken(void) {
    player p;
    const vly_env_args args = {.extra = "observation=f32:2,action=choice:3,mask=1"};
    CHECK_OK(vly_env_open(&p.env, "multi:host:one,host:two", &args));
    CHECK(p.env.masked && p.env.action.n == 3);
    p.env.close(&p.env);
}

static void equal_actions_need_no_masks(void) {
    player p;
    player_open(&p, "multi:acrobot,mountaincar", 0, 1);
    CHECK(!p.env.masked && p.env.action.n == 3);
    player_close(&p);
    player_open(&p, "multi:minatar/breakout,minatar/seaquest", 0, 1);
    CHECK(!p.env.masked && p.env.action.n == 6);
    player_close(&p);
}

static void images_get_channels_for_the_task(void) {
    static const char *const names[] = {"minatar/breakout", "minatar/seaquest"};
    for (int task = 0; task < 2; task++) {
        player all, one;
        player_open(&all, "multi:minatar/breakout,minatar/seaquest", task, 9);
        player_open(&one, names[task], 0, 9);
        const int own = one.env.obs.shape[2], wide = all.env.obs.shape[2];
        CHECK(all.env.obs.shape[0] == 10 && all.env.obs.shape[1] == 10 && wide == 10 + 2);
        for (int i = 0; i < 1000; i++) {
            for (int cell = 0; cell < 100; cell++) {
                const uint8_t *at = all.obs + cell * wide;
                CHECK(!memcmp(at, one.obs + cell * own, (size_t)own));
                for (int c = own; c < wide; c++) CHECK_EQ(at[c], c == 10 + task);
            }
            CHECK(all.flags == one.flags && all.reward == one.reward);
            const int32_t action =
                (int32_t)vly_below(vly_philox(2, VLY_STREAM_TEST, (uint64_t)i, 0).v[0], 6);
            player_step(&all, action), player_step(&one, action);
        }
        player_close(&all), player_close(&one);
    }
}

/* --task of play, record and trace. */
static void the_first_actor_is_in_the_task_that_is_asked_for(void) {
    static const struct {
        const char *task;
        int first;
    } good[] = {{"0", 0}, {"2", 2}, {"acrobot", 1}, {"mountaincar", 2}};
    static const char *const bad[] = {"3", "-1", "1x", "", "pong", "99999999999999999999"};
    vly_env env;
    CHECK_OK(vly_env_open(&env, "multi:cartpole,acrobot,mountaincar", NULL));
    int32_t *state = aligned_alloc(64, env.state_bytes);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_OK(vly_multi_begin_at(&env, good[i].task));
        for (int actor = 0; actor < 5; actor++) {
            env.assign(&env, state, actor);
            CHECK_EQ(*state, (actor + good[i].first) % 3);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(vly_multi_begin_at(&env, bad[i]), VLY_EINVAL);
    free(state);
    env.close(&env);
    CHECK_OK(vly_env_open(&env, "cartpole", NULL));
    CHECK_EQ(vly_multi_begin_at(&env, "0"), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "cartpole is one environment"));
    env.close(&env);
}

static void check_names(const player *p, const char *const *names, int n) {
    CHECK_EQ(p->env.info_count, n);
    for (int i = 0; i < n; i++) CHECK_STR(p->env.info_names[i], names[i]);
}

/* Those of the task are as it has them alone. */
static void numbers_of_all_tasks_are_theirs(void) {
    static const char *const names[] = {"task", "gust", "phase"};
    player all, one;
    double numbers[3], own[2];
    int turns = 0;
    player_open_with(&all, "multi:windy,windy", "drift=20,wind=gusts", 1, 6);
    player_open_with(&one, "windy", "drift=20,wind=gusts", 0, 6);
    check_names(&all, names, 3);
    for (int i = 0; i < 3000; i++) {
        all.env.info(&all.env, all.state, numbers), one.env.info(&one.env, one.state, own);
        CHECK(numbers[0] == 1 && numbers[1] == own[0] && numbers[2] == own[1]);
        turns = (int)own[1];
        const int32_t action =
            (int32_t)vly_below(vly_philox(4, VLY_STREAM_TEST, (uint64_t)i, 0).v[0], 4);
        player_step(&all, action), player_step(&one, action);
    }
    CHECK(turns > 1);
    player_close(&all), player_close(&one);
}

static void numbers_of_some_tasks_are_left_out(void) {
    static const char *const names[] = {"task"};
    player p;
    double number = -1;
    player_open(&p, "multi:cartpole,storage", 1, 1);
    check_names(&p, names, 1);
    p.env.info(&p.env, p.state, &number);
    CHECK_EQ(number, 1);
    player_close(&p);
}

static void what_does_not_fit_is_named(void) {
    static const struct {
        const char *name, *says;
        vly_status status;
    } bad[] = {{"multi:cartpole,minatar/breakout", "different kinds", VLY_EINVAL},
               {"multi:cartpole,pendulum", "one discrete action", VLY_EINVAL},
               {"multi:cartpole,multi:acrobot", "within a list", VLY_EINVAL},
               {"multi:cartpole,cartpol", "nearest: cartpole", VLY_ENOTFOUND},
               {"multi:cartpole,./is_not_loaded.so", "plugin cannot be", VLY_EINVAL},
               {"multi:/is/not/loaded,cartpole", "plugin cannot be", VLY_EINVAL},
               {"multi:", "no environment was named", VLY_EINVAL},
               {"multi:cartpole,", "no environment was named", VLY_EINVAL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vly_env env;
        CHECK_EQ(vly_env_open(&env, bad[i].name, NULL), bad[i].status);
        CHECK(strstr(vly_error_text(), bad[i].says) || (fputs(vly_error_text(), stderr), 0));
    }
}

static void a_state_says_its_task(void) {
    player p;
    player_open(&p, "multi:cartpole,acrobot", 0, 1);
    *(int32_t *)(void *)p.state = 2;
    CHECK_EQ(p.env.valid(&p.env, p.state), VLY_ECORRUPT);
    player_close(&p);
}

static void long_names_are_cut_with_a_checksum(void) {
    char name[64];
    vly_multi_canonical("cartpole,acrobot,", name, sizeof name);
    CHECK_STR(name, "multi:cartpole,acrobot");
    const char *five = "minatar/breakout,minatar/asterix,minatar/freeway,minatar/seaquest,"
                       "minatar/space_invaders,";
    vly_env_info info;
    vly_multi_canonical(five, name, sizeof name);
    CHECK_EQ(strlen(name), sizeof name - 1);
    CHECK(!strncmp(name, "multi:minatar/breakout,minatar/asterix,minatar/freeway", 54));
    CHECK_OK(vly_env_describe(&info,
                              "multi:minatar/breakout,minatar/asterix,minatar/freeway,"
                              "minatar/seaquest,minatar/space_invaders",
                              NULL));
    CHECK_STR(info.name, name);
    CHECK_STR(info.family, "minatar");
    CHECK_OK(vly_env_describe(&info, "multi:cartpole,pong", NULL));
    CHECK_STR(info.family, "multi");
}

int main(void) {
    vectors_are_padded_and_marked();
    actions_of_other_tasks_are_masked();
    a_task_with_masks_is_taken();
    equal_actions_need_no_masks();
    images_get_channels_for_the_task();
    the_first_actor_is_in_the_task_that_is_asked_for();
    numbers_of_all_tasks_are_theirs();
    numbers_of_some_tasks_are_left_out();
    what_does_not_fit_is_named();
    a_state_says_its_task();
    long_names_are_cut_with_a_checksum();
    return TEST_PASS;
}
