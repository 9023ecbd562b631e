#include "common/learn/dqn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/learn/learner.h"
#include "common/learn/memories.h"
#include "common/learn/replay.h"

enum { STACK_MAX = 16, IN_FLIGHT = 64 /* updates enqueued ahead of a device */ };
static const double LADDER_COUNTS =
    0.02; /* actors that explore more only gather experience: their episodes are not reported */

/* What decides how training goes on and is neither weight nor memory. */
typedef struct {
    int64_t updates;
    int64_t start_steps; /* agent steps when learning started; -1: not yet, or again after a loss of
                            the memory */
    int64_t start_updates; /* and the updates by then */
    int64_t acted;         /* agent steps since, as of the last dqn_learn() */
    int64_t begun;         /* an actor has stepped, so a restored run has frames to go on from */
} counters;

typedef struct {
    vly_algo pub; /* first */
    vly_compute *c;
    const vly_config *config;
    int actions, N, M, G, batch;
    vly_sync *sync;
    bool eval, greedy;
    vly_net *net;
    vly_learner learner;
    vly_replay *replay;
    bool sends;          /* Ape-X's actor: sends its experience instead of learning from it */
    vly_feed *feed;      /* Ape-X's learner: instead of a memory */
    vly_real *row_value; /* (rows of the ring, actions): an actor's Q of what it acted on */
    vly_exec *acting, *learning;
    vly_exec *target;
    vly_real *target_param;
    vly_real *chosen_by; /* (batch, actions): Q of the online network on the bootstrap rows; NULL
                            unless double */

    vly_rng *rng;                     /* device: one per group (acting), one for sampling */
    vly_real *epsilon, *epsilon_host; /* (N) */
    int32_t *act_row, *act_row_host;  /* (N) rows to infer */
    int32_t *action, *action_host;    /* (N) */
    vly_graph **act_graph, *graph, *target_graph;
    int group; /* argument of the captured act_group */

    counters *k;
    double rate_now;
    vly_memories memories;
    int64_t target_period; /* with a parameter server: gradients / target_every at the last copy */
} dqn;

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
    return vly_replay_arrived(a->replay, q, group, age);
}

static vly_status dqn_act_group(vly_queue *q, void *arg) {
    dqn *a = arg;
    const int first = a->group * a->M;
    const vly_frames frames = vly_replay_frames(a->replay);
    vly_rng *rng = &a->rng[a->group];
    VLY_TRY(vly_exec_gather(a->acting, q, &frames, a->M, a->act_row + first, 0));
    VLY_TRY(vly_exec_forward(a->acting, q, a->M, a->learner.params.param));
    VLY_TRY(a->c->sample_greedy(q, a->M, a->actions, a->acting->logits,
                                a->greedy ? NULL : a->epsilon + first, rng, NULL, first,
                                a->action + first));
    VLY_TRY(a->c->rng_advance(q, rng));
    return a->c->download(q, a->action_host + first, a->action + first,
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
        VLY_TRY(a->c->graph_run(q, &a->act_graph[g], dqn_act_group, a));
        VLY_TRY(vly_replay_acted(a->replay, q, g, a->action + first));
        VLY_TRY(remember_values(a, q, newest));
    }
    return VLY_OK;
}

static const int32_t *dqn_action(vly_algo *pub, int group) {
    const dqn *a = (const dqn *)pub;
    return a->action_host + group * a->M;
}

/* ---- learning ---- */

/* Q of the bootstrap rows: the target network's, and with double DQN the online network's to choose
 * by. */
