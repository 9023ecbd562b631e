/* md5.c -- RFC 1321; ROM files are identified by their published md5 sums. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "envs/atari/machine.h"

static uint32_t rotated(uint32_t x, int n) {
    return x << n | x >> (32 - n);
}

static void md5_block(uint32_t state[4], const uint8_t *block) {
    static const uint8_t shift[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], word[16];
    for (int i = 0; i < 16; ++i)
        word[i] = (uint32_t)block[4 * i] | (uint32_t)block[4 * i + 1] << 8 |
                  (uint32_t)block[4 * i + 2] << 16 | (uint32_t)block[4 * i + 3] << 24;
    for (int i = 0; i < 64; ++i) {
        uint32_t f;
        int k;
        switch (i / 16) {
        case 0: f = (b & c) | (~b & d), k = i; break;
        case 1: f = (d & b) | (~d & c), k = (5 * i + 1) % 16; break;
        case 2: f = b ^ c ^ d, k = (3 * i + 5) % 16; break;
        default: f = c ^ (b | ~d), k = 7 * i % 16; break;
        }
        uint32_t sine = (uint32_t)floor(4294967296.0 * fabs(sin(i + 1)));
        uint32_t t = d;
        d = c;
        c = b;
        b += rotated(a + f + sine + word[k], shift[i / 16][i % 4]);
        a = t;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

void vly_rom_md5(const uint8_t *bytes, size_t n, char hex[33]) {
    uint32_t state[4] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u};
    size_t whole = n / 64 * 64;
    for (size_t i = 0; i < whole; i += 64) md5_block(state, bytes + i);
    uint8_t tail[128] = {0};
    size_t rest = n - whole, padded = rest < 56 ? 64 : 128;
    if (rest) memcpy(tail, bytes + whole, rest);
    tail[rest] = 0x80;
    for (int i = 0; i < 8; ++i) tail[padded - 8 + (size_t)i] = (uint8_t)((uint64_t)n * 8 >> 8 * i);
    for (size_t i = 0; i < padded; i += 64) md5_block(state, tail + i);
    for (int i = 0; i < 16; ++i)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)(state[i / 4] >> i % 4 * 8 & 0xff));
}
