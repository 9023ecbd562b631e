#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/file.h"
#include "common/base/philox.h"
#include "envs/trace.h"

/* ---- what is allowed ---- */

/* Of number i of an action; names what would be, where it is not. */
static bool is_allowed(const vly_space *space, int i, const void *value, char *range,
                       size_t bytes) {
    if (space->kind == VLY_SPACE_BOX) {
        float v;
        memcpy(&v, value, sizeof v);
        const vly_bounds b = space->bounds[i];
        snprintf(range, bytes, "%g to %g", b.low, b.high);
        return v >= (float)b.low && v <= (float)b.high;
    }
    int32_t v;
    memcpy(&v, value, sizeof v);
    snprintf(range, bytes, "0 to %d", vly_space_size(space, i) - 1);
    return v >= 0 && v < vly_space_size(space, i);
}

static void value_text(const vly_space *space, const void *value, char *text, size_t bytes) {
    vly_space one = *space;
    one.count = 1;
    vly_action_text(&one, (vly_actions){value, 4}, text, bytes);
}

vly_status vly_trace_check(const vly_env *env, const void *action, size_t step) {
    const int count = env->action.count;
    char range[64], text[32];
    for (int i = 0; i < env->players * count; i++) {
        const uint8_t *value = (const uint8_t *)action + 4 * i;
        if (is_allowed(&env->action, i % count, value, range, sizeof range)) continue;
        value_text(&env->action, value, text, sizeof text);
        return vly_fail(VLY_EINVAL, "action %s at step %zu: %s has actions %s", text, step,
                        env->name, range);
    }
    return VLY_OK;
}

/* ---- from a file ---- */

typedef struct {
    const char *path;
    const vly_space *space;
    int players;
    uint8_t *at;
    size_t n, room; /* actions of all players */
} reader;

static size_t action_bytes(const reader *r) {
    return (size_t)r->players * r->space->bytes;
}

/* The number at *text, which moves behind it. False: there is none. */
static bool parse_value(const vly_space *space, char **text, void *value) {
    char *end;
    errno = 0;
    if (space->kind == VLY_SPACE_BOX) {
        const float v = strtof(*text, &end);
        memcpy(value, &v, sizeof v);
    } else {
        const long v = strtol(*text, &end, 10);
        const int32_t choice = errno || v < 0 || v > INT32_MAX ? -1 : (int32_t)v;
        memcpy(value, &choice, sizeof choice);
    }
    const bool found = end != *text;
    *text = end;
    return found;
}

static vly_status not_an_action(const reader *r, size_t line, const char *text) {
    const int count = r->space->count;
    char shape[96] = "one action number";
    if (count > 1) snprintf(shape, sizeof shape, "%d numbers with commas between them", count);
    if (r->players > 1)
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape),
                 " for each of %d players, with semicolons between them", r->players);
    return vly_fail(VLY_EINVAL, "%s:%zu: '%.40s' is not %s", r->path, line, text, shape);
}

/* One line's action into `to`. */
static vly_status parse_action(const reader *r, size_t line, char *text, uint8_t *to) {
    const int count = r->space->count, all = count * r->players;
    char *at = text, range[64];
    for (int i = 0; i < all; i++) {
        const char *word = at;
        if (!parse_value(r->space, &at, to + 4 * i)) return not_an_action(r, line, text);
        if (*at && !isspace((unsigned char)*at) && *at != ',' && *at != ';')
            return not_an_action(r, line, text);
        if (!is_allowed(r->space, i % count, to + 4 * i, range, sizeof range))
            return vly_fail(VLY_EINVAL, "%s:%zu: action %.*s is outside %s", r->path, line,
                            (int)(at - word > 40 ? 40 : at - word), word, range);
        while (isspace((unsigned char)*at)) at++;
        if (i + 1 < all && *at++ != ((i + 1) % count ? ',' : ';'))
            return not_an_action(r, line, text);
    }
    return *at ? not_an_action(r, line, text) : VLY_OK;
}

