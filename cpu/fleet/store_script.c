/* Scripts, slices of lists, and pipelined reads of ranges: what shards of experience need beyond
 * values and lists. */
#include <stdlib.h>
#include "cpu/fleet/store_impl.h"

vly_status vly_store_script(vly_store *s, const char *script, const char *const *key, int keys,
                            const vly_store_bytes *arg, int args, int64_t *out, int outs) {
    vly_store_key full[6];
    vly_store_words w = {0};
    const vly_store_number count = vly_store_digits(keys);
    if (keys > 6 || keys + args + 3 > VLY_STORE_WORDS)
        return vly_fail(VLY_EINVAL, "store: a script with %d keys and %d arguments: too many", keys,
                        args);
    vly_store_put_text(&w, "EVAL"), vly_store_put_text(&w, script),
        vly_store_put_text(&w, count.text);
    for (int i = 0; i < keys; i++) {
        full[i] = vly_store_full_key(s, key[i]);
        vly_store_put_text(&w, full[i].text);
    }
    for (int i = 0; i < args; i++) vly_store_put(&w, arg[i].data, arg[i].bytes);
    VLY_TRY(vly_store_run(s, 0, &w));
    if (s->batching) return VLY_OK;
    const redisReply *r = s->held;
    if (outs == 1 && r->type == REDIS_REPLY_INTEGER) {
        out[0] = r->integer;
        return VLY_OK;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != (size_t)outs)
        return vly_fail(VLY_EIO, "store: a script returned another type");
    for (int i = 0; i < outs; i++)
        out[i] = r->element[i]->type == REDIS_REPLY_INTEGER ? r->element[i]->integer : 0;
    return VLY_OK;
}

vly_status vly_store_slice(vly_store *s, const char *list, int64_t from, int most,
                           vly_status (*each)(void *arg, const void *data, size_t bytes), void *arg,
                           int *count) {
    const vly_store_key k = vly_store_full_key(s, list);
    const vly_store_number first = vly_store_digits(from), last = vly_store_digits(from + most - 1);
    vly_store_words w = {0};
    vly_store_put_text(&w, "LRANGE"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, first.text), vly_store_put_text(&w, last.text);
    *count = 0;
    VLY_TRY(vly_store_run(s, 0, &w));
    redisReply *r = vly_store_take(s);
    vly_status status = VLY_OK;
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements && status == VLY_OK;
         i++, ++*count)
        status = each(arg, r->element[i]->str, r->element[i]->len);
    freeReplyObject(r);
    return status;
}

/* ---- pipelined reads ---- */

vly_status vly_store_ask(vly_store *s, const char *key, size_t offset, size_t bytes) {
    const vly_store_key k = vly_store_full_key(s, key);
    const vly_store_number from = vly_store_digits((int64_t)offset),
                           to = vly_store_digits((int64_t)(offset + bytes) - 1);
    vly_store_words w = {0};
    if (s->asked == 0) VLY_TRY(vly_store_connected(s));
    if (bytes == 0)
        vly_store_put_text(&w, "GET"), vly_store_put_text(&w, k.text);
    else
        vly_store_put_text(&w, "GETRANGE"), vly_store_put_text(&w, k.text),
            vly_store_put_text(&w, from.text), vly_store_put_text(&w, to.text);
    VLY_TRY(vly_store_queue(s, &w));
    s->asked++;
    return VLY_OK;
}

vly_status vly_store_asked(vly_store *s) {
    if (s->asked == 0 || vly_store_flush(s)) return VLY_OK;
    s->asked = 0;
    return vly_fail(VLY_EPEER, "store: %s", s->link->errstr);
}

vly_status vly_store_answer(vly_store *s, const void **data, size_t *bytes) {
    char at[512];
    if (s->asked == 0) return vly_fail(VLY_EINVAL, "store: no request is outstanding");
    if (s->held) freeReplyObject(vly_store_take(s));
    redisReply *r = vly_store_next_answer(s, s->timeout_ms);
    if (!r) {
        s->asked = 0;
        return vly_fail(VLY_EPEER, "store %s: %s", vly_store_where(s, at, sizeof at),
                        s->link->errstr);
    }
    s->asked--;
    s->held = r;
    s->traffic.received_bytes += vly_store_reply_bytes(r);
    if (r->type == REDIS_REPLY_ERROR)
        return vly_fail(vly_store_moved(s, r) ? VLY_EPEER : VLY_EIO, "store %s: %s",
                        vly_store_where(s, at, sizeof at), r->str);
    *data = r->type == REDIS_REPLY_STRING ? r->str : NULL;
    *bytes = r->type == REDIS_REPLY_STRING ? r->len : 0;
    return VLY_OK;
}
