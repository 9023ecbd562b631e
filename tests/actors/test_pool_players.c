/* The pool with several rows to an actor, masks, seeds that the caller gives, and restarts. */
#include "tests/actors/fake_env.h"

enum { A = 12, K = 3, N = A * K };

/* The fake environment seen by K players: player p's row is the state's, with its number added. */
static void team_rows(vly_rows at) {
    for (int p = 1; p < K; p++) {
        memcpy(at.obs + (size_t)p * at.obs_stride, at.obs, 12);
        at.obs[(size_t)p * at.obs_stride] ^= (uint8_t)p;
        at.reward[p] = at.score[p] = (*at.flags & VLY_ROW_RESET) ? 0 : at.reward[0] + (float)p;
        at.flags[p] = at.flags[0];
    }
}

static void team_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    fake_reset(env, state, seed, at);
    team_rows(at);
}

static void team_restart(const vly_env *env, void *state, vly_rows at) {
    (void)env;
    ((fake_state *)state)->episodes++;
    fake_start(state, at);
    team_rows(at);
}

/* The sum of the players' actions moves the state; where it fails, one row alone says so. */
static void team_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    for (int i = 0; i < n; i++) {
        const int32_t *action = vly_action_ints(vly_actions_at(actions, (size_t)(i * K)));
        const vly_rows at = vly_rows_of(out, (size_t)i, K);
        int32_t sum = 0;
        for (int p = 0; p < K; p++) sum = 10 * sum + action[p];
        fake_step_one(env->world, (fake_state *)states + i, sum, at);
        team_rows(at);
        if (at.flags[0] & VLY_ROW_FAILED) at.flags[0] = at.flags[2] = 0;
    }
}

static vly_env team_env(fake_world *w) {
    vly_env env = fake_env(w);
    env.players = K;
    env.reset = team_reset, env.step = team_step, env.restart = team_restart;
    return env;
}

static void run_team(vly_pool *pool, bench_rows *b, int t) {
    choose(b, 0, N, t);
    CHECK_OK(t ? vly_pool_submit_group(pool, 0, vly_actions_of_ints(b->action), rows_of(b, 0))
               : vly_pool_reset_group(pool, 0, rows_of(b, 0)));
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
}

static vly_pool *team_pool(const vly_env *env, int workers, int chunk) {
    const vly_pool_options o = {.actors = A, .workers = workers, .chunk = chunk, .seed = 4};
    vly_pool *pool;
    CHECK_OK(vly_pool_create(&pool, NULL, env, &o));
    return pool;
}

