#include "common/learn/dqn_impl.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 64 }; /* updates enqueued ahead of a device */
/* Actors that explore more only gather experience: their episodes are not reported. */
static const double LADDER_COUNTS = 0.02;

static double exploration(const vly_config *c, int64_t steps) {
    const double done = (double)steps / (double)c->dqn.eps_steps;
    return (double)c->dqn.eps_start +
           ((double)c->dqn.eps_end - (double)c->dqn.eps_start) * (done < 1 ? done : 1);
}

/* ---- acting ---- */

static bool dqn_place(vly_algo *pub, int group, vly_rows *rows) {
    vly_replay_place(((dqn *)pub)->replay, group, rows);
    return true;
}

static vly_status dqn_arrived(vly_algo *pub, vly_queue *q, int group, const uint8_t *age) {
    dqn *a = (dqn *)pub;
    a->k->begun = 1;
    VLY_TRY(vly_replay_arrived(a->replay, q, group, age));
    return vly_moments_see_newest(&a->running, q, a->learner.params.param, a->replay, group);
}

static vly_status dqn_act_group(vly_queue *q, void *arg) {
    dqn *a = arg;
    const int first = a->group * a->M;
    const vly_frames frames = vly_replay_frames(a->replay);
    vly_rng *rng = &a->rng[a->group];
    VLY_TRY(vly_exec_gather(a->acting, q, &frames, a->M, a->act_row + first, 0));
    VLY_TRY(vly_exec_forward(a->acting, q, a->M, a->learner.params.param));
    if (a->act_allowed)
        VLY_TRY(a->c->mask_actions(q, (int64_t)a->M * a->actions,
                                   a->act_allowed + (int64_t)first * a->actions,
                                   a->acting->logits));
    VLY_TRY(a->c->sample_greedy(
        q, a->M, a->actions, a->acting->logits, a->greedy ? NULL : a->epsilon + first, rng, NULL,
        first, a->action + first, a->action_shown ? a->action_shown + first : NULL));
    VLY_TRY(a->c->rng_advance(q, rng));
    return a->action_shown ? VLY_OK
                           : a->c->download(q, a->action_host + first, a->action + first,
                                            (size_t)a->M * sizeof(int32_t));
}

static vly_status remember_values(dqn *a, vly_queue *q, int64_t row) {
    if (!a->row_value) return VLY_OK;
    return a->c->copy(q, a->row_value + row * a->actions, a->acting->logits,
                      (size_t)a->M * (size_t)a->actions * sizeof(vly_real));
}

static vly_status dqn_act(vly_algo *pub, vly_queue *q, const int *group, int count) {
    dqn *a = (dqn *)pub;
    for (int i = 0; i < count; i++) {
        const int g = group[i], first = g * a->M;
        const int64_t newest = vly_replay_newest(a->replay, g);
        for (int k = 0; k < a->M; k++) a->act_row_host[first + k] = (int32_t)(newest + k);
        VLY_TRY(a->c->upload(q, a->act_row + first, a->act_row_host + first,
                             (size_t)a->M * sizeof(int32_t)));
        a->group = g;
        if (a->act_allowed)
            VLY_TRY(a->c->copy(q, a->act_allowed + (int64_t)first * a->actions,
                               a->replay->allowed + newest * a->actions,
                               (size_t)(a->M * a->actions)));
        VLY_TRY(a->c->graph_run(q, &a->act_graph[g], dqn_act_group, a));
        VLY_TRY(vly_replay_acted(a->replay, q, g, a->action + first));
        VLY_TRY(remember_values(a, q, newest));
    }
    return VLY_OK;
}

static vly_actions dqn_action(vly_algo *pub, int group) {
    const dqn *a = (const dqn *)pub;
    return vly_actions_of_ints(a->action_host + group * a->M);
}

/* ---- learning ---- */

/* Only what is allowed there can be the best. */
static vly_status mask_next(dqn *a, vly_queue *q, vly_real *values) {
    if (!a->act_allowed) return VLY_OK;
    return a->c->mask_actions(q, (int64_t)a->batch * a->actions, a->replay->batch.next_allowed,
                              values);
}

