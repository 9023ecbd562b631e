#include "cpu/actors/remote_actor.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "cpu/actors/remote_actor_impl.h"

enum { STOP_LOOK_MS = 100, CONNECT_MS = 10000 };

void vly_remote_say(const remote_link *l, const char *format, ...) {
    char text[1024];
    va_list list;
    if (!l->o->say) return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    l->o->say(l->o->arg, text);
}

/* ---- ending ---- */

static void on_link_closed(uv_handle_t *handle) {
    (void)handle;
}

void vly_remote_link_end(remote_link *l, link_end how, vly_status status, const char *words) {
    if (l->how != LINK_OPEN) return;
    l->how = how, l->status = status;
    snprintf(l->words, sizeof l->words, "%s", words);
    if (!uv_is_closing(&l->socket.handle)) uv_close(&l->socket.handle, on_link_closed);
    if (!uv_is_closing((uv_handle_t *)&l->timer))
        uv_close((uv_handle_t *)&l->timer, on_link_closed);
}

/* The learner is told, as far as the socket takes it now. */
void vly_remote_link_fault(remote_link *l, vly_status status) {
    char text[VLY_WIRE_TEXT];
    snprintf(text, sizeof text, "%s", vly_error_text());
    const size_t n = strlen(text) + 1;
    vly_wire_head head = vly_wire_make(VLY_WIRE_FAULT, 0, 0, n);
    uv_buf_t bufs[2] = {uv_buf_init((char *)&head, sizeof head), uv_buf_init(text, (unsigned)n)};
    if (l->how == LINK_OPEN) uv_try_write(&l->socket.stream, bufs, 2);
    vly_remote_link_end(l, LINK_FAILED, status, text);
}

/* ---- writing ---- */

static void on_link_written(uv_write_t *write, int status) {
    link_request *request = write->data;
    remote_link *l = request->link;
    request->next = l->requests;
    l->requests = request;
    if (status < 0 && status != UV_ECANCELED)
        vly_remote_link_end(l, LINK_LOST, VLY_EPEER, uv_strerror(status));
}

/* Allocates only when more messages wait than ever before. */
static link_request *take_request(remote_link *l) {
    link_request *request = l->requests;
    if (request)
        l->requests = request->next;
    else
        request = malloc(sizeof *request);
    if (request) request->write.data = request, request->link = l;
    return request;
}

static void queue_rest(remote_link *l, uv_buf_t *bufs, int n) {
    link_request *request = take_request(l);
    const int error = request ? uv_write(&request->write, &l->socket.stream, bufs, (unsigned)n,
                                         on_link_written)
                              : UV_ENOMEM;
    if (!error) return;
    free(request);
    vly_remote_link_end(l, LINK_LOST, VLY_EPEER, uv_strerror(error));
}

void vly_remote_link_write(remote_link *l, uv_buf_t *bufs, int n) {
    if (l->how != LINK_OPEN) return;
    const int wrote = uv_try_write(&l->socket.stream, bufs, (unsigned)n);
    if (wrote < 0 && wrote != UV_EAGAIN) {
        vly_remote_link_end(l, LINK_LOST, VLY_EPEER, uv_strerror(wrote));
        return;
    }
    size_t done = wrote > 0 ? (size_t)wrote : 0;
    while (n > 0 && done >= bufs->len) done -= bufs->len, bufs++, n--;
    if (n == 0) return;
    bufs->base += done, bufs->len -= done;
    queue_rest(l, bufs, n);
}

/* Small messages are copied into the link. */
static void send_small(remote_link *l, vly_wire_type type, uint64_t sequence, const void *body,
                       size_t bytes) {
    link_note *note = &l->notes[l->note_at++ % LINK_NOTES];
    note->head = vly_wire_make(type, 0, sequence, bytes);
    if (bytes) memcpy(note->body, body, bytes);
    uv_buf_t buf = uv_buf_init((char *)&note->head, (unsigned)(sizeof note->head + bytes));
    vly_remote_link_write(l, &buf, 1);
}

