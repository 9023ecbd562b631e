/* The loops of exact_body.h give the bits of common/base/rules.h at every vector width. */
#include "cpu/ops/exact_simd.h"
#include "cpu/ops/bf16.h"
#include "cpu/ops/simd.h"
#include "tests/kit/golden.h"

enum { N = 300 };

static vly_real pick(uint32_t stream, int i) {
    return 3 * noise(stream, (uint32_t)i);
}

static void policy_losses_are_the_rule(const vly_exact *e, int A, int variant) {
    static vly_real z[N * 32], value[N], old[N], adv[N], target[N], logp[N], mask[N], dz[2][N * 32],
        dv[2][N];
    static int32_t row[N], action[N];
    for (int i = 0; i < N * A; i++) z[i] = pick(1, i);
    for (int i = 0; i < N; i++) {
        row[i] = (i * 7) % N, action[i] = (int32_t)(i * 5 % (A + 1)); /* sometimes out of range */
        value[i] = pick(2, i), old[i] = pick(3, i), adv[i] = pick(4, i), target[i] = pick(5, i),
        logp[i] = pick(6, i) - 2, mask[i] = i % 5 != 0;
    }
    z[A] = NAN;
    const vly_hyper h = {.clip = 0.2f,
                         .value_clip = variant & 1 ? 0.3f : 0,
                         .value_coef = 0.5f,
                         .entropy_coef = 0.01f};
    vly_policy_loss_args p = {.n = N,
                              .actions = A,
                              .plain = variant == 2,
                              .row = variant == 3 ? NULL : row,
                              .logits = z,
                              .value = value,
                              .action = action,
                              .logp_old = variant == 2 ? NULL : logp,
                              .value_old = old,
                              .advantage = adv,
                              .target = target,
                              .mask = variant == 3 ? NULL : mask,
                              .hyper = &h};
    memset(dz, 0xff, sizeof dz), memset(dv, 0xff, sizeof dv);
    vly_row_stats sum = {0}, want = {0};
    for (int i = 0; i < N; i += VLY_LOSS_ROWS) {
        p.dlogits = dz[0], p.dvalue = dv[0];
        e->policy_loss(&p, i, N - i < VLY_LOSS_ROWS ? N - i : VLY_LOSS_ROWS, 0.25f, 1.5f, 0.01f,
                       &sum);
    }
    for (int i = 0; i < N; i++) {
        p.dlogits = dz[1], p.dvalue = dv[1];
        const vly_row_stats s = vly_rule_policy_loss(&p, i, z + i * A, dz[1] + i * A, 0.25f, 1.5f,
                                                     0.01f);
        want.count += s.count, want.policy_loss += s.policy_loss, want.value_loss += s.value_loss,
            want.entropy += s.entropy;
        want.kl += s.kl, want.clipped += s.clipped, want.nonfinite += s.nonfinite;
    }
    for (int i = 0; i < N * A; i++)
        CHECK(memcmp(&dz[0][i], &dz[1][i], 4) == 0 ||
              (dz[0][i] != dz[0][i] && dz[1][i] != dz[1][i]) || dz[0][i] == dz[1][i]);
    CHECK(memcmp(dv[0], dv[1], sizeof dv[0]) == 0);
    CHECK_EQ(sum.count, want.count);
    CHECK_EQ(sum.nonfinite, want.nonfinite);
    CHECK_EQ(sum.clipped, want.clipped);
    if (want.nonfinite == 0)
        CHECK_EQ(sum.policy_loss == want.policy_loss && sum.value_loss == want.value_loss &&
                     sum.entropy == want.entropy && sum.kl == want.kl,
                 1);
}

