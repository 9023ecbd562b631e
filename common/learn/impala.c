#include <stdio.h>
#include <stdlib.h>
#include "common/learn/impala_impl.h"

/* ---- slots ---- */

static vly_frames impala_frames_of(const impala *a) {
    const vly_frames f = {a->frames, a->age, vly_impala_frame_row(a, a->slots, -a->history), a->M,
                          a->obs};
    return f;
}

/* A learner that had its unrolls from elsewhere and acts itself now: one may lie in this slot. */
static void drop_waiting(impala *a, int slot) {
    for (int i = 0; i < a->numbers[READY]; i++)
        if (a->ready[i] == slot) {
            vly_impala_drop_ready(a, i, 1);
            a->numbers[DROPPED] += a->M;
            a->pub.async.dropped = a->numbers[DROPPED];
            return;
        }
}

static bool impala_place(vly_algo *pub, int group, vly_rows *rows) {
    impala *a = (impala *)pub;
    int slot = a->slot[group], t = a->cursor[group] + 1;
    if (t == 0) drop_waiting(a, slot);
    if (t > a->T) {
        if (a->next[group] < 0) {
            const int fresh = vly_impala_free_slot(a);
            if (fresh < 0) return false;
            a->busy[fresh] = SLOT_LEARN | SLOT_TAIL;
            a->next[group] = fresh;
        }
        slot = a->next[group], t = 1;
    }
    rows->obs = a->frames + (size_t)vly_impala_frame_row(a, slot, t) * a->obs.bytes;
    rows->obs_stride = a->obs.bytes;
    rows->reward = a->reward + vly_impala_host_row(a, slot, t);
    rows->score = a->score + (size_t)group * (size_t)a->M;
    rows->flags = a->flags + vly_impala_host_row(a, slot, t);
    if (a->allowed) {
        rows->mask = vly_impala_allowed_at(a, slot, t);
        rows->mask_stride = (size_t)a->width;
    }
    return true;
}

/* Row T of the old slot, with the frames before it and the state it was acted from, begins the new
 * one. */
static vly_status move_on(impala *a, vly_queue *q, int group) {
    const int from = a->slot[group], to = a->next[group], T = a->T;
    const size_t M = (size_t)a->M, rows = (size_t)(a->history + 1) * M,
                 state = M * (size_t)a->H * sizeof(vly_real);
    const int64_t source = vly_impala_frame_row(a, from, T - a->history),
                  target = vly_impala_frame_row(a, to, -a->history);
    VLY_TRY(a->c->copy(q, a->frames + (size_t)target * a->obs.bytes,
                       a->frames + (size_t)source * a->obs.bytes, rows * a->obs.bytes));
    if (a->age) VLY_TRY(a->c->copy(q, a->age + target, a->age + source, rows));
    memcpy(a->flags + vly_impala_host_row(a, to, 0), a->flags + vly_impala_host_row(a, from, T), M);
    memcpy(a->reward + vly_impala_host_row(a, to, 0), a->reward + vly_impala_host_row(a, from, T),
           M * sizeof(float));
    if (a->allowed)
        memcpy(vly_impala_allowed_at(a, to, 0), vly_impala_allowed_at(a, from, T),
               M * (size_t)a->width);
    if (a->H > 0) {
        VLY_TRY(a->c->copy(q, a->h0 + (int64_t)to * a->M * a->H,
                           a->h_end + (int64_t)group * a->M * a->H, state));
        VLY_TRY(a->c->copy(q, a->cell0 + (int64_t)to * a->M * a->H,
                           a->cell_end + (int64_t)group * a->M * a->H, state));
    }
    a->busy[from] &= ~SLOT_TAIL;
    a->slot[group] = to;
    a->next[group] = -1;
    a->cursor[group] = 0;
    return VLY_OK;
}