static void send_hello(remote_link *l) {
    vly_wire_hello hello = {
        .pid = (uint32_t)getpid(), .envs = (uint32_t)l->o->envs, .version = VLY_WIRE_VERSION};
    if (l->o->token) memcpy(hello.token, l->o->token, sizeof hello.token);
    if (gethostname(hello.host, sizeof hello.host - 1)) hello.host[0] = '\0';
    send_small(l, VLY_WIRE_HELLO, 0, &hello, sizeof hello);
}

/* ---- how fast the link is ---- */

static void send_ready(remote_link *l) {
    const vly_wire_ready ready = {.packed = l->packed,
                                  .round_trip_us = (uint32_t)(l->round_trip_ns / 1000),
                                  .bytes_per_s = l->bytes_per_s};
    send_small(l, VLY_WIRE_READY, 0, &ready, sizeof ready);
    l->served = true;
    vly_remote_say(l, "stepping %d of the learner's environments (%s)%s", l->envs, l->welcome.env,
                   l->packed ? ", packed: the link is slow" : "");
}

/* The first probe is empty and gives the round trip, the second the rate. */
static void send_probe(remote_link *l, uint64_t sequence, size_t bytes) {
    static const uint8_t zeros[VLY_WIRE_PROBE_MOST];
    l->probe_head = vly_wire_make(VLY_WIRE_PROBE, 0, sequence, bytes);
    uv_buf_t bufs[2] = {uv_buf_init((char *)&l->probe_head, sizeof l->probe_head),
                        uv_buf_init((char *)zeros, (unsigned)bytes)};
    l->probe_ns = vly_now_ns();
    vly_remote_link_write(l, bufs, bytes ? 2 : 1);
}

static void got_probed(remote_link *l) {
    const int64_t took = vly_now_ns() - l->probe_ns;
    if (l->in.head.sequence == 1) {
        l->round_trip_ns = took;
        send_probe(l, 2, VLY_WIRE_PROBE_MOST);
        return;
    }
    const int64_t sending = took - l->round_trip_ns;
    l->bytes_per_s =
        (uint64_t)(VLY_WIRE_PROBE_MOST * 1e9 / (double)(sending > 1000 ? sending : 1000));
    l->packed = vly_remote_packing_pays(l);
    send_ready(l);
}

/* ---- messages ---- */

static void got_welcome(remote_link *l) {
    const vly_status status = vly_remote_work_open(l);
    if (status != VLY_OK) {
        vly_remote_link_fault(l, status);
        return;
    }
    const bool measured = l->o->pack == VLY_PACK_AUTO && l->address.kind == VLY_REMOTE_TCP &&
                          l->welcome.unpacks && vly_remote_can_pack();
    l->packed = l->o->pack == VLY_PACK_ON && l->welcome.unpacks && vly_remote_can_pack();
    if (measured)
        send_probe(l, 1, 0);
    else
        send_ready(l);
}

static void got_bye(remote_link *l) {
    static const struct {
        link_end how;
        vly_status status;
    } meaning[] = {{LINK_DONE, VLY_OK}, {LINK_FAILED, VLY_EINVAL}, {LINK_LOST, VLY_EPEER}};
    const int how = l->in.head.flags <= VLY_WIRE_BYE_LATER ? l->in.head.flags : VLY_WIRE_BYE_LATER;
    char text[VLY_WIRE_TEXT], words[VLY_WIRE_TEXT + 64];
    vly_wire_text(text, sizeof text, l->body, l->in.head.bytes);
    snprintf(words, sizeof words, "the learner says: %s", text);
    vly_remote_link_end(l, meaning[how].how, meaning[how].status, words);
}

static void link_got_message(remote_link *l) {
    const vly_wire_head *h = &l->in.head;
    switch (h->type) {
    case VLY_WIRE_WELCOME: got_welcome(l); break;
    case VLY_WIRE_PROBED: got_probed(l); break;
    case VLY_WIRE_PING: send_small(l, VLY_WIRE_PONG, h->sequence, NULL, 0); break;
    case VLY_WIRE_BYE: got_bye(l); break;
    default: vly_remote_work_begin(l, h); break;
    }
}

