#include "cpu/fleet/tables_impl.h"
#include <math.h>
#include <stdio.h>

/* Sums over all ranks fit in 64 bits. */
static const int64_t COUNT_MOST = (int64_t)1 << 53;

size_t vly_tab_table_bytes(int states, int actions) {
    return sizeof(vly_tab_head) +
           (size_t)states * (size_t)actions * (sizeof(float) + sizeof(uint32_t) + 1);
}

void vly_tab_key(char *key, size_t bytes, int rank) {
    snprintf(key, bytes, "table:%d", rank);
}

void vly_tab_round_key(char *key, size_t bytes, int64_t round, int rank) {
    snprintf(key, bytes, "round:%lld:%d", (long long)round, rank);
}

void vly_tab_claim_key(char *key, size_t bytes, int64_t pair) {
    snprintf(key, bytes, "owner:%lld", (long long)pair);
}

static bool counts_are_sane(const vly_tab_head *h) {
    return h->returns >= 0 && h->returns <= VLY_TAB_RETURNS && h->round >= 0 &&
           h->round <= COUNT_MOST && h->steps >= 0 && h->steps <= COUNT_MOST && h->updates >= 0 &&
           h->updates <= COUNT_MOST && h->episodes >= 0 && h->episodes <= COUNT_MOST;
}

vly_status vly_tab_check(const unsigned char *message, size_t bytes, int states, int actions,
                         const char *key, vly_tab_head *head) {
    if (bytes >= sizeof *head) memcpy(head, message, sizeof *head);
    if (bytes != vly_tab_table_bytes(states, actions) || head->magic != VLY_TAB_MAGIC ||
        head->states != states || head->actions != actions)
        return vly_fail(
            VLY_EVERSION,
            "%s in the store has another shape or format: use the same environment and program",
            key);
    if (!counts_are_sane(head))
        return vly_fail(VLY_ECORRUPT, "%s in the store has counts outside their range", key);
    for (size_t i = 0; i < (size_t)states * (size_t)actions; i++)
        if (!isfinite(vly_tab_value(message, i)))
            return vly_fail(VLY_ECORRUPT, "%s in the store holds a value that is not finite", key);
    return VLY_OK;
}

vly_status vly_tab_fetch(vly_store *store, const char *key, int states, int actions,
                         unsigned char *to, vly_tab_head *head) {
    const size_t want = vly_tab_table_bytes(states, actions);
    size_t got = 0;
    VLY_TRY(vly_store_get(store, key, to, want, &got));
    return vly_tab_check(to, got, states, actions, key, head);
}

vly_status vly_tab_peek(vly_store *store, const char *key, vly_tab_head *head) {
    size_t got = 0;
    VLY_TRY(vly_store_get_range(store, key, 0, head, sizeof *head, &got));
    if (got == 0) return vly_fail(VLY_ENOTFOUND, "%s is not in the store", key);
    return got == sizeof *head && head->magic == VLY_TAB_MAGIC && counts_are_sane(head)
               ? VLY_OK
               : vly_fail(VLY_ECORRUPT, "%s in the store has another format", key);
}
