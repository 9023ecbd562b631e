/* fleet.h -- the fleet of a run: workers around a store, the ranks of mpirun, one process per GPU,
 * or this process alone.
 *
 *   // chooses by the configuration; starts no workers yet
 *   VLY_TRY(vly_fleet_open(&f, &config, compute, folder, say, arg));
 *   vly_fleet_join(f, &train_options);                        // sets sync or lead
 *   if (vly_fleet_rank(f) == 0) ...                 // only rank 0 prints and has a folder
 *   vly_fleet_close(f, failed);                               // after the trainer
 *
 * Returns VLY_EUNSUPPORTED if the build lacks the library that the configuration needs. */
#ifndef VLY_CPU_FLEET_FLEET_H
#define VLY_CPU_FLEET_FLEET_H
#include "cpu/train/train.h"

typedef struct vly_fleet vly_fleet;
/* `folder` is borrowed until close; its text may be filled in later, before training starts. */
vly_status vly_fleet_open(vly_fleet **out, const vly_config *config, vly_compute *compute,
                          const char *folder, void (*say)(void *arg, const char *text), void *arg);
void vly_fleet_join(vly_fleet *f, vly_train_options *options);
int vly_fleet_rank(const vly_fleet *f);
void vly_fleet_close(vly_fleet *f, bool failed);
#endif
