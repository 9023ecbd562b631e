#include "envs/mujoco/body.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "envs/mujoco/numpy_sum.h"
#include "envs/mujoco/view.h"

/* ---- bodies ---- */

static void find_arrays(vly_mj_body *b, const vly_mj_layout *at) {
    const vly_mj_data *d = b->data;
    b->qpos = vly_mj_array(d, at->qpos), b->qvel = vly_mj_array(d, at->qvel);
    b->ctrl = vly_mj_array(d, at->ctrl);
    b->qfrc_actuator = vly_mj_array(d, at->qfrc_actuator);
    b->qfrc_constraint = vly_mj_array(d, at->qfrc_constraint);
    b->xpos = (double(*)[3])vly_mj_array(d, at->xpos);
    b->xipos = (double(*)[3])vly_mj_array(d, at->xipos);
    b->site_xpos = (double(*)[3])vly_mj_array(d, at->site_xpos);
    b->cinert = (double(*)[10])vly_mj_array(d, at->cinert);
    b->cvel = (double(*)[6])vly_mj_array(d, at->cvel);
    b->cfrc_ext = (double(*)[6])vly_mj_array(d, at->cfrc_ext);
}

static vly_mj_data *make_data(const vly_mj_world *w) {
    vly_mj_trap t;
    VLY_MJ_TRAP(t);
    vly_mj_data *data = setjmp(t.back) ? NULL : w->mj.make_data(w->model);
    VLY_MJ_UNTRAP(t);
    return data;
}

static vly_mj_body *new_body(const vly_mj_world *w) {
    vly_mj_body *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->data = make_data(w);
    if (!b->data) return free(b), NULL;
    find_arrays(b, w->mj.layout);
    return b;
}

vly_mj_body *vly_mj_body_take(vly_mj_world *w) {
    pthread_mutex_lock(&w->lock);
    vly_mj_body *b = w->unused;
    if (b) w->unused = b->next;
    pthread_mutex_unlock(&w->lock);
    return b ? b : new_body(w);
}

void vly_mj_body_give(vly_mj_world *w, vly_mj_body *b) {
    pthread_mutex_lock(&w->lock);
    b->next = w->unused, w->unused = b;
    pthread_mutex_unlock(&w->lock);
}

void vly_mj_body_drop(vly_mj_world *w, vly_mj_body *b) {
    w->mj.delete_data(b->data);
    free(b);
}

/* ---- the world ---- */

static int int_at(const vly_mj_model *m, int offset) {
    int value; /* the low half, where a version has 64 bits */
    memcpy(&value, (const char *)m + offset, sizeof value);
    return value;
}

static vly_status check_number(const vly_mj_world *w, const char *what, int is, int should) {
    if (is == should) return VLY_OK;
    return vly_fail(VLY_EVERSION,
                    "%s/%s: %s is %d, Gymnasium's v5 has %d: 'make mujoco' fetches that model",
                    w->mj.folder, w->task->model, what, is, should);
}

static vly_status check_model(const vly_mj_world *w) {
    const vly_mj_task *t = w->task;
    const double *range = vly_mj_array(w->model, w->mj.layout->actuator_ctrlrange);
    VLY_TRY(check_number(w, "nq", w->mj.state_size(w->model, VLY_MJ_QPOS), t->nq));
    VLY_TRY(check_number(w, "nv", w->mj.state_size(w->model, VLY_MJ_QVEL), t->nv));
    VLY_TRY(check_number(w, "na", w->mj.state_size(w->model, VLY_MJ_ACT), 0));
    const int controls = w->mj.layout->warmstart << 1; /* mjSTATE_CTRL is the next bit */
    VLY_TRY(check_number(w, "nu", w->mj.state_size(w->model, controls), t->nu));
    VLY_TRY(check_number(w, "nbody", int_at(w->model, w->mj.layout->nbody), t->nbody));
    for (int i = 0; i < t->nu; i++)
        if ((float)range[2 * i] != (float)t->bounds[i].low ||
            (float)range[2 * i + 1] != (float)t->bounds[i].high)
            return vly_fail(
                VLY_EVERSION,
                "%s/%s: control %d lies in [%g, %g], Gymnasium's v5 has [%g, %g]: 'make "
                "mujoco' fetches that model",
                w->mj.folder, t->model, i, range[2 * i], range[2 * i + 1], t->bounds[i].low,
                t->bounds[i].high);
    return VLY_OK;
}