static vly_status impala_arrived(vly_algo *pub, vly_queue *q, int group, const uint8_t *age) {
    impala *a = (impala *)pub;
    const size_t M = (size_t)a->M, first = (size_t)group * M;
    if (a->cursor[group] == a->T) VLY_TRY(move_on(a, q, group));
    const int slot = a->slot[group], t = a->cursor[group];
    if (t >= 0) {
        memcpy(vly_impala_action_at(a, slot, t), a->act_action + first * (size_t)a->parts,
               M * vly_head_bytes(&a->policy));
        memcpy(a->logp + vly_impala_step_row(a, slot, t), a->act_logp + first, M * sizeof *a->logp);
        a->version[(int64_t)slot * a->T + t] = a->act_version[group];
    }
    a->cursor[group] = t + 1;
    vly_impala_count_returns(a, group, slot, t + 1);
    if (a->age) {
        const int64_t row = vly_impala_frame_row(a, slot, t + 1);
        memcpy(a->age_host + row, age, M);
        if (a->age != a->age_host) VLY_TRY(a->c->upload(q, a->age + row, a->age_host + row, M));
    }
    if (t + 1 == a->T) a->ready[a->numbers[READY]++] = slot;
    pub->async.ready = (int)a->numbers[READY] * a->M;
    return VLY_OK;
}

/* ---- acting ---- */

static vly_status load_states(impala *a, vly_queue *q, const int *group, int count) {
    const size_t bytes = (size_t)a->M * (size_t)a->H * sizeof(vly_real);
    for (int i = 0; i < count; i++) {
        const int64_t at = (int64_t)group[i] * a->M * a->H, to = (int64_t)i * a->M * a->H;
        VLY_TRY(a->c->copy(q, a->acting->state_h + to, a->h + at, bytes));
        VLY_TRY(a->c->copy(q, a->acting->state_c + to, a->cell + at, bytes));
        if (a->cursor[group[i]] != a->T) continue;
        VLY_TRY(a->c->copy(q, a->h_end + at, a->h + at, bytes));
        VLY_TRY(a->c->copy(q, a->cell_end + at, a->cell + at, bytes));
    }
    return vly_exec_sequence(a->acting, 1, a->flags_act);
}

static vly_status store_states(impala *a, vly_queue *q, const int *group, int count) {
    const size_t bytes = (size_t)a->M * (size_t)a->H * sizeof(vly_real);
    const int64_t after = (int64_t)count * a->M * a->H; /* state_h[1] */
    for (int i = 0; i < count; i++) {
        const int64_t at = (int64_t)group[i] * a->M * a->H, from = after + (int64_t)i * a->M * a->H;
        VLY_TRY(a->c->copy(q, a->h + at, a->acting->state_h + from, bytes));
        VLY_TRY(a->c->copy(q, a->cell + at, a->acting->state_c + from, bytes));
    }
    return VLY_OK;
}

static vly_status describe_batch(impala *a, vly_queue *q, const int *group, int count) {
    const int n = count * a->M;
    for (int i = 0; i < count; i++) {
        const int g = group[i], at = i * a->M;
        if (a->cursor[g] < 0) /* of a checkpoint that says it has begun */
            return vly_fail(VLY_ECORRUPT, "impala: group %d acts and has no observation", g);
        const int64_t row = vly_impala_frame_row(a, a->slot[g], a->cursor[g]);
        for (int k = 0; k < a->M; k++) {
            a->row_act_host[at + k] = (int32_t)(row + k);
            a->lane_host[at + k] = g * a->M + k;
        }
        memcpy(a->flags_act_host + at, a->flags + vly_impala_host_row(a, a->slot[g], a->cursor[g]),
               (size_t)a->M);
        if (a->allowed)
            memcpy(a->allowed_act_host + (size_t)at * (size_t)a->width,
                   vly_impala_allowed_at(a, a->slot[g], a->cursor[g]), (size_t)(a->M * a->width));
        a->position[g] = at;
        a->act_version[g] = a->pub.version;
    }
    VLY_TRY(a->c->upload(q, a->row_act, a->row_act_host, (size_t)n * sizeof(int32_t)));
    VLY_TRY(a->c->upload(q, a->lane, a->lane_host, (size_t)n * sizeof(int32_t)));
    if (a->allowed)
        VLY_TRY(a->c->upload(q, a->allowed_act, a->allowed_act_host, (size_t)(n * a->width)));
    return a->c->upload(q, a->flags_act, a->flags_act_host, (size_t)n);
}

