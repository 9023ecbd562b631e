#include "envs/draw_hill.h"
#include <math.h>
#include "envs/draw.h"

static double hill(double position) {
    return sin(3 * position) * 0.45 + 0.55;
}

void vly_draw_hill(uint8_t *rgb, int *width, int *height, double car, double goal) {
    *width = 600, *height = 400;
    if (!rgb) return;
    vly_canvas c = {rgb, *width, *height};
    const double scale = 600 / 1.8;
    vly_draw_clear(&c, VLY_RGB(255, 255, 255));
    for (int x = 0; x < 600; x++) {
        const double y = 400 - hill(-1.2 + (x + 0.5) / scale) * scale;
        vly_draw_box(&c, x, y, x + 1, 400, VLY_RGB(222, 228, 216));
        vly_draw_box(&c, x, y, x + 1, y + 2, VLY_RGB(0, 0, 0));
    }
    const double flag = (goal + 1.2) * scale, foot = 400 - hill(goal) * scale;
    vly_draw_bar(&c, flag, foot, flag, foot - 50, 2, VLY_RGB(0, 0, 0));
    vly_draw_box(&c, flag, foot - 50, flag + 25, foot - 35, VLY_RGB(204, 204, 0));
    const double x = (car + 1.2) * scale, y = 400 - hill(car) * scale;
    vly_draw_disc(&c, x, y - 12, 12, VLY_RGB(60, 60, 60));
}