static bool link_expects(const remote_link *l, const vly_wire_head *h) {
    switch (h->type) {
    case VLY_WIRE_WELCOME: return l->envs == 0;
    case VLY_WIRE_PROBED: return l->envs > 0 && !l->served && h->sequence <= 2;
    case VLY_WIRE_RESET:
    case VLY_WIRE_STEP: return l->served;
    default: return h->type == VLY_WIRE_PING || h->type == VLY_WIRE_BYE;
    }
}

static vly_status link_begin_message(remote_link *l) {
    const vly_wire_head *h = &l->in.head;
    VLY_TRY(vly_wire_check(h));
    if (!link_expects(l, h))
        return vly_fail(VLY_ECORRUPT, "%s came where it does not belong", vly_wire_name(h->type));
    if (h->type == VLY_WIRE_STEP || h->type == VLY_WIRE_RESET) return vly_remote_work_place(l, h);
    if (h->bytes > l->body_bytes) {
        uint8_t *more = realloc(l->body, h->bytes);
        if (!more) return vly_fail(VLY_ENOMEM, "no memory for a message of %u bytes", h->bytes);
        l->body = more, l->body_bytes = h->bytes;
    }
    vly_wire_place(&l->in, l->body, h->bytes);
    return VLY_OK;
}

static void link_got(remote_link *l, size_t bytes) {
    const vly_wire_event event = vly_wire_got(&l->in, bytes);
    if (event == VLY_WIRE_MORE) return;
    const bool begins = event == VLY_WIRE_BEGUN || l->in.head.bytes == 0;
    const vly_status status = begins ? link_begin_message(l) : VLY_OK;
    if (status != VLY_OK)
        vly_remote_link_fault(l, status);
    else if (event == VLY_WIRE_WHOLE)
        link_got_message(l);
}

static void on_link_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    remote_link *l = handle->data;
    size_t n;
    (void)suggested;
    uint8_t *to = vly_wire_want(&l->in, &n);
    *buf = uv_buf_init((char *)to, (unsigned)n);
}

static void on_link_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    remote_link *l = stream->data;
    (void)buf;
    if (l->how != LINK_OPEN) return;
    if (n > 0) link_got(l, (size_t)n);
    if (n < 0) vly_remote_link_end(l, LINK_LOST, VLY_EPEER, "the learner is gone");
}

/* ---- a connection ---- */

static void link_connected(remote_link *l) {
    l->connected = true;
    vly_remote_tune(&l->address, &l->socket);
    const int error = uv_read_start(&l->socket.stream, on_link_alloc, on_link_read);
    if (error)
        vly_remote_link_end(l, LINK_LOST, VLY_EIO, uv_strerror(error));
    else
        send_hello(l);
}

static void on_link_connect(uv_connect_t *request, int error) {
    remote_link *l = request->data;
    if (l->how != LINK_OPEN) return;
    if (error)
        vly_remote_link_end(l, LINK_LOST, VLY_EPEER, uv_strerror(error));
    else
        link_connected(l);
}

static void on_link_tick(uv_timer_t *timer) {
    remote_link *l = timer->data;
    if (l->o->stop && atomic_load(l->o->stop))
        vly_remote_link_end(l, LINK_FAILED, VLY_ECANCELED, "interrupted");
    else if (!l->connected && vly_now_ms() - l->began_ms > CONNECT_MS)
        vly_remote_link_end(l, LINK_LOST, VLY_EPEER, "the learner does not answer");
}

static void link_connect(remote_link *l) {
    int error = 0;
    l->connect.data = l;
    switch (l->address.kind) {
    case VLY_REMOTE_TCP:
        error = uv_tcp_connect(&l->connect, &l->socket.tcp,
                               (const struct sockaddr *)&l->address.address, on_link_connect);
        break;
    case VLY_REMOTE_UNIX:
        uv_pipe_connect(&l->connect, &l->socket.pipe, l->address.path, on_link_connect);
        break;
    case VLY_REMOTE_FD:
        error = uv_pipe_open(&l->socket.pipe, l->address.fd);
        if (!error) link_connected(l);
        break;
    }
    if (error) vly_remote_link_end(l, LINK_LOST, VLY_EIO, uv_strerror(error));
}

