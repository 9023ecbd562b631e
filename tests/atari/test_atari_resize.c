/* The agent's picture, against checksums of what OpenCV made of the same images. */
#include "tests/kit/check.h"
#include "common/base/crc32.h"
#include "envs/atari/palette.h"
#include "envs/atari/resize.h"

static uint32_t lcg(uint32_t *s) {
    return *s = *s * 1664525u + 1013904223u;
}

/* Blocks of cells x cells random bytes: large flat areas and exact halves, as games have. */
static void draw(uint8_t *image, int height, uint32_t seed, int cells) {
    for (int y = 0; y < height; y += cells)
        for (int x = 0; x < 160; x += cells) {
            const uint8_t v = (uint8_t)(lcg(&seed) >> 24);
            for (int j = y; j < y + cells && j < height; j++)
                memset(image + 160 * j + x, v, (size_t)cells);
        }
}

static void resizing_is_opencvs_inter_area(void) {
    static const struct {
        int height, size;
        uint32_t crc; /* of the results for cells 1, 2 and 5: cv2 5.0.0, x86-64 */
    } gold[] = {
        {210, 84, 0x141db624u},  {210, 20, 0xf36cf126u},  {210, 64, 0x9b19c332u},
        {210, 96, 0x6e25dc4eu},  {210, 160, 0x0754868bu}, {214, 84, 0x734b068du},
        {214, 20, 0x3cdb1541u},  {214, 64, 0x9848c3b2u},  {214, 96, 0x18e1411eu},
        {214, 160, 0x528fcfbau}, {220, 84, 0x1f1fa961u},  {220, 20, 0x5349e02au},
        {220, 64, 0x8af9f42au},  {220, 96, 0x358224c8u},  {220, 160, 0xc5fe2064u},
        {230, 84, 0x4914d71cu},  {230, 20, 0xbd2e162fu},  {230, 64, 0xc2b899f5u},
        {230, 96, 0xf66012b4u},  {230, 160, 0x668b8642u}, {250, 84, 0xd8f519eau},
        {250, 20, 0xaf9645a6u},  {250, 64, 0x9b214418u},  {250, 96, 0xa2c595bbu},
        {250, 160, 0x9a318e06u},
    };
    static uint8_t image[250 * 160], fast[160 * 160 + 1], plain[160 * 160 + 1],
        colour[160 * 160 * 3];
    for (size_t i = 0; i < sizeof gold / sizeof *gold; i++) {
        const int size = gold[i].size, n = size * size;
        vly_area area;
        CHECK_EQ(vly_area_init(&area, gold[i].height, size), 0);
        uint32_t crc = 0;
        for (int cells = 1; cells <= 5; cells += cells == 1 ? 1 : 3) {
            draw(image, gold[i].height, (uint32_t)(gold[i].height * size), cells);
            memset(fast, 0xA5, sizeof fast), memset(plain, 0xA5, sizeof plain);
            vly_area_resize(&area, image, fast, 1);
            vly_area_resize_reference(&area, image, plain, 1);
            CHECK_EQ(memcmp(fast, plain, sizeof fast), 0);
            CHECK_EQ(fast[n], 0xA5);
            vly_area_resize(&area, image, colour + 1, 3);
            for (int k = 0; k < n; k++) CHECK_EQ(colour[3 * k + 1], plain[k]);
            crc = vly_crc32(crc, plain, (size_t)n);
        }
        CHECK_EQ(crc, gold[i].crc);
    }
}

static void random_images_resize_alike_on_every_path(void) {
    static uint8_t image[250 * 160], fast[160 * 160], plain[160 * 160];
    uint32_t seed = 7;
    for (int height = 200; height <= 250; height += 5)
        for (int size = 16; size <= 160; size += 7) {
            vly_area area;
            CHECK_EQ(vly_area_init(&area, height, size), 0);
            draw(image, height, lcg(&seed), 1);
            vly_area_resize(&area, image, fast, 1);
            vly_area_resize_reference(&area, image, plain, 1);
            CHECK_EQ(memcmp(fast, plain, (size_t)(size * size)), 0);
        }
}

