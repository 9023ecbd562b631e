/* The contract of every environment (common/base/env.h). */
#include "common/base/philox.h"
#include "envs/registry.h"
#include "envs/trace.h"
#include "tests/kit/check.h"

enum { N = 257, POISON = 0xC3 };

typedef struct {
    vly_env env;
    int n;
    uint8_t *states, *obs;
    size_t stride;
    float reward[N + 2], score[N + 2];
    uint8_t flags[N + 2];
    int32_t action[N];
} fleet;

/* Rows 1 .. n of n + 2, the stride wider than the observation: what is around must survive. */
static vly_rows fleet_rows(fleet *f) {
    vly_rows rows = vly_rows_plain(f->obs + f->stride, f->stride, f->reward + 1, f->score + 1,
                                   f->flags + 1);
    return rows;
}

static void fleet_poison(fleet *f) {
    memset(f->obs, POISON, f->stride * (size_t)(f->n + 2));
    memset(f->reward, POISON, sizeof f->reward);
    memset(f->score, POISON, sizeof f->score);
    memset(f->flags, POISON, sizeof f->flags);
}

static void poisoned(const void *data, size_t bytes) {
    const uint8_t *p = data;
    for (size_t i = 0; i < bytes; i++) CHECK_EQ(p[i], POISON);
}

static void fleet_check_margins(const fleet *f, size_t n) {
    const size_t bytes = f->env.obs.bytes;
    poisoned(f->obs, f->stride);
    poisoned(f->obs + (n + 1) * f->stride, f->stride);
    for (size_t i = 1; i <= n; i++) poisoned(f->obs + i * f->stride + bytes, f->stride - bytes);
    poisoned(f->reward, 4), poisoned(f->reward + n + 1, 4);
    poisoned(f->score, 4), poisoned(f->score + n + 1, 4);
    poisoned(f->flags, 1), poisoned(f->flags + n + 1, 1);
}

static void fleet_open(fleet *f, const char *name, int n, const vly_env_args *args) {
    memset(f, 0, sizeof *f);
    CHECK_OK(vly_env_open(&f->env, name, args));
    CHECK_EQ(f->env.state_bytes % 64, 0);
    f->n = n;
    f->stride = f->env.obs.bytes + 20;
    f->states = aligned_alloc(64, f->env.state_bytes * (size_t)n);
    f->obs = malloc(f->stride * (size_t)(n + 2));
    CHECK(f->states && f->obs);
    memset(f->states, POISON, f->env.state_bytes * (size_t)n);
    fleet_poison(f);
}

static void fleet_close(fleet *f) {
    free(f->states);
    free(f->obs);
    f->env.close(&f->env);
}

static void *fleet_state(fleet *f, int i) {
    return f->states + (size_t)i * f->env.state_bytes;
}

static void fleet_reset(fleet *f, uint64_t seed) {
    for (int i = 0; i < f->n; i++)
        f->env.reset(&f->env, fleet_state(f, i), seed + (uint64_t)i,
                     vly_rows_at(fleet_rows(f), (size_t)i));
}

/* Of a box of one number its bits. */
static int32_t random_action(const fleet *f, uint64_t step, uint32_t lane) {
    int32_t bits;
    CHECK_EQ(f->env.action.count, 1);
    if (f->env.action.kind == VLY_SPACE_BOX) {
        vly_trace_random(&f->env, 99 + lane, step, NULL, &bits);
        return bits;
    }
    return (int32_t)vly_below(vly_philox(99, VLY_STREAM_TEST, step, lane).v[0],
                              (uint32_t)f->env.action.n);
}

static void fleet_act(fleet *f, uint64_t step) {
    for (int i = 0; i < f->n; i++) f->action[i] = random_action(f, step, (uint32_t)i);
}

