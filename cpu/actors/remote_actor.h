/* remote_actor.h -- the actor's side of remote.h: steps environments for a learner elsewhere.
 *
 *   vly_remote_actor o = {.address = "tcp://head:7400", .token = token, .workers = -1,
 *                         .open = open_env, .say = say};
 *   status = vly_remote_act(&o);       // until the learner has done, or cannot be reached for wait_s
 *
 * It has no network and no weights; which environment it steps, the learner says. A connection that is
 * lost is made again, with fresh episodes. VLY_EINVAL: the learner has refused it. A process that was
 * started with a connected socket (fd:N) returns when that is closed.
 */
#ifndef VLY_CPU_ACTORS_REMOTE_ACTOR_H
#define VLY_CPU_ACTORS_REMOTE_ACTOR_H
#include <stdatomic.h>
#include "common/base/env.h"
#include "cpu/actors/wire.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef enum { VLY_PACK_AUTO, VLY_PACK_OFF, VLY_PACK_ON } vly_remote_pack;

/* What an actor has done. */
typedef struct {
    char env[256];       /* as the learner names it; "" before the first WELCOME */
    int64_t connections; /* on which it stepped environments */
    int64_t steps;       /* of an environment, all players at once */
    int64_t rows;        /* sent: one for each player, of resets too */
} vly_remote_done;

typedef struct {
    const char *address;
    const uint8_t *token; /* VLY_WIRE_TOKEN bytes; NULL for fd:N */
    int envs;             /* 0: all that have no actor yet */
    int workers;          /* threads; -1: one per processor, none where a step takes microseconds */
    double wait_s;        /* for a learner that is not there */
    vly_remote_pack pack; /* auto: where the link is slower than packing */
    /* Opens the environment that the learner names; the caller's names are checked there. */
    vly_status (*open)(void *arg, const vly_wire_welcome *what, vly_env *env);
    void (*say)(void *arg, const char *text); /* a line for people, from any thread; may be NULL */
    void *arg;
    const atomic_int *stop; /* not 0: returns VLY_ECANCELED; may be NULL */
    vly_remote_done *done;  /* counted on as each connection ends; may be NULL */
} vly_remote_actor;

vly_status vly_remote_act(const vly_remote_actor *o);

#ifdef __cplusplus
}
#endif
#endif
