/* Environments driven by streams that no action influences, and those whose optimum is known. */
#include <sys/stat.h>
#include "common/base/philox.h"
#include "common/learn/tabular.h"
#include "envs/cartpole.h"
#include "envs/registry.h"
#include "envs/storage.h"
#include "envs/windy.h"
#include "tests/kit/check.h"

/* One actor of one player. */
typedef struct {
    vly_env env;
    _Alignas(64) uint8_t state[256];
    float obs[256], reward, score;
    uint8_t flags;
} solo;

static vly_rows solo_row(solo *s) {
    return vly_rows_plain((uint8_t *)s->obs, sizeof s->obs, &s->reward, &s->score, &s->flags);
}

static void solo_open(solo *s, const char *name, const char *extra, uint64_t seed) {
    const vly_env_args args = {.extra = extra};
    memset(s, 0, sizeof *s);
    CHECK_OK(vly_env_open(&s->env, name, &args));
    CHECK(s->env.state_bytes <= sizeof s->state && s->env.obs.bytes <= sizeof s->obs);
    s->env.reset(&s->env, s->state, seed, solo_row(s));
}

static void solo_step(solo *s, int32_t action) {
    s->env.step(&s->env, s->state, 1, vly_actions_of_ints(&action), solo_row(s));
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* ---- streams ---- */

/* Two actors of one seed do different things and see the same prices; another seed gives others. */
static void no_action_changes_the_stream(void) {
    solo a, b, c;
    double one[4], two[4], three[4];
    int same = 0;
    solo_open(&a, "storage", NULL, 5), solo_open(&b, "storage", NULL, 5);
    solo_open(&c, "storage", NULL, 6);
    for (int i = 0; i < 400; i++) {
        solo_step(&a, 0), solo_step(&b, i % 5), solo_step(&c, 0);
        a.env.info(&a.env, a.state, one), b.env.info(&b.env, b.state, two);
        c.env.info(&c.env, c.state, three);
        CHECK(one[0] == two[0]);
        same += one[0] == three[0];
    }
    CHECK(same > 20 && same < 300);
    a.env.close(&a.env), b.env.close(&b.env), c.env.close(&c.env);
}

static void a_file_gives_its_rows_in_order(void) {
    solo s;
    double info[4], before;
    write_file("stream-prices.txt", "# day ahead\n10\n 20.5\n\n30\n");
    solo_open(&s, "storage", "prices=stream-prices.txt", 1);
    s.env.info(&s.env, s.state, info);
    for (int i = 0; i < 50; i++) {
        before = info[0];
        solo_step(&s, 2);
        s.env.info(&s.env, s.state, info);
        CHECK(info[0] == (before == 10 ? 20.5 : before == 20.5 ? 30.0 : 10.0));
    }
    CHECK_OK(s.env.valid(&s.env, s.state));
    uint8_t state[sizeof s.state];
    memcpy(state, s.state, sizeof state);
    s.env.close(&s.env);
    write_file("stream-prices.txt", "10\n20.5\n31\n");
    solo_open(&s, "storage", "prices=stream-prices.txt", 1);
    CHECK_EQ(s.env.valid(&s.env, state), VLY_ECORRUPT);
    CHECK(strstr(vly_error_text(), "another file") != NULL);
    s.env.close(&s.env);
    remove("stream-prices.txt");
}

static void bad_files_are_refused_by_line(void) {
    static const struct {
        const char *text, *says;
    } bad[] = {{"10\nx\n", "stream-bad.txt:2"},
               {"10\n20 30\n", ":2"},
               {"-1\n", "outside"},
               {"# none\n", "no numbers"},
               {"0x10\n", ":1: not one number"},
               {"nan\n", ":1: not one number"}};
    vly_env env;
    const vly_env_args args = {.extra = "prices=stream-bad.txt"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file("stream-bad.txt", bad[i].text);
        CHECK_EQ(vly_env_open(&env, "storage", &args), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), bad[i].says) || (fputs(vly_error_text(), stderr), 0));
    }
    remove("stream-bad.txt");
    CHECK_EQ(vly_env_open(&env, "storage", &args), VLY_ENOTFOUND);
    const vly_env_args wind = {.extra = "wind=/dev/null"};
    CHECK_EQ(vly_env_open(&env, "windy", &wind), VLY_EINVAL);
}

