#include "tests/kit/golden.h"
#include "cpu/ops/simd.h"

enum { T = 7, N = 3, H = 5 };
#define SIZE(t, n, h) (&(vly_lstm_size){t, n, h, false})

typedef struct {
    vly_real gates[T * N * 4 * H], h[(T + 1) * N * H], c[(T + 1) * N * H];
} state;

static void state_open(state *s) {
    memset(s, 0xff, sizeof *s);
    memcpy(s->gates, golden_reals("lstm", "gates"), sizeof s->gates);
    memcpy(s->h, golden_reals("lstm", "h0"), N * H * sizeof *s->h);
    memcpy(s->c, golden_reals("lstm", "c0"), N * H * sizeof *s->c);
}

static void it_agrees_with_pytorch(void) {
    static state s;
    static vly_real dgates[T * N * 4 * H], dw[4 * H * H], work[6 * T * N * H];
    state_open(&s);
    const vly_real *w = golden_reals("lstm", "w_h");
    const uint8_t *reset = golden_bytes("lstm", "reset");
    CHECK_OK(cpu->lstm_forward(queue, SIZE(T, N, H), w, reset, s.gates, s.h, s.c));
    golden_check("lstm", "h", s.h + N * H, 1e-5);
    golden_check("lstm", "c", s.c + N * H, 1e-5);
    memset(dgates, 0xff, sizeof dgates), memset(dw, 0xff, sizeof dw),
        memset(work, 0xff, sizeof work);
    CHECK_OK(cpu->lstm_backward(queue, SIZE(T, N, H), w, reset, s.gates, s.h, s.c,
                                golden_reals("lstm", "dh"), dgates, dw, work));
    golden_check("lstm", "dgates", dgates, 1e-5);
    golden_check("lstm", "dw_h", dw, 1e-5);
}

/* Against loops in double, with rows that start afresh; and the same bits however rows and threads
 * are cut. */
