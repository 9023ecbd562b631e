#include "common/learn/onpolicy_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vly_frames onpolicy_frames_in(const onpolicy *a, uint8_t *frames, uint8_t *age) {
    const vly_frames f = {frames, age, (int64_t)(a->T + 1 + a->history) * a->N, a->N, a->obs};
    return f;
}

/* ---- acting ---- */

static bool onpolicy_place(vly_algo *pub, int group, vly_rows *rows) {
    onpolicy *a = (onpolicy *)pub;
    const int64_t t = a->cursor[group] + 1;
    if (t > a->T) return false;
    const int64_t row = vly_onpolicy_row_of(a, t, group);
    rows->obs = a->frames + (size_t)row * a->obs.bytes;
    rows->obs_stride = a->obs.bytes;
    rows->reward = a->reward_host + row;
    rows->score = a->score_host + vly_onpolicy_group_first(a, group);
    rows->flags = a->flags_host + row;
    if (a->allowed) {
        rows->mask_stride = (size_t)a->policy.dist.width;
        rows->mask = a->allowed_host + (size_t)row * rows->mask_stride;
    }
    return true;
}

static vly_status onpolicy_arrived(vly_algo *pub, vly_queue *q, int group, const uint8_t *age) {
    onpolicy *a = (onpolicy *)pub;
    const int64_t row = vly_onpolicy_row_of(a, ++a->cursor[group], group);
    const size_t M = (size_t)a->M;
    if (a->age) {
        memcpy(a->age_host + row, age, M);
        if (a->age != a->age_host) VLY_TRY(a->c->upload(q, a->age + row, a->age_host + row, M));
    }
    if (a->allowed && a->allowed != a->allowed_host) {
        const size_t width = (size_t)a->policy.dist.width, at = (size_t)row * width;
        VLY_TRY(a->c->upload(q, a->allowed + at, a->allowed_host + at, M * width));
    }
    if ((a->H > 0 || a->turns) && a->flags != a->flags_host)
        VLY_TRY(a->c->upload(q, a->flags + row, a->flags_host + row, M));
    return VLY_OK;
}

/* Network outputs for the newest row of a group, the recurrent state set up and not yet kept. */
static vly_status infer(onpolicy *a, vly_queue *q, int group, int64_t row) {
    const vly_frames frames = onpolicy_frames_in(a, a->frames, a->age);
    VLY_TRY(vly_exec_gather(a->acting, q, &frames, a->M, NULL, row));
    if (a->H > 0) {
        const size_t bytes = (size_t)a->M * (size_t)a->H * sizeof(vly_real),
                     at = (size_t)vly_onpolicy_group_first(a, group) * (size_t)a->H;
        VLY_TRY(a->c->copy(q, a->acting->state_h, a->h + at, bytes));
        VLY_TRY(a->c->copy(q, a->acting->state_c, a->cell + at, bytes));
        VLY_TRY(vly_exec_sequence(a->acting, 1, a->flags + row));
    }
    return vly_exec_forward(a->acting, q, a->M, a->act_param);
}

static vly_status keep_state(onpolicy *a, vly_queue *q, int group) {
    const size_t n = (size_t)a->M * (size_t)a->H,
                 at = (size_t)vly_onpolicy_group_first(a, group) * (size_t)a->H;
    VLY_TRY(a->c->copy(q, a->h + at, a->acting->state_h + n, n * sizeof(vly_real)));
    return a->c->copy(q, a->cell + at, a->acting->state_c + n, n * sizeof(vly_real));
}

/* What was drawn, as the environments take it, to host memory. */
static vly_status give_actions(onpolicy *a, vly_queue *q, int first, int64_t row) {
    const size_t parts = (size_t)a->policy.dist.parts, at = (size_t)first * parts,
                 from = (size_t)row * parts, bytes = (size_t)a->M * parts * sizeof(int32_t);
    if (a->policy.box) {
        int32_t *to = a->sent_shown ? a->sent_shown : a->sent;
        VLY_TRY(vly_head_give(&a->policy, q, a->M, a->action + from, to + at));
        return a->sent_shown ? VLY_OK : a->c->download(q, a->sent_host + at, a->sent + at, bytes);
    }
    if (a->action == a->action_host || a->action_shown) return VLY_OK;
    return a->c->download(q, a->action_host + from, a->action + from, bytes);
}