static void steps_are_the_rule(const vly_exact *e, vly_optimizer_kind kind) {
    const vly_optimizer o = {kind, 0.9f, 0.99f, 1e-5f, kind == VLY_RMSPROP_CENTERED ? 0 : 0.5f};
    const vly_step_scalars s = {0.01f, 0.7f, 1.3f, 1.9f};
    vly_real *g = noise_array(1, N), *p[2], *m[2], *v[2];
    for (int k = 0; k < 2; k++) {
        p[k] = noise_array(2, N), m[k] = noise_array(3, N), v[k] = noise_array(4, N);
        for (int i = 0; i < N; i++) v[k][i] = fabsf(v[k][i]) + 1;
        m[k][3] = -1e-33f, m[k][N - 2] = 1e-40f; /* moments that become 0 */
    }
    CHECK(e->optimize(&o, &s, N, g, p[0], m[0], v[0]));
    for (int i = 0; i < N; i++) vly_rule_optimize(&o, s, g[i], p[1] + i, m[1] + i, v[1] + i);
    CHECK(memcmp(p[0], p[1], N * 4) == 0 && memcmp(m[0], m[1], N * 4) == 0 &&
          memcmp(v[0], v[1], N * 4) == 0);
    p[0][N - 1] = INFINITY;
    CHECK(!e->optimize(&o, &s, N, g, p[0], m[0], v[0]));
}

static void the_rest_agrees_with_the_baseline(const vly_exact *e) {
    vly_real *x = noise_array(7, N), *y = noise_array(8, N), *a = noise_array(9, N),
             *b = noise_array(9, N);
    uint16_t x16[N], y16[N], a16[N], b16[N];
    x[5] = NAN, x[6] = -0.0f, x[7] = 3.4e38f;
    CHECK(e->squares(N, y) == vly_exact_base.squares(N, y));
    e->to_bf16(N, x, x16), e->to_bf16(N, y, y16);
    for (int i = 0; i < N; i++) CHECK_EQ(x16[i], vly_bf16_from_f32(x[i]));
#define SAME(call, base)                                                        \
    do {                                                                        \
        memcpy(a, y, N * 4), memcpy(b, y, N * 4), memcpy(a16, y16, sizeof a16), \
            memcpy(b16, y16, sizeof b16);                                       \
        e->call;                                                                \
        vly_exact_base.base;                                                    \
        CHECK(memcmp(a, b, N * 4) == 0 && memcmp(a16, b16, sizeof a16) == 0);   \
    } while (0)
    SAME(from_bf16(N, x16, a), from_bf16(N, x16, b));
    SAME(polyak(N, a, y, 0.3f), polyak(N, b, y, 0.3f));
    SAME(relu(N, x, a), relu(N, x, b));
    SAME(relu_backward(N, x, y, a, true), relu_backward(N, x, y, b, true));
    SAME(relu16(N, x16, a16), relu16(N, x16, b16));
    SAME(relu16_backward(N, x16, y16, a16, true), relu16_backward(N, x16, y16, b16, true));
    SAME(relu16_backward(N, x16, y16, a16, false), relu16_backward(N, x16, y16, b16, false));
    SAME(add16(N, x16, a16), add16(N, x16, b16));
    SAME(max(N, x, a), max(N, x, b));
    SAME(max16(N, x16, a16), max16(N, x16, b16));
    SAME(interleave4(N / 2 - 3, (uint8_t *)x16, (uint8_t *)x16 + 3, (uint8_t *)y16,
                     (uint8_t *)y16 + 1, (uint8_t *)a),
         interleave4(N / 2 - 3, (uint8_t *)x16, (uint8_t *)x16 + 3, (uint8_t *)y16,
                     (uint8_t *)y16 + 1, (uint8_t *)b));
}

int main(void) {
    static const char *const widths[] = {"avx512", "avx2", "base"};
    for (int w = 0; w < 3; w++) {
        if (!vly_simd_force(widths[w])) {
            SKIP_PART("this processor has no %s", widths[w]);
            continue;
        }
        const vly_exact *e = vly_exact_best();
        for (int A = 1; A <= 19; A += A < 6 ? 1 : 6)
            for (int variant = 0; variant < 4; variant++) policy_losses_are_the_rule(e, A, variant);
        for (int kind = VLY_SGD; kind <= VLY_RMSPROP_CENTERED; kind++)
            steps_are_the_rule(e, (vly_optimizer_kind)kind);
        the_rest_agrees_with_the_baseline(e);
    }
    return TEST_PASS;
}
