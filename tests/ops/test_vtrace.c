#include "tests/kit/golden.h"
#include "common/base/rules.h"

static vly_vtrace_args golden_args(const char *set, int T, int N, vly_hyper *hyper,
                                   vly_real *stats) {
    const size_t bytes = (size_t)(T * N) * sizeof(vly_real);
    *hyper = (vly_hyper){.gamma = (float)golden_at(set, "hyper", 0),
                         .lambda = (float)golden_at(set, "hyper", 1),
                         .rho_bar = (float)golden_at(set, "hyper", 2),
                         .c_bar = (float)golden_at(set, "hyper", 3),
                         .reward_scale = 1};
    return (vly_vtrace_args){T,
                             N,
                             golden_reals(set, "reward"),
                             golden_reals(set, "value"),
                             golden_bytes(set, "flags"),
                             golden_reals(set, "mu"),
                             golden_reals(set, "pi"),
                             hyper,
                             poisoned(bytes),
                             poisoned(bytes),
                             poisoned(bytes),
                             stats};
}

static void it_agrees_with_the_papers_sum(void) {
    vly_hyper hyper;
    vly_real stats[VLY_STATS] = {0};
    stats[VLY_STAT_RHO] = 3;
    vly_vtrace_args a = golden_args("vtrace", 19, 4, &hyper, stats);
    CHECK_OK(cpu->vtrace(queue, &a));
    golden_check("vtrace", "target", a.target, 1e-5);
    golden_check("vtrace", "advantage", a.advantage, 1e-5);
    CHECK_NEAR(stats[VLY_STAT_RHO] - 3, golden_at("vtrace", "rho", 0), 1e-5);
    CHECK_EQ(stats[VLY_STAT_COUNT], 0);
}

static void it_agrees_with_rlax(void) {
    vly_hyper hyper;
    vly_vtrace_args a = golden_args("rlax_vtrace", 31, 6, &hyper, NULL);
    CHECK_OK(cpu->vtrace(queue, &a));
    golden_check("rlax_vtrace", "target", a.target, 1e-5);
    golden_check("rlax_vtrace", "advantage", a.advantage, 1e-5);
    a = golden_args("rlax_vtrace_lambda", 31, 6, &hyper, NULL);
    CHECK_OK(cpu->vtrace(queue, &a));
    golden_check("rlax_vtrace_lambda", "target", a.target, 1e-5);
}

/* Espeholt et al. 2018: on policy, with no cut, vs is the n-step return. */
static void on_policy_it_is_the_return(void) {
    vly_hyper hyper = {.gamma = 0.5f, .lambda = 1, .rho_bar = 1, .c_bar = 1, .reward_scale = 1};
    const vly_real reward[] = {1, 2, 4}, value[] = {7, -3, 5, 8}, logp[] = {-1, -2, -3};
    const uint8_t flags[3] = {0};
    vly_real advantage[3], target[3], mask[3];
    vly_vtrace_args a = {3,    1,      reward,    value,  flags, logp,
                         logp, &hyper, advantage, target, mask,  NULL};
    CHECK_OK(cpu->vtrace(queue, &a));
    CHECK_NEAR(target[0], 1 + 0.5 * 2 + 0.25 * 4 + 0.125 * 8, 1e-6);
    CHECK_NEAR(advantage[0], target[0] - 7, 1e-6);
}

/* N is no multiple of what goes side by side; the rule itself goes column by column. */
static void columns_side_by_side_are_the_rules_bits(void) {
    enum { STEPS = 13, COLUMNS = 203, ALL = STEPS * COLUMNS };
    static vly_real reward[ALL], value[ALL + COLUMNS], mu[ALL], pi[ALL], out[2][3][ALL];
    static uint8_t flags[ALL];
    vly_real stats[VLY_STATS] = {0};
    double ratios = 0;
    const uint8_t some[] = {0,
                            0,
                            0,
                            0,
                            VLY_ROW_TERMINATED,
                            VLY_ROW_ENDED,
                            VLY_ROW_RESET,
                            VLY_ROW_FAILED | VLY_ROW_RESET};
    for (int i = 0; i < ALL + COLUMNS; i++) {
        const vly_u32x4 r = vly_philox(3, VLY_STREAM_TEST, 0, (uint32_t)i);
        value[i] = 4 * vly_unit(r.v[0]) - 2;
        if (i >= ALL) continue;
        reward[i] = vly_unit(r.v[1]) - (vly_real)0.5, mu[i] = -3 * vly_unit(r.v[2]),
        pi[i] = -3 * vly_unit(r.v[3]), flags[i] = some[r.v[1] % 8];
    }
    vly_hyper hyper = {
        .gamma = 0.97f, .lambda = 0.9f, .rho_bar = 1.2f, .c_bar = 0.8f, .reward_scale = 0.5f};
    memset(out, 0xff, sizeof out);
    vly_vtrace_args a = {STEPS, COLUMNS, reward,    value,     flags,     mu,
                         pi,    &hyper,  out[0][0], out[0][1], out[0][2], stats},
                    b = a;
    CHECK_OK(cpu->vtrace(queue, &a));
    b.advantage = out[1][0], b.target = out[1][1], b.mask = out[1][2];
    for (int n = 0; n < COLUMNS; n++) ratios += vly_rule_vtrace(&b, n);
    CHECK(!memcmp(out[0], out[1], sizeof out[0]));
    CHECK_EQ(stats[VLY_STAT_RHO], (vly_real)ratios);
}

static void bad_arguments_are_named(void) {
    vly_hyper hyper;
    vly_vtrace_args a = golden_args("vtrace", 19, 4, &hyper, NULL);
    CHECK_OK(cpu->vtrace(queue, &a));
    a.logp_target = NULL;
    CHECK_EQ(cpu->vtrace(queue, &a), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "vtrace"));
}

int main(void) {
    cpu_open(1);
    on_policy_it_is_the_return();
    it_agrees_with_the_papers_sum();
    it_agrees_with_rlax();
    columns_side_by_side_are_the_rules_bits();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
