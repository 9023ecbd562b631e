/* Distributions over several choices and over numbers, soft actor-critic's losses, running moments:
 * against PyTorch (tests/golden/actions.py) and by hand. */
#include "common/base/rules_action.h"
#include "tests/kit/golden.h"

static vly_hyper hyper;
static int32_t *sizes;

static vly_dist golden_dist(const char *name) {
    const double *s = golden_find(name, "setup")->v;
    sizes = golden_ints(name, "sizes");
    return (vly_dist){.kind = (vly_dist_kind)s[0],
                      .parts = (int)s[2],
                      .width = (int)s[3],
                      .choices = s[0] == 0 ? sizes : NULL};
}

static void *golden_raw(const char *name, vly_dist_kind kind) {
    return kind == VLY_DIST_CHOICES ? (void *)golden_ints(name, "raw")
                                    : (void *)golden_reals(name, "raw");
}

static vly_dist_loss_args golden_loss(const char *name, vly_real *stats) {
    const double *s = golden_find(name, "setup")->v;
    const size_t n = (size_t)s[1], width = (size_t)s[3];
    hyper =
        (vly_hyper){.clip = (float)s[5], .value_coef = (float)s[6], .entropy_coef = (float)s[7]};
    memset(stats, 0, VLY_STATS * sizeof *stats);
    return (vly_dist_loss_args){.p = {.n = (int)n,
                                      .actions = (int)width,
                                      .plain = s[4] != 0,
                                      .row = golden_ints(name, "row"),
                                      .logits = golden_reals(name, "z"),
                                      .value = golden_reals(name, "value"),
                                      .logp_old = golden_reals(name, "logp_old"),
                                      .advantage = golden_reals(name, "advantage"),
                                      .target = golden_reals(name, "target"),
                                      .mask = golden_reals(name, "mask"),
                                      .hyper = &hyper,
                                      .dlogits = poisoned(n * width * sizeof(vly_real)),
                                      .dvalue = poisoned(n * sizeof(vly_real)),
                                      .stats = stats},
                                .dist = golden_dist(name),
                                .raw = golden_raw(name, (vly_dist_kind)s[0])};
}

static void the_loss_agrees_with_autograd(const char *name) {
    vly_real stats[VLY_STATS];
    vly_dist_loss_args a = golden_loss(name, stats);
    CHECK_OK(cpu->dist_loss(queue, &a));
    golden_check(name, "dz", a.p.dlogits, 1e-5);
    golden_check(name, "dvalue", a.p.dvalue, 1e-5);
    guard_check(a.p.dlogits, (size_t)(a.p.n * a.p.actions) * sizeof(vly_real));
    const vly_real got[4] = {stats[VLY_STAT_COUNT], stats[VLY_STAT_POLICY_LOSS],
                             stats[VLY_STAT_VALUE_LOSS], stats[VLY_STAT_ENTROPY]};
    golden_check(name, "stats", got, 1e-5);
    const size_t one = (size_t)a.dist.parts * 4;
    char *raw = poisoned((size_t)a.p.n * one);
    for (int i = 0; i < a.p.n; i++)
        memcpy(raw + (size_t)i * one, (const char *)a.raw + (size_t)a.p.row[i] * one, one);
    vly_real *logp = poisoned((size_t)a.p.n * sizeof *logp);
    CHECK_OK(cpu->dist_logp(queue, &a.dist, a.p.n, a.p.logits, raw, logp));
    golden_check(name, "logp", logp, 1e-5);
}

static void normal_numbers_are_the_quantiles(void) {
    const golden_array *p = golden_find("normal", "p");
    for (int64_t i = 0; i < p->n; i++) {
        const double want = golden_at("normal", "x", (int)i);
        CHECK_NEAR((double)vly_normal_at((float)p->v[i]), want, 2e-6 * (1 + fabs(want)));
    }
}

