#include <stdio.h>
#include "common/base/clock.h"
#include "cpu/fleet/store_impl.h"

enum { PAUSE_MS = 10 };

/* One key per member, with a time to live, and one set of their names: no SCAN over a large
 * store. */
static vly_status queue_beat(vly_store *s, const char *member, const char *json, int ttl_ms) {
    char name[192];
    snprintf(name, sizeof name, "member:%s", member);
    const vly_store_key k = vly_store_full_key(s, name), set = vly_store_full_key(s, "members");
    const vly_store_number ttl = vly_store_digits(ttl_ms);
    vly_store_words w = {0}, a = {0}, r = {0};
    vly_store_put_text(&w, "SET"), vly_store_put_text(&w, k.text), vly_store_put_text(&w, json),
        vly_store_put_text(&w, "PX"), vly_store_put_text(&w, ttl.text);
    vly_store_put_text(&a, "SADD"), vly_store_put_text(&a, set.text),
        vly_store_put_text(&a, member);
    vly_store_put_text(&r, "SADD"), vly_store_put_text(&r, "volley:runs"),
        vly_store_put_text(&r, s->run);
    VLY_TRY(vly_store_run(s, 0, &w));
    VLY_TRY(vly_store_run(s, 0, &a));
    /* a cluster's list of runs would be on one node of many */
    return s->cluster ? VLY_OK : vly_store_run(s, 0, &r);
}

vly_status vly_store_beat(vly_store *s, const char *member, const char *json, int ttl_ms) {
    if (s->batching) return queue_beat(s, member, json, ttl_ms);
    const int64_t deadline = vly_now_ms() + s->retry_ms;
    for (;;) { /* sending a beat twice is harmless */
        vly_status status = vly_store_begin(s);
        if (status == VLY_OK) status = queue_beat(s, member, json, ttl_ms);
        if (status == VLY_OK) status = vly_store_end(s);
        if (status != VLY_EPEER || vly_now_ms() > deadline) return status;
        s->batching = false;
        vly_store_disconnect(s);
        vly_store_pause(s, PAUSE_MS);
    }
}

static vly_status read_set(vly_store *s, const char *full, redisReply **out) {
    vly_store_words w = {0};
    vly_store_put_text(&w, "SMEMBERS"), vly_store_put_text(&w, full);
    VLY_TRY(vly_store_run(s, 0, &w));
    *out = vly_store_take(s);
    return VLY_OK;
}

vly_status vly_store_members(vly_store *s,
                             vly_status (*each)(void *arg, const char *member, const char *json),
                             void *arg, int *count) {
    const vly_store_key set = vly_store_full_key(s, "members");
    redisReply *names;
    *count = 0;
    VLY_TRY(read_set(s, set.text, &names));
    vly_status status = VLY_OK;
    for (size_t i = 0; names->type == REDIS_REPLY_ARRAY && i < names->elements && status == VLY_OK;
         i++) {
        char name[192];
        snprintf(name, sizeof name, "member:%s", names->element[i]->str);
        const vly_store_key k = vly_store_full_key(s, name);
        vly_store_words w = {0}, gone = {0};
        vly_store_put_text(&w, "GET"), vly_store_put_text(&w, k.text);
        if ((status = vly_store_run(s, 0, &w)) != VLY_OK) break;
        redisReply *json = vly_store_take(s);
        if (json->type == REDIS_REPLY_STRING) {
            status = each(arg, names->element[i]->str, json->str);
            ++*count;
        } else {
            vly_store_put_text(&gone, "SREM"), vly_store_put_text(&gone, set.text),
                vly_store_put_text(&gone, names->element[i]->str);
            status = vly_store_run(s, 0, &gone);
        }
        freeReplyObject(json);
    }
    freeReplyObject(names);
    return status;
}

vly_status vly_store_runs(vly_store *s, vly_status (*each)(void *arg, const char *run), void *arg,
                          int *count) {
    redisReply *names;
    *count = 0;
    VLY_TRY(read_set(s, "volley:runs", &names));
    vly_status status = VLY_OK;
    for (size_t i = 0; names->type == REDIS_REPLY_ARRAY && i < names->elements && status == VLY_OK;
         i++, ++*count)
        status = each(arg, names->element[i]->str);
    freeReplyObject(names);
    return status;
}
