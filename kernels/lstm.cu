#include "kernels/ops.h"
vly_status vly_lstm_forward_launch(int, int, int, const float *, const uint8_t *, float *, float *, float *, cudaStream_t) { return VLY_EUNSUPPORTED; }
vly_status vly_lstm_backward_launch(int, int, int, const float *, const uint8_t *, const float *, const float *, const float *, const float *, float *, float *, float *, void *, cudaStream_t) { return VLY_EUNSUPPORTED; }
