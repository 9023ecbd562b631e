/* store.h -- a client of Redis: bytes under keys, bounded lists, counters, streams, heartbeats.
 *
 *   vly_store *s;
 *   VLY_TRY(vly_store_open(&s, "redis://127.0.0.1:6379/0", "run7", NULL));
 *   VLY_TRY(vly_store_set(s, "weights", w, bytes));              // key "{run7}:weights"
 *   VLY_TRY(vly_store_get(s, "weights", w, bytes, &got));        // VLY_ENOTFOUND when absent
 *   vly_store_close(s);
 *
 * One connection, used by one thread. A call waits up to `timeout_ms`: in the system, or in
 * options.wait, with which a thread runs its event loop meanwhile. A lost connection is opened
 * again with growing pauses for up to `retry_ms`, and the command is sent again; so a push may
 * arrive twice if the server died between executing it and answering. Where that matters, put a
 * sequence number into the data (cpu/fleet/ps.h does). All keys of a run share one hash tag: Redis
 * Cluster keeps them on one node, which the connection finds. On a cluster actors need the run's
 * name, because no node lists all runs. Not supported: TLS (put stunnel in front), Sentinel. */
#ifndef VLY_CPU_FLEET_STORE_H
#define VLY_CPU_FLEET_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "common/base/status.h"

typedef struct vly_store vly_store;

typedef struct {
    int timeout_ms; /* for one command; 0: 5000 */
    int retry_ms;   /* for reconnecting, in all; 0: 30000 */
    /* Waits until fd can be read, or written; false after ms. fd -1: for ms. ms -1: fd is about to
     * be closed. It makes the fd non-blocking, and may not use this store. NULL: the system's calls
     * wait. */
    bool (*wait)(void *arg, int fd, bool write, int ms);
    void *arg;
    /* Of the same arg: true ends an opening that waits for the server. May be NULL. */
    bool (*stopped)(void *arg);
    /* Told once if opening takes more than a second; may be NULL. */
    void (*say)(void *arg, const char *text);
    void *say_arg;
} vly_store_options;

/* url: redis://[[user]:password@]host[:port][/db] or unix:///path/to/socket[?db]. A password
 * that is not in it is taken from $VOLLEY_STORE_PASSWORD, or from the first line of the file
 * that $VOLLEY_STORE_PASSWORD_FILE names. options may be NULL. */
vly_status vly_store_open(vly_store **out, const char *url, const char *run,
                          const vly_store_options *options);
void vly_store_close(vly_store *s);
/* What open() would refuse in a url, without connecting. */
vly_status vly_store_check(const char *url);
/* The address without its user and password: what messages and reports show. */
static inline void vly_store_shown(const char *url, char *text, size_t bytes) {
    const char *const scheme = strstr(url, "://"), *rest = scheme ? scheme + 3 : url,
                      *at = strncmp(url, "unix:", 5) == 0 ? NULL : strrchr(rest, '@');
    if (snprintf(text, bytes, "%.*s%s", (int)(rest - url), url, at ? at + 1 : rest) < 0)
        text[0] = '\0';
}
/* The address that a verb takes: what its option says, or $VOLLEY_STORE where that is empty; ""
 * where neither names one. Valid until the environment changes. */
const char *vly_store_named(const char *option);
/* For the commands from now on; 0: 30000. */
void vly_store_set_retry(vly_store *s, int retry_ms);

/* Estimated bytes sent and received so far, and how often the connection was opened again. */
typedef struct {
    uint64_t commands, sent_bytes, received_bytes, reconnects;
} vly_store_traffic;
vly_store_traffic vly_store_get_traffic(const vly_store *s);

/* Values. get copies at most `bytes`; *got is the stored length (may be larger). */
vly_status vly_store_set(vly_store *s, const char *key, const void *data, size_t bytes);
vly_status vly_store_get(vly_store *s, const char *key, void *data, size_t bytes, size_t *got);
vly_status vly_store_set_range(vly_store *s, const char *key, size_t offset, const void *data,
                               size_t bytes);
vly_status vly_store_get_range(vly_store *s, const char *key, size_t offset, void *data,
                               size_t bytes, size_t *got);
vly_status vly_store_delete(vly_store *s, const char *key);
/* *owner becomes `value` if the key was absent, and what is stored otherwise. */
vly_status vly_store_claim(vly_store *s, const char *key, int64_t value, int64_t *owner);

/* Counters. */
vly_status vly_store_add(vly_store *s, const char *key, int64_t by, int64_t *now);