static vly_status onpolicy_act_group(vly_queue *q, void *arg) {
    onpolicy *a = arg;
    const int g = a->group, first = vly_onpolicy_group_first(a, g);
    const int64_t row = vly_onpolicy_row_of(a, a->cursor[g], g);
    const vly_head *p = &a->policy;
    vly_rng *rng = &a->rng[g];
    VLY_TRY(infer(a, q, g, row));
    if (a->H > 0) VLY_TRY(keep_state(a, q, g));
    if (a->allowed)
        VLY_TRY(vly_head_mask(p, q, a->M, a->allowed + row * p->dist.width, a->acting->logits));
    VLY_TRY(vly_head_draw(p, q, a->M, a->acting->logits, a->greedy ? NULL : rng, NULL, first,
                          a->action + row * p->dist.parts,
                          a->action_shown ? a->action_shown + row : NULL, a->logp + row));
    VLY_TRY(a->c->rng_advance(q, rng));
    if (a->o.critic)
        VLY_TRY(a->c->copy(q, a->value + row, a->acting->value, (size_t)a->M * sizeof(vly_real)));
    return give_actions(a, q, first, row);
}

static vly_status onpolicy_act(vly_algo *pub, vly_queue *q, const int *group, int count) {
    onpolicy *a = (onpolicy *)pub;
    for (int i = 0; i < count; i++) {
        if (a->cursor[group[i]] < 0) /* of a checkpoint that says it has begun */
            return vly_fail(VLY_ECORRUPT, "%s: group %d acts and has no observation", a->pub.name,
                            group[i]);
        a->group = group[i];
        vly_graph **graph = &a->act_graph[(int64_t)group[i] * (a->T + 1) + a->cursor[group[i]]];
        VLY_TRY(a->c->graph_run(q, graph, onpolicy_act_group, a));
    }
    return VLY_OK;
}

static vly_actions onpolicy_action(vly_algo *pub, int group) {
    const onpolicy *a = (const onpolicy *)pub;
    const int parts = a->policy.dist.parts;
    const int32_t *data =
        a->policy.box ? a->sent_host + vly_onpolicy_group_first(a, group) * parts
                      : a->action_host + vly_onpolicy_row_of(a, a->cursor[group], group) * parts;
    return (vly_actions){data, vly_head_bytes(&a->policy)};
}

/* ---- learning ---- */

/* Without a critic every value is 0, and GAE with lambda 1 gives returns to go. */
static vly_status bootstrap(onpolicy *a, vly_queue *q) {
    if (!a->o.critic) return VLY_OK;
    for (int g = 0; g < a->G; g++) {
        const int64_t row = vly_onpolicy_row_of(a, a->T, g);
        VLY_TRY(infer(a, q, g, row));
        VLY_TRY(a->c->copy(q, a->value + row, a->acting->value, (size_t)a->M * sizeof(vly_real)));
    }
    return VLY_OK;
}

/* What is left of a rollout once all its rows have arrived. */
static vly_status complete_rollout(onpolicy *a, vly_queue *q) {
    const int64_t rows = (int64_t)a->T * a->N;
    if (a->reward_host != (float *)a->reward) {
        VLY_TRY(
            a->c->upload(q, a->reward + a->N, a->reward_host + a->N, (size_t)rows * sizeof(float)));
        VLY_TRY(a->c->upload(q, a->flags + a->N, a->flags_host + a->N, (size_t)rows));
    }
    return bootstrap(a, q);
}

static vly_status estimate(onpolicy *a, vly_queue *q) {
    if (!a->o.overlap) VLY_TRY(complete_rollout(a, q));
    VLY_TRY(vly_onpolicy_scale_rewards(a, q));
    const vly_gae_args gae = {.T = a->T,
                              .N = a->N,
                              .reward = a->seen.reward + a->N,
                              .value = a->seen.value,
                              .flags = a->seen.flags + a->N,
                              .hyper = a->learner.hyper_device,
                              .advantage = a->advantage,
                              .target = a->target,
                              .mask = a->mask,
                              .own = a->turns ? a->seen.flags : NULL};
    return a->c->gae(q, &gae);
}

/* Masks of a minibatch, on the logits. */
static vly_status mask_minibatch(onpolicy *a, vly_queue *q, int n, const int32_t *row) {
    const int width = a->policy.dist.width;
    if (!a->allowed) return VLY_OK;
    const vly_frames rows = {a->seen.allowed,
                             NULL,
                             (int64_t)(a->T + 1) * a->N,
                             a->N,
                             {.dtype = VLY_U8,
                              .ndim = 1,
                              .shape = {width},
                              .stack = 1,
                              .scale = 1,
                              .bytes = (size_t)width}};
    VLY_TRY(a->c->gather(q, &rows, n, row, 0, VLY_U8, a->allowed_mb));
    return vly_head_mask(&a->policy, q, n, a->allowed_mb, a->learning->logits);
}

