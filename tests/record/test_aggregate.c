/* Aggregates and their intervals against NumPy, SciPy and rliable (tests/golden/aggregate.py). */
#include "common/record/aggregate.h"
#include <math.h>
#include "envs/atari/games.h"
#include "envs/atari/human.h"
#include "tests/kit/golden.h"

enum { RESAMPLES = 2000, SEED = 99 };

static const struct {
    vly_aggregate_kind kind;
    const char *name;
} kinds[] = {{VLY_AGGREGATE_IQM, "iqm"},
             {VLY_AGGREGATE_MEAN, "mean"},
             {VLY_AGGREGATE_MEDIAN, "median"},
             {VLY_AGGREGATE_OPTIMALITY_GAP, "gap"}};

static int load(const char *name, vly_scores *tasks) {
    const golden_array *sizes = golden_find(name, "sizes"), *scores = golden_find(name, "scores");
    int64_t at = 0;
    for (int t = 0; t < sizes->n; at += (int64_t)sizes->v[t++])
        tasks[t] = (vly_scores){scores->v + at, (int)sizes->v[t]};
    return (int)sizes->n;
}

static void close_to(double a, double b, double tolerance) {
    if (fabs(a - b) <= tolerance) return;
    fprintf(stderr, "%.17g, the reference says %.17g\n", a, b);
    exit(TEST_FAIL);
}

static void numbers_and_intervals_are_numpys_given_the_same_draws(const char *name) {
    vly_scores tasks[8];
    const int n = load(name, tasks);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const double *want = golden_find(name, kinds[k].name)->v;
        double value, ci[2];
        CHECK_OK(vly_aggregate(tasks, n, kinds[k].kind, &value));
        CHECK_OK(vly_aggregate_interval(tasks, n, kinds[k].kind, RESAMPLES, SEED, ci));
        close_to(value, want[0], 1e-12), close_to(ci[0], want[1], 1e-12),
            close_to(ci[1], want[2], 1e-12);
    }
}

/* Its draws are others: twenty thousand of them leave an end of the interval uncertain by a few
 * hundredths of its width. */
static void intervals_agree_with_rliable(void) {
    vly_scores tasks[8];
    const int n = load("even", tasks);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char name[40];
        double ci[2];
        snprintf(name, sizeof name, "%s_rliable", kinds[k].name);
        const double *want = golden_find("even", name)->v, width = want[1] - want[0];
        CHECK_OK(vly_aggregate_interval(tasks, n, kinds[k].kind, 20000, 5, ci));
        CHECK(width > 0);
        close_to(ci[0], want[0], 0.04 * width), close_to(ci[1], want[1], 0.04 * width);
    }
}

static void resampling_stays_within_a_task(void) {
    const double low[] = {1, 1, 1}, high[] = {9, 9, 9, 9};
    const vly_scores tasks[] = {{low, 3}, {high, 4}};
    double value, ci[2];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        CHECK_OK(vly_aggregate(tasks, 2, kinds[k].kind, &value));
        CHECK_OK(vly_aggregate_interval(tasks, 2, kinds[k].kind, 500, 1, ci));
        CHECK(ci[0] == value && ci[1] == value);
    }
}

static void the_quarters_are_left_out(void) {
    const double eight[] = {-1000, 3, 5, 1000, 4, 6, 2000, -2000}, three[] = {1, 2, 30};
    double value;
    CHECK_OK(vly_aggregate(&(vly_scores){eight, 8}, 1, VLY_AGGREGATE_IQM, &value));
    CHECK(value == 4.5);
    CHECK_OK(vly_aggregate(&(vly_scores){three, 3}, 1, VLY_AGGREGATE_IQM, &value));
    CHECK(value == 11); /* less than a whole score to cut */
}

static void bad_scores_are_refused(void) {
    const double nan[] = {1, NAN};
    double value, ci[2];
    CHECK_EQ(vly_aggregate(NULL, 0, VLY_AGGREGATE_IQM, &value), VLY_EINVAL);
    CHECK_EQ(vly_aggregate(&(vly_scores){nan, 2}, 1, VLY_AGGREGATE_IQM, &value), VLY_EINVAL);
    CHECK_EQ(vly_aggregate_interval(&(vly_scores){nan, 0}, 1, VLY_AGGREGATE_IQM, 100, 1, ci),
             VLY_EINVAL);
    CHECK_EQ(vly_aggregate_interval(&(vly_scores){nan, 1}, 1, VLY_AGGREGATE_IQM, 0, 1, ci),
             VLY_EINVAL);
}

static void human_scores_are_of_games_that_exist(void) {
    double random, human;
    int known = 0;
    for (int i = 0; i < VLY_ATARI_GAMES; i++) {
        if (!vly_atari_human(vly_atari_games[i].name, &random, &human)) continue;
        CHECK(human > random);
        known++;
    }
    CHECK_EQ(known, 57);
    CHECK(vly_atari_human("pong", &random, &human) && random == -20.7 && human == 14.6);
    CHECK(!vly_atari_human("cartpole", &random, &human));
}

int main(void) {
    golden_load("tests/golden/aggregate.txt");
    numbers_and_intervals_are_numpys_given_the_same_draws("one");
    numbers_and_intervals_are_numpys_given_the_same_draws("even");
    numbers_and_intervals_are_numpys_given_the_same_draws("odd");
    intervals_agree_with_rliable();
    resampling_stays_within_a_task();
    the_quarters_are_left_out();
    bad_scores_are_refused();
    human_scores_are_of_games_that_exist();
    return TEST_PASS;
}
