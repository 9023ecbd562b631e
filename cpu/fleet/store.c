#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "common/base/clock.h"
#include "cpu/fleet/store_impl.h"

enum {
    TIMEOUT_MS = 5000,
    RETRY_MS = 30000,
    PAUSE_FIRST_MS = 10,
    PAUSE_MOST_MS = 1000,
    SAY_MS = 1000
};

/* ---- the connection ---- */

const char *vly_store_where(const vly_store *s, char *text, size_t bytes) {
    if (s->at.unix_path[0])
        snprintf(text, bytes, "%s", s->at.unix_path);
    else
        snprintf(text, bytes, "%s:%d", s->at.host, s->at.port);
    return text;
}

/* A failed link may still hold a command that the system would deliver once the network is back,
 * after newer commands of the next link: old weights would overwrite new ones. So it is reset,
 * not closed. */
void vly_store_disconnect(vly_store *s) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (s->link && s->link->err && s->link->fd >= 0)
        setsockopt(s->link->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (s->link && s->wait && s->link->fd >= 0) (void)s->wait(s->wait_arg, s->link->fd, false, -1);
    if (s->link) redisFree(s->link);
    s->link = NULL;
}

static bool await_link(vly_store *s, bool write, int limit_ms) {
    if (s->wait(s->wait_arg, s->link->fd, write, limit_ms)) return true;
    s->link->err = REDIS_ERR_IO;
    snprintf(s->link->errstr, sizeof s->link->errstr, "no answer within %d ms", limit_ms);
    return false;
}

bool vly_store_flush(vly_store *s) {
    for (int done = 0;;) {
        if (redisBufferWrite(s->link, &done) != REDIS_OK) return false;
        if (done) return true;
        if (s->wait && !await_link(s, true, s->timeout_ms)) return false;
    }
}

redisReply *vly_store_next_answer(vly_store *s, int limit_ms) {
    redisReply *r = NULL;
    if (!s->wait) return redisGetReply(s->link, (void **)&r) == REDIS_OK ? r : NULL;
    if (!vly_store_flush(s)) return NULL;
    for (;;) {
        if (redisGetReplyFromReader(s->link, (void **)&r) != REDIS_OK) return NULL;
        if (r) return r;
        if (!await_link(s, false, limit_ms) || redisBufferRead(s->link) != REDIS_OK) return NULL;
    }
}

static vly_status run_handshake(vly_store *s, int argc, const char **argv) {
    redisReply *r = redisAppendCommandArgv(s->link, argc, argv, NULL) == REDIS_OK
                        ? vly_store_next_answer(s, s->timeout_ms)
                        : NULL;
    vly_status status = VLY_OK;
    char at[512];
    if (!r)
        status = vly_fail(VLY_EPEER, "store %s: %s", vly_store_where(s, at, sizeof at),
                          s->link->errstr);
    else if (r->type == REDIS_REPLY_ERROR)
        status = vly_fail(VLY_EINVAL, "store %s: %s: %s", vly_store_where(s, at, sizeof at),
                          argv[0], r->str);
    if (r) freeReplyObject(r);
    return status;
}

static redisContext *connect_and_block(const vly_store *s) {
    const struct timeval first = {s->connect_ms / 1000, (s->connect_ms % 1000) * 1000},
                         limit = {s->timeout_ms / 1000, (s->timeout_ms % 1000) * 1000};
    redisContext *link = s->at.unix_path[0]
                             ? redisConnectUnixWithTimeout(s->at.unix_path, first)
                             : redisConnectWithTimeout(s->at.host, s->at.port, first);
    if (link && !link->err) redisSetTimeout(link, limit);
    return link;
}

/* Only a name that has to be looked up still blocks: give an address where a name server may be out
 * of reach. */
static redisContext *begin_to_connect(const vly_store *s) {
    return s->at.unix_path[0] ? redisConnectUnixNonBlock(s->at.unix_path)
                              : redisConnectNonBlock(s->at.host, s->at.port);
}

