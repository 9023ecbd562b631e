#include "common/learn/offpolicy_impl.h"
#include <math.h>

enum { UPDATES_AHEAD = 64 }; /* enqueued ahead of a device */

/* ---- acting ---- */

bool vly_offpolicy_place(vly_algo *pub, int group, vly_rows *rows) {
    vly_replay_place(((vly_offpolicy *)pub)->replay, group, rows);
    return true;
}

/* As the policy's network does it first of all. */
static vly_status normalize_batch(vly_offpolicy *a, vly_queue *q, const vly_real *x, vly_real *y) {
    const vly_real *mean = a->policy_learner.params.param + a->running.at;
    return a->c->normalize(q, a->o.batch, a->width, x, mean, mean + a->width, VLY_NET_NORMAL_LIMIT,
                           y);
}

vly_status vly_offpolicy_arrived(vly_algo *pub, vly_queue *q, int group, const uint8_t *age) {
    vly_offpolicy *a = (vly_offpolicy *)pub;
    a->pace->begun = 1;
    VLY_TRY(vly_replay_arrived(a->replay, q, group, age));
    return vly_moments_see_newest(&a->running, q, a->policy_learner.params.param, a->replay, group);
}

static vly_status draw_at_random(vly_offpolicy *a, vly_queue *q, int first) {
    const vly_noise_args noise = {.n = a->M,
                                  .parts = a->parts,
                                  .rng = &a->rng[a->group],
                                  .stream = VLY_STREAM_ACT,
                                  .lane0 = first,
                                  .out = a->drawn + (size_t)first * (size_t)a->parts};
    return a->c->noise(q, &noise);
}

static vly_status give_numbers(vly_offpolicy *a, vly_queue *q, int first) {
    const size_t at = (size_t)first * (size_t)a->parts,
                 bytes = (size_t)(a->M * a->parts) * sizeof(int32_t);
    vly_real *to = a->sent_shown ? a->sent_shown : a->sent;
    VLY_TRY(a->c->dist_action(q, &a->bounds, a->M, a->drawn + at, to + at));
    if (a->sent_shown) return VLY_OK;
    return a->c->download(q, (char *)a->sent_host + at * sizeof(int32_t), to + at, bytes);
}

/* The mask of the newest rows lies beside them in the ring. */
static vly_status infer_newest(vly_offpolicy *a, vly_queue *q, int64_t newest) {
    const vly_replay *r = a->replay;
    const vly_frames frames = vly_replay_frames(r);
    VLY_TRY(vly_exec_gather(a->acting, q, &frames, a->M, NULL, newest));
    VLY_TRY(vly_exec_forward(a->acting, q, a->M, a->policy_learner.params.param));
    if (!r->allowed) return VLY_OK;
    return a->c->mask_actions(q, (int64_t)a->M * a->actions, r->allowed + newest * r->o.choices,
                              a->acting->logits);
}

/* Captured: what depends on the group alone, not on where the ring stands. */
static vly_status choose_for_group(vly_queue *q, void *arg) {
    vly_offpolicy *a = arg;
    const int first = a->group * a->M;
    VLY_TRY(a->random ? draw_at_random(a, q, first) : a->method->explore(a, q, first));
    VLY_TRY(a->c->rng_advance(q, &a->rng[a->group]));
    return give_numbers(a, q, first);
}

vly_status vly_offpolicy_act(vly_algo *pub, vly_queue *q, const int *group, int count) {
    vly_offpolicy *a = (vly_offpolicy *)pub;
    /* a trained policy that fills its memory anew acts by itself */
    a->random = !a->eval && !a->choices && a->pace->start_steps < 0 && a->pace->updates == 0;
    for (int i = 0; i < count; i++) {
        const int g = group[i];
        const size_t at = (size_t)g * (size_t)a->M * (size_t)a->parts;
        a->group = g;
        if (!a->random) VLY_TRY(infer_newest(a, q, vly_replay_newest(a->replay, g)));
        VLY_TRY(a->c->graph_run(q, &a->act_graph[2 * g + !a->random], choose_for_group, a));
        VLY_TRY(a->choices ? vly_replay_acted(a->replay, q, g, (const int32_t *)(a->drawn + at))
                           : vly_replay_acted_numbers(a->replay, q, g, a->drawn + at));
    }
    return VLY_OK;
}

vly_actions vly_offpolicy_action(vly_algo *pub, int group) {
    const vly_offpolicy *a = (const vly_offpolicy *)pub;
    const size_t bytes = (size_t)a->parts * sizeof(int32_t);
    return (vly_actions){(const char *)a->sent_host + (size_t)group * (size_t)a->M * bytes, bytes};
}

/* ---- learning ---- */

