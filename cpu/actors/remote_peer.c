#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/clock.h"
#include "cpu/actors/remote_impl.h"

enum {
    OUT_SPARE = 1024,   /* pings, words */
    SLOW_DEADLINES = 12 /* an actor that is late for so long makes room for another */
};

static void set_peer_name(remote_peer *p, const vly_wire_hello *hello) {
    char host[sizeof hello->host], from[INET6_ADDRSTRLEN] = "";
    struct sockaddr_storage a;
    int n = sizeof a;
    vly_wire_text(host, sizeof host, hello->host, sizeof hello->host);
    if (p->socket.handle.type == UV_TCP &&
        !uv_tcp_getpeername(&p->socket.tcp, (struct sockaddr *)&a, &n))
        uv_ip_name((struct sockaddr *)&a, from, sizeof from);
    snprintf(p->name, sizeof p->name, "%.40s:%u%s%s", host[0] ? host : "?", hello->pid,
             from[0] ? " " : "", from);
}

/* ---- life ---- */

static void on_peer_closed(uv_handle_t *handle) {
    remote_peer *p = handle->data;
    vly_remote *r = p->r;
    free(p->body);
    free(p->out);
    free(p->sending);
    free(p);
    vly_remote_handle_closed(r);
}

static void unlink_peer(remote_peer *p) {
    remote_peer **at = &p->r->peers;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
    p->r->peer_count--;
    p->r->strangers -= p->state == PEER_STRANGER;
}

static void remember_gone(const remote_peer *p) {
    vly_remote *r = p->r;
    vly_actor_info info = vly_remote_peer_info(p, VLY_ACTOR_GONE);
    info.heard_s = (double)p->heard_ns * 1e-9; /* when, until it is shown */
    r->gone[r->gone_count++ % VLY_REMOTE_SHOWN] = info;
}

/* What fits the socket now: a side that does not read is not waited for. */
static void say_bye(remote_peer *p, int how, const char *words) {
    struct {
        vly_wire_head head;
        char text[VLY_WIRE_TEXT];
    } bye;
    const size_t n = strlen(words) + 1;
    if (p->writing || p->out_bytes) return;
    bye.head = vly_wire_make(VLY_WIRE_BYE, 0, 0, n);
    bye.head.flags = (uint8_t)how;
    memcpy(bye.text, words, n);
    uv_buf_t buf = uv_buf_init((char *)&bye, (unsigned)(sizeof bye.head + n));
    uv_try_write(&p->socket.stream, &buf, 1);
}

/* Whoever reaches the port can connect as often as he likes: not each time is a line. */
static void say_refused(const vly_remote *r, const remote_peer *p, const char *words) {
    if (p->name[0])
        vly_remote_warn(r, "an actor was refused: %s: %s", p->name, words);
    else if (r->refused <= 10)
        vly_remote_warn(r, "an actor was refused: %s", words);
    else if (r->refused % 1000 == 0)
        vly_remote_warn(r, "%lld connections were refused, the last: %s", (long long)r->refused,
                        words);
}

void vly_remote_peer_end(remote_peer *p, int how, const char *format, ...) {
    char words[VLY_WIRE_TEXT] = "";
    va_list list;
    if (p->state == PEER_GONE) return;
    va_start(list, format);
    if (format) vsnprintf(words, sizeof words, format, list);
    va_end(list);
    if (format) say_bye(p, how, words);
    vly_remote *r = p->r;
    const peer_state was = p->state;
    if (was == PEER_STRANGER)
        r->refused++;
    else if (how != VLY_WIRE_BYE_DONE)
        r->lost++;
    if (was == PEER_SERVING && how != VLY_WIRE_BYE_DONE && !p->trusted)
        vly_remote_warn(r, "actor %s is gone with %d environments: %s", p->name, p->envs, words);
    else if (was != PEER_SERVING && how == VLY_WIRE_BYE_REFUSED && !p->trusted)
        say_refused(r, p, words);
    if (was != PEER_STRANGER) remember_gone(p);
    if (p->trusted && r->o.on_lost) {
        char actors[256];
        vly_remote_describe(r, p, actors, sizeof actors);
        r->restarts += p->envs;
        r->o.on_lost(r->o.lost_arg, p->tag, p->rows > 0, actors,
                     how == VLY_WIRE_BYE_REFUSED ? words : "");
    }
    unlink_peer(p);
    p->state = PEER_GONE;
    vly_remote_release(r, p);
    uv_close(&p->socket.handle, on_peer_closed);
    vly_remote_ask_held(r);
}