/* Q of the bootstrap rows by the target network, which normalises them as the online one does. */
static vly_status evaluate_next(dqn *a, vly_queue *q, const vly_frames *frames,
                                const int32_t *row) {
    VLY_TRY(vly_moments_share(&a->running, q, a->learner.params.param, a->target_param));
    VLY_TRY(vly_exec_gather(a->target, q, frames, a->batch, row, 0));
    VLY_TRY(vly_exec_forward(a->target, q, a->batch, a->target_param));
    return mask_next(a, q, a->target->logits);
}

/* What the online network chooses on the bootstrap rows, in a pass of its own. */
static vly_status choose_next(dqn *a, vly_queue *q, const vly_frames *frames, const int32_t *row) {
    VLY_TRY(vly_exec_gather(a->learning, q, frames, a->batch, row, 0));
    VLY_TRY(vly_exec_forward(a->learning, q, a->batch, a->learner.params.param));
    VLY_TRY(mask_next(a, q, a->learning->logits));
    return a->c->copy(q, a->chosen_by, a->learning->logits,
                      (size_t)a->batch * (size_t)a->actions * sizeof(vly_real));
}

/* Q of the rows by the online network, for the backward pass, which reads the first `batch` rows
 * of a wider one. */
static vly_status evaluate_rows(dqn *a, vly_queue *q, const vly_frames *frames,
                                const vly_replay_batch *b) {
    const vly_real *param = a->learner.params.param;
    if (a->chosen_by && !a->one_pass) VLY_TRY(choose_next(a, q, frames, b->bootstrap_row));
    VLY_TRY(vly_exec_gather(a->learning, q, frames, a->batch, b->row, 0));
    if (!a->one_pass) return vly_exec_forward(a->learning, q, a->batch, param);
    VLY_TRY(vly_exec_gather_behind(a->learning, q, frames, a->batch, b->bootstrap_row, a->batch));
    VLY_TRY(vly_exec_forward(a->learning, q, 2 * a->batch, param));
    return mask_next(a, q, a->chosen_by);
}

static vly_status get_batch(dqn *a, vly_queue *q) {
    vly_rng *rng = &a->rng[a->G];
    if (a->feed) return vly_feed_upload(a->feed, q);
    VLY_TRY(vly_replay_sample(a->replay, q, rng, a->learner.hyper_device));
    return a->c->rng_advance(q, rng);
}

static vly_status one_update(vly_queue *q, void *arg) {
    dqn *a = arg;
    vly_learner *l = &a->learner;
    const vly_replay_batch *b = a->feed ? &a->feed->batch : &a->replay->batch;
    const vly_frames frames = a->feed ? vly_feed_frames(a->feed) : vly_replay_frames(a->replay);
    VLY_TRY(get_batch(a, q));
    VLY_TRY(evaluate_next(a, q, &frames, b->bootstrap_row));
    VLY_TRY(evaluate_rows(a, q, &frames, b));
    const vly_dqn_loss_args loss = {.n = a->batch,
                                    .actions = a->actions,
                                    .q = a->learning->logits,
                                    .q_next = a->target->logits,
                                    .q_next_online = a->chosen_by,
                                    .action = b->action,
                                    .n_return = b->n_return,
                                    .discount = b->discount,
                                    .weight = b->weight,
                                    .hyper = l->hyper_device,
                                    .dq = a->learning->dlogits,
                                    .td_abs = b->td_abs,
                                    .stats = l->stats};
    VLY_TRY(a->c->dqn_loss(q, &loss));
    VLY_TRY(vly_exec_backward(a->learning, q, a->batch, l->params.param, l->params.grad));
    VLY_TRY(vly_learner_step(l, q));
    VLY_TRY(a->feed ? vly_feed_download(a->feed, q)
                    : vly_replay_update(a->replay, q, l->hyper_device));
    return vly_learner_stepped(l, q, a->learning);
}