/* A line that is cut would be two rows, or would be refused for its second half. */
static void no_line_is_cut(void) {
    static const char *const begins[] = {"10\n#", "10\n "}, *const ends[] = {"\n20\n", "25\n"};
    char text[2048];
    vly_env env;
    const vly_env_args args = {.extra = "prices=stream-long.txt"};
    for (int i = 0; i < 2; i++) { /* 1022 characters fit */
        const int n = 1022 - (i ? 2 : 0);
        snprintf(text, sizeof text, "%s%*s%s", begins[i], n - 1, "", ends[i]);
        write_file("stream-long.txt", text);
        CHECK_OK(vly_env_open(&env, "storage", &args));
        env.close(&env);
        snprintf(text, sizeof text, "%s%*s%s", begins[i], n, "", ends[i]);
        write_file("stream-long.txt", text);
        CHECK_EQ(vly_env_open(&env, "storage", &args), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), "stream-long.txt:2: the line is longer than 1022"));
    }
    remove("stream-long.txt");
}

static void a_file_of_too_many_rows_is_refused(void) {
    enum { MOST = 1 << 24, AT_ONCE = 1 << 16 };
    static char rows[2 * AT_ONCE];
    vly_env env;
    const vly_env_args args = {.extra = "prices=stream-many.txt"};
    for (int i = 0; i < AT_ONCE; i++) memcpy(rows + 2 * i, "1\n", 2);
    FILE *file = fopen("stream-many.txt", "w");
    CHECK(file != NULL);
    for (int i = 0; i < MOST / AT_ONCE; i++) CHECK_EQ(fwrite(rows, sizeof rows, 1, file), 1);
    CHECK(fputs("1\n", file) >= 0 && fclose(file) == 0);
    CHECK_EQ(vly_env_open(&env, "storage", &args), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "stream-many.txt: more than 16777216 numbers"));
    remove("stream-many.txt");
}

/* Neither is waited for or read without end. */
static void what_is_no_file_is_refused(void) {
    static const char *const odd[] = {"prices=stream-pipe", "prices=/dev/zero", "prices=."};
    vly_env env;
    CHECK_EQ(mkfifo("stream-pipe", 0600), 0);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        const vly_env_args args = {.extra = odd[i]};
        CHECK_EQ(vly_env_open(&env, "storage", &args), VLY_EINVAL);
        CHECK(strstr(vly_error_text(), "is not a file"));
    }
    remove("stream-pipe");
}

static void a_file_is_found_among_options(void) {
    static const struct {
        const char *name, *extra, *file;
    } cases[] = {{"windy", "moves=8,wind=a.txt,shown=1", "a.txt,shown=1"},
                 {"storage", ",hours=2,,prices=./b", "./b"},
                 {"multi:cartpole,storage", "prices=c", "c"},
                 {"windy", "wind=gusts,wind=steady", NULL},
                 {"windy", "wind=gustsy", "gustsy"},
                 {"windy", "wind=,prices=a,wind", NULL},
                 {"multi:cartpole,windy", "prices=c", NULL},
                 {"./storage", "prices=c", NULL},
                 {"nothing", "prices=c", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t bytes = 0;
        const char *file = vly_env_file(cases[i].name, cases[i].extra, &bytes);
        CHECK_EQ(file != NULL, cases[i].file != NULL);
        if (!file) continue;
        CHECK_STR(file, cases[i].file);
        CHECK_EQ(bytes, strcspn(cases[i].file, ","));
    }
}

/* An actor's environment is named by its learner, the files of its machine are not. */
static void a_stranger_names_no_file(void) {
    vly_env env;
    write_file("stream-own.txt", "10\n20\n");
    const vly_env_args own = {.extra = "prices=stream-own.txt"},
                       foreign = {.extra = own.extra, .no_files = true},
                       wind = {.extra = "wind=stream-own.txt", .no_files = true};
    CHECK_OK(vly_env_open(&env, "storage", &own));
    env.close(&env);
    CHECK_EQ(vly_env_open(&env, "storage", &foreign), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "--files"));
    CHECK_EQ(vly_env_open(&env, "windy", &wind), VLY_EINVAL);
    remove("stream-own.txt");
}

