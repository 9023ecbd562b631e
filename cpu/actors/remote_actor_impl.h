/* remote_actor_impl.h -- the inside of a remote actor, for cpu/actors/remote_*.c alone.
 *
 *   remote_actor.c  connections to the learner, one after the other, and their messages
 *   remote_work.c   the environments: a pool whose chunks are parts of slices
 */
#ifndef VLY_CPU_ACTORS_REMOTE_ACTOR_IMPL_H
#define VLY_CPU_ACTORS_REMOTE_ACTOR_IMPL_H
#include "cpu/actors/pool.h"
#include "cpu/actors/remote_actor.h"
#include "cpu/actors/remote_net.h"

/* LOST: another attempt may succeed. */
typedef enum { LINK_OPEN, LINK_DONE, LINK_LOST, LINK_FAILED } link_end;

enum { LINK_NOTES = 8 }; /* small messages in flight: the learner asks one at a time */
typedef struct {
    vly_wire_head head;
    uint8_t body[sizeof(vly_wire_hello)];
} link_note;

typedef struct remote_link remote_link;

typedef struct link_request { /* what the socket did not take at once */
    uv_write_t write;
    remote_link *link;
    struct link_request *next;
} link_request;

typedef struct {
    int first, n; /* environments, counted here */
    int first_chunk, chunks;
    int left; /* chunks that are being stepped */
    uint64_t sequence;
    uint8_t *message; /* head, fixed bytes */
    uint8_t *obs;     /* contiguous */
    uint8_t *packed;  /* NULL: never */
    uint8_t *action;
    vly_rows rows;    /* into message and obs */
    bool busy, steps; /* steps: not a reset */
} link_slice;

struct remote_link {
    const vly_remote_actor *o;
    vly_remote_address address;
    uv_loop_t loop;
    vly_remote_socket socket;
    uv_timer_t timer;
    uv_connect_t connect;
    bool connected, served;
    int64_t began_ms;
    link_end how;
    vly_status status;
    char words[VLY_WIRE_TEXT + 64];

    vly_wire_reader in;
    uint8_t *body;
    size_t body_bytes;
    link_note notes[LINK_NOTES];
    unsigned note_at;
    vly_wire_head probe_head;
    link_request *requests; /* not in use */
    int64_t probe_ns, round_trip_ns;
    uint64_t bytes_per_s;
    bool packed;
    int64_t sent_steps, sent_rows;

    vly_wire_welcome welcome;
    link_slice *slices;
    int slice_count, envs, chunk_count;
    int *slice_of_chunk, *finished;
    uint32_t *names, *draws; /* by environment: the learner's number, where its seeds begin */
    double *info;            /* of one environment */
    vly_env env;
    bool env_open, inline_steps;
    bool stuck; /* an environment has not come back: nothing that it may touch is freed */
    vly_pool *pool;
};

/* ---- remote_actor.c ---- */

void vly_remote_say(const remote_link *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void vly_remote_link_end(remote_link *l, link_end how, vly_status status, const char *words);
/* Ends it with vly_error_text(), which the learner is told. */
void vly_remote_link_fault(remote_link *l, vly_status status);
/* What bufs point to is the link's until the learner has the message; bufs is changed. */
void vly_remote_link_write(remote_link *l, uv_buf_t *bufs, int n);

/* ---- remote_work.c ---- */

bool vly_remote_can_pack(void);
/* Opens what the WELCOME in l->body names, with memory for its rows. */
vly_status vly_remote_work_open(remote_link *l);
void vly_remote_work_close(remote_link *l);
/* Where the actions of a STEP go; nothing for RESET. */
vly_status vly_remote_work_place(remote_link *l, const vly_wire_head *head);
/* The message is whole: steps the slice; its rows are sent when they are. */
void vly_remote_work_begin(remote_link *l, const vly_wire_head *head);
/* Whether packed observations arrive sooner: one frame is packed to see. */
bool vly_remote_packing_pays(remote_link *l);
#endif
