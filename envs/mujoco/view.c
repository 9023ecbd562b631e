#include "envs/mujoco/view.h"
#include <stdlib.h>
#include <string.h>
#include "envs/mujoco/body.h"
#include "envs/mujoco/opengl.h"

/* mjrRect */
typedef struct {
    int left, bottom, width, height;
} rect;

/* mjvCamera, which is the same in all versions. */
typedef struct {
    int type, fixed, tracked;
    double at[3], distance, azimuth, elevation;
    int orthographic;
} camera;

enum { CAMERA_FIXED = 2, ALL_GEOMS = 7, OFFSCREEN = 1, GEOMS_MOST = 1000, FONT = 100 };

/* X(member, name in the library, result, arguments) */
#define FUNCTIONS(X)                                                                               \
    X(default_option, "mjv_defaultOption", void, (void *option))                                   \
    X(default_perturb, "mjv_defaultPerturb", void, (void *perturb))                                \
    X(default_scene, "mjv_defaultScene", void, (void *scene))                                      \
    X(default_context, "mjr_defaultContext", void, (void *context))                                \
    X(free_camera, "mjv_defaultFreeCamera", void, (const vly_mj_model *, void *camera))            \
    X(make_scene, "mjv_makeScene", void, (const vly_mj_model *, void *scene, int geoms))           \
    X(free_scene, "mjv_freeScene", void, (void *scene))                                            \
    X(make_context, "mjr_makeContext", void, (const vly_mj_model *, void *context, int font))      \
    X(free_context, "mjr_freeContext", void, (void *context))                                      \
    X(set_buffer, "mjr_setBuffer", void, (int buffer, void *context))                              \
    X(update, "mjv_updateScene", void,                                                             \
      (const vly_mj_model *, vly_mj_data *, const void *option, const void *perturb, void *camera, \
       int what, void *scene))                                                                     \
    X(render, "mjr_render", void, (rect, void *scene, const void *context))                        \
    X(read, "mjr_readPixels", void, (uint8_t * rgb, float *depth, rect, const void *context))

struct vly_mj_view {
    vly_gl gl;
    vly_mj_body *body;
    uint8_t *flipped;
    bool made;                                /* scene and context */
    void *scene, *option, *perturb, *context; /* as large as the layout says */
    camera *camera;
#define X(member, name, result, arguments) result(*member) arguments;
    FUNCTIONS(X)
#undef X
};
typedef struct vly_mj_view view;

static vly_status find_drawing(view *v, const vly_mj_world *w) {
    const char *missing = NULL;
    void *found;
#define X(member, name, result, arguments)                      \
    if (!(found = vly_mj_symbol(&w->mj, name))) missing = name; \
    memcpy(&v->member, &found, sizeof found);
    FUNCTIONS(X)
#undef X
    if (missing)
        return vly_fail(VLY_EUNSUPPORTED, "MuJoCo %s draws no pictures: it has no '%s'",
                        w->mj.layout->name, missing);
    return VLY_OK;
}

static vly_status allocate(view *v, vly_mj_world *w) {
    const vly_mj_layout *size = w->mj.layout;
    v->scene = calloc(1, (size_t)size->scene), v->option = calloc(1, (size_t)size->option);
    v->perturb = calloc(1, (size_t)size->perturb), v->context = calloc(1, (size_t)size->context);
    v->camera = calloc(1, (size_t)size->camera);
    v->flipped = calloc(VLY_MJ_PICTURE * VLY_MJ_PICTURE, 3);
    v->body = vly_mj_body_take(w);
    if (v->scene && v->option && v->perturb && v->context && v->camera && v->flipped && v->body)
        return VLY_OK;
    return vly_fail(VLY_ENOMEM, "%s: no memory for pictures", w->task->name);
}

static void set_camera(view *v, const vly_mj_world *w) {
    const int track = w->mj.id(w->model, VLY_MJ_CAMERA, "track");
    v->free_camera(w->model, v->camera);
    if (track >= 0) v->camera->type = CAMERA_FIXED, v->camera->fixed = track;
}

