/* The server among strangers: what it understands, whom it answers, what it survives.
 * VLY_HTTP_REQUESTS=N sends N malformed requests to the parser, and a tenth of them over sockets,
 * instead of a few thousand. */
#include "tests/kit/check.h"
#include <errno.h>
#include <sys/resource.h>
#include "common/base/philox.h"
#include "cpu/monitor/http.h"
#include "tests/monitor/http_client.h"

/* ---- heads ---- */

static int parse(const char *text, vly_http_request *r) {
    return vly_http_parse(text, strlen(text), r);
}

static void a_head_is_understood_whole(void) {
    static const char text[] =
        "GET /api/series?run=a%20b&points=10 HTTP/1.1\r\nHost: localhost:1\r\nOrigin:  "
        "http://localhost:1 \r\nCookie: a=b\r\n\r\nrest";
    vly_http_request r;
    char value[32];
    CHECK_EQ(parse(text, &r), (int)strlen(text) - 4);
    CHECK(!r.head && r.keep);
    CHECK_STR(r.path, "/api/series");
    CHECK_STR(r.host, "localhost:1");
    CHECK_STR(r.origin, "http://localhost:1");
    CHECK_STR(r.cookie, "a=b");
    CHECK(vly_http_query(r.query, "run", value, sizeof value));
    CHECK_STR(value, "a b");
    CHECK(vly_http_query(r.query, "points", value, sizeof value) && !strcmp(value, "10"));
    CHECK(!vly_http_query(r.query, "oints", value, sizeof value) &&
          !vly_http_query(r.query, "run", value, 3));
    for (size_t n = 0; n < strlen(text) - 4; n++)
        CHECK_EQ(vly_http_parse(text, n, &r), 0); /* never complete too early */
    CHECK(parse("HEAD / HTTP/1.0\r\nHost: x\r\n\r\n", &r) > 0 && r.head && !r.keep);
    CHECK(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &r) > 0 && !r.keep);
}

