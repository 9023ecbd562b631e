/* The actor pool, against an environment that can be told to fail and to hang. */
#include "tests/actors/fake_env.h"

static void rows_do_not_depend_on_workers_or_chunks(void) {
    for (int failing = 0; failing < 2; failing++) {
        fake_world w = {.fail_every = failing ? 11 : 0};
        const vly_pool_options o = {.actors = 258, .groups = 3, .seed = 9};
        const uint64_t expected = digest(o, &w, 60);
        const int workers[] = {0, 1, 2, 8, 8}, chunk[] = {86, 7, 0, 1, 1000};
        for (int i = 0; i < 5; i++)
            for (int helps = 0; helps < 2; helps++) {
                vly_pool_options v = o;
                v.workers = workers[i], v.chunk = chunk[i], v.caller_steps = helps;
                CHECK(digest(v, &w, 60) == expected);
            }
        vly_pool_options other = o;
        other.seed = 10;
        CHECK(digest(other, &w, 60) != expected);
    }
}

static void episodes_add_up_scores_and_steps(void) {
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    const vly_pool_options o = {.actors = 5, .workers = 2, .chunk = 2, .seed = 3};
    vly_pool *pool;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    double score[5] = {0};
    int length[5] = {0}, age[5] = {0}, seen = 0;
    for (int t = 0; t < 200; t++) {
        choose(b, 0, 5, t);
        CHECK_OK(t ? vly_pool_submit_group(pool, 0, vly_actions_of_ints(b->action), rows_of(b, 0))
                   : vly_pool_reset_group(pool, 0, rows_of(b, 0)));
        CHECK_OK(vly_pool_wait_group(pool, 0, -1));
        for (int a = 0; a < 5; a++) {
            const bool reset = (b->flags[a] & VLY_ROW_RESET) != 0;
            age[a] = reset ? 0 : age[a] + 1;
            CHECK_EQ(vly_pool_age(pool, a)[0], age[a]);
            score[a] += b->score[a], length[a] += !reset;
            if (!(b->flags[a] & VLY_ROW_GAME_OVER)) continue;
            vly_episode e;
            CHECK_EQ(vly_pool_episodes(pool, &e, 1), 1);
            CHECK_EQ(e.actor, a);
            CHECK_EQ(e.length, length[a]);
            CHECK(e.score == score[a]);
            score[a] = 0, length[a] = 0, seen++;
        }
        vly_episode none;
        CHECK_EQ(vly_pool_episodes(pool, &none, 1), 0);
    }
    CHECK(seen > 40);
    vly_pool_stats s;
    vly_pool_get_stats(pool, &s);
    CHECK_EQ(s.episodes, seen);
    CHECK_EQ(s.rows, 5 * 200);
    CHECK_EQ(s.workers, 2);
    CHECK_EQ(s.queued + s.running + s.finished + s.hung, 0);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

static void a_failing_environment_is_restarted_and_counted(void) {
    fake_world w = {.fail_every = 2};
    const vly_env env = fake_env(&w);
    const vly_pool_options o = {.actors = 16, .workers = 1, .seed = 4};
    vly_pool *pool;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    run_sync(pool, b, 0, 2, 0); /* reset, one good step */
    for (int a = 0; a < 16; a++) CHECK_EQ(b->flags[a], 0);
    run_sync(pool, b, 2, 1, 0);
    for (int a = 0; a < 16; a++) {
        CHECK_EQ(b->flags[a], VLY_ROW_FAILED | VLY_ROW_RESET);
        CHECK(b->reward[a] == 0);
        const vly_u32x4 seed = vly_philox(4, VLY_STREAM_ENV, 1, (uint32_t)a); /* the second seed */
        fake_state fresh;
        uint8_t obs[12], flags;
        float reward, score;
        fake_reset(&env, &fresh, (uint64_t)seed.v[1] << 32 | seed.v[0],
                   vly_rows_plain(obs, 12, &reward, &score, &flags));
        CHECK(memcmp(b->obs + a * STRIDE, obs, 12) == 0);
    }
    vly_pool_stats s;
    vly_pool_get_stats(pool, &s);
    CHECK_EQ(s.restarts, 16);
    CHECK_EQ(s.episodes, 0);
    w.fail_reset = true; /* now it cannot even be reset: nothing ends, nothing is stepped */
    run_sync(pool, b, 3, 4, 0);
    for (int a = 0; a < 16; a++) CHECK_EQ(b->flags[a], VLY_ROW_FAILED | VLY_ROW_RESET);
    for (int i = 0; i < 12; i++) CHECK_EQ(b->obs[i], 0);
    w.fail_reset = false, w.fail_every = 0;
    run_sync(pool, b, 7, 2, 0);
    for (int a = 0; a < 16; a++) CHECK_EQ(b->flags[a], 0);
    CHECK_OK(vly_pool_destroy(pool));
    free(b);
}

static void asynchronous_batches_hold_each_chunk_once(void) {
    enum { N = 96, CHUNK = 4, CHUNKS = N / CHUNK, B = 7, BATCHES = 3000 };
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    const vly_pool_options o = {.actors = N, .workers = 3, .chunk = CHUNK, .seed = 6};
    vly_pool *pool, *reference;
    bench_rows *b = new_rows(), *r = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_EQ(vly_pool_chunks(pool), CHUNKS);
    uint64_t h[CHUNKS];
    int steps[CHUNKS] = {0}, first, n, took[B];
    bool out[CHUNKS];
    for (int c = 0; c < CHUNKS; c++) {
        CHECK_OK(vly_pool_reset_chunk(pool, c, rows_of(b, c * CHUNK)));
        out[c] = true, h[c] = 1;
    }
    for (int batch = 0; batch < BATCHES; batch++) {
        CHECK_EQ(vly_pool_take(pool, B, took, -1), B);
        for (int i = 0; i < B; i++) {
            const int c = took[i];
            CHECK(out[c]); /* once per submission */
            out[c] = false;
            vly_pool_chunk_range(pool, c, &first, &n);
            CHECK_EQ(first, c * CHUNK);
            h[c] = mix_rows(h[c], b, first, n);
            steps[c]++;
        }
        for (int i = 0; i < B; i++) {
            choose(b, took[i] * CHUNK, CHUNK, steps[took[i]]);
            CHECK_OK(vly_pool_submit_chunk(pool, took[i],
                                           vly_actions_of_ints(b->action + took[i] * CHUNK),
                                           rows_of(b, took[i] * CHUNK)));
            out[took[i]] = true;
            if (i == 0)
                CHECK_EQ(vly_pool_submit_chunk(pool, took[i], vly_actions_of_ints(b->action),
                                               rows_of(b, 0)),
                         VLY_EINVAL);
        }
    }
    for (int left = CHUNKS; left > 0; left--) CHECK_EQ(vly_pool_take(pool, 1, took, -1), 1);
    CHECK_EQ(vly_pool_take(pool, 1, took, 10), 0);
    CHECK_OK(vly_pool_destroy(pool));
    /* each actor's own stream is what it would have been alone */
    CHECK_OK(vly_pool_create(&reference, NULL, &env, &o));
    int most = 0;
    uint64_t k[CHUNKS];
    for (int c = 0; c < CHUNKS; c++) most = steps[c] > most ? steps[c] : most, k[c] = 1;
    for (int t = 0; t < most; t++) {
        run_sync(reference, r, t, 1, 0);
        for (int c = 0; c < CHUNKS; c++)
            if (t < steps[c]) k[c] = mix_rows(k[c], r, c * CHUNK, CHUNK);
    }
    for (int c = 0; c < CHUNKS; c++) CHECK(k[c] == h[c]);
    CHECK_OK(vly_pool_destroy(reference));
    free(b);
    free(r);
}

/* ---- snapshots ---- */

/* One wrong bit under valid checksums: the environment refuses the state, and it is not loaded. */
static void a_damaged_state_is_refused_by_environment_and_actor(void) {
    enum { ACTORS = 4, OBS = 25 * sizeof(float) };
    vly_env env;
    vly_pool *pool;
    uint8_t obs[ACTORS * OBS], flags[ACTORS];
    float reward[ACTORS], score[ACTORS];
    const vly_pool_options o = {.actors = ACTORS, .seed = 3};
    const vly_rows rows = vly_rows_plain(obs, OBS, reward, score, flags);
    CHECK_OK(vly_env_open(&env, "gridworld", NULL));
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_OK(vly_pool_reset_group(pool, 0, rows));
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    const size_t bytes = vly_pool_snapshot_bytes(pool);
    uint8_t *snapshot = malloc(bytes), *after = malloc(bytes);
    CHECK_OK(vly_pool_save(pool, snapshot, bytes));
    CHECK_OK(vly_pool_load(pool, snapshot, bytes));
    snapshot[bytes - 2 * env.state_bytes + 2] ^= 16; /* actor 2, cell += 1 << 20 */
    CHECK_EQ(vly_pool_load(pool, snapshot, bytes), VLY_ECORRUPT);
    CHECK(strstr(vly_error_text(), "gridworld, actor 2") && strstr(vly_error_text(), "cell is"));
    snapshot[bytes - 2 * env.state_bytes + 2] ^= 16;
    CHECK_OK(vly_pool_save(pool, after, bytes));
    CHECK(memcmp(snapshot, after, bytes) == 0);
    CHECK_OK(vly_pool_destroy(pool));
    free(snapshot), free(after);
    env.close(&env);
}

static void a_snapshot_continues_bit_for_bit(void) {
    fake_world w = {.fail_every = 17};
    const vly_env env = fake_env(&w);
    vly_pool_options o = {.actors = 60, .groups = 2, .workers = 2, .seed = 8};
    vly_pool *pool, *other;
    bench_rows *b = new_rows();
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    run_sync(pool, b, 0, 30, 0);
    const size_t bytes = vly_pool_snapshot_bytes(pool);
    void *snapshot = malloc(bytes);
    CHECK_OK(vly_pool_save(pool, snapshot, bytes));
    const uint64_t expected = run_sync(pool, b, 30, 40, 1);
    bench_rows *start = new_rows();
    o.workers = 1, o.chunk = 7, o.seed = 8;
    CHECK_OK(vly_pool_create(&other, NULL, &env, &o));
    run_sync(other, start, 0, 3, 0);
    CHECK_OK(vly_pool_load(other, snapshot, bytes));
    uint64_t h = 1;
    { /* the first submission of run_sync digests what is there: make it the same */
        vly_pool *again;
        bench_rows *c = new_rows();
        CHECK_OK(vly_pool_create(&again, NULL, &env, &o));
        run_sync(again, c, 0, 30, 0);
        memcpy(start, c, sizeof *c);
        CHECK_OK(vly_pool_destroy(again));
        free(c);
    }
    h = run_sync(other, start, 30, 40, h);
    CHECK(h == expected);
    /* what is not a snapshot of this pool is refused and changes nothing */
    void *before = malloc(bytes), *after = malloc(bytes);
    CHECK_OK(vly_pool_save(other, before, bytes));
    CHECK_EQ(vly_pool_load(other, snapshot, bytes - 1), VLY_ECORRUPT);
    CHECK_EQ(vly_pool_load(other, snapshot, 10), VLY_ECORRUPT);
    ((char *)snapshot)[8] ^= 2;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_EVERSION);
    ((char *)snapshot)[8] ^= 2, ((char *)snapshot)[12] ^= 2;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_EINVAL);
    ((char *)snapshot)[12] ^= 2, ((char *)snapshot)[33] ^= 1;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_EINVAL);
    ((char *)snapshot)[33] ^= 1, ((char *)snapshot)[0] ^= 1;
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_ECORRUPT);
    ((char *)snapshot)[0] ^= 1;
    uint64_t *const episodes = (uint64_t *)((char *)snapshot + 24), counted = *episodes;
    *episodes = (uint64_t)-5; /* a place in a ring */
    CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_ECORRUPT);
    *episodes = counted;
    /* the first row: a score of 8 bytes, a length of 4 */
    char *const score = (char *)snapshot + 96, *const length = score + 8;
    const double scores[] = {NAN, INFINITY, -INFINITY};
    const int32_t lengths[] = {-1, INT32_MIN, INT32_MAX};
    double right_score;
    int32_t right_length;
    memcpy(&right_score, score, 8), memcpy(&right_length, length, 4);
    for (int i = 0; i < 3; i++) {
        memcpy(score, &scores[i], 8);
        CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_ECORRUPT);
        memcpy(score, &right_score, 8), memcpy(length, &lengths[i], 4);
        CHECK_EQ(vly_pool_load(other, snapshot, bytes), VLY_ECORRUPT);
        memcpy(length, &right_length, 4);
    }
    CHECK_OK(vly_pool_save(other, after, bytes));
    CHECK(memcmp(before, after, bytes) == 0);
    CHECK_OK(vly_pool_destroy(pool));
    CHECK_OK(vly_pool_destroy(other));
    void *all[] = {b, snapshot, start, before, after};
    for (int i = 0; i < 5; i++) free(all[i]);
}

