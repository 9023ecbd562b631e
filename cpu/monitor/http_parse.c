#include "cpu/monitor/http_parse.h"
#include <string.h>
#include <strings.h>

enum {
    BAD = -400,
    NOT_ALLOWED = -405,
    WITH_BODY = -413,
    URI_LONG = -414,
    TOO_LARGE = -431,
    NOT_KNOWN = -501,
    VERSION = -505
};

typedef struct {
    const char *at;
    size_t n;
} slice;

static bool is(slice s, const char *word) {
    return s.n == strlen(word) && strncasecmp(s.at, word, s.n) == 0;
}

const char *vly_http_reason(int status) {
    switch (status) {
    case 200: return "OK";
    case 303: return "See Other";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

static bool is_token(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* Decodes until `end`; false for bad escapes, control characters, and what does not fit. */
static bool decode_percent(const char *from, size_t n, bool plus, char *to, size_t room) {
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        char c = from[i];
        if (c == '%') {
            if (i + 2 >= n || hex_digit(from[i + 1]) < 0 || hex_digit(from[i + 2]) < 0)
                return false;
            c = (char)(hex_digit(from[i + 1]) * 16 + hex_digit(from[i + 2]));
            i += 2;
        } else if (plus && c == '+')
            c = ' ';
        if ((unsigned char)c < 0x20 || c == 0x7f || used + 1 >= room) return false;
        to[used++] = c;
    }
    to[used] = '\0';
    return true;
}

bool vly_http_query(const char *query, const char *name, char *value, size_t bytes) {
    const size_t n = strlen(name);
    for (const char *p = query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL)
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return decode_percent(p + n + 1, strcspn(p + n + 1, "&"), true, value, bytes);
    return false;
}

static int parse_target(slice target, vly_http_request *out) {
    if (target.n == 0 || target.at[0] != '/')
        return BAD; /* neither the whole URL of a proxy nor "*" */
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.at[i] <= 0x20 || (unsigned char)target.at[i] >= 0x7f) return BAD;
    const char *question = memchr(target.at, '?', target.n);
    const size_t path = question ? (size_t)(question - target.at) : target.n,
                 query = question ? target.n - path - 1 : 0;
    if (path >= VLY_HTTP_PATH || query >= VLY_HTTP_QUERY) return URI_LONG;
    if (!decode_percent(target.at, path, false, out->path, sizeof out->path)) return BAD;
    if (question) memcpy(out->query, question + 1, query);
    return 0;
}

static int parse_request_line(slice line, vly_http_request *out) {
    size_t method = 0;
    while (method < line.n && is_token((unsigned char)line.at[method])) method++;
    if (method == 0 || method > 20 || method >= line.n || line.at[method] != ' ') return BAD;
    const slice name = {line.at, method};
    slice target = {line.at + method + 1, 0};
    while (method + 1 + target.n < line.n && target.at[target.n] != ' ') target.n++;
    const slice version = {target.at + target.n + 1, line.n - method - 1 - target.n - 1};
    if (method + 1 + target.n >= line.n || version.n != 8 || memcmp(version.at, "HTTP/", 5) != 0)
        return BAD;
    if (memcmp(version.at, "HTTP/1.", 7) != 0 || (version.at[7] != '0' && version.at[7] != '1'))
        return VERSION;
    out->keep = version.at[7] == '1';
    out->head = name.n == 4 && memcmp(name.at, "HEAD", 4) == 0;
    const int status = parse_target(target, out);
    if (status) return status;
    return out->head || (name.n == 3 && memcmp(name.at, "GET", 3) == 0) ? 0 : NOT_ALLOWED;
}

static int keep_value(slice value, char *to) {
    if (*to) return BAD; /* given twice: two readers could choose different ones */
    if (value.n >= VLY_HTTP_VALUE) return TOO_LARGE;
    memcpy(to, value.at, value.n);
    to[value.n] = '\0';
    return 0;
}

static int parse_header(slice line, vly_http_request *out) {
    size_t n = 0;
    while (n < line.n && is_token((unsigned char)line.at[n])) n++;
    if (n == 0 || n >= line.n || line.at[n] != ':') return BAD;
    const slice name = {line.at, n};
    slice value = {line.at + n + 1, line.n - n - 1};
    while (value.n && (*value.at == ' ' || *value.at == '\t')) value.at++, value.n--;
    while (value.n && (value.at[value.n - 1] == ' ' || value.at[value.n - 1] == '\t')) value.n--;
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)value.at[i] < 0x20 && value.at[i] != '\t') || value.at[i] == 0x7f)
            return BAD;
    if (is(name, "host")) return value.n ? keep_value(value, out->host) : BAD;
    if (is(name, "origin")) return keep_value(value, out->origin);
    if (is(name, "authorization")) return keep_value(value, out->authorization);
    if (is(name, "cookie"))
        return value.n < VLY_HTTP_VALUE ? keep_value(value, out->cookie)
                                        : 0; /* cookies of other services */
    if (is(name, "transfer-encoding")) return NOT_KNOWN;
    if (is(name, "content-length")) return value.n == 1 && *value.at == '0' ? 0 : WITH_BODY;
    if (is(name, "connection") && is(value, "close")) out->keep = false;
    return 0;
}

/* The line at *at, without its CR LF; false when there is none or a bare LF or CR is in it. */
static bool next_line(const char *bytes, size_t n, size_t *at, slice *line) {
    const char *begin = bytes + *at, *end = memchr(begin, '\r', n - *at);
    if (!end || (size_t)(end - bytes) + 1 >= n || end[1] != '\n') return false;
    *line = (slice){begin, (size_t)(end - begin)};
    *at = (size_t)(end - bytes) + 2;
    return !memchr(line->at, '\n', line->n);
}

/* Where the empty line begins that ends a head, or NULL. */
static const char *find_end(const char *bytes, size_t n) {
    for (const char *p = bytes; n >= 4 && (p = memchr(p, '\r', n - 3 - (size_t)(p - bytes))); p++)
        if (memcmp(p, "\r\n\r\n", 4) == 0) return p;
    return NULL;
}

int vly_http_parse(const char *bytes, size_t n, vly_http_request *out) {
    const char *end = find_end(bytes, n);
    if (!end) return n >= VLY_HTTP_HEAD_BYTES ? TOO_LARGE : 0;
    const size_t head = (size_t)(end - bytes) + 4;
    if (head > VLY_HTTP_HEAD_BYTES) return TOO_LARGE;
    memset(out, 0, sizeof *out);
    size_t at = 0;
    slice line;
    if (!next_line(bytes, head, &at, &line)) return BAD;
    int status = parse_request_line(line, out);
    for (int i = 0; !status && at + 2 < head; i++) {
        if (i == VLY_HTTP_HEADERS) return TOO_LARGE;
        status = next_line(bytes, head, &at, &line) ? parse_header(line, out) : BAD;
    }
    if (!status && !out->host[0]) status = BAD;
    return status ? status : (int)head;
}
