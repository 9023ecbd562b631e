/* tfevents.h -- a TensorBoard event file, by hand: a record is length, masked CRC-32C, protobuf,
 * masked CRC.
 *
 *   vly_tfevents *t;
 *   VLY_TRY(vly_tfevents_open(&t, "run", -1));
 *   VLY_TRY(vly_tfevents_scalars(t, steps, names, values, n));   // one event
 *   vly_tfevents_close(t);
 *
 * Only scalars. Not thread-safe. Nothing is allocated after open.
 */
#ifndef VLY_COMMON_RECORD_TFEVENTS_H
#define VLY_COMMON_RECORD_TFEVENTS_H
#include <stddef.h>
#include <stdint.h>
#include "common/base/status.h"

typedef struct vly_tfevents vly_tfevents;

/* A new file events.out.tfevents.TIME.HOST.PID in the folder. restart: the step that a resumed run
 * goes on from; TensorBoard then discards later events. -1 for a new run. */
vly_status vly_tfevents_open(vly_tfevents **out, const char *folder, int64_t restart);
vly_status vly_tfevents_scalars(vly_tfevents *t, int64_t step, const char *const *names,
                                const double *values, int n);
void vly_tfevents_close(vly_tfevents *t);

/* Castagnoli's CRC, as in iSCSI. */
uint32_t vly_crc32c(const void *data, size_t bytes);
#endif
