/* Prioritized replay: exact sums after millions of updates, exact probabilities, weights. */
#include "tests/kit/golden.h"

static void tree_open(vly_tree *t, int64_t capacity) {
    CHECK_OK(vly_tree_plan(t, capacity));
    for (int l = 0; l < t->levels; l++) t->sum[l] = calloc((size_t)t->width[l], 8);
    t->total = calloc(2, 8);
}

static void tree_close(vly_tree *t) {
    for (int l = 0; l < t->levels; l++) free(t->sum[l]);
    free(t->total);
}

static void sums_equal_a_recount(const vly_tree *t) {
    uint64_t all = 0;
    for (int64_t i = t->capacity; i < t->width[0]; i++) CHECK_EQ(t->sum[0][i], 0);
    for (int l = 1; l < t->levels; l++)
        for (int64_t i = 0; i < t->width[l]; i++) {
            uint64_t sum = 0;
            for (int64_t j = i * VLY_TREE_RADIX;
                 j < (i + 1) * VLY_TREE_RADIX && j < t->width[l - 1]; j++)
                sum += t->sum[l - 1][j];
            CHECK_EQ(t->sum[l][i], sum);
        }
    for (int64_t i = 0; i < t->width[0]; i++) all += t->sum[0][i];
    CHECK_EQ(t->total[0], all);
}

static uint32_t draw(uint32_t i, uint32_t n) {
    return vly_below(vly_philox(3, VLY_STREAM_TEST, 77, i).v[0], n);
}

static const uint8_t flags[40] = {
    [2] = VLY_ROW_RESET, [7] = VLY_ROW_TERMINATED, [20] = VLY_ROW_FAILED, [21] = VLY_ROW_TRUNCATED};

/* `updates` of all kinds in mixed order, with duplicates and rows out of range. */
static void shake(vly_tree *t, int updates, const vly_hyper *h) {
    enum { B = 32 };
    int32_t row[B];
    vly_real p[B];
    for (int k = 0, u = 0; u < updates; k++) {
        const uint32_t what = draw((uint32_t)k, 10);
        if (what < 3) {
            const int64_t first = draw((uint32_t)k + 1000000, (uint32_t)t->capacity);
            CHECK_OK(cpu->tree_insert(queue, t, first, 1 + (int)draw((uint32_t)k, 20),
                                      what ? flags + draw((uint32_t)k, 13) : NULL));
            u += 10;
            continue;
        }
        for (int i = 0; i < B; i++) {
            const uint32_t at = (uint32_t)(k * B + i);
            row[i] = (int32_t)draw(at, (uint32_t)t->capacity + 3) - 1;
            p[i] = draw(at, 50) == 0         ? 0
                   : draw(at + 7, 1000) == 0 ? (vly_real)1e30
                                             : fabsf((float)noise(8, at)) * 3;
        }
        row[5] = row[3];
        CHECK_OK(cpu->tree_set(queue, t, B, row, p, h, what < 6));
        u += B;
    }
}

static void sums_are_exact_after_a_million_updates(int64_t capacity) {
    vly_tree t;
    const vly_hyper h = {.alpha = 0.6f, .priority_eps = 1e-6f};
    tree_open(&t, capacity);
    shake(&t, 1000000, &h);
    sums_equal_a_recount(&t);
    CHECK(t.total[0] > 0);
    tree_close(&t);
}

/* Chi-square against the exact probabilities after a million mixed updates. */
static void samples_follow_the_priorities(void) {
    enum { capacity = 1000, n = 64, rounds = 8000 };
    vly_tree t;
    const vly_hyper h = {.alpha = 0.6f, .priority_eps = 1e-6f, .beta = 0.4f};
    vly_rng rng = {.seed = 11};
    static long hits[capacity];
    int32_t row[n];
    vly_real weight[n];
    tree_open(&t, capacity);
    shake(&t, 1000000, &h);
    for (int i = 0; i < capacity; i++) /* no giants: they would leave the others no mass to test */
        if (t.sum[0][i] > 4 * (uint64_t)VLY_PRIORITY_ONE)
            CHECK_OK(cpu->tree_set(queue, &t, 1, &(int32_t){i}, &(vly_real){1.5}, &h, true));
    for (int k = 0; k < rounds; k++) {
        CHECK_OK(cpu->tree_sample(queue, &t, n, &rng, &h, row, weight));
        CHECK_OK(cpu->rng_advance(queue, &rng));
        for (int i = 0; i < n; i++) {
            CHECK(row[i] >= 0 && row[i] < capacity && t.sum[0][row[i]] > 0);
            hits[row[i]]++;
        }
    }
    double chi = 0, pooled_want = 0, pooled_got = 0;
    int cells = 0;
    for (int i = 0; i < capacity; i++) {
        const double want = (double)t.sum[0][i] / (double)t.total[0] * n * rounds;
        pooled_want += want, pooled_got += (double)hits[i]; /* cells of at least 5 */
        if (pooled_want < 5) continue;
        chi += (pooled_got - pooled_want) * (pooled_got - pooled_want) / pooled_want;
        cells++, pooled_want = pooled_got = 0;
    }
    const double k = cells - 1, high = k * pow(1 - 2 / (9 * k) + 3.72 * sqrt(2 / (9 * k)), 3);
    fprintf(stderr, "chi-square %.1f over %d cells, at most %.1f\n", chi, cells, high);
    CHECK(cells > 500 && chi <= high); /* stratified: spread less than independent draws, never more
                                        */
    tree_close(&t);
}

