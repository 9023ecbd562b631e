/* The operations of common/base/actions.h on both back ends. */
#include "common/base/actions.h"
#include "tests/gpu/parity.h"

enum { SIZES = 3 };
static const int sizes[SIZES] = {1, 64, 257};

static void free_all(parity *p, twin **all, size_t count) {
    for (size_t i = 0; i < count; i++) twin_free(p, all[i]);
}
#define FREE(...)                                        \
    do {                                                 \
        twin *all_[] = {__VA_ARGS__};                    \
        free_all(p, all_, sizeof all_ / sizeof all_[0]); \
    } while (0)

/* A distribution whose arrays are on the back end in question. */
static vly_dist dist_on(vly_dist_kind kind, int parts, int width, const twin *choices,
                        const twin *low, const twin *high, bool on_gpu) {
    vly_dist d = {.kind = kind, .parts = parts, .width = width};
    if (kind == VLY_DIST_CHOICES) d.choices = on_gpu ? choices->gpu : choices->cpu;
    if (kind != VLY_DIST_CHOICES) {
        d.low = on_gpu ? low->gpu : low->cpu;
        d.high = on_gpu ? high->gpu : high->cpu;
    }
    return d;
}

static void distributions_agree(parity *p, vly_dist_kind kind) {
    enum { PARTS = 6, ROWS = 300 };
    const int32_t choices_host[PARTS] = {2, 5, 1, 3, 9, 4};
    float bounds[PARTS];
    const int width = kind == VLY_DIST_CHOICES ? 24 : 2 * PARTS;
    for (int k = 0; k < PARTS; k++) bounds[k] = (float)(k + 1) / 2;
    twin choices = twin_of(p, choices_host, sizeof choices_host),
         high = twin_of(p, bounds, sizeof bounds);
    for (int k = 0; k < PARTS; k++) bounds[k] = -bounds[k];
    twin low = twin_of(p, bounds, sizeof bounds);
    for (int s = 0; s < SIZES; s++)
        for (int form = 0; form < 8; form++) {
            const int n = sizes[s];
            const bool plain = form & 1, sum = form & 2, normalize = form & 4;
            const vly_hyper h = usual_hyper();
            float masks[ROWS];
            for (int i = 0; i < ROWS; i++) masks[i] = random_below(7) != 0;
            twin hyper = twin_of(p, &h, sizeof h), rng = twin_of(p, &(vly_rng){7, 3}, 16),
                 z = normals(p, (size_t)(n * width), 1), lane = numbers(p, (size_t)n, 1 << 20);
            twin raw = outputs(p, (size_t)(n * PARTS)), logp = outputs(p, (size_t)n),
                 action = outputs(p, (size_t)(n * PARTS));
            vly_dist at[2];
            for (int g = 0; g < 2; g++)
                at[g] = dist_on(kind, PARTS, width, &choices, &low, &high, g),
                at[g].spread = sum ? VLY_SPREAD_TANH : VLY_SPREAD_CLAMP;
            BOTH(c->dist_sample(q, &at[on_gpu], n, D(z), form ? D(rng) : NULL, VLY_STREAM_ACT,
                                plain ? D(lane) : NULL, 11, D(raw), D(logp)));
            SAME(raw), SAME(logp);
            BOTH(c->dist_logp(q, &at[on_gpu], n, D(z), D(raw), D(logp)));
            SAME(logp);
            BOTH(c->dist_action(q, &at[on_gpu], n, D(raw), D(action)));
            SAME(action);
            twin row = numbers(p, (size_t)n, ROWS), mask = twin_of(p, masks, sizeof masks),
                 old = normals(p, ROWS, 1), advantage = normals(p, ROWS, 1),
                 target = normals(p, ROWS, 1), value = normals(p, (size_t)n, 1);
            twin drawn = kind == VLY_DIST_CHOICES ? numbers(p, ROWS * PARTS, 3)
                                                  : normals(p, ROWS * PARTS, 1);
            twin dz = outputs(p, (size_t)(n * width)), dvalue = outputs(p, (size_t)n),
                 moments = outputs(p, 3), stats = zeros(p, VLY_STATS * 4);
            BOTH(c->moments(q, n, D(advantage), D(row), D(mask), D(moments)));
            BOTH(c->dist_loss(
                q, &(vly_dist_loss_args){.p = {.n = n,
                                               .actions = width,
                                               .plain = plain,
                                               .sum = sum,
                                               .normalize = normalize,
                                               .row = D(row),
                                               .logits = D(z),
                                               .value = D(value),
                                               .logp_old = D(old),
                                               .value_old = D(target),
                                               .advantage = D(advantage),
                                               .target = D(target),
                                               .mask = D(mask),
                                               .moments = normalize && plain ? D(moments) : NULL,
                                               .hyper = D(hyper),
                                               .dlogits = D(dz),
                                               .dvalue = D(dvalue),
                                               .stats = D(stats)},
                                         .dist = at[on_gpu],
                                         .raw = D(drawn)}));
            if (normalize)
                NEAR(dz, 1e-5), NEAR(dvalue, 1e-5);
            else
                SAME(dz), SAME(dvalue);
            NEAR(stats, 1e-4);
            FREE(&hyper, &rng, &z, &lane, &raw, &logp, &action, &row, &mask, &old, &advantage,
                 &target, &value, &drawn, &dz, &dvalue, &moments, &stats);
        }
    FREE(&choices, &low, &high);
}