static void same_rows(const fleet *a, const fleet *b) {
    CHECK(memcmp(a->obs, b->obs, a->stride * (size_t)(a->n + 2)) == 0);
    CHECK(memcmp(a->reward, b->reward, sizeof a->reward) == 0);
    CHECK(memcmp(a->score, b->score, sizeof a->score) == 0);
    CHECK(memcmp(a->flags, b->flags, sizeof a->flags) == 0);
}

static void a_batch_of_257_is_257_single_steps(const char *name) {
    const vly_env_args args = {.max_steps = 60};
    fleet batch, single;
    fleet_open(&batch, name, N, &args);
    fleet_open(&single, name, N, &args);
    fleet_reset(&batch, 5);
    fleet_reset(&single, 5);
    fleet_check_margins(&batch, N);
    same_rows(&batch, &single);
    const size_t bytes = batch.env.state_bytes;
    for (uint64_t step = 0; step < 200; step++) {
        fleet_poison(&batch), fleet_poison(&single);
        fleet_act(&batch, step);
        batch.env.step(&batch.env, batch.states, N, vly_actions_of_ints(batch.action),
                       fleet_rows(&batch));
        for (int i = 0; i < N; i++)
            single.env.step(&single.env, fleet_state(&single, i), 1,
                            vly_actions_of_ints(&batch.action[i]),
                            vly_rows_at(fleet_rows(&single), (size_t)i));
        fleet_check_margins(&batch, N);
        same_rows(&batch, &single);
        CHECK(memcmp(batch.states, single.states, bytes * N) == 0);
    }
    fleet_close(&batch);
    fleet_close(&single);
}

static void a_copied_state_continues_the_same(const char *name) {
    fleet a, b;
    fleet_open(&a, name, 5, NULL);
    fleet_open(&b, name, 5, NULL);
    fleet_reset(&a, 11);
    for (uint64_t step = 0; step < 700; step++) {
        if (step % 50 == 0) memcpy(b.states, a.states, a.env.state_bytes * 5);
        fleet_poison(&a), fleet_poison(&b);
        fleet_act(&a, step);
        a.env.step(&a.env, a.states, 5, vly_actions_of_ints(a.action), fleet_rows(&a));
        b.env.step(&b.env, b.states, 5, vly_actions_of_ints(a.action), fleet_rows(&b));
        same_rows(&a, &b);
    }
    fleet_close(&a);
    fleet_close(&b);
}

/* An end is followed by exactly one RESET row with reward 0, whatever the action is. */
static void an_end_is_followed_by_a_reset_row(const char *name) {
    const vly_env_args args = {.max_steps = 37};
    fleet f;
    int ended[7] = {0}, length[7] = {0}, ends = 0, truncated = 0;
    fleet_open(&f, name, 7, &args);
    fleet_reset(&f, 3);
    for (int i = 0; i < 7; i++) CHECK_EQ(f.flags[1 + i], VLY_ROW_RESET);
    for (uint64_t step = 0; step < 500; step++) {
        fleet_act(&f, step);
        f.env.step(&f.env, f.states, 7, vly_actions_of_ints(f.action), fleet_rows(&f));
        for (int i = 0; i < 7; i++) {
            const int flags = f.flags[1 + i];
            CHECK_EQ((flags & VLY_ROW_RESET) != 0, ended[i]);
            if (ended[i]) CHECK(flags == VLY_ROW_RESET && f.reward[1 + i] == 0.0f);
            length[i] = ended[i] ? 0 : length[i] + 1;
            ended[i] = (flags & VLY_ROW_ENDED) != 0;
            CHECK_EQ((flags & VLY_ROW_GAME_OVER) != 0, ended[i]);
            CHECK_EQ((flags & VLY_ROW_TRUNCATED) != 0, length[i] == 37);
            ends += ended[i], truncated += (flags & VLY_ROW_TRUNCATED) != 0;
            if (f.env.states) {
                const int index = f.env.state_index(&f.env, fleet_state(&f, i));
                CHECK(index >= 0 && index < f.env.states);
            }
        }
    }
    CHECK(ends >= 7 * (500 / 38));
    (void)truncated;
    fleet_close(&f);
}

