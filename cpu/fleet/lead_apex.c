/* The learner of Ape-X: takes blocks of experience from the store, samples them by priority,
 * learns, publishes weights. It learns from replay.ratio rows a step at most; when it falls more
 * than apex.behind updates behind that, it leaves blocks in the store, and actors wait. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/learn/dqn.h"
#include "common/learn/learner.h"
#include "cpu/fleet/apex.h"
#include "cpu/fleet/experience.h"
#include "cpu/fleet/scheme_impl.h"
#include "cpu/fleet/weights.h"
#include "cpu/train/lead.h"

enum { BLOCKS_AT_ONCE = 16, BURST_MS = 20, IDLE_US = 500 };

typedef struct {
    vly_dist *d;
    vly_train *t;
    vly_lead_parts run;
    vly_lead_counts done; /* so far */
    const vly_config *k;
    vly_feed *feed;
    vly_experience *e;
    vly_weights *weights;
    vly_real *param;                    /* host copy of the weights, for the store */
    int64_t start_steps, start_updates; /* when learning began in this process; -1: not yet */
    int64_t begun;                      /* steps when this process began */
    int64_t published, published_ms, kept_ms;
    double lag_sum, lag_max;
    int64_t lags;
    int members;
    bool lost; /* the store has been lost since the last sync */
} leader;

static void on_block(void *arg, const vly_block_head *h) {
    leader *l = arg;
    const double lag = (double)(l->done.updates - h->version);
    l->done.steps += h->agent_steps;
    vly_lead_set_counts(l->t, &l->done);
    for (uint32_t i = 0; i < h->returns; i++) vly_lead_episode(l->t, (double)h->score[i]);
    l->lag_sum += lag, l->lags++;
    l->lag_max = lag > l->lag_max ? lag : l->lag_max;
}

static vly_status publish_weights(leader *l, bool stop) {
    const vly_lead_parts *r = &l->run;
    const vly_params *p = r->algo->arena;
    VLY_TRY(r->compute->download(r->queue, l->param, p->param, (size_t)p->n * sizeof *l->param));
    VLY_TRY(r->compute->queue_sync(r->queue));
    VLY_TRY(vly_weights_publish(l->weights, l->done.updates, l->done.steps, stop, l->param));
    l->published = l->done.updates, l->published_ms = vly_now_ms();
    return VLY_OK;
}

/* floor(replay.ratio * steps since learning began / batch) - updates since then. */
static int64_t updates_owed(leader *l) {
    const vly_lead_counts *c = &l->done;
    vly_experience_report r;
    vly_experience_get_report(l->e, &r);
    if (r.live < l->k->dqn.batch) return 0;
    if (l->start_steps < 0) {
        if (c->steps < l->k->dqn.learning_starts) return 0;
        l->start_steps = l->k->dqn.learning_starts > l->begun ? l->k->dqn.learning_starts
                                                              : l->begun;
        l->start_updates = c->updates;
    }
    const double rows = (double)l->k->replay.ratio * (double)(c->steps - l->start_steps);
    return (int64_t)floor(rows / l->k->dqn.batch) - (c->updates - l->start_updates);
}

/* ---- learning ---- */

static vly_status learn_one(leader *l) {
    const vly_lead_parts *r = &l->run;
    const vly_progress progress = vly_lead_progress(l->t);
    VLY_TRY(r->algo->learn(r->algo, r->queue, &progress));
    VLY_TRY(r->compute->queue_sync(r->queue));
    l->done.updates++;
    vly_lead_set_counts(l->t, &l->done);
    vly_lead_learned(l->t, l->k->dqn.batch);
    return vly_experience_learned(l->e, l->feed);
}

/* Updates for BURST_MS at most; frames are fetched while the update before is computed. */
static vly_status learn_burst(leader *l, int64_t due) {
    const int64_t until = vly_now_ms() + BURST_MS;
    const vly_progress progress = vly_lead_progress(l->t);
    const float left = (float)vly_progress_left(&progress);
    const float beta = l->k->replay.beta + (l->k->replay.beta_end - l->k->replay.beta) * (1 - left);
    VLY_TRY(vly_experience_draw(l->e, beta));
    for (;;) {
        VLY_TRY(vly_experience_fetch(l->e, l->feed));
        const bool more = --due > 0 && vly_now_ms() < until;
        if (more) VLY_TRY(vly_experience_draw(l->e, beta));
        VLY_TRY(learn_one(l));
        if (!more) break;
    }
    vly_metric unused[VLY_METRICS_MAX];
    int count;
    return l->run.algo->metrics(l->run.algo, unused, &count); /* VLY_ENUMERIC ends the run */
}