static void every_player_has_a_row_and_an_episode(void) {
    fake_world w = {0};
    const vly_env env = team_env(&w);
    bench_rows *b = new_rows();
    vly_pool *pool = team_pool(&env, 2, 5);
    double score[N] = {0};
    int length[N] = {0}, seen = 0;
    vly_episode e;
    for (int t = 0; t < 100; t++) {
        run_team(pool, b, t);
        for (int row = 0; row < N; row++) {
            const int first = row / K * K;
            CHECK_EQ(b->flags[row], b->flags[first]);
            CHECK_EQ(b->obs[row * STRIDE], b->obs[first * STRIDE] ^ row % K);
            const bool reset = (b->flags[row] & VLY_ROW_RESET) != 0;
            score[row] += (double)b->score[row], length[row] += !reset;
            if (!(b->flags[row] & VLY_ROW_GAME_OVER)) continue;
            CHECK_EQ(vly_pool_episodes(pool, &e, 1), 1);
            CHECK(e.actor == row && e.length == length[row] && e.score == score[row]);
            score[row] = 0, length[row] = 0, seen++;
        }
    }
    CHECK(seen > 60 && seen % K == 0);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

static void one_failed_row_resets_all_of_its_state(void) {
    fake_world w = {.fail_every = 4};
    const vly_env env = team_env(&w);
    bench_rows *b = new_rows();
    vly_pool *pool = team_pool(&env, 0, 0);
    int failures = 0;
    for (int t = 0; t < 60; t++) {
        run_team(pool, b, t);
        for (int a = 0; a < A; a++) {
            if (!(b->flags[a * K] & VLY_ROW_FAILED)) continue;
            failures++;
            for (int p = 0; p < K; p++) {
                CHECK_EQ(b->flags[a * K + p], VLY_ROW_FAILED | VLY_ROW_RESET);
                CHECK(b->reward[a * K + p] == 0);
                CHECK_EQ(vly_pool_age(pool, a * K + p)[0], 0);
            }
        }
    }
    vly_pool_stats s;
    vly_pool_get_stats(pool, &s);
    CHECK(failures > 50);
    CHECK_EQ(s.restarts, failures);
    CHECK_EQ(s.rows, 60 * N);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

static uint64_t team_digest(vly_pool *pool, bench_rows *b, int from, int to) {
    uint64_t h = 1;
    for (int t = from; t < to; t++) run_team(pool, b, t), h = mix_rows(h, b, 0, N);
    return mix_episodes(h, pool);
}

static void a_snapshot_has_all_players(void) {
    fake_world w = {.fail_every = 9};
    const vly_env env = team_env(&w);
    bench_rows *b = new_rows();
    vly_pool *one = team_pool(&env, 1, 2), *two = team_pool(&env, 0, 7);
    vly_episode e;
    team_digest(one, b, 0, 30);
    const size_t bytes = vly_pool_snapshot_bytes(one);
    void *saved = malloc(bytes);
    CHECK_OK(vly_pool_save(one, saved, bytes));
    while (vly_pool_episodes(one, &e, 1)) {
    }
    const uint64_t expected = team_digest(one, b, 30, 90);
    CHECK_OK(vly_pool_load(two, saved, bytes));
    CHECK(team_digest(two, b, 30, 90) == expected);
    free(saved);
    CHECK_OK(vly_pool_destroy(one));
    CHECK_OK(vly_pool_destroy(two));
    free(b);
}

static void given_seeds_are_for_one_reset(void) {
    fake_world w = {0};
    const vly_env env = team_env(&w);
    bench_rows *b = new_rows();
    vly_pool *pool = team_pool(&env, 1, 0);
    uint64_t seeds[A], drawn[A];
    for (int a = 0; a < A; a++) seeds[a] = (uint64_t)(a / 2) + 70;
    run_team(pool, b, 0);
    for (int a = 0; a < A; a++) drawn[a] = ((fake_state *)vly_pool_state(pool, a))->hash;
    CHECK_OK(vly_pool_seed(pool, seeds));
    run_team(pool, b, 0);
    for (int a = 0; a < A; a++) CHECK(((fake_state *)vly_pool_state(pool, a))->hash == seeds[a]);
    CHECK(!memcmp(b->obs, b->obs + K * STRIDE, 12) && memcmp(b->obs, b->obs + 2 * K * STRIDE, 12));
    run_team(pool, b, 0);
    for (int a = 0; a < A; a++) {
        const uint64_t now = ((fake_state *)vly_pool_state(pool, a))->hash;
        CHECK(now != seeds[a] && now != drawn[a]);
    }
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

/* The state's stream goes on; the others step as if nothing had been asked. */
static void a_restart_leaves_the_episode_without_a_seed(void) {
    fake_world w = {0};
    vly_env env = team_env(&w);
    bench_rows *b = new_rows();
    vly_pool *pool = team_pool(&env, 2, 5);
    uint8_t which[A] = {0};
    which[3] = which[7] = 1;
    for (int t = 0; t < 3; t++) run_team(pool, b, t);
    uint64_t hash[A];
    for (int a = 0; a < A; a++) hash[a] = ((fake_state *)vly_pool_state(pool, a))->hash;
    CHECK_OK(vly_pool_restart(pool, which));
    run_team(pool, b, 3);
    for (int a = 0; a < A; a++) {
        const fake_state *s = vly_pool_state(pool, a);
        CHECK_EQ(s->hash == hash[a], which[a]);
        CHECK_EQ(s->t == 0, which[a]);
        for (int p = 0; p < K; p++) {
            CHECK_EQ((b->flags[a * K + p] & VLY_ROW_RESET) != 0, which[a]);
            CHECK_EQ(vly_pool_age(pool, a * K + p)[0], which[a] ? 0 : 3);
        }
    }
    vly_episode e;
    int counted = 0;
    for (int t = 4; t < 40; t++) {
        run_team(pool, b, t);
        for (; vly_pool_episodes(pool, &e, 1); counted++) CHECK(e.length <= 22);
    }
    CHECK(counted > A);
    env.restart = NULL;
    CHECK_EQ(vly_pool_restart(pool, NULL), VLY_EUNSUPPORTED);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

/* ---- masks ---- */

typedef struct {
    uint8_t obs[A][32], mask[A][8], flags[A];
    float reward[A], score[A];
    int32_t action[A];
} masked_rows;

static vly_rows rows_with_masks(masked_rows *b) {
    return (vly_rows){.obs = b->obs[0],
                      .obs_stride = sizeof b->obs[0],
                      .reward = b->reward,
                      .score = b->score,
                      .flags = b->flags,
                      .mask = b->mask[0],
                      .mask_stride = sizeof b->mask[0]};
}

static void masks_come_with_the_rows(void) {
    vly_env env;
    masked_rows b;
    vly_pool *pool;
    const vly_pool_options o = {.actors = A, .workers = 2, .chunk = 5, .seed = 1};
    CHECK_OK(vly_env_open(&env, VLY_TEST_PLUGIN_MASKED, NULL));
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_OK(vly_pool_reset_group(pool, 0, rows_with_masks(&b)));
    for (int t = 0; t < 200; t++) {
        CHECK_OK(vly_pool_wait_group(pool, 0, -1));
        CHECK_OK(vly_pool_check(pool));
        for (int a = 0; a < A; a++) {
            CHECK(t == 0 || (b.flags[a] & VLY_ROW_RESET) || b.score[a] > 0);
            for (b.action[a] = 7; !b.mask[a][b.action[a]];) b.action[a]--;
        }
        CHECK_OK(
            vly_pool_submit_group(pool, 0, vly_actions_of_ints(b.action), rows_with_masks(&b)));
    }
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    vly_rows none = rows_with_masks(&b);
    none.mask = NULL;
    CHECK_EQ(vly_pool_reset_group(pool, 0, none), VLY_EINVAL);
    CHECK_OK(vly_pool_destroy(pool));
    env.close(&env);
}

static void blocked_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    fake_step(env, states, n, actions, out);
    for (int i = 0; i < n; i++) memset(out.mask + (size_t)i * out.mask_stride, 1, 4);
    if (n > 2) memset(out.mask + 2 * out.mask_stride, 0, 2); /* the first of two factors */
}

static void masked_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    fake_reset(env, state, seed, at);
    memset(at.mask, 1, 4);
}

static void a_mask_that_allows_nothing_is_named(void) {
    static const int32_t sizes[2] = {2, 2};
    fake_world w = {0};
    vly_env env = fake_env(&w);
    masked_rows b;
    int32_t action[A][2] = {{0}};
    vly_pool *pool;
    const vly_pool_options o = {.actors = A, .workers = 1, .seed = 1, .chunk = A};
    env.masked = 1, env.action = vly_space_multi(2, sizes);
    env.step = blocked_step, env.reset = masked_reset;
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_OK(vly_pool_reset_group(pool, 0, rows_with_masks(&b)));
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    CHECK_OK(vly_pool_check(pool));
    CHECK_OK(vly_pool_submit_group(pool, 0, (vly_actions){action, sizeof action[0]},
                                   rows_with_masks(&b)));
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    CHECK_EQ(vly_pool_check(pool), VLY_EPEER);
    CHECK(
        strstr(vly_error_text(), "environment fake: actor 2, player 0: the mask allows no action"));
    CHECK_OK(vly_pool_destroy(pool));
}

int main(void) {
    every_player_has_a_row_and_an_episode();
    one_failed_row_resets_all_of_its_state();
    a_snapshot_has_all_players();
    given_seeds_are_for_one_reset();
    a_restart_leaves_the_episode_without_a_seed();
    masks_come_with_the_rows();
    a_mask_that_allows_nothing_is_named();
    return TEST_PASS;
}
