/* draw.h -- the few shapes that environments are drawn with.
 *
 *   vly_canvas c = {rgb, 600, 400};
 *   vly_draw_clear(&c, VLY_RGB(255, 255, 255));
 *   vly_draw_bar(&c, x0, y0, x1, y1, 10, VLY_RGB(202, 152, 101));  // a thick line
 *
 * Everything is clipped to the canvas; coordinates are pixels, y down.
 */
#ifndef VLY_ENVS_DRAW_H
#define VLY_ENVS_DRAW_H
#include <stdint.h>

#define VLY_RGB(r, g, b) ((uint32_t)(r) << 16 | (uint32_t)(g) << 8 | (uint32_t)(b))

typedef struct {
    uint8_t *rgb;
    int width, height;
} vly_canvas;

void vly_draw_clear(vly_canvas *c, uint32_t colour);
void vly_draw_box(vly_canvas *c, double x0, double y0, double x1, double y1, uint32_t colour);
void vly_draw_disc(vly_canvas *c, double x, double y, double radius, uint32_t colour);
/* A line from (x0, y0) to (x1, y1), `width` pixels thick, with round ends. */
void vly_draw_bar(vly_canvas *c, double x0, double y0, double x1, double y1, double width,
                  uint32_t colour);
#endif
