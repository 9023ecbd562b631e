#include "common/learn/onpolicy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/learn/learner.h"
#include "common/learn/memories.h"

enum { GRAPHS_MAX = 4096 };

typedef struct {
    vly_algo pub; /* first */
    vly_compute *c;
    vly_onpolicy_options o;
    vly_obs_spec obs;
    int actions;
    int N, M, G, T, history; /* actors, per group, groups, rollout steps, rows kept before row 0 */
    bool eval, greedy;
    vly_net *net;
    vly_learner learner;
    vly_exec *acting, *learning;

    /* rollout: (T + 1 + history, N) frames and ages, (T + 1, N) the rest */
    uint8_t *frames, *age;
    int32_t *action, *order;
    vly_real *reward, *value, *logp, *advantage, *target, *mask, *moments;
    uint8_t *flags;
    float *reward_host, *score_host; /* host twins of what the pool writes; the same memory where
                                        the device is the host */
    uint8_t *flags_host, *age_host;
    int32_t *action_host;
    vly_rng *rng;     /* device: one per group (acting), one for the minibatches */
    vly_hyper *shown; /* host: the scalars of the last update, for the metrics */

    /* recurrent: state now and at row 0 (N, H); static minibatches by actor */
    int H;
    vly_real *h, *cell, *h0, *cell0;
    int32_t *row; /* (minibatches, T, actors of one) */
    uint8_t *flags_mb;

    int64_t *cursor; /* host, per group: newest row that has arrived, -1: none */
    vly_graph *graph;
    vly_graph **act_graph; /* (G, T + 1) */
    int group, epoch;      /* arguments of the captured functions */
    int epochs_done;

    vly_memories memories;
} onpolicy;

/* ---- where things are ---- */

static int group_first(const onpolicy *a, int group) {
    return group * a->M;
}
static int64_t row_of(const onpolicy *a, int64_t t, int group) {
    return t * a->N + group_first(a, group);
}
static int batch_first(const onpolicy *a, int k) {
    return (int)((int64_t)a->T * a->N * k / a->o.minibatches);
}
static int columns_first(const onpolicy *a, int k) {
    return (int)((int64_t)a->N * k / a->o.minibatches);
}
static int learn_rows(const onpolicy *a) { /* of the largest minibatch */
    if (a->H > 0) return (a->N + a->o.minibatches - 1) / a->o.minibatches * a->T;
    return (int)(((int64_t)a->T * a->N + a->o.minibatches - 1) / a->o.minibatches);
}

static vly_frames frames_of(const onpolicy *a) {
    const vly_frames f = {a->frames, a->age, (int64_t)(a->T + 1 + a->history) * a->N, a->N, a->obs};
    return f;
}

/* ---- acting ---- */

static bool place(vly_algo *pub, int group, vly_rows *rows) {
    onpolicy *a = (onpolicy *)pub;
    const int64_t t = a->cursor[group] + 1;
    if (t > a->T) return false;
    const int64_t row = row_of(a, t, group);
    rows->obs = a->frames + (size_t)row * a->obs.bytes;
    rows->obs_stride = a->obs.bytes;
    rows->reward = a->reward_host + row;
    rows->score = a->score_host + group_first(a, group);
    rows->flags = a->flags_host + row;
    return true;
}

static vly_status arrived(vly_algo *pub, vly_queue *q, int group, const uint8_t *age) {
    onpolicy *a = (onpolicy *)pub;
    const int64_t row = row_of(a, ++a->cursor[group], group);
    const size_t M = (size_t)a->M;
    if (a->age) {
        memcpy(a->age_host + row, age, M);
        if (a->age != a->age_host) VLY_TRY(a->c->upload(q, a->age + row, a->age_host + row, M));
    }
    if (a->H > 0 && a->flags != a->flags_host)
        VLY_TRY(a->c->upload(q, a->flags + row, a->flags_host + row, M));
    return VLY_OK;
}

