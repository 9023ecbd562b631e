#include "envs/mujoco/opengl.h"
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of the EGL registry and of Mesa. */
enum {
    EGL_NONE = 0x3038,
    EGL_RED_SIZE = 0x3024,
    EGL_GREEN_SIZE = 0x3023,
    EGL_BLUE_SIZE = 0x3022,
    EGL_ALPHA_SIZE = 0x3021,
    EGL_DEPTH_SIZE = 0x3025,
    EGL_STENCIL_SIZE = 0x3026,
    EGL_SURFACE_TYPE = 0x3033,
    EGL_PBUFFER_BIT = 1,
    EGL_RENDERABLE_TYPE = 0x3040,
    EGL_OPENGL_BIT = 8,
    EGL_OPENGL_API = 0x30A2,
    EGL_PLATFORM_DEVICE = 0x313F,
    EGL_PLATFORM_SURFACELESS = 0x31DD,
    OSMESA_RGBA = 0x1908,
    GL_UNSIGNED_BYTE = 0x1401,
    DEVICES = 16
};

/* What dlsym or a library's own finder returns, as a function. */
#define FIND(function, found)                      \
    do {                                           \
        void *at = (found);                        \
        memcpy(&(function), &at, sizeof function); \
    } while (0)

/* ---- EGL ---- */

typedef struct {
    void *(*find)(const char *);
    void *(*get_display)(int platform, void *native, const int32_t *attributes);
    unsigned (*query_devices)(int32_t most, void **devices, int32_t *n);
    unsigned (*initialize)(void *, int32_t *, int32_t *);
    unsigned (*choose_config)(void *, const int32_t *, void **, int32_t, int32_t *);
    unsigned (*bind_api)(unsigned);
    void *(*create_context)(void *, void *, void *, const int32_t *);
    unsigned (*make_current)(void *, void *, void *, void *);
    unsigned (*destroy_context)(void *, void *);
    unsigned (*release_thread)(void);
} egl;

static bool find_egl(egl *e, void *library) {
    memset(e, 0, sizeof *e);
    FIND(e->find, dlsym(library, "eglGetProcAddress"));
    FIND(e->initialize, dlsym(library, "eglInitialize"));
    FIND(e->choose_config, dlsym(library, "eglChooseConfig"));
    FIND(e->bind_api, dlsym(library, "eglBindAPI"));
    FIND(e->create_context, dlsym(library, "eglCreateContext"));
    FIND(e->make_current, dlsym(library, "eglMakeCurrent"));
    FIND(e->destroy_context, dlsym(library, "eglDestroyContext"));
    FIND(e->release_thread, dlsym(library, "eglReleaseThread"));
    if (!e->find || !e->initialize || !e->choose_config || !e->bind_api || !e->create_context ||
        !e->make_current || !e->destroy_context || !e->release_thread)
        return false;
    FIND(e->get_display, e->find("eglGetPlatformDisplayEXT"));
    FIND(e->query_devices, e->find("eglQueryDevicesEXT"));
    return e->get_display != NULL;
}

static bool start_display(const egl *e, vly_gl *gl, int platform, void *native) {
    static const int32_t wanted[] = {EGL_RED_SIZE,
                                     8,
                                     EGL_GREEN_SIZE,
                                     8,
                                     EGL_BLUE_SIZE,
                                     8,
                                     EGL_ALPHA_SIZE,
                                     8,
                                     EGL_DEPTH_SIZE,
                                     24,
                                     EGL_STENCIL_SIZE,
                                     8,
                                     EGL_SURFACE_TYPE,
                                     EGL_PBUFFER_BIT,
                                     EGL_RENDERABLE_TYPE,
                                     EGL_OPENGL_BIT,
                                     EGL_NONE};
    int32_t n = 0;
    void *config = NULL;
    gl->display = e->get_display(platform, native, NULL);
    if (!gl->display || !e->initialize(gl->display, NULL, NULL)) return false;
    if (!e->choose_config(gl->display, wanted, &config, 1, &n) || n < 1) return false;
    if (!e->bind_api(EGL_OPENGL_API)) return false;
    gl->context = e->create_context(gl->display, config, NULL, NULL);
    return gl->context != NULL;
}

