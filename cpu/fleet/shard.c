#include "cpu/fleet/shard.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEY_COST = 320 }; /* two keys, a list entry, hash fields: Redis's own bytes */

vly_shard_name vly_shard_run(const char *run, int number) {
    vly_shard_name n;
    snprintf(n.text, sizeof n.text, "%.96s.%d", run, number);
    return n;
}

vly_shard_name vly_shard_data_key(uint64_t life, uint64_t seq) {
    vly_shard_name n;
    snprintf(n.text, sizeof n.text, "b:%" PRIx64 ":%" PRIx64, life, seq);
    return n;
}

vly_shard_name vly_shard_priority_key(uint64_t life, uint64_t seq) {
    vly_shard_name n;
    snprintf(n.text, sizeof n.text, "p:%" PRIx64 ":%" PRIx64, life, seq);
    return n;
}

int64_t vly_shard_cost(const vly_block_head *h, size_t notice_bytes) {
    return (int64_t)(notice_bytes + h->data_bytes + (size_t)h->lanes * h->steps * sizeof(float) +
                     KEY_COST);
}

static vly_store_bytes script_text(const char *s) {
    return (vly_store_bytes){s, strlen(s)};
}

typedef struct {
    char text[24];
} decimal;
static decimal decimal_of(int64_t value) {
    decimal d;
    snprintf(d.text, sizeof d.text, "%" PRId64, value);
    return d;
}

/* KEYS: data, notices, state. ARGV: data, notice, cost, budget, queue limit. */
static const char push_script[] =
    "if redis.call('EXISTS',KEYS[1])==1 then return 1 end "
    "local c=redis.call('HMGET',KEYS[3],'bytes','tail','seen') "
    "if tonumber(c[1] or 0)+tonumber(ARGV[3])>tonumber(ARGV[4]) then return 0 end "
    "if tonumber(c[2] or 0)-tonumber(c[3] or 0)>=tonumber(ARGV[5]) then return 0 end "
    "redis.call('SET',KEYS[1],ARGV[1]) redis.call('RPUSH',KEYS[2],ARGV[2]) "
    "redis.call('HINCRBY',KEYS[3],'bytes',ARGV[3]) redis.call('HINCRBY',KEYS[3],'tail',1) return 1";

vly_status vly_shard_push(vly_store *s, const vly_block *b, int64_t budget, int queue_limit,
                          bool *accepted) {
    const vly_shard_name name = vly_shard_data_key(b->head->life, b->head->seq);
    const decimal cost = decimal_of(vly_shard_cost(b->head, b->notice_bytes)),
                  most = decimal_of(budget), limit = decimal_of(queue_limit);
    const char *const key[] = {name.text, "notices", "state"};
    const vly_store_bytes arg[] = {{b->data, b->data_bytes},
                                   {b->notice, b->notice_bytes},
                                   script_text(cost.text),
                                   script_text(most.text),
                                   script_text(limit.text)};
    int64_t answer;
    VLY_TRY(vly_store_script(s, push_script, key, 3, arg, 5, &answer, 1));
    *accepted = answer != 0;
    return VLY_OK;
}

static const char state_script[] =
    "local c=redis.call('HMGET',KEYS[1],'bytes','head','tail','seen') "
    "for i=1,4 do c[i]=tonumber(c[i] or 0) end return c";

vly_status vly_shard_read_state(vly_store *s, vly_shard_state *out) {
    const char *const key[] = {"state"};
    int64_t n[4];
    VLY_TRY(vly_store_script(s, state_script, key, 1, NULL, 0, n, 4));
    *out = (vly_shard_state){n[0], n[1], n[2], n[3]};
    if (out->head < 0 || out->tail < out->head || out->seen < 0)
        return vly_fail(VLY_ECORRUPT, "the state of a shard of experience is invalid");
    return VLY_OK;
}

vly_status vly_shard_notices(vly_store *s, const vly_shard_state *at, int64_t from, int most,
                             vly_status (*each)(void *arg, const void *data, size_t bytes),
                             void *arg, int *count) {
    return vly_store_slice(s, "notices", from - at->head, most, each, arg, count);
}

vly_status vly_shard_set_seen(vly_store *s, int64_t seen) {
    static const char script[] = "redis.call('HSET',KEYS[1],'seen',ARGV[1]) return 1";
    const char *const key[] = {"state"};
    const decimal number = decimal_of(seen);
    const vly_store_bytes arg[] = {script_text(number.text)};
    int64_t answer;
    return vly_store_script(s, script, key, 1, arg, 1, &answer, 1);
}

static vly_status delete_block(void *arg, const void *notice, size_t bytes) {
    vly_store *s = arg;
    vly_block_head head;
    if (bytes < sizeof head) return VLY_OK;
    memcpy(&head, notice, sizeof head);
    VLY_TRY(vly_store_delete(s, vly_shard_data_key(head.life, head.seq).text));
    return vly_store_delete(s, vly_shard_priority_key(head.life, head.seq).text);
}

vly_status vly_shard_clear(vly_store *s) {
    int count = 1;
    for (int64_t from = 0; count > 0; from += count)
        VLY_TRY(vly_store_slice(s, "notices", from, 100, delete_block, s, &count));
    VLY_TRY(vly_store_delete(s, "notices"));
    return vly_store_delete(s, "state");
}

/* KEYS: state, notices, data, priorities. ARGV: head, cost. */
static const char evict_script[] =
    "if tonumber(redis.call('HGET',KEYS[1],'head') or 0)~=tonumber(ARGV[1]) then return 0 end "
    "redis.call('LPOP',KEYS[2]) redis.call('UNLINK',KEYS[3],KEYS[4]) "
    "redis.call('HINCRBY',KEYS[1],'head',1) "
    "redis.call('HINCRBY',KEYS[1],'bytes',-tonumber(ARGV[2])) return 1";

vly_status vly_shard_evict(vly_store *s, int64_t head, uint64_t life, uint64_t seq, int64_t cost) {
    const vly_shard_name data = vly_shard_data_key(life, seq),
                         priority = vly_shard_priority_key(life, seq);
    const char *const key[] = {"state", "notices", data.text, priority.text};
    const decimal at = decimal_of(head), less = decimal_of(cost);
    const vly_store_bytes arg[] = {script_text(at.text), script_text(less.text)};
    int64_t answer;
    return vly_store_script(s, evict_script, key, 4, arg, 2, &answer, 1);
}
