#include "cpu/monitor/shots.h"
#include <png.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double EVERY_S = 0.5;

typedef struct {
    int actor;
    bool there; /* a state was offered */
    void *state;
} frame;

struct vly_shots {
    const vly_env *env;
    pthread_mutex_t lock; /* the states */
    atomic_bool wanted;
    double last; /* the trainer's */
    int n;
    frame v[VLY_SHOTS_MOST];
    uint8_t *rgb;
    int width, height; /* room of rgb */
    char why[256];     /* it cannot be drawn */
};

vly_status vly_shots_create(vly_shots **out, const vly_env *env, int actors) {
    *out = NULL;
    if (!env->render) return VLY_OK;
    vly_shots *f = calloc(1, sizeof *f);
    if (!f) return vly_fail(VLY_ENOMEM, "no memory for pictures");
    f->env = env;
    pthread_mutex_init(&f->lock, NULL);
    f->n = actors < VLY_SHOTS_MOST ? actors : VLY_SHOTS_MOST;
    for (int i = 0; i < f->n; i++) {
        f->v[i].actor = (int)((int64_t)i * actors / f->n);
        f->v[i].state = aligned_alloc(64, (env->state_bytes + 63) / 64 * 64);
        if (f->v[i].state) continue;
        vly_shots_destroy(f);
        return vly_fail(VLY_ENOMEM, "no memory for pictures");
    }
    return *out = f, VLY_OK;
}

void vly_shots_destroy(vly_shots *f) {
    if (!f) return;
    for (int i = 0; i < f->n; i++) free(f->v[i].state);
    pthread_mutex_destroy(&f->lock);
    free(f->rgb);
    free(f);
}

int vly_shots_count(const vly_shots *f) {
    return f ? f->n : 0;
}
int vly_shots_actor(const vly_shots *f, int i) {
    return f->v[i].actor;
}

static double coarse_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void vly_shots_offer(vly_shots *f, const void *(*state_of)(void *arg, int actor), void *arg) {
    if (!f || !atomic_load_explicit(&f->wanted, memory_order_relaxed)) return;
    const double now = coarse_now_s();
    if (now - f->last < EVERY_S || pthread_mutex_trylock(&f->lock)) return;
    f->last = now;
    atomic_store(&f->wanted, false);
    for (int i = 0; i < f->n; i++) {
        const void *state = state_of(arg, f->v[i].actor);
        if (!state) continue;
        memcpy(f->v[i].state, state, f->env->state_bytes);
        f->v[i].there = true;
    }
    pthread_mutex_unlock(&f->lock);
}

static bool draw_shot(vly_shots *f, const frame *v, int *width, int *height) {
    vly_error_clear();
    f->env->render(f->env, v->state, NULL, width, height);
    if (*width == 0) snprintf(f->why, sizeof f->why, "%s", vly_error_text());
    if (*width < 1 || *height < 1 || *width > 4096 || *height > 4096) return false;
    if (!f->rgb || *width != f->width || *height != f->height) {
        free(f->rgb);
        f->rgb = calloc((size_t)*width * (size_t)*height, 3);
        f->width = *width, f->height = *height;
    }
    if (f->rgb) f->env->render(f->env, v->state, f->rgb, width, height);
    return f->rgb != NULL;
}

static bool compress(const uint8_t *rgb, int width, int height, vly_text *out) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB,
                       .flags = PNG_IMAGE_FLAG_FAST};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    char *to = malloc(bytes);
    const bool done = to && png_image_write_to_memory(&image, to, &bytes, 0, rgb, 0, NULL);
    if (done) vly_text_bytes(out, to, bytes);
    free(to);
    return done;
}

void vly_shots_why(vly_shots *f, char *text, size_t bytes) {
    *text = '\0';
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    snprintf(text, bytes, "%s", f->why);
    pthread_mutex_unlock(&f->lock);
}

bool vly_shots_png(vly_shots *f, int i, vly_text *out) {
    int width = 0, height = 0;
    if (!f || i < 0 || i >= f->n) return false;
    atomic_store(&f->wanted, true);
    pthread_mutex_lock(&f->lock);
    const bool drawn = f->v[i].there && draw_shot(f, &f->v[i], &width, &height);
    pthread_mutex_unlock(&f->lock);
    return drawn && compress(f->rgb, width, height, out);
}
