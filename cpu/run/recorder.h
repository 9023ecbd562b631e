/* recorder.h -- a run's reports as metrics: rates, queues, shares of time, memory, processor and
 * GPU.
 *
 *   vly_recorder r;
 *   VLY_TRY(vly_recorder_open(&r, &config, &env, folder, -1));
 *   vly_recorder_episode(&r, episode);                                  // in on_episode
 *   if (vly_recorder_due(&r, report))                                   // in on_update
 *       VLY_TRY(vly_recorder_write(&r, report, seconds_spent_saving));
 *   vly_recorder_close(&r);                                             // also after a failed open
 */
#ifndef VLY_CPU_RUN_RECORDER_H
#define VLY_CPU_RUN_RECORDER_H
#include "common/config/config.h"
#include "common/record/metrics.h"
#include "cpu/machine/gpu_use.h"
#include "cpu/train/train.h"

typedef struct {
    vly_metrics *metrics;
    const vly_config *config; /* borrowed, as are env and folder */
    const vly_env *env;
    vly_gpu_use *gpu; /* NULL: not measured */
    bool written;
    /* as of the last record */
    double wall_s, save_s, cpu_s, asleep_s, phase_s[VLY_PHASES];
    int64_t steps, updates, episodes, restarts, hung, lost, late;
} vly_recorder;

/* Opens the files that the configuration asks for. resumed: the step the run goes on from; records
 * after it are dropped; -1: a new run. */
vly_status vly_recorder_open(vly_recorder *r, const vly_config *config, const vly_env *env,
                             const char *folder, int64_t resumed);
void vly_recorder_close(vly_recorder *r);
/* Opens the files anew, after their folder was lost; a copy that lies there is gone on with. */
vly_status vly_recorder_reopen(vly_recorder *r, const char *folder, int64_t steps);
/* Records the use of the GPU that run.device names too. */
void vly_recorder_watch_gpu(vly_recorder *r);
void vly_recorder_episode(vly_recorder *r, const vly_episode *episode);
/* Every metrics.every_s, and more often in the first seconds, so that a short run has a curve too.
 */
bool vly_recorder_due(const vly_recorder *r, const vly_train_report *report);
/* Before vly_recorder_write, in a run of remote actors. */
void vly_recorder_actors(vly_recorder *r, const vly_remote_stats *stats);
/* save_s: seconds spent saving so far. */
vly_status vly_recorder_write(vly_recorder *r, const vly_train_report *report, double save_s);
#endif
