#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/base/text.h"
#include "cpu/actors/remote_actor.h"
#include "cpu/actors/remote_net.h"
#include "cpu/program/cli.h"
#include "cpu/program/crash.h"
#include "envs/registry.h"
#ifdef VLY_HAVE_REDIS
#include "cpu/fleet/leader.h"
#include "cpu/fleet/store.h"
#endif

typedef struct {
    char store[256], run[128], token_file[1024], env[1024], roms[1024], pack[16];
    int rank, wait, envs, workers;
    bool files, quiet;
} actor_options;

static const vly_option actor_table[] = {
    VLY_CLI_TEXT(actor_options, store, "", NULL,
                 "the learner's Redis: redis://host:port/db; default: $VOLLEY_STORE"),
    VLY_CLI_TEXT(actor_options, run, "", NULL,
                 "name of the run in the store; default: the only one there"),
    VLY_CLI_INT(actor_options, rank, "-1", -1, 1e9, "number of this worker; -1: the next free one"),
    VLY_CLI_INT(
        actor_options, wait, "60", 0, 1e9,
        "seconds to wait for a store or a learner that is not there, or for a run that is not "
        "in the store yet"),
    VLY_CLI_TEXT(actor_options, token_file, "", NULL,
                 "ADDRESS: the file with the token of the learner's --token-file"),
    VLY_CLI_INT(actor_options, envs, "0", 0, 65536,
                "ADDRESS: environments to step; 0: all that have no actor"),
    VLY_CLI_INT(actor_options, workers, "0", 0, 4096,
                "ADDRESS: threads that step them; 0: one per processor"),
    VLY_CLI_TEXT(actor_options, pack, "auto", "auto|off|on",
                 "ADDRESS: observations packed with LZ4; auto: where the link is slower than that"),
    VLY_CLI_TEXT(actor_options, env, "", NULL,
                 "ADDRESS: the plugin to load when the learner's environment is one"),
    VLY_CLI_TEXT(actor_options, roms, "", NULL,
                 "ADDRESS: folder of Atari ROM files; default: as for train"),
    VLY_CLI_BOOL(actor_options, files,
                 "ADDRESS: open files of this machine that the learner's --env.args name"),
    VLY_CLI_BOOL(actor_options, quiet, "say nothing but errors"),
};

/* Each of the two kinds of learners has options of its own. */
static vly_status check_kind(const actor_options *o, bool remote) {
    const char *of_store = o->store[0]    ? "--store"
                           : o->run[0]    ? "--run"
                           : o->rank >= 0 ? "--rank"
                                          : NULL;
    const char *of_address = o->token_file[0]          ? "--token-file"
                             : o->envs                 ? "--envs"
                             : o->workers              ? "--workers"
                             : strcmp(o->pack, "auto") ? "--pack"
                             : o->env[0]               ? "--env"
                             : o->roms[0]              ? "--roms"
                             : o->files                ? "--files"
                                                       : NULL;
    if (remote && of_store)
        return vly_fail(
            VLY_EINVAL,
            "actor: %s is for a learner with a store, an ADDRESS for one with --listen: "
            "leave one of them out",
            of_store);
    if (!remote && of_address)
        return vly_fail(VLY_EINVAL,
                        "actor: %s goes with an ADDRESS (tcp://HOST:PORT of `volley train "
                        "--listen`), not with a store: leave it out",
                        of_address);
    return VLY_OK;
}

/* ---- last words ---- */

typedef struct {
    vly_status status;
    double began_s;
    bool acted;  /* else it failed before it could: there is nothing to report */
    bool hushed; /* the learner's run says why */
} actor_end;

/* did: what it has done; the reference is taken. */
static int end_actor(const vly_cli *cli, const actor_end *e, json_t *did) {
    const int by = vly_cli_signal();
    const bool well = by || e->status == VLY_OK;
    const int code = by          ? by == 2 ? VLY_EXIT_INT : VLY_EXIT_TERM
                     : e->hushed ? vly_cli_exit_code(e->status)
                     : well      ? VLY_EXIT_DONE
                                 : vly_cli_fail(e->status);
    vly_cli_end_soon(code);
    json_object_set_new(did, "wall_s", vly_json_real(vly_now_s() - e->began_s));
    json_object_set_new(did, "stop", json_string(by ? "interrupted" : well ? "done" : "failed"));
    if (cli->json && (well || e->acted))
        vly_cli_print_json(did);
    else
        json_decref(did);
    return code;
}

/* A name from elsewhere; NULL: there is none, or JSON cannot hold it. */
static const char *name_for_json(const char *name) {
    return name[0] && vly_text_is_utf8(name) ? name : NULL;
}

/* ---- for a learner that infers: volley train --listen ---- */

static atomic_int actor_stopped;

static void stop_remote_actor(void *arg) {
    (void)arg;
    atomic_store(&actor_stopped, 1);
}

typedef struct {
    const actor_options *o;
    FILE *people;   /* NULL: quiet */
    bool inherited; /* the learner has started this process */
} remote_context;

static void say_flushed(void *arg, const char *text) {
    const remote_context *c = arg;
    if (c->people) vly_cli_say(c->people, text);
}