/* One leaf has probability 1/2: every half of the strata must find it. */
static void strata_are_exact(void) {
    vly_tree t;
    vly_rng rng = {.seed = 1};
    const vly_hyper h = {.beta = 1};
    int32_t row[10], at[] = {3, 300};
    vly_real p[] = {2, 2}, w[10];
    tree_open(&t, 400);
    CHECK_OK(cpu->tree_insert(queue, &t, 3, 1, flags));
    CHECK_OK(cpu->tree_insert(queue, &t, 300, 1, flags));
    CHECK_OK(cpu->tree_set(queue, &t, 2, at, p, NULL, true));
    CHECK_OK(cpu->tree_sample(queue, &t, 10, &rng, &h, row, w));
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(row[i], at[i / 5]);
        CHECK_NEAR(w[i], 1, 1e-6);
    }
    tree_close(&t);
}

static void weights_undo_the_priorities(void) {
    static const uint8_t none[40];
    enum { n = 50 };
    vly_tree t;
    vly_rng rng = {.seed = 2};
    const vly_hyper h = {.beta = 0.7f};
    int32_t row[n];
    vly_real w[n];
    double want[n], largest = 0;
    tree_open(&t, 64);
    CHECK_OK(cpu->tree_insert(queue, &t, 0, 40, none));
    for (int32_t i = 0; i < 40; i++)
        CHECK_OK(cpu->tree_set(queue, &t, 1, &i, &(vly_real){(vly_real)0.1 * (vly_real)(i + 1)},
                               NULL, true));
    CHECK_OK(cpu->tree_sample(queue, &t, n, &rng, &h, row, w));
    for (int i = 0; i < n; i++) {
        want[i] = pow((double)t.sum[0][row[i]] / (double)t.total[0], -0.7);
        largest = fmax(largest, want[i]);
    }
    for (int i = 0; i < n; i++) CHECK_NEAR(w[i], want[i] / largest, 1e-5);
    tree_close(&t);
}

static void an_empty_tree_gives_no_rows(void) {
    vly_tree t;
    vly_rng rng = {.seed = 2};
    const vly_hyper h = {.beta = 0.5f};
    int32_t row[100];
    vly_real w[100];
    tree_open(&t, 100);
    CHECK_OK(cpu->tree_insert(queue, &t, 0, 2, flags));
    CHECK_OK(cpu->tree_insert(queue, &t, 0, 2, NULL));
    CHECK_OK(cpu->tree_sample(queue, &t, 100, &rng, &h, row, w));
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(row[i], -1);
        CHECK_EQ(w[i], 0);
    }
    tree_close(&t);
}

static void a_withdrawn_row_stays_withdrawn(void) {
    vly_tree t;
    const int32_t row = 1;
    tree_open(&t, 10);
    CHECK_OK(cpu->tree_insert(queue, &t, 0, 3, flags)); /* the third is a RESET */
    CHECK_EQ(t.sum[0][2], 0);
    CHECK_OK(cpu->tree_insert(queue, &t, 1, 1, NULL));
    CHECK_OK(cpu->tree_set(queue, &t, 1, &row, &(vly_real){3}, NULL, true));
    CHECK_EQ(t.sum[0][1], 0);
    CHECK_EQ(t.total[0], (uint64_t)VLY_PRIORITY_ONE);
    tree_close(&t);
}

static void new_rows_get_the_largest_priority(void) {
    vly_tree t;
    const int32_t one = 1;
    tree_open(&t, 33);
    CHECK_OK(cpu->tree_insert(queue, &t, 0, 2, flags));
    CHECK_EQ(t.sum[0][0], (uint64_t)VLY_PRIORITY_ONE); /* at least 1 */
    CHECK_OK(cpu->tree_set(queue, &t, 1, &one, &(vly_real){7}, NULL, true));
    CHECK_OK(cpu->tree_insert(queue, &t, 30, 10, flags + 30)); /* beyond the end: ignored */
    CHECK_EQ(t.sum[0][32], 7 * (uint64_t)VLY_PRIORITY_ONE);
    CHECK_EQ(t.total[0], (1 + 7 + 3 * 7) * (uint64_t)VLY_PRIORITY_ONE);
    sums_equal_a_recount(&t);
    tree_close(&t);
}

static void bad_arguments_are_named(void) {
    vly_tree t;
    int32_t row[4];
    CHECK_EQ(vly_tree_plan(&t, 0), VLY_EINVAL);
    tree_open(&t, 10);
    CHECK_EQ(cpu->tree_sample(queue, &t, 4, NULL, NULL, row, NULL), VLY_EINVAL);
    CHECK_EQ(cpu->tree_set(queue, &t, 4, row, NULL, NULL, true), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "tree_set"));
    tree_close(&t);
}

int main(void) {
    cpu_open(2);
    sums_are_exact_after_a_million_updates(1);
    sums_are_exact_after_a_million_updates(16);
    sums_are_exact_after_a_million_updates(17);
    sums_are_exact_after_a_million_updates(5000);
    sums_are_exact_after_a_million_updates(70001);
    samples_follow_the_priorities();
    strata_are_exact();
    weights_undo_the_priorities();
    an_empty_tree_gives_no_rows();
    a_withdrawn_row_stays_withdrawn();
    new_rows_get_the_largest_priority();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