/* ---- under a loop ---- */

typedef struct {
    vly_pool *pool;
    bench_rows *b;
    int steps[4], want, order_errors, last, taken;
    uint64_t h;
} looped;

static void on_group(void *arg, int g) {
    looped *l = arg;
    int first, n;
    vly_pool_group_range(l->pool, g, &first, &n);
    l->order_errors += g != (l->last + 1) % 4;
    l->last = g;
    l->h = mix_rows(l->h, l->b, first, n);
    if (++l->steps[g] == l->want) return;
    choose(l->b, first, n, l->steps[g]);
    CHECK_OK(vly_pool_submit_group(l->pool, g, vly_actions_of_ints(l->b->action + first),
                                   rows_of(l->b, first)));
}

static void the_loop_runs_thousands_of_actors(void) {
    uint64_t h[2];
    for (int i = 0; i < 2; i++) {
        fake_world w = {0};
        const vly_env env = fake_env(&w);
        uv_loop_t loop;
        looped l = {.b = new_rows(), .want = 40, .last = 3, .h = 1};
        const vly_pool_options o = {.actors = 4096,
                                    .groups = 4,
                                    .workers = i ? 8 : 1,
                                    .seed = 1,
                                    .arg = &l,
                                    .on_group = on_group};
        CHECK_EQ(uv_loop_init(&loop), 0);
        CHECK_OK(vly_pool_create(&l.pool, &loop, &env, &o));
        for (int g = 0; g < 4; g++)
            CHECK_OK(vly_pool_reset_group(l.pool, g, rows_of(l.b, 1024 * g)));
        while (l.steps[0] + l.steps[1] + l.steps[2] + l.steps[3] < 4 * l.want)
            uv_run(&loop, UV_RUN_ONCE);
        CHECK_EQ(l.order_errors, 0);
        vly_pool_stats s;
        vly_pool_get_stats(l.pool, &s);
        CHECK_EQ(s.rows, 4096 * 40);
        CHECK(s.busy_s > 0 && s.age_s > 0);
        CHECK_OK(vly_pool_destroy(l.pool));
        uv_run(&loop, UV_RUN_DEFAULT);
        CHECK_EQ(uv_loop_close(&loop), 0);
        h[i] = l.h;
        free(l.b);
    }
    CHECK(h[0] == h[1]);
}

