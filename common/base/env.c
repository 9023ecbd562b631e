#include "common/base/env.h"
#include <stdio.h>

void vly_action_text(const vly_space *space, vly_actions action, char *text, size_t bytes) {
    size_t at = 0;
    if (bytes) text[0] = '\0';
    for (int i = 0; i < space->count && at < bytes; i++) {
        const char *before = i ? "," : "";
        const int n = space->kind == VLY_SPACE_BOX
                          ? snprintf(text + at, bytes - at, "%s%.9g", before,
                                     (double)vly_action_floats(action)[i])
                          : snprintf(text + at, bytes - at, "%s%d", before,
                                     (int)vly_action_ints(action)[i]);
        at += n > 0 ? (size_t)n : 0;
    }
}

int vly_mask_blocks(const vly_space *space, const uint8_t *mask) {
    for (int f = 0; f < space->count; f++) {
        const int n = vly_space_size(space, f);
        uint8_t any = 0;
        for (int i = 0; i < n; i++) any |= mask[i];
        if (!any) return 1;
        mask += n;
    }
    return 0;
}
