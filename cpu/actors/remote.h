/* remote.h -- a source of rows whose environments are stepped by other processes, here or on other
 * machines (`volley actor`, remote_actor.h). The learner infers; actors have no network.
 *
 *   vly_remote_options o = {.actors = 64, .groups = 2, .ordered = true, .listen = "0.0.0.0:7400",
 *                           .token = token, .env_name = "pong", ...};
 *   VLY_TRY(vly_remote_create(&source, loop, &env, &o));
 *   ... source->submit, take, arm: as source.h says ...
 *   source->destroy(source); uv_run(loop, UV_RUN_DEFAULT);     // its handles close
 *
 * Every connection is given environments that nobody steps: a slice of each group. A step is one
 * message each way and slice, and one write for all messages that are due to a connection; the
 * observations are read from the socket into the rows of the group.
 *
 * Actors come and go:
 *   - Until each environment has an actor, or the deadline has passed since the first one came, and
 *     whenever no actor is left, groups wait. So a run with all its actors from the start learns
 *     the same, bit for bit, as one that steps its environments itself. Its checkpoint has not the
 *     environments' states, so the digest is another, and episodes begin anew on resume.
 *   - A connection that is lost, silent for the deadline, or sends what does not belong there, ends.
 *     Rows of environments without an actor carry FAILED | RESET and a zero observation: learners
 *     mask them. Who takes them over begins with fresh episodes.
 *   - An actor that answers pings but has not answered a step within the deadline is slow, not dead:
 *     its rows are masked until it has answered, then its episodes begin anew.
 *   - ordered: a group without any actor is masked as a whole. Not ordered: a group without any actor
 *     stays out; stats.hung counts such groups.
 *
 * Nothing is taken from a connection before its HELLO, which is 232 bytes long and has 5 seconds;
 * then the token is compared in constant time. Everything runs on the loop's thread.
 */
#ifndef VLY_CPU_ACTORS_REMOTE_H
#define VLY_CPU_ACTORS_REMOTE_H
#include <stdatomic.h>
#include <uv.h>
#include "cpu/actors/source.h"
#include "cpu/actors/wire.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { VLY_REMOTE_SHOWN = 32 };

typedef struct {
    int actors, groups; /* environments; a multiple of groups */
    bool ordered;       /* groups are taken in the order of their submission */
    uint64_t seed;
    int deadline_ms;      /* 0: 5000 */
    int connections;      /* at most; 0: 256 */
    const char *listen;   /* HOST:PORT or unix:PATH; NULL: only what is adopted */
    const uint8_t *token; /* VLY_WIRE_TOKEN bytes; NULL with listen NULL alone */
    /* How an actor opens the environment. */
    const char *env_name, *env_extra, *env_options; /* the last two may be NULL */
    int max_steps;
    const atomic_int *stop; /* not 0: groups wait for nobody any more; may be NULL */
    void *arg;
    void (*on_warning)(void *arg, const char *text); /* may be NULL */
    /* An adopted connection has ended. served: it has answered before; actors: which, and their last
     * actions, "" when it had none; words: what the actor said, or "". May be NULL. */
    void (*on_lost)(void *arg, int tag, bool served, const char *actors, const char *words);
    void *lost_arg;
} vly_remote_options;

typedef enum {
    VLY_ACTOR_OPENING, /* has not opened its environments yet */
    VLY_ACTOR_SERVING,
    VLY_ACTOR_SLOW, /* alive, but steps are late */
    VLY_ACTOR_GONE
} vly_actor_state;
const char *vly_actor_state_name(vly_actor_state state);

typedef struct {
    char name[96]; /* HOST:PID as it says, and where it connects from */
    vly_actor_state state;
    int envs;
    bool packed;
    double heard_s;       /* seconds since it was heard */
    double round_trip_ms; /* mean of the newest */
    int64_t rows;
} vly_actor_info;

typedef struct {
    int connections, serving, slow; /* now; serving: environments with an actor in time */
    int64_t lost, refused, late;    /* so far: connections; steps that missed the deadline */
    double round_trip_p50_ms, round_trip_p99_ms; /* of the newest 1024 steps; 0 before the first */
    int64_t bytes_in, bytes_out;
    int shown;
    vly_actor_info actor[VLY_REMOTE_SHOWN]; /* those here, then those that went last */
} vly_remote_stats;

vly_status vly_remote_create(vly_source **out, uv_loop_t *loop, const vly_env *env,
                             const vly_remote_options *options);
/* A connected socket, of a process that the learner has started: needs no token. It is the source's
 * from then on, also on failure. tag: for on_lost. */
vly_status vly_remote_adopt(vly_source *source, int fd, int tag);
/* The next take() fails with these words. */
void vly_remote_fail(vly_source *source, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Where it listens, with the port; "" with listen NULL. */
const char *vly_remote_shown(const vly_source *source);
void vly_remote_get_stats(const vly_source *source, vly_remote_stats *out);

#ifdef __cplusplus
}
#endif
#endif