/* What is written through the library is read back through the layout. */
static vly_status check_layout(const vly_mj_world *w, const vly_mj_body *b) {
    const int nq = w->task->nq, nv = w->task->nv;
    double state[128];
    for (int i = 0; i < nq + nv; i++) state[i] = 0.25 + i;
    w->mj.reset_data(w->model, b->data);
    w->mj.set_state(w->model, b->data, state, VLY_MJ_QPOS | VLY_MJ_QVEL);
    if (memcmp(b->qpos, state, (size_t)nq * sizeof *state) == 0 &&
        memcmp(b->qvel, state + nq, (size_t)nv * sizeof *state) == 0 && w->body_mass[0] == 0 &&
        w->total_mass > 0 && w->timestep > 0 && w->timestep < 1)
        return VLY_OK;
    return vly_fail(
        VLY_EVERSION,
        "MuJoCo %s of %s keeps its data elsewhere than the release of that number: 'make "
        "mujoco' fetches the release",
        w->mj.layout->name, w->mj.folder);
}

/* As Gymnasium reads it: the first. */
static vly_status check_site(const vly_mj_world *w) {
    const char *site = w->task->site;
    if (!site || w->mj.id(w->model, VLY_MJ_SITE, site) == 0) return VLY_OK;
    return vly_fail(VLY_EVERSION, "%s/%s: its first site is not '%s'", w->mj.folder, w->task->model,
                    site);
}

static vly_status find_bodies(vly_mj_world *w) {
    for (int i = 0; i < VLY_MJ_IDS && w->task->bodies[i]; i++) {
        w->id[i] = w->mj.id(w->model, VLY_MJ_BODY, w->task->bodies[i]);
        if (w->id[i] < 0)
            return vly_fail(VLY_EVERSION, "%s/%s: it has no body '%s'", w->mj.folder,
                            w->task->model, w->task->bodies[i]);
    }
    return VLY_OK;
}

/* Pictures are drawn into a buffer whose size the model sets. */
static void make_room_for_pictures(const vly_mj_world *w) {
    int size[2];
    char *at = (char *)w->model + w->mj.layout->offscreen;
    memcpy(size, at, sizeof size);
    for (int i = 0; i < 2; i++) size[i] = size[i] < VLY_MJ_PICTURE ? VLY_MJ_PICTURE : size[i];
    memcpy(at, size, sizeof size);
}

static vly_status open_model(vly_mj_world *w) {
    const vly_mj_layout *at = w->mj.layout;
    VLY_TRY(vly_mj_load(&w->mj, w->task->model, &w->model));
    VLY_TRY(check_model(w));
    memcpy(&w->timestep, (const char *)w->model + at->timestep, sizeof w->timestep);
    w->dt = w->timestep * w->task->frame_skip;
    w->body_mass = vly_mj_array(w->model, at->body_mass);
    w->total_mass = vly_numpy_sum(w->body_mass, w->task->nbody);
    w->state_bits = VLY_MJ_TIME | VLY_MJ_QPOS | VLY_MJ_QVEL | VLY_MJ_ACT | at->warmstart;
    w->state_numbers = w->mj.state_size(w->model, w->state_bits);
    make_room_for_pictures(w);
    VLY_TRY(find_bodies(w));
    VLY_TRY(check_site(w));
    vly_mj_body *first = new_body(w);
    if (!first) return vly_fail(VLY_ENOMEM, "%s: no memory for a simulation", w->task->name);
    w->unused = first;
    return check_layout(w, first);
}

vly_status vly_mj_world_open(vly_mj_world *w, const vly_mj_task *task, const char *version) {
    memset(w, 0, sizeof *w);
    w->task = task, w->weights = task->weights, w->max_steps = task->max_steps;
    VLY_TRY(vly_mj_library_open(&w->mj, version));
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->drawing, NULL);
    const vly_status status = open_model(w);
    if (status != VLY_OK) vly_mj_world_close(w);
    return status;
}

void vly_mj_world_close(vly_mj_world *w) {
    for (vly_mj_body *next; w->unused; w->unused = next) {
        next = w->unused->next;
        vly_mj_body_drop(w, w->unused);
    }
    if (w->model) w->mj.delete_model(w->model);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->drawing);
    vly_mj_library_close(&w->mj);
}