/* Runs one connection to its end. */
static vly_status run_link(remote_link *l) {
    if (uv_loop_init(&l->loop)) return vly_fail(VLY_ENOMEM, "no memory for an event loop");
    uv_timer_init(&l->loop, &l->timer);
    l->timer.data = l;
    const int error = vly_remote_socket_init(&l->address, &l->loop, &l->socket);
    if (error) {
        uv_close((uv_handle_t *)&l->timer, on_link_closed);
        uv_run(&l->loop, UV_RUN_DEFAULT);
        uv_loop_close(&l->loop);
        return vly_fail(VLY_EIO, "no socket: %s", uv_strerror(error));
    }
    l->socket.handle.data = l;
    l->began_ms = vly_now_ms();
    uv_timer_start(&l->timer, on_link_tick, STOP_LOOK_MS, STOP_LOOK_MS);
    link_connect(l);
    while (l->how == LINK_OPEN) uv_run(&l->loop, UV_RUN_ONCE);
    vly_remote_work_close(l);
    uv_run(&l->loop, UV_RUN_DEFAULT);
    uv_loop_close(&l->loop);
    free(l->body);
    for (link_request *next; l->requests; l->requests = next) {
        next = l->requests->next;
        free(l->requests);
    }
    return l->status == VLY_OK ? VLY_OK : vly_fail(l->status, "%s", l->words);
}

static bool actor_stopped(const vly_remote_actor *o) {
    return o->stop && atomic_load(o->stop) != 0;
}

/* Longer after each failure; a stop ends it. */
static void wait_before_next(const vly_remote_actor *o, int *pause_ms) {
    for (int waited = 0; waited < *pause_ms && !actor_stopped(o); waited += 50) vly_pause_ms(50);
    *pause_ms = *pause_ms < 1000 ? *pause_ms * 2 : 2000;
}

static void count_link(const remote_link *l, vly_remote_done *done) {
    if (!done) return;
    if (l->envs > 0) snprintf(done->env, sizeof done->env, "%s", l->welcome.env);
    done->connections += l->served;
    done->steps += l->sent_steps;
    done->rows += l->sent_rows;
}

static vly_status run_one_link(const vly_remote_actor *o, const vly_remote_address *address,
                               link_end *how, bool *served) {
    remote_link *l = calloc(1, sizeof *l);
    if (!l) return *how = LINK_FAILED, vly_fail(VLY_ENOMEM, "no memory for a connection");
    l->o = o, l->address = *address;
    const vly_status status = run_link(l);
    *how = l->how == LINK_OPEN ? LINK_FAILED : l->how, *served = l->served;
    count_link(l, o->done);
    if (!l->stuck) free(l);
    return status;
}

vly_status vly_remote_act(const vly_remote_actor *o) {
    vly_remote_address address;
    char last[VLY_WIRE_TEXT] = "";
    int pause_ms = 100;
    VLY_TRY(vly_remote_parse(&address, o->address, false));
    for (int64_t since = vly_now_ms();;) {
        link_end how = LINK_FAILED;
        bool served = false;
        const vly_status status = run_one_link(o, &address, &how, &served);
        if (how != LINK_LOST || address.kind == VLY_REMOTE_FD) return status;
        if (served) since = vly_now_ms(), pause_ms = 100;
        if (actor_stopped(o)) return vly_fail(VLY_ECANCELED, "interrupted");
        if ((double)(vly_now_ms() - since) * 1e-3 >= o->wait_s)
            return vly_fail(VLY_EPEER,
                            "%s: no learner for %.0f s: %s; start `volley train ENV --listen ...` "
                            "there first, or raise --wait",
                            o->address, o->wait_s, vly_error_text());
        if (strcmp(last, vly_error_text()) != 0 && o->say) o->say(o->arg, vly_error_text());
        snprintf(last, sizeof last, "%s", vly_error_text());
        wait_before_next(o, &pause_ms);
    }
}