/* What the host has not been shown already. */
static vly_status give_batch(impala *a, vly_queue *q, int n) {
    const size_t bytes = (size_t)n * vly_head_bytes(&a->policy);
    if (!a->action_shown) VLY_TRY(a->c->download(q, a->batch_action_host, a->batch_action, bytes));
    if (a->policy.box) {
        int32_t *to = a->sent_shown ? a->sent_shown : a->batch_sent;
        VLY_TRY(vly_head_give(&a->policy, q, n, a->batch_action, to));
        if (!a->sent_shown) VLY_TRY(a->c->download(q, a->batch_sent_host, to, bytes));
    }
    return a->logp_shown
               ? VLY_OK
               : a->c->download(q, a->batch_logp_host, a->batch_logp, (size_t)n * sizeof(float));
}

static vly_status impala_act(vly_algo *pub, vly_queue *q, const int *group, int count) {
    impala *a = (impala *)pub;
    const int n = count * a->M;
    const vly_frames frames = impala_frames_of(a);
    if (count < 1 || count > a->G)
        return vly_fail(VLY_EINVAL, "%d groups to act for, of %d", count, a->G);
    VLY_TRY(describe_batch(a, q, group, count));
    VLY_TRY(vly_exec_gather(a->acting, q, &frames, n, a->row_act, 0));
    if (a->H > 0) VLY_TRY(load_states(a, q, group, count));
    VLY_TRY(vly_exec_forward(a->acting, q, n, a->act_param));
    if (a->H > 0) VLY_TRY(store_states(a, q, group, count));
    VLY_TRY(vly_head_mask(&a->policy, q, n, a->allowed_act, a->acting->logits));
    VLY_TRY(vly_head_draw(&a->policy, q, n, a->acting->logits, a->greedy ? NULL : a->rng, a->lane,
                          0, a->batch_action, a->action_shown,
                          a->logp_shown ? a->logp_shown : a->batch_logp));
    /* A synchronous round asks for every group once: draws then depend on the round alone, by lane.
     */
    if (a->pub.schedule == VLY_SCHEDULE_ASYNC || group[count - 1] == a->G - 1)
        VLY_TRY(a->c->rng_advance(q, a->rng));
    return give_batch(a, q, n);
}

static vly_actions impala_action(vly_algo *pub, int group) {
    impala *a = (impala *)pub;
    const size_t M = (size_t)a->M, first = (size_t)group * M, parts = (size_t)a->parts,
                 bytes = vly_head_bytes(&a->policy);
    if (a->position[group] >= 0) {
        const size_t at = (size_t)a->position[group];
        memcpy(a->act_action + first * parts, a->batch_action_host + at * parts, M * bytes);
        if (a->policy.box)
            memcpy(a->act_sent + first * parts, a->batch_sent_host + at * parts, M * bytes);
        memcpy(a->act_logp + first, a->batch_logp_host + at, M * sizeof(float));
        a->position[group] = -1;
    }
    const int32_t *from = a->policy.box ? a->act_sent : a->act_action;
    return (vly_actions){from + first * parts, bytes};
}

/* ---- learning ---- */

static void drop_old(impala *a) {
    const int limit = a->config->impala.max_lag;
    for (int i = 0; limit > 0 && i < a->numbers[READY];) {
        const int slot = a->ready[i];
        if (a->pub.version - a->version[(int64_t)slot * a->T] <= limit) {
            i++;
            continue;
        }
        a->busy[slot] &= ~SLOT_LEARN;
        a->numbers[DROPPED] += a->M;
        memmove(a->ready + i, a->ready + i + 1,
                (size_t)(--a->numbers[READY] - i) * sizeof *a->ready);
    }
    a->pub.async.dropped = a->numbers[DROPPED];
}