/* tau 1 copies. */
static vly_status move_target(vly_queue *q, void *arg) {
    dqn *a = arg;
    const vly_params *p = &a->learner.params;
    VLY_TRY(a->c->polyak(q, p->n, a->target_param, p->param, a->learner.hyper_device));
    return vly_exec_prepare(a->target, q, a->target_param);
}

/* Gorila: all learners of a server copy at the same of its gradients. */
static bool target_is_due(dqn *a) {
    const int64_t every = a->config->dqn.target_every;
    if (!a->sync || !a->sync->server) return a->k->updates % every == 0;
    const int64_t period = a->sync->server->gradients(a->sync) / every;
    const bool due = period != a->target_period;
    a->target_period = period;
    return due;
}

static vly_status dqn_update(dqn *a, vly_queue *q) {
    if (vly_learner_capturable(&a->learner))
        VLY_TRY(a->c->graph_run(q, &a->graph, one_update, a));
    else
        VLY_TRY(one_update(q, a));
    a->k->updates++;
    return target_is_due(a) ? a->c->graph_run(q, &a->target_graph, move_target, a) : VLY_OK;
}

static int64_t updates_due(dqn *a, const vly_progress *progress) {
    return vly_pace_due(a->k, a->replay, a->config->replay.ratio, a->batch,
                        a->config->dqn.learning_starts, progress->own_steps);
}

/* Every worker has actors from the whole ladder, so all rates of exploration remain when one dies.
 */
static double ladder(const dqn *a, int i) {
    const int world = a->sends ? a->sync->world : 1, rank = a->sends ? a->sync->rank : 0,
              last = world * a->N - 1;
    return pow(0.4, 1 + 7.0 * (i * world + rank) / (last > 0 ? last : 1));
}

static bool counts(const vly_algo *pub, int actor) {
    const dqn *a = (const dqn *)pub;
    return !a->config->dqn.eps_ladder || a->eval || ladder(a, actor) <= LADDER_COUNTS ||
           actor == a->N - 1;
}

vly_status vly_dqn_explore(dqn *a, vly_queue *q, int64_t steps) {
    const vly_config *c = a->config;
    a->rate_now = a->eval ? (double)c->dqn.eps_end : exploration(c, steps);
    for (int i = 0; i < a->N; i++)
        a->epsilon_host[i] = (vly_real)(c->dqn.eps_ladder && !a->eval ? ladder(a, i) : a->rate_now);
    return a->c->upload(q, a->epsilon, a->epsilon_host, (size_t)a->N * sizeof(vly_real));
}

static void dqn_set_hyper(dqn *a, const vly_progress *progress) {
    const vly_config *c = a->config;
    const float left = (float)vly_progress_left(progress);
    vly_hyper *h = a->learner.hyper;
    h->lr = c->dqn.lr * (c->dqn.anneal ? left : 1.0f);
    h->gamma = c->dqn.gamma;
    h->huber_delta = c->dqn.huber;
    h->tau = c->dqn.tau;
    h->reward_scale = c->dqn.reward_scale;
    h->alpha = c->replay.alpha;
    h->beta = c->replay.beta + (c->replay.beta_end - c->replay.beta) * (1.0f - left);
    h->priority_eps = c->replay.priority_eps;
}

static vly_status dqn_send_experience(dqn *a, vly_queue *q) {
    bool fresh;
    VLY_TRY(
        a->sync->experience->send(a->sync, q, a->replay, a->row_value, &a->learner.params, &fresh));
    return fresh ? vly_exec_prepare(a->acting, q, a->learner.params.param) : VLY_OK;
}

/* A stop is looked at after every update; what is enqueued on a device by then is made. */
static vly_status dqn_updates(dqn *a, vly_queue *q, const vly_progress *progress, int64_t due) {
    int64_t made = 0;
    while (made < due && !a->pub.unfinished) {
        VLY_TRY(dqn_update(a, q));
        made++;
        if (made % IN_FLIGHT == 0) VLY_TRY(a->c->queue_sync(q));
        a->pub.unfinished = a->pub.cuts && made < due && vly_progress_stopped(progress);
    }
    a->pub.rows_per_update = made * a->batch;
    return VLY_OK;
}

