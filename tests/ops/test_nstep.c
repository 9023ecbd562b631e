#include "tests/kit/golden.h"

static vly_hyper hyper;

static vly_nstep_args golden_args(void) {
    const double *s = golden_find("nstep", "setup")->v;
    const size_t n = (size_t)s[2];
    hyper = (vly_hyper){.gamma = (float)s[4], .reward_scale = (float)s[5]};
    return (vly_nstep_args){.rows = {(int64_t)s[0], (int64_t)s[1], golden_reals("nstep", "reward"),
                                     golden_ints("nstep", "rows_action"),
                                     golden_bytes("nstep", "flags")},
                            .n = (int)n,
                            .steps = (int)s[3],
                            .row = golden_ints("nstep", "row"),
                            .hyper = &hyper,
                            .action = poisoned(4 * n),
                            .n_return = poisoned(n * sizeof(vly_real)),
                            .discount = poisoned(n * sizeof(vly_real)),
                            .bootstrap_row = poisoned(4 * n)};
}

static void it_agrees_with_the_sum_over_steps(void) {
    vly_nstep_args a = golden_args();
    CHECK_OK(cpu->nstep(queue, &a));
    golden_check("nstep", "n_return", a.n_return, 1e-5);
    golden_check("nstep", "discount", a.discount, 1e-5);
    for (int i = 0; i < a.n; i++) {
        CHECK_EQ(a.action[i], golden_at("nstep", "action", i));
        if (a.discount[i] != 0) CHECK_EQ(a.bootstrap_row[i], golden_at("nstep", "bootstrap", i));
        CHECK(a.bootstrap_row[i] >= 0 && a.bootstrap_row[i] < a.rows.T * a.rows.N);
    }
}

static void rows_outside_the_ring_are_no_transitions(void) {
    vly_nstep_args a = golden_args();
    ((int32_t *)a.row)[0] = -5;
    ((int32_t *)a.row)[1] = INT32_MAX;
    CHECK_OK(cpu->nstep(queue, &a));
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(a.action[i], -1);
        CHECK_EQ(a.discount[i], 0);
    }
}

static void bad_arguments_are_named(void) {
    vly_nstep_args a = golden_args();
    a.steps = 0;
    CHECK_EQ(cpu->nstep(queue, &a), VLY_EINVAL);
    a.steps = (int)a.rows.T; /* the bootstrap row would be the row itself */
    CHECK_EQ(cpu->nstep(queue, &a), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "nstep"));
}

int main(void) {
    cpu_open(1);
    it_agrees_with_the_sum_over_steps();
    rows_outside_the_ring_are_no_transitions();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
