/* Products of bf16 matrices, on tiles and on vectors: the definition in double precision. */
#include "cpu/ops/bf16_simd.h"
#include "cpu/ops/bf16.h"
#include "cpu/ops/simd.h"
#include "tests/kit/golden.h"

enum { M = 33, N = 70, K = 101, LDA = 131, N_TILES = 5, K_TILES = 4, GUARD = 0x7fc1 };

static const vly_bf16_simd *simd;
/* A (M, LDA): zeros from K to a whole tile, then not-a-number. B (K, N) and its packed tiles. */
static uint16_t a[M * LDA],
    tiles[N_TILES * K_TILES * VLY_TILE_NUMBERS] __attribute__((aligned(64)));
static float b[K * N], bias[N_TILES * VLY_TILE];

static float low(float x) {
    return vly_bf16_to_f32(vly_bf16_from_f32(x));
}

/* A, and B packed from (k, n) numbers amid not-a-number; transposed: from its transpose. */
static void fill(int k, int n, bool transposed) {
    static float w[(K > N ? K : N) * (K > N ? K : N)];
    for (int i = 0; i < M * LDA; i++) {
        const int c = i % LDA, whole = (k + VLY_TILE_DEPTH - 1) / VLY_TILE_DEPTH * VLY_TILE_DEPTH;
        a[i] = c < k ? vly_bf16_from_f32(noise(1, (uint32_t)i)) : c < whole ? 0 : GUARD;
    }
    const int ld = K > N ? K : N;
    for (int i = 0; i < ld * ld; i++) w[i] = NAN;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < n; j++) {
            b[i * N + j] = noise(2, (uint32_t)(i * N + j));
            w[transposed ? j * ld + i : i * ld + j] = b[i * N + j] * (transposed ? 0.5f : 1);
            b[i * N + j] = low(b[i * N + j]);
        }
    memset(tiles, 0xff, sizeof tiles);
    for (int t = 0; t < N_TILES; t++)
        for (int d = 0; d < K_TILES; d++) {
            uint16_t *to = tiles + (t * K_TILES + d) * VLY_TILE_NUMBERS;
            const int r = d * VLY_TILE_DEPTH, c = t * VLY_TILE;
            if (r >= k || c >= n) continue;
            if (transposed)
                simd->pack_transposed(w + c * ld + r, ld, n - c, k - r, 2, to);
            else
                simd->pack(w + r * ld + c, ld, k - r, n - c, to);
        }
    for (int j = 0; j < N_TILES * VLY_TILE; j++) bias[j] = noise(3, (uint32_t)j);
}

static vly_bf16_product product(int m, int n, int k) {
    return (vly_bf16_product){.a = a,
                              .lda = LDA,
                              .b = tiles,
                              .b_n = K_TILES * VLY_TILE_NUMBERS,
                              .b_row = 2 * VLY_TILE,
                              .m = m,
                              .n = n,
                              .k = k};
}

static double defined(int row, int column, int k) {
    double sum = 0;
    for (int i = 0; i < k; i++)
        sum += (double)vly_bf16_to_f32(a[row * LDA + i]) * (double)b[i * N + column];
    return sum;
}

static double activated(vly_act act, double x) {
    return act == VLY_ACT_RELU ? fmax(x, 0) : act == VLY_ACT_TANH ? tanh(x) : x;
}

static void outputs_agree(int m, int n, int k, vly_dtype type, vly_act act) {
    const int ld = n + 3;
    const size_t bytes = (size_t)(m * ld) * vly_dtype_bytes(type);
    void *y = poisoned(bytes), *fresh = poisoned(bytes);
    vly_bf16_product p = product(m, n, k);
    p.y = y, p.y_type = type, p.ldy = ld, p.act = act, p.tanh = vly_simd_best()->tanh;
    p.bias = act == VLY_ACT_NONE ? NULL : bias;
    simd->multiply(&p);
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            const double want = activated(act, defined(i, j, k) + (p.bias ? (double)bias[j] : 0));
            const int64_t at = (int64_t)i * ld + j;
            if (type == VLY_BF16)
                CHECK_NEAR((double)vly_bf16_to_f32(((uint16_t *)y)[at]), want, 4e-3);
            else
                CHECK_NEAR((double)((float *)y)[at], want, 2e-6 * sqrt(k + 4));
        }
        const size_t from = (size_t)(i * ld + n) * vly_dtype_bytes(type);
        CHECK(memcmp((char *)y + from, (char *)fresh + from, 3 * vly_dtype_bytes(type)) == 0);
    }
    guard_check(y, bytes);
    free(y), free(fresh);
}