static void measure_lag(impala *a) {
    double sum = 0, most = 0;
    for (int j = 0; j < a->batch; j++)
        for (int t = 0; t < a->T; t++) {
            const double lag =
                (double)(a->pub.version - a->version[(int64_t)a->learn_slot[j] * a->T + t]);
            sum += lag;
            if (lag > most) most = lag;
        }
    a->pub.async.lag_mean = sum / ((double)a->batch * a->T);
    a->pub.async.lag_max = most;
}

static void assemble(impala *a) {
    const size_t M = (size_t)a->M;
    for (int t = 0; t <= a->T; t++)
        for (int j = 0; j < a->batch; j++) {
            const int slot = a->learn_slot[j];
            const int64_t to = (int64_t)t * a->B + (int64_t)j * a->M,
                          row = vly_impala_frame_row(a, slot, t);
            for (int k = 0; k < a->M; k++) a->row_host[to + k] = (int32_t)(row + k);
            memcpy(a->reward_mb_host + to, a->reward + vly_impala_host_row(a, slot, t),
                   M * sizeof(float));
            memcpy(a->flags_mb_host + to, a->flags + vly_impala_host_row(a, slot, t), M);
            if (a->allowed)
                memcpy(a->allowed_mb_host + to * a->width, vly_impala_allowed_at(a, slot, t),
                       M * (size_t)a->width);
            vly_impala_assemble_returns(a, slot, t, to);
            if (t == a->T) continue;
            memcpy(a->action_mb_host + to * a->parts, vly_impala_action_at(a, slot, t),
                   M * vly_head_bytes(&a->policy));
            memcpy(a->logp_mb_host + to, a->logp + vly_impala_step_row(a, slot, t),
                   M * sizeof(float));
        }
}

static vly_status upload_batch(impala *a, vly_queue *q) {
    const size_t rows = (size_t)a->T * (size_t)a->B, all = rows + (size_t)a->B;
    VLY_TRY(a->c->upload(q, a->row, a->row_host, all * sizeof(int32_t)));
    VLY_TRY(a->c->upload(q, a->reward_mb, a->reward_mb_host, all * sizeof(float)));
    VLY_TRY(a->c->upload(q, a->flags_mb, a->flags_mb_host, all));
    VLY_TRY(a->c->upload(q, a->action_mb, a->action_mb_host, rows * vly_head_bytes(&a->policy)));
    if (a->allowed)
        VLY_TRY(a->c->upload(q, a->allowed_mb, a->allowed_mb_host, all * (size_t)a->width));
    VLY_TRY(a->c->upload(q, a->logp_mb, a->logp_mb_host, rows * sizeof(float)));
    VLY_TRY(vly_impala_upload_returns(a, q));
    if (a->H == 0) return VLY_OK;
    const int64_t state = (int64_t)a->M * a->H;
    for (int j = 0; j < a->batch; j++) {
        VLY_TRY(a->c->copy(q, a->learning->state_h + j * state, a->h0 + a->learn_slot[j] * state,
                           (size_t)state * sizeof(vly_real)));
        VLY_TRY(a->c->copy(q, a->learning->state_c + j * state, a->cell0 + a->learn_slot[j] * state,
                           (size_t)state * sizeof(vly_real)));
    }
    return vly_exec_sequence(a->learning, a->T + 1, a->flags_mb);
}

static vly_status gather_batch(impala *a, vly_queue *q, bool *enough) {
    drop_old(a);
    *enough = a->numbers[READY] >= a->batch;
    if (!*enough) return VLY_OK;
    memcpy(a->learn_slot, a->ready, (size_t)a->batch * sizeof *a->ready);
    vly_impala_drop_ready(a, 0, a->batch);
    a->pub.async.ready = (int)a->numbers[READY] * a->M;
    a->pub.async.learning = a->B;
    measure_lag(a);
    assemble(a);
    return upload_batch(a, q);
}