static void on_chunks(void *arg, int finished) {
    looped *l = arg;
    int took[64];
    while (finished >= 3 && l->taken < l->want) {
        const int n = vly_pool_take(l->pool, 3, took, 0);
        if (n == 0) break;
        for (int i = 0; i < n; i++, l->taken++)
            CHECK_OK(vly_pool_submit_chunk(l->pool, took[i], vly_actions_of_ints(l->b->action),
                                           rows_of(l->b, took[i] * 8)));
    }
}

static void the_loop_hands_out_finished_chunks(void) {
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    uv_loop_t loop;
    looped l = {.b = new_rows(), .want = 3000};
    const vly_pool_options o = {
        .actors = 64, .chunk = 8, .workers = 2, .seed = 1, .arg = &l, .on_chunks = on_chunks};
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_OK(vly_pool_create(&l.pool, &loop, &env, &o));
    choose(l.b, 0, 64, 0);
    for (int c = 0; c < 8; c++) CHECK_OK(vly_pool_reset_chunk(l.pool, c, rows_of(l.b, 8 * c)));
    while (l.taken < l.want) uv_run(&loop, UV_RUN_ONCE);
    CHECK_OK(vly_pool_destroy(l.pool)); /* with work in flight */
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
    free(l.b);
}

typedef struct {
    vly_pool *pool;
    bench_rows *b;
    int calls, taken;
    bool late;
} late_taker;