/* What was drawn has the log-probability that is reported, and the moments of its distribution. */
static void draws_follow_the_distribution(vly_dist_kind kind) {
    enum { N = 20000 };
    static vly_real z[N * 4], raw[N * 2], logp[N], again[N], action[N * 2];
    const vly_real low[2] = {-3, -1}, high[2] = {3, 5};
    const vly_rng rng = {5, 9};
    const vly_dist d = {.kind = kind, .parts = 2, .width = 4, .low = low, .high = high};
    for (int i = 0; i < N; i++)
        z[4 * i] = (vly_real)0.3, z[4 * i + 1] = -1, z[4 * i + 2] = -1, z[4 * i + 3] = 0;
    CHECK_OK(cpu->dist_sample(queue, &d, N, z, &rng, VLY_STREAM_ACT, NULL, 0, raw, logp));
    CHECK_OK(cpu->dist_logp(queue, &d, N, z, raw, again));
    CHECK_OK(cpu->dist_action(queue, &d, N, raw, action));
    double mean[2] = {0}, square[2] = {0};
    for (int i = 0; i < N; i++) {
        CHECK_NEAR(logp[i], again[i], 1e-4);
        for (int k = 0; k < 2; k++) {
            mean[k] += raw[2 * i + k] / N, square[k] += raw[2 * i + k] * raw[2 * i + k] / N;
            const double x = raw[2 * i + k], a = action[2 * i + k], t = tanh(x);
            CHECK_NEAR(a,
                       kind == VLY_DIST_NORMAL
                           ? fmin(fmax(x, low[k]), high[k])
                           : (double)low[k] + (t + 1) / 2 * (double)(high[k] - low[k]),
                       1e-5);
        }
    }
    CHECK_NEAR(mean[0], 0.3, 0.01);
    CHECK_NEAR(sqrt(square[0] - mean[0] * mean[0]), exp(-1), 0.01);
    CHECK_NEAR(mean[1], -1, 0.02);
    CHECK_NEAR(sqrt(square[1] - mean[1] * mean[1]), 1, 0.02);
    CHECK_OK(cpu->dist_sample(queue, &d, 1, z, NULL, 0, NULL, 0, raw, NULL)); /* greedy: the mean */
    CHECK_NEAR(raw[0], 0.3, 1e-7);
    CHECK_NEAR(raw[1], -1, 1e-7);
}

static void parts_of_a_draw_are_independent(void) {
    enum { N = 4000 };
    static vly_real z[N * 12];
    static int32_t raw[N * 6];
    const int32_t two[6] = {2, 2, 2, 2, 2, 2};
    const vly_rng rng = {1, 2};
    const vly_dist d = {.kind = VLY_DIST_CHOICES, .parts = 6, .width = 12, .choices = two};
    CHECK_OK(cpu->dist_sample(queue, &d, N, z, &rng, VLY_STREAM_ACT, NULL, 0, raw, NULL));
    for (int k = 0; k < 6; k++)
        for (int j = 0; j < k; j++) {
            int same = 0;
            for (int i = 0; i < N; i++) same += raw[6 * i + k] == raw[6 * i + j];
            CHECK_NEAR(same / (double)N, 0.5, 0.04);
        }
}