static void a_drawing_stays_inside_its_frame(const char *name) {
    fleet f;
    fleet_open(&f, name, 1, NULL);
    fleet_reset(&f, 1);
    CHECK(f.env.render != NULL && f.env.describe != NULL);
    int width = 0, height = 0;
    f.env.render(&f.env, f.states, NULL, &width, &height);
    CHECK(width >= 40 && width <= 1024 && height >= 40 && height <= 1024);
    const size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *rgb = malloc(bytes + 64);
    CHECK(rgb != NULL);
    for (uint64_t step = 0; step < 300; step++) {
        fleet_act(&f, step);
        f.env.step(&f.env, f.states, 1, vly_actions_of_ints(f.action), fleet_rows(&f));
        memset(rgb, POISON, bytes + 64);
        int w = 0, h = 0;
        f.env.render(&f.env, f.states, rgb, &w, &h);
        CHECK(w == width && h == height);
        poisoned(rgb + bytes, 64);
        int untouched = 0;
        for (size_t i = 0; i < bytes; i++) untouched += rgb[i] == POISON;
        CHECK(untouched < (int)bytes / 20); /* the colour may occur, a hole may not */
        char text[24];
        memset(text, POISON, sizeof text);
        f.env.describe(&f.env, f.states, text, sizeof text);
        CHECK(memchr(text, 0, sizeof text) != NULL);
    }
    free(rgb);
    fleet_close(&f);
}

/* Whoever shows an action or a number by its name finds one. */
static void names_belong_to_actions_and_numbers(const char *name) {
    fleet f;
    double numbers[VLY_ENV_INFO_MAX];
    fleet_open(&f, name, 1, NULL);
    fleet_reset(&f, 1);
    const vly_space *a = &f.env.action;
    for (int i = 0; a->names && i < (a->kind == VLY_SPACE_BOX ? a->count : a->n); i++)
        CHECK(a->names[i] && a->names[i][0]);
    CHECK((f.env.info_count > 0) == (f.env.info != NULL) && f.env.info_count <= VLY_ENV_INFO_MAX);
    for (int i = 0; i < f.env.info_count; i++) {
        numbers[i] = NAN;
        CHECK(f.env.info_names[i] && f.env.info_names[i][0]);
    }
    if (f.env.info) f.env.info(&f.env, f.states, numbers);
    for (int i = 0; i < f.env.info_count; i++) CHECK(isfinite(numbers[i]));
    fleet_close(&f);
}

/* The model's outcomes occur in steps, as often as it says. */
static void a_model_tells_what_steps_do(const char *name, const char *extra) {
    enum { TRIES = 3000 };
    const vly_env_args args = {.max_steps = 1000000, .extra = extra};
    fleet f;
    fleet_open(&f, name, 1, &args);
    CHECK(f.env.states > 0 && f.env.model != NULL);
    for (int action = 0; action < f.env.action.n; action++) {
        vly_outcome outcome[8];
        double seen[8] = {0}, sum = 0;
        fleet_reset(&f, 9);
        const int start = f.env.state_index(&f.env, f.states);
        const int n = f.env.model(&f.env, start, action, outcome, 8);
        CHECK(n >= 1 && n <= 8);
        for (int k = 0; k < n; k++) sum += outcome[k].probability;
        CHECK_NEAR(sum, 1.0, 1e-12);
        for (int t = 0; t < TRIES; t++) {
            fleet_reset(&f, (uint64_t)t);
            f.action[0] = action;
            f.env.step(&f.env, f.states, 1, vly_actions_of_ints(f.action), fleet_rows(&f));
            const int now = f.env.state_index(&f.env, f.states);
            for (int k = 0; k < n; k++)
                if (outcome[k].next == now && (float)outcome[k].reward == f.reward[1]) {
                    CHECK_EQ(outcome[k].terminated, (f.flags[1] & VLY_ROW_TERMINATED) != 0);
                    seen[k] += 1.0 / TRIES;
                }
        }
        for (int k = 0; k < n; k++) { /* outcomes may coincide: compare the sums of equal ones */
            double want = 0;
            for (int j = 0; j < n; j++)
                if (outcome[j].next == outcome[k].next && outcome[j].reward == outcome[k].reward)
                    want += outcome[j].probability;
            CHECK(fabs(seen[k] - want) < 0.04);
        }
    }
    fleet_close(&f);
}

