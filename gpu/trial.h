/* trial.h -- an engine on trial: random operands, its output against that of our kernels, then its
 * time.
 *
 *   vly_trial t = {.l = layer};
 *   if (vly_trial_open(&t) == VLY_OK && vly_trial_reference(&t, pass) == VLY_OK)
 *       fine = vly_trial_run(&t, engine, pass, plan, best, &us, &verdict);
 *   vly_trial_close(&t);                                // whatever went wrong
 *
 * Takes device memory for the layer's largest batch, and gives it back.
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
/* Our own kernels' output, which those that follow must agree with. It is taken twice: with random
 * numbers, and with one of them a NaN, which must reach the output, for the trainer's guard against
 * numbers that are not finite looks there. */
vly_status vly_trial_reference(vly_trial *t, vly_pass pass);
/* True: it agrees, and takes *us microseconds. False is no error: *verdict says why it is not
 * chosen. best: of those before. */
#define VLY_TRIAL_HIDES_NAN "hides a NaN"
bool vly_trial_run(vly_trial *t, const vly_engine *engine, vly_pass pass, void *plan, double best,
                   double *us, const char **verdict);
#endif
