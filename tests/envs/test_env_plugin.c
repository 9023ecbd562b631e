#include "envs/plugin.h"
#include "envs/registry.h"
#include "envs/trace.h"
#include "tests/kit/check.h"

static void the_example_opens_and_plays(void) {
    vly_env env;
    CHECK_OK(vly_env_open(&env, VLY_TEST_PLUGIN_GOOD, NULL));
    CHECK_STR(env.name, "my_env");
    uint64_t state[8];
    CHECK_EQ(env.state_bytes, sizeof state);
    float obs[3], reward, score, sum = 0;
    uint8_t flags;
    const vly_rows rows = vly_rows_plain((uint8_t *)obs, sizeof obs, &reward, &score, &flags);
    env.reset(&env, state, 4, rows);
    CHECK_EQ(flags, VLY_ROW_RESET);
    int episodes = 0;
    while (episodes < 50) { /* a policy that follows the ball catches every one */
        const int32_t action = obs[0] < obs[2] ? 0 : obs[0] > obs[2] ? 2 : 1;
        env.step(&env, state, 1, vly_actions_of_ints(&action), rows);
        sum += reward;
        episodes += (flags & VLY_ROW_ENDED) != 0;
    }
    CHECK(sum == 50.0f);
    env.close(&env);
}

static void each_fault_is_refused_by_name(void) {
    static const struct {
        const char *wrong;
        vly_status status;
        const char *says;
    } cases[] = {
        {"abi", VLY_EVERSION, "ABI 99, this program has ABI 2: fill env->action"},
        {"size", VLY_EVERSION, "bytes"},
        {"refuses", VLY_EUNSUPPORTED, "refused"},
        {"name", VLY_EINVAL, "name"},
        {"dtype", VLY_EINVAL, "dtype"},
        {"ndim", VLY_EINVAL, "ndim"},
        {"shape", VLY_EINVAL, "shape"},
        {"bytes", VLY_EINVAL, "obs.bytes"},
        {"stack", VLY_EINVAL, "stack"},
        {"scale", VLY_EINVAL, "obs.scale is 0, it must be a positive number"},
        {"scale=-1", VLY_EINVAL, "obs.scale is -1"},
        {"scale=nan", VLY_EINVAL, "obs.scale is nan"},
        {"actions", VLY_EINVAL, "action.n is 0"},
        {"kind", VLY_EINVAL, "action.kind is 7"},
        {"action.bytes", VLY_EINVAL, "action.bytes is 8, it must be 4"},
        {"count", VLY_EINVAL, "action.count is 3, it must be 1"},
        {"sizes", VLY_EINVAL, "action.n is 9, its sizes add up to 5"},
        {"bounds", VLY_EINVAL, "action.bounds[1] is [1, 1]"},
        {"mask of a box", VLY_EINVAL, "a box has no mask"},
        {"players", VLY_EINVAL, "players is 0"},
        {"tasks", VLY_EINVAL, "tasks is 2"},
        {"shared", VLY_EINVAL, "shared.ndim is 0"},
        {"shared.scale", VLY_EINVAL, "shared.scale is inf"},
        {"states", VLY_EINVAL, "state_index"},
        {"info=less", VLY_EINVAL, "info_count is -1, it must be in [0, 64]"},
        {"info=more", VLY_EINVAL, "info_count is 65, it must be in [0, 64]"},
        {"info=unnamed", VLY_EINVAL, "info_count is 2, but info_names is missing"},
        {"info=empty", VLY_EINVAL, "info_names[1] is missing"},
        {"info=absent", VLY_EINVAL, "info_names[1] is missing"},
        {"info=twice", VLY_EINVAL, "info_names[0] and info_names[1] are both 'phase'"},
        {"info=unread", VLY_EINVAL, "info_count is 2, but info is missing"},
        {"frames", VLY_EINVAL, "frames_per_step"},
        {"time", VLY_EINVAL, "step_s is -1"},
        {"no time", VLY_EINVAL, "step_s is nan"},
        {"state_bytes", VLY_EINVAL, "state_bytes"},
        {"huge", VLY_EINVAL, "state_bytes is 4611686018427387904"},
        {"reset", VLY_EINVAL, "reset"},
        {"step", VLY_EINVAL, "step"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vly_env env;
        memset(&env, 0xEE, sizeof env);
        const vly_env_args args = {.extra = cases[i].wrong};
        CHECK_EQ(vly_env_open(&env, VLY_TEST_PLUGIN_BAD, &args), cases[i].status);
        CHECK(strstr(vly_error_text(), cases[i].says) != NULL);
        CHECK(strstr(vly_error_text(), VLY_TEST_PLUGIN_BAD) != NULL);
        const uint8_t *p = (const uint8_t *)&env;
        for (size_t k = 0; k < sizeof env; k++) CHECK_EQ(p[k], 0xEE);
    }
}

static void an_endless_name_is_cut(void) {
    vly_env env;
    const vly_env_args args = {.extra = "endless"};
    CHECK_OK(vly_env_open(&env, VLY_TEST_PLUGIN_BAD, &args));
    CHECK_EQ(strlen(env.name), sizeof env.name - 1);
    env.close(&env); /* it has no close of its own */
}

static void good_numbers_are_taken(void) {
    vly_env env;
    const vly_env_args args = {.extra = "info=good"};
    CHECK_OK(vly_env_open(&env, VLY_TEST_PLUGIN_BAD, &args));
    CHECK_EQ(env.info_count, 2);
    env.close(&env);
}

static void what_is_no_plugin_is_refused(void) {
    vly_env env;
    CHECK_EQ(vly_env_open(&env, VLY_TEST_PLUGIN_NONE, NULL), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), VLY_ENV_PLUGIN_SYMBOL) != NULL);
    CHECK_EQ(vly_env_open(&env, "./no_such_env.so", NULL), VLY_ENOTFOUND);
    CHECK(strstr(vly_error_text(), "no_such_env.so") != NULL);
    CHECK_EQ(vly_env_open(&env, "no_such_env.so", NULL), VLY_ENOTFOUND);
    CHECK_EQ(vly_env_open(&env, "./README.md", NULL), VLY_ENOTFOUND);
}