static void end_to_connect(vly_store *s) {
    int error = 0;
    socklen_t bytes = sizeof error;
    if (s->link->err || !await_link(s, true, s->connect_ms)) return;
    if (getsockopt(s->link->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0) return;
    s->link->err = REDIS_ERR_IO;
    snprintf(s->link->errstr, sizeof s->link->errstr, "%s", strerror(error));
}

static vly_status open_link(vly_store *s) {
    char at[512], db[16];
    vly_store_disconnect(s);
    s->link = s->wait ? begin_to_connect(s) : connect_and_block(s);
    if (!s->link) return vly_fail(VLY_ENOMEM, "store: out of memory");
    if (s->wait) end_to_connect(s);
    if (s->link->err)
        return vly_fail(VLY_EPEER, "store %s: %s", vly_store_where(s, at, sizeof at),
                        s->link->errstr);
    if (!s->at.unix_path[0]) redisEnableKeepAlive(s->link);
    if (s->at.password[0]) {
        const char *with_user[] = {"AUTH", s->at.user, s->at.password},
                   *alone[] = {"AUTH", s->at.password};
        const vly_status status = s->at.user[0] ? run_handshake(s, 3, with_user)
                                                : run_handshake(s, 2, alone);
        if (status != VLY_OK && !strstr(vly_error_text(), "without any password"))
            return status; /* the server has no password */
    }
    if (s->at.db) {
        snprintf(db, sizeof db, "%d", s->at.db);
        const char *select[] = {"SELECT", db};
        VLY_TRY(run_handshake(s, 2, select));
    }
    return VLY_OK;
}

void vly_store_pause(vly_store *s, int ms) {
    if (s->wait)
        (void)s->wait(s->wait_arg, -1, false, ms);
    else
        vly_pause_ms(ms);
}

/* An attempt that is made before anything was said is short, to say it in time. */
static int connect_limit(const vly_store *s) {
    return s->say && s->timeout_ms > SAY_MS ? SAY_MS : s->timeout_ms;
}

static void say_waiting(vly_store *s, int64_t since, int64_t deadline) {
    char text[700];
    const int64_t now = vly_now_ms();
    if (!s->say || now - since < SAY_MS || now >= deadline) return;
    snprintf(text, sizeof text, "%s; waiting for it, up to %lld s", vly_error_text(),
             (long long)(deadline - since + 999) / 1000);
    s->say(s->say_arg, text);
    s->say = NULL;
}

/* Repeats until the connection is open or `deadline`. Stops at once if the server itself
 * refuses, such as a wrong password. */
static vly_status open_link_with_retry(vly_store *s, int64_t deadline) {
    const int64_t since = vly_now_ms();
    int wait = PAUSE_FIRST_MS;
    for (;;) {
        s->connect_ms = connect_limit(s);
        const vly_status status = open_link(s);
        if (status != VLY_EPEER) return status;
        vly_store_use_given_address(s);
        say_waiting(s, since, deadline);
        const int64_t left = deadline - vly_now_ms();
        if (left <= 0 || (s->stopped && s->stopped(s->wait_arg))) return status;
        vly_store_pause(s, wait < left ? wait : (int)left);
        wait = wait * 2 < PAUSE_MOST_MS ? wait * 2 : PAUSE_MOST_MS;
    }
}

vly_status vly_store_open(vly_store **out, const char *url, const char *run,
                          const vly_store_options *options) {
    if (!out || !url || !run) return vly_fail(VLY_EINVAL, "store: a url and a run name are needed");
    if (strlen(run) > 100 || strpbrk(run, "{} \r\n"))
        return vly_fail(VLY_EINVAL,
                        "store: run name '%s': at most 100 characters, without braces and blanks",
                        run);
    vly_store *s = calloc(1, sizeof *s);
    if (!s) return vly_fail(VLY_ENOMEM, "store: out of memory");
    s->timeout_ms = options && options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
    s->retry_ms = options && options->retry_ms ? options->retry_ms : RETRY_MS;
    if (options)
        s->wait = options->wait, s->wait_arg = options->arg, s->stopped = options->stopped,
        s->say = options->say, s->say_arg = options->say_arg;
    snprintf(s->run, sizeof s->run, "%s", run);
    vly_status status = vly_store_parse_address(&s->at, url);
    if (status == VLY_OK) status = open_link_with_retry(s, vly_now_ms() + s->retry_ms);
    s->say = NULL;
    if (status == VLY_EPEER)
        status = vly_fail(status, "%s; start redis-server there, or give another --store",
                          vly_error_text());
    if (status != VLY_OK) {
        vly_store_close(s);
        return status;
    }
    *out = s;
    return VLY_OK;
}

void vly_store_close(vly_store *s) {
    if (!s) return;
    if (s->held) freeReplyObject(s->held);
    vly_store_disconnect(s);
    free(s);
}

void vly_store_set_retry(vly_store *s, int retry_ms) {
    s->retry_ms = retry_ms ? retry_ms : RETRY_MS;
}

vly_store_traffic vly_store_get_traffic(const vly_store *s) {
    return s->traffic;
}

/* ---- one command ---- */

vly_status vly_store_connected(vly_store *s) {
    vly_store_forget(s);
    if (s->link && !s->link->err) return VLY_OK;
    s->traffic.reconnects++;
    return open_link_with_retry(s, vly_now_ms() + s->retry_ms);
}

void vly_store_forget(vly_store *s) {
    if (s->asked) vly_store_disconnect(s);
    s->asked = 0;
}

uint64_t vly_store_reply_bytes(const redisReply *r) {
    uint64_t sum = 16;
    if (r->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < r->elements; i++) sum += vly_store_reply_bytes(r->element[i]);
    else if (r->str)
        sum += r->len;
    return sum;
}

static uint64_t command_bytes(int argc, const size_t *length) {
    uint64_t sum = 8;
    for (int i = 0; i < argc; i++) sum += length[i] + 8;
    return sum;
}

static vly_status queue_command(vly_store *s, int argc, const char **argv, const size_t *length) {
    if (redisAppendCommandArgv(s->link, argc, argv, length) != REDIS_OK)
        return vly_fail(VLY_EPEER, "store: %s", s->link->errstr);
    s->batched++;
    s->traffic.commands++;
    s->traffic.sent_bytes += command_bytes(argc, length);
    return VLY_OK;
}

/* LOADING: it has restarted and is reading its files. CLUSTERDOWN: nobody has the slot now. */
static bool is_not_ready(const char *text) {
    return strncmp(text, "LOADING", 7) == 0 || strncmp(text, "CLUSTERDOWN", 11) == 0;
}

/* OOM: the server is at its maxmemory. */
static vly_status status_of_error(const char *text) {
    return strncmp(text, "OOM", 3) == 0 ? VLY_ENOSPACE : is_not_ready(text) ? VLY_EPEER : VLY_EIO;
}

/* True if the command must be repeated: the server is not ready, or another node has the keys. */
static bool must_retry(vly_store *s, const redisReply *r) {
    return r->type == REDIS_REPLY_ERROR && (is_not_ready(r->str) || vly_store_moved(s, r));
}

static redisReply *ask_and_wait(vly_store *s, int limit_ms, int argc, const char **argv,
                                const size_t *length) {
    redisSetTimeout(s->link, (struct timeval){limit_ms / 1000, (limit_ms % 1000) * 1000});
    if (redisAppendCommandArgv(s->link, argc, argv, length) != REDIS_OK) return NULL;
    return vly_store_next_answer(s, limit_ms);
}

/* Sends a command and keeps the answer in s->held. wait_ms: how long the server may delay the
 * answer. */
static vly_status run_command(vly_store *s, int wait_ms, int argc, const char **argv,
                              const size_t *length) {
    char at[512];
    if (s->batching) return queue_command(s, argc, argv, length);
    if (s->held) freeReplyObject(s->held);
    s->held = NULL;
    vly_store_forget(s);
    const int64_t deadline = vly_now_ms() + s->retry_ms;
    for (;;) {
        if (s->link && !s->link->err)
            s->held = ask_and_wait(s, s->timeout_ms + wait_ms, argc, argv, length);
        if (s->held && !must_retry(s, s->held)) break;
        if (s->held) freeReplyObject(s->held), s->held = NULL;
        if (vly_now_ms() > deadline)
            return vly_fail(VLY_EPEER, "store %s: no answer to %s for %d s: %s",
                            vly_store_where(s, at, sizeof at), argv[0], s->retry_ms / 1000,
                            s->link ? s->link->errstr : "not connected");
        s->traffic.reconnects++;
        VLY_TRY(open_link_with_retry(s, deadline));
    }
    s->traffic.commands++;
    s->traffic.sent_bytes += command_bytes(argc, length);
    s->traffic.received_bytes += vly_store_reply_bytes(s->held);
    if (s->held->type != REDIS_REPLY_ERROR) return VLY_OK;
    return vly_fail(status_of_error(s->held->str), "store %s: %s: %s",
                    vly_store_where(s, at, sizeof at), argv[0], s->held->str);
}

vly_store_key vly_store_full_key(const vly_store *s, const char *key) {
    vly_store_key k;
    snprintf(k.text, sizeof k.text, "{%s}:%s", s->run, key);
    return k;
}

void vly_store_put(vly_store_words *w, const void *data, size_t bytes) {
    w->v[w->count] = data;
    w->n[w->count++] = bytes;
}
void vly_store_put_text(vly_store_words *w, const char *word) {
    vly_store_put(w, word, strlen(word));
}
vly_status vly_store_run(vly_store *s, int wait_ms, const vly_store_words *w) {
    return run_command(s, wait_ms, w->count, (const char **)w->v, w->n);
}
vly_status vly_store_queue(vly_store *s, const vly_store_words *w) {
    return queue_command(s, w->count, (const char **)w->v, w->n);
}

vly_store_number vly_store_digits(int64_t value) {
    vly_store_number n;
    snprintf(n.text, sizeof n.text, "%" PRId64, value);
    return n;
}

static vly_status copy_string(vly_store *s, const char *key, void *data, size_t bytes,
                              size_t *got) {
    if (s->held->type != REDIS_REPLY_STRING)
        return vly_fail(VLY_ENOTFOUND, "store: there is no {%s}:%s", s->run, key);
    const size_t length = s->held->len;
    memcpy(data, s->held->str, length < bytes ? length : bytes);
    *got = length;
    return VLY_OK;
}

/* ---- values and counters ---- */

vly_status vly_store_set(vly_store *s, const char *key, const void *data, size_t bytes) {
    const vly_store_key k = vly_store_full_key(s, key);
    vly_store_words w = {0};
    vly_store_put_text(&w, "SET"), vly_store_put_text(&w, k.text), vly_store_put(&w, data, bytes);
    return vly_store_run(s, 0, &w);
}

vly_status vly_store_get(vly_store *s, const char *key, void *data, size_t bytes, size_t *got) {
    const vly_store_key k = vly_store_full_key(s, key);
    vly_store_words w = {0};
    vly_store_put_text(&w, "GET"), vly_store_put_text(&w, k.text);
    VLY_TRY(vly_store_run(s, 0, &w));
    return copy_string(s, key, data, bytes, got);
}

vly_status vly_store_set_range(vly_store *s, const char *key, size_t offset, const void *data,
                               size_t bytes) {
    const vly_store_key k = vly_store_full_key(s, key);
    const vly_store_number at = vly_store_digits((int64_t)offset);
    vly_store_words w = {0};
    vly_store_put_text(&w, "SETRANGE"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, at.text), vly_store_put(&w, data, bytes);
    return vly_store_run(s, 0, &w);
}

vly_status vly_store_get_range(vly_store *s, const char *key, size_t offset, void *data,
                               size_t bytes, size_t *got) {
    const vly_store_key k = vly_store_full_key(s, key);
    const vly_store_number from = vly_store_digits((int64_t)offset),
                           to = vly_store_digits((int64_t)(offset + bytes) - 1);
    vly_store_words w = {0};
    vly_store_put_text(&w, "GETRANGE"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, from.text), vly_store_put_text(&w, to.text);
    VLY_TRY(vly_store_run(s, 0, &w));
    return copy_string(s, key, data, bytes, got);
}

vly_status vly_store_delete(vly_store *s, const char *key) {
    const vly_store_key k = vly_store_full_key(s, key);
    vly_store_words w = {0};
    vly_store_put_text(&w, "DEL"), vly_store_put_text(&w, k.text);
    return vly_store_run(s, 0, &w);
}

vly_status vly_store_claim(vly_store *s, const char *key, int64_t value, int64_t *owner) {
    const vly_store_key k = vly_store_full_key(s, key);
    const vly_store_number text = vly_store_digits(value);
    vly_store_words w = {0};
    vly_store_put_text(&w, "SET"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, text.text), vly_store_put_text(&w, "NX"),
        vly_store_put_text(&w, "GET"); /* GET with NX: Redis 7 */
    VLY_TRY(vly_store_run(s, 0, &w));
    *owner = s->held->type == REDIS_REPLY_STRING ? strtoll(s->held->str, NULL, 10) : value;
    return VLY_OK;
}

vly_status vly_store_add(vly_store *s, const char *key, int64_t by, int64_t *now) {
    const vly_store_key k = vly_store_full_key(s, key);
    const vly_store_number text = vly_store_digits(by);
    vly_store_words w = {0};
    vly_store_put_text(&w, "INCRBY"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, text.text);
    VLY_TRY(vly_store_run(s, 0, &w));
    if (now && !s->batching) *now = s->held->integer;
    return VLY_OK;
}

/* ---- lists ---- */

/* A script, so that many concurrent pushes cannot exceed the limit together. */
static const char bounded_push[] = "if redis.call('LLEN',KEYS[1])>=tonumber(ARGV[2]) then return 0 "
                                   "end redis.call('RPUSH',KEYS[1],ARGV[1]) return 1";

vly_status vly_store_push(vly_store *s, const char *list, const void *data, size_t bytes,
                          int64_t limit, bool *accepted) {
    const vly_store_key k = vly_store_full_key(s, list);
    const vly_store_number most = vly_store_digits(limit);
    vly_store_words w = {0};
    if (limit == 0 || s->batching) {
        vly_store_put_text(&w, "RPUSH"), vly_store_put_text(&w, k.text),
            vly_store_put(&w, data, bytes);
    } else {
        vly_store_put_text(&w, "EVAL"), vly_store_put_text(&w, bounded_push),
            vly_store_put_text(&w, "1"), vly_store_put_text(&w, k.text),
            vly_store_put(&w, data, bytes), vly_store_put_text(&w, most.text);
    }
    VLY_TRY(vly_store_run(s, 0, &w));
    if (accepted && !s->batching) *accepted = s->held->integer != 0;
    return VLY_OK;
}

vly_status vly_store_pop(vly_store *s, const char *list, int wait_ms, const void **data,
                         size_t *bytes) {
    const vly_store_key k = vly_store_full_key(s, list);
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%.3f", wait_ms / 1000.0);
    vly_store_words w = {0};
    vly_store_put_text(&w, wait_ms ? "BLPOP" : "LPOP"), vly_store_put_text(&w, k.text);
    if (wait_ms) vly_store_put_text(&w, seconds);
    VLY_TRY(vly_store_run(s, wait_ms, &w));
    const redisReply *r = s->held;
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2) r = r->element[1];
    if (r->type != REDIS_REPLY_STRING)
        return vly_fail(VLY_ENOTFOUND, "store: list {%s}:%s is empty", s->run, list);
    *data = r->str;
    *bytes = r->len;
    return VLY_OK;
}