/* Masks are of the network's numbers, so the operations for plain choices honour them too. */
static void what_is_masked_is_never_drawn_and_has_no_gradient(void) {
    enum { N = 2000, A = 5 };
    static vly_real z[N * A], dz[N * A], logp[N], one[N], epsilon[N];
    static uint8_t allowed[N * A];
    static int32_t action[N];
    const vly_rng rng = {3, 4};
    for (int i = 0; i < N; i++) {
        one[i] = 1, epsilon[i] = 1;
        for (int a = 0; a < A; a++)
            z[i * A + a] = noise(1, (uint32_t)(i * A + a)) * 4,
                      allowed[i * A + a] = a == i % A || noise(2, (uint32_t)(i * A + a)) > 0;
    }
    CHECK_OK(cpu->mask_actions(queue, N * A, allowed, z));
    CHECK_OK(cpu->sample_policy(queue, N, A, z, &rng, NULL, 0, action, NULL, logp));
    for (int i = 0; i < N; i++) CHECK(allowed[i * A + action[i]]);
    vly_real stats[VLY_STATS] = {0};
    hyper = (vly_hyper){.clip = 0.2f, .entropy_coef = 0.1f};
    vly_policy_loss_args p = {.n = N,
                              .actions = A,
                              .logits = z,
                              .action = action,
                              .logp_old = logp,
                              .advantage = one,
                              .hyper = &hyper,
                              .dlogits = dz,
                              .stats = stats};
    CHECK_OK(cpu->policy_loss(queue, &p));
    CHECK_EQ(stats[VLY_STAT_NONFINITE], 0);
    CHECK_NEAR(stats[VLY_STAT_KL], 0, 1e-3);
    for (int i = 0; i < N * A; i++) CHECK(allowed[i] || dz[i] == 0);
    CHECK_OK(cpu->sample_greedy(queue, N, A, z, NULL, &rng, NULL, 0, action, NULL));
    for (int i = 0; i < N; i++) CHECK(allowed[i * A + action[i]]);
    int seen[A] = {0}, all = 0; /* exploring: uniform over what is allowed */
    CHECK_OK(cpu->sample_greedy(queue, N, A, z, epsilon, &rng, NULL, 0, action, NULL));
    for (int i = 0; i < N; i++) {
        CHECK(allowed[i * A + action[i]]);
        seen[action[i]]++, all++;
    }
    for (int a = 0; a < A; a++) CHECK_NEAR(seen[a] / (double)all, 1.0 / A, 0.04);
}

static void soft_actor_critic_agrees_with_autograd(void) {
    const double *s = golden_find("soft", "setup")->v;
    const int n = (int)s[0], parts = (int)s[1];
    const vly_real log_alpha = (vly_real)s[2];
    vly_real stats[VLY_STATS] = {0}, dlog_alpha[1];
    vly_real *dz = poisoned((size_t)(n * 2 * parts) * sizeof *dz);
    const vly_soft_policy_args a = {.n = n,
                                    .parts = parts,
                                    .z = golden_reals("soft", "z"),
                                    .raw = golden_reals("soft", "raw"),
                                    .logp = golden_reals("soft", "logp"),
                                    .q1 = golden_reals("soft", "q1"),
                                    .q2 = golden_reals("soft", "q2"),
                                    .daction = golden_reals("soft", "daction"),
                                    .log_alpha = &log_alpha,
                                    .target_entropy = (float)s[3],
                                    .dz = dz,
                                    .dlog_alpha = dlog_alpha,
                                    .stats = stats};
    CHECK_OK(cpu->soft_policy(queue, &a));
    golden_check("soft", "dz", dz, 1e-5);
    golden_check("soft", "dlog_alpha", dlog_alpha, 1e-5);
    golden_check(
        "soft", "stats",
        (vly_real[]){stats[VLY_STAT_COUNT], stats[VLY_STAT_POLICY_LOSS], stats[VLY_STAT_ENTROPY]},
        1e-5);
}

