/* Actions that are not one choice, masks and players, through the plugins that users start from. */
#include "common/base/philox.h"
#include "common/base/plugin_call.h"
#include "envs/registry.h"
#include "envs/trace.h"
#include "tests/kit/check.h"

enum { K = 2 };

/* One actor and the rows of its players, with bytes behind them that stay what they are. */
typedef struct {
    vly_env env;
    _Alignas(64) uint8_t state[64];
    float obs[K][32], reward[K], score[K], shared[8];
    uint8_t flags[K], mask[K][16];
} game;

static vly_rows game_rows(game *g) {
    return (vly_rows){.obs = (uint8_t *)g->obs,
                      .obs_stride = sizeof g->obs[0],
                      .reward = g->reward,
                      .score = g->score,
                      .flags = g->flags,
                      .mask = (uint8_t *)g->mask,
                      .mask_stride = sizeof g->mask[0],
                      .shared = (uint8_t *)g->shared,
                      .shared_stride = sizeof g->shared};
}

static void open_game(game *g, const char *path, const char *extra, uint64_t seed) {
    const vly_env_args args = {.extra = extra};
    memset(g, 0, sizeof *g);
    CHECK_OK(vly_env_open(&g->env, path, &args));
    CHECK_EQ(g->env.state_bytes, sizeof g->state);
    g->env.reset(&g->env, g->state, seed, game_rows(g));
    for (int p = 0; p < g->env.players; p++) CHECK(g->flags[p] & VLY_ROW_RESET);
}

static void step_game(game *g, const void *action) {
    const vly_actions a = {action, g->env.action.bytes};
    g->env.step(&g->env, g->state, 1, a, game_rows(g));
    CHECK_OK(vly_plugin_check(&g->env));
}

/* A controller that damps and pulls earns what the example names as its target. */
static void a_box_takes_numbers(void) {
    game g;
    open_game(&g, VLY_TEST_PLUGIN_BOX, NULL, 3);
    CHECK_EQ(g.env.action.kind, VLY_SPACE_BOX);
    CHECK_EQ(g.env.action.dtype, VLY_F32);
    CHECK(g.env.action.bounds[0].low == -1.0 && g.env.action.bounds[0].high == 1.0);
    CHECK_STR(g.env.action.names[0], "force");
    double sum = 0, still = 0;
    for (int episode = 0; episode < 20; episode++)
        for (int control = 0; control < 2; control++)
            for (g.flags[0] = 0; !(g.flags[0] & VLY_ROW_ENDED);) {
                const float away = g.obs[0][2] - g.obs[0][0];
                const float push = control ? 10 * away - 60 * g.obs[0][1] : 0;
                step_game(&g, &(float){push > 1 ? 1 : push < -1 ? -1 : push});
                *(control ? &sum : &still) += (double)g.score[0];
            }
    CHECK(sum / 20 > (double)g.env.return_target);
    CHECK(still < 3 * sum);
    g.env.close(&g.env);
}

/* The mask of a row is about the action that follows it. */
static void a_mask_holds_the_open_doors(void) {
    game g;
    int ended_early = 0;
    open_game(&g, VLY_TEST_PLUGIN_MASKED, NULL, 5);
    for (int i = 0; i < 2000; i++) {
        const uint32_t draw = vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0).v[0];
        const int32_t action = (int32_t)(draw % 8);
        const bool over = g.flags[0] & VLY_ROW_ENDED, allowed = g.mask[0][action];
        int open = 0;
        for (int k = 0; k < 8; k++) open += g.mask[0][k];
        CHECK(open >= 2 && open <= 8);
        step_game(&g, &action);
        if (over) continue;
        CHECK_EQ(allowed, g.score[0] > 0);
        if (!allowed) CHECK(g.flags[0] & VLY_ROW_TERMINATED);
        ended_early += !allowed;
    }
    CHECK(ended_early > 500);
    g.env.close(&g.env);
    open_game(&g, VLY_TEST_PLUGIN_MASKED, "masked=0", 5);
    CHECK_EQ(g.env.masked, 0);
    for (int k = 0; k < 8; k++) CHECK_EQ(g.mask[0][k], 0);
    g.env.close(&g.env);
}

/* Who leaves a multiple of four wins; the other player plays at random. */
static void players_share_a_state(void) {
    game g;
    int games = 0, sure = 0;
    open_game(&g, VLY_TEST_PLUGIN_PLAYERS, NULL, 8);
    CHECK_EQ(g.env.players, 2);
    for (bool lost = true; games < 200;) {
        const int turn = g.flags[0] & VLY_ROW_IDLE ? 1 : 0, left = (int)g.shared[0];
        CHECK_EQ((g.flags[0] & VLY_ROW_IDLE) != 0, !(g.flags[1] & VLY_ROW_IDLE));
        CHECK_EQ((int)g.shared[1], turn);
        CHECK(g.obs[0][left] == 1 && g.obs[1][left] == 1);
        int32_t action[2] = {2, 2};
        action[turn] =
            (int32_t)(vly_philox(2, VLY_STREAM_TEST, (uint64_t)games, (uint32_t)left).v[0] % 3);
        if (turn == 0 && left % 4) action[0] = left % 4 - 1;
        if (turn == 0) lost = left % 4 == 0;
        step_game(&g, action);
        if (!(g.flags[0] & VLY_ROW_ENDED)) continue;
        CHECK(g.score[0] == -g.score[1]);
        CHECK((g.flags[0] & ~VLY_ROW_IDLE) == (g.flags[1] & ~VLY_ROW_IDLE));
        if (!lost) CHECK(g.score[0] == 1);
        sure += !lost;
        games++;
        step_game(&g, action);
        CHECK((g.flags[0] & VLY_ROW_RESET) && (g.flags[1] & VLY_ROW_RESET));
        lost = true;
    }
    CHECK(sure > 100);
    g.env.close(&g.env);
}

