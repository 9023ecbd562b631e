#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "common/base/clock.h"
#include "common/sync/crew.h"
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TOKEN = 64, BEAT_MS = 1000, HELLO_S = 5 };
typedef enum { HELLO, BEAT, DATA, ALL, DEAD, BYE, KINDS } kind;
typedef struct {
    uint32_t kind, rank, seq, bytes;
} head;

typedef struct {
    int fd;    /* -1: none, or closed */
    bool left; /* said so: its silence is no death */
    double heard;
    uint32_t seq; /* rank 0: of the data it has given */
    char data[VLY_CREW_BYTES];
} member;

struct vly_crew {
    int rank, world;
    double silence_s;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running, quit;
    int wake;         /* eventfd */
    member *members;  /* rank 0: all; else members[0] is rank 0 */
    uint32_t seq;     /* exchanges begun */
    uint32_t all_seq; /* not rank 0: of the last answer */
    char *all;
    int dead; /* -1: all live */
    char words[320];
};

/* ---- sockets ---- */

static bool send_all(int fd, const void *data, size_t bytes) {
    for (const char *at = data; bytes > 0;) {
        const ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n, bytes -= (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, void *data, size_t bytes) {
    for (char *at = data; bytes > 0;) {
        const ssize_t n = recv(fd, at, bytes, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n, bytes -= (size_t)n;
    }
    return true;
}

static bool post(int fd, kind k, int rank, uint32_t seq, const void *data, size_t bytes) {
    const head h = {k, (uint32_t)rank, seq, (uint32_t)bytes};
    char text[sizeof h + VLY_CREW_BYTES];
    if (fd < 0) return false;
    if (bytes > VLY_CREW_BYTES) return send_all(fd, &h, sizeof h) && send_all(fd, data, bytes);
    memcpy(text, &h, sizeof h);
    if (bytes) memcpy(text + sizeof h, data, bytes);
    return send_all(fd, text, sizeof h + bytes);
}

/* A peer that does not read or write cannot hold us for long. */
static void limit_waits(int fd, int seconds) {
    const struct timeval limit = {.tv_sec = seconds};
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct addrinfo *resolve(const char *host, int port, int flags) {
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *list = NULL;
    snprintf(service, sizeof service, "%d", port);
    return getaddrinfo(host && *host ? host : "127.0.0.1", service, &hints, &list) == 0 ? list
                                                                                        : NULL;
}

static int port_of(int fd) {
    struct sockaddr_storage at;
    socklen_t bytes = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &bytes) != 0) return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

vly_status vly_crew_listen(const char *host, int *port, int *listener) {
    struct addrinfo *list = resolve(host, *port, AI_PASSIVE);
    const int on = 1;
    *listener = -1;
    for (const struct addrinfo *a = list; a && *listener < 0; a = a->ai_next) {
        const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (fd >= 0 && bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 64) == 0)
            *listener = fd;
        else if (fd >= 0)
            close(fd);
    }
    if (list) freeaddrinfo(list);
    if (*listener < 0)
        return vly_fail(VLY_EIO, "rank 0 cannot listen at %s:%d: %s", host ? host : "127.0.0.1",
                        *port, strerror(errno));
    *port = port_of(*listener);
    return VLY_OK;
}

/* ---- lost ranks ---- */

/* The first loss counts; under the lock. Rank 0 passes it on. */
static void lose(vly_crew *c, int rank, const char *why) {
    if (c->dead >= 0 || c->quit) return;
    c->dead = rank;
    snprintf(c->words, sizeof c->words, "rank %d is gone: %.250s", rank, why);
    for (int i = 1; c->rank == 0 && i < c->world; i++)
        if (i != rank) post(c->members[i].fd, DEAD, rank, 0, why, strlen(why));
    pthread_cond_broadcast(&c->changed);
}

static void hang_up(vly_crew *c, int rank, const char *why) {
    member *m = &c->members[rank];
    if (m->fd >= 0) close(m->fd);
    m->fd = -1;
    if (!m->left) lose(c, rank, why);
}

vly_status vly_crew_check(vly_crew *c) {
    pthread_mutex_lock(&c->lock);
    const vly_status status =
        c->dead < 0 ? VLY_OK
                    : vly_fail(VLY_EPEER, "%s; resume goes on from the last checkpoint", c->words);
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* ---- the thread that receives, and sends heartbeats ---- */

static void take_message(vly_crew *c, int from, const head *h, char *data) {
    member *m = &c->members[from];
    m->heard = vly_now_s();
    switch ((kind)h->kind) {
    case DATA:
        memcpy(m->data, data, h->bytes <= VLY_CREW_BYTES ? h->bytes : 0);
        m->seq = h->seq;
        break;
    case ALL:
        memcpy(c->all, data, h->bytes);
        c->all_seq = h->seq;
        break;
    case BYE: m->left = true; break;
    case DEAD: /* its own end, or another's by way of rank 0 */
        data[h->bytes] = '\0';
        lose(c, (int)h->rank, data);
        break;
    default: break;
    }
    pthread_cond_broadcast(&c->changed);
}

/* Sockets are closed by this thread alone, so that one may be read without the lock. */
static void crew_read_member(vly_crew *c, int rank, int fd) {
    const size_t room = (size_t)c->world * VLY_CREW_BYTES;
    head h;
    char *data = malloc(room + 1);
    bool fine = data && receive_all(fd, &h, sizeof h);
    fine = fine && h.kind < KINDS && h.bytes <= room && h.rank < (uint32_t)c->world &&
           receive_all(fd, data, h.bytes);
    pthread_mutex_lock(&c->lock);
    if (fine)
        take_message(c, rank, &h, data);
    else
        hang_up(c, rank, "its connection ended (killed, crashed, or out of memory?)");
    pthread_mutex_unlock(&c->lock);
    free(data);
}

static int others(const vly_crew *c) {
    return c->rank == 0 ? c->world : 1;
}

static void crew_beat(vly_crew *c, double slept) {
    pthread_mutex_lock(&c->lock);
    const double now = vly_now_s();
    for (int i = 0; i < others(c); i++) {
        member *m = &c->members[i];
        if (m->fd < 0) continue;
        if (slept > 3e-3 * BEAT_MS) m->heard = now; /* this process itself was stopped */
        post(m->fd, BEAT, c->rank, 0, NULL, 0);
        char why[64];
        snprintf(why, sizeof why, "nothing was heard of it for %.0f s", c->silence_s);
        if (now - m->heard > c->silence_s) hang_up(c, i, why);
    }
    pthread_mutex_unlock(&c->lock);
}

static void *crew_serve(void *arg) {
    vly_crew *c = arg;
    struct pollfd *set = calloc((size_t)c->world + 1, sizeof *set);
    double last = vly_now_s();
    while (set && !__atomic_load_n(&c->quit, __ATOMIC_ACQUIRE)) {
        const int n = others(c);
        pthread_mutex_lock(&c->lock);
        for (int i = 0; i < n; i++)
            set[i] = (struct pollfd){.fd = c->members[i].fd, .events = POLLIN};
        pthread_mutex_unlock(&c->lock);
        set[n] = (struct pollfd){.fd = c->wake, .events = POLLIN};
        const double left = BEAT_MS - 1e3 * (vly_now_s() - last);
        const int ready = poll(set, (nfds_t)n + 1, left > 1 ? (int)left : 1);
        for (int i = 0; ready > 0 && i < n; i++)
            if (set[i].fd >= 0 && set[i].revents) crew_read_member(c, i, set[i].fd);
        const double now = vly_now_s();
        if (now - last < 1e-3 * BEAT_MS) continue;
        crew_beat(c, now - last);
        last = now;
    }
    free(set);
    return NULL;
}

/* ---- coming together ---- */

typedef struct {
    char token[TOKEN];
    int32_t world;
} hello;

static void fill_hello(hello *h, const vly_crew_options *o) {
    memset(h, 0, sizeof *h);
    snprintf(h->token, sizeof h->token, "%s", o->token ? o->token : "");
    h->world = o->world;
}

/* A stranger, or one of another run, is sent away. */
static void welcome(vly_crew *c, int fd, const vly_crew_options *o) {
    hello want, got;
    head h;
    limit_waits(fd, HELLO_S);
    fill_hello(&want, o);
    const bool fine = receive_all(fd, &h, sizeof h) && h.kind == HELLO && h.bytes == sizeof got &&
                      receive_all(fd, &got, sizeof got) && memcmp(&want, &got, sizeof got) == 0 &&
                      h.rank > 0 && h.rank < (uint32_t)c->world && c->members[h.rank].fd < 0;
    if (!fine) {
        close(fd);
        return;
    }
    c->members[h.rank].fd = fd;
}

static int missing(const vly_crew *c) {
    for (int i = 1; i < c->world; i++)
        if (c->members[i].fd < 0) return i;
    return -1;
}

static vly_status crew_gather(vly_crew *c, int listener, const vly_crew_options *o) {
    const double until = vly_now_s() + (o->join_s > 0 ? o->join_s : 60);
    while (missing(c) > 0) {
        struct pollfd p = {.fd = listener, .events = POLLIN};
        if (vly_now_s() > until)
            return vly_fail(VLY_ETIMEOUT, "rank %d of %d has not come within %.0f s", missing(c),
                            c->world, o->join_s > 0 ? o->join_s : 60);
        if (o->alive) VLY_TRY(o->alive(o->arg));
        if (poll(&p, 1, 100) <= 0) continue;
        const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) welcome(c, fd, o);
    }
    for (int i = 1; i < c->world; i++)
        if (!post(c->members[i].fd, HELLO, 0, 0, NULL, 0))
            return vly_fail(VLY_EPEER, "rank %d is gone before the start", i);
    return VLY_OK;
}

static int connect_once(const vly_crew_options *o) {
    struct addrinfo *list = resolve(o->host, o->port, 0);
    int found = -1;
    for (const struct addrinfo *a = list; a && found < 0; a = a->ai_next) {
        const int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
            found = fd;
        else if (fd >= 0)
            close(fd);
    }
    if (list) freeaddrinfo(list);
    return found;
}

static vly_status come(vly_crew *c, const vly_crew_options *o) {
    const double patience = o->join_s > 0 ? o->join_s : 60, until = vly_now_s() + patience;
    hello mine;
    head h;
    fill_hello(&mine, o);
    while ((c->members[0].fd = connect_once(o)) < 0) {
        if (vly_now_s() > until)
            return vly_fail(VLY_ETIMEOUT, "rank %d does not reach rank 0 at %s:%d: %s", c->rank,
                            o->host, o->port, strerror(errno));
        usleep(50000);
    }
    limit_waits(c->members[0].fd, (int)ceil(patience));
    if (!post(c->members[0].fd, HELLO, c->rank, 0, &mine, sizeof mine) ||
        !receive_all(c->members[0].fd, &h, sizeof h) || h.kind != HELLO)
        return vly_fail(VLY_EPEER,
                        "rank %d was not let in by rank 0 at %s:%d: another run's port or token, "
                        "or rank 0 ended",
                        c->rank, o->host, o->port);
    return VLY_OK;
}

static vly_status crew_join(vly_crew *c, const vly_crew_options *o) {
    if (c->rank > 0) return come(c, o);
    int listener = o->listener, port = o->port;
    if (listener <= 0) VLY_TRY(vly_crew_listen(o->host, &port, &listener));
    const vly_status status = crew_gather(c, listener, o);
    close(listener);
    return status;
}

static void release(vly_crew *c) {
    for (int i = 0; c->members && i < c->world; i++)
        if (c->members[i].fd >= 0) close(c->members[i].fd);
    if (c->wake >= 0) close(c->wake);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c->members);
    free(c->all);
    free(c);
}

static vly_status crew_start(vly_crew *c, const vly_crew_options *o) {
    VLY_TRY(crew_join(c, o));
    for (int i = 0; i < others(c); i++) {
        c->members[i].heard = vly_now_s();
        if (c->members[i].fd >= 0) limit_waits(c->members[i].fd, (int)ceil(c->silence_s));
    }
    if (pthread_create(&c->thread, NULL, crew_serve, c) != 0)
        return vly_fail(VLY_ENOMEM, "no thread for the run's other ranks");
    c->running = true;
    return VLY_OK;
}

vly_status vly_crew_open(vly_crew **out, const vly_crew_options *o) {
    *out = NULL;
    if (o->world < 1 || o->world > VLY_CREW_MAX || o->rank < 0 || o->rank >= o->world)
        return vly_fail(VLY_EINVAL, "rank %d of %d: ranks are 0 .. world - 1, at most %d", o->rank,
                        o->world, VLY_CREW_MAX);
    vly_crew *c = calloc(1, sizeof *c);
    if (!c) return vly_fail(VLY_ENOMEM, "no memory for the run's ranks");
    pthread_condattr_t steady;
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, &steady);
    pthread_condattr_destroy(&steady);
    c->rank = o->rank, c->world = o->world, c->dead = -1;
    c->silence_s = o->silence_s > 0 ? o->silence_s : 10;
    c->wake = eventfd(0, EFD_CLOEXEC);
    c->members = calloc((size_t)o->world, sizeof *c->members);
    c->all = calloc((size_t)o->world, VLY_CREW_BYTES);
    for (int i = 0; c->members && i < o->world; i++) c->members[i].fd = -1;
    const vly_status status = c->members && c->all && c->wake >= 0
                                  ? crew_start(c, o)
                                  : vly_fail(VLY_ENOMEM, "no memory for %d ranks", o->world);
    if (status != VLY_OK)
        release(c);
    else
        *out = c;
    return status;
}

