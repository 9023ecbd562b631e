#include "cpu/fleet/tables_impl.h"
#include <math.h>
#include <stdio.h>

size_t vly_tab_table_bytes(int states, int actions) {
    return sizeof(vly_tab_head) +
           (size_t)states * (size_t)actions * (sizeof(float) + sizeof(uint32_t) + 1);
}

void vly_tab_key(char *key, size_t bytes, int rank) {
    snprintf(key, bytes, "table:%d", rank);
}

vly_status vly_tab_fetch(vly_store *store, const char *key, int states, int actions,
                         unsigned char *to, vly_tab_head *head) {
    const size_t want = vly_tab_table_bytes(states, actions);
    size_t got = 0;
    VLY_TRY(vly_store_get(store, key, to, want, &got));
    memcpy(head, to, sizeof *head);
    if (got != want || head->magic != VLY_TAB_MAGIC || head->states != states ||
        head->actions != actions)
        return vly_fail(
            VLY_EVERSION,
            "%s in the store has another shape or format: use the same environment and program",
            key);
    for (size_t i = 0; i < (size_t)states * (size_t)actions; i++)
        if (!isfinite(vly_tab_value(to, i)))
            return vly_fail(VLY_ECORRUPT, "%s in the store holds a value that is not finite", key);
    return VLY_OK;
}
