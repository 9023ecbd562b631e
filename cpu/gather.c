/* gather.c -- a network's input from stored frames: stacks, converts, scales. */
#include <string.h>
#include "common/rules.h"
#include "cpu/bf16.h"
#include "cpu/ops.h"

static float pixel(const vly_obs_spec *obs, const uint8_t *frame, size_t i) {
    float f;
    if (obs->dtype == VLY_U8) return frame[i];
    memcpy(&f, frame + 4 * i, sizeof f);
    return f;
}

static void put(const vly_obs_spec *obs, vly_dtype type, void *x, int64_t at, const uint8_t *frame, size_t i) {
    if (type == VLY_U8) {
        ((uint8_t *)x)[at] = frame ? frame[i] : 0;
        return;
    }
    const float value = frame ? obs->scale * pixel(obs, frame, i) : 0;
    if (type == VLY_BF16) ((uint16_t *)x)[at] = vly_bf16_from_f32(value);
    else ((vly_real *)x)[at] = value;
}

vly_status vly_cpu_gather(vly_queue *q, const vly_frames *f, int n, const int32_t *row, int64_t first, vly_dtype type, void *x) {
    (void)q;
    VLY_NEED("gather", f && n >= 0 && x && f->frames && f->rows >= 1);
    const vly_obs_spec *obs = &f->obs;
    VLY_NEED("gather", obs->dtype == VLY_U8 || obs->dtype == VLY_F32);
    VLY_NEED("gather", obs->stack >= 1 && (obs->stack == 1 || f->age));
    VLY_NEED("gather", type == VLY_F32 || type == VLY_BF16 || (type == VLY_U8 && obs->dtype == VLY_U8));
    const size_t numbers = obs->bytes / (obs->dtype == VLY_U8 ? 1 : 4);
    const size_t channels = obs->ndim == 3 ? (size_t)obs->shape[2] : numbers;
    VLY_NEED("gather", channels >= 1 && numbers % channels == 0);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < obs->stack; k++) {
            const int64_t at = vly_rule_frame(f, row ? row[i] : first + i, k);
            const uint8_t *frame = at < 0 ? NULL : f->frames + at;
            for (size_t j = 0; j < numbers; j++)
                put(obs, type, x, (int64_t)(((size_t)i * numbers + j / channels * channels) * (size_t)obs->stack + (size_t)k * channels + j % channels),
                    frame, j);
        }
    return VLY_OK;
}
