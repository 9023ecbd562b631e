#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/philox.h"
#include "common/base/clock.h"
#include "cpu/ops/compute_cpu.h"
#include "cpu/fleet/scheme.h"
#include "cpu/fleet/apex.h"
#include "cpu/fleet/leader_impl.h"
#include "envs/registry.h"

enum { CONFIG_MOST = 1 << 20, RETURNS_AT_ONCE = 64 };

typedef struct {
    const vly_fleet_actor *o;
    vly_store *store;
    vly_config config;
    vly_env env;
    bool env_open;
    vly_compute *c;
    vly_ps_client *ps;
    vly_tab *tab;
    vly_apex *apex;
    vly_train *t;
    char run[128], name[32];
    int rank;
    int64_t began_ms;
    int64_t steps, updates; /* reported so far */
    double returns[RETURNS_AT_ONCE];
    int return_count;
} actor;

static vly_status accept_only_run(void *arg, const char *run) {
    actor *a = arg;
    if (a->run[0])
        return vly_fail(VLY_EINVAL,
                        "the store holds several runs: name one with --run (%s, %s ...)", a->run,
                        run);
    snprintf(a->run, sizeof a->run, "%s", run);
    return VLY_OK;
}

static void forward_warning(void *arg, const char *text) {
    const actor *a = arg;
    if (a->o->warn) a->o->warn(a->o->arg, text);
}

/* Within what is left of wait_s. */
static vly_status open_store(actor *a, vly_store **out, const char *run) {
    const double left_ms = 1000 * a->o->wait_s - (double)(vly_now_ms() - a->began_ms);
    const vly_store_options o = {.retry_ms = (int)fmin(fmax(left_ms, 1), 2e9),
                                 .say = a->o->say ? forward_warning : NULL,
                                 .say_arg = a};
    return vly_store_open(out, a->o->url, run, &o);
}

static vly_status find_run(actor *a) {
    vly_store *s;
    int count;
    if (a->o->run && a->o->run[0]) {
        snprintf(a->run, sizeof a->run, "%s", a->o->run);
        return VLY_OK;
    }
    VLY_TRY(open_store(a, &s, ""));
    a->run[0] = '\0'; /* of the attempt before */
    char shown[300];
    vly_store_shown(a->o->url, shown, sizeof shown);
    const vly_status status = vly_store_runs(s, accept_only_run, a, &count);
    vly_store_close(s);
    VLY_TRY(status);
    return a->run[0] ? VLY_OK
                     : vly_fail(VLY_ENOTFOUND,
                                "no run in the store %s: start `volley train ... --store %s` first",
                                shown, shown);
}

static vly_status fetch_config(actor *a) {
    char *yaml = malloc(CONFIG_MOST);
    size_t got = 0;
    char shown[300];
    vly_assignments given = {0};
    if (!yaml) return vly_fail(VLY_ENOMEM, "actor: out of memory");
    vly_store_shown(a->o->url, shown, sizeof shown);
    vly_status status = vly_store_get(a->store, WIRE_CONFIG, yaml, CONFIG_MOST, &got);
    if (status == VLY_ENOTFOUND)
        status = vly_fail(status, "run %s is not in the store %s", a->run, shown);
    if (status == VLY_OK && got > CONFIG_MOST)
        status = vly_fail(VLY_ECORRUPT, "run %s: its configuration is %zu bytes long", a->run, got);
    if (status == VLY_OK) status = vly_config_defaults(&a->config);
    if (status == VLY_OK) status = vly_config_parse(yaml, got, "the store's configuration", &given);
    for (int i = 0; status == VLY_OK && i < given.n; i++)
        status = vly_config_set(&a->config, given.v[i].key, given.v[i].value);
    vly_assignments_free(&given);
    free(yaml);
    return status;
}

static vly_status fetch_run(actor *a) {
    VLY_TRY(find_run(a));
    if (!a->store) VLY_TRY(open_store(a, &a->store, a->run));
    return fetch_config(a);
}

/* An actor may start before its learner. */
static vly_status wait_for_run(actor *a) {
    for (bool said = false;; said = true) {
        const vly_status status = fetch_run(a);
        if (status != VLY_ENOTFOUND || (double)(vly_now_ms() - a->began_ms) >= 1000 * a->o->wait_s)
            return status;
        if (!said && a->o->say) a->o->say(a->o->arg, "no such run yet: waiting for its learner");
        nanosleep(&(struct timespec){0, 200000000}, NULL);
    }
}

static vly_status claim_rank(actor *a) {
    int64_t rank = a->o->rank;
    if (rank < 0) {
        const bool divided = vly_fleet_scheme_of(&a->config) == VLY_FLEET_TABLES &&
                             a->config.run.role == VLY_RUN_ROLE_LEARNER;
        VLY_TRY(vly_store_add(a->store, "ranks", 1, &rank));
        rank += divided ? -1 : 999; /* above the ranks that the leader assigns */
    }
    a->rank = (int)rank;
    snprintf(a->name, sizeof a->name, "w%d", a->rank);
    return VLY_OK;
}

