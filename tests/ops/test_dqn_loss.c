#include "tests/kit/golden.h"

static vly_hyper hyper;

static vly_dqn_loss_args golden_args(const char *name, vly_real *stats) {
    const double *s = golden_find(name, "setup")->v;
    const size_t n = (size_t)s[0], A = (size_t)s[1];
    hyper = (vly_hyper){.huber_delta = (float)s[4]};
    memset(stats, 0, VLY_STATS * sizeof *stats);
    return (vly_dqn_loss_args){.n = (int)n,
                               .actions = (int)A,
                               .q = golden_reals(name, "q"),
                               .q_next = golden_reals(name, "q_next"),
                               .q_next_online = s[2] != 0 ? golden_reals(name, "q_online") : NULL,
                               .action = golden_ints(name, "action"),
                               .n_return = golden_reals(name, "n_return"),
                               .discount = golden_reals(name, "discount"),
                               .weight = s[3] != 0 ? golden_reals(name, "weight") : NULL,
                               .hyper = &hyper,
                               .dq = poisoned(n * A * sizeof(vly_real)),
                               .td_abs = poisoned(n * sizeof(vly_real)),
                               .stats = stats};
}

static void it_agrees_with_autograd(const char *name) {
    vly_real stats[VLY_STATS];
    vly_dqn_loss_args a = golden_args(name, stats);
    CHECK_OK(cpu->dqn_loss(queue, &a));
    golden_check(name, "dq", a.dq, 1e-5);
    golden_check(name, "td", a.td_abs, 1e-5);
    const vly_real got[] = {stats[VLY_STAT_COUNT], stats[VLY_STAT_VALUE_LOSS],
                            stats[VLY_STAT_TD_ABS], stats[VLY_STAT_Q], stats[VLY_STAT_WEIGHT]};
    golden_check(name, "stats", got, 1e-5);
    guard_check(a.dq, (size_t)(a.n * a.actions) * sizeof(vly_real));
}

static void no_transition_has_no_gradient(void) {
    vly_real stats[VLY_STATS];
    vly_dqn_loss_args a = golden_args("dqn", stats);
    ((int32_t *)a.action)[3] = -1;
    CHECK_OK(cpu->dqn_loss(queue, &a));
    for (int j = 0; j < a.actions; j++) CHECK_EQ(a.dq[3 * a.actions + j], 0);
    CHECK_EQ(a.td_abs[3], 0);
    CHECK_EQ(stats[VLY_STAT_COUNT], a.n - 1);
}

static void a_terminal_row_never_looks_at_the_next(void) {
    vly_real stats[VLY_STATS];
    vly_dqn_loss_args a = golden_args("double", stats);
    for (int i = 0; i < a.n; i++)
        if (a.discount[i] == 0)
            for (int j = 0; j < a.actions; j++) ((vly_real *)a.q_next)[i * a.actions + j] = NAN;
    CHECK_OK(cpu->dqn_loss(queue, &a));
    golden_check("double", "dq", a.dq, 1e-5);
}

static void bad_arguments_are_named(void) {
    vly_real stats[VLY_STATS];
    vly_dqn_loss_args a = golden_args("dqn", stats);
    a.q_next = NULL;
    CHECK_EQ(cpu->dqn_loss(queue, &a), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "dqn_loss"));
}

int main(void) {
    cpu_open(2);
    it_agrees_with_autograd("dqn");
    it_agrees_with_autograd("double");
    it_agrees_with_autograd("squared");
    no_transition_has_no_gradient();
    a_terminal_row_never_looks_at_the_next();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
