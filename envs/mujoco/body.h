/* body.h -- a simulated body and what all actors of an environment share; for the files of this folder only.
 *
 *   vly_mj_body *b = vly_mj_body_take(w);          // a simulation that no other thread uses
 *   w->mj.set_state(w->model, b->data, state, w->state_bits);
 *   ... w->mj.step(w->model, b->data) ...
 *   vly_mj_body_give(w, b);                        // or vly_mj_body_drop, when it may be broken
 *
 * An mjData is large and full of pointers, and all that matters of it from one step to the next is a few
 * dozen numbers: time, positions, speeds, activations and the warm start of the solver. So an actor
 * keeps these, and there are as many mjData as threads step at once; after their first calls nothing is
 * allocated.
 */
#ifndef VLY_ENVS_MUJOCO_BODY_H
#define VLY_ENVS_MUJOCO_BODY_H
#include <pthread.h>
#include "envs/mujoco/library.h"
#include "envs/mujoco/tasks.h"

typedef struct vly_mj_body {
    struct vly_mj_body *next;
    vly_mj_data *data;
    double *qpos, *qvel, *ctrl, *qfrc_actuator, *qfrc_constraint;
    double (*xpos)[3], (*xipos)[3], (*site_xpos)[3], (*cinert)[10], (*cvel)[6], (*cfrc_ext)[6];
} vly_mj_body;

typedef struct vly_mj_world {
    const vly_mj_task *task;
    vly_mj_weights weights;
    int max_steps;
    vly_mj_library mj;
    vly_mj_model *model;
    int state_bits, state_numbers; /* of mj_getState */
    double timestep, dt;           /* of the simulation, of an agent's step [s] */
    const double *body_mass;       /* (nbody,), of the model */
    double total_mass;
    int id[VLY_MJ_IDS]; /* of task->bodies */
    pthread_mutex_t lock;
    vly_mj_body *unused;
    pthread_mutex_t drawing;
    struct vly_mj_view *view; /* made for the first picture, by who holds `drawing` */
} vly_mj_world;

/* Opens library and model and compares the model with what the task expects of it. A failed open leaves
 * nothing behind. */
vly_status vly_mj_world_open(vly_mj_world *w, const vly_mj_task *task, const char *version);
void vly_mj_world_close(vly_mj_world *w);

/* NULL without memory. */
vly_mj_body *vly_mj_body_take(vly_mj_world *w);
void vly_mj_body_give(vly_mj_world *w, vly_mj_body *b);
void vly_mj_body_drop(vly_mj_world *w, vly_mj_body *b);

/* The numbers in an actor's state. */
const double *vly_mujoco_numbers(const void *state);

#endif
