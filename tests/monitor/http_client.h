/* http_client.h -- a client for tests that says exactly the bytes it is given. */
#ifndef VLY_TESTS_MONITOR_HTTP_CLIENT_H
#define VLY_TESTS_MONITOR_HTTP_CLIENT_H
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "tests/kit/check.h"

enum { CLIENT_ROOM = 1 << 20 };

/* A call with a time limit is not begun again after an interruption, and io_uring, which libuv 1.45
 * to 1.48 use, interrupts. */
static inline int client_connect(int fd, const struct sockaddr_in *to) {
    struct pollfd done = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t bytes = sizeof error;
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0) return 0;
    if (errno != EINTR) return -1;
    while (poll(&done, 1, 20000) < 0 && errno == EINTR) {
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) || error ? -1 : 0;
}

static inline ssize_t client_receive(int fd, void *to, size_t room) {
    ssize_t k;
    while ((k = recv(fd, to, room, 0)) < 0 && errno == EINTR) {
    }
    return k;
}

static inline int client_open(int port) {
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((unsigned short)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 20};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    CHECK_EQ(client_connect(fd, &to), 0);
    return fd;
}

/* Resets instead of waiting: thousands of connections leave nothing behind. */
static inline void client_drop(int fd) {
    const struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static inline bool client_send(int fd, const void *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        const ssize_t k = send(fd, (const char *)bytes + at, n - at, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        at += (size_t)k;
    }
    return true;
}

/* Until the server closes or the room is full; to[n] is 0. */
static inline size_t client_read_all(int fd, char *to, size_t room) {
    size_t n = 0;
    for (ssize_t k; n + 1 < room && (k = client_receive(fd, to + n, room - n - 1)) > 0;)
        n += (size_t)k;
    to[n] = '\0';
    return n;
}

/* Until `words` have come; false: closed or late. */
static inline bool client_read_until(int fd, char *to, size_t room, const char *words) {
    size_t n = 0;
    to[0] = '\0';
    while (!strstr(to, words)) {
        const ssize_t k = n + 1 < room ? client_receive(fd, to + n, room - n - 1) : 0;
        if (k <= 0) return false;
        to[n += (size_t)k] = '\0';
    }
    return true;
}

/* One request, given whole; the answer in a static buffer. Returns its status, 0 when there is
 * none. */
static char client_answer[CLIENT_ROOM];
static inline int client_say(int port, const char *bytes, size_t n) {
    const int fd = client_open(port);
    client_send(fd, bytes, n);
    client_read_all(fd, client_answer, sizeof client_answer);
    client_drop(fd);
    return strncmp(client_answer, "HTTP/1.1 ", 9) == 0 ? atoi(client_answer + 9) : 0;
}

/* GET with further header lines. */
__attribute__((format(printf, 3, 4))) static inline int client_get(int port, const char *path,
                                                                   const char *headers, ...) {
    char more[16384], request[20000];
    va_list args;
    va_start(args, headers);
    vsnprintf(more, sizeof more, headers, args);
    va_end(args);
    const int n = snprintf(request, sizeof request,
                           "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n%s\r\n",
                           path, port, more);
    return client_say(port, request, (size_t)n);
}

static inline const char *client_body(void) {
    const char *body = strstr(client_answer, "\r\n\r\n");
    return body ? body + 4 : "";
}

static inline double client_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif
