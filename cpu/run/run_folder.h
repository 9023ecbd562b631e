/* run_folder.h -- the folder of a run: config.yaml (resolved), system.json, metrics.jsonl,
 * events.out.tfevents.*, checkpoints/.
 *
 *   to read:   VLY_TRY(vly_run_load_config("runs/x", &config));
 *              VLY_TRY(vly_run_open_checkpoint("runs/x", false, say, arg, &checkpoint));
 *
 *   to write:  vly_run_folder f;
 *              VLY_TRY(vly_run_folder_choose(&f, &config, "cartpole"));
 *              VLY_TRY(vly_run_folder_claim(&f));                           // the first rank alone
 *              VLY_TRY(vly_run_folder_open(&f, &config, &compute->info));   // creates and locks it
 *              vly_run_folder_close(&f);                  // also after a failure
 *
 * One process writes to a folder at a time; any number may read.
 */
#ifndef VLY_CPU_RUN_RUN_FOLDER_H
#define VLY_CPU_RUN_RUN_FOLDER_H
#include <stdbool.h>
#include "common/base/compute.h"
#include "common/config/config.h"
#include "common/record/checkpoint.h"

typedef struct {
    char path[VLY_PATH - 64], checkpoints[VLY_PATH - 32];
    char shown[VLY_PATH - 64]; /* the path as it was given, for messages */
    int lock;                  /* a descriptor; -1: not open */
    char digest[40];           /* of the checkpoint that the run goes on from; "": none */
    bool unclaimed;            /* a default name, which another run may take */
    bool fresh;                /* chosen for a new run, and nothing was written yet */
    bool made, made_parent;    /* by claim, and empty: close removes them */
} vly_run_folder;

/* run.out, or runs/ENV-ALGO-SEED-TIME. Refuses a folder that holds a run. */
vly_status vly_run_folder_choose(vly_run_folder *f, const vly_config *config, const char *env);
/* Makes a folder of that default name, with -2, -3 ... where others have made it. The name does not
 * change after that. Does nothing for a folder that was given. */
vly_status vly_run_folder_claim(vly_run_folder *f);
/* The folder of an existing run. */
vly_status vly_run_folder_find(vly_run_folder *f, const char *run);
/* From here on the folder is found wherever the process's working directory goes: for environments
 * that may change it. Between choose or find and open. */
vly_status vly_run_folder_anchor(vly_run_folder *f);
/* VLY_EINVAL when another process writes to it, or when a run is in a folder for a new one. */
vly_status vly_run_folder_open(vly_run_folder *f, const vly_config *config,
                               const vly_compute_info *device);
/* Whether the folder that was opened is no longer at its path: removed, or moved elsewhere. */
bool vly_run_folder_is_lost(const vly_run_folder *f);
void vly_run_folder_close(vly_run_folder *f);

/* RUN is a run's folder or one checkpoint file; in a folder it is the newest good one, or the best.
 * say: a line for each damaged one that is skipped; may be NULL. */
vly_status vly_run_open_checkpoint(const char *run, bool best,
                                   void (*say)(void *arg, const char *text), void *arg,
                                   vly_checkpoint **out);
/* The configuration beside the run or checkpoint. */
vly_status vly_run_load_config(const char *run, vly_config *config);
/* Whether that configuration and the checkpoint agree (settings.h). */
vly_status vly_run_check_config(const char *run, const vly_config *config, vly_checkpoint *c,
                                void (*say)(void *arg, const char *text), void *arg);
/* Whether the run's folder has a configuration and no checkpoint, good or bad. */
bool vly_run_is_unsaved(const char *run);
#endif