/* Takes what it was told of, the first time after another chunk has finished. */
static void take_late(void *arg, int finished) {
    late_taker *l = arg;
    int took[2];
    if (l->calls++ == 0) {
        CHECK_EQ(finished, 1);
        CHECK_OK(vly_pool_reset_chunk(l->pool, 1, rows_of(l->b, 1)));
        for (vly_pool_stats s = {0}; s.finished < 2;) vly_pool_get_stats(l->pool, &s);
    }
    l->taken += vly_pool_take(l->pool, finished, took, 0);
}

static void give_up(uv_timer_t *timer) {
    ((late_taker *)timer->data)->late = true;
}

/* The chunk that finished between the report and the take is reported too. */
static void a_chunk_that_finishes_before_the_take_is_reported(void) {
    fake_world w = {0};
    const vly_env env = fake_env(&w);
    uv_loop_t loop;
    uv_timer_t timer;
    late_taker l = {.b = new_rows()};
    const vly_pool_options o = {
        .actors = 2, .chunk = 1, .workers = 1, .seed = 1, .arg = &l, .on_chunks = take_late};
    CHECK_EQ(uv_loop_init(&loop), 0);
    CHECK_OK(vly_pool_create(&l.pool, &loop, &env, &o));
    CHECK_OK(vly_pool_reset_chunk(l.pool, 0, rows_of(l.b, 0)));
    uv_timer_init(&loop, &timer);
    timer.data = &l;
    uv_timer_start(&timer, give_up, 20000, 0);
    while (l.taken < 2 && !l.late) uv_run(&loop, UV_RUN_ONCE);
    CHECK_EQ(l.taken, 2);
    uv_close((uv_handle_t *)&timer, NULL);
    CHECK_OK(vly_pool_destroy(l.pool));
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&loop), 0);
    free(l.b);
}

