#include "common/compute.h"

int64_t vly_layer_params(const vly_layer_desc *desc) {
    const int64_t area = desc->kind == VLY_CONV ? (int64_t)desc->kernel * desc->kernel : 1;
    if (desc->kind == VLY_MAXPOOL) return 0;
    return (int64_t)desc->out_c * desc->in_c * area + desc->out_c;
}

size_t vly_dtype_bytes(vly_dtype type) {
    switch (type) {
    case VLY_U8: return 1;
    case VLY_BF16: return 2;
    case VLY_F32:
    case VLY_I32:
    case VLY_U32: return 4;
    case VLY_F64:
    case VLY_I64:
    case VLY_U64: return 8;
    }
    return 0;
}
