/* trial.h -- compares an engine with our kernels on random numbers, then times it.
 *
 *   vly_trial t = {.l = layer};
 *   if (vly_trial_open(&t) == VLY_OK && vly_trial_reference(&t, pass) == VLY_OK)
 *       fine = vly_trial_run(&t, engine, pass, plan, best, &us, &verdict);
 *   vly_trial_close(&t);                                // also after a failure
 *
 * Needs device memory for the layer's largest batch until it is closed.
 */
#ifndef VLY_GPU_TRIAL_H
#define VLY_GPU_TRIAL_H
#include "gpu/internal.h"

typedef struct {
    vly_layer *l;
    vly_queue *q;
    void *x, *y, *dz, *dx; /* device */
    float *w, *dw;
    size_t x_bytes, y_bytes;
    void *want, *want_nan, *got; /* host: what our kernels gave, also with a NaN in the input;
                                    what a candidate gave */
} vly_trial;

vly_status vly_trial_open(vly_trial *t);
void vly_trial_close(vly_trial *t);
/* Runs our own kernels for reference, with random numbers and then with a NaN among them. A NaN
 * must reach the output of every engine, because the trainer detects numbers that are not finite
 * there. */
vly_status vly_trial_reference(vly_trial *t, vly_pass pass);
/* Returns true, and the time in *us, if the candidate agrees with the reference. Otherwise *verdict
 * says why not. best: the shortest time so far, in microseconds. */
#define VLY_TRIAL_HIDES_NAN "hides a NaN"
bool vly_trial_run(vly_trial *t, const vly_engine *engine, vly_pass pass, void *plan, double best,
                   double *us, const char **verdict);
#endif
