#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "cpu/fleet/leader_impl.h"
#include "cpu/machine/processors.h"
#include "cpu/train/lead.h"

enum { WORKERS_MAX = 1024, START_RETRY_MS = 30000, END_PATIENCE_MS = 10000, BEAT_MS = 500 };

/* ---- settings, the same for learner and actors ---- */

int vly_fleet_workers(const vly_config *k) {
    const int processors = vly_processors();
    const int workers = k->run.workers > 0 ? k->run.workers : processors > 1 ? processors : 2;
    return workers < WORKERS_MAX ? workers : WORKERS_MAX;
}

static vly_ps_update update_of(const vly_config *k) {
    if (vly_fleet_scheme_of(k) == VLY_FLEET_UNROLLS) return VLY_PS_UNROLLS;
    switch (k->dist.update) {
    case VLY_DIST_UPDATE_SYNC: return VLY_PS_SYNC;
    case VLY_DIST_UPDATE_COORDINATED: return VLY_PS_COORDINATED;
    case VLY_DIST_UPDATE_OVERLAPPED: return VLY_PS_OVERLAPPED;
    case VLY_DIST_UPDATE_FEDAVG: return VLY_PS_FEDAVG;
    default: return VLY_PS_ASYNC;
    }
}

vly_ps_policy vly_fleet_policy(const vly_config *k) {
    return (vly_ps_policy){.update = update_of(k),
                           .collect = k->dist.collect,
                           .max_staleness = k->dist.max_staleness,
                           .weigh_staleness = k->dist.weigh_staleness,
                           .local_steps = k->dist.local_steps,
                           .adaptive = k->dist.adaptive,
                           .queue_limit = k->dist.queue,
                           .patience_ms = (int)fmin(1000 * (double)k->dist.patience_s, 2e9),
                           .ttl_ms = (int)(1000 * k->dist.ttl_s)};
}

int64_t vly_fleet_table_steps(const vly_config *k) {
    const int world = vly_fleet_workers(k);
    return (k->run.steps + world - 1) / world;
}

int vly_fleet_timeout_ms(const vly_config *k) {
    return (int)(1000 * k->dist.ttl_s);
}

vly_tab_scheme vly_fleet_table_scheme(const vly_config *k) {
    switch (k->dist.tables) {
    case VLY_DIST_TABLES_SHARE: return VLY_TAB_SHARE;
    case VLY_DIST_TABLES_GOSSIP: return VLY_TAB_GOSSIP;
    case VLY_DIST_TABLES_ALLREDUCE: return VLY_TAB_ALLREDUCE;
    default: break;
    }
    if (k->run.sharding != VLY_RUN_SHARDING_NONE)
        return k->run.sharding == VLY_RUN_SHARDING_TIME ? VLY_TAB_SHARD_TIME : VLY_TAB_SHARD_STATE;
    switch (k->run.merge) {
    case VLY_RUN_MERGE_MAX: return VLY_TAB_MERGE_MAX;
    case VLY_RUN_MERGE_VISITS: return VLY_TAB_MERGE_VISITS;
    default: return VLY_TAB_MERGE_MEAN;
    }
}

/* ---- the learner ---- */

void vly_leader_say(vly_leader *l, const char *format, ...) {
    char text[512];
    va_list args;
    if (!l->say) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    l->say(l->arg, text);
}

/* ---- the store ---- */

static vly_status publish_config(vly_leader *l) {
    char *yaml = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&yaml, &bytes);
    if (!out) return vly_fail(VLY_ENOMEM, "leader: out of memory");
    vly_config config = *l->config;
    config.run.workers = vly_fleet_workers(l->config); /* not by an actor's own processors */
    vly_config_print(&config, out);
    fclose(out);
    const vly_status status = vly_store_set(l->store, WIRE_CONFIG, yaml, bytes);
    free(yaml);
    return status;
}

vly_status vly_leader_restart_store(vly_leader *l) {
    bool restarted;
    if (!l->redis) return VLY_OK;
    VLY_TRY(vly_store_server_mend(l->redis, &restarted));
    if (!restarted) return VLY_OK;
    l->store_restarts++;
    vly_leader_say(l, "the run's Redis had died; restarted at %s", l->shown);
    return publish_config(l);
}

vly_status vly_leader_wait_for_store(vly_leader *l, vly_status status, int64_t *lost_ms) {
    if (status != VLY_EPEER) return status;
    if (*lost_ms == 0) *lost_ms = vly_now_ms();
    if (vly_now_ms() - *lost_ms > 1000 * (int64_t)l->config->dist.patience_s) return status;
    const vly_status restart = vly_leader_restart_store(l);
    return restart == VLY_EPEER ? VLY_OK : restart;
}

