/* NumPy's normal draws, as tests/golden/ziggurat.py recorded them. */
#include "envs/numpy_normal.h"
#include "tests/kit/check.h"

/* Sum, in order, of a million draws, and the last one: a draw that differs moves every later one. */
static void a_million_draws_are_numpys(uint64_t seed, double sum, double last) {
    vly_pcg64 rng;
    double total = 0, draw = 0;
    vly_pcg64_seed(&rng, seed);
    for (int i = 0; i < 1000000; i++) total += draw = vly_pcg64_normal(&rng);
    printf("seed %llu: %a, %a\n", (unsigned long long)seed, total, draw);
    CHECK(total == sum && draw == last);
}

int main(void) {
    a_million_draws_are_numpys(0, 0x1.f3490b0a722b1p+9, 0x1.d4425c8dcce83p-3);
    a_million_draws_are_numpys(7, -0x1.c32466f071925p+6, 0x1.9df3cebdc7194p+0);
    a_million_draws_are_numpys(1099511627779, -0x1.95b703bafd020p+9, 0x1.1827134e2e2bcp-2);
    return TEST_PASS;
}