static void bad_arguments_are_refused(void) {
    fake_world w = {0};
    vly_env env = fake_env(&w);
    vly_pool *pool = NULL;
    bench_rows *b = new_rows();
    vly_pool_options o = {.actors = 10, .groups = 3};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    o = (vly_pool_options){.actors = 0};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    o = (vly_pool_options){.actors = 4, .workers = -2};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    env.state_bytes = 60;
    o = (vly_pool_options){.actors = 4, .workers = -1};
    CHECK_EQ(vly_pool_create(&pool, NULL, &env, &o), VLY_EINVAL);
    CHECK(pool == NULL);
    env.state_bytes = 64;
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &o));
    CHECK_EQ(vly_pool_submit_group(pool, 1, vly_actions_of_ints(b->action), rows_of(b, 0)),
             VLY_EINVAL);
    CHECK_EQ(vly_pool_submit_group(pool, 0, vly_actions_of_ints(NULL), rows_of(b, 0)), VLY_EINVAL);
    CHECK_EQ(vly_pool_submit_chunk(pool, -1, vly_actions_of_ints(b->action), rows_of(b, 0)),
             VLY_EINVAL);
    vly_rows thin = rows_of(b, 0);
    thin.obs_stride = 11;
    CHECK_EQ(vly_pool_reset_group(pool, 0, thin), VLY_EINVAL);
    CHECK_EQ(vly_pool_wait_group(pool, 5, -1), VLY_EINVAL);
    CHECK_EQ(vly_pool_save(pool, b, 3), VLY_EINVAL);
    CHECK_OK(vly_pool_reset_group(pool, 0, rows_of(b, 0)));
    CHECK_EQ(vly_pool_reset_group(pool, 0, rows_of(b, 0)), VLY_EINVAL);
    CHECK_OK(vly_pool_wait_group(pool, 0, -1));
    CHECK(vly_pool_state(pool, 4) == NULL && vly_pool_state(pool, -1) == NULL &&
          vly_pool_state(pool, 3) != NULL);
    CHECK_OK(vly_pool_destroy(pool));
    CHECK_OK(vly_pool_destroy(NULL));
    free(b);
}

int main(void) {
    rows_do_not_depend_on_workers_or_chunks();
    episodes_add_up_scores_and_steps();
    a_failing_environment_is_restarted_and_counted();
    asynchronous_batches_hold_each_chunk_once();
    a_snapshot_continues_bit_for_bit();
    a_damaged_state_is_refused_by_environment_and_actor();
    the_loop_runs_thousands_of_actors();
    the_loop_hands_out_finished_chunks();
    a_chunk_that_finishes_before_the_take_is_reported();
    bad_arguments_are_refused();
    return TEST_PASS;
}