/* Recurrent minibatches are whole columns: the states at row 0 and the flags of all rows go with
 * them. */
static vly_status begin_sequences(onpolicy *a, vly_queue *q, int k, int n, const int32_t *row) {
    const int first = vly_onpolicy_columns_first(a, k), columns = n / a->T;
    const size_t bytes = (size_t)columns * (size_t)a->H * sizeof(vly_real),
                 at = (size_t)first * (size_t)a->H;
    const vly_frames flags = {
        a->seen.flags,
        NULL,
        (int64_t)(a->T + 1) * a->N,
        a->N,
        {.dtype = VLY_U8, .ndim = 1, .shape = {1}, .stack = 1, .scale = 1, .bytes = 1}};
    VLY_TRY(a->c->gather(q, &flags, n, row, 0, VLY_U8, a->flags_mb));
    VLY_TRY(a->c->copy(q, a->learning->state_h, a->seen.h0 + at, bytes));
    VLY_TRY(a->c->copy(q, a->learning->state_c, a->seen.cell0 + at, bytes));
    return vly_exec_sequence(a->learning, a->T, a->flags_mb);
}

/* What the loss subtracts from advantages, where it is not their own mean. The baseline is of
 * earlier rollouts, so it does not depend on the actions that it judges. */
static vly_status center_advantages(onpolicy *a, vly_queue *q, int n, const int32_t *row) {
    if (!a->baseline) return VLY_OK;
    VLY_TRY(a->c->moments(q, n, a->advantage, row, a->mask, a->fresh));
    VLY_TRY(a->c->copy(q, a->moments, a->baseline, sizeof *a->moments));
    return a->c->copy(q, a->moments + 2, a->fresh + 2, sizeof *a->moments);
}

static vly_status learn_minibatch(onpolicy *a, vly_queue *q, int k) {
    vly_learner *l = &a->learner;
    const vly_frames frames = onpolicy_frames_in(a, a->seen.frames, a->seen.age);
    const bool recurrent = a->H > 0;
    const int first = recurrent ? vly_onpolicy_columns_first(a, k) * a->T
                                : vly_onpolicy_batch_first(a, k);
    const int n = (recurrent ? vly_onpolicy_columns_first(a, k + 1) * a->T
                             : vly_onpolicy_batch_first(a, k + 1)) -
                  first;
    const int32_t *row = (recurrent ? a->row : a->order) + first;
    VLY_TRY(vly_exec_gather(a->learning, q, &frames, n, row, 0));
    if (recurrent) VLY_TRY(begin_sequences(a, q, k, n, row));
    VLY_TRY(vly_exec_forward(a->learning, q, n, l->params.param));
    VLY_TRY(mask_minibatch(a, q, n, row));
    VLY_TRY(center_advantages(a, q, n, row));
    const vly_policy_loss_args loss = {.n = n,
                                       .actions = a->policy.actions,
                                       .plain = a->o.plain,
                                       .normalize = a->o.normalize || a->baseline,
                                       .row = row,
                                       .logits = a->learning->logits,
                                       .value = a->o.critic ? a->learning->value : NULL,
                                       .action = a->seen.action,
                                       .logp_old = a->seen.logp,
                                       .value_old = a->seen.value,
                                       .advantage = a->advantage,
                                       .target = a->target,
                                       .mask = a->mask,
                                       .moments = a->moments,
                                       .hyper = l->hyper_device,
                                       .dlogits = a->learning->dlogits,
                                       .dvalue = a->o.critic ? a->learning->dvalue : NULL,
                                       .stats = l->stats};
    VLY_TRY(vly_head_loss(&a->policy, q, &loss));
    if (a->baseline) VLY_TRY(a->c->polyak(q, 1, a->baseline, a->fresh, l->hyper_device));
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
    if (a->allowed) {
        const size_t masks = N * (size_t)a->policy.dist.width;
        VLY_TRY(a->c->copy(q, a->allowed, a->allowed + (size_t)last * masks, masks));
    }
    if (a->H == 0) return VLY_OK;
    VLY_TRY(a->c->copy(q, a->h0, a->h, N * (size_t)a->H * sizeof(vly_real)));
    return a->c->copy(q, a->cell0, a->cell, N * (size_t)a->H * sizeof(vly_real));
}