/* Network outputs for the newest row of a group, the recurrent state set up and not yet kept. */
static vly_status infer(onpolicy *a, vly_queue *q, int group, int64_t row) {
    const vly_frames frames = frames_of(a);
    VLY_TRY(vly_exec_gather(a->acting, q, &frames, a->M, NULL, row));
    if (a->H > 0) {
        const size_t bytes = (size_t)a->M * (size_t)a->H * sizeof(vly_real),
                     at = (size_t)group_first(a, group) * (size_t)a->H;
        VLY_TRY(a->c->copy(q, a->acting->state_h, a->h + at, bytes));
        VLY_TRY(a->c->copy(q, a->acting->state_c, a->cell + at, bytes));
        VLY_TRY(vly_exec_sequence(a->acting, 1, a->flags + row));
    }
    return vly_exec_forward(a->acting, q, a->M, a->learner.params.param);
}

static vly_status keep_state(onpolicy *a, vly_queue *q, int group) {
    const size_t n = (size_t)a->M * (size_t)a->H, at = (size_t)group_first(a, group) * (size_t)a->H;
    VLY_TRY(a->c->copy(q, a->h + at, a->acting->state_h + n, n * sizeof(vly_real)));
    return a->c->copy(q, a->cell + at, a->acting->state_c + n, n * sizeof(vly_real));
}

static vly_status act_group(vly_queue *q, void *arg) {
    onpolicy *a = arg;
    const int g = a->group, first = group_first(a, g);
    const int64_t row = row_of(a, a->cursor[g], g);
    vly_rng *rng = &a->rng[g];
    VLY_TRY(infer(a, q, g, row));
    if (a->H > 0) VLY_TRY(keep_state(a, q, g));
    if (a->greedy)
        VLY_TRY(a->c->sample_greedy(q, a->M, a->actions, a->acting->logits, NULL, rng, NULL, first,
                                    a->action + row));
    else
        VLY_TRY(a->c->sample_policy(q, a->M, a->actions, a->acting->logits, rng, NULL, first,
                                    a->action + row, a->logp + row));
    VLY_TRY(a->c->rng_advance(q, rng));
    VLY_TRY(a->c->copy(q, a->value + row, a->acting->value, (size_t)a->M * sizeof(vly_real)));
    if (a->action == a->action_host) return VLY_OK;
    return a->c->download(q, a->action_host + row, a->action + row, (size_t)a->M * sizeof(int32_t));
}

static vly_status act(vly_algo *pub, vly_queue *q, const int *group, int count) {
    onpolicy *a = (onpolicy *)pub;
    for (int i = 0; i < count; i++) {
        a->group = group[i];
        vly_graph **graph = &a->act_graph[(int64_t)group[i] * (a->T + 1) + a->cursor[group[i]]];
        VLY_TRY(a->c->graph_run(q, graph, act_group, a));
    }
    return VLY_OK;
}

static const int32_t *action(vly_algo *pub, int group) {
    const onpolicy *a = (const onpolicy *)pub;
    return a->action_host + row_of(a, a->cursor[group], group);
}

/* ---- learning ---- */

static vly_status bootstrap(onpolicy *a, vly_queue *q) {
    for (int g = 0; g < a->G; g++) {
        const int64_t row = row_of(a, a->T, g);
        VLY_TRY(infer(a, q, g, row));
        VLY_TRY(a->c->copy(q, a->value + row, a->acting->value, (size_t)a->M * sizeof(vly_real)));
    }
    return VLY_OK;
}