static bool impala_collect(vly_algo *pub, vly_queue *q) {
    bool enough = false;
    return gather_batch((impala *)pub, q, &enough) == VLY_OK && enough;
}

/* Nothing of theirs has changed the weights: they wait again, before those that came since. */
static void impala_uncollect(vly_algo *pub) {
    impala *a = (impala *)pub;
    const size_t before = (size_t)a->numbers[READY];
    memmove(a->ready + a->batch, a->ready, before * sizeof *a->ready);
    memcpy(a->ready, a->learn_slot, (size_t)a->batch * sizeof *a->ready);
    a->numbers[READY] += a->batch;
    pub->async.ready = (int)a->numbers[READY] * a->M;
    pub->async.learning = 0;
}

/* A group without room stands at the end of its unroll: its state before the action is kept. */
static vly_status impala_unact(vly_algo *pub, vly_queue *q, int group) {
    impala *a = (impala *)pub;
    const int64_t at = (int64_t)group * a->M * a->H;
    const size_t bytes = (size_t)a->M * (size_t)a->H * sizeof(vly_real);
    a->position[group] = -1;
    if (a->H == 0) return VLY_OK;
    VLY_TRY(a->c->copy(q, a->h + at, a->h_end + at, bytes));
    return a->c->copy(q, a->cell + at, a->cell_end + at, bytes);
}

static vly_status impala_whole_update(vly_queue *q, void *arg) {
    impala *a = arg;
    vly_learner *l = &a->learner;
    const int n = a->T * a->B, all = n + a->B;
    const vly_frames frames = impala_frames_of(a);
    VLY_TRY(vly_exec_gather(a->learning, q, &frames, all, a->row, 0));
    VLY_TRY(vly_exec_forward(a->learning, q, all, l->params.param));
    VLY_TRY(vly_head_mask(&a->policy, q, all, a->allowed_mb, a->learning->logits));
    VLY_TRY(vly_head_logp(&a->policy, q, n, a->learning->logits, a->action_mb, a->logp_target));
    VLY_TRY(vly_impala_scale_rewards(a, q));
    const vly_vtrace_args vtrace = {.T = a->T,
                                    .N = a->B,
                                    .reward = a->reward_mb + a->B,
                                    .value = a->learning->value,
                                    .flags = a->flags_mb + a->B,
                                    .logp_behaviour = a->logp_mb,
                                    .logp_target = a->logp_target,
                                    .hyper = l->hyper_device,
                                    .advantage = a->advantage,
                                    .target = a->target,
                                    .mask = a->mask,
                                    .stats = l->stats};
    VLY_TRY(a->c->vtrace(q, &vtrace));
    const vly_policy_loss_args loss = {.n = n,
                                       .actions = a->policy.actions,
                                       .plain = true,
                                       .sum = a->config->impala.reduction ==
                                              VLY_IMPALA_REDUCTION_SUM,
                                       .logits = a->learning->logits,
                                       .value = a->learning->value,
                                       .action = a->action_mb,
                                       .logp_old = a->logp_mb,
                                       .value_old = a->learning->value,
                                       .advantage = a->advantage,
                                       .target = a->target,
                                       .mask = a->mask,
                                       .hyper = l->hyper_device,
                                       .dlogits = a->learning->dlogits,
                                       .dvalue = a->learning->dvalue,
                                       .stats = l->stats};
    VLY_TRY(vly_head_loss(&a->policy, q, &loss));
    /* The last observations only bootstrap: no gradient. */
    VLY_TRY(a->c->fill(q, a->learning->dlogits + (size_t)n * (size_t)a->width, 0,
                       (size_t)a->B * (size_t)a->width * sizeof(vly_real)));
    VLY_TRY(a->c->fill(q, a->learning->dvalue + n, 0, (size_t)a->B * sizeof(vly_real)));
    VLY_TRY(vly_exec_backward(a->learning, q, all, l->params.param, l->params.grad));
    VLY_TRY(vly_learner_step(l, q));
    VLY_TRY(vly_impala_see_observations(a, q, n));
    return vly_learner_stepped(l, q, a->learning);
}

