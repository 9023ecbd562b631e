/* input.h -- the bytes of a fuzzer as structured values, for targets that build what they test.
 *
 *   fuzz_input in = {data, bytes};
 *   const unsigned kind = fuzz_byte(&in) % 3;
 *   const int64_t count = fuzz_number(&in);        // often a limit of its type
 *   fuzz_patch(&in, message, sizeof message);      // a few bytes of a good message are replaced
 *
 * Past the end everything is 0.
 */
#ifndef VLY_TESTS_FUZZ_INPUT_H
#define VLY_TESTS_FUZZ_INPUT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct {
    const uint8_t *at;
    size_t left;
} fuzz_input;

/* A broken promise: the fuzzer, and the replay of the corpus, end here. */
static inline void fuzz_check(bool good) {
    if (!good) abort();
}

static inline size_t fuzz_take(fuzz_input *in, void *to, size_t bytes) {
    const size_t n = bytes < in->left ? bytes : in->left;
    memset(to, 0, bytes);
    if (n) memcpy(to, in->at, n);
    in->at += n, in->left -= n;
    return n;
}

static inline unsigned fuzz_byte(fuzz_input *in) {
    uint8_t x;
    fuzz_take(in, &x, 1);
    return x;
}

/* One byte for a small number or a limit, nine for any. */
static inline int64_t fuzz_number(fuzz_input *in) {
    static const int64_t limits[] = {INT64_MAX,        INT64_MIN, -1,         INT32_MAX,
                                     INT32_MIN,        255,       UINT32_MAX, INT64_MAX - 1,
                                     (int64_t)1 << 62, 65536,     1000000000, -2,
                                     (int64_t)1 << 40, 4096,      -65536,     1 << 24};
    const unsigned choice = fuzz_byte(in);
    int64_t x;
    if (choice < 192) return choice % 64;
    if (choice < 208) return limits[choice - 192];
    fuzz_take(in, &x, sizeof x);
    return x;
}

/* A common number, or any bits at all: NaN, infinities, denormals. */
static inline float fuzz_float(fuzz_input *in) {
    const unsigned choice = fuzz_byte(in);
    float x;
    if (choice < 192) return (float)choice / 16 - 4;
    fuzz_take(in, &x, sizeof x);
    return x;
}

/* Some bytes of `to` are replaced: a count, then for each an offset of two bytes and a value. */
static inline void fuzz_patch(fuzz_input *in, void *to, size_t bytes) {
    const unsigned n = fuzz_byte(in) % 16;
    for (unsigned i = 0; i < n && bytes; i++) {
        const size_t high = fuzz_byte(in), low = fuzz_byte(in);
        ((uint8_t *)to)[(high << 8 | low) % bytes] = (uint8_t)fuzz_byte(in);
    }
}

/* The rest as text: at most room - 1 bytes, and a 0. */
static inline size_t fuzz_text(fuzz_input *in, char *to, size_t room) {
    const size_t n = fuzz_take(in, to, room - 1);
    to[n] = '\0';
    return n;
}
#endif
