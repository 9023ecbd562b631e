/* session.h -- a run from start to end: its folder, a trainer, metrics, checkpoints, the live page.
 *
 *   vly_session_callbacks cb = {.say = say, .progress = progress, .arg = me};
 *   VLY_TRY(vly_session_start(&s, &given, &cb));             // a new folder, or
 *   VLY_TRY(vly_session_resume(&s, "runs/x", &given, false, &cb)); // newest good checkpoint
 *   vly_session_get_info(s, &info);                          // folder, device, address of the page
 *   status = vly_session_run(s, &result);                    // until a stop
 *   vly_session_close(s);
 *
 * Not here: the terminal and signals. A caller prints what say() gets, draws what progress() gets,
 * and calls vly_session_stop from its signal handler.
 */
#ifndef VLY_CPU_RUN_SESSION_H
#define VLY_CPU_RUN_SESSION_H
#include <stdbool.h>
#include "common/config/config.h"
#include "common/record/checkpoint.h"
#include "common/record/metrics.h"
#include "cpu/train/train.h"

typedef struct vly_session vly_session;

typedef struct {
    void *arg; /* for the callbacks, each of which may be NULL; valid until close */
    /* The environment is open and nothing was done with it yet: the rules of a hosted one. */
    vly_status (*opened)(void *arg, vly_env *env);
    /* A line for a person: a checkpoint that was skipped or not saved, an environment that hangs.
     * From any thread. */
    void (*say)(void *arg, const char *text);
    /* After every update, on the thread of vly_session_run, which it may hold up. Returns
     * VLY_TRAIN_* flags: to save, to stop. */
    int (*updated)(void *arg, const vly_train_report *report);
    /* Likewise, with what is recorded. */
    void (*progress)(void *arg, vly_metrics *metrics);
} vly_session_callbacks;

/* Borrowed from the session. */
typedef struct {
    const vly_config *config; /* resolved */
    const vly_env *env;
    const vly_compute_info *device;
    const char *device_note;         /* why `auto` did not choose a GPU, or "" */
    const char *folder, *checkpoint; /* checkpoint: the one it was resumed from, the newest after a
                                        run, or "" */
    const char *page;                /* address of the live page, or NULL */
    int64_t steps_at_start;          /* of the run that goes on, 0 of a new one */
    bool first; /* of several ranks the first alone has a folder; the others should not print */
} vly_session_info;

enum { VLY_SESSION_TASKS_MAX = 64, VLY_SESSION_CHANGES_MAX = 16 * VLY_SESSION_TASKS_MAX };
typedef struct {
    char env[64];
    int64_t episodes;
    double return_mean_100; /* NAN: none */
} vly_session_task;

typedef struct {
    vly_train_result train;
    char folder[VLY_PATH], checkpoint[VLY_PATH]; /* checkpoint: "" when none was written */
    int64_t steps, updates, episodes;
    double return_mean_100, wall_s, steps_per_s, frames_per_s;
    vly_session_task tasks[VLY_SESSION_TASKS_MAX];
    int task_count; /* of several environments that learned together; 0: there is one */
    vly_train_change changes[VLY_SESSION_CHANGES_MAX];
    int change_count;
    bool checkpoint_lost; /* the last attempt to save failed: `words` say why */
    char words[512];
} vly_session_result;

/* Files that the configuration names relative to `folder` (a plugin, rows of numbers) become absolute:
 * the run is read from other folders too. A path that would be too long stays as it was given. */
void vly_session_anchor(vly_config *config, const char *folder);
/* Resolves what was given for the environment that it names, and opens that; both are the caller's.
 * For verbs that need a configuration without a run. env may be NULL. */
vly_status vly_session_configure(vly_config *config, const vly_assignments *given, vly_env *env);

vly_status vly_session_start(vly_session **out, const vly_assignments *given,
                             const vly_session_callbacks *callbacks);
/* Options that a run keeps, "run.env" and others, NULL at the end: vly_session_resume refuses them. */
extern const char *const vly_session_kept[];
/* Starts again if the run has no checkpoint. accept: although config.yaml is not what the checkpoint
 * was saved with. */
vly_status vly_session_resume(vly_session **out, const char *run, const vly_assignments *given,
                              bool accept, const vly_session_callbacks *callbacks);
void vly_session_get_info(const vly_session *s, vly_session_info *out);
/* result is filled whatever is returned. */
vly_status vly_session_run(vly_session *s, vly_session_result *result);
/* Ends vly_session_run with VLY_STOP_INTERRUPTED and a checkpoint. From any thread or a signal
 * handler. */
void vly_session_stop(vly_session *s);
void vly_session_close(vly_session *s);
#endif
