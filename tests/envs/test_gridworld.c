#include "envs/gridworld.h"
#include "envs/registry.h"
#include "tests/kit/check.h"

typedef struct {
    vly_env env;
    vly_gridworld state;
    float obs[1024], reward, score;
    uint8_t flags;
} maze;

static vly_rows rows(maze *m) {
    vly_rows r = vly_rows_plain((uint8_t *)m->obs, sizeof m->obs, &m->reward, &m->score, &m->flags);
    return r;
}

static void start(maze *m, const char *extra, int max_steps) {
    const vly_env_args args = {.max_steps = max_steps, .extra = extra};
    memset(m, 0, sizeof *m);
    CHECK_OK(vly_env_open(&m->env, "gridworld", &args));
    m->env.reset(&m->env, &m->state, 1, rows(m));
}

static void go(maze *m, int action) {
    const int32_t a = action;
    m->env.step(&m->env, &m->state, 1, vly_actions_of_ints(&a), rows(m));
}

static void the_built_in_maze_returns_089_at_best(void) {
    maze m;
    start(&m, NULL, 0);
    double sum = 0;
    for (int leg = 0; leg < 3; leg++)
        for (int k = 0; k < 4; k++) go(&m, leg == 0 ? 2 : leg == 1 ? 1 : 0), sum += m.reward;
    CHECK(m.flags == (VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER) && m.reward == 1.0f);
    CHECK_NEAR(sum, 0.89, 1e-6);
    CHECK_NEAR(m.env.return_target, 0.89, 1e-6);
    CHECK_EQ(vly_gridworld_distance(&m.env, 0), 12);
    CHECK_EQ(vly_gridworld_distance(&m.env, 2), -1); /* inside the wall */
    m.env.close(&m.env);
}

static void walls_and_edges_keep_the_walker(void) {
    maze m;
    start(&m, "map=S#/.G", 0);
    go(&m, 0);
    CHECK_EQ(m.state.cell, 0);
    go(&m, 3);
    CHECK_EQ(m.state.cell, 0);
    go(&m, 1);
    CHECK_EQ(m.state.cell, 0);
    CHECK(m.reward == -0.01f && m.flags == 0 && m.obs[0] == 1.0f && m.obs[2] == 0.0f);
    go(&m, 2);
    CHECK_EQ(m.env.state_index(&m.env, &m.state), 2);
    go(&m, 1);
    CHECK(m.reward == 1.0f && m.flags & VLY_ROW_TERMINATED);
    go(&m, 2);
    CHECK(m.flags == VLY_ROW_RESET && m.state.cell == 0);
    m.env.close(&m.env);
}

static void a_pit_ends_it_and_no_way_leads_through(void) {
    maze m;
    start(&m, "map=SPG/...", 0);
    CHECK_EQ(vly_gridworld_distance(&m.env, 0), 4);
    go(&m, 1);
    CHECK(m.reward == -1.0f && m.flags & VLY_ROW_TERMINATED);
    m.env.close(&m.env);
}

static void slipping_goes_aside_as_often_as_said(void) {
    maze m;
    start(&m, "map=..G../S..../.....,slip=0.3", 1000000);
    int count[4] = {0}, n = 40000;
    for (int i = 0; i < n; i++) { /* from row 1, column 0, to the right */
        m.state.cell = 5, m.state.ended = 0;
        go(&m, 1);
        count[m.state.cell == 0 ? 0 : m.state.cell == 6 ? 1 : m.state.cell == 10 ? 2 : 3]++;
    }
    CHECK_EQ(count[3], 0);
    CHECK(fabs(count[1] / (double)n - 0.7) < 0.01);
    CHECK(fabs(count[0] / (double)n - 0.15) < 0.01);
    CHECK(isnan(m.env.return_target));
    m.env.close(&m.env);
}

/* Value iteration over the real transitions must find the closed form of the header. */
static void value_iteration_finds_the_documented_values(void) {
    maze m;
    start(&m, "size=7", 0);
    const double gamma = 0.9, cost = 0.01f;
    double v[49] = {0};
    for (int sweep = 0; sweep < 200; sweep++) {
        for (int cell = 0; cell < 49; cell++) {
            if (vly_gridworld_distance(&m.env, cell) <= 0) continue;
            double best = -1e9;
            for (int a = 0; a < 4; a++) {
                m.state.cell = cell, m.state.ended = 0, m.state.step = 0;
                go(&m, a);
                const double next = m.flags & VLY_ROW_TERMINATED ? 0 : v[m.state.cell];
                best = fmax(best, m.reward + gamma * next);
            }
            v[cell] = best;
        }
    }
    for (int cell = 0; cell < 49; cell++) {
        const int d = vly_gridworld_distance(&m.env, cell);
        if (d <= 0) continue;
        const double decay = pow(gamma, d - 1);
        CHECK_NEAR(v[cell], decay - cost * (1 - decay) / (1 - gamma), 1e-9);
    }
    CHECK_EQ(vly_gridworld_distance(&m.env, 0), 18);
    m.env.close(&m.env);
}

static void bad_mazes_are_refused(void) {
    static const char *bad[] = {"size=1",  "size=33",    "size=4.5", "size=x",  "slip=1.5",
                                "map=S",   "map=SG/S.",  "map=S#G",  "map=SxG", "map=S./G",
                                "map=SG/", "map=SG//..", "map=SPG",  "walls=3", "cost=nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vly_env env;
        const vly_env_args args = {.extra = bad[i]};
        if (vly_env_open(&env, "gridworld", &args) != VLY_EINVAL) fprintf(stderr, "%s\n", bad[i]);
        CHECK_EQ(vly_env_open(&env, "gridworld", &args), VLY_EINVAL);
    }
}

int main(void) {
    the_built_in_maze_returns_089_at_best();
    walls_and_edges_keep_the_walker();
    a_pit_ends_it_and_no_way_leads_through();
    slipping_goes_aside_as_often_as_said();
    value_iteration_finds_the_documented_values();
    bad_mazes_are_refused();
    return TEST_PASS;
}