vly_status vly_remote_peer_create(vly_remote *r, remote_peer **out) {
    remote_peer *p = calloc(1, sizeof *p);
    if (!p) return vly_fail(VLY_ENOMEM, "no memory for an actor");
    p->r = r;
    p->heard_ns = vly_now_ns();
    p->body_bytes = sizeof(vly_wire_hello) > VLY_WIRE_TEXT ? sizeof(vly_wire_hello) : VLY_WIRE_TEXT;
    p->body = malloc(p->body_bytes);
    p->out_room = OUT_SPARE;
    p->out = malloc(p->out_room);
    p->sending = malloc(p->out_room);
    if (!p->body || !p->out || !p->sending ||
        vly_remote_socket_init(&r->address, r->loop, &p->socket)) {
        free(p->body);
        free(p->out);
        free(p->sending);
        free(p);
        return vly_fail(VLY_ENOMEM, "no memory for an actor");
    }
    p->socket.handle.data = p;
    p->write.data = p;
    p->next = r->peers;
    r->peers = p;
    r->peer_count++, r->strangers++, r->handles++;
    *out = p;
    return VLY_OK;
}

/* ---- writing ---- */

static void on_peer_written(uv_write_t *write, int status) {
    remote_peer *p = write->data;
    p->writing = false;
    if (p->state == PEER_GONE) return;
    if (status < 0)
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "the connection is lost: %s",
                            uv_strerror(status));
    else
        vly_remote_peer_flush(p);
}

void vly_remote_peer_flush(remote_peer *p) {
    if (p->state == PEER_GONE || p->writing || p->out_bytes == 0) return;
    uint8_t *full = p->out;
    const uv_buf_t buf = uv_buf_init((char *)full, (unsigned)p->out_bytes);
    p->out = p->sending, p->sending = full;
    p->r->bytes_out += (int64_t)p->out_bytes;
    p->out_bytes = 0;
    const int error = uv_write(&p->write, &p->socket.stream, &buf, 1, on_peer_written);
    p->writing = !error;
    if (error)
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "the connection is lost: %s",
                            uv_strerror(error));
}

/* Where the body of a message goes; NULL: the peer has been ended. */
static uint8_t *begin_peer_message(remote_peer *p, const vly_wire_head *head) {
    if (p->state == PEER_GONE) return NULL;
    if (p->out_bytes + sizeof *head + head->bytes > p->out_room) {
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "it does not read what it is sent");
        return NULL;
    }
    uint8_t *at = p->out + p->out_bytes;
    memcpy(at, head, sizeof *head);
    p->out_bytes += sizeof *head + head->bytes;
    return at + sizeof *head;
}

bool vly_remote_peer_send(remote_peer *p, const vly_wire_head *head) {
    return begin_peer_message(p, head) != NULL;
}

void vly_remote_peer_ask(remote_peer *p, const vly_wire_head *head, vly_actions action) {
    const size_t bytes = p->r->shape.action_bytes, n = head->bytes / bytes;
    uint8_t *to = begin_peer_message(p, head);
    for (size_t i = 0; to && i < n; i++)
        memcpy(to + i * bytes, vly_actions_at(action, i).data, bytes);
}

/* Room for one question to every slice: there is never more. */
static vly_status make_peer_room(remote_peer *p) {
    size_t room = OUT_SPARE + sizeof(vly_wire_head) + sizeof(vly_wire_welcome), fixed = 0;
    for (int i = 0; i < p->slice_count; i++) {
        const size_t n = vly_wire_fixed_bytes(&p->r->shape, p->slices[i].n) +
                         vly_wire_obs_bytes(&p->r->shape, p->slices[i].n);
        room += sizeof(vly_wire_head) + sizeof(vly_wire_slice) +
                vly_wire_step_bytes(&p->r->shape, p->slices[i].n);
        if (n > fixed) fixed = n;
    }
    uint8_t *out = malloc(room), *sending = malloc(room), *body = malloc(fixed + VLY_WIRE_TEXT);
    if (!out || !sending || !body) {
        free(out);
        free(sending);
        free(body);
        return vly_fail(VLY_ENOMEM, "no memory for an actor");
    }
    free(p->out);
    free(p->sending);
    free(p->body);
    p->out = out, p->sending = sending, p->body = body;
    p->out_room = room, p->body_bytes = fixed + VLY_WIRE_TEXT;
    return VLY_OK;
}

/* ---- messages ---- */

static bool send_welcome(remote_peer *p) {
    vly_wire_welcome welcome = p->r->welcome;
    const size_t bytes = sizeof welcome + (size_t)p->slice_count * sizeof(vly_wire_slice);
    const vly_wire_head head = vly_wire_make(VLY_WIRE_WELCOME, 0, 0, bytes);
    uint8_t *body = p->out + sizeof head; /* the first message: the buffer is empty */
    welcome.slices = (uint32_t)p->slice_count;
    memcpy(p->out, &head, sizeof head);
    memcpy(body, &welcome, sizeof welcome);
    for (int i = 0; i < p->slice_count; i++) {
        const remote_slice *s = &p->slices[i];
        const vly_wire_slice slice = {.first = s->first, .n = s->n, .draws = p->r->draws[s->first]};
        memcpy(body + sizeof welcome + (size_t)i * sizeof slice, &slice, sizeof slice);
    }
    p->out_bytes = sizeof head + bytes;
    return true;
}

