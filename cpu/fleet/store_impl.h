/* store_impl.h -- the inside of the connection, for cpu/fleet/store*.c alone.
 *
 *   store.c          the connection, one command, values, lists, streams, batches
 *   store_address.c  where it is, and with which password
 *   store_fleet.c    heartbeats and runs
 *   store_script.c   Lua, slices, and answers that are fetched later
 *   store_cluster.c  which node has the keys
 *   store_server.c   a Redis of our own
 */
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
    redisReply *held;           /* owns what the last call handed out */
    vly_store_address at, home; /* home: as given, where a cluster sent us elsewhere */
    bool cluster;
    char run[128];
    int timeout_ms, retry_ms;
    vly_store_traffic traffic;
    bool batching;
    int batched;
    int asked; /* answers that are on their way */
};

/* The words of a command, counted; binary arguments carry their length. */
typedef struct {
    const char *v[VLY_STORE_WORDS];
    size_t n[VLY_STORE_WORDS];
    int count;
} vly_store_words;
void vly_store_put(vly_store_words *w, const void *data, size_t bytes);
void vly_store_say(vly_store_words *w, const char *word);

typedef struct {
    char text[VLY_STORE_KEY_MAX];
} vly_store_key;
vly_store_key vly_store_full_key(const vly_store *s, const char *key);
typedef struct {
    char text[24];
} vly_store_number;
vly_store_number vly_store_digits(int64_t value);

/* From a url, and the environment for a password that is not in it. */
vly_status vly_store_find(vly_store_address *at, const char *url);
/* Sends, waits for the answer and keeps it in s->held (a batch: queues). wait_ms: how long the
 * server may hold it back. */
vly_status vly_store_run(vly_store *s, int wait_ms, const vly_store_words *w);
/* Takes the answer out of the store, so that more calls may be made while it is read. */
redisReply *vly_store_take(vly_store *s);
/* Queues a command whose answer is fetched later. */
vly_status vly_store_queue(vly_store *s, const vly_store_words *w);
uint64_t vly_store_reply_bytes(const redisReply *r);
/* Ends the connection: the next command makes another. */
void vly_store_hang_up(vly_store *s);
/* The connection is made again if there is none. */
vly_status vly_store_connected(vly_store *s);
/* Whether the answer sends us to another node of a cluster: the next dial goes there. */
bool vly_store_moved(vly_store *s, const redisReply *r);
void vly_store_go_home(vly_store *s);
const char *vly_store_where(const vly_store *s, char *text, size_t bytes);

#endif