static void masks_and_noise_agree(parity *p) {
    for (int s = 0; s < SIZES; s++) {
        enum { PARTS = 5 };
        const int n = sizes[s];
        uint8_t bits[257 * PARTS];
        for (int i = 0; i < n * PARTS; i++) bits[i] = random_below(3) != 0;
        twin x = normals(p, (size_t)(n * PARTS), 1),
             allowed = twin_of(p, bits, (size_t)(n * PARTS)),
             rng = twin_of(p, &(vly_rng){1, 5}, 16), out = outputs(p, (size_t)(n * PARTS));
        for (int form = 0; form < 3; form++) {
            BOTH(c->noise(q, &(vly_noise_args){.n = n,
                                               .parts = PARTS,
                                               .mean = form ? D(x) : NULL,
                                               .deviation = 0.3f,
                                               .limit = form == 2 ? 0.4f : 0,
                                               .rng = D(rng),
                                               .stream = VLY_STREAM_LEARN,
                                               .lane0 = 4,
                                               .out = D(out)}));
            SAME(out);
        }
        BOTH(c->mask_actions(q, n * PARTS, D(allowed), D(x)));
        SAME(x);
        FREE(&x, &allowed, &rng, &out);
    }
}

static void critics_agree(parity *p) {
    for (int s = 0; s < SIZES; s++)
        for (int A = 1; A <= 6; A += 5) {
            const int n = sizes[s];
            const size_t all = (size_t)(n * A);
            twin q1 = normals(p, all, 1), q2 = normals(p, all, 1), z = normals(p, all, 1),
                 logp = normals(p, (size_t)n, 1), alpha = normals(p, 1, 1);
            twin action = numbers(p, (size_t)n, A + 1), back = normals(p, (size_t)n, 1),
                 discount = normals(p, (size_t)n, 1), weight = normals(p, (size_t)n, 1);
            twin value = outputs(p, (size_t)n), dq1 = outputs(p, all), dq2 = outputs(p, all),
                 td = outputs(p, (size_t)n), stats = zeros(p, VLY_STATS * 4),
                 dalpha = outputs(p, 1);
            BOTH(c->soft_value(q, &(vly_soft_value_args){.n = n,
                                                         .actions = A,
                                                         .q1 = D(q1),
                                                         .q2 = D(q2),
                                                         .logits = A > 1 ? D(z) : NULL,
                                                         .logp = A > 1 ? NULL : D(logp),
                                                         .log_alpha = D(alpha),
                                                         .value = D(value)}));
            SAME(value);
            BOTH(c->twin_loss(q, &(vly_twin_loss_args){.n = n,
                                                       .actions = A,
                                                       .q1 = D(q1),
                                                       .q2 = D(q2),
                                                       .action = D(action),
                                                       .n_return = D(back),
                                                       .discount = D(discount),
                                                       .value = D(value),
                                                       .weight = A > 1 ? D(weight) : NULL,
                                                       .dq1 = D(dq1),
                                                       .dq2 = D(dq2),
                                                       .td_abs = D(td),
                                                       .stats = D(stats)}));
            SAME(dq1), SAME(dq2), SAME(td), NEAR(stats, 1e-5);
            for (int share = 0; share < 2; share++) { /* the target: a number, or a share */
                BOTH(c->soft_choice(q, &(vly_soft_choice_args){.n = n,
                                                               .actions = A,
                                                               .logits = D(z),
                                                               .q1 = D(q1),
                                                               .q2 = D(q2),
                                                               .log_alpha = D(alpha),
                                                               .target_entropy = 0.7f,
                                                               .target_share = share ? 0.6f : 0,
                                                               .dlogits = D(dq1),
                                                               .dlog_alpha = D(dalpha),
                                                               .stats = D(stats)}));
                SAME(dq1), NEAR(dalpha, 1e-5), NEAR(stats, 1e-5);
            }
            BOTH(c->ascend(q, n, D(q1), A > 1 ? D(q2) : NULL, D(dq1), D(dq2)));
            SAME(dq1), SAME(dq2);
            FREE(&q1, &q2, &z, &logp, &alpha, &action, &back, &discount, &weight, &value, &dq1,
                 &dq2, &td, &stats, &dalpha);
        }
}