static void got_hello(remote_peer *p) {
    vly_remote *r = p->r;
    vly_wire_hello hello;
    memcpy(&hello, p->body, sizeof hello);
    const bool known = vly_wire_same(hello.token, r->token, sizeof r->token);
    set_peer_name(p, &hello);
    if (!p->trusted && !known) {
        vly_remote_peer_end(p, VLY_WIRE_BYE_REFUSED, "the token is not the learner's");
        return;
    }
    if (r->peer_count - r->strangers >= r->o.connections) {
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "the learner has %d actors, as many as it may",
                            r->o.connections);
        return;
    }
    vly_status status = vly_remote_assign(r, p, (int)(hello.envs & INT32_MAX));
    if (status == VLY_OK) status = make_peer_room(p);
    if (status != VLY_OK) {
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "%s", vly_error_text());
        return;
    }
    r->strangers--;
    p->state = PEER_OPENING;
    send_welcome(p);
}

static void got_ready(remote_peer *p) {
    vly_wire_ready ready;
    memcpy(&ready, p->body, sizeof ready);
    p->packed = ready.packed != 0;
    p->state = PEER_SERVING;
    vly_remote_ask_held(p->r);
}

static void got_words(remote_peer *p, bool last) {
    char text[VLY_WIRE_TEXT];
    vly_wire_text(text, sizeof text, p->body, p->in.head.bytes);
    if (last)
        vly_remote_peer_end(p, VLY_WIRE_BYE_REFUSED, "%s", text);
    else
        vly_remote_warn(p->r, "actor %s: %s", p->name, text);
}

/* NULL: nothing was asked of that slice. */
static remote_slice *slice_asked(const remote_peer *p) {
    const vly_wire_head *h = &p->in.head;
    remote_slice *s = h->slice < (uint32_t)p->slice_count ? &p->slices[h->slice] : NULL;
    return s && s->state != SLICE_IDLE && s->sequence == h->sequence ? s : NULL;
}

static void got_rows(remote_peer *p) {
    remote_slice *s = slice_asked(p);
    if (s->state == SLICE_LATE) {
        s->state = SLICE_IDLE, s->ticks = 0;
        vly_remote_ask_held(p->r);
        return;
    }
    if (vly_remote_answer(p->r, p, s, &p->in.head, p->body) != VLY_OK)
        vly_remote_peer_end(p, VLY_WIRE_BYE_REFUSED, "%s", vly_error_text());
}

static void got_message(remote_peer *p) {
    const vly_wire_head head = vly_wire_make(VLY_WIRE_PROBED, 0, p->in.head.sequence, 0);
    switch (p->in.head.type) {
    case VLY_WIRE_HELLO: got_hello(p); break;
    case VLY_WIRE_PROBE: vly_remote_peer_send(p, &head); break;
    case VLY_WIRE_READY: got_ready(p); break;
    case VLY_WIRE_ROWS: got_rows(p); break;
    case VLY_WIRE_PONG: p->pinged = false; break;
    case VLY_WIRE_WORDS: got_words(p, false); break;
    default: got_words(p, true); break;
    }
}

/* What may come in which state. */
static bool is_expected(const remote_peer *p, int type) {
    switch (p->state) {
    case PEER_STRANGER: return type == VLY_WIRE_HELLO;
    case PEER_OPENING:
        return type == VLY_WIRE_PROBE || type == VLY_WIRE_READY || type == VLY_WIRE_WORDS ||
               type == VLY_WIRE_FAULT || type == VLY_WIRE_PONG;
    case PEER_SERVING:
        return type == VLY_WIRE_ROWS || type == VLY_WIRE_PONG || type == VLY_WIRE_WORDS ||
               type == VLY_WIRE_FAULT;
    default: return false;
    }
}

static vly_status place_rows(remote_peer *p) {
    const vly_wire_head *h = &p->in.head;
    const remote_slice *s = slice_asked(p);
    if (!s) return vly_fail(VLY_ECORRUPT, "rows that nobody asked for");
    VLY_TRY(vly_wire_check_rows(h, &p->r->shape, s->n));
    const size_t fixed = vly_wire_fixed_bytes(&p->r->shape, s->n), obs = h->bytes - fixed;
    if (s->state == SLICE_LATE) {
        vly_wire_place(&p->in, NULL, h->bytes);
        return VLY_OK;
    }
    uint8_t *rows = h->flags & VLY_WIRE_PACKED ? NULL : vly_remote_obs_of(p->r, s);
    vly_wire_place(&p->in, p->body, fixed);
    vly_wire_place(&p->in, rows ? rows : p->body + fixed, obs);
    return VLY_OK;
}