static vly_status connect_scheme(actor *a) {
    vly_config *k = &a->config;
    k->run.seed =
        (int64_t)(vly_philox((uint64_t)k->run.seed, VLY_STREAM_ENV, (uint64_t)a->rank, 77).v[0]);
    k->run.until_return = NAN; /* the leader checks it */
    const int world = vly_fleet_workers(k);
    if (vly_fleet_scheme_of(k) == VLY_FLEET_EXPERIENCE) {
        const vly_apex_options o = {.store = a->store,
                                    .url = a->o->url,
                                    .run = a->run,
                                    .name = a->name,
                                    .config = k,
                                    .actions = a->env.action.n,
                                    .rank = a->rank,
                                    .world = world};
        k->run.workers = 1;
        return vly_apex_create(&a->apex, &o);
    }
    if (vly_fleet_scheme_of(k) != VLY_FLEET_TABLES) {
        const vly_ps_policy policy = vly_fleet_policy(k);
        k->run.workers = 1;
        if (policy.update == VLY_PS_UNROLLS)
            k->pool.schedule = VLY_POOL_SCHEDULE_SYNC, k->pool.groups = 1;
        return vly_ps_client_create(&a->ps, a->store, a->o->url, a->run, a->name, &policy);
    }
    if (a->rank >= world)
        return vly_fail(VLY_EINVAL,
                        "run %s divides its table among %d workers, and all have been started: "
                        "give --rank, 0 to %d, of one that is gone",
                        a->run, world, world - 1);
    const vly_tab_options o = {.scheme = vly_fleet_table_scheme(k),
                               .rank = a->rank,
                               .world = world,
                               .block = k->dist.block,
                               .every = k->dist.every,
                               .ttl_ms = (int)(1000 * k->dist.ttl_s),
                               .seed = (uint64_t)k->run.seed};
    k->run.steps = vly_fleet_table_steps(k);
    k->tabular.eps_steps = (k->tabular.eps_steps + world - 1) / world;
    k->run.workers = 1;
    return vly_tab_create(&a->tab, a->store, &o);
}

static void record_episode(void *arg, const vly_episode *episode, int64_t total_steps) {
    actor *a = arg;
    (void)total_steps;
    if (a->return_count == RETURNS_AT_ONCE)
        memmove(a->returns, a->returns + 1, (RETURNS_AT_ONCE - 1) * sizeof a->returns[0]),
            a->return_count--;
    a->returns[a->return_count++] = episode->score;
}

static int note_update(void *arg, const vly_train_report *report) {
    actor *a = arg;
    const int64_t fresh = report->steps - a->steps, made = report->updates - a->updates;
    a->steps = report->steps, a->updates = report->updates;
    if (a->ps) vly_ps_client_note(a->ps, fresh, a->returns, a->return_count);
    if (a->tab) vly_tab_note(a->tab, fresh, made, a->returns, a->return_count);
    if (a->apex) vly_apex_note(a->apex, fresh, a->returns, a->return_count);
    a->return_count = 0;
    const bool stop = a->ps     ? vly_ps_client_stopped(a->ps)
                      : a->apex ? vly_apex_stopped(a->apex)
                                : vly_tab_stopped(a->tab);
    return stop ? VLY_TRAIN_STOP : VLY_TRAIN_GO_ON;
}

static vly_status open_env(actor *a) {
    const vly_env_args args = vly_config_env_args(&a->config);
    VLY_TRY(vly_env_open(&a->env, a->config.run.env, &args));
    a->env_open = true;
    return VLY_OK;
}

static vly_status run_actor(actor *a) {
    vly_train_result result;
    VLY_TRY(vly_compute_create_cpu(&a->c, 1));
    const vly_train_options o = {.compute = a->c,
                                 .env = &a->env,
                                 .config = &a->config,
                                 .arg = a,
                                 .on_update = note_update,
                                 .on_episode = record_episode,
                                 .on_warning = forward_warning,
                                 .sync = a->ps     ? vly_ps_client_sync(a->ps)
                                         : a->apex ? vly_apex_sync(a->apex)
                                                   : vly_tab_sync(a->tab)};
    VLY_TRY(vly_train_create(&a->t, &o));
    if (a->tab) { /* it may have been started again */
        a->steps = vly_tab_steps(a->tab);
        vly_lead_set_counts(a->t, &(vly_lead_counts){.steps = a->steps});
    }
    if (a->o->started) a->o->started(a->o->arg, a->t);
    VLY_TRY(vly_train_run(a->t, &result));
    return a->tab ? vly_tab_finish(a->tab) : VLY_OK;
}

static vly_status act_in_run(actor *a) {
    char line[512];
    VLY_TRY(wait_for_run(a));
    vly_store_set_retry(a->store, 0); /* wait_s is for the start */
    VLY_TRY(claim_rank(a));
    VLY_TRY(open_env(a));
    VLY_TRY(connect_scheme(a));
    snprintf(line, sizeof line, "worker %d of run %s: %s on %s", a->rank, a->run,
             a->config.run.algo, a->config.run.env);
    if (a->o->say) a->o->say(a->o->arg, line);
    return run_actor(a);
}

static void note_done(const actor *a, vly_fleet_done *done) {
    if (!done) return;
    *done = (vly_fleet_done){.rank = a->rank, .steps = a->steps, .updates = a->updates};
    snprintf(done->run, sizeof done->run, "%s", a->run);
    snprintf(done->env, sizeof done->env, "%s", a->config.run.env);
    snprintf(done->algo, sizeof done->algo, "%s", a->config.run.algo);
}

vly_status vly_fleet_act(const vly_fleet_actor *o) {
    actor *a = calloc(1, sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "actor: out of memory");
    a->o = o, a->rank = -1, a->began_ms = vly_now_ms();
    const vly_status status = act_in_run(a);
    note_done(a, o->done);
    if (a->t && o->started) o->started(o->arg, NULL);
    if (a->t) vly_train_destroy(a->t);
    vly_ps_client_destroy(a->ps);
    vly_tab_destroy(a->tab);
    vly_apex_destroy(a->apex);
    if (a->c) a->c->destroy(a->c);
    if (a->env_open) a->env.close(&a->env);
    vly_store_close(a->store);
    free(a);
    return status;
}