/* The host's twins of what carry_over moved. */
static void rewind_host(onpolicy *a, int64_t last) {
    const size_t N = (size_t)a->N;
    if (a->flags_host != a->flags) memcpy(a->flags_host, a->flags_host + (size_t)last * N, N);
    if (a->allowed_host != a->allowed) {
        const size_t masks = N * (size_t)a->policy.dist.width;
        memcpy(a->allowed_host, a->allowed_host + (size_t)last * masks, masks);
    }
    for (int g = 0; g < a->G; g++) a->cursor[g] = 0;
}

/* After the last step of an update, unless set_aside has. */
static vly_status go_on(onpolicy *a, vly_queue *q) {
    VLY_TRY(vly_onpolicy_see_observations(a, q));
    if (a->o.overlap) return VLY_OK;
    VLY_TRY(vly_learner_stepped(&a->learner, q, a->acting));
    return carry_over(a, q, a->T);
}

static vly_status onpolicy_whole_update(vly_queue *q, void *arg) {
    onpolicy *a = arg;
    VLY_TRY(estimate(a, q));
    for (int e = 0; e < a->o.epochs; e++) VLY_TRY(learn_epoch(a, q));
    return go_on(a, q);
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
    return go_on(a, q);
}

static void onpolicy_set_hyper(onpolicy *a, const vly_progress *progress) {
    const vly_onpolicy_options *o = &a->o;
    const float left = (float)vly_progress_left(progress);
    vly_hyper *h = a->learner.hyper;
    h->lr = o->lr * (o->anneal ? left : 1.0f);
    h->clip = o->clip * (o->anneal_clip ? left : 1.0f);
    h->value_clip = o->value_clip;
    h->value_coef = o->value_coef;
    h->entropy_coef =
        (float)((double)o->entropy_coef * vly_steps_left(progress->steps, o->entropy_steps));
    h->gamma = o->gamma;
    h->lambda = o->lambda;
    h->reward_scale = o->reward_scale;
    const float first = 1.0f / (float)(progress->updates + 1); /* at first the plain mean */
    h->tau = o->baseline > first ? o->baseline : first;
    *a->shown = *h;
}

static vly_status check_rollout(const onpolicy *a) {
    for (int g = 0; g < a->G; g++)
        if (a->cursor[g] != a->T)
            return vly_fail(VLY_EINVAL, "%s: group %d has %d of %d rows", a->pub.name, g,
                            (int)a->cursor[g], a->T);
    return VLY_OK;
}

static vly_status copy_rollout(onpolicy *a, vly_queue *q) {
    const onpolicy_rows *to = &a->seen;
    const size_t rows = (size_t)(a->T + 1) * (size_t)a->N,
                 ring = rows + (size_t)a->history * (size_t)a->N,
                 states = (size_t)a->N * (size_t)a->H * sizeof(vly_real);
    VLY_TRY(a->c->copy(q, to->frames, a->frames, ring * a->obs.bytes));
    if (a->age) VLY_TRY(a->c->copy(q, to->age, a->age, ring));
    VLY_TRY(a->c->copy(q, to->flags, a->flags, rows));
    VLY_TRY(a->c->copy(q, to->action, a->action, rows * vly_head_bytes(&a->policy)));
    if (a->allowed)
        VLY_TRY(a->c->copy(q, to->allowed, a->allowed, rows * (size_t)a->policy.dist.width));
    VLY_TRY(a->c->copy(q, to->reward, a->reward, rows * sizeof(vly_real)));
    VLY_TRY(a->c->copy(q, to->logp, a->logp, rows * sizeof(vly_real)));
    if (a->o.critic) VLY_TRY(a->c->copy(q, to->value, a->value, rows * sizeof(vly_real)));
    if (a->H == 0) return VLY_OK;
    VLY_TRY(a->c->copy(q, to->h0, a->h0, states));
    return a->c->copy(q, to->cell0, a->cell0, states);
}

/* The values of the last rows are those of the weights that acted, before newer ones replace them. */
static vly_status onpolicy_set_aside(vly_algo *pub, vly_queue *q) {
    onpolicy *a = (onpolicy *)pub;
    const vly_params *p = &a->learner.params;
    VLY_TRY(check_rollout(a));
    VLY_TRY(complete_rollout(a, q));
    VLY_TRY(copy_rollout(a, q));
    VLY_TRY(carry_over(a, q, a->T));
    VLY_TRY(a->c->copy(q, a->act_param, p->param, (size_t)p->n * sizeof(vly_real)));
    VLY_TRY(vly_exec_prepare(a->acting, q, a->act_param));
    rewind_host(a, a->T);
    return VLY_OK;
}