int vly_crew_rank(const vly_crew *c) {
    return c->rank;
}
int vly_crew_world(const vly_crew *c) {
    return c->world;
}

/* ---- messages ---- */

/* The first rank whose part is missing, or -1. */
static int late(const vly_crew *c) {
    if (c->rank > 0) return c->all_seq == c->seq ? -1 : 0;
    for (int i = 1; i < c->world; i++)
        if (c->members[i].seq != c->seq) return i;
    return -1;
}

static vly_status wait_for_all(vly_crew *c, double deadline_s) {
    const double until = vly_now_s() + deadline_s;
    const struct timespec at = {(time_t)until, (long)(1e9 * (until - floor(until)))};
    while (late(c) >= 0) {
        if (c->dead >= 0)
            return vly_fail(VLY_EPEER, "%s; resume goes on from the last checkpoint", c->words);
        if (c->members[late(c)].left)
            return vly_fail(VLY_EPEER, "rank %d has ended, rank %d has not", late(c), c->rank);
        if (pthread_cond_timedwait(&c->changed, &c->lock, &at) != ETIMEDOUT) continue;
        if (late(c) < 0) break;
        return vly_fail(VLY_ETIMEOUT,
                        "rank %d has kept rank %d waiting for %.0f s (--dist.deadline_s): it "
                        "hangs, or is that slow",
                        late(c), c->rank, deadline_s);
    }
    return VLY_OK;
}