static void what_is_not_a_plain_request_is_refused(void) {
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {405, "POST / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {405, "get / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {405, "GETT / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n"},
        {400, "GET / HTTP/1.1\nHost: x\r\n\r\n"},
        {400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /%0d%0aX:1 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /% HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET / HTTP/11\r\nHost: x\r\n\r\n"},
        {400, "GET /\r\nHost: x\r\n\r\n"},
        {400, "\r\n\r\n"},
        {400, " \r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"},
        {505, "GET / HTTP/1.9\r\nHost: x\r\n\r\n"},
        {413, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"},
        {413, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 00\r\n\r\n"},
        {501, "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
    };
    vly_http_request r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int got = parse(cases[i].text, &r);
        if (got != -cases[i].status) fprintf(stderr, "%s -> %d\n", cases[i].text, got);
        CHECK_EQ(got, -cases[i].status);
    }
}

static void sizes_are_bounded(void) {
    static char text[3 * VLY_HTTP_HEAD_BYTES];
    vly_http_request r;
    memset(text, 'a', sizeof text);
    CHECK_EQ(vly_http_parse(text, VLY_HTTP_HEAD_BYTES, &r), -431);
    int n = sprintf(text, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", VLY_HTTP_PATH, 0);
    CHECK_EQ(vly_http_parse(text, (size_t)n, &r), -414);
    n = sprintf(text, "GET /?%0*d HTTP/1.1\r\nHost: x\r\n\r\n", VLY_HTTP_QUERY, 0);
    CHECK_EQ(vly_http_parse(text, (size_t)n, &r), -414);
    n = sprintf(text, "GET / HTTP/1.1\r\nHost: %0*d\r\n\r\n", VLY_HTTP_VALUE, 0);
    CHECK_EQ(vly_http_parse(text, (size_t)n, &r), -431);
    n = sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < VLY_HTTP_HEADERS; i++) n += sprintf(text + n, "X: y\r\n");
    n += sprintf(text + n, "\r\n");
    CHECK_EQ(vly_http_parse(text, (size_t)n, &r), -431);
}

/* ---- who may ask ---- */

static int guarded(const vly_http_guard *g, const char *host, const char *origin,
                   const char *authorization, const char *cookie) {
    vly_http_request r = {0};
    snprintf(r.host, sizeof r.host, "%s", host);
    snprintf(r.origin, sizeof r.origin, "%s", origin);
    snprintf(r.authorization, sizeof r.authorization, "%s", authorization);
    snprintf(r.cookie, sizeof r.cookie, "%s", cookie);
    return vly_http_guard_check(g, &r);
}

static void foreign_names_and_pages_are_refused(void) {
    vly_http_guard g;
    CHECK_OK(vly_http_guard_init(&g, "127.0.0.1", 80, "", "mine.example,other"));
    static const char *const ours[] = {"127.0.0.1", "127.0.0.1:80", "localhost:9000",
                                       "LOCALHOST", "[::1]:80",     "mine.example:80",
                                       "other"};
    static const char *const foreign[] = {"evil.example",
                                          "localhost.evil.example",
                                          "127.0.0.1.nip.io",
                                          "192.168.1.5",
                                          "mine.example.evil",
                                          "ther",
                                          "",
                                          "localhost:80:80",
                                          "localhost:x",
                                          "[::1",
                                          "mine.example,other",
                                          "localhost:123456"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        CHECK_EQ(guarded(&g, ours[i], "", "", ""), 0);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        CHECK_EQ(guarded(&g, foreign[i], "", "", ""), 403);
    CHECK_EQ(guarded(&g, "localhost:80", "http://localhost:80", "", ""), 0);
    CHECK_EQ(guarded(&g, "localhost:80", "http://localhost:81", "", ""), 403);
    CHECK_EQ(guarded(&g, "localhost:80", "http://evil.example", "", ""), 403);
    CHECK_EQ(guarded(&g, "localhost:80", "null", "", ""), 403);
}

static void others_than_loopback_need_the_token(void) {
    static const char token[] = "0123456789abcdef";
    vly_http_guard g;
    CHECK(vly_http_guard_init(&g, "0.0.0.0", 80, "", "") == VLY_EINVAL);
    CHECK(vly_http_guard_init(&g, "::", 80, "short", "") == VLY_EINVAL);
    CHECK(vly_http_guard_init(&g, "127.0.0.1", 80, "with blank 123456", "") == VLY_EINVAL);
    CHECK_OK(vly_http_guard_init(&g, "0.0.0.0", 80, token, ""));
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "", ""), 401);
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "Bearer 0123456789abcdef", ""), 0);
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "Bearer 0123456789abcdeF", ""), 401);
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "Bearer 0123456789abcdef0", ""), 401);
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "Bearer ", ""), 401);
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "", "x=y; volley_80=0123456789abcdef"), 0);
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "", "volley_81=0123456789abcdef"), 401);
    CHECK_EQ(guarded(&g, "192.168.1.5:80", "", "", "volley_80="), 401);
    CHECK_EQ(guarded(&g, "evil.example", "", "Bearer 0123456789abcdef", ""), 403);
}

/* ---- a server of its own ---- */

static struct {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t stop;
    uv_timer_t beat;
    vly_http *http;
    int port;
} server;

static void answer(void *arg, const vly_http_request *r, vly_http_reply *reply) {
    (void)arg;
    if (strcmp(r->path, "/large") == 0)
        for (int i = 0; i < 1 << 16; i++) vly_text_add(&reply->body, "%063d\n", i); /* 4 MB */
    else if (strcmp(r->path, "/stream") == 0)
        reply->stream = true, reply->type = "text/event-stream",
        vly_text_add(&reply->body, ": hello\n\n");
    else
        vly_text_add(&reply->body, "path %s", r->path);
}

static void on_beat(uv_timer_t *timer) {
    static char message[40000];
    (void)timer;
    memset(message, 'x', sizeof message);
    memcpy(message, "data: ", 6), memcpy(message + sizeof message - 2, "\n\n", 2);
    vly_http_send(server.http, message, sizeof message);
}

