/* What a vector has beside observations: columns, the environment's own numbers among them, and the
 * state that critics of all players are shown. */
#include <stdbool.h>
#include "envs/registry.h"
#include "tests/library/calls.h"

enum { ENVS = 3 };

static vly_vec *open_vec(const char *name, const char *options) {
    vly_vec *v = NULL;
    CHECK_CALL(vly_vec_open(&v, name, options));
    return v;
}

/* -1: there is none. */
static int column_named(const vly_vec *v, const char *name) {
    vly_column c = {.bytes = sizeof c};
    for (int i = 0; vly_vec_column(v, i, &c) == 0; i++)
        if (!strcmp(c.name, name)) return i;
    return -1;
}

/* One column after a reset. */
static void read_column(vly_vec *v, const char *name, int32_t type, void *out) {
    void *column[16 + VLY_ENV_INFO_MAX] = {NULL};
    static uint8_t observation[1 << 20];
    float reward[ENVS];
    uint8_t ended[2 * ENVS];
    vly_column c = {.bytes = sizeof c};
    const int at = column_named(v, name);
    CHECK(at >= 0 || (fprintf(stderr, "no column %s\n", name), 0));
    CHECK_CALL(vly_vec_column(v, at, &c));
    CHECK_EQ(c.type, type);
    column[at] = out;
    const int64_t seeds[ENVS] = {1, 2, 3};
    const vly_batch batch = {.bytes = sizeof batch,
                             .observation = observation,
                             .reward = reward,
                             .terminated = ended,
                             .truncated = ended + ENVS,
                             .column = column};
    CHECK_CALL(vly_vec_reset(v, NULL, seeds, &batch));
}

static void all_numbers_are_columns(void) {
    vly_vec *v = open_vec(VLY_TEST_PLUGIN_BAD, "num_envs=3 info=many");
    for (int i = 0; i < VLY_ENV_INFO_MAX; i++) {
        char name[16];
        double number[ENVS] = {-1, -1, -1};
        snprintf(name, sizeof name, "n%d", i);
        read_column(v, name, VLY_TYPE_F64, number);
        for (int k = 0; k < ENVS; k++) CHECK_EQ(number[k], i);
    }
    vly_vec_close(v);
}

/* However many are asked for: computing them may be dear. */
static void an_environment_is_asked_once_for_all_its_numbers(void) {
    enum { STEPS = 4 };
    static double first[ENVS], last[ENVS];
    void *column[16 + VLY_ENV_INFO_MAX] = {NULL};
    bool seen[ENVS * (STEPS + 1)] = {false};
    vly_vec *v = open_vec(VLY_TEST_PLUGIN_BAD, "num_envs=3 info=calls");
    const vly_batch batch = {.bytes = sizeof batch, .column = column};
    column[column_named(v, "n0")] = first, column[column_named(v, "n63")] = last;
    for (int step = 0; step <= STEPS; step++) {
        CHECK_CALL(step ? vly_vec_step(v, (const int32_t[ENVS]){0}, VLY_TYPE_I32, &batch)
                        : vly_vec_reset(v, NULL, (const int64_t[ENVS]){1, 2, 3}, &batch));
        for (int i = 0; i < ENVS; i++) {
            const int call = (int)first[i];
            CHECK(first[i] == last[i] && call < ENVS * (step + 1) && !seen[call]);
            seen[call] = true;
        }
    }
    vly_vec_close(v);
}

static void a_number_with_the_name_of_a_column_is_refused(void) {
    vly_vec *v = NULL;
    REFUSED(vly_vec_open(&v, VLY_TEST_PLUGIN_BAD, "info=good"), -1, "bad: its number 'score'");
    CHECK(v == NULL);
}