/* ---- optima ---- */

static double best_from(const char *name, const char *extra, int state, double gamma) {
    vly_env env;
    const vly_env_args args = {.extra = extra};
    CHECK_OK(vly_env_open(&env, name, &args));
    double *q = malloc((size_t)env.states * (size_t)env.action.n * sizeof *q);
    CHECK_OK(vly_tabular_solve(&env, gamma, q));
    double best = -INFINITY;
    for (int a = 0; a < env.action.n; a++) best = fmax(best, q[state * env.action.n + a]);
    free(q);
    env.close(&env);
    return best;
}

/* Sutton & Barto, example 6.5 and exercise 6.9. */
static void the_windy_optimum_is_fifteen_moves(void) {
    CHECK(best_from("windy", NULL, 30, 1) == -15);
    CHECK(best_from("windy", "moves=8", 30, 1) == -7);
    CHECK(best_from("windy", "moves=9", 30, 1) == -7);
    /* Who sees the gust before the move does better than who does not, on average over the first. */
    const double blind = best_from("windy", "moves=8,wind=gusts", 30, 1);
    double seen = 0;
    for (int g = 0; g < 3; g++)
        seen += best_from("windy", "moves=8,wind=gusts,shown=1", 30 * 3 + g, 1) / 3;
    CHECK(blind < -7 && seen > blind);
    solo s;
    static const char path[] = "111111111222233"; /* right nine times, down four, left twice */
    solo_open(&s, "windy", NULL, 0);
    for (int i = 0; i < 15; i++) {
        CHECK(!(s.flags & VLY_ROW_ENDED));
        solo_step(&s, path[i] - '0');
    }
    CHECK_EQ(s.flags, VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER);
    s.env.close(&s.env);
}

static void gusts_come_from_a_file(void) {
    solo s;
    double info;
    write_file("stream-wind.txt", "1\n-1\n0\n");
    solo_open(&s, "windy", "wind=stream-wind.txt,shown=1", 3);
    for (int i = 0; i < 60; i++) {
        const int cell = ((vly_windy *)(void *)s.state)->cell, row = cell / 10;
        s.env.info(&s.env, s.state, &info);
        const double after = info > 0 ? -1 : info < 0 ? 0 : 1;
        if (s.flags & VLY_ROW_ENDED) break;
        solo_step(&s, i < 3 ? 1 : 0); /* to column 3, then up: the wind decides the row */
        const int to = ((vly_windy *)(void *)s.state)->cell;
        if (cell % 10 == 3 && i >= 3)
            CHECK_EQ(to / 10, row - 1 - (1 + (int)info) < 0 ? 0 : row - 1 - (1 + (int)info));
        s.env.info(&s.env, s.state, &info);
        CHECK(info == after);
    }
    s.env.close(&s.env);
    remove("stream-wind.txt");
}

static void the_deep_sea_holds_one_treasure(void) {
    CHECK_NEAR(best_from("deepsea", NULL, 0, 1), 0.99, 1e-6);
    CHECK_NEAR(best_from("deepsea", "size=30,mapping=7", 0, 1), 0.99, 1e-6);
    solo s;
    int ends = 0;
    double sum = 0;
    solo_open(&s, "deepsea", NULL, 0);
    for (int i = 0; i < 5000; i++) {
        solo_step(&s, (int32_t)(vly_philox(1, VLY_STREAM_TEST, (uint64_t)i, 0).v[0] & 1));
        sum += (double)s.score, ends += (s.flags & VLY_ROW_ENDED) != 0;
    }
    CHECK(ends > 400 && sum < 0.02 * ends);
    s.env.close(&s.env);
}

