#include "cpu/actors/remote_net.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static vly_status look_up(vly_remote_address *out, const char *text, const char *host,
                          const char *port) {
    const struct addrinfo want = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int error = getaddrinfo(host, port, &want, &found);
    if (error || !found)
        return vly_fail(VLY_ENOTFOUND, "%s: the host is not known: %s", text, gai_strerror(error));
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return VLY_OK;
}

static vly_status parse_tcp(vly_remote_address *out, const char *text, bool listen) {
    char host[128];
    const char *at = strncmp(text, "tcp://", 6) ? text : text + 6, *colon = strrchr(at, ':');
    size_t n = colon ? (size_t)(colon - at) : 0;
    char *end = NULL;
    const long port = colon ? strtol(colon + 1, &end, 10) : -1;
    if (n > 1 && at[0] == '[' && at[n - 1] == ']') at++, n -= 2;
    if (n < 1 || n >= sizeof host || !colon[1] || *end || port < (listen ? 0 : 1) || port > 65535)
        return vly_fail(VLY_EINVAL,
                        "%s: not an address: tcp://HOST:PORT with a port from %d to 65535, or "
                        "unix:PATH",
                        text, listen ? 0 : 1);
    memcpy(host, at, n);
    host[n] = '\0';
    return look_up(out, text, host, colon + 1);
}

vly_status vly_remote_parse(vly_remote_address *out, const char *text, bool listen) {
    memset(out, 0, sizeof *out);
    snprintf(out->shown, sizeof out->shown, "%s", text);
    if (!strncmp(text, "fd:", 3)) {
        char *end;
        const long fd = strtol(text + 3, &end, 10);
        struct stat s;
        if (listen || !text[3] || *end || fd < 0 || fd > 1 << 20 || fstat((int)fd, &s) ||
            !S_ISSOCK(s.st_mode))
            return vly_fail(VLY_EINVAL, "%s: not a connected socket of this process", text);
        out->kind = VLY_REMOTE_FD, out->fd = (int)fd;
        return VLY_OK;
    }
    if (strncmp(text, "unix:", 5) != 0) return parse_tcp(out, text, listen);
    out->kind = VLY_REMOTE_UNIX;
    const size_t n = strlen(text + 5);
    if (n < 1 || n >= sizeof out->path)
        return vly_fail(VLY_EINVAL, "%s: the path of a socket has 1 to %zu characters", text,
                        sizeof out->path - 1);
    memcpy(out->path, text + 5, n + 1);
    return VLY_OK;
}

int vly_remote_socket_init(const vly_remote_address *a, uv_loop_t *loop, vly_remote_socket *s) {
    return a->kind == VLY_REMOTE_TCP ? uv_tcp_init(loop, &s->tcp) : uv_pipe_init(loop, &s->pipe, 0);
}

void vly_remote_tune(const vly_remote_address *a, vly_remote_socket *s) {
    if (a->kind != VLY_REMOTE_TCP) return;
    const unsigned lost_ms = 30000;
    uv_os_fd_t fd;
    uv_tcp_nodelay(&s->tcp, 1);
    uv_tcp_keepalive(&s->tcp, 1, 10);
    if (uv_fileno(&s->handle, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
}

/* Left by a learner that was killed. One that answers, or what is no socket, stays. */
static void remove_stale_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat s;
    if (lstat(path, &s) || !S_ISSOCK(s.st_mode)) return;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

/* The port that the system chose for port 0. */
static void show_port(vly_remote_address *a, const uv_tcp_t *tcp) {
    struct sockaddr_storage bound;
    char host[64];
    int n = sizeof bound;
    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&bound, &n)) return;
    const bool six = bound.ss_family == AF_INET6;
    const uint16_t port = ntohs(six ? ((struct sockaddr_in6 *)(void *)&bound)->sin6_port
                                    : ((struct sockaddr_in *)(void *)&bound)->sin_port);
    if (uv_ip_name((struct sockaddr *)&bound, host, sizeof host)) return;
    snprintf(a->shown, sizeof a->shown, six ? "tcp://[%s]:%u" : "tcp://%s:%u", host, port);
}

/* libuv says EACCES where a socket's folder is not there. */
static vly_status cannot_listen(const vly_remote_address *a, int error) {
    const char *slash = a->kind == VLY_REMOTE_UNIX ? strrchr(a->path, '/') : NULL;
    char folder[sizeof a->path];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - a->path) : 0, a->path);
    if (error == UV_EACCES && *folder && access(folder, F_OK) && errno == ENOENT)
        return vly_fail(VLY_EINVAL, "cannot listen on %s: there is no folder %s; make it first",
                        a->shown, folder);
    return vly_fail(VLY_EINVAL, "cannot listen on %s: %s", a->shown, uv_strerror(error));
}

vly_status vly_remote_listen(vly_remote_address *a, vly_remote_socket *s, int backlog,
                             uv_connection_cb on_connection) {
    int error;
    if (a->kind == VLY_REMOTE_UNIX) {
        remove_stale_socket(a->path);
        error = uv_pipe_bind(&s->pipe, a->path);
        if (!error && chmod(a->path, 0600)) error = -errno;
    } else {
        error = uv_tcp_bind(&s->tcp, (const struct sockaddr *)&a->address, 0);
    }
    if (!error) error = uv_listen(&s->stream, backlog, on_connection);
    if (error) return cannot_listen(a, error);
    if (a->kind == VLY_REMOTE_TCP) show_port(a, &s->tcp);
    return VLY_OK;
}
