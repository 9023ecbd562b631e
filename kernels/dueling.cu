/* dueling.cu -- q = v + a - mean(a) and its gradient: a thread per row. Traffic: 8 A + 4 B per row.
 */
#include "kernels/ops.h"

static __global__ void __launch_bounds__(64)
    dueling(int n, int actions, const float *__restrict__ v, const float *__restrict__ a,
            float *__restrict__ out) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const float *row = a + (int64_t)i * actions;
    float sum = 0.0f;
    for (int k = 0; k < actions; k++) sum += row[k];
    const float value = v[i], mean = sum / (float)actions;
    for (int k = 0; k < actions; k++) out[(int64_t)i * actions + k] = value + (row[k] - mean);
}

static __global__ void __launch_bounds__(64)
    dueling_backward(int n, int actions, const float *__restrict__ dout, float *__restrict__ dv,
                     float *__restrict__ da) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const float *row = dout + (int64_t)i * actions;
    float sum = 0.0f;
    for (int k = 0; k < actions; k++) sum += row[k];
    const float mean = sum / (float)actions;
    for (int k = 0; k < actions; k++) da[(int64_t)i * actions + k] = row[k] - mean;
    dv[i] = sum;
}

vly_status vly_dueling_launch(int n, int actions, const float *v, const float *a, float *out,
                              cudaStream_t stream) {
    VLY_NEED(n >= 0 && actions > 0 && v && a && out);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(dueling, (unsigned)vly_ceil_div(n, 64), 64, 0, stream, n, actions, v, a, out);
    return VLY_OK;
}

vly_status vly_dueling_backward_launch(int n, int actions, const float *dout, float *dv, float *da,
                                       cudaStream_t stream) {
    VLY_NEED(n >= 0 && actions > 0 && dout && dv && da);
    if (n == 0) return VLY_OK;
    VLY_LAUNCH(dueling_backward, (unsigned)vly_ceil_div(n, 64), 64, 0, stream, n, actions, dout, dv,
               da);
    return VLY_OK;
}
