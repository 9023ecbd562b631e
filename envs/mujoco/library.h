/* library.h -- MuJoCo's C library, loaded at run time; for the files of this folder only.
 *
 *   vly_mj_library mj;
 *   VLY_TRY(vly_mj_library_open(&mj, ""));              // the newest that is there, or "3.6.0"
 *   VLY_TRY(vly_mj_load(&mj, "ant.xml", &model));       // a file of the same folder
 *   vly_mj_data *data = mj.make_data(model);
 *   double *qpos = vly_mj_array(data, mj.layout->qpos);
 *
 * Nothing of MuJoCo is compiled in: its functions are found by name, and the members of its two large
 * structs by the offsets of the version that is loaded (layouts.def). A version without a row there is
 * refused. `make mujoco` fetches library and models.
 *
 * mju_error(), which would end the process, comes back to the caller: VLY_MJ_TRAP.
 */
#ifndef VLY_ENVS_MUJOCO_LIBRARY_H
#define VLY_ENVS_MUJOCO_LIBRARY_H
#include <setjmp.h>
#include <stddef.h>
#include "common/base/status.h"

typedef struct vly_mj_model vly_mj_model; /* mjModel */
typedef struct vly_mj_data vly_mj_data;   /* mjData */

/* Offsets and sizes in bytes. */
typedef struct {
    int version; /* as mj_version() returns it */
    const char *name;
    int warmstart;                                                 /* mjSTATE_WARMSTART */
    int nbody, timestep, body_mass, actuator_ctrlrange, offscreen; /* of mjModel */
    int qpos, qvel, ctrl, qfrc_actuator, qfrc_constraint, xpos, xipos, site_xpos, cinert, cvel,
        cfrc_ext; /* of mjData: pointers to arrays */
    int scene, option, camera, perturb, context;
} vly_mj_layout;

enum { VLY_MJ_TIME = 1, VLY_MJ_QPOS = 2, VLY_MJ_QVEL = 4, VLY_MJ_ACT = 8 }; /* mjtState */
enum { VLY_MJ_BODY = 1, VLY_MJ_SITE = 6, VLY_MJ_CAMERA = 7 };               /* mjtObj */

/* X(member, name in the library, result, arguments) */
#define VLY_MJ_FUNCTIONS(X)                                                                \
    X(version, "mj_version", int, (void))                                                  \
    X(load, "mj_loadXML", vly_mj_model *,                                                  \
      (const char *path, const void *vfs, char *why, int room))                            \
    X(delete_model, "mj_deleteModel", void, (vly_mj_model *))                              \
    X(make_data, "mj_makeData", vly_mj_data *, (const vly_mj_model *))                     \
    X(delete_data, "mj_deleteData", void, (vly_mj_data *))                                 \
    X(reset_data, "mj_resetData", void, (const vly_mj_model *, vly_mj_data *))             \
    X(forward, "mj_forward", void, (const vly_mj_model *, vly_mj_data *))                  \
    X(step, "mj_step", void, (const vly_mj_model *, vly_mj_data *))                        \
    X(contact_forces, "mj_rnePostConstraint", void, (const vly_mj_model *, vly_mj_data *)) \
    X(state_size, "mj_stateSize", int, (const vly_mj_model *, int what))                   \
    X(get_state, "mj_getState", void,                                                      \
      (const vly_mj_model *, const vly_mj_data *, double *, int what))                     \
    X(set_state, "mj_setState", void,                                                      \
      (const vly_mj_model *, vly_mj_data *, const double *, int what))                     \
    X(id, "mj_name2id", int, (const vly_mj_model *, int kind, const char *name))

typedef struct {
    void *handle;
    char folder[1024];
    const vly_mj_layout *layout;
#define X(member, name, result, arguments) result(*member) arguments;
    VLY_MJ_FUNCTIONS(X)
#undef X
} vly_mj_library;

/* version: of those supported, or "": the newest in the folder. The folder is $VOLLEY_MUJOCO, otherwise
 * volley/mujoco in the user's cache. */
vly_status vly_mj_library_open(vly_mj_library *mj, const char *version);
void vly_mj_library_close(vly_mj_library *mj);
/* "3.3.7, 3.6.0 ...", newest last. */
const char *vly_mj_supported(void);
/* Any function of the library, or NULL. */
void *vly_mj_symbol(const vly_mj_library *mj, const char *name);

/* A model from a file of the folder; the caller ends it with mj->delete_model. */
vly_status vly_mj_load(const vly_mj_library *mj, const char *file, vly_mj_model **out);

/* The array that a member of mjData or mjModel points to. */
static inline double *vly_mj_array(const void *of, int offset) {
    return *(double *const *)(const void *)((const char *)of + offset);
}

/* Where mju_error() comes back to, on this thread:
 *
 *     vly_mj_trap t;
 *     VLY_MJ_TRAP(t);
 *     if (setjmp(t.back)) ... vly_mj_trouble() says why ...; else ... calls ...
 *     VLY_MJ_UNTRAP(t);
 */
#define VLY_MJ_TRAP(t) ((t).outer = vly_mj_trap_set(&(t)))
#define VLY_MJ_UNTRAP(t) vly_mj_trap_set((t).outer)
typedef struct vly_mj_trap {
    jmp_buf back;
    struct vly_mj_trap *outer;
} vly_mj_trap;
vly_mj_trap *vly_mj_trap_set(vly_mj_trap *trap); /* returns the one before */
const char *vly_mj_trouble(void);

#endif