vly_status vly_offpolicy_observe(vly_offpolicy *a, vly_queue *q, vly_exec *exec,
                                 const int32_t *row) {
    const vly_frames frames = vly_replay_frames(a->replay);
    VLY_TRY(vly_exec_gather(exec, q, &frames, a->o.batch, row, 0));
    const bool critics = exec == a->critics || exec == a->targets;
    return a->normal && critics ? normalize_batch(a, q, exec->x, exec->x) : VLY_OK;
}

vly_status vly_offpolicy_judge(vly_offpolicy *a, vly_queue *q, vly_exec *critics,
                               const vly_exec *from, const vly_real *action) {
    const int n = a->o.batch, all = a->width + a->parts;
    if (a->normal) VLY_TRY(normalize_batch(a, q, from->x, a->normal));
    VLY_TRY(
        a->c->columns(q, n, a->width, a->normal ? a->normal : from->x, a->width, critics->x, all));
    return a->c->columns(q, n, a->parts, action, a->parts, (vly_real *)critics->x + a->width, all);
}

vly_status vly_offpolicy_ascend(vly_offpolicy *a, vly_queue *q, bool first, vly_real *out) {
    vly_exec *e = a->critics;
    const vly_params *p = &a->critic_learner.params;
    const int n = a->o.batch;
    VLY_TRY(a->c->ascend(q, n, e->logits, first ? NULL : e->value, e->dlogits, e->dvalue));
    VLY_TRY(vly_exec_backward(e, q, n, p->param, NULL));
    return a->c->columns(q, n, a->parts, e->dx + a->width, a->width + a->parts, out, a->parts);
}

vly_status vly_offpolicy_step_policy(vly_offpolicy *a, vly_queue *q) {
    vly_learner *l = &a->policy_learner;
    VLY_TRY(vly_exec_backward(a->policy, q, a->o.batch, l->params.param, l->params.grad));
    VLY_TRY(vly_learner_step(l, q));
    return vly_learner_stepped(l, q, a->policy);
}

static vly_status step_critics(vly_offpolicy *a, vly_queue *q) {
    vly_learner *l = &a->critic_learner;
    const vly_replay_batch *b = &a->replay->batch;
    VLY_TRY(vly_offpolicy_observe(a, q, a->policy, b->row));
    if (a->choices)
        VLY_TRY(vly_offpolicy_observe(a, q, a->critics, b->row));
    else
        VLY_TRY(vly_offpolicy_judge(a, q, a->critics, a->policy, b->numbers));
    VLY_TRY(vly_exec_forward(a->critics, q, a->o.batch, l->params.param));
    const vly_twin_loss_args loss = {.n = a->o.batch,
                                     .actions = a->actions,
                                     .q1 = a->critics->logits,
                                     .q2 = a->critics->value,
                                     .action = b->action,
                                     .n_return = b->n_return,
                                     .discount = b->discount,
                                     .value = a->value,
                                     .weight = b->weight,
                                     .dq1 = a->critics->dlogits,
                                     .dq2 = a->critics->dvalue,
                                     .td_abs = b->td_abs,
                                     .stats = l->stats};
    VLY_TRY(a->c->twin_loss(q, &loss));
    VLY_TRY(vly_exec_backward(a->critics, q, a->o.batch, l->params.param, l->params.grad));
    VLY_TRY(vly_learner_step(l, q));
    return vly_learner_stepped(l, q, a->critics);
}

static vly_status move_targets(vly_offpolicy *a, vly_queue *q) {
    const vly_params *critic = &a->critic_learner.params, *policy = &a->policy_learner.params;
    const vly_hyper *h = a->critic_learner.hyper_device;
    VLY_TRY(a->c->polyak(q, critic->n, a->target_param, critic->param, h));
    VLY_TRY(vly_exec_prepare(a->targets, q, a->target_param));
    if (!a->target_policy) return VLY_OK;
    VLY_TRY(a->c->polyak(q, policy->n, a->target_policy_param, policy->param, h));
    return vly_exec_prepare(a->target_policy, q, a->target_policy_param);
}

static vly_status offpolicy_update(vly_queue *q, void *arg) {
    vly_offpolicy *a = arg;
    const vly_hyper *h = a->critic_learner.hyper_device;
    VLY_TRY(vly_replay_sample(a->replay, q, &a->rng[a->G], h));
    VLY_TRY(a->c->rng_advance(q, &a->rng[a->G]));
    VLY_TRY(a->method->next_value(a, q));
    VLY_TRY(step_critics(a, q));
    VLY_TRY(vly_replay_update(a->replay, q, h));
    const int improvements = !a->with_policy ? 0 : a->method->catches_up ? a->o.policy_every : 1;
    for (int i = 0; i < improvements; i++) VLY_TRY(a->method->improve(a, q));
    return a->with_policy || !a->method->delays_targets ? move_targets(a, q) : VLY_OK;
}