vly_status vly_leader_beat(vly_leader *l, int64_t version) {
    char json[256];
    if (l->beat_ms && vly_now_ms() - l->beat_ms <= BEAT_MS) return VLY_OK;
    snprintf(json, sizeof json,
             "{\"role\":\"learner\",\"algo\":\"%.31s\",\"env\":\"%.63s\",\"version\":%lld,"
             "\"steps\":%lld,\"pid\":%d,\"life\":%lld}",
             l->config->run.algo, l->config->run.env, (long long)version,
             (long long)vly_lead_get_counts(l->t).steps, (int)getpid(), (long long)l->life);
    VLY_TRY(vly_store_beat(l->store, "learner", json, (int)(1000 * l->config->dist.ttl_s)));
    l->beat_ms = vly_now_ms();
    const uint64_t connections = vly_store_get_traffic(l->store).reconnects;
    if (connections == l->connections) return VLY_OK;
    VLY_TRY(publish_config(l)); /* a store that was started again may have come back without it */
    l->connections = connections;
    return VLY_OK;
}

/* ---- serving ---- */

/* Again while the store is lost: workers that do not see the end would wait for a learner that has
 * ended. */
static vly_status announce_end(vly_leader *l, const vly_leader_scheme *scheme) {
    int64_t lost = 0;
    for (;;) {
        const vly_status status = scheme->announce_end(scheme->arg);
        VLY_TRY(vly_leader_wait_for_store(l, status, &lost));
        if (status != VLY_EPEER || vly_now_ms() > lost + END_PATIENCE_MS) return VLY_OK;
        (void)vly_lead_await(l->t, -1, false, 50);
    }
}

static vly_status report_scheme(vly_leader *l, const vly_leader_scheme *scheme, int64_t *lost) {
    vly_leader_report r = {.counts = vly_lead_get_counts(l->t)};
    VLY_TRY(vly_leader_wait_for_store(l, vly_leader_watch(l, scheme->workers_end), lost));
    VLY_TRY(vly_leader_wait_for_store(l, scheme->report(scheme->arg, &r), lost));
    VLY_TRY(vly_leader_wait_for_store(l, vly_leader_beat(l, r.version), lost));
    vly_metric_add(r.metrics, &r.n, "dist/restarts", l->restarts);
    vly_metric_add(r.metrics, &r.n, "dist/store_restarts", l->store_restarts);
    return vly_lead_tick(l->t, &r.counts, r.metrics, r.n);
}

vly_status vly_leader_serve(vly_leader *l, const vly_leader_scheme *scheme) {
    int64_t last = 0, lost = 0;
    while (vly_lead_stop(l->t) == VLY_STOP_NONE) {
        const vly_status status = scheme->serve(scheme->arg);
        VLY_TRY(vly_leader_wait_for_store(l, status, &lost));
        if (status == VLY_OK) lost = 0;
        vly_lead_mark(l->t, VLY_PHASE_LEARN);
        if (vly_now_ms() - last < scheme->report_ms) continue;
        last = vly_now_ms();
        VLY_TRY(report_scheme(l, scheme, &lost));
        vly_lead_mark(l->t, VLY_PHASE_OTHER);
    }
    return announce_end(l, scheme);
}

/* ---- the run ---- */

static vly_status find_learner(void *arg, const char *member, const char *json) {
    bool *lives = arg;
    (void)json;
    *lives = *lives || strcmp(member, "learner") == 0;
    return VLY_OK;
}

/* Refuses a second learner. The entry of one that was killed expires after ttl_s. */
static vly_status claim_run(vly_leader *l) {
    const int64_t deadline = vly_now_ms() + (int64_t)(1000 * l->config->dist.ttl_s) + 1000;
    for (bool said = false;; said = true) {
        bool lives = false;
        int count;
        VLY_TRY(vly_store_members(l->store, find_learner, &lives, &count));
        if (!lives) return VLY_OK;
        if (vly_now_ms() > deadline)
            return vly_fail(VLY_EINVAL,
                            "run %s already has a learner, at %s: stop it first, or give this one "
                            "another --out",
                            l->run, l->shown);
        if (!said)
            vly_leader_say(l, "run %s had a learner a moment ago: waiting until its entry expires",
                           l->run);
        (void)vly_lead_await(l->t, -1, false, 100);
    }
}

/* The password of a Redis of this run's own is in a file that its user alone can read. */
static void say_how_to_join(vly_leader *l, const char *words) {
    const char *run = vly_shell_word(l->run);
    if (l->redis)
        vly_leader_say(l,
                       "store %s, run %s: %s   VOLLEY_STORE=$(cat %s/redis/url) volley actor --run "
                       "%s",
                       l->shown, l->run, words, vly_shell_word(l->folder), run);
    else
        vly_leader_say(l, "store %s, run %s: %s   volley actor --store %s --run %s", l->shown,
                       l->run, words, vly_shell_word(l->shown), run);
}