static void sums_agree(int m, int n, int k) {
    const int ld = n + VLY_TILE;
    const size_t bytes = (size_t)(m * ld) * sizeof(float);
    float *sum = poisoned(bytes);
    vly_bf16_product p = product(m, n, k);
    p.sum = sum, p.ld_sum = ld;
    for (int times = 1; times <= 2; times++, p.add = true) {
        simd->multiply(&p);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++)
                CHECK_NEAR((double)sum[i * ld + j], times * defined(i, j, k), 2e-6 * sqrt(k + 4));
            for (int j = n; j < ld; j++) CHECK(isnan(sum[i * ld + j]));
        }
    }
    guard_check(sum, bytes);
    free(sum);
}

static void products_are_the_definition(void) {
    static const int m[] = {1, 2, 6, 7, 13, 16, 17, 32, 33}, n[] = {1, 6, 16, 17, 33, 48, 64, 70},
                     k[] = {1, 2, 31, 32, 33, 36, 64, K};
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 8; j++)
            for (int l = 0; l < 8; l++) {
                fill(k[l], n[j], (i + j + l) % 2);
                outputs_agree(m[i], n[j], k[l], (i + l) % 2 ? VLY_BF16 : VLY_F32,
                              (vly_act)((i + j + l) % 3));
                if (n[j] % VLY_TILE == 0) sums_agree(m[i], n[j], k[l]);
            }
}

/* A pair of rows of B may lie anywhere: one row of tiles after the other, as dW's are. */
static void paired_rows_may_lie_apart(void) {
    static uint16_t apart[K_TILES * VLY_TILE * 2 * N_TILES * VLY_TILE] __attribute__((aligned(64)));
    static float packed_sum[M * 64], sum[M * 64];
    const int width = 2 * N_TILES * VLY_TILE;
    fill(K, N, false);
    for (int t = 0; t < N_TILES; t++)
        for (int r = 0; r < K_TILES * VLY_TILE; r++)
            memcpy(apart + r * width + t * 2 * VLY_TILE,
                   tiles + (t * K_TILES * VLY_TILE + r) * 2 * VLY_TILE,
                   2 * VLY_TILE * sizeof *apart);
    vly_bf16_product p = product(M, 64, K);
    p.ld_sum = 64, p.sum = packed_sum;
    simd->multiply(&p);
    p.b = apart, p.b_n = 2 * VLY_TILE, p.b_row = width, p.sum = sum;
    simd->multiply(&p);
    CHECK(memcmp(sum, packed_sum, sizeof sum) == 0);
}

/* Blocks of rows and columns leave the bits alone. */
static void each_number_has_one_order(void) {
    static float all[M * 64], one[64], columns[M * 16];
    fill(K, N, false);
    vly_bf16_product p = product(M, 64, K);
    p.sum = all, p.ld_sum = 64;
    simd->multiply(&p);
    for (int i = 0; i < M; i++) {
        p.m = 1, p.a = a + i * LDA, p.sum = one;
        simd->multiply(&p);
        CHECK(memcmp(one, all + i * 64, sizeof one) == 0);
    }
    p = product(M, 16, K);
    p.b += 2 * p.b_n, p.sum = columns, p.ld_sum = 16;
    simd->multiply(&p);
    for (int i = 0; i < M; i++) CHECK(memcmp(columns + i * 16, all + i * 64 + 32, 64) == 0);
}

/* Patches of 3 runs of 12 numbers, where they lie in an image of 40 a line. */
enum { RUN = 12, PATCH = 3 * RUN, LINE = 40, PATCHES = 14 };

static void places(int32_t at[PATCHES]) {
    for (int i = 0; i < PATCHES; i++) at[i] = i / 7 * LINE + i % 7 * 4; /* 8 numbers in common */
}

static void patches_are_read_in_place(void) {
    static uint16_t image[4 * LINE], copy[PATCHES * LDA];
    static float want[PATCHES * 64], got[PATCHES * 64];
    int32_t at[PATCHES];
    places(at);
    fill(PATCH, 64, false);
    for (int i = 0; i < 4 * LINE; i++) image[i] = vly_bf16_from_f32(noise(4, (uint32_t)i));
    for (int i = 0; i < PATCHES; i++)
        for (int r = 0; r < 3; r++)
            memcpy(copy + i * LDA + r * RUN, image + at[i] + r * LINE, RUN * sizeof *copy);
    vly_bf16_product p = product(PATCHES, 64, PATCH);
    p.a = copy, p.sum = want, p.ld_sum = 64;
    simd->multiply(&p);
    p.a = image, p.a_at = at, p.run = RUN, p.step = LINE, p.sum = got;
    simd->multiply(&p);
    CHECK(memcmp(got, want, sizeof got) == 0);
}