static void sizes_that_make_no_sense_are_refused(void) {
    vly_area area;
    CHECK_EQ(vly_area_init(&area, 210, 15), -1);
    CHECK_EQ(vly_area_init(&area, 210, 161), -1);
    CHECK_EQ(vly_area_init(&area, 251, 84), -1);
    CHECK_EQ(vly_area_init(&area, 0, 84), -1);
    CHECK_EQ(vly_area_init(&area, 80, 84), -1);
}

static void pooling_is_the_maximum_of_colours_not_of_indices(void) {
    uint8_t lut[256], a[1000], b[1000], fast[1001], plain[1001];
    uint32_t seed = 3;
    for (int i = 0; i < 256; i++) lut[i] = (uint8_t)(lcg(&seed) >> 24);
    for (int i = 0; i < 1000; i++)
        a[i] = (uint8_t)(lcg(&seed) >> 24), b[i] = (uint8_t)(lcg(&seed) >> 24);
    for (size_t n = 0; n < 1000; n += 37) {
        memset(fast, 0x5A, sizeof fast), memset(plain, 0x5A, sizeof plain);
        vly_pool_lookup(lut, a, b, n, fast);
        vly_pool_lookup_reference(lut, a, b, n, plain);
        CHECK_EQ(memcmp(fast, plain, sizeof fast), 0);
        for (size_t i = 0; i < n; i++)
            CHECK_EQ(plain[i], lut[a[i]] > lut[b[i]] ? lut[a[i]] : lut[b[i]]);
        vly_pool_lookup(lut, a, NULL, n, fast);
        for (size_t i = 0; i < n; i++) CHECK_EQ(fast[i], lut[a[i]]);
    }
}

/* ALE 0.12.1's getScreenRGB and getScreenGrayscale of a cartridge showing these colours. */
static void colours_are_ales(void) {
    CHECK_EQ(vly_palette_rgb(0, 0x10), 0x484800);
    CHECK_EQ(vly_palette_rgb(0, 0xFE), 0xfce070);
    CHECK_EQ(vly_palette_grey(0, 0x0E), 236);
    CHECK_EQ(vly_palette_rgb(1, 0x20), 0x805800);
    CHECK_EQ(vly_palette_rgb(1, 0x03), 0x2b2b2b);
    CHECK_EQ(vly_palette_grey(1, 0x21), 0x1a);
    CHECK_EQ(vly_palette_grey(1, 0xFF), 0);
    int levels = 0;
    uint8_t seen[256] = {0};
    for (int i = 0; i < 256; i += 2) levels += !seen[vly_palette_grey(0, (uint8_t)i)]++;
    CHECK_EQ(levels, 93);
}

/* Blocks of rows and columns that repeat, in one screen or in both. */
static void the_usual_picture_is_pooled_and_resized(void) {
    static uint8_t a[211 * 160], b[211 * 160], grey[210 * 160], fast[84 * 84 + 1], plain[84 * 84];
    uint8_t lut[256];
    uint32_t seed = 11;
    vly_area area;
    CHECK_EQ(vly_area_init(&area, 210, 84), 0);
    for (int i = 0; i < 256; i++) lut[i] = (uint8_t)(lcg(&seed) >> 24);
    for (int round = 0; round < 60; round++) {
        draw(a, 210, lcg(&seed), 1 + round % 9), draw(b, 210, lcg(&seed), 1 + round % 7);
        if (round % 3 == 0) memcpy(b, a, (size_t)(160 * (70 + round)));
        if (round % 5 == 0) memset(a + 160 * 30, 77, 160 * 90), memset(b + 160 * 21, 78, 160 * 83);
        const uint8_t *other = round % 4 == 3 ? NULL : b;
        fast[84 * 84] = 0x5A;
        if (!vly_area_pool_usual(&area, lut, a, other, fast)) return;
        vly_pool_lookup_reference(lut, a, other, sizeof grey, grey);
        vly_area_resize_reference(&area, grey, plain, 1);
        CHECK_EQ(memcmp(fast, plain, sizeof plain), 0);
        CHECK_EQ(fast[84 * 84], 0x5A);
    }
}

int main(void) {
    the_usual_picture_is_pooled_and_resized();
    resizing_is_opencvs_inter_area();
    random_images_resize_alike_on_every_path();
    sizes_that_make_no_sense_are_refused();
    pooling_is_the_maximum_of_colours_not_of_indices();
    colours_are_ales();
    return TEST_PASS;
}
