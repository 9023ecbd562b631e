/* The replay ratio is enforced: whole updates, the rest carried over, also after a restore; and counts
 * that do not go on from what was saved begin the ratio anew. */
#include "common/learn/pace.h"
#include "tests/kit/check.h"

enum { ACTORS = 4, STARTS = 100 };

static const vly_replay memory = {.T = 1000, .N = ACTORS, .size = 1000};

static vly_pace begun(float ratio, int batch) {
    vly_pace k = {.start_steps = -1, .begun = 1};
    CHECK_EQ(vly_pace_due(&k, &memory, ratio, batch, STARTS, STARTS - ACTORS), 0);
    CHECK_EQ(k.start_steps, -1);
    CHECK_EQ(vly_pace_due(&k, &memory, ratio, batch, STARTS, STARTS), 0);
    CHECK_EQ(k.start_steps, STARTS);
    return k;
}

/* Steps up to `steps`, all updates made; how many. */
static int64_t advance(vly_pace *k, float ratio, int batch, int64_t steps) {
    const int64_t due = vly_pace_due(k, &memory, ratio, batch, STARTS, steps);
    k->updates += due;
    return due;
}

static void ratio_is_enforced(void) {
    static const struct {
        float ratio;
        int batch;
    } cases[] = {{8, 32}, {0.25f, 32}, {256, 256}, {0.75f, 10}, {1, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float ratio = cases[i].ratio;
        const int batch = cases[i].batch, phase = vly_pace_phase(ratio, batch, ACTORS) * ACTORS;
        vly_pace k = begun(ratio, batch);
        int64_t made = 0;
        for (int64_t acted = phase; acted <= 400 * phase; acted += phase) {
            made += advance(&k, ratio, batch, STARTS + acted);
            CHECK_EQ(made, (int64_t)floor((double)ratio * (double)acted / batch));
        }
        CHECK(made > 0);
    }
}

/* Stopped within an update: what is owed is made up for. */
static void debts_are_paid(void) {
    vly_pace k = begun(8, 32);
    int64_t steps = STARTS;
    for (int stops = 0; stops < 5; stops++) vly_pace_due(&k, &memory, 8, 32, STARTS, steps += 4);
    CHECK_EQ(advance(&k, 8, 32, steps + 4), 6);
    CHECK_EQ(advance(&k, 8, 32, steps + 8), 1);
}

static void begins_anew(vly_pace k, int64_t steps) {
    const int64_t updates = k.updates;
    CHECK(vly_pace_is_sane(&k));
    CHECK_EQ(advance(&k, 8, 32, steps), 0);
    CHECK_EQ(k.updates, updates);
    CHECK_EQ(advance(&k, 8, 32, steps + 4), 1);
    CHECK_EQ(advance(&k, 8, 32, steps + 8), 1);
}

static void other_counts_begin_anew(void) {
    vly_pace k = begun(8, 32);
    for (int64_t steps = STARTS + 4; steps <= 4000; steps += 4) advance(&k, 8, 32, steps);
    begins_anew(k, 2004); /* two ranks share the steps of one */
    begins_anew(k, 8004); /* one rank has those of two */
    vly_pace other = k;
    other.updates *= 4; /* the ratio was four times as high */
    begins_anew(other, 4004);
    other = k;
    other.updates = other.start_updates = 0; /* no file of ours: many steps, no updates */
    begins_anew(other, 4004);
    other.start_steps = 0, other.acted = VLY_COUNT_MOST - 1;
    begins_anew(other, VLY_COUNT_MOST - 1 + 4);
}

/* Each episode costs it a row: it never holds as many as it has room for. */
static void a_memory_of_one_batch_is_learned_from(void) {
    enum { BATCH = 256 };
    vly_replay small = {.T = BATCH + 2, .N = 1, .o = {.n_step = 1, .obs = {.stack = 1}}};
    vly_pace k = {.start_steps = -1, .begun = 1};
    CHECK_EQ(vly_replay_most(&small), BATCH);
    for (int64_t size = 0; size < BATCH / 2; size++) {
        small.size = size;
        CHECK(!vly_pace_may_start(&small, STARTS, BATCH, STARTS));
    }
    small.size = BATCH - 2;
    CHECK_EQ(vly_pace_due(&k, &small, 1, BATCH, STARTS, STARTS), 0);
    CHECK_EQ(k.start_steps, STARTS);
    CHECK_EQ(vly_pace_due(&k, &small, 1, BATCH, STARTS, STARTS + BATCH), 1);
    small.size = 0;
    small.T = 2; /* no room at all */
    CHECK(!vly_pace_may_start(&small, 0, 1, STARTS));
}

static void counts_have_a_range(void) {
    static const int64_t bad[] = {-2, INT64_MIN, VLY_COUNT_MOST, INT64_MAX};
    CHECK(vly_pace_is_sane(&(vly_pace){.start_steps = -1}));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(!vly_pace_is_sane(&(vly_pace){.start_steps = bad[i]}));
        CHECK(!vly_pace_is_sane(&(vly_pace){.updates = bad[i]}));
        CHECK(!vly_pace_is_sane(&(vly_pace){.acted = bad[i]}));
        CHECK(!vly_pace_is_sane(&(vly_pace){.start_updates = bad[i]}));
    }
}

int main(void) {
    ratio_is_enforced();
    debts_are_paid();
    other_counts_begin_anew();
    a_memory_of_one_batch_is_learned_from();
    counts_have_a_range();
    return TEST_PASS;
}