static vly_status onpolicy_learn(vly_algo *pub, vly_queue *q, const vly_progress *progress) {
    onpolicy *a = (onpolicy *)pub;
    if (!a->o.overlap) VLY_TRY(check_rollout(a));
    onpolicy_set_hyper(a, progress);
    vly_learner_watch(&a->learner, a->learning, progress);
    VLY_TRY(vly_learner_begin(&a->learner, q));
    if (a->o.target_kl > 0)
        VLY_TRY(limited_update(a, q));
    else if (vly_learner_capturable(&a->learner))
        VLY_TRY(a->c->graph_run(q, &a->graph, onpolicy_whole_update, a));
    else
        VLY_TRY(onpolicy_whole_update(q, a));
    VLY_TRY(vly_learner_end(&a->learner, q));
    if (!a->o.overlap) rewind_host(a, a->T);
    pub->version++;
    return VLY_OK;
}

static vly_status onpolicy_discard(vly_algo *pub, vly_queue *q) {
    onpolicy *a = (onpolicy *)pub;
    const int64_t last = a->cursor[0];
    VLY_TRY(carry_over(a, q, last));
    VLY_TRY(a->c->queue_sync(q));
    rewind_host(a, last);
    return VLY_OK;
}

static vly_status onpolicy_value(vly_algo *pub, vly_queue *q, float *out) {
    onpolicy *a = (onpolicy *)pub;
    VLY_TRY(a->c->download(q, out, a->acting->value, sizeof *out));
    return a->c->queue_sync(q);
}