static void impala_set_hyper(impala *a, const vly_progress *progress) {
    vly_hyper *h = a->learner.hyper;
    h->lr = a->config->impala.lr *
            (a->config->impala.anneal ? (float)vly_progress_left(progress) : 1.0f);
    h->max_grad_norm = a->config->optim.max_grad_norm;
    h->value_coef = a->config->impala.value_coef;
    h->entropy_coef = a->config->impala.entropy_coef;
    h->gamma = a->config->impala.gamma;
    h->lambda = a->config->impala.lambda;
    h->rho_bar = a->config->impala.rho_bar;
    h->c_bar = a->config->impala.c_bar;
    h->reward_scale = a->config->impala.reward_scale;
    a->shown = *h;
}

static vly_status impala_publish(vly_algo *pub, vly_queue *q) {
    impala *a = (impala *)pub;
    for (int j = 0; j < a->batch; j++) a->busy[a->learn_slot[j]] &= ~SLOT_LEARN;
    a->numbers[VERSION] = ++pub->version;
    pub->async.learning = 0;
    if (a->act_param != a->learner.params.param)
        VLY_TRY(a->c->copy(q, a->act_param, a->learner.params.param,
                           (size_t)a->learner.params.n * sizeof(vly_real)));
    return vly_exec_prepare(a->acting, q, a->act_param);
}

/* An update that is given up has counted rewards that are learned from again. */
static vly_status impala_watched_update(impala *a, vly_queue *q) {
    VLY_TRY(vly_moments_keep(&a->running, q));
    const vly_status status = impala_whole_update(q, a);
    if (status == VLY_ECANCELED) VLY_TRY(vly_moments_put_back(&a->running, q));
    return status;
}

static vly_status impala_learn(vly_algo *pub, vly_queue *q, const vly_progress *progress) {
    impala *a = (impala *)pub;
    const bool sync = pub->schedule == VLY_SCHEDULE_SYNC;
    bool enough = true;
    if (a->parcel) return vly_impala_hand_over(a, q);
    if (sync) VLY_TRY(gather_batch(a, q, &enough));
    if (!enough)
        return vly_fail(VLY_EINVAL, "impala: %lld of %d unrolls are complete",
                        (long long)a->numbers[READY], a->batch);
    impala_set_hyper(a, progress);
    vly_learner_watch(&a->learner, a->learning, progress);
    VLY_TRY(vly_learner_begin(&a->learner, q));
    if (progress->stop_asked || !vly_learner_capturable(&a->learner))
        VLY_TRY(impala_watched_update(a, q));
    else
        VLY_TRY(a->c->graph_run(q, &a->graph, impala_whole_update, a));
    VLY_TRY(vly_learner_end(&a->learner, q));
    return sync ? impala_publish(pub, q) : VLY_OK;
}

/* Evaluation never fills a slot for learning: each complete one is free as soon as its group moves
 * on. */
static vly_status impala_discard(vly_algo *pub, vly_queue *q) {
    impala *a = (impala *)pub;
    (void)q;
    for (int i = 0; i < a->numbers[READY]; i++) a->busy[a->ready[i]] &= ~SLOT_LEARN;
    a->numbers[READY] = 0;
    return VLY_OK;
}

static vly_status impala_value(vly_algo *pub, vly_queue *q, float *out) {
    impala *a = (impala *)pub;
    VLY_TRY(a->c->download(q, out, a->acting->value, sizeof *out));
    return a->c->queue_sync(q);
}

