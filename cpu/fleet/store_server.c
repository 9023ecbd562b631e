/* Starts a redis-server for a run on one machine: loopback, a free port, a password that other users
 * of the machine do not have, files in the run's folder. fork and exec, as for workers
 * (leader_workers.c): it ends when its trainer dies. */
#define _GNU_SOURCE /* pipe2 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/program.h"
#include "cpu/fleet/store.h"

enum { START_TRIES = 5, START_MS = 10000, PASSWORD = 16 }; /* PASSWORD: random bytes of it */

struct vly_store_server {
    pid_t pid;
    int port;
    bool durable;
    vly_store_options probe; /* whether it answers */
    char folder[1024], password[2 * PASSWORD + 1], url[128];
};

/* Another process may take the port before Redis binds it; vly_store_server_start then tries
 * another. */
static int free_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = -1;
    if (fd < 0) return -1;
    if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &length) == 0)
        port = ntohs(a.sin_port);
    close(fd);
    return port;
}

static vly_status draw_password(vly_store_server *server) {
    uint8_t bytes[PASSWORD];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return vly_fail(VLY_EIO, "no random numbers for a password: %s", strerror(errno));
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(server->password + 2 * i, 3, "%02x", bytes[i]);
    return VLY_OK;
}

/* The password is not among the arguments, which every user of the machine can list. */
static int settings_for_redis(const vly_store_server *server) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) return -1;
    const bool good = dprintf(ends[1], "requirepass %s\n", server->password) > 0;
    close(ends[1]);
    if (good) return ends[0];
    close(ends[0]);
    return -1;
}

static void become_redis(const vly_store_server *server, pid_t parent, int settings) {
    char port[16], log[1100];
    snprintf(port, sizeof port, "%d", server->port);
    snprintf(log, sizeof log, "%s/redis.log", server->folder);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* the server ends with its trainer */
    if (getppid() != parent) _exit(0);
    /* Ctrl-C must reach only the trainer, which still saves through this server */
    setpgid(0, 0);
    const int null = open("/dev/null", O_RDWR);
    dup2(settings, 0);
    dup2(null, 1);
    vly_signals_pass();
    execlp("redis-server", "redis-server", "-", "--bind", "127.0.0.1", "--port", port, "--dir",
           server->folder, "--logfile", log, "--save", "", "--appendonly",
           server->durable ? "yes" : "no", "--appendfsync", "everysec",
           "--auto-aof-rewrite-min-size", "256mb", "--maxmemory-policy", "noeviction",
           "--daemonize", "no", (char *)NULL);
    _exit(127);
}

static bool server_answers(const vly_store_server *server) {
    vly_store *s;
    uint64_t value;
    size_t got;
    if (vly_store_open(&s, server->url, "probe", &server->probe) != VLY_OK) return false;
    const vly_status status = vly_store_get(s, "ready", &value, sizeof value, &got);
    vly_store_close(s);
    return status == VLY_OK || status == VLY_ENOTFOUND;
}

static vly_status wait_ready(vly_store_server *server) {
    const int64_t deadline = vly_now_ms() + START_MS;
    do {
        int how;
        if (waitpid(server->pid, &how, WNOHANG) == server->pid) {
            server->pid = 0;
            if (WIFEXITED(how) && WEXITSTATUS(how) == 127)
                return vly_fail(VLY_ENOTFOUND, "redis-server is not installed: apt-get install "
                                               "redis-server, or give --store redis://host:port");
            return vly_fail(VLY_EPEER, "redis-server stopped at start; see %s/redis.log",
                            server->folder);
        }
        if (server_answers(server)) return VLY_OK;
        if (server->probe.wait)
            (void)server->probe.wait(server->probe.arg, -1, false, 5);
        else
            vly_pause_ms(5);
    } while (vly_now_ms() < deadline);
    return vly_fail(VLY_ETIMEOUT, "redis-server does not answer within %d s; see %s/redis.log",
                    START_MS / 1000, server->folder);
}

static vly_status launch_redis(vly_store_server *server) {
    const pid_t parent = getpid();
    snprintf(server->url, sizeof server->url, "redis://:%s@127.0.0.1:%d/0", server->password,
             server->port);
    const int settings = settings_for_redis(server);
    server->pid = settings < 0 ? -1 : fork();
    if (server->pid == 0) become_redis(server, parent, settings);
    if (settings >= 0) close(settings);
    if (server->pid < 0) return vly_fail(VLY_EIO, "cannot start redis-server: %s", strerror(errno));
    return wait_ready(server);
}

/* For this user's monitor (cpu/monitor/run_log.h) and actors. */
static vly_status write_url_file(const vly_store_server *server) {
    char path[1100], temporary[1200], line[sizeof server->url + 1];
    vly_status status;
    snprintf(path, sizeof path, "%s/url", server->folder);
    const int n = snprintf(line, sizeof line, "%s\n", server->url);
    const int fd = vly_file_begin(path, temporary, sizeof temporary, &status);
    if (fd < 0) return status;
    status = fchmod(fd, 0600) ? vly_fail(VLY_EIO, "cannot protect %s: %s", path, strerror(errno))
                              : vly_file_write(fd, line, (size_t)n, path);
    if (status == VLY_OK) return vly_file_commit(fd, temporary, path);
    vly_file_abort(fd, temporary);
    return status;
}

vly_status vly_store_server_start(vly_store_server **out, const char *folder, bool durable,
                                  const vly_store_options *options) {
    vly_store_server *server = calloc(1, sizeof *server);
    if (!server) return vly_fail(VLY_ENOMEM, "store server: out of memory");
    server->durable = durable;
    server->probe = (vly_store_options){.timeout_ms = 200, .retry_ms = 1};
    if (options) server->probe.wait = options->wait, server->probe.arg = options->arg;
    char real[4096];
    if ((mkdir(folder, 0777) != 0 && errno != EEXIST) || !realpath(folder, real) ||
        strlen(real) >= sizeof server->folder) {
        free(server);
        return vly_fail(VLY_EIO, "cannot use the folder %s for Redis: %s", folder, strerror(errno));
    }
    snprintf(server->folder, sizeof server->folder, "%.1023s", real);
    vly_status status = draw_password(server);
    for (int i = 0; i < START_TRIES && server->password[0]; i++) {
        server->port = free_port();
        status = launch_redis(server);
        if (status != VLY_EPEER) break; /* EPEER: it stopped, the port may have been taken */
    }
    if (status == VLY_OK) status = write_url_file(server);
    if (status != VLY_OK) {
        vly_store_server_stop(server);
        return status;
    }
    *out = server;
    return VLY_OK;
}

const char *vly_store_server_url(const vly_store_server *server) {
    return server->url;
}
int vly_store_server_pid(const vly_store_server *server) {
    return (int)server->pid;
}

vly_status vly_store_server_mend(vly_store_server *server, bool *restarted) {
    int how;
    *restarted = false;
    if (server->pid > 0 && waitpid(server->pid, &how, WNOHANG) == 0) return VLY_OK;
    *restarted = true;
    return launch_redis(server);
}

void vly_store_server_stop(vly_store_server *server) {
    if (!server) return;
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        for (int i = 0; i < 200; i++) {
            if (waitpid(server->pid, NULL, WNOHANG) != 0) {
                server->pid = 0;
                break;
            }
            vly_pause_ms(10);
        }
        if (server->pid > 0) {
            kill(server->pid, SIGKILL);
            waitpid(server->pid, NULL, 0);
        }
    }
    free(server);
}
