#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/base/clock.h"
#include "common/config/config.h"
#include "cpu/fleet/scheme_impl.h"
#include "cpu/machine/processors.h"
#include "cpu/train/lead.h"

enum { WORKERS_MAX = 1024, START_RETRY_MS = 30000, END_PATIENCE_MS = 10000 };

/* ---- settings, the same for learner and actors ---- */

int vly_dist_workers(const vly_config *k) {
    const int processors = vly_processors();
    const int workers = k->run.workers > 0 ? k->run.workers : processors > 1 ? processors : 2;
    return workers < WORKERS_MAX ? workers : WORKERS_MAX;
}

static vly_ps_update update_of(const vly_config *k) {
    if (vly_dist_kind_of(k) == VLY_DIST_UNROLLS) return VLY_PS_UNROLLS;
    switch (k->dist.update) {
    case VLY_DIST_UPDATE_SYNC: return VLY_PS_SYNC;
    case VLY_DIST_UPDATE_COORDINATED: return VLY_PS_COORDINATED;
    case VLY_DIST_UPDATE_OVERLAPPED: return VLY_PS_OVERLAPPED;
    case VLY_DIST_UPDATE_FEDAVG: return VLY_PS_FEDAVG;
    default: return VLY_PS_ASYNC;
    }
}

