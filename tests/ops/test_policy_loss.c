#include "tests/kit/golden.h"

static vly_hyper hyper;

static vly_policy_loss_args golden_args(const char *name, vly_real *stats) {
    const double *s = golden_find(name, "setup")->v;
    const size_t n = (size_t)s[0], A = (size_t)s[1];
    hyper = (vly_hyper){.clip = (float)s[6],
                        .value_clip = (float)s[7],
                        .value_coef = (float)s[8],
                        .entropy_coef = (float)s[9]};
    memset(stats, 0, VLY_STATS * sizeof *stats);
    return (vly_policy_loss_args){.n = (int)n,
                                  .actions = (int)A,
                                  .plain = s[2] != 0,
                                  .sum = s[3] != 0,
                                  .normalize = s[4] != 0,
                                  .row = golden_ints(name, "row"),
                                  .logits = golden_reals(name, "logits"),
                                  .value = golden_reals(name, "value"),
                                  .action = golden_ints(name, "action"),
                                  .logp_old = s[5] != 0 ? golden_reals(name, "logp_old") : NULL,
                                  .value_old = golden_reals(name, "value_old"),
                                  .advantage = golden_reals(name, "advantage"),
                                  .target = golden_reals(name, "target"),
                                  .mask = golden_reals(name, "mask"),
                                  .moments = golden_reals(name, "moments"),
                                  .hyper = &hyper,
                                  .dlogits = poisoned(n * A * sizeof(vly_real)),
                                  .dvalue = poisoned(n * sizeof(vly_real)),
                                  .stats = stats};
}

static void check_stats(const char *name, const vly_real *stats) {
    static const int slot[] = {VLY_STAT_COUNT,   VLY_STAT_POLICY_LOSS, VLY_STAT_VALUE_LOSS,
                               VLY_STAT_ENTROPY, VLY_STAT_KL,          VLY_STAT_CLIPPED};
    vly_real got[6];
    for (int i = 0; i < 6; i++) got[i] = stats[slot[i]];
    golden_check(name, "stats", got, 1e-5);
    CHECK_EQ(stats[VLY_STAT_NONFINITE], 0);
}

static void it_agrees_with_autograd(const char *name) {
    vly_real stats[VLY_STATS], moments[3];
    vly_policy_loss_args a = golden_args(name, stats);
    CHECK_OK(cpu->policy_loss(queue, &a));
    golden_check(name, "dlogits", a.dlogits, 1e-5);
    golden_check(name, "dvalue", a.dvalue, 1e-5);
    check_stats(name, stats);
    guard_check(a.dlogits, (size_t)(a.n * a.actions) * sizeof(vly_real));
    guard_check(a.dvalue, (size_t)a.n * sizeof(vly_real));
    CHECK_OK(cpu->moments(queue, a.n, a.advantage, a.row, a.mask, moments));
    golden_check(name, "moments", moments, 1e-5);
    a.moments = NULL; /* the minibatch's own */
    memset(a.dlogits, 0xff, (size_t)(a.n * a.actions) * sizeof(vly_real));
    CHECK_OK(cpu->policy_loss(queue, &a));
    golden_check(name, "dlogits", a.dlogits, 1e-5);
}

static void a_policy_alone_needs_no_value(void) {
    vly_real stats[VLY_STATS];
    vly_policy_loss_args a = golden_args("a2c", stats);
    a.value = NULL, a.dvalue = NULL;
    CHECK_OK(cpu->policy_loss(queue, &a));
    golden_check("a2c", "dlogits", a.dlogits, 1e-5);
    CHECK_EQ(stats[VLY_STAT_VALUE_LOSS], 0);
}

static void not_finite_is_counted_not_hidden(void) {
    vly_real stats[VLY_STATS];
    vly_policy_loss_args a = golden_args("ppo_clip", stats);
    int i = 0;
    while (a.mask[a.row[i]] == 0) i++;
    ((vly_real *)a.logits)[i * a.actions + 1] = NAN;
    CHECK_OK(cpu->policy_loss(queue, &a));
    CHECK_EQ(stats[VLY_STAT_NONFINITE], 1);
}

static void equal_logits_have_full_entropy(void) {
    const vly_real z[4] = {3, 3, 3, 3}, v = 1, zero = 0, one = 1;
    const int32_t action = 2;
    vly_real dz[4], dv, stats[VLY_STATS] = {0};
    hyper = (vly_hyper){.value_coef = 0.5f};
    vly_policy_loss_args a = {.n = 1,
                              .actions = 4,
                              .plain = true,
                              .logits = z,
                              .value = &v,
                              .action = &action,
                              .advantage = &one,
                              .target = &zero,
                              .hyper = &hyper,
                              .dlogits = dz,
                              .dvalue = &dv,
                              .stats = stats};
    CHECK_OK(cpu->policy_loss(queue, &a));
    CHECK_NEAR(stats[VLY_STAT_ENTROPY], log(4), 1e-6);
    CHECK_NEAR(dz[2], -0.75, 1e-6);
    CHECK_NEAR(dz[0], 0.25, 1e-6);
    CHECK_NEAR(dv, 0.5, 1e-6);
    CHECK_NEAR(stats[VLY_STAT_VALUE_LOSS], 0.5, 1e-6);
}

static void bad_arguments_are_named(void) {
    vly_real stats[VLY_STATS];
    vly_policy_loss_args a = golden_args("ppo", stats), b = a;
    b.logp_old = NULL;
    CHECK_EQ(cpu->policy_loss(queue, &b), VLY_EINVAL);
    b = a, b.n = 0;
    CHECK_EQ(cpu->policy_loss(queue, &b), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "policy_loss"));
    CHECK_EQ(cpu->moments(queue, 4, NULL, NULL, NULL, stats), VLY_EINVAL);
}

int main(void) {
    cpu_open(2);
    equal_logits_have_full_entropy();
    static const char *const names[] = {"ppo", "ppo_clip", "a2c", "impala", "ppo2"};
    for (int i = 0; i < 5; i++) it_agrees_with_autograd(names[i]);
    a_policy_alone_needs_no_value();
    not_finite_is_counted_not_hidden();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