/* ---- the battery ---- */

/* All ways through four hours of known prices: 5^4 of them. */
static double try_all(const solo *s, int hours) {
    if (hours == 0) return 0;
    double best = -INFINITY;
    for (int a = 0; a < 5; a++) {
        solo next = *s;
        solo_step(&next, a);
        best = fmax(best, (double)next.reward + try_all(&next, hours - 1));
    }
    return best;
}

static void the_optimum_of_known_prices_is_the_best_of_all_ways(void) {
    solo s;
    write_file("stream-known.txt", "40\n10\n90\n35\n20\n70\n");
    for (uint64_t seed = 0; seed < 6; seed++) {
        solo_open(&s, "storage", "hours=5,prices=stream-known.txt", seed);
        CHECK_NEAR(vly_storage_optimum(&s.env, (vly_storage *)(void *)s.state), try_all(&s, 5),
                   1e-5);
        s.env.close(&s.env);
    }
    remove("stream-known.txt");
}

/* The best action by the table of the next hour's values; drawn prices. */
static int best_action(const solo *s) {
    double best = -INFINITY;
    int choice = 0;
    for (int a = 0; a < 5; a++) {
        vly_storage after = *(const vly_storage *)(const void *)s->state;
        solo next = *s;
        solo_step(&next, a);
        /* the same hour with other units: what remains, were this hour's trade to be made again */
        after = *(const vly_storage *)(const void *)next.state;
        const double value = (double)next.reward + vly_storage_optimum(&s->env, &after);
        if (value > best) best = value, choice = a;
    }
    return choice;
}

/* Who acts on the values earns on average what they say, and holding still earns nothing. */
static void the_optimum_of_drawn_prices_is_earned(void) {
    solo s;
    double promised = 0, earned = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        solo_open(&s, "storage", "hours=48", seed);
        promised += vly_storage_optimum(&s.env, (vly_storage *)(void *)s.state) / 40;
        while (!(s.flags & VLY_ROW_ENDED)) {
            solo_step(&s, best_action(&s));
            earned += (double)s.score / 40;
        }
        s.env.close(&s.env);
    }
    /* best_action sees the next hour's price, which is worth a little */
    CHECK(earned > 0.97 * promised && earned < 1.25 * promised);
}

/* ---- what is hidden ---- */

static void the_hidden_cartpole_is_cartpole_without_speeds(void) {
    solo full, half;
    solo_open(&full, "cartpole", NULL, 11), solo_open(&half, "cartpole_hidden", NULL, 11);
    for (int i = 0; i < 3000; i++) {
        CHECK(half.obs[0] == full.obs[0] && half.obs[1] == full.obs[2] && half.obs[2] == 0);
        CHECK(half.reward == full.reward && half.flags == full.flags);
        const int action = full.obs[2] + full.obs[3] > 0;
        solo_step(&full, action), solo_step(&half, action);
    }
    full.env.close(&full.env), half.env.close(&half.env);
    solo_open(&half, "storage", "hidden=1", 1);
    for (int i = 0; i < 100; i++, solo_step(&half, 2)) CHECK(half.obs[4] == 0);
    half.env.close(&half.env);
}

int main(void) {
    no_action_changes_the_stream();
    a_file_gives_its_rows_in_order();
    bad_files_are_refused_by_line();
    no_line_is_cut();
    a_file_of_too_many_rows_is_refused();
    what_is_no_file_is_refused();
    a_file_is_found_among_options();
    a_stranger_names_no_file();
    the_windy_optimum_is_fifteen_moves();
    gusts_come_from_a_file();
    the_deep_sea_holds_one_treasure();
    the_optimum_of_known_prices_is_the_best_of_all_ways();
    the_optimum_of_drawn_prices_is_earned();
    the_hidden_cartpole_is_cartpole_without_speeds();
    return TEST_PASS;
}
