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
#include "cpu/fleet/leader_impl.h"
#include "cpu/fleet/weights.h"

enum { BLOCKS_AT_ONCE = 16, BURST_MS = 20, IDLE_MS = 1, COUNT_MS = 500 };

typedef struct {
    vly_leader *l;
    vly_train *t;
    vly_lead_parts run;
    vly_lead_counts done; /* so far */
    const vly_config *k;
    vly_feed *feed;
    vly_experience *memory;
    vly_weights *weights;
    vly_real *param;                    /* host copy of the weights, for the store */
    int64_t start_steps, start_updates; /* when learning began in this process; -1: not yet */
    int64_t begun;                      /* steps when this process began */
    int64_t published, published_ms, kept_ms, counted_ms;
    double lag_sum, lag_max;
    int64_t lags;
    int members;
    bool lost;     /* the store has been lost since the last sync */
    bool finished; /* the updates owed at the end are made */
} experience_learner;

static void count_block(void *arg, const vly_block_head *h) {
    experience_learner *e = arg;
    const double lag = (double)(e->done.updates - h->version);
    e->done.steps += h->agent_steps;
    vly_lead_set_counts(e->t, &e->done);
    for (uint32_t i = 0; i < h->returns; i++) vly_lead_episode(e->t, (double)h->score[i]);
    e->lag_sum += lag, e->lags++;
    e->lag_max = lag > e->lag_max ? lag : e->lag_max;
}

static vly_status publish_weights(experience_learner *e, bool stop) {
    const vly_lead_parts *r = &e->run;
    const vly_params *p = r->algo->arena;
    VLY_TRY(r->compute->download(r->queue, e->param, p->param, (size_t)p->n * sizeof *e->param));
    VLY_TRY(r->compute->queue_sync(r->queue));
    VLY_TRY(vly_weights_publish(e->weights, e->done.updates, e->done.steps, stop, e->param));
    e->published = e->done.updates, e->published_ms = vly_now_ms();
    return VLY_OK;
}

/* floor(replay.ratio * steps since learning began / batch) - updates since then. */
static int64_t updates_owed(experience_learner *e) {
    const vly_lead_counts *c = &e->done;
    vly_experience_report r;
    vly_experience_get_report(e->memory, &r);
    if (r.live < e->k->dqn.batch) return 0;
    if (e->start_steps < 0) {
        if (c->steps < e->k->dqn.learning_starts) return 0;
        e->start_steps = e->k->dqn.learning_starts > e->begun ? e->k->dqn.learning_starts
                                                              : e->begun;
        e->start_updates = c->updates;
    }
    const double rows = (double)e->k->replay.ratio * (double)(c->steps - e->start_steps);
    return (int64_t)floor(rows / e->k->dqn.batch) - (c->updates - e->start_updates);
}

/* ---- learning ---- */

static vly_status learn_one(experience_learner *e) {
    const vly_lead_parts *r = &e->run;
    const vly_progress progress = vly_lead_progress(e->t);
    VLY_TRY(r->algo->learn(r->algo, r->queue, &progress));
    VLY_TRY(r->compute->queue_sync(r->queue));
    e->done.updates++;
    vly_lead_set_counts(e->t, &e->done);
    vly_lead_learned(e->t, e->k->dqn.batch);
    vly_metric unused[VLY_METRICS_MAX];
    int count;
    VLY_TRY(r->algo->metrics(r->algo, unused, &count)); /* VLY_ENUMERIC ends the run */
    return vly_experience_learned(e->memory, e->feed);
}

/* Runs updates for at most BURST_MS; the next batch's frames are fetched during each update. */
static vly_status learn_burst(experience_learner *e, int64_t due) {
    const int64_t until = vly_now_ms() + BURST_MS;
    const vly_progress progress = vly_lead_progress(e->t);
    const float left = (float)vly_progress_left(&progress);
    const float beta = e->k->replay.beta + (e->k->replay.beta_end - e->k->replay.beta) * (1 - left);
    VLY_TRY(vly_experience_draw(e->memory, beta));
    for (;;) {
        VLY_TRY(vly_experience_fetch(e->memory, e->feed));
        const bool more = --due > 0 && vly_now_ms() < until;
        if (more) VLY_TRY(vly_experience_draw(e->memory, beta));
        VLY_TRY(learn_one(e));
        if (!more) return VLY_OK;
    }
}