static vly_status dqn_learn(vly_algo *pub, vly_queue *q, const vly_progress *progress) {
    dqn *a = (dqn *)pub;
    VLY_TRY(vly_dqn_explore(a, q, progress->steps));
    if (a->sends) return dqn_send_experience(a, q);
    const int64_t due = a->feed ? 1 : updates_due(a, progress);
    pub->unfinished = false;
    pub->rows_per_update = 0;
    if (due == 0) return VLY_OK;
    dqn_set_hyper(a, progress);
    VLY_TRY(vly_learner_begin(&a->learner, q));
    VLY_TRY(dqn_updates(a, q, progress, due));
    VLY_TRY(vly_learner_stepped(&a->learner, q, a->acting));
    pub->version = a->k->updates;
    return vly_learner_end(&a->learner, q);
}

/* The ring needs nothing. */
static vly_status dqn_discard(vly_algo *pub, vly_queue *q) {
    (void)pub;
    (void)q;
    return VLY_OK;
}

static vly_status dqn_value(vly_algo *pub, vly_queue *q, float *out) {
    dqn *a = (dqn *)pub;
    float best = -INFINITY, one;
    for (int k = 0; k < a->actions; k++) {
        VLY_TRY(a->c->download(q, &one, a->acting->logits + k, sizeof one));
        VLY_TRY(a->c->queue_sync(q));
        best = one > best ? one : best;
    }
    *out = best;
    return VLY_OK;
}

static vly_status dqn_metrics(vly_algo *pub, vly_metric *out, int *count) {
    dqn *a = (dqn *)pub;
    const vly_real *s = a->learner.sums;
    const vly_pace *k = a->k;
    *count = 0;
    if (!a->feed) {
        vly_metric_add(out, count, "charts/epsilon", a->rate_now);
        vly_metric_add(out, count, "charts/replay_size", (double)vly_replay_size(a->replay));
        vly_metric_add(out, count, "charts/replay_ratio",
                       k->acted > 0
                           ? (double)(k->updates - k->start_updates) * a->batch / (double)k->acted
                           : 0);
    }
    if (k->updates == 0 || s[VLY_STAT_STEPS] + s[VLY_STAT_COUNT] + s[VLY_STAT_NONFINITE] == 0)
        return VLY_OK; /* none since create */
    const double rows = s[VLY_STAT_COUNT] > 0 ? s[VLY_STAT_COUNT] : 1,
                 steps = s[VLY_STAT_STEPS] > 0 ? s[VLY_STAT_STEPS] : 1;
    vly_metric_add(out, count, "charts/learning_rate", a->learner.hyper->lr);
    vly_metric_add(out, count, "losses/td_loss", s[VLY_STAT_VALUE_LOSS] / rows);
    vly_metric_add(out, count, "losses/td_error", s[VLY_STAT_TD_ABS] / rows);
    vly_metric_add(out, count, "losses/q_values", s[VLY_STAT_Q] / rows);
    vly_metric_add(out, count, "losses/grad_norm", s[VLY_STAT_GRAD_NORM] / steps);
    if (a->config->replay.prioritized) {
        vly_metric_add(out, count, "charts/beta", a->learner.hyper->beta);
        vly_metric_add(out, count, "losses/importance_weight", s[VLY_STAT_WEIGHT] / rows);
    }
    const vly_status status = vly_learner_check(&a->learner);
    pub->failed = pub->failed || status != VLY_OK;
    return status;
}

const vly_algo vly_dqn_methods = {.place = dqn_place,
                                  .arrived = dqn_arrived,
                                  .act = dqn_act,
                                  .action = dqn_action,
                                  .value = dqn_value,
                                  .counts = counts,
                                  .learn = dqn_learn,
                                  .discard = dqn_discard,
                                  .metrics = dqn_metrics};
