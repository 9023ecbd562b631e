#include "common/base/compute.h"

int64_t vly_layer_params(const vly_layer_desc *desc) {
    const int64_t area = desc->kind == VLY_CONV ? (int64_t)desc->kernel * desc->kernel : 1;
    if (desc->kind == VLY_MAXPOOL) return 0;
    return (int64_t)desc->out_c * desc->in_c * area + desc->out_c;
}

size_t vly_dtype_bytes(vly_dtype type) {
    switch (type) {
    case VLY_U8: return 1;
    case VLY_BF16: return 2;
    case VLY_F32: return sizeof(vly_real); /* float but in the double-precision tests */
    case VLY_I32:
    case VLY_U32: return 4;
    case VLY_F64:
    case VLY_I64:
    case VLY_U64: return 8;
    }
    return 0;
}

vly_status vly_tree_plan(vly_tree *tree, int64_t capacity) {
    if (!tree || capacity < 1 || capacity > INT32_MAX)
        return vly_fail(VLY_EINVAL, "replay tree: %lld rows, allowed are 1 to %d",
                        (long long)capacity, INT32_MAX);
    *tree = (vly_tree){.capacity = capacity};
    int64_t nodes = capacity;
    do {
        nodes = (nodes + VLY_TREE_RADIX - 1) / VLY_TREE_RADIX;
        tree->width[tree->levels++] = nodes * VLY_TREE_RADIX;
    } while (nodes > 1);
    return VLY_OK;
}
