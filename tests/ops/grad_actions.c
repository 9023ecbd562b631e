/* Gradients of the losses of common/base/actions.h by finite differences. */
#include "common/base/rules_action.h"
#include "tests/ops/grad_check.h"

enum { N = 24, PARTS = 3, WIDTH = 9 };
static const int32_t three[PARTS] = {2, 4, 3};

typedef struct {
    vly_dist_loss_args args;
    vly_real *z, *value, stats[VLY_STATS];
} dist_problem;

static double dist_loss(void *arg) {
    dist_problem *p = arg;
    static vly_real dz[N * WIDTH], dvalue[N];
    vly_dist_loss_args a = p->args;
    a.p.dlogits = dz, a.p.dvalue = dvalue; /* the gradients under test stay */
    memset(p->stats, 0, sizeof p->stats);
    CHECK_OK(cpu->dist_loss(queue, &a));
    return policy_objective(p->stats, a.p.hyper, a.p.sum);
}

static void dist_gradients(const char *name, vly_dist_kind kind, vly_spread spread, bool plain,
                           bool sum) {
    const vly_hyper h = {.clip = 0.2f, .value_coef = 0.7f, .entropy_coef = 0.03f};
    const int width = kind == VLY_DIST_CHOICES ? WIDTH : 2 * PARTS;
    dist_problem p = {.z = noise_array(1, N * width), .value = noise_array(2, N)};
    static int32_t row[N], choice[N * PARTS];
    static vly_real mask[N], logp[N], dz[N * WIDTH], dvalue[N];
    for (int i = 0; i < N; i++) row[i] = (i * 7) % N, mask[i] = i % 5 != 0;
    for (int i = 0; i < N * PARTS; i++) choice[i] = i * i % three[i % PARTS];
    for (int i = 0; spread == VLY_SPREAD_TANH && i < N * width;
         i++) /* deviations about 1: differences of steep losses are inexact */
        p.z[i] += i % width < PARTS ? 0 : (vly_real)0.5;
    if (kind != VLY_DIST_CHOICES) p.z[4] = (vly_real)VLY_LOG_STD_HIGH + 1; /* beyond: no gradient */
    p.args = (vly_dist_loss_args){
        .p = {.n = N,
              .actions = width,
              .plain = plain,
              .sum = sum,
              .row = row,
              .logits = p.z,
              .value = p.value,
              .logp_old = logp,
              .advantage = noise_array(3, N),
              .target = noise_array(4, N),
              .mask = mask,
              .hyper = &h,
              .dlogits = dz,
              .dvalue = dvalue,
              .stats = p.stats},
        .dist = {.kind = kind,
                 .parts = PARTS,
                 .width = width,
                 .spread = spread,
                 .choices = kind == VLY_DIST_CHOICES ? three : NULL},
        .raw = kind == VLY_DIST_CHOICES ? (void *)choice : (void *)noise_array(5, N * PARTS)};
    for (int i = 0; i < N; i++) {
        const size_t bytes = kind == VLY_DIST_CHOICES ? sizeof(int32_t) : sizeof(vly_real);
        logp[row[i]] =
            vly_rule_dist_logp(&p.args.dist, p.z + i * width,
                               (const char *)p.args.raw + (size_t)(row[i] * PARTS) * bytes)
                .logp +
            noise(6, (uint32_t)i) / 2;
    }
    CHECK_OK(cpu->dist_loss(queue, &p.args));
    grad_check(name, dist_loss, &p, p.z, dz, N * width);
    grad_check(name, dist_loss, &p, p.value, dvalue, N);
}

/* Reparameterised: the noise is fixed, the critics are quadratic in the action. */
typedef struct {
    vly_soft_policy_args args;
    vly_real *z, *noise, *goal1, *goal2, raw[N * PARTS], logp[N], q1[N], q2[N], da[N * PARTS];
    vly_real log_alpha, dlog_alpha, stats[VLY_STATS];
} soft_problem;

static void act_and_judge(soft_problem *p) {
    const vly_dist d = {
        .kind = VLY_DIST_SQUASHED, .parts = PARTS, .width = 2 * PARTS, .spread = p->args.spread};
    for (int i = 0; i < N; i++) {
        p->q1[i] = p->q2[i] = 0;
        for (int k = 0; k < PARTS; k++) {
            const int at = i * PARTS + k;
            const vly_real *z = p->z + i * 2 * PARTS;
            p->raw[at] = z[k] + vly_exp(vly_log_std(d.spread, z[PARTS + k])) * p->noise[at];
            const vly_real a = vly_tanh(p->raw[at]);
            p->q1[i] -= (a - p->goal1[at]) * (a - p->goal1[at]);
            p->q2[i] -= (a - p->goal2[at]) * (a - p->goal2[at]);
        }
        for (int k = 0; k < PARTS; k++) {
            const int at = i * PARTS + k;
            const vly_real *goal = p->q1[i] <= p->q2[i] ? p->goal1 : p->goal2;
            p->da[at] = 2 * (vly_tanh(p->raw[at]) - goal[at]) / N;
        }
    }
    CHECK_OK(cpu->dist_logp(queue, &d, N, p->z, p->raw, p->logp));
}

static double soft_loss(void *arg) {
    soft_problem *p = arg;
    double sum = 0;
    act_and_judge(p);
    for (int i = 0; i < N; i++) sum += exp(p->log_alpha) * p->logp[i] - fmin(p->q1[i], p->q2[i]);
    return sum / N;
}

