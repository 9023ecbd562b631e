#include <stdio.h>
#include <stdlib.h>
#include "cpu/program/cli.h"
#ifdef VLY_HAVE_REDIS
#include "cpu/fleet/leader.h"
#endif

typedef struct {
    char store[256], run[128];
    int rank, wait;
    bool quiet;
} actor_options;

static const vly_option actor_table[] = {
    VLY_CLI_TEXT(actor_options, store, "", NULL,
                 "the learner's Redis: redis://host:port/db; default: $VOLLEY_STORE"),
    VLY_CLI_TEXT(actor_options, run, "", NULL,
                 "name of the run in the store; default: the only one there"),
    VLY_CLI_INT(actor_options, rank, "-1", -1, 1e9, "number of this worker; -1: the next free one"),
    VLY_CLI_INT(actor_options, wait, "60", 0, 1e9,
                "seconds to wait for a run that is not in the store yet"),
    VLY_CLI_BOOL(actor_options, quiet, "say nothing but errors"),
};

#ifdef VLY_HAVE_REDIS
static void say(void *arg, const char *text) {
    fprintf(arg, "%s\n", text);
}

static void warn(void *arg, const char *text) {
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

static void stop_actor(void *train) {
    vly_train_stop(train);
}
static void started(void *arg, vly_train *t) {
    (void)arg;
    vly_cli_watch_signals(stop_actor, t);
}

static int actor_verb(vly_cli *cli) {
    const actor_options *o = cli->own;
    const char *store = o->store[0] ? o->store : getenv("VOLLEY_STORE");
    if (!store || !store[0])
        return vly_cli_fail(
            vly_fail(VLY_EINVAL,
                     "actor: --store or VOLLEY_STORE is needed, the Redis that the learner uses"));
    const vly_fleet_actor actor = {.url = store,
                                   .run = o->run,
                                   .rank = o->rank,
                                   .wait_s = o->wait,
                                   .say = o->quiet ? NULL : say,
                                   .warn = warn,
                                   .arg = cli->people,
                                   .started = started};
    const vly_status status = vly_fleet_act(&actor);
    if (vly_cli_signal()) return vly_cli_signal() == 2 ? VLY_EXIT_INT : VLY_EXIT_TERM;
    return status == VLY_OK ? VLY_EXIT_DONE : vly_cli_fail(status);
}
#else
static int actor_verb(vly_cli *cli) {
    (void)cli;
    return vly_cli_fail(vly_fail(VLY_EUNSUPPORTED,
                                 "this build has no Redis client: apt-get install libhiredis-dev "
                                 "liblz4-dev, then build again"));
}
#endif

const vly_verb vly_verb_actor = {
    .name = "actor",
    .positional_help = "",
    .summary = "acts for a learner on this or another machine, over Redis; comes and goes freely",
    .examples = "volley actor --store redis://learner:6379/0\nvolley actor --store "
                "redis://learner:6379/0 --run pong-a3c-1",
    .own = actor_table,
    .own_count = sizeof actor_table / sizeof *actor_table,
    .own_bytes = sizeof(actor_options),
    .run = actor_verb,
};
