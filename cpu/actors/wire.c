#include "cpu/actors/wire.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/file.h"
#include "common/base/text.h"
#include "cpu/actors/source.h"

enum { KNOWN_FLAGS = 0x7f, SINK = 1 << 14 };

static_assert(sizeof(vly_wire_head) == 24, "part of the format");
static_assert(sizeof(vly_wire_hello) == 208, "part of the format");
static_assert(sizeof(vly_wire_welcome) == 4920, "part of the format");
static_assert(sizeof(vly_wire_slice) == 16 && sizeof(vly_wire_ready) == 16, "part of the format");

/* ---- shapes ---- */

vly_wire_shape vly_wire_shape_of(const vly_env *env) {
    return (vly_wire_shape){.players = (uint32_t)env->players,
                            .obs_bytes = (uint32_t)env->obs.bytes,
                            .action_bytes = (uint32_t)env->action.bytes,
                            .mask_bytes = env->masked ? (uint32_t)env->action.n : 0,
                            .shared_bytes = (uint32_t)env->shared.bytes,
                            .numbers = env->obs.dtype == VLY_F32 ? 4 : 1,
                            .phase_bytes = vly_source_phase_at(env) < 0 ? 0 : sizeof(double)};
}

bool vly_wire_same_shape(const vly_wire_shape *a, const vly_wire_shape *b) {
    return a->players == b->players && a->obs_bytes == b->obs_bytes &&
           a->action_bytes == b->action_bytes && a->mask_bytes == b->mask_bytes &&
           a->shared_bytes == b->shared_bytes && a->numbers == b->numbers &&
           a->phase_bytes == b->phase_bytes;
}

static size_t padded(size_t bytes) {
    return (bytes + 7) / 8 * 8;
}

size_t vly_wire_fixed_bytes(const vly_wire_shape *s, int n) {
    const size_t rows = (size_t)n * s->players;
    return rows * 2 * sizeof(float) + padded(rows) + padded(rows * s->mask_bytes) +
           (size_t)n * (s->phase_bytes + s->shared_bytes);
}

size_t vly_wire_obs_bytes(const vly_wire_shape *s, int n) {
    return (size_t)n * s->players * s->obs_bytes;
}

vly_wire_parts vly_wire_parts_of(const vly_wire_shape *s, int n, uint8_t *fixed) {
    const size_t rows = (size_t)n * s->players;
    vly_wire_parts p = {.reward = fixed};
    p.score = p.reward + rows * sizeof(float);
    p.phase = p.score + rows * sizeof(float);
    p.flags = p.phase + (size_t)n * s->phase_bytes;
    p.mask = p.flags + padded(rows);
    p.shared = p.mask + padded(rows * s->mask_bytes);
    return p;
}

/* ---- heads ---- */

const char *vly_wire_name(int type) {
    switch (type) {
#define XX(name, value) \
    case value: return #name;
        VLY_WIRE_TYPES(XX)
#undef XX
    default: return "?";
    }
}

vly_wire_head vly_wire_make(vly_wire_type type, uint32_t slice, uint64_t sequence, size_t bytes) {
    return (vly_wire_head){.magic = VLY_WIRE_MAGIC,
                           .version = VLY_WIRE_VERSION,
                           .type = (uint8_t)type,
                           .bytes = (uint32_t)bytes,
                           .slice = slice,
                           .sequence = sequence};
}

/* The lengths that a type may have; STEP and ROWS are checked again against their slice. */
static void length_range(int type, size_t *least, size_t *most) {
    *least = *most = 0;
    switch (type) {
    case VLY_WIRE_HELLO: *least = *most = sizeof(vly_wire_hello); break;
    case VLY_WIRE_WELCOME:
        *least = sizeof(vly_wire_welcome) + sizeof(vly_wire_slice);
        *most = sizeof(vly_wire_welcome) + VLY_WIRE_SLICES_MOST * sizeof(vly_wire_slice);
        break;
    case VLY_WIRE_PROBE: *most = VLY_WIRE_PROBE_MOST; break;
    case VLY_WIRE_READY: *least = *most = sizeof(vly_wire_ready); break;
    case VLY_WIRE_STEP:
    case VLY_WIRE_ROWS: *least = 1, *most = VLY_WIRE_BODY_MOST; break;
    case VLY_WIRE_WORDS:
    case VLY_WIRE_FAULT:
    case VLY_WIRE_BYE: *least = 1, *most = VLY_WIRE_TEXT; break;
    default: break;
    }
}

