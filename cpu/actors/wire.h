/* wire.h -- the messages between a learner (remote.h) and its remote actors (remote_actor.h), over a
 * stream of bytes.
 *
 *   actor:   HELLO  token, how many environments it can step
 *   learner: WELCOME  the environment and the slices of it that this actor steps (or BYE)
 *   actor:   PROBE ... learner: PROBED          how fast the link is, several times
 *   actor:   READY  the environments are open
 *   learner: RESET or STEP of a slice ... actor: ROWS          in any order of slices
 *   learner: PING ... actor: PONG               while an environment takes its time
 *   actor:   WORDS  a line for people; FAULT  the same, and the connection ends
 *   learner: BYE    why the connection ends
 *
 * A message is a head and `head.bytes` bytes. Little-endian, sizes fixed or computed from the shape
 * that WELCOME names; every head is checked before a byte of its body is taken (vly_wire_check).
 *
 * A slice is some consecutive environments of one group of the learner. The body of STEP is an action
 * for each of its rows. The body of ROWS is, for n environments of `players` rows each:
 *   reward, score (a float each row); the number "phase" (a double each environment) where there is one;
 *   flags (a byte each row) and masks, both padded to 8 bytes;
 *   shared observations; then the observations, as they are or as one LZ4 block (VLY_WIRE_PACKED).
 *
 * Reading needs no buffer: the reader says where the next bytes go, so that observations go from the
 * socket to where they are used.
 *
 *   vly_wire_reader in = {0};
 *   for (;;) {
 *       size_t n; void *to = vly_wire_want(&in, &n);
 *       n = read(fd, to, n);
 *       switch (vly_wire_got(&in, n)) {
 *       case VLY_WIRE_MORE: break;
 *       case VLY_WIRE_BEGUN: <check in.head>; vly_wire_place(&in, memory, bytes); ... break;
 *       case VLY_WIRE_WHOLE: <the message of in.head is complete>; break;
 *       }
 *   }
 */