static void on_stop(uv_async_t *async) {
    (void)async;
    vly_http_close(server.http);
    uv_close((uv_handle_t *)&server.stop, NULL);
    uv_close((uv_handle_t *)&server.beat, NULL);
}

static void run_loop(void *arg) {
    (void)arg;
    uv_run(&server.loop, UV_RUN_DEFAULT);
}

static void start_server(vly_http_options o) {
    memset(&server, 0, sizeof server);
    o.answer = answer;
    uv_loop_init(&server.loop);
    CHECK_OK(vly_http_open(&server.http, &server.loop, &o));
    server.port = vly_http_port(server.http);
    uv_async_init(&server.loop, &server.stop, on_stop);
    uv_timer_init(&server.loop, &server.beat);
    uv_timer_start(&server.beat, on_beat, 10, 10);
    uv_thread_create(&server.thread, run_loop, NULL);
}

static vly_http_stats stop_server(void) {
    vly_http_stats stats;
    uv_async_send(&server.stop);
    uv_thread_join(&server.thread);
    vly_http_get_stats(server.http, &stats);
    vly_http_free(server.http);
    CHECK_EQ(uv_loop_close(&server.loop), 0); /* no handle is left */
    CHECK_EQ(stats.open, 0);
    CHECK_EQ(stats.streams, 0);
    return stats;
}

static void a_connection_serves_several_requests(void) {
    char text[4096];
    start_server((vly_http_options){0});
    const int fd = client_open(server.port);
    for (int i = 0; i < 3; i++) {
        static const char request[] = "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n";
        CHECK(client_send(fd, request, sizeof request - 1));
        CHECK(client_read_until(fd, text, sizeof text, "path /one"));
        CHECK(strstr(text, "HTTP/1.1 200 OK\r\n") == text && strstr(text, "Content-Length: 9\r\n"));
    }
    static const char together[] =
        "GET /two HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /two HTTP/1.1\r\nHost: "
        "localhost\r\n\r\nGET /three HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for (size_t i = 0; i < sizeof together - 1; i++)
        CHECK(client_send(fd, together + i, 1)); /* byte by byte */
    client_read_all(fd, text, sizeof text);
    CHECK(strstr(text, "path /two") && strstr(text, "path /three"));
    CHECK(!strstr(strstr(text, "path /two") + 1, "path /two")); /* HEAD has no body */
    close(fd);
    CHECK_EQ(stop_server().requests, 6);
}

static void policies_come_with_every_answer(void) {
    start_server((vly_http_options){0});
    CHECK_EQ(client_get(server.port, "/", "%s", ""), 200);
    for (int i = 0; i < 2; i++) {
        CHECK(strstr(client_answer, "Content-Security-Policy: default-src 'none'"));
        CHECK(strstr(client_answer, "X-Content-Type-Options: nosniff") &&
              strstr(client_answer, "X-Frame-Options: DENY"));
        CHECK(strstr(client_answer, "Cross-Origin-Resource-Policy: same-origin") &&
              strstr(client_answer, "Cache-Control: no-store"));
        CHECK_EQ(client_get(server.port, "/", "Origin: http://evil.example\r\n"), 403);
    }
    static const char post[] =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
    CHECK_EQ(client_say(server.port, post, sizeof post - 1), 405);
    CHECK(strstr(client_answer, "Allow: GET, HEAD\r\n"));
    CHECK_EQ(client_get(server.port, "/", "X: %08000d\r\n", 0), 200);
    CHECK_EQ(client_get(server.port, "/", "X: %08200d\r\n", 0), 431);
    stop_server();
}

