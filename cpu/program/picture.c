#include "cpu/program/picture.h"
#include <ctype.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/file.h"

enum { ABOUT = 480, LETTER_W = 6, LETTER_H = 7, BAND_ZOOM = 2, BAND = LETTER_H * BAND_ZOOM + 8 };

/* Rows of five bits, the left one highest. */
static const struct {
    char letter;
    uint8_t row[LETTER_H];
} font[] = {
    {'0', {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e}},
    {'1', {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e}},
    {'2', {0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f}},
    {'3', {0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e}},
    {'4', {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}},
    {'5', {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e}},
    {'6', {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e}},
    {'7', {0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08}},
    {'8', {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}},
    {'9', {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c}},
    {'A', {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}},
    {'B', {0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e}},
    {'C', {0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e}},
    {'D', {0x1c, 0x12, 0x11, 0x11, 0x11, 0x12, 0x1c}},
    {'E', {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f}},
    {'F', {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10}},
    {'G', {0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f}},
    {'H', {0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11}},
    {'I', {0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e}},
    {'J', {0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c}},
    {'K', {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11}},
    {'L', {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f}},
    {'M', {0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11}},
    {'N', {0x11, 0x11, 0x19, 0x15, 0x13, 0x11, 0x11}},
    {'O', {0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}},
    {'P', {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10}},
    {'Q', {0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d}},
    {'R', {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11}},
    {'S', {0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e}},
    {'T', {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04}},
    {'U', {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e}},
    {'V', {0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04}},
    {'W', {0x11, 0x11, 0x11, 0x15, 0x15, 0x15, 0x0a}},
    {'X', {0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11}},
    {'Y', {0x11, 0x11, 0x11, 0x0a, 0x04, 0x04, 0x04}},
    {'Z', {0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f}},
    {'.', {0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c}},
    {'-', {0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00}},
    {'+', {0x00, 0x04, 0x04, 0x1f, 0x04, 0x04, 0x00}},
    {':', {0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00}},
    {'/', {0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x00}},
    {'%', {0x18, 0x19, 0x02, 0x04, 0x08, 0x13, 0x03}},
    {'_', {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f}},
    {'=', {0x00, 0x00, 0x1f, 0x00, 0x1f, 0x00, 0x00}},
};

static const uint8_t *glyph(char c) {
    const char up = (char)toupper((unsigned char)c);
    for (size_t i = 0; i < sizeof font / sizeof font[0]; i++)
        if (font[i].letter == up) return font[i].row;
    return NULL;
}

static void put_pixel(uint8_t *rgb, int width, int height, int x, int y, uint32_t colour) {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    uint8_t *at = rgb + 3 * ((size_t)y * (size_t)width + (size_t)x);
    at[0] = (uint8_t)(colour >> 16), at[1] = (uint8_t)(colour >> 8), at[2] = (uint8_t)colour;
}

void vly_picture_text(uint8_t *rgb, int width, int height, int x, int y, int zoom, uint32_t colour,
                      const char *text) {
    for (; *text; text++, x += LETTER_W * zoom) {
        const uint8_t *rows = glyph(*text);
        for (int i = 0; rows && i < LETTER_H * zoom * 5 * zoom; i++) {
            const int dx = i % (5 * zoom), dy = i / (5 * zoom);
            if (rows[dy / zoom] >> (4 - dx / zoom) & 1)
                put_pixel(rgb, width, height, x + dx, y + dy, colour);
        }
    }
}

vly_status vly_picture_create(vly_picture *p, const vly_env *env, const void *state, int zoom) {
    memset(p, 0, sizeof *p);
    if (!env->render)
        return vly_fail(VLY_EUNSUPPORTED, "%s cannot be drawn: it has no render()", env->name);
    vly_error_clear();
    env->render(env, state, NULL, &p->plain_width, &p->plain_height);
    if (p->plain_width == 0 && *vly_error_text()) return VLY_EUNSUPPORTED; /* its words */
    if (p->plain_width < 1 || p->plain_height < 1 || p->plain_width > 4096 ||
        p->plain_height > 4096)
        return vly_fail(VLY_EINVAL, "%s draws pictures of %d x %d", env->name, p->plain_width,
                        p->plain_height);
    const int longer = p->plain_width > p->plain_height ? p->plain_width : p->plain_height;
    p->zoom = zoom > 0 ? zoom : longer < ABOUT ? (ABOUT + longer / 2) / longer : 1;
    p->band = BAND;
    p->width = (p->plain_width * p->zoom + 1) & ~1;
    p->height = (p->plain_height * p->zoom + p->band + 1) & ~1;
    p->plain = calloc((size_t)p->plain_width * (size_t)p->plain_height, 3);
    p->rgb = calloc((size_t)p->width * (size_t)p->height, 3);
    if (p->plain && p->rgb) return VLY_OK;
    vly_picture_destroy(p);
    return vly_fail(VLY_ENOMEM, "no memory for a picture of %d x %d", p->width, p->height);
}

void vly_picture_destroy(vly_picture *p) {
    free(p->plain);
    free(p->rgb);
    memset(p, 0, sizeof *p);
}

void vly_picture_draw(vly_picture *p, const vly_env *env, const void *state, const char *text) {
    int width, height;
    env->render(env, state, p->plain, &width, &height);
    memset(p->rgb, 0, (size_t)p->width * (size_t)p->height * 3);
    vly_picture_text(p->rgb, p->width, p->height, 4, 4, BAND_ZOOM, 0xe8e8e8, text);
    for (int y = 0; y < height * p->zoom; y++)
        for (int x = 0; x < width * p->zoom; x++) {
            const uint8_t *from =
                p->plain + 3 * ((size_t)(y / p->zoom) * (size_t)width + (size_t)(x / p->zoom));
            put_pixel(p->rgb, p->width, p->height, x, y + p->band,
                      (uint32_t)(from[0] << 16 | from[1] << 8 | from[2]));
        }
}

int vly_picture_rate(const vly_env *env) {
    enum { LEAST = 1, USUAL = 30, MOST = 200 };
    if (!(env->step_s > 0)) return USUAL;
    return (int)fmin(fmax(round(1 / env->step_s), LEAST), MOST);
}

/* Made in memory: what libpng cannot write to a full disk it leaves behind. */
vly_status vly_picture_save_png(const char *path, const uint8_t *rgb, int width, int height) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    void *file = malloc(bytes);
    if (!file) return vly_fail(VLY_ENOMEM, "no memory for a picture of %d x %d", width, height);
    const vly_status status = png_image_write_to_memory(&image, file, &bytes, 0, rgb, 0, NULL)
                                  ? vly_file_replace(path, file, bytes)
                                  : vly_fail(VLY_EIO, "cannot make the picture %s: %s", path,
                                             image.message);
    free(file);
    return status;
}
