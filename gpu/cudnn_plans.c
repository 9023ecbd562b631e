/* cudnn_plans.c -- cuDNN's plans, each made once in a process. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "gpu/engine_cudnn.h"

enum { KEY_NUMBERS = 15 };

/* What is known of one pass of one convolution on one device. */
typedef struct vly_cudnn_shape shape_plans;
struct vly_cudnn_shape {
    int64_t key[KEY_NUMBERS];
    char *json;
    int count; /* variants found so far */
    vly_cudnn_place found[VLY_CUDNN_VARIANTS];
    vly_cudnn_kept *idle;
    shape_plans *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static shape_plans *shapes; /* for as long as the process runs */

static void plan_key(int64_t key[KEY_NUMBERS], const vly_conv *c, int n, vly_pass pass,
                     size_t workspace_most, int index) {
    const int64_t all[KEY_NUMBERS] = {
        c->math,       c->act,    c->x_type, c->y_type, c->in_h, c->in_w, c->in_c,
        c->out_c,      c->kernel, c->stride, c->pad,    n,       pass,    (int64_t)workspace_most,
        (int64_t)index};
    memcpy(key, all, sizeof all);
}

static bool is_shape(const shape_plans *s, const int64_t key[KEY_NUMBERS], const char *json) {
    const bool same_device = s->json && json ? !strcmp(s->json, json) : s->json == json;
    return same_device && !memcmp(s->key, key, sizeof s->key);
}

/* The shape's entry, made if there is none; NULL without memory. */
static shape_plans *entry_of(const int64_t key[KEY_NUMBERS], const char *json) {
    for (shape_plans *s = shapes; s; s = s->next)
        if (is_shape(s, key, json)) return s;
    shape_plans *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->json = json ? strdup(json) : NULL;
    if (json && !s->json) {
        free(s);
        return NULL;
    }
    memcpy(s->key, key, sizeof s->key);
    s->next = shapes;
    return shapes = s;
}

static vly_cudnn_kept *take_idle(shape_plans *s, int variant) {
    for (vly_cudnn_kept **k = &s->idle; *k; k = &(*k)->next) {
        if ((*k)->variant != variant) continue;
        vly_cudnn_kept *taken = *k;
        *k = taken->next;
        return taken;
    }
    return NULL;
}

/* Suggestions are searched from where the last variant was found, not again from the first. */
static vly_status make_variant(vly_cudnn_plan **plan, shape_plans *s, const vly_conv *c, int n,
                               vly_pass pass, int variant, size_t workspace_most, int index) {
    while (s->count < variant) {
        VLY_TRY(make_variant(plan, s, c, n, pass, s->count, workspace_most, index));
        vly_cudnn_plan_destroy(*plan);
    }
    vly_cudnn_place from = {0, 0};
    if (variant < s->count)
        from = s->found[variant];
    else if (variant > 0)
        from = s->found[variant - 1], from.at++;
    VLY_TRY(vly_cudnn_plan_create(plan, c, n, pass, from, workspace_most, index, s->json));
    if (variant == s->count) s->found[s->count++] = vly_cudnn_plan_place(*plan);
    return VLY_OK;
}

static vly_status take_locked(vly_cudnn_kept **out, const vly_conv *c, int n, vly_pass pass,
                              int variant, size_t workspace_most, int index, const char *json) {
    int64_t key[KEY_NUMBERS];
    plan_key(key, c, n, pass, workspace_most, index);
    shape_plans *s = entry_of(key, json);
    *out = s ? take_idle(s, variant) : NULL;
    if (*out) return VLY_OK;
    vly_cudnn_kept *kept = s ? calloc(1, sizeof *kept) : NULL;
    if (!kept) return vly_fail(VLY_ENOMEM, "no memory for a plan");
    const vly_status status = make_variant(&kept->plan, s, c, n, pass, variant, workspace_most,
                                           index);
    if (status != VLY_OK) {
        free(kept);
        return status;
    }
    kept->shape = s, kept->variant = variant;
    *out = kept;
    return VLY_OK;
}

vly_status vly_cudnn_plan_take(vly_cudnn_kept **out, const vly_conv *c, int n, vly_pass pass,
                               int variant, size_t workspace_most, int index, const char *json) {
    *out = NULL;
    if (variant < 0 || variant >= VLY_CUDNN_VARIANTS)
        return vly_fail(VLY_EINVAL, "cuDNN: variant %d of a plan; there are %d", variant,
                        VLY_CUDNN_VARIANTS);
    pthread_mutex_lock(&lock);
    const vly_status status = take_locked(out, c, n, pass, variant, workspace_most, index, json);
    pthread_mutex_unlock(&lock);
    return status;
}

void vly_cudnn_plan_give_back(vly_cudnn_kept *kept) {
    if (!kept) return;
    pthread_mutex_lock(&lock);
    kept->next = kept->shape->idle;
    kept->shape->idle = kept;
    pthread_mutex_unlock(&lock);
}