static vly_status sync_again(leader *l) {
    if (!l->lost) return VLY_OK;
    VLY_TRY(vly_experience_sync(l->e));
    VLY_TRY(publish_weights(l, false));
    l->lost = false;
    return VLY_OK;
}

static vly_status round_of_work(leader *l, bool *worked) {
    int blocks = 0;
    VLY_TRY(sync_again(l));
    int64_t due = updates_owed(l);
    if (due < l->k->apex.behind) VLY_TRY(vly_experience_take(l->e, BLOCKS_AT_ONCE, &blocks));
    due = updates_owed(l);
    if (due > 0) VLY_TRY(learn_burst(l, due));
    *worked = blocks > 0 || due > 0;
    const vly_lead_counts *c = &l->done;
    if (c->updates - l->published >= l->k->apex.publish ||
        (c->updates > l->published && vly_now_ms() - l->published_ms > 250) ||
        vly_now_ms() - l->published_ms > 1000)
        VLY_TRY(publish_weights(l, false));
    if ((double)(vly_now_ms() - l->kept_ms) < 1000 * (double)l->k->apex.keep_s) return VLY_OK;
    l->kept_ms = vly_now_ms();
    return vly_experience_keep(l->e);
}

/* ---- reports ---- */

static vly_status count_member(void *arg, const char *member, const char *json) {
    (void)member;
    *(int *)arg += strstr(json, "\"role\":\"actor\"") != NULL;
    return VLY_OK;
}

static vly_status count_actors(leader *l) {
    int all;
    l->members = 0;
    return vly_store_members(l->d->store, count_member, &l->members, &all);
}

static void add_metrics(leader *l, vly_metric *m, int *n) {
    const vly_lead_counts *c = &l->done;
    vly_experience_report r;
    vly_experience_get_report(l->e, &r);
    vly_metric_add(m, n, "charts/replay_size", (double)r.live);
    const int64_t acted = l->start_steps < 0 ? 0 : c->steps - l->start_steps;
    vly_metric_add(
        m, n, "charts/replay_ratio",
        acted > 0 ? (double)(c->updates - l->start_updates) * l->k->dqn.batch / (double)acted : 0);
    vly_metric_add(m, n, "store/bytes", (double)r.stored_bytes);
    vly_metric_add(m, n, "store/taken_bytes", (double)r.bytes);
    vly_metric_add(m, n, "store/waiting", (double)r.waiting);
    vly_metric_add(m, n, "store/evicted", (double)r.evicted);
    vly_metric_add(m, n, "store/lost", (double)r.lost);
    vly_metric_add(m, n, "store/missed_blocks", (double)r.missed);
    vly_metric_add(m, n, "store/corrupt", (double)r.corrupt);
    vly_metric_add(m, n, "store/cached", r.sampled ? (double)r.from_cache / (double)r.sampled : 0);
    vly_metric_add(m, n, "dist/lag_mean", l->lags ? l->lag_sum / (double)l->lags : 0);
    vly_metric_add(m, n, "dist/lag_max", l->lag_max);
    vly_metric_add(m, n, "dist/workers", l->members);
    vly_metric_add(m, n, "dist/restarts", l->d->restarts);
    l->lag_sum = l->lag_max = 0, l->lags = 0;
}

static vly_status keep_books(leader *l) {
    vly_metric m[VLY_METRICS_MAX];
    int n = 0;
    VLY_TRY(vly_dist_watch(l->d, false));
    if (vly_now_ms() - l->d->beat_ms > 500) {
        VLY_TRY(vly_dist_beat(l->d, l->done.updates));
        VLY_TRY(count_actors(l));
        l->d->beat_ms = vly_now_ms();
    }
    if (l->start_steps >= 0) VLY_TRY(l->run.algo->metrics(l->run.algo, m, &n));
    add_metrics(l, m, &n);
    return vly_lead_tick(l->t, &l->done, m, n);
}

/* ---- a run ---- */

/* VLY_ENOSPACE: the server has less memory than planned, so the shards shrink. */
static vly_status survive_or_shrink(leader *l, vly_status status, int64_t *lost_ms) {
    if (status == VLY_ENOSPACE) return vly_experience_shrink(l->e);
    if (status == VLY_EPEER) l->lost = true;
    return vly_dist_wait_for_store(l->d, status, lost_ms);
}