static void twin_critics_agree_with_autograd(void) {
    const double *s = golden_find("soft", "setup")->v;
    const int n = (int)s[0];
    const vly_real log_alpha = (vly_real)s[2];
    vly_real stats[VLY_STATS] = {0};
    int32_t *action = keep(calloc((size_t)n, sizeof *action));
    vly_real *dq1 = poisoned((size_t)n * sizeof *dq1), *dq2 = poisoned((size_t)n * sizeof *dq2),
             *value = poisoned((size_t)n * sizeof *value);
    const vly_twin_loss_args a = {.n = n,
                                  .actions = 1,
                                  .q1 = golden_reals("twin", "q1"),
                                  .q2 = golden_reals("twin", "q2"),
                                  .action = action,
                                  .n_return = golden_reals("twin", "n_return"),
                                  .discount = golden_reals("twin", "discount"),
                                  .value = golden_reals("twin", "value"),
                                  .dq1 = dq1,
                                  .dq2 = dq2,
                                  .stats = stats};
    CHECK_OK(cpu->twin_loss(queue, &a));
    golden_check("twin", "dq1", dq1, 1e-5);
    golden_check("twin", "dq2", dq2, 1e-5);
    golden_check("twin", "stats",
                 (vly_real[]){stats[VLY_STAT_COUNT], stats[VLY_STAT_VALUE_LOSS],
                              stats[VLY_STAT_TD_ABS], stats[VLY_STAT_Q]},
                 1e-5);
    const vly_soft_value_args v = {.n = n,
                                   .actions = 1,
                                   .q1 = a.q1,
                                   .q2 = a.q2,
                                   .logp = golden_reals("soft", "logp"),
                                   .log_alpha = &log_alpha,
                                   .value = value};
    CHECK_OK(cpu->soft_value(queue, &v));
    golden_check("twin", "soft_value", value, 1e-5);
    CHECK_OK(cpu->ascend(queue, n, a.q1, a.q2, dq1, dq2));
    for (int i = 0; i < n; i++) {
        CHECK_NEAR(dq1[i], a.q1[i] <= a.q2[i] ? -1.0 / n : 0, 1e-7);
        CHECK_NEAR(dq1[i] + dq2[i], -1.0 / n, 1e-7);
    }
}

static void soft_choices_agree_with_autograd(void) {
    const double *s = golden_find("choice", "setup")->v;
    const int n = (int)s[0], A = (int)s[1];
    const vly_real log_alpha = (vly_real)s[2];
    vly_real stats[VLY_STATS] = {0}, dlog_alpha[1];
    vly_real *dz = poisoned((size_t)(n * A) * sizeof *dz),
             *value = poisoned((size_t)n * sizeof *value);
    const vly_soft_choice_args a = {.n = n,
                                    .actions = A,
                                    .logits = golden_reals("choice", "z"),
                                    .q1 = golden_reals("choice", "q1"),
                                    .q2 = golden_reals("choice", "q2"),
                                    .log_alpha = &log_alpha,
                                    .target_entropy = (float)s[3],
                                    .dlogits = dz,
                                    .dlog_alpha = dlog_alpha,
                                    .stats = stats};
    CHECK_OK(cpu->soft_choice(queue, &a));
    golden_check("choice", "dz", dz, 1e-5);
    golden_check("choice", "dlog_alpha", dlog_alpha, 1e-5);
    golden_check(
        "choice", "stats",
        (vly_real[]){stats[VLY_STAT_COUNT], stats[VLY_STAT_POLICY_LOSS], stats[VLY_STAT_ENTROPY]},
        1e-5);
    const vly_soft_value_args v = {.n = n,
                                   .actions = A,
                                   .q1 = a.q1,
                                   .q2 = a.q2,
                                   .logits = a.logits,
                                   .log_alpha = &log_alpha,
                                   .value = value};
    CHECK_OK(cpu->soft_value(queue, &v));
    golden_check("choice", "value", value, 1e-5);
}

/* Of equal logits: log 2 where a mask leaves two of four, log 4 where there is none. */
static void a_share_of_the_entropy_is_of_what_masks_allow(void) {
    enum { ROWS = 2, A = 4 };
    const vly_real z[ROWS * A] = {1, VLY_MASKED, 1, VLY_MASKED, 2, 2, 2, 2}, q[ROWS * A] = {0};
    const vly_real log_alpha = 0;
    vly_real dz[ROWS * A], dlog_alpha, stats[VLY_STATS] = {0};
    const vly_soft_choice_args a = {.n = ROWS,
                                    .actions = A,
                                    .logits = z,
                                    .q1 = q,
                                    .q2 = q,
                                    .log_alpha = &log_alpha,
                                    .target_entropy = 100,
                                    .target_share = 0.6f,
                                    .dlogits = dz,
                                    .dlog_alpha = &dlog_alpha,
                                    .stats = stats};
    CHECK_OK(cpu->soft_choice(queue, &a));
    CHECK_NEAR(dlog_alpha, 0.4 * (log(2) + log(4)) / ROWS, 1e-6);
    CHECK_NEAR(stats[VLY_STAT_ENTROPY], log(2) + log(4), 1e-5);
}

