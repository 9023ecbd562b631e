/* view.h -- pictures of a body, by MuJoCo's own renderer; for the files of this folder only.
 *
 *   vly_mj_view_draw(w, numbers, NULL, &width, &height);     // 0 x 0: vly_error_text() says what is missing
 *   vly_mj_view_draw(w, numbers, rgb, &width, &height);      // rgb (height, width, 3)
 *
 * It needs OpenGL without a window: libEGL with a driver (a GPU's or Mesa's), or libOSMesa. Both are looked
 * for when the first picture is asked for, so that nobody who only trains needs or loads them. The
 * camera is the model's "track", which Gymnasium takes too, or one that sees the whole model.
 */
#ifndef VLY_ENVS_MUJOCO_VIEW_H
#define VLY_ENVS_MUJOCO_VIEW_H
#include <stdint.h>

enum { VLY_MJ_PICTURE = 480 }; /* width and height */

struct vly_mj_world;
/* numbers: mj_getState of world.state_bits. Any thread; one draws at a time. */
void vly_mj_view_draw(struct vly_mj_world *w, const double *numbers, uint8_t *rgb, int *width,
                      int *height);
void vly_mj_view_destroy(struct vly_mj_world *w);

#endif