static vly_status exchange(vly_crew *c, const void *mine, size_t bytes, char *all,
                           double deadline_s) {
    c->seq++;
    if (c->rank > 0 && c->dead < 0 && !post(c->members[0].fd, DATA, c->rank, c->seq, mine, bytes))
        lose(c, 0, "its connection ended");
    VLY_TRY(wait_for_all(c, deadline_s));
    if (c->rank > 0) {
        memcpy(all, c->all, bytes * (size_t)c->world);
        return VLY_OK;
    }
    memcpy(all, mine, bytes);
    for (int i = 1; i < c->world; i++) memcpy(all + (size_t)i * bytes, c->members[i].data, bytes);
    for (int i = 1; i < c->world; i++)
        if (!post(c->members[i].fd, ALL, 0, c->seq, all, bytes * (size_t)c->world))
            lose(c, i, "its connection ended");
    return VLY_OK;
}

vly_status vly_crew_exchange(vly_crew *c, const void *mine, size_t bytes, void *all,
                             double deadline_s) {
    if (bytes > VLY_CREW_BYTES)
        return vly_fail(VLY_EINVAL, "a message of %zu bytes; at most %d", bytes, VLY_CREW_BYTES);
    pthread_mutex_lock(&c->lock);
    const vly_status status = exchange(c, mine, bytes, all, deadline_s);
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* ---- leaving ---- */

void vly_crew_close(vly_crew *c, const char *why) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < others(c); i++)
        if (why)
            post(c->members[i].fd, DEAD, c->rank, 0, why, strnlen(why, VLY_CREW_BYTES));
        else
            post(c->members[i].fd, BYE, c->rank, 0, NULL, 0);
    __atomic_store_n(&c->quit, true, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&c->lock);
    const uint64_t one = 1;
    if (write(c->wake, &one, sizeof one) < 0) {
    } /* then it wakes within a second */
    if (c->running) pthread_join(c->thread, NULL);
    release(c);
}
