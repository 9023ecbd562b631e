#include "cpu/monitor/http.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECTIONS = 128,
    STREAMS = 32,
    HEAD_MS = 5000,
    WRITE_MS = 20000,
    IDLE_MS = 30000,
    SWEEP_MS = 250,
    LINGER_MS = 500
};
enum { BACKLOG = 128, HEAD_OUT = 2048, STREAM_IN_MOST = 64 << 10 };

typedef enum { FREE, READING, WRITING, STREAM, LINGERING, CLOSING } stage;

typedef struct {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    vly_http *server;
    stage stage;
    bool last;                /* the connection ends with this answer */
    bool stream, in_flight;   /* stream: becomes or is one */
    uint64_t since, deadline; /* ms of the loop's clock; since: it has been waiting for a request */
    size_t have;
    char in[VLY_HTTP_HEAD_BYTES];
    char head[HEAD_OUT];
    vly_text body;
} connection;

struct vly_http {
    uv_loop_t *loop;
    vly_http_options o;
    vly_http_guard guard;
    uv_tcp_t listener;
    uv_timer_t sweep;
    int port;
    bool waiting, closing; /* waiting: a connection that found no slot */
    connection *slots;
    vly_http_stats stats;
};

static const char always[] =
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: "
    "DENY\r\nReferrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n";
static const char policy[] = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; "
                             "base-uri 'none'; form-action 'none'\r\n";

static void serve_request(connection *c);
static void on_connection(uv_stream_t *listener, int status);

static void rest(vly_http *h) {
    if (h->o.quota) vly_cpu_quota_wait(h->o.quota);
}

static void enter(connection *c, stage s, int ms) {
    c->stage = s;
    c->since = uv_now(c->server->loop);
    c->deadline = ms ? c->since + (uint64_t)ms : UINT64_MAX;
}

static void on_closed(uv_handle_t *handle) {
    connection *c = handle->data;
    vly_http *h = c->server;
    c->stage = FREE;
    h->stats.open--;
    vly_text_free(&c->body);
    if (!h->waiting || h->closing) return;
    h->waiting = false;
    on_connection((uv_stream_t *)&h->listener, 0);
}

static void end(connection *c) {
    if (c->stage == CLOSING) return;
    if (c->stream) c->server->stats.streams--;
    c->stream = false;
    c->stage = CLOSING;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* ---- in ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    static _Thread_local char drain[4096];
    connection *c = handle->data;
    (void)suggested;
    if (c->stage == READING)
        *buf = uv_buf_init(c->in + c->have, (unsigned)(sizeof c->in - c->have));
    else
        *buf = uv_buf_init(drain, sizeof drain);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    connection *c = stream->data;
    vly_http *h = c->server;
    (void)buf;
    if (n == 0 || c->stage == CLOSING) return;
    if (n < 0) {
        end(c);
        return;
    }
    h->stats.bytes_in += (uint64_t)n;
    c->have += (size_t)n;
    if (c->stage == READING) {
        if (c->have == (size_t)n)
            c->deadline = uv_now(h->loop) + (uint64_t)h->o.head_ms; /* the first bytes of a request
                                                                     */
        serve_request(c);
    } else if (c->have > STREAM_IN_MOST)
        end(c); /* an event-stream client must not send data */
    rest(h);
}

static void read_on(connection *c) {
    const int code = uv_read_start((uv_stream_t *)&c->tcp, on_room, on_read);
    if (code && code != UV_EALREADY) end(c);
}

/* ---- out ---- */

static void on_shutdown(uv_shutdown_t *request, int status) {
    connection *c = request->handle->data;
    if (status) end(c);
}

/* Closing over bytes that were not read would reset the connection and lose the answer: they are
 * read and dropped. */
static void linger(connection *c) {
    enter(c, LINGERING, LINGER_MS);
    c->have = 0;
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown))
        end(c);
    else
        read_on(c);
}

static void on_written(uv_write_t *write, int status) {
    connection *c = write->handle->data;
    c->in_flight = false;
    if (c->stage == CLOSING) return;
    if (status) {
        end(c);
        return;
    }
    vly_text_free(&c->body);
    if (c->stream) {
        if (c->stage == WRITING) {
            enter(c, STREAM, 0);
            c->have = 0;
            read_on(c);
        }
        c->deadline = UINT64_MAX;
    } else if (c->last)
        linger(c);
    else {
        enter(c, READING, c->have ? c->server->o.head_ms : c->server->o.idle_ms);
        if (c->have)
            serve_request(c); /* the next one was there already */
        else
            read_on(c);
    }
}