vly_status vly_leader_start_fleet(vly_leader *l) {
    VLY_TRY(publish_config(l));
    VLY_TRY(vly_store_delete(l->store, "stop"));
    VLY_TRY(vly_leader_beat(l, vly_lead_get_counts(l->t).updates));
    vly_store_set_retry(l->store, VLY_LEADER_OWN_RETRY_MS);
    if (l->config->run.role == VLY_RUN_ROLE_LEARNER) {
        say_how_to_join(l, "waiting for actors");
        return VLY_OK;
    }
    l->worker_count = vly_fleet_workers(l->config);
    l->workers = calloc((size_t)l->worker_count, sizeof *l->workers);
    if (!l->workers) return vly_fail(VLY_ENOMEM, "leader: out of memory");
    for (int i = 0; i < l->worker_count; i++) {
        l->workers[i].rank = i;
        VLY_TRY(vly_leader_start_worker(l, &l->workers[i]));
    }
    return VLY_OK;
}

/* ---- start and end ---- */

/* The last part of the folder's name, without characters that a key of the store may not have. */
static void name_run(vly_leader *l) {
    const char *slash = strrchr(l->folder, '/');
    snprintf(l->run, sizeof l->run, "%.96s", slash && slash[1] ? slash + 1 : l->folder);
    for (char *c = l->run; *c; c++)
        if (strchr("{} \r\n/", *c)) *c = '_';
}

/* A resumed run needs what the store holds: tables, experience. */
static bool store_is_durable(const vly_config *k) {
    const vly_fleet_scheme kind = vly_fleet_scheme_of(k);
    return kind == VLY_FLEET_TABLES || (kind == VLY_FLEET_EXPERIENCE && k->checkpoint.replay);
}

static bool is_stopped(void *train) {
    return vly_lead_interrupted(train);
}

static vly_status connect_store(vly_leader *l) {
    vly_store_options own = {.timeout_ms = vly_fleet_timeout_ms(l->config),
                             .retry_ms = START_RETRY_MS,
                             .wait = vly_lead_await,
                             .arg = l->t,
                             .stopped = is_stopped};
    name_run(l);
    if (l->config->run.store[0]) {
        snprintf(l->url, sizeof l->url, "%s", l->config->run.store);
    } else {
        char redis[1400];
        snprintf(redis, sizeof redis, "%s/redis", l->folder);
        VLY_TRY(vly_store_server_start(&l->redis, redis, store_is_durable(l->config), &own));
        snprintf(l->url, sizeof l->url, "%s", vly_store_server_url(l->redis));
    }
    vly_store_shown(l->url, l->shown, sizeof l->shown);
    /* A Redis that this run did not start may start later. From here on
     * vly_leader_wait_for_store retries. */
    if (l->redis)
        own.retry_ms = VLY_LEADER_OWN_RETRY_MS;
    else
        own.say = l->say, own.say_arg = l->arg;
    VLY_TRY(vly_store_open(&l->store, l->url, l->run, &own));
    say_how_to_join(l, "more workers join with");
    return VLY_OK;
}

static vly_status lead_scheme(vly_leader *l) {
    switch (vly_fleet_scheme_of(l->config)) {
    case VLY_FLEET_TABLES: return vly_leader_lead_tables(l);
    case VLY_FLEET_UNROLLS: return vly_leader_lead_unrolls(l);
    case VLY_FLEET_EXPERIENCE: return vly_leader_lead_experience(l);
    default: return vly_leader_lead_gradients(l);
    }
}

vly_status vly_leader_lead(void *leader, vly_train *t) {
    vly_leader *l = leader;
    l->t = t;
    vly_status status = connect_store(l);
    if (status == VLY_EPEER && vly_lead_interrupted(t)) { /* before anything was learned */
        const vly_lead_counts counts = vly_lead_get_counts(t);
        return vly_lead_tick(t, &counts, NULL, 0);
    }
    if (status == VLY_OK) status = claim_run(l);
    if (status == VLY_OK) status = lead_scheme(l);
    vly_leader_end_workers(l);
    vly_store_close(l->store); /* its descriptor is on the run's loop */
    l->store = NULL;
    return status;
}

vly_status vly_leader_create(vly_leader **out, const vly_config *config, const char *folder,
                             void (*say)(void *arg, const char *text), void *arg) {
    if (config->run.store[0]) VLY_TRY(vly_store_check(config->run.store));
    vly_leader *l = calloc(1, sizeof *l);
    if (!l) return vly_fail(VLY_ENOMEM, "leader: out of memory");
    l->life = (int64_t)time(NULL) << 22 | (getpid() & 0x3fffff);
    l->config = config, l->folder = folder, l->say = say, l->arg = arg;
    *out = l;
    return VLY_OK;
}

void vly_leader_destroy(vly_leader *l) {
    if (!l) return;
    vly_leader_end_workers(l);
    vly_store_close(l->store);
    vly_store_server_stop(l->redis);
    free(l->workers);
    free(l->optimum);
    free(l);
}