static void an_unknown_name_gets_the_nearest(void) {
    vly_env env;
    CHECK_EQ(vly_env_open(&env, "cartpol", NULL), VLY_ENOTFOUND);
    CHECK(strstr(vly_error_text(), "cartpole") != NULL);
    CHECK_EQ(vly_env_open(&env, "CartPole-v7", NULL), VLY_ENOTFOUND);
    CHECK(strstr(vly_error_text(), "CartPole-v1") != NULL);
    CHECK_EQ(vly_env_open(&env, "", NULL), VLY_EINVAL);
    CHECK_EQ(vly_env_open(&env, NULL, NULL), VLY_EINVAL);
    char name[5000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    CHECK_EQ(vly_env_open(&env, name, NULL), VLY_ENOTFOUND);
    memcpy(name, "./", 2);
    CHECK_EQ(vly_env_open(&env, name, NULL), VLY_EINVAL);
}

static void options_are_checked(void) {
    vly_env env;
    vly_env_args args = {.extra = "colour=3"};
    CHECK_EQ(vly_env_open(&env, "cartpole", &args), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "colour") != NULL);
    args.extra = "colour";
    CHECK_EQ(vly_env_open(&env, "cartpole", &args), VLY_EINVAL);
    args.extra = ",,";
    CHECK_OK(vly_env_open(&env, "cartpole", &args));
    env.close(&env);
    args.max_steps = -1;
    CHECK_EQ(vly_env_open(&env, "cartpole", &args), VLY_EINVAL);
    static const char *const bad[][3] = {{"gridworld", "size=0x5", "not a decimal number"},
                                         {"gridworld", "size= 5", "not a decimal number"},
                                         {"gridworld", "slip=1e-400", "not a decimal number"},
                                         {"gridworld", "size=5.5", "not a whole number"},
                                         {"storage", "hours=2.7", "not a whole number"},
                                         {"storage", "hidden=0.5", "not a whole number"},
                                         {"gridworld", "slip=inf", "not a decimal number"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        args = (vly_env_args){.extra = bad[i][1]};
        CHECK_EQ(vly_env_open(&env, bad[i][0], &args), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), bad[i][2]) || (fputs(vly_error_text(), stderr), 0));
    }
}

int main(void) {
    int count = 0;
    for (const vly_env_entry *e; (e = vly_env_list(count)); count++) {
        if (vly_env_needs(e)) continue; /* tests/envs/test_mujoco.c */
        a_batch_of_257_is_257_single_steps(e->name);
        a_copied_state_continues_the_same(e->name);
        an_end_is_followed_by_a_reset_row(e->name);
        a_drawing_stays_inside_its_frame(e->name);
        names_belong_to_actions_and_numbers(e->name);
    }
    CHECK(count > 0 && vly_env_list(-1) == NULL);
    a_model_tells_what_steps_do("cliffwalking", NULL);
    a_model_tells_what_steps_do("cliffwalking", "slippery=1");
    a_model_tells_what_steps_do("windy", NULL);
    a_model_tells_what_steps_do("windy", "moves=9,wind=gusts");
    a_model_tells_what_steps_do("deepsea", "size=5,mapping=3");
    a_model_tells_what_steps_do("gridworld", "map=.G./PS./...");
    a_model_tells_what_steps_do("gridworld", "map=.G./PS#/...,slip=0.4");
    an_unknown_name_gets_the_nearest();
    options_are_checked();
    return TEST_PASS;
}
