/* weights.h -- the newest weights of a run in the store, with their version: the learner publishes
 * them, actors load them.
 *
 *   learner: VLY_TRY(vly_weights_create(&w, store, n));
 *            VLY_TRY(vly_weights_publish(w, version, steps, false, param));
 *   actor:   VLY_TRY(vly_weights_follow(w, param, &fresh));
 *       // w->seen: version, steps, whether the run has ended */
#ifndef VLY_CPU_FLEET_WEIGHTS_H
#define VLY_CPU_FLEET_WEIGHTS_H
#include "cpu/fleet/ps_wire.h"
#include "cpu/fleet/store.h"

typedef struct {
    vly_store *store;
    int64_t n;
    wire_params seen;       /* of the weights last loaded or published */
    uint64_t incarnation;   /* of the publishing process */
    unsigned char *message; /* wire_params and n floats */
} vly_weights;

vly_status vly_weights_create(vly_weights **out, vly_store *store, int64_t n);
void vly_weights_destroy(vly_weights *w);
vly_status vly_weights_publish(vly_weights *w, int64_t version, int64_t steps, bool stop,
                               const vly_real *param);
/* Reads the header of the published weights; VLY_ENOTFOUND if there are none. */
vly_status vly_weights_peek(vly_weights *w, wire_params *head);
/* Loads the published weights into param (n) if they differ from those last seen, and sets
 * *fresh. If none are published *fresh is false. */
vly_status vly_weights_follow(vly_weights *w, vly_real *param, bool *fresh);
#endif