static vly_status estimate(onpolicy *a, vly_queue *q) {
    const int64_t rows = (int64_t)a->T * a->N;
    if (a->reward_host != (float *)a->reward) {
        VLY_TRY(
            a->c->upload(q, a->reward + a->N, a->reward_host + a->N, (size_t)rows * sizeof(float)));
        VLY_TRY(a->c->upload(q, a->flags + a->N, a->flags_host + a->N, (size_t)rows));
    }
    VLY_TRY(bootstrap(a, q));
    const vly_gae_args gae = {.T = a->T,
                              .N = a->N,
                              .reward = a->reward + a->N,
                              .value = a->value,
                              .flags = a->flags + a->N,
                              .hyper = a->learner.hyper_device,
                              .advantage = a->advantage,
                              .target = a->target,
                              .mask = a->mask};
    return a->c->gae(q, &gae);
}

/* Recurrent minibatches are whole columns: the states at row 0 and the flags of all rows go with
 * them. */
static vly_status begin_sequences(onpolicy *a, vly_queue *q, int k, int n, const int32_t *row) {
    const int first = columns_first(a, k), columns = n / a->T;
    const size_t bytes = (size_t)columns * (size_t)a->H * sizeof(vly_real),
                 at = (size_t)first * (size_t)a->H;
    const vly_frames flags = {
        a->flags,
        NULL,
        (int64_t)(a->T + 1) * a->N,
        a->N,
        {.dtype = VLY_U8, .ndim = 1, .shape = {1}, .stack = 1, .scale = 1, .bytes = 1}};
    VLY_TRY(a->c->gather(q, &flags, n, row, 0, VLY_U8, a->flags_mb));
    VLY_TRY(a->c->copy(q, a->learning->state_h, a->h0 + at, bytes));
    VLY_TRY(a->c->copy(q, a->learning->state_c, a->cell0 + at, bytes));
    return vly_exec_sequence(a->learning, a->T, a->flags_mb);
}

static vly_status learn_minibatch(onpolicy *a, vly_queue *q, int k) {
    vly_learner *l = &a->learner;
    const vly_frames frames = frames_of(a);
    const bool recurrent = a->H > 0;
    const int first = recurrent ? columns_first(a, k) * a->T : batch_first(a, k);
    const int n = (recurrent ? columns_first(a, k + 1) * a->T : batch_first(a, k + 1)) - first;
    const int32_t *row = (recurrent ? a->row : a->order) + first;
    VLY_TRY(vly_exec_gather(a->learning, q, &frames, n, row, 0));
    if (recurrent) VLY_TRY(begin_sequences(a, q, k, n, row));
    VLY_TRY(vly_exec_forward(a->learning, q, n, l->params.param));
    if (a->o.normalize) VLY_TRY(a->c->moments(q, n, a->advantage, row, a->mask, a->moments));
    const vly_policy_loss_args loss = {.n = n,
                                       .actions = a->actions,
                                       .plain = a->o.plain,
                                       .normalize = a->o.normalize,
                                       .row = row,
                                       .logits = a->learning->logits,
                                       .value = a->learning->value,
                                       .action = a->action,
                                       .logp_old = a->logp,
                                       .value_old = a->value,
                                       .advantage = a->advantage,
                                       .target = a->target,
                                       .mask = a->mask,
                                       .moments = a->o.normalize ? a->moments : NULL,
                                       .hyper = l->hyper_device,
                                       .dlogits = a->learning->dlogits,
                                       .dvalue = a->learning->dvalue,
                                       .stats = l->stats};
    VLY_TRY(a->c->policy_loss(q, &loss));
    VLY_TRY(vly_exec_backward(a->learning, q, n, l->params.param, l->params.grad));
    VLY_TRY(vly_learner_step(l, q));
    return vly_learner_stepped(l, q, a->learning);
}

static vly_status learn_epoch(onpolicy *a, vly_queue *q) {
    vly_rng *rng = &a->rng[a->G];
    if (a->H == 0 && a->o.minibatches > 1)
        VLY_TRY(a->c->permutation(q, a->T * a->N, rng, a->order));
    VLY_TRY(a->c->rng_advance(q, rng));
    for (int k = 0; k < a->o.minibatches; k++) VLY_TRY(learn_minibatch(a, q, k));
    return VLY_OK;
}

