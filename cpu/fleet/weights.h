/* weights.h -- the newest weights of a run in the store, with their version: a learner publishes,
 * actors follow.
 *
 *   learner: VLY_TRY(vly_weights_create(&w, store, n));  VLY_TRY(vly_weights_publish(w, version,
 *            steps, false, param));
 *   actor:   VLY_TRY(vly_weights_follow(w, param, &fresh));
 *       // w->seen: version, steps, whether the run is over
 */
#ifndef VLY_CPU_FLEET_WEIGHTS_H
#define VLY_CPU_FLEET_WEIGHTS_H
#include "cpu/fleet/ps_wire.h"
#include "cpu/fleet/store.h"

typedef struct {
    vly_store *store;
    int64_t n;
    wire_params seen;       /* followed, or published */
    uint64_t incarnation;   /* of a publisher */
    unsigned char *message; /* wire_params and n floats */
} vly_weights;

vly_status vly_weights_create(vly_weights **out, vly_store *store, int64_t n);
void vly_weights_destroy(vly_weights *w);
vly_status vly_weights_publish(vly_weights *w, int64_t version, int64_t steps, bool stop,
                               const vly_real *param);
/* The header of what is published; VLY_ENOTFOUND while there is nothing. */
vly_status vly_weights_peek(vly_weights *w, wire_params *head);
/* Into param (n) when they are others than those seen. Nothing published: *fresh is false. */
vly_status vly_weights_follow(vly_weights *w, vly_real *param, bool *fresh);
#endif
