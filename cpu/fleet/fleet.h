/* fleet.h -- what a run shares its work with, if anything: workers around a store, the ranks of
 * mpirun, or further GPUs.
 *
 *   // decides by the configuration; nothing is started yet
 *   VLY_TRY(vly_fleet_open(&f, &config, compute, folder, say, arg));
 *   vly_fleet_join(f, &train_options);                        // sync or lead
 *   if (vly_fleet_rank(f) > 0) <no folder, no words>
 *   ... vly_fleet_close(f, failed);                           // last of all
 *
 * Builds without Redis or MPI say so when they are asked for them.
 */
#ifndef VLY_CPU_FLEET_FLEET_H
#define VLY_CPU_FLEET_FLEET_H
#include "cpu/train/train.h"

typedef struct vly_fleet vly_fleet;
/* folder is borrowed until close and may be filled in later. */
vly_status vly_fleet_open(vly_fleet **out, const vly_config *config, vly_compute *compute,
                          const char *folder, void (*say)(void *arg, const char *text), void *arg);
void vly_fleet_join(vly_fleet *f, vly_train_options *options);
int vly_fleet_rank(const vly_fleet *f);
void vly_fleet_close(vly_fleet *f, bool failed);
#endif