static void it_is_the_definition_at_any_size(int T1, int n, int H1) {
    const int64_t rows = (int64_t)T1 * n, S = (int64_t)n * H1, G = 4 * H1;
    const size_t R = sizeof(vly_real);
    vly_real *w = keep(malloc((size_t)(G * H1) * R)), *gates = poisoned((size_t)(rows * G) * R),
             *h = poisoned((size_t)(S * (T1 + 1)) * R);
    vly_real *c = poisoned((size_t)(S * (T1 + 1)) * R), *dh = keep(malloc((size_t)(rows * H1) * R)),
             *dgates = poisoned((size_t)(rows * G) * R);
    vly_real *dw = poisoned((size_t)(G * H1) * R), *work = poisoned((size_t)(6 * T1 * S) * R),
             *x = keep(malloc((size_t)(rows * G) * R));
    uint8_t *reset = keep(calloc((size_t)rows, 1));
    for (int64_t i = 0; i < G * H1; i++)
        w[i] = (vly_unit(vly_philox(1, VLY_STREAM_TEST, 0, (uint32_t)i).v[0]) - (vly_real)0.5) / 4;
    for (int64_t i = 0; i < rows * G; i++)
        x[i] = gates[i] = 2 * vly_unit(vly_philox(1, VLY_STREAM_TEST, 1, (uint32_t)i).v[0]) - 1;
    for (int64_t i = 0; i < rows * H1; i++)
        dh[i] = vly_unit(vly_philox(1, VLY_STREAM_TEST, 2, (uint32_t)i).v[0]) - (vly_real)0.5;
    for (int64_t i = 0; i < S; i++)
        h[i] = c[i] = vly_unit(vly_philox(1, VLY_STREAM_TEST, 3, (uint32_t)i).v[0]) - (vly_real)0.5;
    for (int64_t i = 0; i < rows; i++)
        reset[i] = vly_philox(1, VLY_STREAM_TEST, 4, (uint32_t)i).v[0] % 5 == 0 ? VLY_ROW_RESET : 0;
    CHECK_OK(cpu->lstm_forward(queue, SIZE(T1, n, H1), w, reset, gates, h, c));
    CHECK_OK(
        cpu->lstm_backward(queue, SIZE(T1, n, H1), w, reset, gates, h, c, dh, dgates, dw, work));
    double worst = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int j = 0; j < H1; j++) {
            double sum[4], c0 = reset[i] ? 0 : c[i * H1 + j];
            for (int g = 0; g < 4; g++) {
                sum[g] = x[i * G + g * H1 + j];
                for (int k = 0; k < H1 && !reset[i]; k++)
                    sum[g] += (double)w[((int64_t)g * H1 + j) * H1 + k] * h[i * H1 + k];
            }
            const double in = 1 / (1 + exp(-sum[0])), forget = 1 / (1 + exp(-sum[1])),
                         out = 1 / (1 + exp(-sum[3])), c1 = forget * c0 + in * tanh(sum[2]);
            worst = fmax(worst, fabs(c[i * H1 + S + j] - c1));
            worst = fmax(worst, fabs(h[i * H1 + S + j] - out * tanh(c1)));
        }
    for (int64_t g = 0; g < G; g += 7)
        for (int k = 0; k < H1; k++) {
            double sum = 0;
            for (int64_t i = 0; i < rows; i++)
                sum += reset[i] ? 0 : (double)dgates[i * G + g] * h[i * H1 + k];
            worst = fmax(worst, fabs(dw[g * H1 + k] - sum));
        }
    CHECK(worst < 2e-5);
    /* row 0 alone: its numbers do not depend on its neighbours */
    vly_real *g1 = poisoned((size_t)(T1 * G) * R), *h1 = poisoned((size_t)(H1 * (T1 + 1)) * R),
             *c1 = poisoned((size_t)(H1 * (T1 + 1)) * R);
    vly_real *d1 = poisoned((size_t)(T1 * G) * R), *dh1 = keep(malloc((size_t)(T1 * H1) * R)),
             *dw1 = poisoned((size_t)(G * H1) * R);
    uint8_t *r1 = keep(calloc((size_t)T1, 1));
    memcpy(h1, h, (size_t)H1 * R), memcpy(c1, c, (size_t)H1 * R);
    for (int t = 0; t < T1; t++) {
        memcpy(g1 + t * G, x + (int64_t)t * n * G, (size_t)G * R),
            memcpy(dh1 + t * H1, dh + (int64_t)t * n * H1, (size_t)H1 * R);
        r1[t] = reset[(int64_t)t * n];
    }
    CHECK_OK(cpu->lstm_forward(queue, SIZE(T1, 1, H1), w, r1, g1, h1, c1));
    CHECK_OK(cpu->lstm_backward(queue, SIZE(T1, 1, H1), w, r1, g1, h1, c1, dh1, d1, dw1, work));
    for (int t = 0; t < T1; t++) {
        CHECK(!memcmp(h1 + (t + 1) * H1, h + (int64_t)(t + 1) * S, (size_t)H1 * R));
        CHECK(!memcmp(d1 + t * G, dgates + (int64_t)t * n * G, (size_t)G * R));
    }
}

static void bad_arguments_are_named(void) {
    static state s;
    CHECK_EQ(cpu->lstm_forward(queue, SIZE(0, N, H), s.h, (uint8_t *)&s, s.gates, s.h, s.c),
             VLY_EINVAL);
    CHECK_EQ(cpu->lstm_forward(queue, SIZE(T, N, H), NULL, (uint8_t *)&s, s.gates, s.h, s.c),
             VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "lstm"));
}

int main(void) {
    static const char *const widths[] = {"base", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        if (!vly_simd_force(widths[i])) continue;
        cpu_open(2);
        it_agrees_with_pytorch();
        it_is_the_definition_at_any_size(1, 1, 1);
        it_is_the_definition_at_any_size(3, 25, 17);
        it_is_the_definition_at_any_size(9, 53, 65);
        it_is_the_definition_at_any_size(5, 6, 128);
        bad_arguments_are_named();
        cpu_close();
    }
    return TEST_PASS;
}