static void send_out(connection *c, const uv_buf_t *bufs, unsigned n) {
    c->in_flight = true;
    c->deadline = uv_now(c->server->loop) + (uint64_t)c->server->o.write_ms;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, bufs, n, on_written)) end(c);
}

/* The reply's body becomes the connection's until it is written. */
static void answer(connection *c, vly_http_reply *reply, bool without_body) {
    uv_read_stop((uv_stream_t *)&c->tcp);
    if (reply->body.failed) {
        vly_text_free(&reply->body);
        reply->status = 503, reply->stream = false, reply->more[0] = '\0';
    }
    char length[64] = "";
    if (!reply->stream) snprintf(length, sizeof length, "Content-Length: %zu\r\n", reply->body.n);
    const int n =
        snprintf(c->head, sizeof c->head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%s%s%s%s\r\n",
                 reply->status, vly_http_reason(reply->status), reply->type, length,
                 c->last ? "Connection: close\r\n" : "", always,
                 strstr(reply->more, "Content-Security-Policy") ? "" : policy, reply->more);
    vly_text_free(&c->body);
    c->body = reply->body;
    c->stream = reply->stream;
    c->server->stats.streams += c->stream;
    enter(c, WRITING, 0);
    const uv_buf_t bufs[2] = {uv_buf_init(c->head, (unsigned)n),
                              uv_buf_init(c->body.at, (unsigned)c->body.n)};
    send_out(c, bufs, c->body.n && !without_body ? 2 : 1);
}

static void refuse(connection *c, int status, bool without_body) {
    vly_http_reply reply = {.status = status, .type = "text/plain; charset=utf-8"};
    c->server->stats.refused++;
    c->last = true;
    if (status == 405) snprintf(reply.more, sizeof reply.more, "Allow: GET, HEAD\r\n");
    if (status == 401) snprintf(reply.more, sizeof reply.more, "WWW-Authenticate: Bearer\r\n");
    vly_text_add(&reply.body, "%d %s\n", status, vly_http_reason(status));
    answer(c, &reply, without_body);
}

static void answer_request(connection *c, const vly_http_request *r) {
    vly_http *h = c->server;
    vly_http_reply reply = {.status = 200, .type = "text/plain; charset=utf-8"};
    h->stats.requests++;
    c->last = !r->keep;
    h->o.answer(h->o.arg, r, &reply);
    if (reply.stream && (r->head || h->stats.streams >= h->o.streams)) {
        vly_text_clear(&reply.body);
        reply.stream = false;
        if (!r->head) reply.status = 503;
    }
    answer(c, &reply, r->head);
}

/* A head may be complete. */
static void serve_request(connection *c) {
    vly_http_request r;
    const int used = vly_http_parse(c->in, c->have, &r);
    if (used == 0) {
        read_on(c);
        return;
    }
    const int wrong = used < 0 ? -used : vly_http_guard_check(&c->server->guard, &r);
    if (wrong) {
        refuse(c, wrong, used > 0 && r.head);
        return;
    }
    memmove(c->in, c->in + used, c->have -= (size_t)used);
    answer_request(c, &r);
}

/* ---- connections ---- */

/* The client that was accepted first and has sent no request. */
static connection *oldest_waiting(vly_http *h) {
    connection *found = NULL;
    for (int i = 0; i < h->o.connections; i++) {
        connection *c = &h->slots[i];
        if ((c->stage == READING || c->stage == LINGERING) && (!found || c->since < found->since))
            found = c;
    }
    return found;
}

static connection *free_slot(vly_http *h) {
    for (int i = 0; i < h->o.connections; i++)
        if (h->slots[i].stage == FREE) return &h->slots[i];
    return NULL;
}

static void on_connection(uv_stream_t *listener, int status) {
    vly_http *h = listener->data;
    if (status || h->closing) return;
    connection *c = free_slot(h);
    if (!c) { /* libuv reports no other until this one is accepted, once a slot is free (on_closed) */
        h->waiting = true;
        connection *old = oldest_waiting(h);
        if (old) h->stats.evicted++, end(old);
        return;
    }
    *c = (connection){.server = h};
    if (uv_tcp_init(h->loop, &c->tcp)) return;
    c->tcp.data = c;
    h->stats.open++;
    enter(c, READING, h->o.head_ms);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp)) {
        end(c);
        return;
    }
    h->stats.accepted++;
    uv_tcp_nodelay(&c->tcp, 1);
    read_on(c);
    rest(h);
}