/* Two rows of each of three states; the last row's flags are not those of the row before. */
static vly_status step_pairs(int flags) {
    enum { STATES = 3, ROWS = 2 * STATES };
    static _Alignas(64) uint8_t states[STATES * 64];
    float obs[2 * ROWS], reward[ROWS], score[ROWS];
    uint8_t written[ROWS];
    const int32_t actions[ROWS] = {0};
    char extra[32];
    vly_env env;
    snprintf(extra, sizeof extra, "apart=%d", flags);
    const vly_env_args args = {.extra = extra};
    CHECK_OK(vly_env_open(&env, VLY_TEST_PLUGIN_BAD, &args));
    const vly_rows rows = vly_rows_plain((uint8_t *)obs, 8, reward, score, written);
    for (size_t i = 0; i < STATES; i++)
        env.reset(&env, states + 64 * i, 1, vly_rows_of(rows, i, 2));
    CHECK_OK(vly_plugin_check(&env));
    env.step(&env, states, STATES, vly_actions_of_ints(actions), rows);
    const vly_status status = vly_plugin_check(&env);
    env.close(&env);
    return status;
}

static void players_of_a_state_begin_and_end_together(void) {
    static const struct {
        int flag;
        const char *says;
    } cases[] = {{VLY_ROW_TERMINATED, "set TERMINATED for player 1 and not for player 0"},
                 {VLY_ROW_TRUNCATED | VLY_ROW_GAME_OVER, "set TRUNCATED for player 1"},
                 {VLY_ROW_GAME_OVER, "set GAME_OVER for player 1"},
                 {VLY_ROW_RESET, "set RESET for player 1"},
                 {VLY_ROW_FAILED, "set FAILED for player 1"},
                 {VLY_PLUGIN_UNWRITTEN, "wrote no flags for player 1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQ(step_pairs(cases[i].flag), VLY_EPEER);
        CHECK(strstr(vly_error_text(), cases[i].says) || (fputs(vly_error_text(), stderr), 0));
        CHECK(strstr(vly_error_text(), "actor 2, after action 0") != NULL);
    }
    CHECK_OK(step_pairs(VLY_ROW_IDLE));
    CHECK_OK(step_pairs(VLY_ROW_LIFE_LOST));
}

static void a_trace_ends_where_there_is_no_action(void) {
    static const struct {
        const char *wrong, *says;
    } cases[] = {{"mask", "player 0: the mask allows no action at step 0, action "},
                 {"mask=reset", "player 0: the mask allows no action at its reset"},
                 {"fails", "bad failed at step 0, action "},
                 {"nothing is written", "bad failed at its reset"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vly_env env;
        const vly_env_args args = {.extra = cases[i].wrong};
        FILE *out = fopen("/dev/null", "w");
        CHECK_OK(vly_env_open(&env, VLY_TEST_PLUGIN_BAD, &args));
        CHECK_EQ(vly_trace_write(out, &env, 1, NULL, 3), VLY_EPEER);
        CHECK(strstr(vly_error_text(), cases[i].says) || (fputs(vly_error_text(), stderr), 0));
        env.close(&env);
        fclose(out);
    }
}

int main(void) {
    the_example_opens_and_plays();
    each_fault_is_refused_by_name();
    an_endless_name_is_cut();
    good_numbers_are_taken();
    what_is_no_plugin_is_refused();
    players_of_a_state_begin_and_end_together();
    a_trace_ends_where_there_is_no_action();
    return TEST_PASS;
}