static vly_status sync_after_loss(experience_learner *e) {
    if (!e->lost) return VLY_OK;
    VLY_TRY(vly_experience_sync(e->memory));
    VLY_TRY(publish_weights(e, false));
    e->lost = false;
    return VLY_OK;
}

static vly_status run_round(experience_learner *e, bool *worked) {
    int blocks = 0;
    VLY_TRY(sync_after_loss(e));
    int64_t due = updates_owed(e);
    if (due < e->k->apex.behind) VLY_TRY(vly_experience_take(e->memory, BLOCKS_AT_ONCE, &blocks));
    due = updates_owed(e);
    if (due > 0) VLY_TRY(learn_burst(e, due));
    *worked = blocks > 0 || due > 0;
    const vly_lead_counts *c = &e->done;
    if (c->updates - e->published >= e->k->apex.publish ||
        (c->updates > e->published && vly_now_ms() - e->published_ms > 250) ||
        vly_now_ms() - e->published_ms > 1000)
        VLY_TRY(publish_weights(e, false));
    if ((double)(vly_now_ms() - e->kept_ms) < 1000 * (double)e->k->apex.keep_s) return VLY_OK;
    e->kept_ms = vly_now_ms();
    return vly_experience_keep(e->memory);
}

/* ---- reports ---- */

static vly_status count_member(void *arg, const char *member, const char *json) {
    (void)member;
    *(int *)arg += strstr(json, "\"role\":\"actor\"") != NULL;
    return VLY_OK;
}

static vly_status count_actors(experience_learner *e) {
    int all;
    if (vly_now_ms() - e->counted_ms <= COUNT_MS) return VLY_OK;
    e->members = 0, e->counted_ms = vly_now_ms();
    return vly_store_members(e->l->store, count_member, &e->members, &all);
}

static void add_metrics(experience_learner *e, vly_metric *m, int *n) {
    const vly_lead_counts *c = &e->done;
    vly_experience_report r;
    vly_experience_get_report(e->memory, &r);
    vly_metric_add(m, n, "charts/replay_size", (double)r.live);
    const int64_t acted = e->start_steps < 0 ? 0 : c->steps - e->start_steps;
    vly_metric_add(
        m, n, "charts/replay_ratio",
        acted > 0 ? (double)(c->updates - e->start_updates) * e->k->dqn.batch / (double)acted : 0);
    vly_metric_add(m, n, "store/bytes", (double)r.stored_bytes);
    vly_metric_add(m, n, "store/taken_bytes", (double)r.bytes);
    vly_metric_add(m, n, "store/waiting", (double)r.waiting);
    vly_metric_add(m, n, "store/evicted", (double)r.evicted);
    vly_metric_add(m, n, "store/lost", (double)r.lost);
    vly_metric_add(m, n, "store/missed_blocks", (double)r.missed);
    vly_metric_add(m, n, "store/corrupt", (double)r.corrupt);
    vly_metric_add(m, n, "store/cached", r.sampled ? (double)r.from_cache / (double)r.sampled : 0);
    vly_metric_add(m, n, "dist/lag_mean", e->lags ? e->lag_sum / (double)e->lags : 0);
    vly_metric_add(m, n, "dist/lag_max", e->lag_max);
    vly_metric_add(m, n, "dist/workers", e->members);
    e->lag_sum = e->lag_max = 0, e->lags = 0;
}

/* VLY_ENOSPACE: the server has less memory than planned, so the shards shrink. */
static vly_status note_loss(experience_learner *e, vly_status status) {
    if (status == VLY_ENOSPACE) return vly_experience_shrink(e->memory);
    if (status == VLY_EPEER) e->lost = true;
    return status;
}

static vly_status report_experience(void *arg, vly_leader_report *out) {
    experience_learner *e = arg;
    out->counts = e->done;
    out->version = e->done.updates;
    VLY_TRY(note_loss(e, count_actors(e)));
    if (e->start_steps >= 0) VLY_TRY(e->run.algo->metrics(e->run.algo, out->metrics, &out->n));
    add_metrics(e, out->metrics, &out->n);
    return VLY_OK;
}

