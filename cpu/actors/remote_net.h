/* remote_net.h -- addresses of learners: tcp://HOST:PORT, HOST:PORT, unix:PATH, fd:N.
 *
 *   vly_remote_address a;
 *   VLY_TRY(vly_remote_parse(&a, "tcp://head:7400", false));
 *   vly_remote_socket_init(&a, loop, &socket);
 *   VLY_TRY(vly_remote_listen(&a, &socket, backlog, on_connection));
 *
 * fd:N is a connected socket that the process was started with. IPv6 addresses stand in brackets. A
 * socket file that nobody listens on is replaced; only its owner may connect to a new one.
 */
#ifndef VLY_CPU_ACTORS_REMOTE_NET_H
#define VLY_CPU_ACTORS_REMOTE_NET_H
#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    enum { VLY_REMOTE_TCP, VLY_REMOTE_UNIX, VLY_REMOTE_FD } kind;
    char shown[160]; /* as it is told to people; with the port that was given by the system */
    char path[104];
    int fd;
    struct sockaddr_storage address;
} vly_remote_address;

/* A TCP or a Unix socket. */
typedef union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
} vly_remote_socket;

/* listen: port 0 is allowed. Looks the host up, which may take seconds. VLY_EINVAL, VLY_ENOTFOUND. */
vly_status vly_remote_parse(vly_remote_address *out, const char *text, bool listen);
int vly_remote_socket_init(const vly_remote_address *a, uv_loop_t *loop, vly_remote_socket *socket);
/* The socket is initialised, and to be closed also after a failure. */
vly_status vly_remote_listen(vly_remote_address *a, vly_remote_socket *socket, int backlog,
                             uv_connection_cb on_connection);
/* No delay, and the kernel's own search for dead peers; nothing for Unix sockets. */
void vly_remote_tune(const vly_remote_address *a, vly_remote_socket *socket);

#ifdef __cplusplus
}
#endif
#endif
