#include "tests/kit/golden.h"
#include "common/base/rules.h"

static vly_hyper hyper;

static vly_gae_args args_of(int T, int N, const vly_real *reward, const vly_real *value,
                            const uint8_t *flags) {
    const size_t bytes = (size_t)(T * N) * sizeof(vly_real);
    return (vly_gae_args){.T = T,
                          .N = N,
                          .reward = reward,
                          .value = value,
                          .flags = flags,
                          .hyper = &hyper,
                          .advantage = poisoned(bytes),
                          .target = poisoned(bytes),
                          .mask = poisoned(bytes)};
}

static void one_step_is_the_td_error(void) {
    const vly_real reward[] = {1}, value[] = {0.5, 2};
    const uint8_t flags[] = {0};
    hyper = (vly_hyper){.gamma = 0.9f, .lambda = 0.8f, .reward_scale = 1};
    vly_gae_args a = args_of(1, 1, reward, value, flags);
    CHECK_OK(cpu->gae(queue, &a));
    CHECK_NEAR(a.advantage[0], 1.0 + 0.9 * 2.0 - 0.5, 1e-6);
    CHECK_NEAR(a.target[0], 1.0 + 0.9 * 2.0, 1e-6);
    CHECK_EQ(a.mask[0], 1);
}

static void truncation_bootstraps_and_termination_does_not(void) {
    const vly_real reward[] = {1, 1}, value[] = {0, 0, 10, 10};
    const uint8_t flags[] = {VLY_ROW_TERMINATED, VLY_ROW_TRUNCATED};
    hyper = (vly_hyper){.gamma = 0.5f, .lambda = 1, .reward_scale = 1};
    vly_gae_args a = args_of(1, 2, reward, value, flags);
    CHECK_OK(cpu->gae(queue, &a));
    CHECK_NEAR(a.advantage[0], 1.0, 1e-6);
    CHECK_NEAR(a.advantage[1], 6.0, 1e-6);
}

static void an_ignored_action_is_masked_and_carries_nothing_back(void) {
    const vly_real reward[] = {1, 100, 1}, value[] = {0, 0, 0, 4};
    const uint8_t flags[] = {VLY_ROW_TRUNCATED, VLY_ROW_RESET, 0};
    hyper = (vly_hyper){.gamma = 1, .lambda = 1, .reward_scale = 1};
    vly_gae_args a = args_of(3, 1, reward, value, flags);
    CHECK_OK(cpu->gae(queue, &a));
    CHECK_NEAR(a.advantage[0], 1.0, 1e-6);
    CHECK_EQ(a.advantage[1], 0);
    CHECK_EQ(a.mask[1], 0);
    CHECK_NEAR(a.advantage[2], 5.0, 1e-6);
}

/* Two players in turn, a reward for the last mover and its negative for the other. The player of this
 * column moves on rows 0 and 2, waits on 1 and 3, and the game ends with the move on row 3. */
static void a_wait_belongs_to_the_move_before_it(void) {
    const vly_real reward[] = {1, 2, 4, 8}, value[] = {10, 1000, 20, 1000, 1000};
    const uint8_t flags[] = {VLY_ROW_IDLE, 0, VLY_ROW_IDLE, VLY_ROW_TERMINATED},
                  own[] = {0, VLY_ROW_IDLE, 0, VLY_ROW_IDLE, VLY_ROW_TERMINATED};
    hyper = (vly_hyper){.gamma = 0.5f, .lambda = 0.25f, .reward_scale = 1};
    vly_gae_args a = args_of(4, 1, reward, value, flags);
    a.own = own;
    CHECK_OK(cpu->gae(queue, &a));
    const double second = 4 + 0.5 * 8 - 20, first = 1 + 0.5 * (2 + 0.5 * 20) - 10;
    CHECK_NEAR(a.advantage[2], second, 1e-5);
    CHECK_NEAR(a.advantage[0], first + 0.5 * 0.25 * (0.5 * second), 1e-5);
    CHECK_NEAR(a.target[0], a.advantage[0] + 10, 1e-5);
    CHECK(a.mask[0] == 1 && a.mask[1] == 0 && a.mask[2] == 1 && a.mask[3] == 0);
}

/* The value of a row on which the player waits is never learned, so it is no bootstrap. */
static void a_move_without_a_known_end_is_not_learned_from(void) {
    const vly_real reward[] = {1, 1, 1}, value[] = {5, 6, 1000, 1000};
    const uint8_t waits[] = {0, VLY_ROW_IDLE, VLY_ROW_IDLE},
                  cut[] = {0, VLY_ROW_IDLE | VLY_ROW_TRUNCATED, VLY_ROW_IDLE | VLY_ROW_RESET},
                  own[] = {0, 0, VLY_ROW_IDLE, VLY_ROW_IDLE};
    hyper = (vly_hyper){.gamma = 0.5f, .lambda = 1, .reward_scale = 1};
    for (int i = 0; i < 2; i++) {
        vly_gae_args a = args_of(3, 1, reward, value, i ? cut : waits);
        a.own = own;
        CHECK_OK(cpu->gae(queue, &a));
        CHECK(a.mask[0] == 1 && a.mask[1] == 0 && a.mask[2] == 0);
        CHECK_NEAR(a.advantage[0], 1 + 0.5 * 6 - 5, 1e-6);
        CHECK_EQ(a.advantage[1], 0);
    }
}