#ifndef VLY_CPU_ACTORS_WIRE_H
#define VLY_CPU_ACTORS_WIRE_H
#include <stdbool.h>
#include "common/base/env.h"
#include "common/base/status.h"
#ifdef __cplusplus
extern "C" {
#endif

enum {
    VLY_WIRE_MAGIC = 0x52594c56, /* "VLYR" */
    VLY_WIRE_VERSION = 2,
    VLY_WIRE_PROBE_MOST = 1 << 18,
    VLY_WIRE_TEXT = 512,
    VLY_WIRE_SLICES_MOST = 4096,
    VLY_WIRE_TOKEN = 128, /* bytes of a token, padded with zeros */
    VLY_WIRE_BODY_MOST = 1 << 30
};

#define VLY_WIRE_TYPES(XX) \
    XX(HELLO, 1)           \
    XX(WELCOME, 2)         \
    XX(PROBE, 3)           \
    XX(PROBED, 4)          \
    XX(READY, 5)           \
    XX(RESET, 6)           \
    XX(STEP, 7)            \
    XX(ROWS, 8)            \
    XX(PING, 9)            \
    XX(PONG, 10)           \
    XX(WORDS, 11)          \
    XX(FAULT, 12)          \
    XX(BYE, 13)

typedef enum {
#define XX(name, value) VLY_WIRE_##name = value,
    VLY_WIRE_TYPES(XX)
#undef XX
} vly_wire_type;

enum { VLY_WIRE_PACKED = 1 }; /* flags of ROWS */
/* flags of BYE: whether another attempt can succeed */
enum { VLY_WIRE_BYE_DONE, VLY_WIRE_BYE_REFUSED, VLY_WIRE_BYE_LATER };

typedef struct {
    uint32_t magic;
    uint16_t version;
    uint8_t type, flags;
    uint32_t bytes; /* of the body */
    uint32_t slice;
    uint64_t sequence; /* an answer carries its question's */
} vly_wire_head;

typedef struct {
    uint8_t token[VLY_WIRE_TOKEN];
    char host[64];
    uint32_t pid;
    uint32_t envs;    /* 0: as many as are free */
    uint32_t version; /* of the highest format that it knows */
    uint32_t spare;
} vly_wire_hello;

/* What the bytes of a row are; the same on both sides, or READY is not sent. */
typedef struct {
    uint32_t players, obs_bytes, action_bytes, mask_bytes, shared_bytes;
    uint32_t numbers; /* of the observation: 4 where it is floats, else 1 */
    uint32_t phase_bytes, spare;
} vly_wire_shape;

typedef struct { /* followed by `slices` of vly_wire_slice */
    char env[256], extra[512], options[4096];
    int32_t max_steps;
    uint32_t slices;
    vly_wire_shape shape;
    uint64_t seed;
    uint32_t deadline_ms; /* silence after which an actor counts as dead */
    uint32_t unpacks;     /* the learner takes packed ROWS */
} vly_wire_welcome;

typedef struct {
    int32_t first, n; /* environments */
    uint32_t draws;   /* seeds that others have drawn for them before */
    uint32_t spare;
} vly_wire_slice;

typedef struct {
    uint32_t packed; /* ROWS will be compressed */
    uint32_t round_trip_us;
    uint64_t bytes_per_s;
} vly_wire_ready;

vly_wire_shape vly_wire_shape_of(const vly_env *env);
bool vly_wire_same_shape(const vly_wire_shape *a, const vly_wire_shape *b);
/* Of n environments: what of a body of ROWS comes before the observations; these. */
size_t vly_wire_fixed_bytes(const vly_wire_shape *s, int n);
size_t vly_wire_obs_bytes(const vly_wire_shape *s, int n);
static inline size_t vly_wire_step_bytes(const vly_wire_shape *s, int n) {
    return (size_t)n * s->players * s->action_bytes;
}
/* Where the parts of the fixed bytes lie. */
typedef struct {
    uint8_t *reward, *score; /* unaligned floats */
    uint8_t *phase;          /* unaligned doubles */
    uint8_t *flags, *mask, *shared;
} vly_wire_parts;
vly_wire_parts vly_wire_parts_of(const vly_wire_shape *s, int n, uint8_t *fixed);

vly_wire_head vly_wire_make(vly_wire_type type, uint32_t slice, uint64_t sequence, size_t bytes);
const char *vly_wire_name(int type); /* "?" when it is none */
/* Magic, version, type, and a length that the type may have. VLY_ECORRUPT, VLY_EVERSION. */
vly_status vly_wire_check(const vly_wire_head *head);
/* A whole WELCOME: texts that end, as many slices as it says, sizes that can be allocated. */
vly_status vly_wire_check_welcome(const void *body, size_t bytes);
/* ROWS of n environments: exactly as long as they have to be. */
vly_status vly_wire_check_rows(const vly_wire_head *head, const vly_wire_shape *s, int n);
/* What ROWS hold: known flags, finite rewards and scores, finite observations where they are floats.
 * obs: rows `stride` apart. */
vly_status vly_wire_check_values(const vly_wire_shape *s, int n, const vly_wire_parts *parts,
                                 const uint8_t *obs, size_t stride);

/* Takes the same time wherever the first difference is. */
bool vly_wire_same(const void *a, const void *b, size_t bytes);
/* The first line of the file: 16 to 127 characters without blanks. */
vly_status vly_wire_read_token(const char *path, uint8_t token[VLY_WIRE_TOKEN]);
/* Without control characters, at most `room` - 1 bytes. */
void vly_wire_text(char *to, size_t room, const void *from, size_t bytes);

/* ---- reading ---- */

typedef enum { VLY_WIRE_MORE, VLY_WIRE_BEGUN, VLY_WIRE_WHOLE } vly_wire_event;

enum { VLY_WIRE_PLACES = 3 };
typedef struct {
    vly_wire_head head;
    bool in_body;
    size_t got; /* of the head, or of place[at] */
    int places, at;
    struct {
        uint8_t *to; /* NULL: dropped */
        size_t bytes;
    } place[VLY_WIRE_PLACES];
} vly_wire_reader;

/* Where the next bytes go, and how many at most; never 0. */
uint8_t *vly_wire_want(vly_wire_reader *r, size_t *bytes);
vly_wire_event vly_wire_got(vly_wire_reader *r, size_t bytes);
/* After VLY_WIRE_BEGUN, for a body that is not empty: all of it, in one or several places. */
void vly_wire_place(vly_wire_reader *r, void *to, size_t bytes);
/* The rest of the body is dropped: its memory is not the reader's any more. */
void vly_wire_forget(vly_wire_reader *r);

#ifdef __cplusplus
}
#endif
#endif
