#include <float.h>
#include "tests/kit/golden.h"

typedef struct {
    vly_optimizer opt;
    vly_hyper hyper;
    vly_params p;
    vly_real stats[VLY_STATS], norm[2];
    int64_t step;
} trainer;

static void trainer_open(trainer *t, const char *name) {
    const double *s = golden_find(name, "setup")->v;
    memset(t, 0, sizeof *t);
    t->opt = (vly_optimizer){(vly_optimizer_kind)s[0], (float)s[2], (float)s[3], (float)s[4],
                             (float)s[5]};
    t->hyper = (vly_hyper){.lr = (float)s[1], .max_grad_norm = (float)s[6]};
    const int64_t n = golden_find(name, "w0")->n;
    t->p = (vly_params){.n = n,
                        .param = golden_reals(name, "w0"),
                        .m = keep(calloc((size_t)n, sizeof(vly_real))),
                        .v = keep(calloc((size_t)n, sizeof(vly_real))),
                        .step = &t->step};
    if (t->opt.kind == VLY_RMSPROP_TF)
        for (int64_t i = 0; i < n; i++) t->p.v[i] = 1;
}

static void it_agrees_with_the_reference(const char *name) {
    trainer t;
    trainer_open(&t, name);
    vly_real *grads = golden_reals(name, "grads");
    const golden_array *want = golden_find(name, "w");
    const int64_t steps = want->n / t.p.n;
    for (int64_t k = 0; k < steps; k++) {
        t.p.grad = grads + k * t.p.n;
        CHECK_OK(cpu->grad_norm(queue, t.p.n, t.p.grad, t.norm));
        CHECK_OK(cpu->optimize(queue, &t.opt, &t.p, t.norm, &t.hyper, t.stats));
        for (int64_t i = 0; i < t.p.n; i++) CHECK_NEAR(t.p.param[i], want->v[k * t.p.n + i], 1e-5);
    }
    CHECK_EQ(t.step, steps);
    CHECK_EQ(t.stats[VLY_STAT_STEPS], steps);
    CHECK_NEAR(t.stats[VLY_STAT_GRAD_NORM], golden_at(name, "setup", 7), 1e-5);
    CHECK_EQ(t.stats[VLY_STAT_NONFINITE], 0);
}

static void refuses(trainer *t, const char *name) {
    vly_real before[64];
    memcpy(before, t->p.param, (size_t)t->p.n * sizeof *before);
    CHECK_OK(cpu->grad_norm(queue, t->p.n, t->p.grad, t->norm));
    CHECK_OK(cpu->optimize(queue, &t->opt, &t->p, t->norm, &t->hyper, t->stats));
    CHECK(memcmp(before, t->p.param, (size_t)t->p.n * sizeof *before) == 0);
    for (int64_t i = 0; i < t->p.n; i++)
        CHECK(t->p.m[i] == 0 && (t->p.v[i] == 0 || t->p.v[i] == 1));
    CHECK_EQ(t->step, 0);
    CHECK_EQ(t->stats[VLY_STAT_NONFINITE], 1);
    CHECK_EQ(t->stats[VLY_STAT_STEPS], 0);
    (void)name;
}

static void what_is_not_finite_is_not_applied(const char *name) {
    trainer t;
    trainer_open(&t, name);
    t.p.grad = golden_reals(name, "grads");
    t.p.grad[t.p.n - 1] = NAN;
    refuses(&t, name);
    CHECK_EQ(t.norm[1], 1);

    trainer_open(&t, name);
    t.p.grad = golden_reals(name, "grads");
    t.hyper.lr = INFINITY;
    refuses(&t, name);

    trainer_open(&t, name);
    t.p.grad = golden_reals(name, "grads");
    t.p.grad[0] = 1e30; /* its square is no float */
    t.hyper.max_grad_norm = 0;
    if (sizeof(vly_real) == 4 && t.opt.kind != VLY_SGD) refuses(&t, name);
}

