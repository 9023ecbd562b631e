/* session_impl.h -- the inside of a run as a person knows it, for cpu/run/session*.c alone.
 *
 *   session.c          begun, gone on with, run, closed
 *   session_config.c   what was given, resolved for the environment that it names
 *   session_files.c    the folder and what is written there, the live page
 *   session_numbers.c  what is measured, and when
 *   session_save.c     checkpoints out
 *   session_restore.c  checkpoints in, for a run or for an agent
 */
#ifndef VLY_CPU_RUN_SESSION_IMPL_H
#define VLY_CPU_RUN_SESSION_IMPL_H
#include "cpu/fleet/fleet.h"
#include "cpu/machine/gpu_use.h"
#include "cpu/monitor/monitor.h"
#include "cpu/program/status_line.h"
#include "cpu/run/session.h"

enum { NOTES = 16 };

struct vly_session {
    vly_config config;
    vly_env env;
    bool env_open, resumed;
    vly_compute *compute;
    vly_fleet *fleet;
    vly_train *train;
    vly_metrics *metrics;
    vly_monitor *monitor; /* NULL: none */
    vly_gpu_use *gpu;     /* likewise */
    vly_shots *shots;
    vly_status_line *line;
    FILE *people;
    char folder[VLY_PATH - 64], checkpoints[VLY_PATH - 32], device_note[512];
    int lock;

    vly_buffer *buffers; /* what is saved, made once */
    vly_array *tensors;
    int tensor_count;
    vly_note notes[NOTES];
    vly_train *saving;

    double last_record, last_save, save_s, save_s_recorded, cpu_s, wall_recorded;
    double phase_recorded[VLY_PHASES];
    int64_t steps_recorded, updates_recorded, episodes_recorded, restarts_recorded, hung_recorded;
    int64_t steps_saved, steps_at_start;
    double best_return;
    bool save_failed, failed, too_many_restarts;
    char save_words[512], checkpoint[VLY_PATH];
};

/* --out or runs/ENV-ALGO-SEED-TIME into s->folder; refuses a folder that holds a run. */
vly_status vly_session_choose_folder(vly_session *s);
/* The folder, what is written there, and who shows it; resumed: the step it goes on from, or -1. */
vly_status vly_session_open_outputs(vly_session *s, int64_t resumed);

/* The trainer's callbacks; arg is the session. */
void vly_session_observe(void *arg, const vly_episode *episode, int64_t steps);
int vly_session_on_update(void *arg, const vly_train_report *r);
vly_status vly_session_on_save(void *arg, vly_train *t);

void vly_session_record(vly_session *s, const vly_train_report *r);
/* Once, when there is a trainer: what on_save writes. */
vly_status vly_session_list_tensors(vly_session *s);
/* What this rank takes over of the checkpoint. */
vly_status vly_session_restore(vly_session *s, vly_checkpoint *c);

bool vly_run_is_folder(const char *path);

/* `bytes` of a buffer from `offset` on, as bytes. */
static inline vly_buffer vly_buffer_part(const vly_buffer *b, size_t offset, size_t bytes) {
    vly_buffer part = *b;
    part.dtype = VLY_U8, part.ndim = 1, part.shape[0] = (int64_t)bytes;
    part.data = (char *)b->data + offset;
    return part;
}
#endif
