/* Random bytes as a request to the live page: refused with a status, or a request whose parts are
 * text without control characters; how the bytes are cut into packets does not matter.
 *   cmake --preset fuzz && cmake --build --preset fuzz --target fuzz_http &&
 *   build-fuzz/fuzz_http tests/fuzz/http */
#include "common/base/text.h"
#include "cpu/monitor/http_guard.h"
#include "tests/fuzz/input.h"

static void is_plain_text(const char *text, size_t room) {
    const size_t n = strnlen(text, room);
    fuzz_check(n < room);
    for (size_t i = 0; i < n; i++) fuzz_check((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static void parts_are_text(const vly_http_request *r) {
    is_plain_text(r->path, sizeof r->path);
    is_plain_text(r->query, sizeof r->query);
    fuzz_check(r->path[0] == '/' && r->host[0]);
    fuzz_check(strnlen(r->origin, sizeof r->origin) < sizeof r->origin);
    fuzz_check(strnlen(r->authorization, sizeof r->authorization) < sizeof r->authorization);
    fuzz_check(strnlen(r->cookie, sizeof r->cookie) < sizeof r->cookie);
}

static void values_of_a_query_are_text(const char *query) {
    static const char *const names[] = {"run", "token", "i", "points", "metric", ""};
    char value[40];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (vly_http_query(query, names[i], value, sizeof value))
            is_plain_text(value, sizeof value);
}

/* Whoever knows no token sees nothing of a server that is not bound to loopback. */
static void guards_hold(const vly_http_request *r) {
    static vly_http_guard open, closed;
    static const char token[] = "0123456789abcdefX";
    if (!open.port) {
        fuzz_check(vly_http_guard_init(&open, "127.0.0.1", 8265, "", "") == VLY_OK);
        fuzz_check(vly_http_guard_init(&closed, "0.0.0.0", 8265, token, "box.example") == VLY_OK);
    }
    const int seen = vly_http_guard_check(&open, r), asked = vly_http_guard_check(&closed, r);
    fuzz_check(seen == 0 || seen == 401 || seen == 403);
    char given[40];
    const bool asks = vly_http_query(r->query, "token", given, sizeof given) &&
                      !strcmp(given, token),
               knows = asks || strstr(r->authorization, token) || strstr(r->cookie, token);
    fuzz_check(asked == 401 || asked == 403 || (asked == 0 && knows));
    fuzz_check(!vly_http_guard_login(&closed, r) || asks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    vly_http_request whole, part;
    const int used = vly_http_parse((const char *)data, bytes, &whole);
    fuzz_check(used <= (int)bytes && (used >= 0 || vly_http_reason(-used)[0]));
    if (used <= 0) return 0;
    parts_are_text(&whole);
    values_of_a_query_are_text(whole.query);
    guards_hold(&whole);
    fuzz_check(vly_http_parse((const char *)data, (size_t)used - 1, &part) == 0);
    fuzz_check(vly_http_parse((const char *)data, (size_t)used, &part) == used);
    fuzz_check(!memcmp(&whole, &part, sizeof whole));
    return 0;
}
