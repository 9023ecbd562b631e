/* draw_hill.h -- the car on its hill, for both MountainCars. */
#ifndef VLY_ENVS_DRAW_HILL_H
#define VLY_ENVS_DRAW_HILL_H
#include <stdint.h>

/* As vly_env.render; the flag stands at `goal`. */
void vly_draw_hill(uint8_t *rgb, int *width, int *height, double car, double goal);
#endif