/* A learner names environments, not files of this machine. */
static vly_status open_named_env(void *arg, const vly_wire_welcome *what, vly_env *env) {
    const remote_context *c = arg;
    const actor_options *o = c->o;
    const vly_env_args args = {.options = what->options,
                               .max_steps = what->max_steps,
                               .extra = what->extra[0] ? what->extra : NULL,
                               .data = o->roms[0] ? o->roms : NULL,
                               .no_files = !c->inherited && !o->files};
    const bool plugin = vly_env_is_plugin(what->env);
    if (plugin && !o->env[0])
        return vly_fail(VLY_EINVAL,
                        "the learner's environment is the plugin %.200s: give this machine's copy "
                        "to `volley actor` with --env",
                        what->env);
    return vly_env_open(env, plugin ? o->env : what->env, &args);
}

static int act_remotely(vly_cli *cli) {
    const actor_options *o = cli->own;
    uint8_t token[VLY_WIRE_TOKEN] = {0};
    const char *address = cli->positional[0];
    const bool inherited = !strncmp(address, "fd:", 3);
    vly_remote_address checked;
    vly_status status = vly_remote_parse(&checked, address, false);
    if (status == VLY_OK) status = check_kind(o, true);
    if (status != VLY_OK) return vly_cli_fail(status);
    if (!inherited && !o->token_file[0])
        status = vly_fail(VLY_EINVAL, "actor: --token-file is needed, the learner's token");
    else if (!inherited)
        status = vly_wire_read_token(o->token_file, token);
    if (status != VLY_OK) return vly_cli_fail(status);
    const double began_s = vly_now_s();
    vly_remote_done done = {.env = ""};
    remote_context context = {o, o->quiet ? NULL : cli->people, inherited};
    const vly_remote_actor actor = {.address = address,
                                    .token = inherited ? NULL : token,
                                    .envs = o->envs,
                                    .workers = o->workers ? o->workers : -1,
                                    .wait_s = o->wait,
                                    .pack = !strcmp(o->pack, "on")    ? VLY_PACK_ON
                                            : !strcmp(o->pack, "off") ? VLY_PACK_OFF
                                                                      : VLY_PACK_AUTO,
                                    .open = open_named_env,
                                    .say = say_flushed,
                                    .arg = &context,
                                    .stop = &actor_stopped,
                                    .done = &done};
    if (inherited) vly_crash_in_worker();
    vly_cli_watch_signals(stop_remote_actor, NULL);
    status = vly_remote_act(&actor);
    vly_cli_watch_signals(NULL, NULL);
    const actor_end end = {status, began_s, done.connections > 0, inherited};
    return end_actor(cli, &end,
                     json_pack("{s:s, s:s?, s:I, s:I, s:I}", "address", address, "env",
                               name_for_json(done.env), "connections", (json_int_t)done.connections,
                               "steps", (json_int_t)done.steps, "rows", (json_int_t)done.rows));
}

/* ---- for a learner with a store ---- */

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
    vly_cli_watch_signals(t ? stop_actor : NULL, t);
}

static int act_over_store(vly_cli *cli) {
    const actor_options *o = cli->own;
    const char *store = vly_store_named(o->store);
    if (!store[0])
        return vly_cli_fail(
            vly_fail(VLY_EINVAL,
                     "actor: an ADDRESS is needed (tcp://HOST:PORT of `volley train --listen`), or "
                     "--store or VOLLEY_STORE, the Redis that the learner uses"));
    if (check_kind(o, false) != VLY_OK) return vly_cli_fail(VLY_EINVAL);
    const double began_s = vly_now_s();
    vly_fleet_done done = {.rank = -1};
    const vly_fleet_actor actor = {.url = store,
                                   .run = o->run,
                                   .rank = o->rank,
                                   .wait_s = o->wait,
                                   .say = o->quiet ? NULL : say,
                                   .warn = warn,
                                   .arg = cli->people,
                                   .started = started,
                                   .done = &done};
    const vly_status status = vly_fleet_act(&actor);
    const actor_end end = {status, began_s, done.rank >= 0, false};
    return end_actor(cli, &end,
                     json_pack("{s:s?, s:s?, s:s?, s:i, s:I, s:I}", "run", name_for_json(done.run),
                               "env", name_for_json(done.env), "algo", name_for_json(done.algo),
                               "rank", done.rank, "steps", (json_int_t)done.steps, "updates",
                               (json_int_t)done.updates));
}
#else
static int act_over_store(vly_cli *cli) {
    (void)cli;
    return vly_cli_fail(vly_fail(VLY_EUNSUPPORTED,
                                 "this build has no Redis client: apt-get install libhiredis-dev "
                                 "liblz4-dev, then build again"));
}
#endif

static int actor_verb(vly_cli *cli) {
    return cli->count > 0 ? act_remotely(cli) : act_over_store(cli);
}

const vly_verb vly_verb_actor = {
    .name = "actor",
    .positional_help = "[ADDRESS]",
    .summary = "steps environments for a learner on this or another machine; comes and goes freely",
    .examples = "volley actor tcp://head:7400 --token-file token --envs 64\n"
                "volley actor --store redis://learner:6379/0\n"
                "volley actor --store redis://learner:6379/0 --run pong-a3c-1",
    .positional_max = 1,
    .more = "With ADDRESS (tcp://HOST:PORT or unix:PATH) it only steps the environments of `volley "
            "train --listen`: no network, no weights. Without, it acts with weights from a Redis "
            "store.",
    .own = actor_table,
    .own_count = sizeof actor_table / sizeof *actor_table,
    .own_bytes = sizeof(actor_options),
    .run = actor_verb,
};