redisReply *vly_store_take(vly_store *s) {
    redisReply *r = s->held;
    s->held = NULL;
    return r;
}

vly_status vly_store_pop_many(vly_store *s, const char *list, int most,
                              vly_status (*each)(void *arg, const void *data, size_t bytes),
                              void *arg, int *count) {
    const vly_store_key k = vly_store_full_key(s, list);
    const vly_store_number text = vly_store_digits(most);
    vly_store_words w = {0};
    vly_store_put_text(&w, "LPOP"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, text.text);
    VLY_TRY(vly_store_run(s, 0, &w));
    redisReply *r = vly_store_take(s);
    vly_status status = VLY_OK;
    *count = r->type == REDIS_REPLY_ARRAY ? (int)r->elements : 0;
    for (int i = 0; i < *count && status == VLY_OK; i++)
        status = each(arg, r->element[i]->str, r->element[i]->len);
    freeReplyObject(r);
    return status;
}

vly_status vly_store_length(vly_store *s, const char *list, int64_t *length) {
    const vly_store_key k = vly_store_full_key(s, list);
    vly_store_words w = {0};
    vly_store_put_text(&w, "LLEN"), vly_store_put_text(&w, k.text);
    VLY_TRY(vly_store_run(s, 0, &w));
    *length = s->held->integer;
    return VLY_OK;
}