/* Before any byte of the body is taken. */
static vly_status begin_message(remote_peer *p) {
    const vly_wire_head *h = &p->in.head;
    VLY_TRY(vly_wire_check(h));
    if (!is_expected(p, h->type))
        return vly_fail(VLY_ECORRUPT, "%s came where it does not belong", vly_wire_name(h->type));
    if (h->type == VLY_WIRE_ROWS) return place_rows(p);
    if (h->type == VLY_WIRE_PROBE)
        vly_wire_place(&p->in, NULL, h->bytes);
    else
        vly_wire_place(&p->in, p->body, h->bytes);
    return VLY_OK;
}

void vly_remote_peer_got(remote_peer *p, size_t bytes) {
    p->r->bytes_in += (int64_t)bytes;
    if (p->state != PEER_STRANGER) p->quiet = 0; /* a stranger's time is for all of its hello */
    p->heard_ns = vly_now_ns();
    const vly_wire_event event = vly_wire_got(&p->in, bytes);
    if (event == VLY_WIRE_MORE) return;
    const bool begins = event == VLY_WIRE_BEGUN || p->in.head.bytes == 0;
    if (begins && begin_message(p) != VLY_OK)
        vly_remote_peer_end(p, VLY_WIRE_BYE_REFUSED, "%s", vly_error_text());
    else if (event == VLY_WIRE_WHOLE)
        got_message(p);
}

static void on_peer_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    remote_peer *p = handle->data;
    size_t n;
    (void)suggested;
    uint8_t *to = vly_wire_want(&p->in, &n);
    *buf = uv_buf_init((char *)to, (unsigned)n);
}

static void on_peer_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    remote_peer *p = stream->data;
    (void)buf;
    if (p->state == PEER_GONE) return;
    if (n > 0) vly_remote_peer_got(p, (size_t)n);
    if (n < 0)
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "the connection is lost: %s",
                            uv_strerror((int)n));
}

vly_status vly_remote_peer_start(remote_peer *p) {
    vly_remote_tune(&p->r->address, &p->socket);
    if (!p->trusted && p->r->strangers > STRANGERS_MOST) {
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "too many connections without a token");
        return VLY_OK;
    }
    const int error = uv_read_start(&p->socket.stream, on_peer_alloc, on_peer_read);
    if (!error) return VLY_OK;
    vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "%s", uv_strerror(error));
    return vly_fail(VLY_EIO, "an actor's connection: %s", uv_strerror(error));
}

/* ---- time ---- */

static int ticks_of(const vly_remote *r, int ms) {
    return ms * TICKS_DEADLINE / r->o.deadline_ms + 1;
}

static void ping_peer(remote_peer *p) {
    const vly_wire_head head = vly_wire_make(VLY_WIRE_PING, 0, 0, 0);
    p->pinged = vly_remote_peer_send(p, &head);
}

static void tick_slices(remote_peer *p) {
    for (int i = 0; i < p->slice_count; i++) {
        remote_slice *s = &p->slices[i];
        if (s->state != SLICE_IDLE) s->ticks++;
        if (s->state == SLICE_ASKED && s->ticks > TICKS_DEADLINE) vly_remote_give_up(p->r, p, s);
        if (s->ticks > SLOW_DEADLINES * TICKS_DEADLINE) {
            vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "a step has not come back for %.0f s",
                                SLOW_DEADLINES * (double)p->r->o.deadline_ms * 1e-3);
            return;
        }
    }
    vly_remote_ask_held(p->r);
}

void vly_remote_peer_tick(remote_peer *p) {
    const vly_remote *r = p->r;
    p->quiet++;
    if (p->state == PEER_STRANGER) {
        if (p->quiet > ticks_of(r, HELLO_MS))
            vly_remote_peer_end(p, VLY_WIRE_BYE_REFUSED, "it has not said who it is");
        return;
    }
    if (p->state == PEER_OPENING) {
        if (p->quiet > ticks_of(r, OPENING_MS))
            vly_remote_peer_end(p, VLY_WIRE_BYE_LATER,
                                "it has not opened its environments in time");
        return;
    }
    if (p->quiet > TICKS_DEADLINE) {
        vly_remote_peer_end(p, VLY_WIRE_BYE_LATER, "it has been silent for %.1f s",
                            (double)r->o.deadline_ms * 1e-3);
        return;
    }
    if (p->quiet > TICKS_DEADLINE / 4 && !p->pinged) ping_peer(p);
    if (p->state == PEER_SERVING) tick_slices(p);
}