static void several_environments_show_their_task(void) {
    double task[ENVS] = {-1, -1, -1}, gust[ENVS] = {9, 9, 9};
    vly_vec *v = open_vec("multi:cartpole,acrobot", "num_envs=3");
    read_column(v, "task", VLY_TYPE_F64, task);
    CHECK(task[0] == 0 && task[1] == 1 && task[2] == 0);
    vly_vec_close(v);
    v = open_vec("multi:windy,windy", "num_envs=3 wind=gusts");
    read_column(v, "gust", VLY_TYPE_F64, gust);
    for (int i = 0; i < ENVS; i++) CHECK(gust[i] >= -1 && gust[i] <= 1);
    vly_vec_close(v);
}

static void a_game_that_drifts_shows_lives_and_memory(void) {
    enum { RAM = 128 };
    int32_t lives[ENVS] = {0}, frames[ENVS] = {0};
    uint8_t ram[ENVS * RAM] = {0}, plain[ENVS * RAM] = {1};
    double difficulty[ENVS] = {-1, -1, -1};
    vly_vec *v = open_vec("breakout", "num_envs=3 atari.drift=300:4/0");
    read_column(v, "lives", VLY_TYPE_I32, lives);
    read_column(v, "frame_number", VLY_TYPE_I32, frames);
    read_column(v, "ram", VLY_TYPE_U8, ram);
    read_column(v, "difficulty", VLY_TYPE_F64, difficulty);
    CHECK(column_named(v, "phase") > 0 && column_named(v, "mode") > 0);
    vly_vec_close(v);
    v = open_vec("breakout", "num_envs=3");
    CHECK_EQ(column_named(v, "phase"), -1);
    read_column(v, "ram", VLY_TYPE_U8, plain);
    vly_vec_close(v);
    CHECK(!memcmp(ram, plain, sizeof ram));
    for (int i = 0; i < ENVS; i++) CHECK(lives[i] == 5 && frames[i] > 0 && difficulty[i] == 0);
}

static void several_games_show_theirs(void) {
    static const double most[ENVS] = {0, 5, 4}; /* Pong counts no lives */
    double lives[ENVS] = {9, 9, 9};
    vly_vec *v = open_vec("multi:pong,breakout,seaquest", "num_envs=3");
    read_column(v, "lives", VLY_TYPE_F64, lives);
    for (int i = 0; i < ENVS; i++) CHECK_EQ(lives[i], most[i]);
    vly_vec_close(v);
}

/* One game of Nim in each environment: its shared state is how many matches are left, and whose turn
 * it is, which are columns too. */