/* In pieces, with rows left out: the moments of the whole. */
static void running_moments_are_those_of_all_rows(void) {
    const double *s = golden_find("running", "setup")->v;
    const int n = (int)s[0], width = (int)s[1];
    const vly_real *x = golden_reals("running", "x");
    double state[12] = {0};
    vly_real mean[4], scale[4], poison[8 * 4], none[8] = {0};
    for (int i = 0; i < 32; i++) poison[i] = NAN;
    const int cuts[] = {0, 1, 20, 21, n};
    for (int k = 0; k < 4; k++) {
        const vly_running_args a = {.n = cuts[k + 1] - cuts[k],
                                    .width = width,
                                    .x = x + cuts[k] * width,
                                    .state = state,
                                    .mean = mean,
                                    .scale = scale};
        CHECK_OK(cpu->running(queue, &a));
    }
    const vly_running_args left_out = {
        .n = 8, .width = width, .x = poison, .mask = none, .state = state, .scale = scale};
    CHECK_OK(cpu->running(queue, &left_out));
    golden_check("running", "mean", mean, 1e-6);
    golden_check("running", "scale", scale, 1e-5);
    double times[12] = {0};
    vly_real mean_times[4], scale_times[4], y[4];
    const vly_running_args multiple = {.n = n,
                                       .width = width,
                                       .x = x,
                                       .factor = 0.25f,
                                       .state = times,
                                       .mean = mean_times,
                                       .scale = scale_times};
    CHECK_OK(cpu->running(queue, &multiple));
    for (int k = 0; k < width; k++) { /* of x / 4 */
        CHECK_NEAR(mean_times[k], mean[k] / 4, 1e-6);
        CHECK_NEAR(scale_times[k], 1 / sqrt(state[2 * width + k] / n / 16 + 1e-8), 1e-5);
    }
    CHECK_OK(cpu->normalize(queue, 1, width, x, mean, scale, 10, y));
    for (int k = 0; k < width; k++) CHECK_NEAR(y[k], (x[k] - mean[k]) * scale[k], 1e-5);
    CHECK_OK(cpu->normalize(queue, 1, width, x, mean, scale, 0.01f, y));
    for (int k = 0; k < width; k++) CHECK_NEAR(fabs((double)y[k]), 0.01, 1e-6);
}

/* By the definition: the layer of x - centre and the layer that it makes of it give the same. */
static void centred_weights_are_those_of_the_centred_input(void) {
    enum { ROWS = 3, K = 5 };
    vly_real w[ROWS * (K + 1)], to[ROWS * (K + 1)], dw[ROWS * (K + 1)], x[K];
    const vly_real centre = (vly_real)0.34;
    for (int i = 0; i < ROWS * (K + 1); i++) w[i] = dw[i] = (vly_real)(i % 7 - 3);
    for (int i = 0; i < K; i++) x[i] = (vly_real)(0.1 * i);
    CHECK_OK(cpu->centre(queue, ROWS, K, &centre, w, to));
    CHECK_OK(cpu->centre_backward(queue, ROWS, K, &centre, dw));
    for (int o = 0; o < ROWS; o++) {
        double want = (double)w[ROWS * K + o], got = (double)to[ROWS * K + o];
        for (int i = 0; i < K; i++) {
            want += (double)w[o * K + i] * (double)(x[i] - centre);
            got += (double)to[o * K + i] * (double)x[i];
            CHECK_NEAR(dw[o * K + i], w[o * K + i] - centre * w[ROWS * K + o], 1e-6);
        }
        CHECK_NEAR(got, want, 1e-5);
        CHECK_EQ(dw[ROWS * K + o], w[ROWS * K + o]);
    }
    CHECK(cpu->centre(queue, ROWS, K, &centre, w, w) != VLY_OK);
}

