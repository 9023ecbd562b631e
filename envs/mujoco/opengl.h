/* opengl.h -- OpenGL without a window, from libEGL or libOSMesa; for the files of this folder only.
 *
 *   vly_gl gl;
 *   VLY_TRY(vly_gl_open(&gl, 480, 480));
 *   if (vly_gl_enter(&gl)) ... draw ...; vly_gl_leave(&gl);      // on the thread that draws
 *   vly_gl_close(&gl);
 */
#ifndef VLY_ENVS_MUJOCO_OPENGL_H
#define VLY_ENVS_MUJOCO_OPENGL_H
#include <stdbool.h>
#include "common/base/status.h"

typedef struct {
    void *library; /* libEGL or libOSMesa */
    void *display, *context;
    void *pixels; /* OSMesa draws into memory */
    int width, height;
} vly_gl;

vly_status vly_gl_open(vly_gl *gl, int width, int height);
bool vly_gl_enter(const vly_gl *gl);
void vly_gl_leave(const vly_gl *gl);
void vly_gl_close(vly_gl *gl);

#endif