/* The newest rows become row 0 and its history, oldest first so that nothing is overwritten before
 * it was read. */
static vly_status carry_over(onpolicy *a, vly_queue *q, int64_t last) {
    const int64_t ring = a->T + 1 + a->history;
    const size_t step = (size_t)a->N * a->obs.bytes, N = (size_t)a->N;
    for (int k = a->history; k >= 0; k--) {
        const int64_t from = (last - k + ring) % ring, to = (ring - k) % ring;
        if (from == to) continue;
        VLY_TRY(
            a->c->copy(q, a->frames + (size_t)to * step, a->frames + (size_t)from * step, step));
        if (a->age) VLY_TRY(a->c->copy(q, a->age + (size_t)to * N, a->age + (size_t)from * N, N));
    }
    if (last == 0) return VLY_OK;
    VLY_TRY(a->c->copy(q, a->flags, a->flags + (size_t)last * N, N));
    if (a->H == 0) return VLY_OK;
    VLY_TRY(a->c->copy(q, a->h0, a->h, N * (size_t)a->H * sizeof(vly_real)));
    return a->c->copy(q, a->cell0, a->cell, N * (size_t)a->H * sizeof(vly_real));
}

/* The host's twins of what carry_over moved. */
static void rewind_host(onpolicy *a, int64_t last) {
    const size_t N = (size_t)a->N;
    if (a->flags_host != a->flags) memcpy(a->flags_host, a->flags_host + (size_t)last * N, N);
    for (int g = 0; g < a->G; g++) a->cursor[g] = 0;
}

static vly_status whole_update(vly_queue *q, void *arg) {
    onpolicy *a = arg;
    VLY_TRY(estimate(a, q));
    for (int e = 0; e < a->o.epochs; e++) VLY_TRY(learn_epoch(a, q));
    VLY_TRY(vly_learner_stepped(&a->learner, q, a->acting));
    return carry_over(a, q, a->T);
}

/* With a limit on the divergence the host decides after every epoch whether another follows. */
static vly_status limited_update(onpolicy *a, vly_queue *q) {
    double rows = 0, divergence = 0;
    vly_learner *l = &a->learner;
    VLY_TRY(estimate(a, q));
    for (a->epochs_done = 0; a->epochs_done < a->o.epochs;) {
        VLY_TRY(learn_epoch(a, q));
        a->epochs_done++;
        if (l->sync && l->sync->gradients)
            VLY_TRY(l->sync->gradients->reduce(l->sync, q, l->stats,
                                               VLY_STATS)); /* all ranks decide alike */
        VLY_TRY(vly_learner_end(l, q));
        VLY_TRY(a->c->queue_sync(q));
        const double n = l->sums[VLY_STAT_COUNT] - rows, d = l->sums[VLY_STAT_KL] - divergence;
        rows += n, divergence += d;
        if (n > 0 && d / n > (double)a->o.target_kl) break;
    }
    VLY_TRY(vly_learner_stepped(l, q, a->acting));
    return carry_over(a, q, a->T);
}

static void set_hyper(onpolicy *a, const vly_progress *progress) {
    const vly_onpolicy_options *o = &a->o;
    const float left = (float)vly_progress_left(progress);
    vly_hyper *h = a->learner.hyper;
    h->lr = o->lr * (o->anneal ? left : 1.0f);
    h->clip = o->clip * (o->anneal_clip ? left : 1.0f);
    h->value_clip = o->value_clip;
    h->value_coef = o->value_coef;
    h->entropy_coef = o->entropy_coef;
    h->gamma = o->gamma;
    h->lambda = o->lambda;
    h->reward_scale = o->reward_scale;
    *a->shown = *h;
}