static void offpolicy_set_hyper(vly_offpolicy *a, const vly_progress *progress) {
    const vly_config *c = a->config;
    vly_hyper *h = a->critic_learner.hyper;
    h->lr = a->o.critic_lr;
    h->gamma = a->o.gamma;
    h->tau = a->o.tau;
    h->reward_scale = a->o.reward_scale;
    h->alpha = c->replay.alpha;
    h->beta = c->replay.beta +
              (c->replay.beta_end - c->replay.beta) * (1.0f - (float)vly_progress_left(progress));
    h->priority_eps = c->replay.priority_eps;
    a->policy_learner.hyper->lr = a->o.lr;
}

/* A stop is looked at after every update; what is enqueued on a device by then is made. */
static vly_status make_updates(vly_offpolicy *a, vly_queue *q, const vly_progress *progress,
                               int64_t due) {
    int64_t made = 0;
    while (made < due && !a->pub.unfinished) {
        a->with_policy = (a->pace->updates + 1) % a->o.policy_every == 0;
        VLY_TRY(a->c->graph_run(q, &a->graph[a->with_policy], offpolicy_update, a));
        a->pace->updates++;
        made++;
        if (made % UPDATES_AHEAD == 0) VLY_TRY(a->c->queue_sync(q));
        a->pub.unfinished = a->pub.cuts && made < due && vly_progress_stopped(progress);
    }
    a->pub.rows_per_update = made * a->o.batch;
    return VLY_OK;
}

vly_status vly_offpolicy_learn(vly_algo *pub, vly_queue *q, const vly_progress *progress) {
    vly_offpolicy *a = (vly_offpolicy *)pub;
    const int64_t due = vly_pace_due(a->pace, a->replay, a->config->replay.ratio, a->o.batch,
                                     a->o.learning_starts, progress->own_steps);
    pub->unfinished = false;
    pub->rows_per_update = 0;
    if (due == 0) return VLY_OK;
    offpolicy_set_hyper(a, progress);
    VLY_TRY(vly_learner_begin(&a->critic_learner, q));
    VLY_TRY(vly_learner_begin(&a->policy_learner, q));
    VLY_TRY(make_updates(a, q, progress, due));
    VLY_TRY(vly_learner_stepped(&a->policy_learner, q, a->acting));
    pub->version = a->pace->updates;
    if (a->o.alpha > 0)
        VLY_TRY(a->c->download(q, a->alpha_shown, a->alpha.param, sizeof *a->alpha_shown));
    VLY_TRY(vly_learner_end(&a->policy_learner, q));
    return vly_learner_end(&a->critic_learner, q);
}

/* The ring needs nothing. */
vly_status vly_offpolicy_discard(vly_algo *pub, vly_queue *q) {
    (void)pub;
    (void)q;
    return VLY_OK;
}

vly_status vly_offpolicy_metrics(vly_algo *pub, vly_metric *out, int *count) {
    vly_offpolicy *a = (vly_offpolicy *)pub;
    const vly_real *critic = a->critic_learner.sums, *policy = a->policy_learner.sums;
    const vly_pace *k = a->pace;
    *count = 0;
    vly_metric_add(out, count, "charts/replay_size", (double)vly_replay_size(a->replay));
    if (critic[VLY_STAT_STEPS] + critic[VLY_STAT_COUNT] + critic[VLY_STAT_NONFINITE] == 0)
        return VLY_OK; /* nothing was learned from */
    const double rows = critic[VLY_STAT_COUNT] > 0 ? critic[VLY_STAT_COUNT] : 1;
    const double moves = policy[VLY_STAT_COUNT] > 0 ? policy[VLY_STAT_COUNT] : 1;
    vly_metric_add(out, count, "charts/learning_rate", a->o.lr);
    if (k->acted > 0)
        vly_metric_add(out, count, "charts/replay_ratio",
                       (double)(k->updates - k->start_updates) * a->o.batch / (double)k->acted);
    vly_metric_add(out, count, "losses/value_loss", critic[VLY_STAT_VALUE_LOSS] / rows);
    vly_metric_add(out, count, "losses/td_error", critic[VLY_STAT_TD_ABS] / rows);
    vly_metric_add(out, count, "losses/q_values", critic[VLY_STAT_Q] / rows);
    if (a->o.alpha > 0) {
        vly_metric_add(out, count, "losses/policy_loss", policy[VLY_STAT_POLICY_LOSS] / moves);
        vly_metric_add(out, count, "losses/entropy", policy[VLY_STAT_ENTROPY] / moves);
        vly_metric_add(out, count, "losses/alpha", exp((double)*a->alpha_shown));
    }
    const vly_status of_critics = vly_learner_check(&a->critic_learner);
    const vly_status status = of_critics == VLY_OK ? vly_learner_check(&a->policy_learner)
                                                   : of_critics;
    pub->failed = pub->failed || status != VLY_OK;
    return status;
}