/* Lists: push at the tail, pop at the head. A push to a list that holds `limit` entries (0: no
 * limit) is refused with *accepted = false. pop waits up to wait_ms (0: does not wait) and
 * returns VLY_ENOTFOUND if the list stayed empty. *data is valid until the next call. */
vly_status vly_store_push(vly_store *s, const char *list, const void *data, size_t bytes,
                          int64_t limit, bool *accepted);
vly_status vly_store_pop(vly_store *s, const char *list, int wait_ms, const void **data,
                         size_t *bytes);
/* Pops up to `most` entries at once and passes each to `each`; *count is their number. */
vly_status vly_store_pop_many(vly_store *s, const char *list, int most,
                              vly_status (*each)(void *arg, const void *data, size_t bytes),
                              void *arg, int *count);
vly_status vly_store_length(vly_store *s, const char *list, int64_t *length);

/* Streams: an append-only log that each reader follows with its own cursor; about `keep` entries
 * are kept. read passes the entries after *cursor to `each` and advances the cursor, which
 * starts as "0". */
enum { VLY_STORE_CURSOR = 48 };
vly_status vly_store_append(vly_store *s, const char *log, const void *data, size_t bytes,
                            int64_t keep);
vly_status vly_store_read(vly_store *s, const char *log, char cursor[VLY_STORE_CURSOR], int most,
                          int wait_ms,
                          vly_status (*each)(void *arg, const void *data, size_t bytes), void *arg,
                          int *count);

/* Members of the fleet: beat stores what a member does, for ttl_ms; a member that does not beat
 * again expires. */
vly_status vly_store_beat(vly_store *s, const char *member, const char *json, int ttl_ms);
vly_status vly_store_members(vly_store *s,
                             vly_status (*each)(void *arg, const char *member, const char *json),
                             void *arg, int *count);

/* Batches: between begin and end, the commands of set, set_range, delete, add, push (limit 0),
 * append, script and beat are queued and then answered together; `now`, `accepted` and `out` are
 * not written. end returns the first error. */
vly_status vly_store_begin(vly_store *s);
vly_status vly_store_end(vly_store *s);

/* Runs a Lua script in the server, without other commands in between. It returns `outs`
 * integers. At most 6 keys. */
typedef struct {
    const void *data;
    size_t bytes;
} vly_store_bytes;
vly_status vly_store_script(vly_store *s, const char *script, const char *const *key, int keys,
                            const vly_store_bytes *arg, int args, int64_t *out, int outs);
/* Passes entries from .. from + most - 1 of a list to `each`; the list is not changed. */
vly_status vly_store_slice(vly_store *s, const char *list, int64_t from, int most,
                           vly_status (*each)(void *arg, const void *data, size_t bytes), void *arg,
                           int *count);

/* Pipelined reads: ask() requests a value (bytes 0: all of it) or a range, asked() sends the
 * requests not sent yet, answer() returns the answers in the same order; until the last answer
 * no other call may use the store. An absent value or range has 0 bytes. *data is valid until
 * the next call. forget() drops the outstanding answers. */
vly_status vly_store_ask(vly_store *s, const char *key, size_t offset, size_t bytes);
vly_status vly_store_asked(vly_store *s);
vly_status vly_store_answer(vly_store *s, const void **data, size_t *bytes);
void vly_store_forget(vly_store *s);

/* Names of the runs that have members in a store, for `volley cluster status`; such a store is
 * opened with run "". */
vly_status vly_store_runs(vly_store *s, vly_status (*each)(void *arg, const char *run), void *arg,
                          int *count);

/* ---- a redis-server started by this process ---- */

typedef struct vly_store_server vly_store_server;
/* Starts redis-server on a free loopback port with its files in `folder` and waits until it
 * answers, as options->wait does; options may be NULL. Its password is random: the url has it, and
 * `url` in the folder, which this user alone can read. durable: an append-only file keeps all writes
 * except those of its last second; it is replayed as commands, so the folder is trusted. */
vly_status vly_store_server_start(vly_store_server **out, const char *folder, bool durable,
                                  const vly_store_options *options);
const char *vly_store_server_url(const vly_store_server *server);
int vly_store_server_pid(const vly_store_server *server);
/* Starts it again on the same port if it died, and sets *restarted. */
vly_status vly_store_server_mend(vly_store_server *server, bool *restarted);
void vly_store_server_stop(vly_store_server *server);
#endif