static void soft_policies_agree(parity *p) {
    enum { PARTS = 4 };
    for (int s = 0; s < SIZES; s++) {
        const int n = sizes[s];
        twin z = normals(p, (size_t)(n * 2 * PARTS), 1), raw = normals(p, (size_t)(n * PARTS), 1),
             logp = normals(p, (size_t)n, 1), q1 = normals(p, (size_t)n, 1),
             q2 = normals(p, (size_t)n, 1), da = normals(p, (size_t)(n * PARTS), 1);
        twin alpha = normals(p, 1, 1), dz = outputs(p, (size_t)(n * 2 * PARTS)),
             dalpha = outputs(p, 1), stats = zeros(p, VLY_STATS * 4);
        BOTH(c->soft_policy(q, &(vly_soft_policy_args){.n = n,
                                                       .parts = PARTS,
                                                       .z = D(z),
                                                       .raw = D(raw),
                                                       .logp = D(logp),
                                                       .q1 = D(q1),
                                                       .q2 = D(q2),
                                                       .daction = D(da),
                                                       .log_alpha = D(alpha),
                                                       .target_entropy = -4,
                                                       .spread = s % 2,
                                                       .dz = D(dz),
                                                       .dlog_alpha = D(dalpha),
                                                       .stats = D(stats)}));
        SAME(dz), NEAR(dalpha, 1e-5), NEAR(stats, 1e-5);
        FREE(&z, &raw, &logp, &q1, &q2, &da, &alpha, &dz, &dalpha, &stats);
    }
}

static void columns_agree(parity *p) {
    for (int s = 0; s < SIZES; s++) {
        enum { WIDTH = 3, STRIDE = 7 };
        const int n = sizes[s];
        twin x = normals(p, (size_t)(n * STRIDE), 1), y = zeros(p, (size_t)(n * STRIDE) * 4),
             sums = outputs(p, WIDTH);
        BOTH(c->columns(q, n, WIDTH, D(x), STRIDE, D(y), STRIDE - 1));
        SAME(y);
        BOTH(c->columns(q, n, WIDTH, D(x), 0, D(y), STRIDE));
        SAME(y);
        BOTH(c->column_sums(q, n, WIDTH, D(x), STRIDE, D(sums)));
        NEAR(sums, 1e-6);
        FREE(&x, &y, &sums);
    }
}