static void critics_are_shown_all_of_the_state(void) {
    enum { PLAYERS = 2, ROWS = ENVS * PLAYERS };
    float shared[ENVS][2], other[ENVS][2];
    double matches[ROWS], turn[ROWS];
    uint8_t saved[4096];
    const int32_t last = ENVS - 1;
    vly_vec_space space = {.bytes = sizeof space};
    vly_vec_facts facts = {.bytes = sizeof facts};
    vly_vec *v = open_vec(VLY_TEST_PLUGIN_PLAYERS, "num_envs=3 autoreset=next_step");
    CHECK_CALL(vly_vec_shared_space(v, &space));
    CHECK(space.type == VLY_TYPE_F32 && space.ndim == 1 && space.shape[0] == 2 && space.n == 0);
    REFUSED(vly_vec_shared(v, NULL, ENVS, shared, sizeof shared), -1, "was not reset");
    void *column[16] = {NULL};
    column[column_named(v, "matches")] = matches, column[column_named(v, "turn")] = turn;
    const vly_batch batch = {.bytes = sizeof batch, .column = column};
    CHECK_CALL(vly_vec_reset(v, NULL, (const int64_t[ENVS]){1, 2, 3}, &batch));
    CHECK_CALL(vly_vec_info(v, &facts));
    CHECK(facts.state_bytes <= sizeof saved);
    CHECK_CALL(vly_vec_save(v, &last, 1, saved, facts.state_bytes));
    CHECK_CALL(vly_vec_shared(v, &last, 1, other[0], sizeof other[0]));
    for (int step = 0; step < 100; step++) {
        CHECK_CALL(vly_vec_shared(v, NULL, ENVS, shared, sizeof shared));
        for (int i = 0; i < ENVS; i++)
            CHECK((double)shared[i][0] == matches[PLAYERS * i] &&
                  (double)shared[i][1] == turn[PLAYERS * i]);
        CHECK_CALL(vly_vec_step(v, (const int32_t[ROWS]){0, 1, 2, 0, 1, 2}, VLY_TYPE_I32, &batch));
    }
    CHECK_CALL(vly_vec_load(v, &last, 1, saved, facts.state_bytes, NULL));
    CHECK_CALL(vly_vec_shared(v, &last, 1, shared[0], sizeof shared[0]));
    CHECK(!memcmp(shared[0], other[0], sizeof shared[0]));
    REFUSED(vly_vec_shared(v, NULL, ENVS, shared, sizeof shared - 1), -1, "take 24 bytes");
    REFUSED(vly_vec_shared(v, NULL, ENVS + 1, shared, sizeof shared), -1, "there are 3");
    CHECK_CALL(vly_vec_send(v, NULL, ENVS, (const int32_t[ROWS]){0}, VLY_TYPE_I32));
    REFUSED(vly_vec_shared(v, NULL, ENVS, shared, sizeof shared), -1, "recv() first");
    vly_vec_close(v);
    v = open_vec("cartpole", "");
    REFUSED(vly_vec_shared_space(v, &space), -14, "cartpole has no shared state");
    REFUSED(vly_vec_shared(v, NULL, 1, shared, sizeof shared), -14, "cartpole has no shared state");
    vly_vec_close(v);
}

/* A column of bytes that changes with every step is again what it was. */
static void a_loaded_state_shows_its_column(const char *plugin, const char *name, size_t bytes) {
    uint8_t now[64] = {0}, before[64];
    void *column[16] = {NULL};
    vly_vec_facts facts = {.bytes = sizeof facts};
    vly_vec *v = open_vec(plugin, "num_envs=1");
    const vly_batch batch = {.bytes = sizeof batch, .column = column};
    column[column_named(v, name)] = now;
    CHECK_CALL(vly_vec_info(v, &facts));
    uint8_t *state = malloc(facts.state_bytes);
    CHECK_CALL(vly_vec_reset(v, NULL, (const int64_t[]){1}, &batch));
    CHECK_CALL(vly_vec_save(v, NULL, 1, state, facts.state_bytes));
    memcpy(before, now, bytes);
    CHECK(memchr(before, 1, bytes));
    CHECK_CALL(vly_vec_step(v, (const int32_t[]){0, 0}, VLY_TYPE_I32, &batch));
    CHECK(memcmp(before, now, bytes) != 0);
    CHECK_CALL(vly_vec_load(v, NULL, 1, state, facts.state_bytes, &batch));
    CHECK(memcmp(before, now, bytes) == 0);
    free(state);
    vly_vec_close(v);
}

static bool has_roms(void) {
    vly_env env;
    if (vly_env_open(&env, "multi:pong,breakout,seaquest", NULL) != VLY_OK) return false;
    env.close(&env);
    return true;
}

int main(void) {
    all_numbers_are_columns();
    an_environment_is_asked_once_for_all_its_numbers();
    a_number_with_the_name_of_a_column_is_refused();
    several_environments_show_their_task();
    critics_are_shown_all_of_the_state();
    a_loaded_state_shows_its_column(VLY_TEST_PLUGIN_MASKED, "action_mask", 8);
    a_loaded_state_shows_its_column(VLY_TEST_PLUGIN_PLAYERS, "idle", 2);
    if (has_roms()) {
        a_game_that_drifts_shows_lives_and_memory();
        several_games_show_theirs();
    } else {
        SKIP_PART("columns of Atari games: no ROMs (make roms, or VOLLEY_ROMS)");
    }
    return TEST_PASS;
}