static vly_status learn(vly_algo *pub, vly_queue *q, const vly_progress *progress) {
    onpolicy *a = (onpolicy *)pub;
    for (int g = 0; g < a->G; g++)
        if (a->cursor[g] != a->T)
            return vly_fail(VLY_EINVAL, "%s: group %d has %d of %d rows", pub->name, g,
                            (int)a->cursor[g], a->T);
    set_hyper(a, progress);
    VLY_TRY(vly_learner_begin(&a->learner, q));
    if (a->o.target_kl > 0)
        VLY_TRY(limited_update(a, q));
    else if (vly_learner_capturable(&a->learner))
        VLY_TRY(a->c->graph_run(q, &a->graph, whole_update, a));
    else
        VLY_TRY(whole_update(q, a));
    VLY_TRY(vly_learner_end(&a->learner, q));
    rewind_host(a, a->T);
    pub->version++;
    return VLY_OK;
}

static vly_status discard(vly_algo *pub, vly_queue *q) {
    onpolicy *a = (onpolicy *)pub;
    const int64_t last = a->cursor[0];
    VLY_TRY(carry_over(a, q, last));
    VLY_TRY(a->c->queue_sync(q));
    rewind_host(a, last);
    return VLY_OK;
}

static vly_status value(vly_algo *pub, vly_queue *q, float *out) {
    onpolicy *a = (onpolicy *)pub;
    VLY_TRY(a->c->download(q, out, a->acting->value, sizeof *out));
    return a->c->queue_sync(q);
}

static vly_status metrics(vly_algo *pub, vly_metric *out, int *count) {
    onpolicy *a = (onpolicy *)pub;
    const vly_real *s = a->learner.sums;
    const double rows = s[VLY_STAT_COUNT] > 0 ? s[VLY_STAT_COUNT] : 1,
                 steps = s[VLY_STAT_STEPS] > 0 ? s[VLY_STAT_STEPS] : 1;
    *count = 0;
    vly_metric_add(out, count, "charts/learning_rate", a->shown->lr);
    vly_metric_add(out, count, "losses/policy_loss", s[VLY_STAT_POLICY_LOSS] / rows);
    vly_metric_add(out, count, "losses/value_loss", s[VLY_STAT_VALUE_LOSS] / rows);
    vly_metric_add(out, count, "losses/entropy", s[VLY_STAT_ENTROPY] / rows);
    if (!a->o.plain) {
        vly_metric_add(out, count, "losses/approx_kl", s[VLY_STAT_KL] / rows);
        vly_metric_add(out, count, "losses/clipfrac", s[VLY_STAT_CLIPPED] / rows);
    }
    vly_metric_add(out, count, "losses/grad_norm", s[VLY_STAT_GRAD_NORM] / steps);
    if (a->o.target_kl > 0) vly_metric_add(out, count, "charts/epochs", a->epochs_done);
    const vly_status status = vly_learner_check(&a->learner);
    pub->failed = pub->failed || status != VLY_OK;
    return status;
}

/* ---- saving ---- */

static int buffers(vly_algo *pub, vly_buffer *out, int max) {
    onpolicy *a = (onpolicy *)pub;
    vly_buffer_list list = {out, 0, max};
    vly_learner_buffers(&a->learner, &list);
    if (a->eval) return list.n;
    const int64_t N = a->N, obs = (int64_t)a->obs.bytes, before = (int64_t)(a->T + 1) * N;
    vly_buffer_add(&list, "rng", VLY_BUFFER_STATE, VLY_U64, 2 * (a->G + 1), a->rng, true);
    vly_buffer_add(&list, "cursor", VLY_BUFFER_STATE, VLY_I64, a->G, a->cursor, false);
    vly_buffer_add(&list, "observation", VLY_BUFFER_STATE, VLY_U8, N * obs, a->frames, true);
    vly_buffer_add(&list, "flags", VLY_BUFFER_STATE, VLY_U8, N, a->flags, true);
    if (a->history > 0)
        vly_buffer_add(&list, "history", VLY_BUFFER_STATE, VLY_U8, a->history * N * obs,
                       a->frames + before * obs, true);
    if (a->age) {
        vly_buffer_add(&list, "age", VLY_BUFFER_STATE, VLY_U8, N, a->age, true);
        if (a->history > 0)
            vly_buffer_add(&list, "history.age", VLY_BUFFER_STATE, VLY_U8, a->history * N,
                           a->age + before, true);
    }
    if (a->H > 0) {
        vly_buffer_add(&list, "lstm.h", VLY_BUFFER_STATE, VLY_F32, N * a->H, a->h, true);
        vly_buffer_add(&list, "lstm.c", VLY_BUFFER_STATE, VLY_F32, N * a->H, a->cell, true);
    }
    return list.n;
}

