/* feed.h -- a batch of transitions made elsewhere (experience in a store), on its way into an
 * update.
 *
 *   VLY_TRY(vly_feed_create(&f, compute, &obs, batch, n_step));
 *   // Sample i has `window` frames from f->host.frames + i * window * obs.bytes, the oldest first;
 *   // its newest frame of state is frame stack - 1, row vly_feed_row(f, i); the newest frame that
 *   // it bootstraps from lies `boot` rows later.
 *   <fill f->host>
 *   // in the update
 *   VLY_TRY(vly_feed_upload(f, q));
 *   ... vly_feed_frames(f), f->batch ...
 *   VLY_TRY(vly_feed_download(f, q));
 *   // once q has passed
 *   ... f->host.td_abs ...
 *
 * Unused samples have action -1 and weight 0.
 */
#ifndef VLY_COMMON_LEARN_FEED_H
#define VLY_COMMON_LEARN_FEED_H
#include "common/learn/replay.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    vly_compute *c;
    vly_obs_spec obs;
    int n, window; /* samples; frames of one: stack - 1 of history, the state's, n_step after it */
    vly_replay_batch batch; /* device */
    uint8_t *frames, *age;  /* device: (n, window) */
    struct {
        uint8_t *frames, *age;
        int32_t *row, *bootstrap_row, *action;
        vly_real *n_return, *discount, *weight, *td_abs;
    } host; /* the same memory where the device is the host */
    void *memory, *host_memory;
} vly_feed;

vly_status vly_feed_create(vly_feed **out, vly_compute *c, const vly_obs_spec *obs, int n,
                           int n_step);
void vly_feed_destroy(vly_feed *f);
static inline int32_t vly_feed_row(const vly_feed *f, int i) {
    return (int32_t)(i * f->window + f->obs.stack - 1);
}
vly_frames vly_feed_frames(const vly_feed *f);
vly_status vly_feed_upload(vly_feed *f, vly_queue *q);
vly_status vly_feed_download(vly_feed *f, vly_queue *q);

#ifdef __cplusplus
}
#endif
#endif