static void on_sweep(uv_timer_t *timer) {
    vly_http *h = timer->data;
    for (int i = 0; i < h->o.connections; i++) {
        connection *c = &h->slots[i];
        if (c->stage == FREE || c->stage == CLOSING || uv_now(h->loop) < c->deadline) continue;
        h->stats.timed_out += c->stage != LINGERING;
        end(c);
    }
    if (h->waiting && oldest_waiting(h) && !free_slot(h))
        h->stats.evicted++, end(oldest_waiting(h));
}

void vly_http_send(vly_http *h, const char *message, size_t n) {
    for (int i = 0; i < h->o.connections; i++) {
        connection *c = &h->slots[i];
        if (c->stage != STREAM || c->in_flight) continue;
        vly_text_clear(&c->body);
        vly_text_bytes(&c->body, message, n);
        if (c->body.failed) continue;
        const uv_buf_t buf = uv_buf_init(c->body.at, (unsigned)c->body.n);
        send_out(c, &buf, 1);
    }
}

/* ---- beginning and end ---- */

static vly_status make_address(const char *bind, int port, struct sockaddr_storage *to) {
    if (strcmp(bind, "localhost") == 0) bind = "127.0.0.1";
    if (uv_ip4_addr(bind, port, (struct sockaddr_in *)to) == 0 ||
        uv_ip6_addr(bind, port, (struct sockaddr_in6 *)to) == 0)
        return VLY_OK;
    return vly_fail(
        VLY_EINVAL,
        "'%s' is not an address to bind to: 127.0.0.1, 0.0.0.0, ::1 or one of this machine's",
        bind);
}

static vly_status listen_on(vly_http *h, const struct sockaddr_storage *address) {
    struct sockaddr_storage own;
    int length = sizeof own, code = uv_tcp_bind(&h->listener, (const struct sockaddr *)address, 0);
    if (!code) code = uv_listen((uv_stream_t *)&h->listener, BACKLOG, on_connection);
    if (!code) code = uv_tcp_getsockname(&h->listener, (struct sockaddr *)&own, &length);
    if (code)
        return vly_fail(
            VLY_EINVAL,
            "cannot listen on %s port %d: %s; choose another port, or 0 for any that is free",
            h->o.bind, h->o.port, uv_strerror(code));
    h->port = ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                              : ((struct sockaddr_in *)&own)->sin_port);
    return VLY_OK;
}

static void choose(int *value, int otherwise) {
    if (*value <= 0) *value = otherwise;
}

static void fill_options(vly_http_options *o) {
    if (!o->bind || !*o->bind) o->bind = "127.0.0.1";
    if (!o->token) o->token = "";
    if (!o->hosts) o->hosts = "";
    choose(&o->connections, CONNECTIONS);
    choose(&o->streams, STREAMS);
    choose(&o->head_ms, HEAD_MS);
    choose(&o->write_ms, WRITE_MS);
    choose(&o->idle_ms, IDLE_MS);
}

vly_status vly_http_open(vly_http **out, uv_loop_t *loop, const vly_http_options *options) {
    struct sockaddr_storage address = {0};
    vly_http_guard guard;
    vly_http_options o = *options;
    fill_options(&o);
    VLY_TRY(vly_http_guard_init(&guard, o.bind, o.port, o.token, o.hosts));
    VLY_TRY(make_address(o.bind, o.port, &address));
    vly_http *h = calloc(1, sizeof *h);
    connection *slots = calloc((size_t)o.connections, sizeof *slots);
    if (!h || !slots) {
        free(slots);
        free(h);
        return vly_fail(VLY_ENOMEM, "no memory for %d connections", o.connections);
    }
    h->loop = loop, h->o = o, h->slots = slots;
    uv_tcp_init(loop, &h->listener);
    uv_timer_init(loop, &h->sweep);
    h->listener.data = h->sweep.data = h;
    vly_status status = listen_on(h, &address);
    if (status == VLY_OK)
        status = vly_http_guard_init(&h->guard, o.bind, h->port, o.token, o.hosts);
    if (status != VLY_OK) {
        vly_http_close(h);
        uv_run(loop, UV_RUN_NOWAIT);
        vly_http_free(h);
        return status;
    }
    uv_timer_start(&h->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    return *out = h, VLY_OK;
}

int vly_http_port(const vly_http *h) {
    return h->port;
}
void vly_http_get_stats(const vly_http *h, vly_http_stats *out) {
    *out = h->stats;
}

void vly_http_close(vly_http *h) {
    h->closing = true;
    for (int i = 0; i < h->o.connections; i++)
        if (h->slots[i].stage != FREE) end(&h->slots[i]);
    uv_close((uv_handle_t *)&h->listener, NULL);
    uv_close((uv_handle_t *)&h->sweep, NULL);
}

void vly_http_free(vly_http *h) {
    if (!h) return;
    free(h->slots);
    free(h);
}