static vly_status restored(vly_algo *pub, vly_queue *q) {
    onpolicy *a = (onpolicy *)pub;
    VLY_TRY(vly_exec_prepare(a->acting, q, a->learner.params.param));
    if (a->eval) return VLY_OK;
    VLY_TRY(vly_exec_prepare(a->learning, q, a->learner.params.param));
    for (int g = 0; g < a->G; g++)
        if (a->cursor[g] != 0 && a->cursor[g] != -1)
            return vly_fail(VLY_ECORRUPT, "group %d stands at row %lld of a rollout", g,
                            (long long)a->cursor[g]);
    if (a->flags_host != a->flags)
        VLY_TRY(a->c->download(q, a->flags_host, a->flags, (size_t)a->N));
    if (a->H > 0) {
        const size_t bytes = (size_t)a->N * (size_t)a->H * sizeof(vly_real);
        VLY_TRY(a->c->copy(q, a->h0, a->h, bytes));
        VLY_TRY(a->c->copy(q, a->cell0, a->cell, bytes));
    }
    return a->c->queue_sync(q);
}

/* ---- creation ---- */

static void destroy(vly_algo *pub) {
    onpolicy *a = (onpolicy *)pub;
    if (a->graph) a->c->graph_destroy(a->graph);
    for (int64_t i = 0; a->act_graph && i < (int64_t)a->G * (a->T + 1); i++)
        if (a->act_graph[i]) a->c->graph_destroy(a->act_graph[i]);
    free(a->act_graph);
    vly_exec_destroy(a->acting);
    vly_exec_destroy(a->learning);
    vly_learner_destroy(&a->learner);
    vly_net_destroy(a->net);
    vly_memories_give_back(&a->memories);
    free(a->cursor);
    free(a->shown);
    free(a);
}

static vly_status alloc_rollout(onpolicy *a) {
    const int64_t rows = (int64_t)(a->T + 1) * a->N, ring = rows + (int64_t)a->history * a->N;
    const bool twins = !a->c->info.is_host;
    vly_status s = VLY_OK;
    a->frames = vly_memories_take(&a->memories, false, ring, a->obs.bytes,
                                  "observations of a rollout", &s);
    a->action = vly_memories_take(&a->memories, false, rows, sizeof(int32_t), "rollout", &s);
    a->reward = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "rollout", &s);
    a->value = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "rollout", &s);
    a->logp = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "rollout", &s);
    a->flags = vly_memories_take(&a->memories, false, rows, 1, "rollout", &s);
    a->rng = vly_memories_take(&a->memories, false, a->G + 1, sizeof(vly_rng), "random counters",
                               &s);
    a->score_host = vly_memories_take(&a->memories, true, a->N, sizeof(float), "scores", &s);
    a->reward_host = twins
                         ? vly_memories_take(&a->memories, true, rows, sizeof(float), "rollout", &s)
                         : (float *)a->reward;
    a->flags_host = twins ? vly_memories_take(&a->memories, true, rows, 1, "rollout", &s)
                          : a->flags;
    a->action_host = twins ? vly_memories_take(&a->memories, true, rows, sizeof(int32_t), "rollout",
                                               &s)
                           : a->action;
    if (a->obs.stack > 1) {
        a->age = vly_memories_take(&a->memories, false, ring, 1, "rollout", &s);
        a->age_host = twins ? vly_memories_take(&a->memories, true, ring, 1, "rollout", &s)
                            : a->age;
    }
    if (a->H > 0) {
        a->h = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                 "LSTM states", &s);
        a->cell = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                    "LSTM states", &s);
        a->h0 = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                  "LSTM states", &s);
        a->cell0 = vly_memories_take(&a->memories, false, (int64_t)a->N * a->H, sizeof(vly_real),
                                     "LSTM states", &s);
    }
    return s;
}

