#include "tests/golden.h"

enum { T = 7, N = 3, H = 5 };

typedef struct { vly_real gates[T * N * 4 * H], h[(T + 1) * N * H], c[(T + 1) * N * H]; } state;

static void state_open(state *s) {
    memset(s, 0xff, sizeof *s);
    memcpy(s->gates, golden_reals("lstm", "gates"), sizeof s->gates);
    memcpy(s->h, golden_reals("lstm", "h0"), N * H * sizeof *s->h);
    memcpy(s->c, golden_reals("lstm", "c0"), N * H * sizeof *s->c);
}

static void it_agrees_with_pytorch(void) {
    static state s;
    static vly_real dgates[T * N * 4 * H], dw[4 * H * H], work[2 * N * H + N * 4 * H];
    state_open(&s);
    const vly_real *w = golden_reals("lstm", "w_h");
    const uint8_t *reset = golden_bytes("lstm", "reset");
    CHECK_OK(cpu->lstm_forward(queue, T, N, H, w, reset, s.gates, s.h, s.c));
    golden_check("lstm", "h", s.h + N * H, 1e-5);
    golden_check("lstm", "c", s.c + N * H, 1e-5);
    memset(dgates, 0xff, sizeof dgates), memset(dw, 0xff, sizeof dw), memset(work, 0xff, sizeof work);
    CHECK_OK(cpu->lstm_backward(queue, T, N, H, w, reset, s.gates, s.h, s.c, golden_reals("lstm", "dh"), dgates, dw, work));
    golden_check("lstm", "dgates", dgates, 1e-5);
    golden_check("lstm", "dw_h", dw, 1e-5);
}

static void bad_arguments_are_named(void) {
    static state s;
    CHECK_EQ(cpu->lstm_forward(queue, 0, N, H, s.h, (uint8_t *)&s, s.gates, s.h, s.c), VLY_EINVAL);
    CHECK_EQ(cpu->lstm_forward(queue, T, N, H, NULL, (uint8_t *)&s, s.gates, s.h, s.c), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "lstm"));
}

int main(void) {
    cpu_open(2);
    it_agrees_with_pytorch();
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