vly_status vly_wire_check(const vly_wire_head *h) {
    size_t least, most;
    if (h->magic != VLY_WIRE_MAGIC)
        return vly_fail(VLY_ECORRUPT, "what came is not a message of this program");
    if (h->version != VLY_WIRE_VERSION)
        return vly_fail(VLY_EVERSION,
                        "the other side speaks version %u of the actors' format, this program %d: "
                        "use the same release on both",
                        h->version, VLY_WIRE_VERSION);
    length_range(h->type, &least, &most);
    if (vly_wire_name(h->type)[0] == '?' || h->bytes < least || h->bytes > most)
        return vly_fail(VLY_ECORRUPT, "a message of type %u (%s) with %u bytes", h->type,
                        vly_wire_name(h->type), h->bytes);
    return VLY_OK;
}

static vly_status check_slice_size(const vly_wire_shape *s, const vly_wire_slice *slice) {
    const int most = 1 << 16;
    if (slice->first < 0 || slice->n < 1 || slice->n > most || slice->first > INT32_MAX - slice->n)
        return vly_fail(VLY_ECORRUPT, "a slice of %d environments from %d on", slice->n,
                        slice->first);
    if (vly_wire_fixed_bytes(s, slice->n) + vly_wire_obs_bytes(s, slice->n) > VLY_WIRE_BODY_MOST ||
        vly_wire_step_bytes(s, slice->n) > VLY_WIRE_BODY_MOST)
        return vly_fail(VLY_ECORRUPT, "rows of %u and %u bytes for %d environments are too large",
                        s->obs_bytes, s->action_bytes, slice->n);
    return VLY_OK;
}

vly_status vly_wire_check_welcome(const void *body, size_t bytes) {
    const vly_wire_welcome *w = body;
    const uint32_t most = 1 << 26;
    if (bytes < sizeof *w || !memchr(w->env, 0, sizeof w->env) ||
        !memchr(w->extra, 0, sizeof w->extra) || !memchr(w->options, 0, sizeof w->options))
        return vly_fail(VLY_ECORRUPT, "a welcome is cut off");
    if (w->slices < 1 || w->slices > VLY_WIRE_SLICES_MOST ||
        bytes != sizeof *w + w->slices * sizeof(vly_wire_slice))
        return vly_fail(VLY_ECORRUPT, "a welcome of %zu bytes with %u slices", bytes, w->slices);
    const vly_wire_shape *s = &w->shape;
    if (s->players < 1 || s->players > 64 || s->obs_bytes < 1 || s->obs_bytes > most ||
        s->action_bytes < 1 || s->action_bytes > 1 << 16 || s->mask_bytes > 1 << 16 ||
        s->shared_bytes > most || (s->phase_bytes != 0 && s->phase_bytes != sizeof(double)) ||
        (s->numbers != 1 && s->numbers != 4))
        return vly_fail(VLY_ECORRUPT, "a welcome to rows of %u bytes", s->obs_bytes);
    const vly_wire_slice *slices = (const void *)(w + 1);
    for (uint32_t i = 0; i < w->slices; i++) VLY_TRY(check_slice_size(s, &slices[i]));
    return VLY_OK;
}

vly_status vly_wire_check_rows(const vly_wire_head *h, const vly_wire_shape *s, int n) {
    const size_t fixed = vly_wire_fixed_bytes(s, n), obs = vly_wire_obs_bytes(s, n);
    const bool packed = h->flags & VLY_WIRE_PACKED;
    if (packed ? h->bytes <= fixed || h->bytes > fixed + obs : h->bytes != fixed + obs)
        return vly_fail(VLY_ECORRUPT, "%u bytes for the rows of %d environments, not %zu", h->bytes,
                        n, fixed + obs);
    return VLY_OK;
}

/* ---- values ---- */

/* By the bits: a loop without branches, over unaligned floats. */
static bool are_finite(const uint8_t *at, size_t n) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, at + i * sizeof bits, sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