static vly_status publish_end(void *arg) {
    leader *l = arg;
    const vly_status status = publish_weights(l, true);
    if (status != VLY_ENOSPACE) return status;
    VLY_TRY(vly_experience_shrink(l->e));
    return publish_weights(l, true);
}

/* The steps that reached the budget are learned from too: the ratio holds for the whole run. */
static vly_status finish_owed_updates(leader *l) {
    if (vly_lead_stop(l->t) != VLY_STOP_BUDGET || l->lost) return VLY_OK;
    for (int64_t due = updates_owed(l); due > 0 && !vly_lead_interrupted(l->t);
         due = updates_owed(l)) {
        VLY_TRY(learn_burst(l, due));
        VLY_TRY(vly_dist_beat(l->d, l->done.updates));
    }
    return VLY_OK;
}

static vly_status serve_actors(leader *l) {
    vly_train *t = l->t;
    int64_t last = 0, lost = 0;
    while (vly_lead_stop(t) == VLY_STOP_NONE) {
        bool worked = false;
        vly_status status = round_of_work(l, &worked);
        if (status == VLY_OK) lost = 0;
        VLY_TRY(survive_or_shrink(l, status, &lost));
        vly_lead_mark(t, VLY_PHASE_LEARN);
        if (vly_now_ms() - last >= VLY_DIST_SERVE_MS) {
            last = vly_now_ms();
            VLY_TRY(survive_or_shrink(l, keep_books(l), &lost));
            vly_lead_mark(t, VLY_PHASE_OTHER);
        }
        if (!worked) nanosleep(&(struct timespec){0, IDLE_US * 1000L}, NULL);
    }
    VLY_TRY(survive_or_shrink(l, finish_owed_updates(l), &lost));
    VLY_TRY(survive_or_shrink(l, l->lost ? VLY_OK : vly_experience_keep(l->e), &lost));
    return vly_dist_announce_end(l->d, publish_end, l);
}

static vly_status open_leader(leader *l) {
    const vly_config *k = l->k;
    const vly_env *env = l->run.env;
    const vly_experience_options o = {.url = l->d->url,
                                      .run = l->d->run,
                                      .shape = vly_apex_shape(k, &env->obs, env->actions),
                                      .shards = k->apex.shards,
                                      .batch = k->dqn.batch,
                                      .capacity = k->replay.capacity,
                                      .shard_bytes = k->apex.shard_bytes,
                                      .cache_bytes = k->apex.cache,
                                      .retry_ms = VLY_DIST_OWN_RETRY_MS,
                                      .alpha = k->replay.alpha,
                                      .priority_eps = k->replay.priority_eps,
                                      .seed = (uint64_t)k->run.seed ^ (uint64_t)l->done.updates
                                                                          << 32,
                                      .on_block = on_block,
                                      .arg = l};
    l->feed = vly_dqn_feed(l->run.algo);
    if (!l->feed)
        return vly_fail(VLY_EINVAL, "%s does not learn from experience in a store", k->run.algo);
    l->param = malloc((size_t)l->run.algo->arena->n * sizeof *l->param);
    if (!l->param) return vly_fail(VLY_ENOMEM, "distributed run: out of memory");
    VLY_TRY(vly_weights_create(&l->weights, l->d->store, l->run.algo->arena->n));
    VLY_TRY(vly_experience_open(&l->e, &o));
    VLY_TRY(publish_weights(l, false));
    return vly_dist_start_fleet(l->d);
}

vly_status vly_dist_lead_apex(vly_dist *d) {
    leader l = {.d = d,
                .t = d->t,
                .run = vly_lead_get_parts(d->t),
                .done = vly_lead_get_counts(d->t),
                .k = d->config,
                .start_steps = -1};
    l.begun = l.done.steps;
    vly_status status = open_leader(&l);
    if (status == VLY_OK) status = serve_actors(&l);
    if (status != VLY_OK && l.weights) {
        char words[512];
        strncpy(words, vly_error_text(), sizeof words - 1), words[sizeof words - 1] = '\0';
        (void)publish_weights(&l, true);
        vly_fail(status, "%s", words);
    }
    vly_experience_close(l.e);
    vly_weights_destroy(l.weights);
    free(l.param);
    return status;
}