static void running_moments_agree(parity *p) {
    enum { WIDTH = 5 };
    twin state = zeros(p, 3 * WIDTH * 8), mean = outputs(p, WIDTH), scale = outputs(p, WIDTH);
    for (int s = 0; s < SIZES; s++) {
        const int n = sizes[s];
        float masks[257];
        for (int i = 0; i < n; i++) masks[i] = random_below(4) != 0;
        twin x = normals(p, (size_t)(n * WIDTH), 3), mask = twin_of(p, masks, (size_t)n * 4),
             y = outputs(p, (size_t)(n * WIDTH));
        BOTH(c->running(q, &(vly_running_args){.n = n,
                                               .width = WIDTH,
                                               .x = D(x),
                                               .factor = s == 2 ? 0.25f : 0,
                                               .mask = s == 1 ? D(mask) : NULL,
                                               .state = D(state),
                                               .mean = D(mean),
                                               .scale = D(scale)}));
        NEAR(mean, 1e-6), NEAR(scale, 1e-5);
        BOTH(c->normalize(q, n, WIDTH, D(x), s == 2 ? NULL : D(mean), D(scale), 2, D(y)));
        NEAR(y, 1e-5);
        FREE(&x, &mask, &y);
    }
    FREE(&state, &mean, &scale);
}

static void centred_weights_agree(parity *p) {
    static const int inputs[] = {1, 256, 1025};
    enum { ROWS = 17 };
    for (int s = 0; s < 3; s++) {
        const size_t n = (size_t)(ROWS * (inputs[s] + 1));
        twin w = normals(p, n, 1), to = outputs(p, n), dw = normals(p, n, 1),
             centre = normals(p, 1, 1);
        BOTH(c->centre(q, ROWS, inputs[s], D(centre), D(w), D(to)));
        BOTH(c->centre_backward(q, ROWS, inputs[s], D(centre), D(dw)));
        NEAR(to, 1e-5), NEAR(dw, 1e-5);
        FREE(&w, &to, &dw, &centre);
    }
}

static void discounted_sums_agree(parity *p) {
    for (int s = 0; s < SIZES; s++) {
        enum { T = 13 };
        const int N = sizes[s];
        const size_t rows = (size_t)(T * N);
        const vly_hyper h = usual_hyper();
        twin hyper = twin_of(p, &h, sizeof h), reward = normals(p, rows, 1),
             flags = row_flags(p, T, N), carry = normals(p, (size_t)N, 1), out = outputs(p, rows),
             mask = outputs(p, rows);
        BOTH(c->discounted(q, &(vly_discounted_args){.T = T,
                                                     .N = N,
                                                     .reward = D(reward),
                                                     .flags = D(flags),
                                                     .hyper = D(hyper),
                                                     .carry = D(carry),
                                                     .out = D(out),
                                                     .mask = D(mask)}));
        SAME(out), SAME(mask), SAME(carry);
        FREE(&hyper, &reward, &flags, &carry, &out, &mask);
    }
}

static void bad_arguments_are_refused(parity *p) {
    vly_compute *c = p->gpu;
    vly_queue *q = p->gpu_queue;
    CHECK_EQ(c->dist_loss(q, &(vly_dist_loss_args){0}), VLY_EINVAL);
    CHECK_EQ(c->running(q, &(vly_running_args){0}), VLY_EINVAL);
    CHECK_EQ(c->soft_policy(q, &(vly_soft_policy_args){0}), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "vly_soft_policy_launch") != NULL);
}

int main(void) {
    parity both = parity_open(), *p = &both;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        parity_seed(seed);
        distributions_agree(p, VLY_DIST_CHOICES);
        distributions_agree(p, VLY_DIST_NORMAL);
        distributions_agree(p, VLY_DIST_SQUASHED);
        masks_and_noise_agree(p);
        critics_agree(p);
        soft_policies_agree(p);
        columns_agree(p);
        running_moments_agree(p);
        centred_weights_agree(p);
        discounted_sums_agree(p);
    }
    bad_arguments_are_refused(p);
    parity_close(p);
    return TEST_PASS;
}