static void overlapping_rows_are_added_up(void) {
    static float want[4 * LINE + 80], got[4 * LINE + 80];
    static float rows[PATCHES * 80];
    int32_t at[PATCHES];
    places(at);
    fill(K, 70, false); /* 80 columns: more than one block */
    vly_bf16_product p = product(PATCHES, 80, K);
    p.sum = rows, p.ld_sum = 80;
    simd->multiply(&p);
    for (int i = 0; i < 4 * LINE + 80; i++) want[i] = got[i] = noise(5, (uint32_t)i);
    for (int i = 0; i < PATCHES; i++)
        for (int j = 0; j < 80; j++) want[at[i] + j] += rows[i * 80 + j];
    p.sum = got, p.sum_at = at, p.add = true;
    simd->multiply(&p);
    for (int i = 0; i < 4 * LINE + 80; i++) CHECK_NEAR((double)got[i], (double)want[i], 1e-6);
}

/* Pairs of rows of B in groups of 7, as far apart as lines of an image are. */
static void runs_of_paired_rows_may_lie_apart(void) {
    enum { PAIRS = 7, GAP = 96, WIDTH = 2 * VLY_TILE, ALL = 3 * PAIRS };
    static uint16_t apart[3 * (PAIRS * WIDTH + GAP)];
    static float want[M * VLY_TILE], got[M * VLY_TILE];
    fill(2 * ALL, VLY_TILE, false);
    memset(apart, 0xff, sizeof apart);
    for (int r = 0; r < ALL; r++)
        memcpy(apart + r * WIDTH + r / PAIRS * GAP, tiles + r * WIDTH, WIDTH * sizeof *apart);
    vly_bf16_product p = product(M, VLY_TILE, 2 * ALL);
    p.sum = want, p.ld_sum = VLY_TILE;
    simd->multiply(&p);
    p.b = apart, p.b_step = GAP, p.run = p.step = 2 * PAIRS, p.sum = got;
    simd->multiply(&p);
    CHECK(memcmp(got, want, sizeof got) == 0);
}

static void pixels_are_paired_with_their_neighbours(void) {
    enum { COUNT = 37, APART = 5 };
    static const int counts[] = {1, 16, 17, COUNT};
    uint8_t x[COUNT + APART];
    for (int i = 0; i < COUNT + APART; i++) x[i] = (uint8_t)(255 - 6 * i);
    for (int k = 0; k < 4; k++) {
        uint16_t *out = poisoned(2 * COUNT * sizeof *out),
                 *fresh = poisoned(2 * COUNT * sizeof *out);
        simd->pair_u8(counts[k], x, APART, out);
        for (int i = 0; i < counts[k]; i++) {
            CHECK(vly_bf16_to_f32(out[2 * i]) == (float)x[i]);
            CHECK(vly_bf16_to_f32(out[2 * i + 1]) == (float)x[i + APART]);
        }
        const size_t done = 2 * (size_t)counts[k];
        CHECK(memcmp(out + done, fresh + done, (2 * COUNT - done) * sizeof *out) == 0);
        guard_check(out, 2 * COUNT * sizeof *out);
        free(out), free(fresh);
    }
}

static float first_sum(float x, float w) {
    float sum[VLY_TILE];
    fill(2, 1, false);
    a[0] = vly_bf16_from_f32(x), tiles[0] = vly_bf16_from_f32(w);
    a[1] = tiles[1] = 0;
    vly_bf16_product p = product(1, VLY_TILE, 2);
    p.sum = sum, p.ld_sum = VLY_TILE;
    simd->multiply(&p);
    return sum[0];
}

static void subnormals_are_zeros(void) {
    CHECK(first_sum(2e-38f, 0.5f) == 0);  /* the sum */
    CHECK(first_sum(1e-39f, 1e30f) == 0); /* an operand */
    CHECK(first_sum(2e-38f, 1) == low(2e-38f));
    CHECK(isnan(first_sum(NAN, 1)) && isnan(first_sum(1, NAN)) && isnan(first_sum(INFINITY, 0)));
    CHECK(first_sum(INFINITY, -1) == -INFINITY);
}

/* Below AVX-512, and by name. */
static void it_follows_the_width_that_is_forced(void) {
    CHECK(!vly_bf16_simd_force("vectors"));
    if (vly_simd_force("avx2")) CHECK(!vly_bf16_simd_best());
    vly_simd_force(NULL);
}

int main(void) {
    static const char *const names[] = {"amx", "avx512"};
    for (int i = 0; i < 2; i++) {
        simd = vly_bf16_simd_force(names[i]);
        if (!simd) {
            SKIP_PART("this processor multiplies no bf16 with %s", names[i]);
            continue;
        }
        CHECK(vly_bf16_simd_best() == simd);
        products_are_the_definition();
        paired_rows_may_lie_apart();
        each_number_has_one_order();
        if (simd->in_place) {
            patches_are_read_in_place();
            overlapping_rows_are_added_up();
            runs_of_paired_rows_may_lie_apart();
        }
        pixels_are_paired_with_their_neighbours();
        subnormals_are_zeros();
    }
    vly_bf16_simd_force(NULL);
    it_follows_the_width_that_is_forced();
    return TEST_PASS;
}
