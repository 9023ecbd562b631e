/* The losses' gradients by finite differences of the losses they report. */
#include "tests/ops/grad_check.h"

enum { N = 40, A = 5 };

typedef struct {
    vly_policy_loss_args args;
    vly_real *logits, *value, stats[VLY_STATS];
} policy_problem;

static double policy_loss(void *arg) {
    policy_problem *p = arg;
    static vly_real dlogits[N * A], dvalue[N];
    vly_policy_loss_args a = p->args;
    a.dlogits = dlogits, a.dvalue = dvalue; /* the gradients under test stay */
    memset(p->stats, 0, sizeof p->stats);
    CHECK_OK(cpu->policy_loss(queue, &a));
    return policy_objective(p->stats, a.hyper, a.sum);
}

static void policy_gradients(const char *name, bool plain, bool sum, bool normalize,
                             float value_clip) {
    policy_problem p = {.logits = noise_array(1, N * A), .value = noise_array(2, N)};
    const vly_hyper h = {
        .clip = 0.2f, .value_clip = value_clip, .value_coef = 0.7f, .entropy_coef = 0.03f};
    static int32_t row[N], action[N];
    static vly_real mask[N], moments[3];
    for (int i = 0; i < N; i++) row[i] = (i * 7) % N, action[i] = i * i % A, mask[i] = i % 6 != 0;
    vly_real *advantage = noise_array(3, N), *target = noise_array(4, N), *old = noise_array(5, N),
             *logp = noise_array(6, N);
    for (int i = 0; i < N; i++) logp[i] = logp[i] / 3 - (vly_real)1.6;
    CHECK_OK(cpu->moments(queue, N, advantage, row, mask, moments));
    vly_real dlogits[N * A], dvalue[N];
    p.args = (vly_policy_loss_args){.n = N,
                                    .actions = A,
                                    .plain = plain,
                                    .sum = sum,
                                    .normalize = normalize,
                                    .row = row,
                                    .logits = p.logits,
                                    .value = p.value,
                                    .action = action,
                                    .logp_old = logp,
                                    .value_old = old,
                                    .advantage = advantage,
                                    .target = target,
                                    .mask = mask,
                                    .moments = moments,
                                    .hyper = &h,
                                    .dlogits = dlogits,
                                    .dvalue = dvalue,
                                    .stats = p.stats};
    CHECK_OK(cpu->policy_loss(queue, &p.args));
    grad_check(name, policy_loss, &p, p.logits, dlogits, N * A);
    grad_check(name, policy_loss, &p, p.value, dvalue, N);
}

typedef struct {
    vly_dqn_loss_args args;
    vly_real *q, stats[VLY_STATS];
} dqn_problem;

static double dqn_loss(void *arg) {
    dqn_problem *p = arg;
    static vly_real dq[N * A];
    vly_dqn_loss_args a = p->args;
    a.dq = dq;
    memset(p->stats, 0, sizeof p->stats);
    CHECK_OK(cpu->dqn_loss(queue, &a));
    return p->stats[VLY_STAT_VALUE_LOSS] / N;
}

static void dqn_gradients(const char *name, bool twice, float delta) {
    dqn_problem p = {.q = noise_array(1, N * A)};
    const vly_hyper h = {.huber_delta = delta};
    static int32_t action[N];
    static vly_real discount[N];
    for (int i = 0; i < N; i++)
        action[i] = i * i % (A + 1) == A ? -1 : i * i % (A + 1),
        discount[i] = i % 4 ? (vly_real)0.9 : 0;
    vly_real dq[N * A], td[N];
    p.args = (vly_dqn_loss_args){.n = N,
                                 .actions = A,
                                 .q = p.q,
                                 .q_next = noise_array(2, N * A),
                                 .q_next_online = twice ? noise_array(3, N * A) : NULL,
                                 .action = action,
                                 .n_return = noise_array(4, N),
                                 .discount = discount,
                                 .weight = noise_array(5, N),
                                 .hyper = &h,
                                 .dq = dq,
                                 .td_abs = td,
                                 .stats = p.stats};
    CHECK_OK(cpu->dqn_loss(queue, &p.args));
    grad_check(name, dqn_loss, &p, p.q, dq, N * A);
}

int main(void) {
    cpu_open(1);
    policy_gradients("ppo", false, false, true, 0);
    policy_gradients("ppo with value clip", false, false, true, 0.2f);
    policy_gradients("a2c", true, false, false, 0);
    policy_gradients("impala", true, true, false, 0);
    dqn_gradients("dqn", false, 1);
    dqn_gradients("double dqn", true, 0.3f);
    dqn_gradients("squared", true, 0);
    cpu_close();
    return TEST_PASS;
}
