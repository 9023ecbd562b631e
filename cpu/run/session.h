/* session.h -- a run as a person knows it: a folder, a trainer, numbers on the screen, checkpoints.
 *
 *   vly_session *s;
 *   VLY_TRY(vly_session_start(&s, &given, people));            // volley train: a new folder
 *   // volley resume: from the newest good checkpoint
 *   VLY_TRY(vly_session_resume(&s, "runs/x", &given, people));
 *   VLY_TRY(vly_session_run(s, &result));
 *   vly_session_close(s);
 *
 * The folder: config.yaml (resolved), system.json, metrics.jsonl, events.out.tfevents.*,
 * checkpoints/.
 */
#ifndef VLY_CPU_RUN_SESSION_H
#define VLY_CPU_RUN_SESSION_H
#include <stdbool.h>
#include <stdio.h>
#include "common/record/checkpoint.h"
#include "common/config/config.h"
#include "common/record/metrics.h"
#include "cpu/train/train.h"

enum { VLY_RUN_FORMAT = VLY_CONFIG_VERSION };

typedef struct vly_session vly_session;

typedef struct {
    vly_train_result train;
    char folder[VLY_PATH], checkpoint[VLY_PATH]; /* checkpoint: "" when none was written */
    int64_t steps, updates, episodes;
    double return_mean_100, wall_s, steps_per_s, frames_per_s;
    bool checkpoint_lost; /* the last attempt to save failed: `words` say why */
    char words[512];
} vly_session_result;

/* Resolves what was given for the environment that it names, opens it; both are the caller's. Used
 * by every verb that needs a configuration without a run. env may be NULL. */
vly_status vly_session_configure(vly_config *config, const vly_assignments *given, vly_env *env);

vly_status vly_session_start(vly_session **out, const vly_assignments *given, FILE *people);
vly_status vly_session_resume(vly_session **out, const char *run, const vly_assignments *given,
                              FILE *people);
/* result is filled whatever is returned. */
vly_status vly_session_run(vly_session *s, vly_session_result *result);
void vly_session_close(vly_session *s);
const vly_config *vly_session_config(const vly_session *s);
/* Of several ranks under mpirun the first alone has a folder and prints. */
bool vly_session_is_first(const vly_session *s);

/* RUN may be a run's folder or one checkpoint file; in a folder it is the newest good one, or the
 * best. Damaged ones are named on `people`. */
vly_status vly_run_open_checkpoint(const char *run, bool best, FILE *people, vly_checkpoint **out);
/* The configuration beside the run or checkpoint. */
vly_status vly_run_load_config(const char *run, vly_config *config);
/* Reads a checkpoint's tensors into the trainer; weights alone when it is for evaluation. */
vly_status vly_run_restore(vly_checkpoint *c, vly_train *t);
#endif