static double temperature_loss(void *arg) {
    const soft_problem *p = arg;
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum -= exp(p->log_alpha) * (p->logp[i] + (double)p->args.target_entropy);
    return sum / N;
}

static void soft_gradients(vly_spread spread) {
    static soft_problem p;
    static vly_real dz[N * 2 * PARTS];
    p.z = noise_array(1, N * 2 * PARTS), p.noise = noise_array(2, N * PARTS);
    p.goal1 = noise_array(3, N * PARTS), p.goal2 = noise_array(4, N * PARTS);
    p.log_alpha = (vly_real)-0.3, p.args.spread = spread;
    act_and_judge(&p);
    p.args = (vly_soft_policy_args){.n = N,
                                    .parts = PARTS,
                                    .z = p.z,
                                    .raw = p.raw,
                                    .logp = p.logp,
                                    .q1 = p.q1,
                                    .q2 = p.q2,
                                    .daction = p.da,
                                    .log_alpha = &p.log_alpha,
                                    .target_entropy = -3,
                                    .spread = spread,
                                    .dz = dz,
                                    .dlog_alpha = &p.dlog_alpha,
                                    .stats = p.stats};
    CHECK_OK(cpu->soft_policy(queue, &p.args));
    grad_check("soft policy", soft_loss, &p, p.z, dz, N * 2 * PARTS);
    act_and_judge(&p);
    grad_check("temperature", temperature_loss, &p, &p.log_alpha, &p.dlog_alpha, 1);
}

typedef struct {
    vly_soft_choice_args args;
    vly_real *z, stats[VLY_STATS];
} choice_problem;

static double choice_loss(void *arg) {
    choice_problem *p = arg;
    static vly_real dz[N * 4], d;
    vly_soft_choice_args a = p->args;
    a.dlogits = dz, a.dlog_alpha = &d;
    memset(p->stats, 0, sizeof p->stats);
    CHECK_OK(cpu->soft_choice(queue, &a));
    return p->stats[VLY_STAT_POLICY_LOSS] / N;
}

static void choice_gradients(void) {
    choice_problem p = {.z = noise_array(1, N * 4)};
    const vly_real log_alpha = (vly_real)0.1;
    vly_real dz[N * 4], d;
    p.args = (vly_soft_choice_args){.n = N,
                                    .actions = 4,
                                    .logits = p.z,
                                    .q1 = noise_array(2, N * 4),
                                    .q2 = noise_array(3, N * 4),
                                    .log_alpha = &log_alpha,
                                    .target_entropy = 1,
                                    .dlogits = dz,
                                    .dlog_alpha = &d,
                                    .stats = p.stats};
    CHECK_OK(cpu->soft_choice(queue, &p.args));
    grad_check("soft choices", choice_loss, &p, p.z, dz, N * 4);
}

typedef struct {
    vly_twin_loss_args args;
    vly_real *q1, *q2, stats[VLY_STATS];
} twin_problem;

static double twin_loss(void *arg) {
    twin_problem *p = arg;
    static vly_real dq1[N * 2], dq2[N * 2];
    vly_twin_loss_args a = p->args;
    a.dq1 = dq1, a.dq2 = dq2;
    memset(p->stats, 0, sizeof p->stats);
    CHECK_OK(cpu->twin_loss(queue, &a));
    return p->stats[VLY_STAT_VALUE_LOSS] / N;
}

static void twin_gradients(void) {
    twin_problem p = {.q1 = noise_array(1, N * 2), .q2 = noise_array(2, N * 2)};
    int32_t action[N];
    vly_real dq1[N * 2], dq2[N * 2];
    for (int i = 0; i < N; i++) action[i] = i % 4 == 3 ? -1 : i % 2;
    p.args = (vly_twin_loss_args){.n = N,
                                  .actions = 2,
                                  .q1 = p.q1,
                                  .q2 = p.q2,
                                  .action = action,
                                  .n_return = noise_array(3, N),
                                  .discount = noise_array(4, N),
                                  .value = noise_array(5, N),
                                  .weight = noise_array(6, N),
                                  .dq1 = dq1,
                                  .dq2 = dq2,
                                  .stats = p.stats};
    CHECK_OK(cpu->twin_loss(queue, &p.args));
    grad_check("first critic", twin_loss, &p, p.q1, dq1, N * 2);
    grad_check("second critic", twin_loss, &p, p.q2, dq2, N * 2);
}

int main(void) {
    cpu_open(1);
    dist_gradients("several choices", VLY_DIST_CHOICES, VLY_SPREAD_CLAMP, false, false);
    dist_gradients("several choices, plain", VLY_DIST_CHOICES, VLY_SPREAD_CLAMP, true, true);
    dist_gradients("normal", VLY_DIST_NORMAL, VLY_SPREAD_CLAMP, false, false);
    dist_gradients("normal, plain", VLY_DIST_NORMAL, VLY_SPREAD_TANH, true, true);
    dist_gradients("squashed", VLY_DIST_SQUASHED, VLY_SPREAD_CLAMP, false, true);
    dist_gradients("squashed, by tanh", VLY_DIST_SQUASHED, VLY_SPREAD_TANH, false, false);
    soft_gradients(VLY_SPREAD_CLAMP);
    soft_gradients(VLY_SPREAD_TANH);
    choice_gradients();
    twin_gradients();
    cpu_close();
    return TEST_PASS;
}
