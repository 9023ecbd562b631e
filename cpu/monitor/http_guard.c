#include "cpu/monitor/http_guard.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { TOKEN_LEAST = 16 };

static bool is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(host, "localhost") == 0;
}

static bool is_address(const char *host) {
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* It travels in a cookie and a URL: nothing that would need quoting there. */
static bool is_plain_text(const char *token) {
    return token[strspn(token,
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")] ==
           '\0';
}

vly_status vly_http_guard_init(vly_http_guard *g, const char *bind, int port, const char *token,
                               const char *hosts) {
    memset(g, 0, sizeof *g);
    g->loopback = is_loopback(bind);
    g->port = port;
    if (!g->loopback && strlen(token) < TOKEN_LEAST)
        return vly_fail(
            VLY_EINVAL,
            "the page at %s could be read by others: give --monitor.token, at least %d characters "
            "(openssl rand -hex 16 makes one), or bind to 127.0.0.1 and come through ssh -L",
            bind, TOKEN_LEAST);
    if (strlen(token) >= sizeof g->token || !is_plain_text(token))
        return vly_fail(VLY_EINVAL, "a token is at most %zu letters, digits and - _ . ~",
                        sizeof g->token - 1);
    if (strlen(hosts) >= sizeof g->hosts)
        return vly_fail(VLY_EINVAL, "the list of host names is longer than %zu",
                        sizeof g->hosts - 1);
    snprintf(g->token, sizeof g->token, "%s", token);
    snprintf(g->hosts, sizeof g->hosts, "%s", hosts);
    snprintf(g->cookie, sizeof g->cookie, "volley_%d", port);
    if (gethostname(g->own, sizeof g->own - 1)) g->own[0] = '\0';
    return VLY_OK;
}

/* host, host:port, [v6], [v6]:port: the part before the port. */
static bool host_name(const char *from, char *name, size_t room) {
    const bool bracket = *from == '[';
    const size_t n = strcspn(from += bracket, bracket ? "]" : ":");
    const char *rest = from + n;
    if (bracket && *rest++ != ']') return false;
    if (*rest && (*rest != ':' || rest[1 + strspn(rest + 1, "0123456789")] || strlen(rest) > 6))
        return false;
    if (n == 0 || n >= room) return false;
    memcpy(name, from, n);
    name[n] = '\0';
    return true;
}

static bool in_list(const char *list, const char *name) {
    const size_t n = strlen(name);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncasecmp(p, name, n) == 0) return true;
    return false;
}

/* The port may be another one: ssh -L forwards a port of the client. */
static bool allowed_host(const vly_http_guard *g, const char *host) {
    char name[256];
    if (!host_name(host, name, sizeof name)) return false;
    if (is_loopback(name) || in_list(g->hosts, name)) return true;
    return !g->loopback && (is_address(name) || strcasecmp(name, g->own) == 0);
}

/* Absent, or the page itself. */
static bool allowed_origin(const vly_http_request *r) {
    if (!r->origin[0]) return true;
    const char *host = strncmp(r->origin, "http://", 7) == 0    ? r->origin + 7
                       : strncmp(r->origin, "https://", 8) == 0 ? r->origin + 8
                                                                : NULL;
    return host && strcasecmp(host, r->host) == 0;
}

/* Takes the same time wherever they differ. */
static bool same(const char *given, const char *token) {
    const size_t n = strlen(token), m = strlen(given);
    unsigned differ = n != m;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)token[i] ^ (unsigned char)given[m ? i % m : 0];
    return differ == 0;
}

static bool has_cookie(const vly_http_guard *g, const char *cookies) {
    const size_t n = strlen(g->cookie);
    for (const char *p = cookies; *p; p += strcspn(p, ";"), p += *p == ';') {
        while (*p == ' ') p++;
        if (strncmp(p, g->cookie, n) != 0 || p[n] != '=') continue;
        char value[VLY_HTTP_VALUE];
        snprintf(value, sizeof value, "%.*s", (int)strcspn(p + n + 1, ";"), p + n + 1);
        return same(value, g->token);
    }
    return false;
}

bool vly_http_guard_login(const vly_http_guard *g, const vly_http_request *r) {
    char value[VLY_HTTP_VALUE];
    return g->token[0] && vly_http_query(r->query, "token", value, sizeof value) &&
           same(value, g->token);
}

int vly_http_guard_check(const vly_http_guard *g, const vly_http_request *r) {
    if (!allowed_host(g, r->host) || !allowed_origin(r)) return 403;
    if (!g->token[0]) return 0;
    if (strncasecmp(r->authorization, "bearer ", 7) == 0 && same(r->authorization + 7, g->token))
        return 0;
    return has_cookie(g, r->cookie) || vly_http_guard_login(g, r) ? 0 : 401;
}