/* Gradients that hardly change: their variance is zero, and rounding makes it negative. */
/* A unit that never fires again has gradients of 0: its moments decay through all exponents. */
static void silent_moments_become_zero(const char *name) {
    trainer t;
    trainer_open(&t, name);
    t.opt.beta2 = 0.98f;
    t.p.grad = golden_reals(name, "grads");
    double w[64], m[64], v[64];
    const double b1 = t.opt.beta1, b2 = t.opt.beta2, lr = t.hyper.lr, eps = t.opt.eps;
    const int n = (int)t.p.n;
    t.hyper.max_grad_norm = 0;
    for (int i = 0; i < n; i++) w[i] = t.p.param[i], m[i] = v[i] = 0;
    for (int64_t k = 0; k < 6000; k++) {
        for (int i = 0; i < n && k > 0; i++) t.p.grad[i] = 0;
        CHECK_OK(cpu->grad_norm(queue, n, t.p.grad, t.norm));
        CHECK_OK(cpu->optimize(queue, &t.opt, &t.p, t.norm, &t.hyper, t.stats));
        for (int i = 0; i < n; i++) {
            const double g = k > 0 ? 0 : t.p.grad[i], size = fabs((double)t.p.m[i]);
            CHECK(size == 0 || size >= FLT_MIN);
            CHECK(t.p.v[i] == 0 || t.p.v[i] >= FLT_MIN);
            m[i] = b1 * m[i] + (1 - b1) * g, v[i] = b2 * v[i] + (1 - b2) * g * g;
            w[i] -= lr * (m[i] / (1 - pow(b1, (double)k + 1))) /
                    (sqrt(v[i] / (1 - pow(b2, (double)k + 1))) + eps);
            if (t.opt.kind == VLY_ADAM) CHECK_NEAR(t.p.param[i], w[i], 1e-5);
        }
    }
    for (int i = 0; i < n; i++) CHECK(t.p.m[i] == 0 && t.p.v[i] == 0);
}

static void the_centered_variance_is_never_negative(void) {
    enum { n = 64, STEPS = 2000 };
    trainer t;
    trainer_open(&t, "centered");
    t.opt.eps = 1.5e-7f;
    t.hyper.max_grad_norm = 0;
    t.p.n = n, t.p.param = keep(calloc(n, sizeof(vly_real)));
    t.p.m = keep(calloc(n, sizeof(vly_real))), t.p.v = keep(calloc(n, sizeof(vly_real)));
    t.p.grad = keep(calloc(n, sizeof(vly_real)));
    for (int i = 0; i < n; i++) t.p.grad[i] = (vly_real)(3 + 0.37 * i);
    for (int k = 0; k < STEPS; k++) {
        CHECK_OK(cpu->grad_norm(queue, n, t.p.grad, t.norm));
        CHECK_OK(cpu->optimize(queue, &t.opt, &t.p, t.norm, &t.hyper, t.stats));
        CHECK_EQ(t.stats[VLY_STAT_NONFINITE], 0);
    }
    CHECK_EQ(t.step, STEPS);
}

static void long_norms_are_exact_enough(void) {
    enum { n = 100003 };
    vly_real *g = noise_array(1, n), norm[2];
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)g[i] * g[i];
    CHECK_OK(cpu->grad_norm(queue, n, g, norm));
    CHECK_NEAR(norm[0], sqrt(sum), 1e-6);
    CHECK_EQ(norm[1], 0);
    g[n / 2] = INFINITY;
    CHECK_OK(cpu->grad_norm(queue, n, g, norm));
    CHECK_EQ(norm[1], 1);
}

static void polyak_moves_the_target(void) {
    enum { n = 57 };
    vly_real *online = noise_array(1, n), *target = noise_array(2, n), *before = noise_array(2, n);
    vly_hyper h = {.tau = 0.25f};
    CHECK_OK(cpu->polyak(queue, n, target, online, &h));
    for (int i = 0; i < n; i++) CHECK_NEAR(target[i], 0.75 * before[i] + 0.25 * online[i], 1e-6);
    h.tau = 1;
    target[5] = NAN;
    CHECK_OK(cpu->polyak(queue, n, target, online, &h));
    CHECK(memcmp(target, online, n * sizeof *online) == 0);
}

static void bad_arguments_are_named(void) {
    trainer t;
    trainer_open(&t, "centered");
    t.p.grad = golden_reals("centered", "grads");
    t.opt.momentum = 0.9f;
    CHECK_EQ(cpu->optimize(queue, &t.opt, &t.p, t.norm, &t.hyper, t.stats), VLY_EINVAL);
    t.opt.momentum = 0, t.p.v = NULL;
    CHECK_EQ(cpu->optimize(queue, &t.opt, &t.p, t.norm, &t.hyper, t.stats), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "optimize"));
}

int main(void) {
    cpu_open(2);
    static const char *const names[] = {"sgd",       "momentum",    "adam",
                                        "adam_free", "rmsprop",     "rmsprop_momentum",
                                        "tf",        "tf_momentum", "centered"};
    for (int i = 0; i < 9; i++) {
        it_agrees_with_the_reference(names[i]);
        what_is_not_finite_is_not_applied(names[i]);
        silent_moments_become_zero(names[i]);
    }
    the_centered_variance_is_never_negative();
    long_norms_are_exact_enough();
    polyak_moves_the_target();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