/* With everyone's turn on every row it is the usual scan. */
static void without_waiting_turns_change_nothing(void) {
    enum { STEPS = 23, COLUMNS = 5 };
    const uint8_t *flags = golden_bytes("gae", "flags");
    uint8_t own[(STEPS + 1) * COLUMNS] = {0};
    memcpy(own + COLUMNS, flags, STEPS * COLUMNS);
    hyper = (vly_hyper){.gamma = (float)golden_at("gae", "hyper", 0),
                        .lambda = (float)golden_at("gae", "hyper", 1),
                        .reward_scale = (float)golden_at("gae", "hyper", 2)};
    vly_gae_args a = args_of(STEPS, COLUMNS, golden_reals("gae", "reward"),
                             golden_reals("gae", "value"), flags);
    a.own = own;
    CHECK_OK(cpu->gae(queue, &a));
    golden_check("gae", "advantage", a.advantage, 1e-5);
    golden_check("gae", "target", a.target, 1e-5);
}

static void it_agrees_with_the_sum_over_steps(void) {
    hyper = (vly_hyper){.gamma = (float)golden_at("gae", "hyper", 0),
                        .lambda = (float)golden_at("gae", "hyper", 1),
                        .reward_scale = (float)golden_at("gae", "hyper", 2)};
    vly_gae_args a = args_of(23, 5, golden_reals("gae", "reward"), golden_reals("gae", "value"),
                             golden_bytes("gae", "flags"));
    CHECK_OK(cpu->gae(queue, &a));
    golden_check("gae", "advantage", a.advantage, 1e-5);
    golden_check("gae", "target", a.target, 1e-5);
    guard_check(a.advantage, 23 * 5 * sizeof(vly_real));
}

static void it_agrees_with_rlax(void) {
    enum { STEPS = 31, COLUMNS = 6 };
    hyper = (vly_hyper){.gamma = (float)golden_at("rlax_gae", "hyper", 0),
                        .lambda = (float)golden_at("rlax_gae", "hyper", 1),
                        .reward_scale = 1};
    vly_gae_args a = args_of(STEPS, COLUMNS, golden_reals("rlax_gae", "reward"),
                             golden_reals("rlax_gae", "value"), golden_bytes("rlax_gae", "flags"));
    CHECK_OK(cpu->gae(queue, &a));
    golden_check("rlax_gae", "advantage", a.advantage, 1e-5);
    golden_check("rlax_gae", "target", a.target, 1e-5);
}

/* N is no multiple of what goes side by side; the rule itself goes column by column. */
static void columns_side_by_side_are_the_rules_bits(void) {
    enum { STEPS = 9, COLUMNS = 131, ALL = STEPS * COLUMNS };
    static vly_real reward[ALL], value[ALL + COLUMNS], out[2][3][ALL];
    static uint8_t flags[ALL];
    const uint8_t some[] = {0,
                            0,
                            0,
                            0,
                            VLY_ROW_TERMINATED,
                            VLY_ROW_ENDED,
                            VLY_ROW_RESET,
                            VLY_ROW_FAILED | VLY_ROW_RESET};
    for (int i = 0; i < ALL + COLUMNS; i++) {
        const vly_u32x4 r = vly_philox(5, VLY_STREAM_TEST, 0, (uint32_t)i);
        value[i] = 4 * vly_unit(r.v[0]) - 2;
        if (i < ALL) reward[i] = vly_unit(r.v[1]) - (vly_real)0.5, flags[i] = some[r.v[2] % 8];
    }
    vly_hyper ours = {.gamma = 0.97f, .lambda = 0.9f, .reward_scale = 0.5f};
    memset(out, 0xff, sizeof out);
    vly_gae_args a = {.T = STEPS,
                      .N = COLUMNS,
                      .reward = reward,
                      .value = value,
                      .flags = flags,
                      .hyper = &ours,
                      .advantage = out[0][0],
                      .target = out[0][1],
                      .mask = out[0][2]},
                 b = a;
    CHECK_OK(cpu->gae(queue, &a));
    b.advantage = out[1][0], b.target = out[1][1], b.mask = out[1][2];
    for (int n = 0; n < COLUMNS; n++) vly_rule_gae(&b, n);
    CHECK(!memcmp(out[0], out[1], sizeof out[0]));
}

static void bad_arguments_are_named(void) {
    const vly_real reward[] = {1}, value[] = {0.5, 2};
    const uint8_t flags[] = {0};
    vly_gae_args a = args_of(1, 1, reward, value, flags), b = a;
    b.T = 0;
    CHECK_EQ(cpu->gae(queue, &b), VLY_EINVAL);
    b = a, b.advantage = NULL;
    CHECK_EQ(cpu->gae(queue, &b), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "gae"));
    CHECK_EQ(cpu->gae(queue, NULL), VLY_EINVAL);
}

int main(void) {
    cpu_open(1);
    one_step_is_the_td_error();
    truncation_bootstraps_and_termination_does_not();
    an_ignored_action_is_masked_and_carries_nothing_back();
    a_wait_belongs_to_the_move_before_it();
    a_move_without_a_known_end_is_not_learned_from();
    without_waiting_turns_change_nothing();
    it_agrees_with_the_sum_over_steps();
    it_agrees_with_rlax();
    columns_side_by_side_are_the_rules_bits();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
