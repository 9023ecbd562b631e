/* remote_impl.h -- the inside of a remote source, for cpu/actors/remote*.c alone.
 *
 *   remote.c         create, destroy, the source's functions, the clock
 *   remote_groups.c  groups and their environments: who steps which, asks, answers, masks
 *   remote_peer.c    a connection: its messages, and what it is allowed to send when
 *   remote_net.c     addresses and sockets
 *
 * Time is counted in ticks of the loop's timer, not in seconds: while the loop's thread is busy
 * elsewhere no tick passes, and nobody is found dead for what has not been read.
 */
#ifndef VLY_CPU_ACTORS_REMOTE_IMPL_H
#define VLY_CPU_ACTORS_REMOTE_IMPL_H
#include "cpu/actors/far.h"
#include "cpu/actors/remote.h"
#include "cpu/actors/remote_net.h"
#include "cpu/actors/tally.h"

enum {
    TICKS_DEADLINE = 16, /* ticks of a deadline */
    HELLO_MS = 5000,
    OPENING_MS = 60000,
    STRANGERS_MOST = 16, /* connections without a valid token */
    ROUND_TRIPS = 1024
};

typedef enum { SLICE_IDLE, SLICE_ASKED, SLICE_LATE } slice_state;

typedef struct {
    int group, first, n; /* first: environment of the run */
    slice_state state;
    bool fresh; /* the next question is RESET */
    uint64_t sequence;
    int ticks; /* since asked */
    int64_t asked_ns;
} remote_slice;

typedef enum { PEER_STRANGER, PEER_OPENING, PEER_SERVING, PEER_GONE } peer_state;

typedef struct vly_remote vly_remote;

typedef struct remote_peer {
    vly_remote *r;
    struct remote_peer *next; /* of vly_remote.peers */
    vly_remote_socket socket;
    bool trusted; /* adopted, as `tag` */
    int tag;
    peer_state state;
    char name[96];
    vly_wire_reader in;
    uint8_t *body; /* what is not read into rows */
    size_t body_bytes;
    uint8_t *out, *sending; /* messages that are due; those of the write in progress */
    size_t out_bytes, out_room;
    bool writing;
    uv_write_t write;
    remote_slice *slices;
    int slice_count, envs;
    bool packed, pinged;
    int quiet; /* ticks since it was heard */
    int64_t heard_ns, rows;
    double round_trip_ms;
} remote_peer;

typedef struct {
    vly_rows out;
    vly_actions action; /* none: fresh episodes */
    bool busy;          /* submitted, not taken */
    bool held;          /* not asked yet */
    bool complete;
    int waiting; /* slices asked */
} remote_group;

struct vly_remote {
    vly_source source; /* first */
    uv_loop_t *loop;
    vly_remote_options o;
    uint8_t token[VLY_WIRE_TOKEN];
    vly_wire_welcome welcome;
    vly_remote_address address;
    vly_wire_shape shape;
    vly_space space;
    int group_actors;

    vly_remote_socket listener;
    uv_timer_t timer;
    uv_prepare_t before_sleep; /* writes what is due */
    int handles;               /* open; freed after the last */
    bool has_listener, listening, destroyed;

    remote_peer *peers;
    int peer_count, strangers;
    bool *owned, *asked; /* by environment; asked: in the group's newest step */
    uint32_t *draws;     /* by environment: where the seeds of its next actor begin */
    double *phase;       /* by environment: of its newest row, where it has one */
    bool open;           /* ordered groups are asked, not held */
    int serving;         /* environments in slices that are not late */
    int ticks_since_first;
    uint64_t sequence;

    remote_group *groups;
    int *done, done_head, done_count;    /* not ordered: groups that are complete, in that order */
    int *order, order_head, order_count; /* groups that are out, in the order of submission */
    vly_tally tally;

    int64_t rows, restarts, late, lost, refused, bytes_in, bytes_out;
    float round_trip[ROUND_TRIPS];
    int64_t round_trips;
    vly_actor_info gone[VLY_REMOTE_SHOWN]; /* a ring */
    int64_t gone_count;
    int64_t created_ns;
    char failure[512]; /* of vly_remote_fail */
};

/* ---- remote.c ---- */

void vly_remote_warn(const vly_remote *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void vly_remote_handle_closed(vly_remote *r);
vly_actor_info vly_remote_peer_info(const remote_peer *p, vly_actor_state state);

/* ---- remote_groups.c ---- */

/* Gives the peer `wanted` environments that nobody has (0: all), spread over the groups. VLY_EPEER:
 * none is free. */
vly_status vly_remote_assign(vly_remote *r, remote_peer *p, int wanted);
/* Takes them away; rows that are waited for are masked. */
void vly_remote_release(vly_remote *r, remote_peer *p);
/* Asks what is held and need not be any more; to be called after a change of what is served. */
void vly_remote_ask_held(vly_remote *r);
void vly_remote_ask(vly_remote *r, int group);
/* Where the observations of a slice go: contiguous, or NULL when they are not. */
uint8_t *vly_remote_obs_of(const vly_remote *r, const remote_slice *s);
/* The slice's answer is in `body`: fixed bytes, and observations that are not in their rows yet. */
vly_status vly_remote_answer(vly_remote *r, remote_peer *p, remote_slice *s,
                             const vly_wire_head *head, uint8_t *body);
/* The peer's environments and what they were last asked, for people. */
void vly_remote_describe(const vly_remote *r, const remote_peer *p, char *text, size_t bytes);
/* The slice has missed the deadline. */
void vly_remote_give_up(vly_remote *r, remote_peer *p, remote_slice *s);

/* ---- remote_peer.c ---- */

vly_status vly_remote_peer_create(vly_remote *r, remote_peer **out);
/* Its socket is connected. */
vly_status vly_remote_peer_start(remote_peer *p);
/* Ends the connection, with words for both sides (format NULL: without). */
void vly_remote_peer_end(remote_peer *p, int how, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Queues a message without a body; written by vly_remote_peer_flush. False: the peer has been ended,
 * because it does not read. */
bool vly_remote_peer_send(remote_peer *p, const vly_wire_head *head);
/* The same with the actions of as many rows as the head says. */
void vly_remote_peer_ask(remote_peer *p, const vly_wire_head *head, vly_actions action);
void vly_remote_peer_flush(remote_peer *p);
void vly_remote_peer_tick(remote_peer *p);
/* Bytes have come to where vly_wire_want said. */
void vly_remote_peer_got(remote_peer *p, size_t bytes);
#endif