static vly_status impala_metrics(vly_algo *pub, vly_metric *out, int *count) {
    impala *a = (impala *)pub;
    const vly_real *s = a->learner.sums;
    const double rows = s[VLY_STAT_COUNT] > 0 ? s[VLY_STAT_COUNT] : 1,
                 steps = s[VLY_STAT_STEPS] > 0 ? s[VLY_STAT_STEPS] : 1;
    *count = 0;
    vly_metric_add(out, count, "charts/learning_rate", a->shown.lr);
    vly_metric_add(out, count, "charts/policy_lag", pub->async.lag_mean);
    vly_metric_add(out, count, "losses/policy_loss", s[VLY_STAT_POLICY_LOSS] / rows);
    vly_metric_add(out, count, "losses/value_loss", s[VLY_STAT_VALUE_LOSS] / rows);
    vly_metric_add(out, count, "losses/entropy", s[VLY_STAT_ENTROPY] / rows);
    vly_metric_add(out, count, "losses/importance_ratio", s[VLY_STAT_RHO] / rows);
    vly_metric_add(out, count, "losses/grad_norm", s[VLY_STAT_GRAD_NORM] / steps);
    const vly_status status = vly_learner_check(&a->learner);
    pub->failed = pub->failed || status != VLY_OK;
    return status;
}

/* ---- creation ---- */

static void impala_destroy(vly_algo *pub) {
    impala *a = (impala *)pub;
    if (a->graph) a->c->graph_destroy(a->graph);
    vly_exec_destroy(a->acting);
    vly_exec_destroy(a->learning);
    vly_learner_destroy(&a->learner);
    vly_net_destroy(a->net);
    vly_memories_give_back(&a->memories);
    free(a);
}

static vly_status copy_acting_weights(impala *a, vly_queue *q) {
    vly_status s = VLY_OK;
    a->act_param = a->learner.params.param;
    if (a->pub.schedule == VLY_SCHEDULE_SYNC || a->eval) return VLY_OK;
    a->act_param = vly_memories_take(&a->memories, false, a->learner.params.n, sizeof(vly_real),
                                     "unrolls", &s);
    VLY_TRY(s);
    return a->c->copy(q, a->act_param, a->learner.params.param,
                      (size_t)a->learner.params.n * sizeof(vly_real));
}

static vly_status impala_fill(impala *a, const vly_algo_args *args) {
    VLY_TRY(vly_head_create(&a->policy, &a->memories, args));
    a->parts = a->policy.dist.parts, a->width = a->policy.dist.width;
    const vly_net_desc d = vly_head_actor_critic(args);
    VLY_TRY(vly_net_create(&a->net, &d));
    a->H = vly_net_description(a->net)->lstm;
    a->pub.params = vly_net_weights(a->net);
    a->pub.arena = &a->learner.params, a->pub.optimizer = &a->learner.optimizer;
    VLY_TRY(vly_learner_create(&a->learner, args, a->net));
    VLY_TRY(vly_impala_alloc_slots(a));
    VLY_TRY(vly_impala_alloc_groups(a));
    VLY_TRY(vly_learner_seed(args, a->rng, 1));
    VLY_TRY(copy_acting_weights(a, args->queue));
    VLY_TRY(vly_exec_create(&a->acting, a->c, a->net, a->N, false, "acting"));
    VLY_TRY(vly_exec_prepare(a->acting, args->queue, a->act_param));
    if (a->eval) return VLY_OK;
    if (args->sync && args->sync->unrolls) { /* acts for a learner elsewhere */
        vly_status s = VLY_OK;
        a->parcel = vly_memories_take(&a->memories, true, (int64_t)vly_impala_unroll_bytes(a, a->M),
                                      1, "unrolls", &s);
        return s;
    }
    VLY_TRY(vly_impala_alloc_learning(a));
    VLY_TRY(vly_impala_alloc_moments(a));
    VLY_TRY(vly_exec_create(&a->learning, a->c, a->net, (a->T + 1) * a->B, true, "learning"));
    vly_learner_overlap(&a->learner, a->learning);
    VLY_TRY(vly_learner_share(&a->learner, a->learning));
    return vly_exec_prepare(a->learning, args->queue, a->learner.params.param);
}