vly_ps_policy vly_dist_policy(const vly_config *k) {
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

int vly_dist_timeout_ms(const vly_config *k) {
    return (int)(1000 * k->dist.ttl_s);
}

vly_tab_scheme vly_dist_tables(const vly_config *k) {
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

void vly_dist_say(vly_dist *d, const char *format, ...) {
    char text[512];
    va_list args;
    if (!d->say) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->say(d->arg, text);
}

/* ---- the store ---- */

static vly_status publish_config(vly_dist *d) {
    char *yaml = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&yaml, &bytes);
    if (!out) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
    vly_config_print(d->config, out);
    fclose(out);
    const vly_status status = vly_store_set(d->store, WIRE_CONFIG, yaml, bytes);
    free(yaml);
    return status;
}

vly_status vly_dist_restart_store(vly_dist *d) {
    bool restarted;
    if (!d->redis) return VLY_OK;
    VLY_TRY(vly_store_server_mend(d->redis, &restarted));
    if (!restarted) return VLY_OK;
    d->store_restarts++;
    vly_dist_say(d, "the run's Redis had died; restarted at %s", d->shown);
    return publish_config(d);
}

vly_status vly_dist_wait_for_store(vly_dist *d, vly_status status, int64_t *lost_ms) {
    if (status != VLY_EPEER) return status;
    if (*lost_ms == 0) *lost_ms = vly_now_ms();
    if (vly_now_ms() - *lost_ms > 1000 * (int64_t)d->config->dist.patience_s) return status;
    const vly_status mended = vly_dist_restart_store(d);
    return mended == VLY_EPEER ? VLY_OK : mended;
}

vly_status vly_dist_announce_end(vly_dist *d, vly_status (*announce)(void *arg), void *arg) {
    const int64_t deadline = vly_now_ms() + END_PATIENCE_MS;
    int64_t lost = 0;
    for (;;) {
        const vly_status status = announce(arg);
        if (status != VLY_EPEER || vly_now_ms() > deadline)
            return vly_dist_wait_for_store(d, status, &lost);
        VLY_TRY(vly_dist_wait_for_store(d, status, &lost));
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
}

vly_status vly_dist_beat(vly_dist *d, int64_t version) {
    char json[256];
    snprintf(json, sizeof json,
             "{\"role\":\"learner\",\"algo\":\"%.31s\",\"env\":\"%.63s\",\"version\":%lld,"
             "\"steps\":%lld,\"pid\":%d,\"life\":%lld}",
             d->config->run.algo, d->config->run.env, (long long)version,
             (long long)vly_lead_get_counts(d->t).steps, (int)getpid(), (long long)d->life);
    return vly_store_beat(d->store, "learner", json, (int)(1000 * d->config->dist.ttl_s));
}

static vly_status find_learner(void *arg, const char *member, const char *json) {
    bool *lives = arg;
    (void)json;
    *lives = *lives || strcmp(member, "learner") == 0;
    return VLY_OK;
}

/* Refuses a second learner. The entry of one that was killed expires after ttl_s. */
static vly_status claim_run(vly_dist *d) {
    const int64_t deadline = vly_now_ms() + (int64_t)(1000 * d->config->dist.ttl_s) + 1000;
    for (bool said = false;; said = true) {
        bool lives = false;
        int count;
        VLY_TRY(vly_store_members(d->store, find_learner, &lives, &count));
        if (!lives) return VLY_OK;
        if (vly_now_ms() > deadline)
            return vly_fail(VLY_EINVAL,
                            "run %s already has a learner, at %s: stop it first, or give this one "
                            "another --out",
                            d->run, d->shown);
        if (!said)
            vly_dist_say(d, "run %s had a learner a moment ago: waiting until its entry expires",
                         d->run);
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
}

vly_status vly_dist_start_fleet(vly_dist *d) {
    VLY_TRY(publish_config(d));
    VLY_TRY(vly_store_delete(d->store, "stop"));
    VLY_TRY(vly_dist_beat(d, vly_lead_get_counts(d->t).updates));
    vly_store_set_retry(d->store, VLY_DIST_OWN_RETRY_MS);
    if (d->config->run.role == VLY_RUN_ROLE_LEARNER) {
        vly_dist_say(d, "waiting for actors: volley actor --store %s --run %s", d->shown, d->run);
        return VLY_OK;
    }
    d->worker_count = vly_dist_workers(d->config);
    d->workers = calloc((size_t)d->worker_count, sizeof *d->workers);
    if (!d->workers) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
    for (int i = 0; i < d->worker_count; i++) {
        d->workers[i].rank = i;
        VLY_TRY(vly_dist_start_worker(d, &d->workers[i]));
    }
    return VLY_OK;
}

/* ---- start and end ---- */

/* The address without its password. */
static void mask_url(vly_dist *d) {
    const char *at = strrchr(d->url, '@'), *scheme = strstr(d->url, "://");
    if (at && scheme)
        snprintf(d->shown, sizeof d->shown, "%.*s%s", (int)(scheme + 3 - d->url), d->url, at + 1);
    else
        snprintf(d->shown, sizeof d->shown, "%s", d->url);
}

/* The last part of the folder's name, without characters that a key of the store may not have. */
static void name_run(vly_dist *d) {
    const char *slash = strrchr(d->folder, '/');
    snprintf(d->run, sizeof d->run, "%.96s", slash && slash[1] ? slash + 1 : d->folder);
    for (char *c = d->run; *c; c++)
        if (strchr("{} \r\n/", *c)) *c = '_';
}

/* A resumed run needs what the store holds: tables, experience. */
static bool store_is_durable(const vly_config *k) {
    const vly_dist_kind kind = vly_dist_kind_of(k);
    return kind == VLY_DIST_TABULAR || (kind == VLY_DIST_APEX && k->checkpoint.replay);
}

static vly_status connect_store(vly_dist *d) {
    name_run(d);
    if (d->config->run.store[0]) {
        snprintf(d->url, sizeof d->url, "%s", d->config->run.store);
    } else {
        char redis[1400];
        snprintf(redis, sizeof redis, "%s/redis", d->folder);
        VLY_TRY(vly_store_server_start(&d->redis, redis, store_is_durable(d->config)));
        snprintf(d->url, sizeof d->url, "%s", vly_store_server_url(d->redis));
    }
    mask_url(d);
    /* Another's Redis may not have started yet. Later vly_dist_wait_for_store retries. */
    const vly_store_options own = {.timeout_ms = vly_dist_timeout_ms(d->config),
                                   .retry_ms = d->redis ? VLY_DIST_OWN_RETRY_MS : START_RETRY_MS};
    VLY_TRY(vly_store_open(&d->store, d->url, d->run, &own));
    vly_dist_say(d, "store %s, run %s: more workers join with   volley actor --store %s --run %s",
                 d->shown, d->run, d->shown, d->run);
    return VLY_OK;
}

static vly_status lead_scheme(vly_dist *d) {
    switch (vly_dist_kind_of(d->config)) {
    case VLY_DIST_TABULAR: return vly_dist_lead_tables(d);
    case VLY_DIST_UNROLLS: return vly_dist_lead_unrolls(d);
    case VLY_DIST_APEX: return vly_dist_lead_apex(d);
    default: return vly_dist_lead_gradients(d);
    }
}

vly_status vly_dist_lead(void *dist, vly_train *t) {
    vly_dist *d = dist;
    d->t = t;
    VLY_TRY(connect_store(d));
    VLY_TRY(claim_run(d));
    const vly_status status = lead_scheme(d);
    vly_dist_end_workers(d);
    return status;
}

vly_status vly_dist_create(vly_dist **out, const vly_config *config, const char *folder,
                           void (*say)(void *arg, const char *text), void *arg) {
    vly_dist *d = calloc(1, sizeof *d);
    if (!d) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
    d->life = (int64_t)time(NULL) << 22 | (getpid() & 0x3fffff);
    d->config = config, d->folder = folder, d->say = say, d->arg = arg;
    *out = d;
    return VLY_OK;
}

void vly_dist_destroy(vly_dist *d) {
    if (!d) return;
    vly_dist_end_workers(d);
    vly_store_close(d->store);
    vly_store_server_stop(d->redis);
    free(d->workers);
    free(d->optimum);
    free(d);
}
