/* Every layer's gradients by finite differences. The loss is a fixed random projection of the
 * output. */
#include "tests/ops/grad_check.h"

typedef struct {
    vly_layer_desc d;
    vly_layer *layer;
    int n;
    int64_t xs, ys, params;
    vly_real *x, *w, *y, *project;
} problem;

static double layer_loss(void *arg) {
    problem *p = arg;
    double loss = 0;
    CHECK_OK(cpu->layer_prepare(queue, p->layer, p->w));
    CHECK_OK(cpu->layer_forward(queue, p->layer, p->n, p->x, p->w, p->y));
    for (int64_t i = 0; i < p->ys; i++) loss += p->project[i] * p->y[i];
    return loss;
}

static void layer_gradients(const char *name, vly_layer_desc d, int n) {
    problem p = {.d = d, .n = n};
    const int oh = vly_out_size(d.in_h, d.kernel, d.stride, d.pad),
              ow = vly_out_size(d.in_w, d.kernel, d.stride, d.pad);
    p.xs = (int64_t)n * d.in_h * d.in_w * d.in_c, p.ys = (int64_t)n * oh * ow * d.out_c,
    p.params = vly_layer_params(&d);
    p.x = noise_array(1, p.xs), p.w = noise_array(2, p.params + 1),
    p.project = noise_array(3, p.ys);
    p.y = poisoned((size_t)p.ys * sizeof(vly_real));
    vly_real *dy = noise_array(3, p.ys), *dx = poisoned((size_t)p.xs * sizeof *dx),
             *dw = poisoned((size_t)(p.params + 1) * sizeof *dw);
    CHECK_OK(cpu->layer_create(cpu, &d, &p.layer));
    layer_loss(&p);
    CHECK_OK(cpu->layer_backward(queue, p.layer, n, p.x, p.y, p.w, dy, dx, dw, false));
    grad_check(name, layer_loss, &p, p.x, dx, p.xs);
    grad_check(name, layer_loss, &p, p.w, dw, p.params);
    cpu->layer_destroy(p.layer);
    free(p.x), free(p.w), free(p.project), free(p.y), free(dy), free(dx), free(dw);
}

typedef struct {
    vly_real *w, *gates, *h, *c, *project, *g0;
    const uint8_t *reset;
} lstm_problem;
enum { T = 5, N = 3, H = 4 };
static const vly_lstm_size lstm_size = {T, N, H, false};

static double lstm_loss(void *arg) {
    lstm_problem *p = arg;
    double loss = 0;
    memcpy(p->gates, p->g0, T * N * 4 * H * sizeof(vly_real));
    CHECK_OK(cpu->lstm_forward(queue, &lstm_size, p->w, p->reset, p->gates, p->h, p->c));
    for (int i = 0; i < T * N * H; i++) loss += p->project[i] * p->h[N * H + i];
    return loss;
}

static void lstm_gradients(void) {
    static const uint8_t reset[T * N] = {0, 4, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 4};
    lstm_problem p = {noise_array(1, 4 * H * H),
                      noise_array(2, T * N * 4 * H),
                      noise_array(3, (T + 1) * N * H),
                      noise_array(4, (T + 1) * N * H),
                      noise_array(5, T * N * H),
                      noise_array(2, T * N * 4 * H),
                      reset};
    vly_real dgates[T * N * 4 * H], dw[4 * H * H], work[6 * T * N * H];
    lstm_loss(&p);
    CHECK_OK(cpu->lstm_backward(queue, &lstm_size, p.w, reset, p.gates, p.h, p.c, p.project, dgates,
                                dw, work));
    grad_check("lstm gates", lstm_loss, &p, p.g0, dgates, T * N * 4 * H);
    grad_check("lstm w_h", lstm_loss, &p, p.w, dw, 4 * H * H);
}

typedef struct {
    vly_real *v, *a, *q, *project;
} dueling_problem;

static double dueling_loss(void *arg) {
    dueling_problem *p = arg;
    double loss = 0;
    CHECK_OK(cpu->dueling(queue, 5, 3, p->v, p->a, p->q));
    for (int i = 0; i < 15; i++) loss += p->project[i] * p->q[i];
    return loss;
}

static void dueling_gradients(void) {
    vly_real q[15], dv[5], da[15];
    dueling_problem p = {noise_array(1, 5), noise_array(2, 15), q, noise_array(3, 15)};
    CHECK_OK(cpu->dueling_backward(queue, 5, 3, p.project, dv, da));
    grad_check("dueling v", dueling_loss, &p, p.v, dv, 5);
    grad_check("dueling a", dueling_loss, &p, p.a, da, 15);
}

int main(void) {
    cpu_open(1);
    static const char *const act[] = {"none", "relu", "tanh"};
    for (int a = 0; a < 3; a++) {
        vly_layer_desc d = {.kind = VLY_LINEAR,
                            .act = (vly_act)a,
                            .batch_max = 8,
                            .in_h = 1,
                            .in_w = 1,
                            .in_c = 9,
                            .out_c = 5,
                            .kernel = 1,
                            .stride = 1,
                            .x_scale = 1,
                            .learn = true,
                            .needs_dx = true};
        layer_gradients(act[a], d, 6);
        d.kind = VLY_CONV, d.in_h = 7, d.in_w = 6, d.in_c = 3, d.kernel = 3, d.stride = 2,
        d.pad = 1;
        layer_gradients(act[a], d, 2);
        d.stride = 1, d.pad = 0, d.in_w = 9, d.out_c = 2;
        layer_gradients(act[a], d, 2);
    }
    vly_layer_desc pool = {.kind = VLY_MAXPOOL,
                           .batch_max = 3,
                           .in_h = 7,
                           .in_w = 8,
                           .in_c = 3,
                           .out_c = 3,
                           .kernel = 3,
                           .stride = 2,
                           .pad = 1,
                           .x_scale = 1,
                           .learn = true,
                           .needs_dx = true};
    layer_gradients("pool", pool, 2);
    lstm_gradients();
    dueling_gradients();
    cpu_close();
    return TEST_PASS;
}