static void slow_heads_answers_and_streams_are_cut_off(void) {
    char text[65536];
    start_server((vly_http_options){.head_ms = 300, .write_ms = 300, .idle_ms = 300});
    const int half = client_open(server.port), idle = client_open(server.port),
              large = client_open(server.port), stream = client_open(server.port);
    client_send(half, "GET / HT", 8);
    client_send(large, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n", 40);
    client_send(stream, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", 41);
    CHECK_EQ(client_read_all(half, text, sizeof text), 0);
    CHECK_EQ(client_read_all(idle, text, sizeof text), 0);
    usleep(900000); /* nobody reads the 4 MB, nor the stream of 4 MB a second */
    CHECK_EQ(client_get(server.port, "/other", "%s", ""), 200);
    close(half), close(idle), close(large), close(stream);
    CHECK(stop_server().timed_out >= 3);
}

static void a_thousand_slow_clients_keep_nobody_out(void) {
    enum { SLOW = 1000 };
    static int fds[SLOW];
    const struct rlimit files = {4096, 4096};
    struct rlimit now;
    getrlimit(RLIMIT_NOFILE, &now);
    if (now.rlim_cur < 4096) setrlimit(RLIMIT_NOFILE, &files);
    start_server((vly_http_options){0});
    for (int i = 0; i < SLOW; i++) {
        fds[i] = client_open(server.port);
        client_send(fds[i], "GET", (size_t)(i % 4));
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SLOW; i++)
            send(fds[i], " ", 1, MSG_NOSIGNAL); /* a byte now and then; most are gone by now */
        CHECK_EQ(client_get(server.port, "/still", "%s", ""), 200);
    }
    for (int i = 0; i < SLOW; i++) client_drop(fds[i]);
    const vly_http_stats stats = stop_server();
    CHECK(stats.evicted >= SLOW / 2 && stats.accepted >= SLOW);
}

static void streams_are_bounded_and_quick_ones_hear_everything(void) {
    enum { MANY = 40 };
    int fds[MANY], streams = 0;
    char text[200000];
    start_server((vly_http_options){.streams = 8});
    for (int i = 0; i < MANY; i++) {
        fds[i] = client_open(server.port);
        client_send(fds[i], "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", 41);
        CHECK(client_read_until(fds[i], text, sizeof text, "\r\n\r\n"));
        streams += strstr(text, " 200 ") != NULL;
    }
    CHECK_EQ(streams, 8);
    CHECK(client_read_until(fds[0], text, sizeof text, "data: xxx"));
    for (int i = 0; i < MANY; i++) client_drop(fds[i]);
    stop_server();
}

/* ---- malformed requests ---- */

typedef struct {
    uint64_t at;
} randoms;
static uint32_t draw(randoms *r, uint32_t below) {
    return vly_philox(2026, 7, r->at++, 0).v[0] % below;
}

static const char *const pieces[] = {"GET ",
                                     "HEAD ",
                                     "POST ",
                                     "/",
                                     "/api/runs",
                                     "/../../etc/passwd",
                                     "%2e%2e%2f",
                                     "%00",
                                     "?run=",
                                     "&points=",
                                     " HTTP/1.1",
                                     " HTTP/1.0",
                                     " HTTP/9",
                                     "\r\n",
                                     "\n",
                                     "\r",
                                     "Host: ",
                                     "localhost",
                                     "127.0.0.1",
                                     "evil.example",
                                     "Origin: ",
                                     "http://",
                                     "Cookie: ",
                                     "volley_1=",
                                     "Content-Length: ",
                                     "99999999999999999999",
                                     "-1",
                                     "Transfer-Encoding: chunked",
                                     "Authorization: Bearer ",
                                     ":",
                                     " ",
                                     "\t",
                                     "Connection: ",
                                     "close",
                                     "keep-alive",
                                     "\xff\xfe",
                                     "Expect: 100-continue",
                                     "Range: bytes=0-",
                                     "Upgrade: websocket",
                                     "\r\n\r\n"};

static size_t make_request(randoms *r, char *to, size_t room) {
    static const char valid[] = "GET /api/runs?run=a&points=20 HTTP/1.1\r\nHost: "
                                "localhost\r\nOrigin: http://localhost\r\nCookie: a=b\r\n\r\n";
    size_t n = 0;
    switch (draw(r, 4)) {
    case 0: /* noise */
        n = 1 + draw(r, 300);
        for (size_t i = 0; i < n; i++) to[i] = (char)draw(r, 256);
        break;
    case 1: /* pieces of requests in any order */
        for (uint32_t k = 1 + draw(r, 30); k > 0 && n + 64 < room; k--)
            n += (size_t)sprintf(to + n, "%s", pieces[draw(r, sizeof pieces / sizeof *pieces)]);
        break;
    case 2: /* a good one with some bytes changed */
        memcpy(to, valid, n = sizeof valid - 1);
        for (uint32_t k = 1 + draw(r, 6); k > 0; k--) to[draw(r, (uint32_t)n)] = (char)draw(r, 256);
        break;
    default: /* a good one and what does not belong behind it */
        memcpy(to, valid, n = sizeof valid - 1);
        for (uint32_t k = draw(r, 200); k > 0; k--) to[n++] = (char)draw(r, 256);
    }
    if (draw(r, 2) == 0) memcpy(to + n, "\r\n\r\n", 4), n += 4; /* so that it counts as a head */
    return n;
}

/* Every answer is one of ours or nothing, and the server goes on answering. */
static void malformed_requests_are_survived(void) {
    enum { TOGETHER = 32 };
    const char *given = getenv("VLY_HTTP_REQUESTS");
    const long long wanted = given ? atoll(given) / 10 : 4000;
    int fds[TOGETHER];
    static char text[8192];
    randoms r = {0};
    uint64_t bytes = 0;
    start_server((vly_http_options){.head_ms = 50});
    for (long long done = 0; done < wanted; done += TOGETHER) {
        for (int i = 0; i < TOGETHER; i++) {
            const size_t n = make_request(&r, text, sizeof text - 64);
            fds[i] = client_open(server.port);
            client_send(fds[i], text, n);
            shutdown(fds[i], SHUT_WR); /* nothing more comes: what is incomplete ends now */
            bytes += n;
        }
        for (int i = 0; i < TOGETHER; i++) {
            const size_t n = client_read_all(fds[i], text, sizeof text);
            CHECK(n == 0 || strncmp(text, "HTTP/1.1 ", 9) == 0);
            client_drop(fds[i]);
        }
        if (done % 1024 == 0) CHECK_EQ(client_get(server.port, "/alive", "%s", ""), 200);
        if (given && done % (TOGETHER * 8192LL) == 0)
            fprintf(stderr, "%lld requests, %llu bytes\n", done, (unsigned long long)bytes);
    }
    const vly_http_stats stats = stop_server();
    fprintf(stderr, "%lld malformed requests, %llu bytes: %llu refused, %llu answered\n", wanted,
            (unsigned long long)bytes, (unsigned long long)stats.refused,
            (unsigned long long)stats.requests);
    CHECK(stats.refused > (uint64_t)wanted / 8 && stats.requests > 0);
}

/* The same without sockets, many more of them. */
static void the_parser_takes_any_bytes(void) {
    const char *given = getenv("VLY_HTTP_REQUESTS");
    const long long wanted = given ? atoll(given) : 200000;
    static char text[8192];
    vly_http_request request;
    randoms r = {1u << 30};
    long long good = 0;
    uint64_t bytes = 0;
    for (long long i = 0; i < wanted; i++) {
        const size_t n = make_request(&r, text, sizeof text - 64);
        const int used = vly_http_parse(text, n, &request);
        bytes += n;
        CHECK(used <= (int)n && used > -600);
        if (used <= 0) continue;
        good++;
        CHECK(request.path[0] == '/' && request.host[0] &&
              memchr(request.query, '\0', sizeof request.query));
        for (const char *p = request.path; *p; p++) CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
    fprintf(stderr, "%lld requests to the parser, %llu bytes: %lld understood\n", wanted,
            (unsigned long long)bytes, good);
    CHECK(good > wanted / 20);
}

int main(void) {
    a_head_is_understood_whole();
    what_is_not_a_plain_request_is_refused();
    sizes_are_bounded();
    foreign_names_and_pages_are_refused();
    others_than_loopback_need_the_token();
    a_connection_serves_several_requests();
    policies_come_with_every_answer();
    slow_heads_answers_and_streams_are_cut_off();
    a_thousand_slow_clients_keep_nobody_out();
    streams_are_bounded_and_quick_ones_hear_everything();
    the_parser_takes_any_bytes();
    malformed_requests_are_survived();
    return TEST_PASS;
}
