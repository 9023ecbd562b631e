/* crew.h -- the processes of one run that work in step: who is there, who has died, small messages
 * among all.
 *
 *   vly_crew_options o = {.rank = 1, .world = 2, .host = "127.0.0.1", .port = port,
 *                         .token = "..."};
 *   VLY_TRY(vly_crew_open(&crew, &o));                       // returns once all have come
 *   VLY_TRY(vly_crew_exchange(crew, &mine, sizeof mine, all, 60));   // all[rank]: everyone's
 *   if (vly_crew_check(crew) != VLY_OK) ...                  // "rank 1 is gone: ..."
 *   vly_crew_close(crew, NULL);
 *
 * A star over TCP: rank 0 listens, the others come to it. Everyone has a thread that sends a sign
 * of life every second, so that a process that was killed, has crashed or was stopped is known to
 * every survivor, by its number, within `silence_s`, whatever their own threads wait for. Whoever
 * leaves with words (vly_crew_close(crew, why)) is quoted to the others. Nothing is repaired: after
 * the first loss every call fails. What it carries is small (VLY_CREW_BYTES); arrays go elsewhere.
 *
 * Not encrypted; the token keeps strangers out, not eavesdroppers.
 */
#ifndef VLY_COMMON_SYNC_CREW_H
#define VLY_COMMON_SYNC_CREW_H
#include <stdbool.h>
#include <stddef.h>
#include "common/base/status.h"

typedef struct vly_crew vly_crew;
enum { VLY_CREW_MAX = 1024, VLY_CREW_BYTES = 1024 };

typedef struct {
    int rank, world;
    const char *host; /* of rank 0 */
    int port;
    int listener;      /* rank 0: from vly_crew_listen, taken over; 0: listens at host and port */
    const char *token; /* the same for all, at most 63 characters */
    double join_s;     /* by then all must have come; 0: 60 */
    double silence_s;  /* so long unheard of is dead; 0: 10 */
    vly_status (*alive)(void *arg); /* rank 0, while it waits for the others: an error ends the
                                       wait; may be NULL */
    void *arg;
} vly_crew_options;

/* A socket at host (NULL: the loopback) and *port (0: chosen). */
vly_status vly_crew_listen(const char *host, int *port, int *listener);
vly_status vly_crew_open(vly_crew **out, const vly_crew_options *options);
/* All give `bytes` and get world * bytes in the order of ranks. One at a time. VLY_ETIMEOUT names
 * who is late. */
vly_status vly_crew_exchange(vly_crew *c, const void *mine, size_t bytes, void *all,
                             double deadline_s);
/* VLY_EPEER and who is gone; from any thread. */
vly_status vly_crew_check(vly_crew *c);
int vly_crew_rank(const vly_crew *c);
int vly_crew_world(const vly_crew *c);
/* why: NULL when the work is done; else what the others are told. */
void vly_crew_close(vly_crew *c, const char *why);
#endif