/* ---- streams ---- */

vly_status vly_store_append(vly_store *s, const char *log, const void *data, size_t bytes,
                            int64_t keep) {
    const vly_store_key k = vly_store_full_key(s, log);
    const vly_store_number most = vly_store_digits(keep);
    vly_store_words w = {0};
    vly_store_put_text(&w, "XADD"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, "MAXLEN"), vly_store_put_text(&w, "~"),
        vly_store_put_text(&w, most.text), vly_store_put_text(&w, "*"), vly_store_put_text(&w, "d"),
        vly_store_put(&w, data, bytes);
    return vly_store_run(s, 0, &w);
}

/* An entry is [id, [field, value]]. */
static vly_status each_entry(const redisReply *entries, char *cursor,
                             vly_status (*each)(void *, const void *, size_t), void *arg,
                             int *count) {
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        if (entry->elements != 2 || entry->element[1]->elements < 2)
            return vly_fail(VLY_ECORRUPT, "store: a log entry has another format");
        const redisReply *value = entry->element[1]->element[1];
        VLY_TRY(each(arg, value->str, value->len));
        snprintf(cursor, VLY_STORE_CURSOR, "%s", entry->element[0]->str);
        ++*count;
    }
    return VLY_OK;
}

vly_status vly_store_read(vly_store *s, const char *log, char cursor[VLY_STORE_CURSOR], int most,
                          int wait_ms,
                          vly_status (*each)(void *arg, const void *data, size_t bytes), void *arg,
                          int *count) {
    const vly_store_key k = vly_store_full_key(s, log);
    const vly_store_number limit = vly_store_digits(most), wait = vly_store_digits(wait_ms);
    vly_store_words w = {0};
    vly_store_put_text(&w, "XREAD"), vly_store_put_text(&w, "COUNT"),
        vly_store_put_text(&w, limit.text);
    if (wait_ms) vly_store_put_text(&w, "BLOCK"), vly_store_put_text(&w, wait.text);
    vly_store_put_text(&w, "STREAMS"), vly_store_put_text(&w, k.text),
        vly_store_put_text(&w, cursor);
    *count = 0;
    VLY_TRY(vly_store_run(s, wait_ms, &w));
    redisReply *r = vly_store_take(s); /* [[log, entries]] or nil */
    vly_status status = VLY_OK;
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 1 && r->element[0]->elements == 2)
        status = each_entry(r->element[0]->element[1], cursor, each, arg, count);
    freeReplyObject(r);
    return status;
}