static vly_status make_action_room(reader *r) {
    if (r->n < r->room) return VLY_OK;
    const size_t room = r->room ? 2 * r->room : 4096;
    uint8_t *more = realloc(r->at, room * action_bytes(r));
    if (!more) return vly_fail(VLY_ENOMEM, "no memory for %zu actions", room);
    r->at = more, r->room = room;
    return VLY_OK;
}

static vly_status read_action_line(reader *r, size_t line, char *text) {
    text[strcspn(text, "\r\n")] = '\0';
    while (isspace((unsigned char)*text)) text++;
    if (!*text || *text == '#') return VLY_OK;
    VLY_TRY(make_action_room(r));
    VLY_TRY(parse_action(r, line, text, r->at + r->n * action_bytes(r)));
    r->n++;
    return VLY_OK;
}

static vly_status read_lines(reader *r, FILE *file, char *text, size_t bytes) {
    bool there = true;
    for (size_t line = 1;; line++) {
        VLY_TRY(vly_file_line(file, r->path, line, text, bytes, &there));
        if (!there) break;
        VLY_TRY(read_action_line(r, line, text));
    }
    if (r->n == 0) return vly_fail(VLY_EINVAL, "%s contains no actions (one a line)", r->path);
    return VLY_OK;
}

vly_status vly_trace_read(const char *path, const vly_space *space, int players, void **out,
                          size_t *n) {
    enum { NUMBER = 32 }; /* characters of one, more than any takes */
    *out = NULL, *n = 0;
    const int standard = !strcmp(path, "-");
    vly_status status;
    FILE *file = standard ? stdin : vly_file_open_input(path, &status);
    if (!file) return status;
    reader r = {.path = path, .space = space, .players = players};
    const size_t bytes = 256 + (size_t)NUMBER * (size_t)(space->count * players);
    char *text = malloc(bytes);
    status = text ? read_lines(&r, file, text, bytes)
                  : vly_fail(VLY_ENOMEM, "no memory for a line of %s", path);
    if (!standard) fclose(file);
    free(text);
    if (status != VLY_OK) {
        free(r.at);
        return status;
    }
    *out = r.at, *n = r.n;
    return VLY_OK;
}

/* ---- at random ---- */

int32_t vly_trace_random_choice(uint64_t seed, uint64_t step, int choices) {
    return (int32_t)vly_below(vly_philox(seed, VLY_STREAM_TEST, step, 0).v[0], (uint32_t)choices);
}

/* The k-th choice that the mask allows, of those that it does. */
static int32_t kth_allowed(const uint8_t *mask, int n, uint32_t draw) {
    int allowed = 0, at = 0;
    for (int i = 0; i < n; i++) allowed += mask[i] != 0;
    if (!allowed) return 0;
    for (int left = (int)vly_below(draw, (uint32_t)allowed); at < n; at++)
        if (mask[at] && left-- == 0) break;
    return at;
}

void vly_trace_random(const vly_env *env, uint64_t seed, uint64_t step, const uint8_t *mask,
                      void *action) {
    const vly_space *space = &env->action;
    for (int i = 0; i < env->players * space->count; i++) {
        const int of = i % space->count;
        const uint32_t draw = vly_philox(seed, VLY_STREAM_TEST, step, (uint32_t)i).v[0];
        uint8_t *to = (uint8_t *)action + 4 * i;
        if (space->kind == VLY_SPACE_BOX) {
            const double low = space->bounds[of].low, high = space->bounds[of].high;
            const float v = (float)(low + (high - low) * (double)vly_unit(draw));
            memcpy(to, &v, sizeof v);
            continue;
        }
        const int n = vly_space_size(space, of);
        const int32_t v = mask ? kth_allowed(mask, n, draw) : (int32_t)vly_below(draw, (uint32_t)n);
        memcpy(to, &v, sizeof v);
        if (mask) mask += n;
    }
}
