/* saver.h -- a trainer's state to checkpoints and back.
 *
 *   vly_saver s;
 *   VLY_TRY(vly_saver_open(&s, train, &config, env.name, folder.checkpoints, folder.shown));
 *   VLY_TRY(vly_saver_restore(&s, checkpoint, VLY_RESTORE_ALL));       // a run that is resumed
 *   if (vly_saver_due(&s, report)) ... return VLY_TRAIN_SAVE           // in on_update
 *   if (vly_saver_save(&s) != VLY_OK) ... the checkpoint before stays  // in on_save
 *   vly_saver_close(&s);                                               // also after a failed open
 *
 * The checkpoint with the best mean return, of VLY_SAVER_BEST_EPISODES episodes at least, is kept
 * beside the newest.
 */
#ifndef VLY_CPU_RUN_SAVER_H
#define VLY_CPU_RUN_SAVER_H
#include "common/config/config.h"
#include "common/record/checkpoint.h"
#include "cpu/train/train.h"

enum { VLY_SAVER_NOTES = 16, VLY_SAVER_BEST_EPISODES = 20 };

typedef struct {
    vly_train *train; /* borrowed, as are all pointers of vly_saver_open */
    const vly_config *config;
    const char *env, *folder, *shown;
    vly_buffer *buffers; /* what is saved; listed before each checkpoint */
    vly_array *tensors;
    int room, tensor_count, note_count;
    vly_note notes[VLY_SAVER_NOTES];
    char *settings;             /* the configuration as of the last save */
    double best_return, last_s; /* last_s: when the last save ended, on the report's clock */
    int64_t last_steps;

    char path[VLY_PATH]; /* the newest good checkpoint, "" before the first */
    bool failed;         /* the last save; `error` says why */
    char error[512];
    double seconds, last_seconds; /* spent saving, in all and the last time */
} vly_saver;

/* folder: where checkpoints go; shown: the run's folder as s->path and messages name it. */
vly_status vly_saver_open(vly_saver *s, vly_train *train, const vly_config *config, const char *env,
                          const char *folder, const char *shown);
void vly_saver_close(vly_saver *s);
bool vly_saver_due(const vly_saver *s, const vly_train_report *report);
/* VLY_ENOSPACE: the disk has less room than a checkpoint takes. */
vly_status vly_saver_check_room(const vly_saver *s);
/* In on_save alone. */
vly_status vly_saver_save(vly_saver *s);

typedef enum {
    VLY_RESTORE_ALL,
    VLY_RESTORE_WEIGHTS, /* for evaluation */
    VLY_RESTORE_SHARED   /* a rank after the first: environments and random numbers stay its own */
} vly_restore_kind;
/* VLY_EINVAL when the checkpoint is of another environment. Saving goes on from its step count. */
vly_status vly_saver_restore(vly_saver *s, vly_checkpoint *c, vly_restore_kind kind);
/* The same without a saver. */
vly_status vly_run_restore(vly_checkpoint *c, vly_train *train, vly_restore_kind kind);
#endif
