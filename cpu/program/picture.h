/* picture.h -- frames of an environment with a line of text above.
 *
 *   vly_picture p;
 *   // 3 pixels for one of the environment's, a line of text above
 *   VLY_TRY(vly_picture_create(&p, &env, state, 3));
 *   vly_picture_draw(&p, &env, state, "SCORE 21  VALUE 0.9");
 *   ... p.rgb, p.width, p.height ...;
 *   VLY_TRY(vly_picture_save_png(&p, "x.png"));
 *   vly_picture_destroy(&p);
 */
#ifndef VLY_CPU_PICTURE_H
#define VLY_CPU_PICTURE_H
#include "common/base/env.h"

typedef struct {
    uint8_t *rgb;      /* [height][width][3] */
    int width, height; /* even, as video encoders like it */
    int zoom, band;    /* height of the line of text */
    uint8_t *plain;    /* the environment's own drawing */
    int plain_width, plain_height;
} vly_picture;

/* zoom 0: so that the longer side has about 480 pixels. VLY_EUNSUPPORTED: the environment cannot be
 * drawn. */
vly_status vly_picture_create(vly_picture *p, const vly_env *env, const void *state, int zoom);
void vly_picture_destroy(vly_picture *p);
void vly_picture_draw(vly_picture *p, const vly_env *env, const void *state, const char *text);
/* Pictures a second, one a step: as fast as the environment's own time passes, but 1 to 200; 30 where
 * it has none. */
int vly_picture_rate(const vly_env *env);
vly_status vly_picture_save_png(const char *path, const uint8_t *rgb, int width, int height);
/* 5 x 7 letters, capitals; what has no letter is a blank. */
void vly_picture_text(uint8_t *rgb, int width, int height, int x, int y, int zoom, uint32_t colour,
                      const char *text);
#endif