/* ---- a run ---- */

static vly_status serve_actors(void *arg) {
    experience_learner *e = arg;
    bool worked = false;
    VLY_TRY(note_loss(e, run_round(e, &worked)));
    if (!worked) (void)vly_lead_await(e->t, -1, false, IDLE_MS);
    return VLY_OK;
}

/* Runs the updates owed for the last steps too, so the replay ratio holds for the whole run. */
static vly_status finish_owed_updates(experience_learner *e) {
    if (vly_lead_stop(e->t) != VLY_STOP_BUDGET || e->lost) return VLY_OK;
    for (int64_t due = updates_owed(e); due > 0 && !vly_lead_interrupted(e->t);
         due = updates_owed(e)) {
        VLY_TRY(learn_burst(e, due));
        VLY_TRY(vly_leader_beat(e->l, e->done.updates));
    }
    return VLY_OK;
}

static vly_status end_experience(void *arg) {
    experience_learner *e = arg;
    if (!e->finished) {
        VLY_TRY(note_loss(e, finish_owed_updates(e)));
        if (!e->lost) VLY_TRY(note_loss(e, vly_experience_keep(e->memory)));
        e->finished = true;
    }
    const vly_status status = publish_weights(e, true);
    if (status != VLY_ENOSPACE) return status;
    VLY_TRY(vly_experience_shrink(e->memory));
    return publish_weights(e, true);
}

static vly_status start_experience(experience_learner *e) {
    const vly_config *k = e->k;
    const vly_env *env = e->run.env;
    const vly_experience_options o = {
        .url = e->l->url,
        .run = e->l->run,
        .shape = vly_apex_shape(k, &env->obs, env->action.n),
        .shards = k->apex.shards,
        .batch = k->dqn.batch,
        .capacity = k->replay.capacity,
        .shard_bytes = k->apex.shard_bytes,
        .cache_bytes = k->apex.cache,
        .store = {.retry_ms = VLY_LEADER_OWN_RETRY_MS, .wait = vly_lead_await, .arg = e->t},
        .alpha = k->replay.alpha,
        .priority_eps = k->replay.priority_eps,
        .seed = (uint64_t)k->run.seed ^ (uint64_t)e->done.updates << 32,
        .fresh = e->begun == 0,
        .on_block = count_block,
        .arg = e};
    e->feed = vly_dqn_feed(e->run.algo);
    if (!e->feed)
        return vly_fail(VLY_EINVAL, "%s does not learn from experience in a store", k->run.algo);
    e->param = malloc((size_t)e->run.algo->arena->n * sizeof *e->param);
    if (!e->param) return vly_fail(VLY_ENOMEM, "leader: out of memory");
    VLY_TRY(vly_weights_create(&e->weights, e->l->store, e->run.algo->arena->n));
    VLY_TRY(vly_experience_open(&e->memory, &o));
    VLY_TRY(publish_weights(e, false));
    return vly_leader_start_fleet(e->l);
}

vly_status vly_leader_lead_experience(vly_leader *l) {
    experience_learner e = {.l = l,
                            .t = l->t,
                            .run = vly_lead_get_parts(l->t),
                            .done = vly_lead_get_counts(l->t),
                            .k = l->config,
                            .start_steps = -1};
    e.begun = e.done.steps;
    const vly_leader_scheme scheme = {.arg = &e,
                                      .serve = serve_actors,
                                      .report = report_experience,
                                      .announce_end = end_experience,
                                      .report_ms = VLY_LEADER_SERVE_MS};
    vly_status status = start_experience(&e);
    if (status == VLY_OK) status = vly_leader_serve(l, &scheme);
    if (status != VLY_OK && e.weights) {
        char reason[512];
        strncpy(reason, vly_error_text(), sizeof reason - 1), reason[sizeof reason - 1] = '\0';
        (void)publish_weights(&e, true);
        vly_fail(status, "%s", reason);
    }
    vly_experience_close(e.memory);
    vly_weights_destroy(e.weights);
    free(e.param);
    return status;
}