/* Asynchronous: a batch may be learned from and another wait while every group fills a slot. */
static void impala_divide(impala *a, const vly_algo_args *args, const vly_config *config) {
    a->N = args->actors, a->G = args->groups, a->M = args->actors / args->groups;
    a->batch = a->G;
    if (a->pub.schedule == VLY_SCHEDULE_ASYNC) {
        const int columns = config->impala.batch > 0 ? config->impala.batch : (a->N + 1) / 2;
        a->batch = (columns + a->M - 1) / a->M;
        if (a->batch > a->G) a->batch = a->G;
    }
    a->B = a->batch * a->M;
    a->slots = a->G + (a->pub.schedule == VLY_SCHEDULE_ASYNC ? 2 * a->batch : a->G);
}

/* With pool.schedule sync the updates are the same, every group is in each, and the lag is 0. */
static vly_status create_impala(vly_algo **out, const vly_algo_args *args) {
    const vly_config *config = args->config;
    *out = NULL;
    if (args->actors < 1 || args->groups < 1 || args->actors % args->groups)
        return vly_fail(VLY_EINVAL, "%d environments do not divide into %d groups", args->actors,
                        args->groups);
    const int T = args->eval ? 1 : config->impala.rollout;
    if (T < 1 || (int64_t)(T + 8) * args->actors * 4 > INT32_MAX)
        return vly_fail(VLY_EINVAL, "unrolls of %d steps of %d environments", T, args->actors);
    VLY_TRY(vly_moments_check(args, config->impala.normalize_reward));
    impala *a = calloc(1, sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory for impala");
    const bool sync = args->eval || config->pool.schedule == VLY_POOL_SCHEDULE_SYNC;
    a->pub = (vly_algo){.name = "impala",
                        .schedule = sync ? VLY_SCHEDULE_SYNC : VLY_SCHEDULE_ASYNC,
                        .phase_steps = T,
                        .destroy = impala_destroy,
                        .place = impala_place,
                        .arrived = impala_arrived,
                        .act = impala_act,
                        .action = impala_action,
                        .collect = sync ? NULL : impala_collect,
                        .uncollect = sync ? NULL : impala_uncollect,
                        .unact = sync ? NULL : impala_unact,
                        .learn = impala_learn,
                        .publish = sync ? NULL : impala_publish,
                        .discard = impala_discard,
                        .value = impala_value,
                        .metrics = impala_metrics,
                        .buffers = vly_impala_buffers,
                        .restored = vly_impala_restored,
                        .receive = vly_impala_receive};
    a->c = args->compute;
    a->memories = (vly_memories){.c = a->c, .option = "--run.envs or --impala.rollout"};
    a->config = config;
    a->obs = args->env->obs;
    a->history = a->obs.stack > 1 ? a->obs.stack - 1 : 0;
    a->T = T;
    a->eval = args->eval;
    a->greedy = args->eval && args->greedy;
    impala_divide(a, args, config);
    a->pub.rows_per_update = (int64_t)T * a->B;
    const vly_status status = impala_fill(a, args);
    if (status != VLY_OK) {
        impala_destroy(&a->pub);
        return status;
    }
    *out = &a->pub;
    return VLY_OK;
}

const vly_algo_entry vly_algo_impala = {
    .name = "impala",
    .summary = "asynchronous actor-critic corrected by V-trace",
    .sections = {"impala"},
    .schedule = VLY_SCHEDULE_ASYNC,
    .traits = {.acts = VLY_ACTS_MULTI | VLY_ACTS_BOX | VLY_ACTS_MASKED, .unrolls = true},
    .create = create_impala,
    .network = vly_head_actor_critic,
};
