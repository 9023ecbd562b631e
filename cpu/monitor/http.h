/* http.h -- a small HTTP/1.1 server on a libuv loop: answers GET and HEAD, sends server-sent
 * events.
 *
 *   vly_http_options o = {.bind = "127.0.0.1", .port = 0, .answer = answer, .arg = me};
 *   // vly_http_port(h) returns the port that was chosen
 *   VLY_TRY(vly_http_open(&h, loop, &o));
 *   void answer(void *arg, const vly_http_request *r, vly_http_reply *reply) {
 *       reply->status = 200, reply->type = "application/json";
 *       // or reply->stream = true: gets what vly_http_send sends from now on
 *       vly_text_add(&reply->body, "{}");
 *   }
 *   // to all streams that have taken the last one
 *   vly_http_send(h, "event: tick\ndata: {}\n\n", n);
 *   vly_http_close(h);  uv_run(loop, UV_RUN_DEFAULT);  vly_http_free(h);
 *
 * Made to stand among strangers: memory, connections, streams, head sizes and times are bounded,
 * and all memory but the answers' is allocated at open. When the table is full, the client that
 * has waited longest without a request is closed. A slow reader delays no other, and is closed.
 * A stream that is slow misses messages, which are never queued. Everything runs on the loop's
 * thread.
 */
#ifndef VLY_CPU_HTTP_H
#define VLY_CPU_HTTP_H
#include <stdint.h>
#include <uv.h>
#include "cpu/monitor/http_guard.h"
#include "cpu/monitor/http_parse.h"
#include "common/base/text.h"
#include "cpu/machine/cpu_quota.h"

typedef struct vly_http vly_http;

typedef struct {
    int status;       /* 200 unless changed */
    const char *type; /* of the body */
    char more[512];   /* further header lines, each with its CR LF */
    bool stream;      /* body is the first message of an event stream */
    vly_text body;
} vly_http_reply;

typedef struct {
    const char *bind, *token, *hosts; /* see http_guard.h; NULL: loopback, none, none */
    int port;                         /* 0: any that is free */
    int connections;                  /* 0: 128 */
    int streams;                      /* of them; 0: 32 */
    int head_ms, write_ms, idle_ms; /* for a whole head, a whole answer, the pause between requests;
                                       0: 5000, 20000, 30000 */
    void *arg;
    void (*answer)(void *arg, const vly_http_request *request, vly_http_reply *reply);
    vly_cpu_quota *quota; /* waited for after every event; NULL: no limit */
} vly_http_options;

typedef struct {
    uint64_t accepted, requests, refused; /* refused: answered with 4xx or 5xx before `answer` saw
                                             them */
    uint64_t evicted, timed_out, bytes_in;
    int open, streams;
} vly_http_stats;

vly_status vly_http_open(vly_http **out, uv_loop_t *loop, const vly_http_options *options);
int vly_http_port(const vly_http *h);
/* Messages in the wire form of events. */
void vly_http_send(vly_http *h, const char *message, size_t n);
void vly_http_get_stats(const vly_http *h, vly_http_stats *out);
/* Begins the end of all handles; after the loop has run, free. */
void vly_http_close(vly_http *h);
void vly_http_free(vly_http *h);
#endif