/* The context is current. */
static vly_status make_scene(view *v, const vly_mj_world *w) {
    vly_mj_trap t;
    VLY_MJ_TRAP(t);
    if (setjmp(t.back)) {
        VLY_MJ_UNTRAP(t);
        return vly_fail(VLY_EUNSUPPORTED, "MuJoCo cannot draw with this OpenGL: %.200s",
                        vly_mj_trouble());
    }
    v->default_option(v->option), v->default_perturb(v->perturb);
    v->default_scene(v->scene), v->default_context(v->context);
    set_camera(v, w);
    v->make_scene(w->model, v->scene, GEOMS_MOST);
    v->make_context(w->model, v->context, FONT);
    v->set_buffer(OFFSCREEN, v->context);
    v->made = true;
    VLY_MJ_UNTRAP(t);
    return VLY_OK;
}

static void destroy_view(view *v, vly_mj_world *w) {
    if (v->made && vly_gl_enter(&v->gl)) {
        v->free_context(v->context), v->free_scene(v->scene);
        vly_gl_leave(&v->gl);
    }
    vly_gl_close(&v->gl);
    if (v->body) vly_mj_body_drop(w, v->body);
    free(v->scene), free(v->option), free(v->perturb), free(v->context), free(v->camera);
    free(v->flipped);
    free(v);
}

static vly_status open_view(view *v, vly_mj_world *w) {
    VLY_TRY(allocate(v, w));
    VLY_TRY(find_drawing(v, w));
    VLY_TRY(vly_gl_open(&v->gl, VLY_MJ_PICTURE, VLY_MJ_PICTURE));
    if (!vly_gl_enter(&v->gl))
        return vly_fail(VLY_EUNSUPPORTED, "the OpenGL driver gave a context that it cannot use");
    const vly_status status = make_scene(v, w);
    vly_gl_leave(&v->gl);
    return status;
}

static vly_status create_view(vly_mj_world *w) {
    if (w->view) return VLY_OK;
    view *v = calloc(1, sizeof *v);
    if (!v) return vly_fail(VLY_ENOMEM, "%s: no memory for pictures", w->task->name);
    const vly_status status = open_view(v, w);
    if (status == VLY_OK)
        w->view = v;
    else
        destroy_view(v, w);
    return status;
}

/* OpenGL's rows go up. */
static void flip(const uint8_t *from, uint8_t *to) {
    const size_t row = VLY_MJ_PICTURE * 3;
    for (size_t y = 0; y < VLY_MJ_PICTURE; y++)
        memcpy(to + y * row, from + (VLY_MJ_PICTURE - 1 - y) * row, row);
}

/* Positions of bodies follow from the joints by a forward pass. False: the library gave up. */
static bool draw_body(const vly_mj_world *w, const view *v, const double *numbers, uint8_t *rgb) {
    const rect whole = {0, 0, VLY_MJ_PICTURE, VLY_MJ_PICTURE};
    vly_mj_trap t;
    VLY_MJ_TRAP(t);
    if (setjmp(t.back)) return VLY_MJ_UNTRAP(t), false;
    w->mj.reset_data(w->model, v->body->data);
    w->mj.set_state(w->model, v->body->data, numbers, w->state_bits);
    w->mj.forward(w->model, v->body->data);
    v->update(w->model, v->body->data, v->option, v->perturb, v->camera, ALL_GEOMS, v->scene);
    v->render(whole, v->scene, v->context);
    v->read(v->flipped, NULL, whole, v->context);
    VLY_MJ_UNTRAP(t);
    flip(v->flipped, rgb);
    return true;
}

void vly_mj_view_draw(vly_mj_world *w, const double *numbers, uint8_t *rgb, int *width,
                      int *height) {
    pthread_mutex_lock(&w->drawing);
    const bool ready = create_view(w) == VLY_OK;
    *width = *height = ready ? VLY_MJ_PICTURE : 0;
    if (ready && rgb) {
        bool drawn = vly_gl_enter(&w->view->gl);
        if (drawn) {
            drawn = draw_body(w, w->view, numbers, rgb);
            vly_gl_leave(&w->view->gl);
        }
        if (!drawn) memset(rgb, 0, VLY_MJ_PICTURE * VLY_MJ_PICTURE * 3);
    }
    pthread_mutex_unlock(&w->drawing);
}

void vly_mj_view_destroy(vly_mj_world *w) {
    if (w->view) destroy_view(w->view, w);
    w->view = NULL;
}
