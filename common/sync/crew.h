/* crew.h -- the processes of one run that work in step: membership, failure detection, small
 * all-to-all messages.
 *
 *   vly_crew_options o = {.rank = 1, .world = 2, .host = "127.0.0.1", .port = port,
 *                         .token = "..."};
 *   VLY_TRY(vly_crew_open(&crew, &o));                       // returns once all have joined
 *   VLY_TRY(vly_crew_exchange(crew, &mine, sizeof mine, all, 60));   // all[rank]: everyone's
 *   if (vly_crew_check(crew) != VLY_OK) ...                  // "rank 1 is gone: ..."
 *   vly_crew_close(crew, NULL);
 *
 * A star over TCP: rank 0 listens, the others connect to it. Each process has a thread that sends a
 * heartbeat every second, so that every survivor learns the rank of a process that was killed,
 * crashed or stopped within `silence_s`, whatever its own threads wait for. The reason given to
 * vly_crew_close is passed on to the others. Nothing is repaired: after the first loss every call
 * fails. What it carries is small (VLY_CREW_BYTES); arrays go elsewhere.
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
    double join_s;     /* by then all must have joined; 0: 60 */
    double silence_s;  /* a rank silent for so long counts as dead; 0: 10 */
    vly_status (*alive)(void *arg); /* rank 0, while it waits for the others: an error ends the
                                       wait; may be NULL */
    void *arg;
} vly_crew_options;

/* A socket at host (NULL: the loopback) and *port (0: chosen). */
vly_status vly_crew_listen(const char *host, int *port, int *listener);
vly_status vly_crew_open(vly_crew **out, const vly_crew_options *options);
/* Every rank gives `bytes` and gets world * bytes in the order of ranks. One call at a time.
 * VLY_ETIMEOUT names the rank that is late. */
vly_status vly_crew_exchange(vly_crew *c, const void *mine, size_t bytes, void *all,
                             double deadline_s);
/* VLY_EPEER names the rank that is lost. From any thread. */
vly_status vly_crew_check(vly_crew *c);
int vly_crew_rank(const vly_crew *c);
int vly_crew_world(const vly_crew *c);
/* why: NULL when the work is done, else the reason, which the others report. */
void vly_crew_close(vly_crew *c, const char *why);
#endif