/* ---- batches ---- */

vly_status vly_store_begin(vly_store *s) {
    if (s->batching) return vly_fail(VLY_EINVAL, "store: a batch is open already");
    VLY_TRY(vly_store_connected(s));
    s->batching = true;
    s->batched = 0;
    return VLY_OK;
}

vly_status vly_store_end(vly_store *s) {
    if (!s->batching) return vly_fail(VLY_EINVAL, "store: no batch is open");
    vly_status status = VLY_OK;
    char at[512];
    s->batching = false;
    redisSetTimeout(s->link, (struct timeval){s->timeout_ms / 1000, (s->timeout_ms % 1000) * 1000});
    for (int i = 0; i < s->batched; i++) {
        redisReply *r = vly_store_next_answer(s, s->timeout_ms);
        if (!r)
            return vly_fail(VLY_EPEER, "store %s: %s", vly_store_where(s, at, sizeof at),
                            s->link->errstr);
        s->traffic.received_bytes += vly_store_reply_bytes(r);
        const bool away = vly_store_moved(s, r);
        if (r->type == REDIS_REPLY_ERROR && status == VLY_OK)
            status = vly_fail(away ? VLY_EPEER : status_of_error(r->str), "store %s: %s",
                              vly_store_where(s, at, sizeof at), r->str);
        freeReplyObject(r);
    }
    if (status == VLY_EPEER) vly_store_disconnect(s);
    return status;
}
