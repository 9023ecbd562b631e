/* acting.h -- how the outputs of an exported network become an action, as the metadata of its model.
 *
 *   vly_acting a = {0};
 *   vly_text_add(vly_acting_note(&a, "env"), "%s", name);
 *   VLY_TRY(vly_acting_describe(&a, &env, config, net, checkpoint));
 *   ... a.notes, a.count ...
 *   vly_acting_free(&a);
 *
 * action: discrete, multi or box, as `volley ls NAME` calls them
 * choices: how many there are, "2" or "3,2"; each has its part of the output, in this order
 * low, high: of each number of a box, "-2,-2"
 * squash: how the first of the outputs, as many as numbers, become the action of a box: `clip` to the
 *     bounds; `stretch` from [-1, 1] to them; `tanh`, then stretch
 * deviation: how the rest of them become log deviations, to sample by: `clamp` between deviation_low
 *     and deviation_high; `tanh`, then stretch to them. None: there are none (TD3)
 * masked: "true": choices may be forbidden, which the model is not told
 * reward_scale: what rewards were multiplied by before they were learned, that is, what `value` or `q`
 *     is to be divided by
 */
#ifndef VLY_CPU_ACTING_H
#define VLY_CPU_ACTING_H
#include "common/base/text.h"
#include "common/learn/algo.h"
#include "common/record/checkpoint.h"
#include "cpu/program/onnx.h"

enum { VLY_ACTING_NOTES = 16 };
typedef struct {
    vly_onnx_note notes[VLY_ACTING_NOTES];
    vly_text text[VLY_ACTING_NOTES]; /* the notes' values */
    int count;
} vly_acting;

/* Another note, before vly_acting_describe: its value is to be added. name: borrowed. */
vly_text *vly_acting_note(vly_acting *a, const char *name);
/* To be freed after a failure too. */
vly_status vly_acting_describe(vly_acting *a, const vly_env *env, const vly_config *config,
                               const vly_net *net, vly_checkpoint *c);
void vly_acting_free(vly_acting *a);
#endif