static void discounted_sums_stop_at_an_end(void) {
    const vly_real reward[6] = {1, 1, 1, 1, 1, 1};
    const uint8_t flags[6] = {0, VLY_ROW_TERMINATED, VLY_ROW_RESET, 0, VLY_ROW_TRUNCATED, 0};
    vly_real carry[1] = {4}, out[6], mask[6];
    hyper = (vly_hyper){.gamma = 0.5f};
    const vly_discounted_args a = {.T = 6,
                                   .N = 1,
                                   .reward = reward,
                                   .flags = flags,
                                   .hyper = &hyper,
                                   .carry = carry,
                                   .out = out,
                                   .mask = mask};
    CHECK_OK(cpu->discounted(queue, &a));
    const double want[6] = {3, 2.5, 0, 1, 1.5, 1};
    for (int i = 0; i < 6; i++) CHECK_NEAR(out[i], want[i], 1e-6);
    CHECK_EQ(mask[2], 0);
    CHECK_NEAR(carry[0], 1, 1e-6);
}

static void bad_arguments_are_named(void) {
    vly_real stats[VLY_STATS];
    vly_dist_loss_args a = golden_loss("normal_ppo", stats), b = a;
    b.dist.width = 5;
    CHECK_EQ(cpu->dist_loss(queue, &b), VLY_EINVAL);
    b = a, b.raw = NULL;
    CHECK_EQ(cpu->dist_loss(queue, &b), VLY_EINVAL);
    b = a, b.dist.kind = VLY_DIST_UNIT, b.dist.width = 3;
    CHECK_EQ(cpu->dist_loss(queue, &b), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "dist_loss"));
    CHECK_EQ(cpu->running(queue, &(vly_running_args){.n = 1}), VLY_EINVAL);
    CHECK_EQ(cpu->noise(queue, &(vly_noise_args){.n = 1, .parts = 1, .out = stats}), VLY_EINVAL);
}

/* TD3: noise is bounded, and so is what comes out. */
static void noise_is_bounded(void) {
    enum { N = 3000 };
    static vly_real mean[N], out[N];
    const vly_rng rng = {1, 1};
    vly_noise_args a = {.n = N,
                        .parts = 1,
                        .mean = mean,
                        .deviation = 0.2f,
                        .limit = 0.5f,
                        .rng = &rng,
                        .stream = VLY_STREAM_LEARN,
                        .out = out};
    double square = 0, most = 0;
    CHECK_OK(cpu->noise(queue, &a));
    for (int i = 0; i < N; i++) square += out[i] * out[i] / N, most = fmax(most, fabs(out[i]));
    CHECK_NEAR(sqrt(square), 0.2, 0.01);
    CHECK_NEAR(most, 0.5, 1e-6);
    for (int i = 0; i < N; i++) mean[i] = 1;
    CHECK_OK(cpu->noise(queue, &a));
    for (int i = 0; i < N; i++) CHECK(out[i] <= 1 && out[i] >= (vly_real)0.5);
    a.mean = NULL;
    square = 0;
    CHECK_OK(cpu->noise(queue, &a));
    for (int i = 0; i < N; i++) square += out[i] * out[i] / N;
    CHECK_NEAR(square, 1.0 / 3, 0.02);
}

int main(void) {
    cpu_open(1);
    static const char *const names[] = {"choices",       "choices_plain", "one_choice",
                                        "normal_ppo",    "normal_plain",  "squashed",
                                        "squashed_plain"};
    for (int i = 0; i < 7; i++) the_loss_agrees_with_autograd(names[i]);
    normal_numbers_are_the_quantiles();
    draws_follow_the_distribution(VLY_DIST_NORMAL);
    draws_follow_the_distribution(VLY_DIST_SQUASHED);
    parts_of_a_draw_are_independent();
    what_is_masked_is_never_drawn_and_has_no_gradient();
    soft_actor_critic_agrees_with_autograd();
    twin_critics_agree_with_autograd();
    soft_choices_agree_with_autograd();
    a_share_of_the_entropy_is_of_what_masks_allow();
    running_moments_are_those_of_all_rows();
    centred_weights_are_those_of_the_centred_input();
    discounted_sums_stop_at_an_end();
    noise_is_bounded();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