/* Any GPU's driver, then Mesa's software. */
static bool open_egl(vly_gl *gl) {
    egl e;
    void *devices[DEVICES];
    int32_t n = 0;
    gl->library = dlopen("libEGL.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (!gl->library) return false;
    if (find_egl(&e, gl->library)) {
        if (e.query_devices && !e.query_devices(DEVICES, devices, &n)) n = 0;
        for (int32_t i = 0; i < n; i++)
            if (start_display(&e, gl, EGL_PLATFORM_DEVICE, devices[i])) return true;
        if (start_display(&e, gl, EGL_PLATFORM_SURFACELESS, NULL)) return true;
    }
    dlclose(gl->library);
    gl->library = gl->display = gl->context = NULL;
    return false;
}

/* ---- OSMesa ---- */

typedef struct {
    void *(*create_context)(unsigned format, int depth, int stencil, int accumulation, void *share);
    unsigned char (*make_current)(void *, void *pixels, unsigned type, int width, int height);
    void (*destroy_context)(void *);
} osmesa;

static bool find_osmesa(osmesa *o, void *library) {
    FIND(o->create_context, dlsym(library, "OSMesaCreateContextExt"));
    FIND(o->make_current, dlsym(library, "OSMesaMakeCurrent"));
    FIND(o->destroy_context, dlsym(library, "OSMesaDestroyContext"));
    return o->create_context && o->make_current && o->destroy_context;
}

static bool open_osmesa(vly_gl *gl) {
    static const char *const names[] = {"libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"};
    osmesa o;
    for (int i = 0; !gl->library && i < 3; i++)
        gl->library = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL);
    if (!gl->library) return false;
    if (find_osmesa(&o, gl->library)) {
        gl->pixels = calloc((size_t)gl->width * (size_t)gl->height, 4);
        gl->context = gl->pixels ? o.create_context(OSMESA_RGBA, 24, 8, 0, NULL) : NULL;
        if (gl->context) return true;
        free(gl->pixels);
    }
    dlclose(gl->library);
    gl->library = gl->pixels = NULL;
    return false;
}

/* ---- both ---- */

vly_status vly_gl_open(vly_gl *gl, int width, int height) {
    const char *wanted = getenv("MUJOCO_GL");
    const bool only_osmesa = wanted && strcmp(wanted, "osmesa") == 0;
    memset(gl, 0, sizeof *gl);
    gl->width = width, gl->height = height;
    if ((!only_osmesa && open_egl(gl)) || open_osmesa(gl)) return VLY_OK;
    return vly_fail(
        VLY_EUNSUPPORTED,
        "pictures of MuJoCo bodies need OpenGL without a window, and neither libEGL with a "
        "driver nor libOSMesa is here: apt-get install libegl1 libgl1-mesa-dri, or "
        "libosmesa6");
}

bool vly_gl_enter(const vly_gl *gl) {
    egl e;
    osmesa o;
    if (gl->pixels)
        return find_osmesa(&o, gl->library) &&
               o.make_current(gl->context, gl->pixels, GL_UNSIGNED_BYTE, gl->width, gl->height);
    return find_egl(&e, gl->library) && e.bind_api(EGL_OPENGL_API) &&
           e.make_current(gl->display, NULL, NULL, gl->context);
}

void vly_gl_leave(const vly_gl *gl) {
    egl e;
    osmesa o;
    if (gl->pixels) {
        if (find_osmesa(&o, gl->library)) o.make_current(NULL, NULL, GL_UNSIGNED_BYTE, 0, 0);
    } else if (find_egl(&e, gl->library)) {
        e.make_current(gl->display, NULL, NULL, NULL);
        e.release_thread();
    }
}

/* The driver stays loaded: threads of its own may still run in it. */
void vly_gl_close(vly_gl *gl) {
    egl e;
    osmesa o;
    if (!gl->library) return;
    if (gl->pixels) {
        if (find_osmesa(&o, gl->library)) o.destroy_context(gl->context);
    } else if (find_egl(&e, gl->library)) {
        e.destroy_context(gl->display, gl->context);
    }
    free(gl->pixels);
    gl->library = NULL;
}