static vly_status onpolicy_metrics(vly_algo *pub, vly_metric *out, int *count) {
    onpolicy *a = (onpolicy *)pub;
    const vly_real *s = a->learner.sums;
    const double rows = s[VLY_STAT_COUNT] > 0 ? s[VLY_STAT_COUNT] : 1,
                 steps = s[VLY_STAT_STEPS] > 0 ? s[VLY_STAT_STEPS] : 1;
    *count = 0;
    vly_metric_add(out, count, "charts/learning_rate", a->shown->lr);
    vly_metric_add(out, count, "losses/policy_loss", s[VLY_STAT_POLICY_LOSS] / rows);
    if (a->o.critic) vly_metric_add(out, count, "losses/value_loss", s[VLY_STAT_VALUE_LOSS] / rows);
    vly_metric_add(out, count, "losses/entropy", s[VLY_STAT_ENTROPY] / rows);
    if (a->o.entropy_steps)
        vly_metric_add(out, count, "charts/entropy_coef", a->shown->entropy_coef);
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

/* ---- creation ---- */

static void onpolicy_destroy(vly_algo *pub) {
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

/* A baseline is subtracted, nothing is divided: the deviation in moments stays 1. */
static vly_status upload_unit_deviation(onpolicy *a, vly_queue *q) {
    const vly_real moments[3] = {0, 1, 0};
    VLY_TRY(a->c->upload(q, a->moments, moments, sizeof moments));
    return a->c->queue_sync(q);
}

static vly_status onpolicy_fill(onpolicy *a, const vly_algo_args *args) {
    a->cursor = calloc((size_t)a->G, sizeof *a->cursor);
    a->act_graph = calloc((size_t)a->G * (size_t)(a->T + 1), sizeof *a->act_graph);
    a->shown = calloc(1, sizeof *a->shown);
    if (!a->cursor || !a->act_graph || !a->shown)
        return vly_fail(VLY_ENOMEM, "no memory for %s", a->pub.name);
    for (int g = 0; g < a->G; g++) a->cursor[g] = -1;
    VLY_TRY(vly_head_create(&a->policy, &a->memories, args));
    const vly_net_desc d = a->o.critic ? vly_head_actor_critic(args) : vly_head_actor(args);
    VLY_TRY(vly_net_create(&a->net, &d));
    a->H = vly_net_description(a->net)->lstm;
    if (!args->eval && a->H > 0 && a->o.minibatches > a->N)
        return vly_fail(VLY_EINVAL,
                        "%d minibatches of whole sequences need as many environments, not %d: "
                        "lower --ppo.minibatches",
                        a->o.minibatches, a->N);
    VLY_TRY(vly_learner_create(&a->learner, args, a->net));
    a->pub.params = vly_net_weights(a->net);
    a->pub.arena = &a->learner.params, a->pub.optimizer = &a->learner.optimizer;
    VLY_TRY(vly_onpolicy_alloc_rollout(a));
    VLY_TRY(vly_learner_seed(args, a->rng, a->G + 1));
    VLY_TRY(vly_exec_create(&a->acting, a->c, a->net, a->M, false, "acting"));
    VLY_TRY(vly_onpolicy_alloc_overlap(a));
    if (a->o.overlap)
        VLY_TRY(a->c->copy(args->queue, a->act_param, a->learner.params.param,
                           (size_t)a->learner.params.n * sizeof(vly_real)));
    else
        VLY_TRY(vly_learner_share(&a->learner, a->acting));
    VLY_TRY(vly_exec_prepare(a->acting, args->queue, a->act_param));
    if (a->eval) return VLY_OK;
    a->learner.hyper->max_grad_norm = args->config->optim.max_grad_norm;
    VLY_TRY(vly_onpolicy_alloc_learning(a));
    VLY_TRY(vly_onpolicy_alloc_moments(a));
    if (a->baseline) VLY_TRY(upload_unit_deviation(a, args->queue));
    VLY_TRY(vly_onpolicy_fill_orders(a, args->queue));
    VLY_TRY(
        vly_exec_create(&a->learning, a->c, a->net, vly_onpolicy_learn_rows(a), true, "learning"));
    vly_learner_overlap(&a->learner, a->learning);
    VLY_TRY(vly_learner_share(&a->learner, a->learning));
    return vly_exec_prepare(a->learning, args->queue, a->learner.params.param);
}

static vly_status check_onpolicy(const vly_algo_args *args, const vly_onpolicy_options *o) {
    if (args->actors < 1 || args->groups < 1 || args->actors % args->groups)
        return vly_fail(VLY_EINVAL, "%d environments do not divide into %d groups", args->actors,
                        args->groups);
    if (o->rollout < 1 || (int64_t)o->rollout * args->actors > INT32_MAX / 2)
        return vly_fail(VLY_EINVAL,
                        "a rollout of %d steps of %d environments has %lld rows; at most %d: lower "
                        "the rollout or --envs",
                        o->rollout, args->actors, (long long)o->rollout * args->actors,
                        INT32_MAX / 2);
    VLY_TRY(vly_moments_check(args, o->normalize_reward));
    if (!args->eval && (int64_t)o->minibatches > (int64_t)o->rollout * args->actors)
        return vly_fail(VLY_EINVAL, "%d minibatches of %lld rows", o->minibatches,
                        (long long)o->rollout * args->actors);
    return VLY_OK;
}

vly_status vly_onpolicy_create(vly_algo **out, const vly_algo_args *args,
                               const vly_onpolicy_options *options) {
    *out = NULL;
    VLY_TRY(check_onpolicy(args, options));
    onpolicy *a = calloc(1, sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory for %s", options->name);
    a->pub = (vly_algo){.schedule = VLY_SCHEDULE_SYNC,
                        .destroy = onpolicy_destroy,
                        .place = onpolicy_place,
                        .arrived = onpolicy_arrived,
                        .act = onpolicy_act,
                        .action = onpolicy_action,
                        .learn = onpolicy_learn,
                        .discard = onpolicy_discard,
                        .metrics = onpolicy_metrics,
                        .buffers = vly_onpolicy_buffers,
                        .restored = vly_onpolicy_restored};
    snprintf(a->pub.name, sizeof a->pub.name, "%s", options->name);
    a->c = args->compute;
    a->memories = (vly_memories){.c = a->c, .option = "--run.envs or the rollout"};
    a->o = *options;
    a->o.overlap = options->overlap && !args->eval;
    if (a->o.overlap) a->pub.set_aside = onpolicy_set_aside, a->pub.learned = vly_onpolicy_learned;
    a->pub.value = a->o.critic ? onpolicy_value : NULL;
    a->eval = args->eval;
    a->greedy = args->eval && args->greedy;
    a->obs = args->env->obs;
    a->turns = args->env->players > 1;
    a->N = args->actors, a->G = args->groups, a->M = args->actors / args->groups;
    a->T = a->eval ? 1 : options->rollout;
    a->history = a->obs.stack > 1 ? a->obs.stack - 1 : 0;
    a->pub.phase_steps = a->T;
    a->pub.rows_per_update = (int64_t)a->T * a->N;
    const vly_status status = onpolicy_fill(a, args);
    if (status != VLY_OK) {
        onpolicy_destroy(&a->pub);
        return status;
    }
    *out = &a->pub;
    return VLY_OK;
}