static vly_status evaluate_next(dqn *a, vly_queue *q, const vly_frames *frames,
                                const int32_t *row) {
    VLY_TRY(vly_exec_gather(a->target, q, frames, a->batch, row, 0));
    VLY_TRY(vly_exec_forward(a->target, q, a->batch, a->target_param));
    if (!a->chosen_by) return VLY_OK;
    VLY_TRY(vly_exec_gather(a->learning, q, frames, a->batch, row, 0));
    VLY_TRY(vly_exec_forward(a->learning, q, a->batch, a->learner.params.param));
    return a->c->copy(q, a->chosen_by, a->learning->logits,
                      (size_t)a->batch * (size_t)a->actions * sizeof(vly_real));
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
    VLY_TRY(vly_exec_gather(a->learning, q, &frames, a->batch, b->row, 0));
    VLY_TRY(vly_exec_forward(a->learning, q, a->batch, l->params.param));
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

/* Steps enough, and a memory to match: half, for resets are no transitions. */
static bool may_start(const dqn *a, int64_t steps) {
    const int64_t size = vly_replay_size(a->replay), capacity = a->replay->T * a->replay->N;
    const int64_t wanted = a->config->dqn.learning_starts < capacity
                               ? a->config->dqn.learning_starts
                               : capacity;
    return steps >= a->config->dqn.learning_starts && size >= a->batch && size >= wanted / 2;
}

/* Updates that bring the rows learned from up to replay.ratio times the transitions acted. */
static int64_t updates_due(dqn *a, const vly_progress *progress) {
    counters *k = a->k;
    const int64_t steps = progress->own_steps;
    if (k->start_steps < 0) {
        if (!may_start(a, steps)) return 0;
        k->start_steps = steps;
        k->start_updates = k->updates;
    }
    k->acted = steps - k->start_steps;
    const double rows = (double)a->config->replay.ratio * (double)k->acted;
    const double due = floor(rows / a->batch) - (double)(k->updates - k->start_updates);
    return due > 0 ? (int64_t)due : 0;
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

static vly_status explore(dqn *a, vly_queue *q, int64_t steps) {
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
    VLY_TRY(explore(a, q, progress->steps));
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
    const counters *k = a->k;
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

/* ---- saving ---- */

/* The newest stack of every actor is state, not memory: a run that was saved without its memory
 * acts on. */
static void add_recent(dqn *a, vly_buffer_list *list) {
    const vly_replay *r = a->replay;
    const size_t bytes = r->o.obs.bytes;
    char name[64];
    for (int back = 0; back < r->o.obs.stack; back++) {
        snprintf(name, sizeof name, "observation.%d", back);
        const int64_t row = vly_replay_recent(r, back);
        vly_buffer_add(list, name, VLY_BUFFER_STATE, VLY_U8, r->N * (int64_t)bytes,
                       r->frames + (size_t)row * bytes, true);
    }
    if (r->age)
        vly_buffer_add(list, "age", VLY_BUFFER_STATE, VLY_U8, r->N,
                       r->age + vly_replay_recent(r, 0), true);
}

static int dqn_buffers(vly_algo *pub, vly_buffer *out, int max) {
    dqn *a = (dqn *)pub;
    vly_buffer_list list = {out, 0, max};
    vly_learner_buffers(&a->learner, &list);
    if (a->eval) return list.n;
    vly_buffer_add(&list, "target", VLY_BUFFER_STATE, VLY_F32, a->learner.params.n, a->target_param,
                   true);
    vly_buffer_add(&list, "rng", VLY_BUFFER_STATE, VLY_U64, 2 * (a->G + 1), a->rng, true);
    vly_buffer_add(&list, "epsilon", VLY_BUFFER_STATE, VLY_F32, a->N, a->epsilon, true);
    vly_buffer_add(&list, "counters", VLY_BUFFER_STATE, VLY_I64, sizeof *a->k / sizeof(int64_t),
                   a->k, false);
    if (a->feed) return list.n; /* nothing was acted here, and the memory is elsewhere */
    add_recent(a, &list);
    vly_replay_buffers(a->replay, &list);
    return list.n;
}

static vly_status dqn_restored(vly_algo *pub, vly_queue *q) {
    dqn *a = (dqn *)pub;
    VLY_TRY(vly_exec_prepare(a->acting, q, a->learner.params.param));
    if (a->eval) return VLY_OK;
    VLY_TRY(vly_exec_prepare(a->learning, q, a->learner.params.param));
    VLY_TRY(vly_exec_prepare(a->target, q, a->target_param));
    if (a->k->updates < 0 || a->k->acted < 0 || a->k->start_steps < -1)
        return vly_fail(VLY_ECORRUPT, "the counters of the saved dqn are negative");
    pub->version = a->k->updates;
    if (a->feed) return a->c->queue_sync(q);
    if (a->k->begun && a->replay->step[0] < 0) {
        a->k->start_steps = -1, a->k->acted = 0;
        VLY_TRY(vly_replay_restart(a->replay, q));
    } else {
        VLY_TRY(vly_replay_restored(a->replay));
    }
    return a->c->queue_sync(q);
}

/* ---- creation ---- */

static void dqn_destroy(vly_algo *pub) {
    dqn *a = (dqn *)pub;
    vly_compute *c = a->c;
    for (int g = 0; a->act_graph && g < a->G; g++)
        if (a->act_graph[g]) c->graph_destroy(a->act_graph[g]);
    if (a->graph) c->graph_destroy(a->graph);
    if (a->target_graph) c->graph_destroy(a->target_graph);
    vly_exec_destroy(a->acting);
    vly_exec_destroy(a->learning);
    vly_exec_destroy(a->target);
    vly_learner_destroy(&a->learner);
    vly_net_destroy(a->net);
    vly_replay_destroy(a->replay);
    vly_feed_destroy(a->feed);
    vly_memories_give_back(&a->memories);
    free(a->act_graph);
    free(a->k);
    free(a);
}

static vly_status create_acting(dqn *a, const vly_algo_args *args) {
    vly_memories *m = &a->memories;
    vly_status s = VLY_OK;
    a->rng = vly_memories_take(m, false, a->G + 1, sizeof *a->rng, "random counters", &s);
    a->epsilon = vly_memories_take(m, false, a->N, sizeof *a->epsilon, "actions", &s);
    a->act_row = vly_memories_take(m, false, a->N, sizeof *a->act_row, "actions", &s);
    a->action = vly_memories_take(m, false, a->N, sizeof *a->action, "actions", &s);
    a->epsilon_host = vly_memories_take(m, true, a->N, sizeof *a->epsilon_host, "actions", &s);
    a->act_row_host = vly_memories_take(m, true, a->N, sizeof *a->act_row_host, "actions", &s);
    a->action_host = vly_memories_take(m, true, a->N, sizeof *a->action_host, "actions", &s);
    VLY_TRY(s);
    VLY_TRY(vly_exec_create(&a->acting, a->c, a->net, a->M, false, "acting"));
    VLY_TRY(vly_learner_share(&a->learner, a->acting));
    return vly_exec_prepare(a->acting, args->queue, a->learner.params.param);
}

static vly_status create_learning(dqn *a, const vly_algo_args *args) {
    const vly_params *p = &a->learner.params;
    vly_status s = VLY_OK;
    a->target_param = vly_memories_take(&a->memories, false, p->n, sizeof(vly_real),
                                        "the target network", &s);
    VLY_TRY(s);
    VLY_TRY(a->c->copy(args->queue, a->target_param, p->param, (size_t)p->n * sizeof(vly_real)));
    a->learner.hyper->max_grad_norm = a->config->optim.max_grad_norm;
    VLY_TRY(vly_exec_create(&a->learning, a->c, a->net, a->batch, true, "learning"));
    vly_learner_overlap(&a->learner, a->learning);
    VLY_TRY(vly_learner_share(&a->learner, a->learning));
    VLY_TRY(vly_exec_create(&a->target, a->c, a->net, a->batch, false, "the target network"));
    VLY_TRY(vly_exec_prepare(a->learning, args->queue, p->param));
    VLY_TRY(vly_exec_prepare(a->target, args->queue, a->target_param));
    if (!a->config->dqn.double_q) return VLY_OK;
    a->chosen_by = vly_memories_take(&a->memories, false, (int64_t)a->batch * a->actions,
                                     sizeof(vly_real), "values of actions", &s);
    return s;
}

/* Without learning from its own memory it keeps only what it acts on: one stack of frames, or for
 * an Ape-X actor what a block needs. */
static vly_status create_replay(dqn *a, const vly_algo_args *args) {
    const vly_config *c = a->config;
    const bool learns = !a->eval && !a->feed && !a->sends;
    const int64_t kept =
        a->sends ? (int64_t)(c->apex.block + c->dqn.n_step + args->env->obs.stack + 2) * a->N : 1;
    const vly_replay_options o = {.obs = args->env->obs,
                                  .actors = a->N,
                                  .groups = a->G,
                                  .capacity = learns ? c->replay.capacity : kept,
                                  .bytes = learns ? c->replay.bytes : 0,
                                  .n_step = learns ? c->dqn.n_step : 1,
                                  .batch = learns ? a->batch : 0,
                                  .prioritized = learns && c->replay.prioritized};
    VLY_TRY(vly_replay_create(&a->replay, a->c, &o));
    if (!a->sends) return VLY_OK;
    vly_status s = VLY_OK;
    a->row_value = vly_memories_take(&a->memories, false, a->replay->T * a->replay->N * a->actions,
                                     sizeof(vly_real), "values of actions", &s);
    return s;
}

bool vly_dqn_in_store(const vly_config *c) {
    if (!vly_algo_traits_of(c).in_store) return false;
    if (c->apex.replay == VLY_APEX_REPLAY_AUTO)
        return c->run.store[0] || c->run.role == VLY_RUN_ROLE_LEARNER;
    return c->apex.replay == VLY_APEX_REPLAY_STORE;
}

vly_feed *vly_dqn_feed(vly_algo *pub) {
    return pub->destroy == dqn_destroy ? ((dqn *)pub)->feed : NULL;
}

static vly_status dqn_check(const vly_algo_args *args) {
    const vly_config *c = args->config;
    if (args->actors < 1 || args->groups < 1 || args->actors % args->groups)
        return vly_fail(VLY_EINVAL, "%d environments do not divide into %d groups", args->actors,
                        args->groups);
    if (c->net.lstm > 0)
        return vly_fail(
            VLY_EINVAL,
            "--net.lstm %d: dqn samples single transitions and has no recurrent network",
            c->net.lstm);
    if (args->env->obs.stack > STACK_MAX)
        return vly_fail(VLY_EINVAL, "a stack of %d frames; dqn keeps at most %d",
                        args->env->obs.stack, STACK_MAX);
    if (!args->eval && c->replay.capacity < c->dqn.batch)
        return vly_fail(VLY_EINVAL, "--replay.capacity %lld is less than a batch of %d",
                        (long long)c->replay.capacity, c->dqn.batch);
    return VLY_OK;
}

/* Steps of every group until an update is due, at least one. */
static int phase_steps(const dqn *a) {
    const double steps = a->batch / ((double)a->config->replay.ratio * a->N);
    return steps <= 1 ? 1 : steps > 65536 ? 65536 : (int)ceil(steps);
}

static vly_status dqn_fill(dqn *a, const vly_algo_args *args) {
    a->k = calloc(1, sizeof *a->k);
    a->act_graph = calloc((size_t)a->G, sizeof *a->act_graph);
    if (!a->k || !a->act_graph) return vly_fail(VLY_ENOMEM, "no memory for dqn");
    a->k->start_steps = -1;
    a->pub.made = &a->k->updates;
    VLY_TRY(vly_learner_net(&a->net, args, a->config->dqn.dueling ? VLY_HEAD_DUELING : VLY_HEAD_Q));
    VLY_TRY(vly_learner_create(&a->learner, args, a->net));
    a->pub.params = vly_net_weights(a->net);
    a->pub.arena = &a->learner.params, a->pub.optimizer = &a->learner.optimizer;
    if (!a->eval && !a->sends && vly_dqn_in_store(a->config))
        VLY_TRY(vly_feed_create(&a->feed, a->c, &args->env->obs, a->batch, a->config->dqn.n_step));
    VLY_TRY(create_replay(a, args));
    VLY_TRY(create_acting(a, args));
    VLY_TRY(vly_learner_seed(args, a->rng, a->G + 1));
    if (!a->eval && !a->sends) VLY_TRY(create_learning(a, args));
    VLY_TRY(explore(a, args->queue, 0));
    return a->c->queue_sync(args->queue);
}

static vly_status create_dqn(vly_algo **out, const vly_algo_args *args) {
    *out = NULL;
    VLY_TRY(dqn_check(args));
    dqn *a = calloc(1, sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory for dqn");
    a->pub = (vly_algo){.name = "dqn",
                        .schedule = VLY_SCHEDULE_SYNC,
                        .destroy = dqn_destroy,
                        .place = dqn_place,
                        .arrived = dqn_arrived,
                        .act = dqn_act,
                        .action = dqn_action,
                        .learn = dqn_learn,
                        .discard = dqn_discard,
                        .value = dqn_value,
                        .counts = counts,
                        .metrics = dqn_metrics,
                        .buffers = dqn_buffers,
                        .restored = dqn_restored};
    a->c = args->compute;
    a->memories = (vly_memories){.c = a->c, .option = "--run.envs or --net.hidden"};
    a->config = args->config;
    a->actions = args->env->actions;
    a->N = args->actors, a->G = args->groups, a->M = args->actors / args->groups;
    a->batch = a->config->dqn.batch;
    a->sync = args->sync;
    a->eval = args->eval;
    a->sends = !a->eval && args->sync && args->sync->experience;
    a->greedy = args->eval && args->greedy;
    a->pub.cuts = !a->eval && !a->sends;
    a->pub.phase_steps = a->eval ? 1 : a->sends ? a->config->apex.block : phase_steps(a);
    const vly_status status = dqn_fill(a, args);
    if (status != VLY_OK) {
        dqn_destroy(&a->pub);
        return status;
    }
    *out = &a->pub;
    return VLY_OK;
}

static vly_status check_dqn(const vly_config *c) {
    if (c->dqn.batch <= c->replay.capacity) return VLY_OK;
    return vly_fail(VLY_EINVAL, "--dqn.batch %d is more than --replay.capacity %lld", c->dqn.batch,
                    (long long)c->replay.capacity);
}

const vly_algo_entry vly_algo_dqn = {
    .name = "dqn",
    .summary = "deep Q-learning: double, dueling, n-step and prioritized replay as switches",
    .sections = {"dqn"},
    .schedule = VLY_SCHEDULE_SYNC,
    .check = check_dqn,
    .create = create_dqn,
};

const vly_algo_entry vly_algo_gorila = {
    .name = "gorila",
    .summary = "DQN with local replay and a parameter server (Nair et al. 2015)",
    .sections = {"dqn"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.server = true},
    .check = check_dqn,
    .create = create_dqn,
};

const vly_algo_entry vly_algo_apex = {
    .name = "apex",
    .summary = "DQN with many actors and prioritized replay, in memory or in Redis (Horgan et al. "
               "2018)",
    .sections = {"apex", "dqn"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.in_store = true},
    .check = check_dqn,
    .create = create_dqn,
};
