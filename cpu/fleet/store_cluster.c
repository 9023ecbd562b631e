/* Redis Cluster: all keys of a connection share one hash tag, so one node holds them; other
 * nodes answer with its address. The connection moves there, and back to the address it was
 * given if that node is lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/fleet/store_impl.h"

/* The answer is "MOVED slot host:port"; an empty host means the node that answered. */
bool vly_store_moved(vly_store *s, const redisReply *r) {
    if (!r || r->type != REDIS_REPLY_ERROR || strncmp(r->str, "MOVED ", 6) != 0) return false;
    const char *place = strchr(r->str + 6, ' '), *colon = strrchr(r->str, ':');
    if (!place || !colon || colon < place) return false;
    const size_t host = (size_t)(colon - place) - 1;
    const long port = strtol(colon + 1, NULL, 10);
    if (host >= sizeof s->at.host || port < 1 || port > 65535) return false;
    if (!s->cluster) s->home = s->at;
    s->cluster = true;
    if (host) snprintf(s->at.host, sizeof s->at.host, "%.*s", (int)host, place + 1);
    s->at.unix_path[0] = '\0';
    s->at.port = (int)port;
    return true;
}

void vly_store_use_given_address(vly_store *s) {
    if (s->cluster) s->at = s->home;
}