static vly_status alloc_learning(onpolicy *a) {
    const int64_t rows = (int64_t)a->T * a->N;
    vly_status s = VLY_OK;
    a->order = vly_memories_take(&a->memories, false, rows, sizeof(int32_t), "minibatch order", &s);
    a->advantage = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "advantages", &s);
    a->target = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "advantages", &s);
    a->mask = vly_memories_take(&a->memories, false, rows, sizeof(vly_real), "advantages", &s);
    a->moments = vly_memories_take(&a->memories, false, 3, sizeof(vly_real), "advantages", &s);
    if (a->H > 0) {
        a->row = vly_memories_take(&a->memories, false, rows, sizeof(int32_t), "minibatch rows",
                                   &s);
        a->flags_mb = vly_memories_take(&a->memories, false, learn_rows(a), 1, "minibatch flags",
                                        &s);
    }
    return s;
}

/* order starts as 0, 1, ... (all there is to it with one minibatch); row: columns of whole
 * sequences. */
static vly_status fill_orders(onpolicy *a, vly_queue *q) {
    const int rows = a->T * a->N;
    int32_t *host = malloc((size_t)rows * sizeof *host);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for %d row numbers", rows);
    for (int i = 0; i < rows; i++) host[i] = i;
    vly_status s = a->c->upload(q, a->order, host, (size_t)rows * sizeof *host);
    if (s == VLY_OK) s = a->c->queue_sync(q);
    if (s == VLY_OK && a->H > 0) {
        for (int k = 0, i = 0; k < a->o.minibatches; k++)
            for (int t = 0; t < a->T; t++)
                for (int n = columns_first(a, k); n < columns_first(a, k + 1); n++)
                    host[i++] = t * a->N + n;
        s = a->c->upload(q, a->row, host, (size_t)rows * sizeof *host);
        if (s == VLY_OK) s = a->c->queue_sync(q);
    }
    free(host);
    return s;
}

static vly_status seed_rng(onpolicy *a, const vly_algo_args *args) {
    vly_rng *host = calloc((size_t)a->G + 1, sizeof *host);
    if (!host) return vly_fail(VLY_ENOMEM, "no memory for random counters");
    for (int g = 0; g <= a->G; g++) host[g].seed = args->seed;
    vly_status s = a->c->upload(args->queue, a->rng, host, ((size_t)a->G + 1) * sizeof *host);
    if (s == VLY_OK) s = a->c->queue_sync(args->queue);
    free(host);
    return s;
}

