#include "envs/draw.h"
#include <math.h>

static void set_pixel(vly_canvas *c, int x, int y, uint32_t colour) {
    uint8_t *p = c->rgb + ((long)y * c->width + x) * 3;
    p[0] = (uint8_t)(colour >> 16), p[1] = (uint8_t)(colour >> 8), p[2] = (uint8_t)colour;
}

/* Clipped to [0, limit]; a value that is not a number lands on an edge too. */
static int clip(double v, int limit) {
    return v > 0 ? v < limit ? (int)v : limit : 0;
}

void vly_draw_box(vly_canvas *c, double x0, double y0, double x1, double y1, uint32_t colour) {
    const int left = clip(x0, c->width), right = clip(x1, c->width);
    for (int y = clip(y0, c->height), bottom = clip(y1, c->height); y < bottom; y++)
        for (int x = left; x < right; x++) set_pixel(c, x, y, colour);
}

void vly_draw_clear(vly_canvas *c, uint32_t colour) {
    vly_draw_box(c, 0, 0, c->width, c->height, colour);
}

void vly_draw_disc(vly_canvas *c, double x, double y, double radius, uint32_t colour) {
    vly_draw_bar(c, x, y, x, y, 2 * radius, colour);
}

void vly_draw_bar(vly_canvas *c, double x0, double y0, double x1, double y1, double width,
                  uint32_t colour) {
    const double dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy, r = width / 2;
    const int left = clip(fmin(x0, x1) - r, c->width), top = clip(fmin(y0, y1) - r, c->height);
    const int right = clip(fmax(x0, x1) + r + 1, c->width);
    const int bottom = clip(fmax(y0, y1) + r + 1, c->height);
    for (int y = top; y < bottom; y++) {
        for (int x = left; x < right; x++) {
            const double px = x + 0.5 - x0, py = y + 0.5 - y0;
            double along = length2 > 0 ? (px * dx + py * dy) / length2 : 0;
            along = fmin(fmax(along, 0), 1);
            const double ex = px - along * dx, ey = py - along * dy;
            if (ex * ex + ey * ey <= r * r) set_pixel(c, x, y, colour);
        }
    }
}