static void names_follow_the_choices(void) {
    static const int32_t sizes[3] = {3, 2, 4};
    const vly_space many = vly_space_multi(3, sizes);
    CHECK_EQ(many.n, 9);
    CHECK_EQ(many.bytes, 12);
    CHECK_EQ(vly_space_size(&many, 2), 4);
    char text[64];
    vly_action_text(&many, (vly_actions){(int32_t[]){2, 0, 3}, 12}, text, sizeof text);
    CHECK_STR(text, "2,0,3");
    const vly_bounds unit[2] = {{0, 1}, {-1, 1}};
    const vly_space box = vly_space_box(2, unit);
    vly_action_text(&box, (vly_actions){(float[]){0.5f, -1}, 8}, text, sizeof text);
    CHECK_STR(text, "0.5,-1");
    vly_action_text(&box, (vly_actions){(float[]){0.5f, -1}, 8}, text, 5);
    CHECK_STR(text, "0.5,");
}

/* ---- traces ---- */

static char *trace_of(const char *path, uint64_t seed, const void *actions, size_t n) {
    vly_env env;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    CHECK_OK(vly_env_open(&env, path, NULL));
    CHECK_OK(vly_trace_write(out, &env, seed, actions, n));
    fclose(out);
    env.close(&env);
    return text;
}

static char *line_of(char *text, int number) {
    while (number-- > 0) text = strchr(text, '\n') + 1;
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void a_trace_has_a_column_for_each_player(void) {
    const int32_t actions[4] = {0, 1, 2, 0};
    char *text = trace_of(VLY_TEST_PLUGIN_PLAYERS, 4, actions, 2);
    const char *want = "step\taction\tp0.reward\tp1.reward\tterminated\ttruncated\tp0.obs0\t";
    CHECK(!strncmp(text, want, strlen(want)));
    CHECK(strstr(text, "\tp0.obs20\tp1.obs0\t") != NULL);
    CHECK(!strncmp(line_of(text, 2), "1\t2;0\t0\t0\t0\t0\t", 14));
    free(text);
}

/* A trace whose actions are drawn keeps to the mask, and gives the same again from its file. */
static void a_trace_of_masks_keeps_to_them(void) {
    char *text = trace_of(VLY_TEST_PLUGIN_MASKED, 4, NULL, 60);
    int32_t actions[60];
    char copy[64];
    CHECK(strstr(text, "\tobs7\tmask\n") != NULL);
    const char *line = text;
    for (int i = 0; i < 60; i++) {
        double reward;
        line = strchr(line, '\n') + 1;
        CHECK_EQ(sscanf(line, "%*d\t%d\t%lf\t%*d\t%*d", &actions[i], &reward), 2);
        CHECK(reward > 0);
        const char *mask = strchr(line, '\n') - 8;
        snprintf(copy, sizeof copy, "%.9s", mask - 1);
        CHECK(copy[0] == '\t' && strspn(copy + 1, "01") == 8 && strchr(copy, '1'));
    }
    char *again = trace_of(VLY_TEST_PLUGIN_MASKED, 4, actions, 60);
    CHECK_STR(again, text);
    free(text), free(again);
}

static vly_status read_actions(const char *text, const vly_space *space, int players, void **out,
                               size_t *n) {
    char path[] = "spaces-XXXXXX.txt";
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    const vly_status status = vly_trace_read(path, space, players, out, n);
    remove(path);
    return status;
}

static void action_files_have_numbers_and_players(void) {
    static const int32_t sizes[2] = {3, 2};
    static const vly_bounds unit[2] = {{0, 1}, {-1, 1}};
    const vly_space many = vly_space_multi(2, sizes), box = vly_space_box(2, unit);
    void *actions;
    size_t n;
    CHECK_OK(read_actions("2,1;0,0\n# none\n 1 , 0 ; 2,1\r\n", &many, 2, &actions, &n));
    CHECK_EQ(n, 2);
    CHECK(!memcmp(actions, (int32_t[]){2, 1, 0, 0, 1, 0, 2, 1}, 32));
    free(actions);
    CHECK_OK(read_actions("0.25,-1\n1,1e-3\n", &box, 1, &actions, &n));
    CHECK(n == 2 && !memcmp(actions, (float[]){0.25f, -1, 1, 1e-3f}, 16));
    free(actions);
    static const struct {
        const char *text, *says;
    } bad[] = {{"2,1\n", "for each of 2 players"},
               {"2;1,0,0\n", "2 numbers with commas"},
               {"2,2;0,0\n", "action 2 is outside 0 to 1"},
               {"2,1;0,0;\n", "is not 2 numbers"},
               {"2,x;0,0\n", "is not"},
               {"2,1.5;0,0\n", "is not"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(read_actions(bad[i].text, &many, 2, &actions, &n), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), bad[i].says) || (fputs(vly_error_text(), stderr), 0));
    }
    CHECK_EQ(read_actions("0.25,-1.5\n", &box, 1, &actions, &n), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "action -1.5 is outside -1 to 1") != NULL);
    CHECK_EQ(read_actions("nan,0\n", &box, 1, &actions, &n), VLY_EINVAL);
}

int main(void) {
    a_box_takes_numbers();
    a_mask_holds_the_open_doors();
    players_share_a_state();
    names_follow_the_choices();
    a_trace_has_a_column_for_each_player();
    a_trace_of_masks_keeps_to_them();
    action_files_have_numbers_and_players();
    return TEST_PASS;
}