static vly_status fill(onpolicy *a, const vly_algo_args *args) {
    a->cursor = calloc((size_t)a->G, sizeof *a->cursor);
    a->act_graph = calloc((size_t)a->G * (size_t)(a->T + 1), sizeof *a->act_graph);
    a->shown = calloc(1, sizeof *a->shown);
    if (!a->cursor || !a->act_graph || !a->shown)
        return vly_fail(VLY_ENOMEM, "no memory for %s", a->pub.name);
    for (int g = 0; g < a->G; g++) a->cursor[g] = -1;
    VLY_TRY(vly_learner_net(&a->net, args, VLY_HEAD_POLICY_VALUE));
    a->H = vly_net_description(a->net)->lstm;
    if (a->H > 0 && a->o.minibatches > a->N)
        return vly_fail(VLY_EINVAL,
                        "%d minibatches of whole sequences need as many environments, not %d: "
                        "lower --ppo.minibatches",
                        a->o.minibatches, a->N);
    VLY_TRY(vly_learner_create(&a->learner, args, a->net));
    a->pub.params = vly_net_weights(a->net);
    a->pub.arena = &a->learner.params, a->pub.optimizer = &a->learner.optimizer;
    VLY_TRY(alloc_rollout(a));
    VLY_TRY(seed_rng(a, args));
    VLY_TRY(vly_exec_create(&a->acting, a->c, a->net, a->M, false, "acting"));
    VLY_TRY(vly_learner_share(&a->learner, a->acting));
    VLY_TRY(vly_exec_prepare(a->acting, args->queue, a->learner.params.param));
    if (a->eval) return VLY_OK;
    a->learner.hyper->max_grad_norm = args->config->optim.max_grad_norm;
    VLY_TRY(alloc_learning(a));
    VLY_TRY(fill_orders(a, args->queue));
    VLY_TRY(vly_exec_create(&a->learning, a->c, a->net, learn_rows(a), true, "learning"));
    vly_learner_overlap(&a->learner, a->learning);
    VLY_TRY(vly_learner_share(&a->learner, a->learning));
    return vly_exec_prepare(a->learning, args->queue, a->learner.params.param);
}

static vly_status check_args(const vly_algo_args *args, const vly_onpolicy_options *o) {
    if (args->actors < 1 || args->groups < 1 || args->actors % args->groups)
        return vly_fail(VLY_EINVAL, "%d environments do not divide into %d groups", args->actors,
                        args->groups);
    if (o->rollout < 1 || (int64_t)o->rollout * args->actors > INT32_MAX / 2)
        return vly_fail(VLY_EINVAL,
                        "a rollout of %d steps of %d environments has %lld rows; at most %d: lower "
                        "the rollout or --envs",
                        o->rollout, args->actors, (long long)o->rollout * args->actors,
                        INT32_MAX / 2);
    if (!args->eval && (int64_t)o->minibatches > (int64_t)o->rollout * args->actors)
        return vly_fail(VLY_EINVAL, "%d minibatches of %lld rows", o->minibatches,
                        (long long)o->rollout * args->actors);
    return VLY_OK;
}

vly_status vly_onpolicy_create(vly_algo **out, const vly_algo_args *args,
                               const vly_onpolicy_options *options) {
    *out = NULL;
    VLY_TRY(check_args(args, options));
    onpolicy *a = calloc(1, sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory for %s", options->name);
    a->pub = (vly_algo){.schedule = VLY_SCHEDULE_SYNC,
                        .destroy = destroy,
                        .place = place,
                        .arrived = arrived,
                        .act = act,
                        .action = action,
                        .learn = learn,
                        .discard = discard,
                        .value = value,
                        .metrics = metrics,
                        .buffers = buffers,
                        .restored = restored};
    snprintf(a->pub.name, sizeof a->pub.name, "%s", options->name);
    a->c = args->compute;
    a->memories = (vly_memories){.c = a->c, .option = "--run.envs or the rollout"};
    a->o = *options;
    a->eval = args->eval;
    a->greedy = args->eval && args->greedy;
    a->obs = args->env->obs;
    a->actions = args->env->actions;
    a->N = args->actors, a->G = args->groups, a->M = args->actors / args->groups;
    a->T = a->eval ? 1 : options->rollout;
    a->history = a->obs.stack > 1 ? a->obs.stack - 1 : 0;
    a->pub.phase_steps = a->T;
    a->pub.rows_per_update = (int64_t)a->T * a->N;
    const vly_status status = fill(a, args);
    if (status != VLY_OK) {
        destroy(&a->pub);
        return status;
    }
    *out = &a->pub;
    return VLY_OK;
}
