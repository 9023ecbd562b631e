#include "cpu/ops/bf16.h"
#include "tests/kit/golden.h"

typedef struct {
    int h, w, c, stack, N, T;
    vly_dtype dtype;
    vly_dtype type;
} shape;

/* Every number of every row against the definition: stacked oldest first, zeros before the episode.
 */
static void rows_are_stacked(shape s) {
    const int numbers = s.h * s.w * s.c, rows = s.N * s.T;
    const size_t bytes = (size_t)numbers * (s.dtype == VLY_U8 ? 1 : 4);
    uint8_t *frames = malloc(bytes * (size_t)rows), *age = malloc((size_t)rows);
    for (size_t i = 0; i < (size_t)numbers * (size_t)rows; i++)
        if (s.dtype == VLY_U8)
            frames[i] = (uint8_t)(i * 37 + i / 101);
        else
            ((float *)frames)[i] = (float)noise(1, (uint32_t)i);
    for (int i = 0; i < rows; i++) age[i] = (uint8_t)((i / s.N) % 7 + (i % 3 == 0 ? 200 : 0));
    const vly_frames f = {frames,
                          s.stack > 1 ? age : NULL,
                          rows,
                          s.N,
                          {s.dtype,
                           s.h * s.w > 1 ? 3 : 1,
                           {s.h * s.w > 1 ? s.h : numbers, s.w, s.c},
                           s.stack,
                           0.25f,
                           bytes}};
    enum { n = 41 };
    int32_t row[n];
    for (int i = 0; i < n; i++) row[i] = (int32_t)((i * 29 + 3) % rows);
    for (int mode = 0; mode < 2; mode++) {
        const int64_t first = rows - 5; /* wraps around */
        const size_t size = (size_t)numbers * (size_t)s.stack * n * vly_dtype_bytes(s.type);
        void *x = poisoned(size);
        CHECK_OK(cpu->gather(queue, &f, n, mode ? NULL : row, first, s.type, x));
        guard_check(x, size);
        size_t at = 0;
        for (int i = 0; i < n; i++)
            for (int p = 0; p < s.h * s.w; p++)
                for (int k = 0; k < s.stack; k++)
                    for (int c = 0; c < s.c; c++, at++) {
                        const int64_t r = mode ? (first + i) % rows : row[i],
                                      back = s.stack - 1 - k;
                        const int64_t from = ((r - back * s.N) % rows + rows) % rows * numbers +
                                             p * s.c + c;
                        const bool there = back == 0 || back <= age[r];
                        const float v = !there              ? 0
                                        : s.dtype == VLY_U8 ? frames[from]
                                                            : ((float *)frames)[from];
                        if (s.type == VLY_U8)
                            CHECK_EQ(((uint8_t *)x)[at], v);
                        else if (s.type == VLY_BF16)
                            CHECK_EQ(((uint16_t *)x)[at], vly_bf16_from_f32(0.25f * v));
                        else
                            CHECK_EQ(((vly_real *)x)[at] == (vly_real)(0.25f * v), 1);
                    }
        free(x);
    }
    free(frames), free(age);
}

static void bad_arguments_are_named(void) {
    uint8_t frames[16] = {0};
    float x[16];
    vly_frames f = {frames, NULL, 4, 1, {VLY_U8, 1, {4, 0, 0}, 2, 1, 4}};
    CHECK_EQ(cpu->gather(queue, &f, 1, NULL, 0, VLY_F32, x), VLY_EINVAL); /* a stack needs ages */
    f.obs.stack = 1;
    CHECK_OK(cpu->gather(queue, &f, 1, NULL, 0, VLY_F32, x));
    f.obs.dtype = VLY_F32;
    CHECK_EQ(cpu->gather(queue, &f, 1, NULL, 0, VLY_U8, x), VLY_EINVAL);
    CHECK(strstr(vly_error_text(), "gather"));
}

int main(void) {
    cpu_open(2);
    static const vly_dtype to[] = {VLY_U8, VLY_F32, VLY_BF16};
    for (int t = 0; t < 3; t++) {
        rows_are_stacked((shape){84, 84, 1, 4, 3, 11, VLY_U8, to[t]});
        rows_are_stacked((shape){10, 10, 7, 1, 4, 13, VLY_U8, to[t]});
        rows_are_stacked((shape){5, 7, 1, 4, 2, 9, VLY_U8, to[t]});
        rows_are_stacked((shape){5, 3, 3, 2, 2, 9, VLY_U8, to[t]});
        rows_are_stacked((shape){9, 11, 1, 3, 1, 40, VLY_U8, to[t]});
        if (t == 0) continue;
        rows_are_stacked((shape){1, 1, 4, 1, 5, 7, VLY_F32, to[t]});
        rows_are_stacked((shape){1, 1, 6, 3, 5, 7, VLY_F32, to[t]});
    }
    bad_arguments_are_named();
    cpu_close();
    return TEST_PASS;
}