vly_status vly_wire_check_values(const vly_wire_shape *s, int n, const vly_wire_parts *parts,
                                 const uint8_t *obs, size_t stride) {
    const size_t rows = (size_t)n * s->players;
    unsigned flags = 0;
    for (size_t i = 0; i < rows; i++) flags |= parts->flags[i];
    if (flags & ~(unsigned)KNOWN_FLAGS)
        return vly_fail(VLY_ECORRUPT, "rows with flags that do not exist");
    if (!are_finite(parts->reward, rows) || !are_finite(parts->score, rows))
        return vly_fail(VLY_ENUMERIC, "a reward or a score that is not a finite number");
    for (size_t i = 0; s->numbers == 4 && i < rows; i++)
        if (!are_finite(obs + i * stride, s->obs_bytes / sizeof(float)))
            return vly_fail(VLY_ENUMERIC, "an observation that is not finite");
    return VLY_OK;
}

/* ---- texts ---- */

bool vly_wire_same(const void *a, const void *b, size_t bytes) {
    const volatile uint8_t *x = a, *y = b;
    unsigned differ = 0;
    for (size_t i = 0; i < bytes; i++) differ |= (unsigned)(x[i] ^ y[i]);
    return differ == 0;
}

vly_status vly_wire_read_token(const char *path, uint8_t token[VLY_WIRE_TOKEN]) {
    char *text;
    size_t bytes;
    VLY_TRY(vly_file_read(path, 4096, &text, &bytes));
    const size_t n = strcspn(text, "\r\n"), rest = strspn(text + n, "\r\n");
    const bool good = n >= 16 && n < VLY_WIRE_TOKEN && n + rest == bytes &&
                      strcspn(text, " \t") >= n;
    memset(token, 0, VLY_WIRE_TOKEN);
    if (good) memcpy(token, text, n);
    free(text);
    return good ? VLY_OK
                : vly_fail(VLY_EINVAL,
                           "%s: a token is one line of 16 to %d characters without blanks; make "
                           "one with: head -c 24 /dev/urandom | base64 > %s",
                           path, VLY_WIRE_TOKEN - 1, path);
}

void vly_wire_text(char *to, size_t room, const void *from, size_t bytes) {
    const size_t n = strnlen(from, bytes < room - 1 ? bytes : room - 1);
    memcpy(to, from, n);
    to[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (to[i] == '\n' || to[i] == '\t' || to[i] == '\r') to[i] = ' ';
    vly_text_plain(to, n, 0);
}

/* ---- reading ---- */

uint8_t *vly_wire_want(vly_wire_reader *r, size_t *bytes) {
    static _Thread_local uint8_t sink[SINK]; /* only ever written */
    if (!r->in_body) {
        *bytes = sizeof r->head - r->got;
        return (uint8_t *)&r->head + r->got;
    }
    *bytes = r->place[r->at].bytes - r->got;
    if (r->place[r->at].to) return r->place[r->at].to + r->got;
    if (*bytes > SINK) *bytes = SINK;
    return sink;
}

vly_wire_event vly_wire_got(vly_wire_reader *r, size_t bytes) {
    r->got += bytes;
    if (!r->in_body) {
        if (r->got < sizeof r->head) return VLY_WIRE_MORE;
        r->got = 0, r->places = r->at = 0;
        r->in_body = r->head.bytes > 0;
        return r->in_body ? VLY_WIRE_BEGUN : VLY_WIRE_WHOLE;
    }
    if (r->got < r->place[r->at].bytes) return VLY_WIRE_MORE;
    r->got = 0;
    if (++r->at < r->places) return VLY_WIRE_MORE;
    r->in_body = false;
    return VLY_WIRE_WHOLE;
}

void vly_wire_place(vly_wire_reader *r, void *to, size_t bytes) {
    if (bytes == 0) return;
    assert(r->in_body && r->places < VLY_WIRE_PLACES);
    r->place[r->places].to = to;
    r->place[r->places++].bytes = bytes;
}

void vly_wire_forget(vly_wire_reader *r) {
    for (int i = 0; i < r->places; i++) r->place[i].to = NULL;
}
