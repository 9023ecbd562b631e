/* onnx.h -- a network with its weights as an ONNX model, for onnxruntime and whatever else reads
 * it.
 *
 *   vly_onnx_options o = {.native = false, .name = "cartpole", .notes = notes, .note_count = 2};
 *   // param: vly_net_params(net) numbers, host memory
 *   VLY_TRY(vly_onnx_write("x.onnx", net, param, &o));
 *
 * Input `obs` is what the environment gives, unscaled and of its own type: (batch, n) for vectors,
 * (batch, channels, height, width) for images, channels being the stacked frames, the newest last;
 * native: (batch, height, width, channels). Outputs are `logits` (batch, actions) and `value`
 * (batch), `q` (batch, actions) or `action` (batch, numbers); cpu/program/acting.h says what they mean.
 * An LSTM adds the inputs `h` and `c` (batch, units), zeros at an
 * episode's start, and the outputs `h_next` and `c_next`: the model is one step. It computes in
 * float32, whatever the run's precision was. The names of weights are the checkpoint's, and their
 * layout is PyTorch's.
 */
#ifndef VLY_CPU_ONNX_H
#define VLY_CPU_ONNX_H
#include "common/learn/net.h"

typedef struct {
    const char *name, *value;
} vly_onnx_note;

typedef struct {
    bool native;
    const char *name; /* of the graph */
    const vly_onnx_note *notes;
    int note_count; /* metadata */
} vly_onnx_options;

vly_status vly_onnx_write(const char *path, const vly_net *net, const vly_real *param,
                          const vly_onnx_options *options);
#endif
