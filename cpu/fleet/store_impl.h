/* store_impl.h -- the parts of vly_store, for cpu/fleet/store*.c alone.
 *
 *   store.c          the connection, one command, values, lists, streams, batches
 *   store_address.c  parses the URL, finds the password
 *   store_fleet.c    heartbeats and runs
 *   store_script.c   Lua scripts, slices, pipelined reads
 *   store_cluster.c  follows redirects of Redis Cluster
 *   store_server.c   starts a redis-server */
#ifndef VLY_CPU_FLEET_STORE_IMPL_H
#define VLY_CPU_FLEET_STORE_IMPL_H
#include <hiredis/hiredis.h>
#include "cpu/fleet/store.h"

enum { VLY_STORE_KEY_MAX = 384, VLY_STORE_WORDS = 24 };

typedef struct {
    char host[256], user[64], password[256], unix_path[108];
    int port, db;
} vly_store_address;

struct vly_store {
    redisContext *link;
    redisReply *held; /* owns what the last call returned */
    /* home: the address that was given, while `at` is another node of a cluster */
    vly_store_address at, home;
    bool cluster;
    char run[128];
    int timeout_ms, retry_ms;
    int connect_ms;                                      /* for one attempt to connect */
    bool (*wait)(void *arg, int fd, bool write, int ms); /* NULL: the link blocks */
    void *wait_arg;
    bool (*stopped)(void *arg);
    void (*say)(void *arg, const char *text); /* NULL once it was told */
    void *say_arg;
    vly_store_traffic traffic;
    bool batching;
    int batched;
    int asked; /* answers outstanding */
};

/* The words of a command; arguments may be binary. */
typedef struct {
    const char *v[VLY_STORE_WORDS];
    size_t n[VLY_STORE_WORDS];
    int count;
} vly_store_words;
void vly_store_put(vly_store_words *w, const void *data, size_t bytes);
void vly_store_put_text(vly_store_words *w, const char *word);

typedef struct {
    char text[VLY_STORE_KEY_MAX];
} vly_store_key;
vly_store_key vly_store_full_key(const vly_store *s, const char *key);
typedef struct {
    char text[24];
} vly_store_number;
vly_store_number vly_store_digits(int64_t value);

/* Parses a url; a password that is not in it is taken from the environment. */
vly_status vly_store_parse_address(vly_store_address *at, const char *url);
/* Sends a command and keeps the answer in s->held; in a batch, queues it. wait_ms: how long the
 * server may delay the answer. */
vly_status vly_store_run(vly_store *s, int wait_ms, const vly_store_words *w);
/* Moves the answer to the caller, so that further calls may be made while it is read. */
redisReply *vly_store_take(vly_store *s);
/* Queues a command whose answer is fetched later. */
vly_status vly_store_queue(vly_store *s, const vly_store_words *w);
uint64_t vly_store_reply_bytes(const redisReply *r);
/* Sends what is queued; false: s->link->errstr. */
bool vly_store_flush(vly_store *s);
/* The next answer, within limit_ms where the store waits on a loop; NULL: s->link->errstr. */
redisReply *vly_store_next_answer(vly_store *s, int limit_ms);
/* On the loop where the store waits there. */
void vly_store_pause(vly_store *s, int ms);
/* Closes the connection; the next command opens another. */
void vly_store_disconnect(vly_store *s);
/* Opens the connection again if it is lost. */
vly_status vly_store_connected(vly_store *s);
/* If the answer redirects to another node of a cluster, sets s->at to that node and returns
 * true. */
bool vly_store_moved(vly_store *s, const redisReply *r);
/* Sets s->at back to the address that was given. */
void vly_store_use_given_address(vly_store *s);
const char *vly_store_where(const vly_store *s, char *text, size_t bytes);

#endif
