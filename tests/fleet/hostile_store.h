/* hostile_store.h -- a store whose every answer is somebody else's choice, in place of
 * cpu/fleet/store.c: for fuzz targets of what reads from it.
 *
 *   hostile_store = (hostile){.value = bytes, .value_bytes = n};     // what get finds
 *   hostile_store.popped = bytes, hostile_store.popped_bytes = n;    // what pop finds, once
 *
 * Nothing waits: an empty list is empty at once. What is written is dropped.
 */
#ifndef VLY_TESTS_FLEET_HOSTILE_STORE_H
#define VLY_TESTS_FLEET_HOSTILE_STORE_H
#include "cpu/fleet/store.h"
#include "tests/fuzz/input.h"

typedef struct {
    const uint8_t *value;
    size_t value_bytes;
    const uint8_t *popped;
    size_t popped_bytes;
    int64_t owner;
} hostile;
static hostile hostile_store;

static inline vly_status hostile_answer(const uint8_t *from, size_t bytes, void *to, size_t room,
                                        size_t *got) {
    if (!from) return vly_fail(VLY_ENOTFOUND, "nothing is there");
    *got = bytes;
    memcpy(to, from, bytes < room ? bytes : room);
    return VLY_OK;
}

vly_status vly_store_open(vly_store **out, const char *url, const char *run,
                          const vly_store_options *options) {
    (void)url, (void)run, (void)options;
    return *out = (vly_store *)&hostile_store, VLY_OK;
}
void vly_store_close(vly_store *s) {
    (void)s;
}
vly_store_traffic vly_store_get_traffic(const vly_store *s) {
    (void)s;
    return (vly_store_traffic){0};
}
vly_status vly_store_set(vly_store *s, const char *key, const void *data, size_t bytes) {
    (void)s, (void)key, (void)data, (void)bytes;
    return VLY_OK;
}
vly_status vly_store_get(vly_store *s, const char *key, void *data, size_t bytes, size_t *got) {
    (void)s, (void)key;
    return hostile_answer(hostile_store.value, hostile_store.value_bytes, data, bytes, got);
}
vly_status vly_store_get_range(vly_store *s, const char *key, size_t offset, void *data,
                               size_t bytes, size_t *got) {
    (void)s, (void)key, (void)offset;
    const size_t n = hostile_store.value_bytes < bytes ? hostile_store.value_bytes : bytes;
    return hostile_answer(hostile_store.value, n, data, bytes, got);
}
vly_status vly_store_set_range(vly_store *s, const char *key, size_t offset, const void *data,
                               size_t bytes) {
    (void)s, (void)key, (void)offset, (void)data, (void)bytes;
    return VLY_OK;
}
vly_status vly_store_delete(vly_store *s, const char *key) {
    (void)s, (void)key;
    return VLY_OK;
}
vly_status vly_store_claim(vly_store *s, const char *key, int64_t value, int64_t *owner) {
    (void)s, (void)key, (void)value;
    return *owner = hostile_store.owner, VLY_OK;
}
vly_status vly_store_push(vly_store *s, const char *list, const void *data, size_t bytes,
                          int64_t limit, bool *accepted) {
    (void)s, (void)list, (void)data, (void)bytes, (void)limit;
    if (accepted) *accepted = true;
    return VLY_OK;
}
vly_status vly_store_pop(vly_store *s, const char *list, int wait_ms, const void **data,
                         size_t *bytes) {
    (void)s, (void)list, (void)wait_ms;
    if (!hostile_store.popped) return vly_fail(VLY_ENOTFOUND, "the list is empty");
    *data = hostile_store.popped, *bytes = hostile_store.popped_bytes;
    hostile_store.popped = NULL;
    return VLY_OK;
}
vly_status vly_store_pop_many(vly_store *s, const char *list, int most,
                              vly_status (*each)(void *arg, const void *data, size_t bytes),
                              void *arg, int *count) {
    (void)s, (void)list, (void)most;
    const uint8_t *data = hostile_store.popped;
    *count = data != NULL;
    hostile_store.popped = NULL;
    return data ? each(arg, data, hostile_store.popped_bytes) : VLY_OK;
}
vly_status vly_store_append(vly_store *s, const char *log, const void *data, size_t bytes,
                            int64_t keep) {
    (void)s, (void)log, (void)data, (void)bytes, (void)keep;
    return VLY_OK;
}
vly_status vly_store_read(vly_store *s, const char *log, char cursor[VLY_STORE_CURSOR], int most,
                          int wait_ms,
                          vly_status (*each)(void *arg, const void *data, size_t bytes), void *arg,
                          int *count) {
    (void)cursor, (void)wait_ms;
    return vly_store_pop_many(s, log, most, each, arg, count);
}
vly_status vly_store_beat(vly_store *s, const char *member, const char *json, int ttl_ms) {
    (void)s, (void)member, (void)json, (void)ttl_ms;
    return VLY_OK;
}
vly_status vly_store_members(vly_store *s,
                             vly_status (*each)(void *arg, const char *member, const char *json),
                             void *arg, int *count) {
    (void)s;
    *count = 1;
    return each(arg, "w0", "{\"role\":\"worker\"}");
}
vly_status vly_store_begin(vly_store *s) {
    (void)s;
    return VLY_OK;
}
vly_status vly_store_end(vly_store *s) {
    (void)s;
    return VLY_OK;
}
#endif
