#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "common/learn/offpolicy_impl.h"

/* ---- saving ---- */

static int offpolicy_buffers(vly_algo *pub, vly_buffer *out, int max) {
    vly_offpolicy *a = (vly_offpolicy *)pub;
    vly_buffer_list list = {out, 0, max};
    vly_learner_buffers(&a->policy_learner, &list);
    if (a->eval) return list.n;
    vly_learner_state_buffers(&a->critic_learner, "critics", &list);
    vly_buffer_add(&list, "target", VLY_BUFFER_STATE, VLY_F32, a->critic_learner.params.n,
                   a->target_param, true);
    if (a->target_policy)
        vly_buffer_add(&list, "target.policy", VLY_BUFFER_STATE, VLY_F32,
                       a->policy_learner.params.n, a->target_policy_param, true);
    if (a->o.alpha > 0) {
        vly_buffer_add(&list, "alpha", VLY_BUFFER_STATE, VLY_F32, 1, a->alpha.param, true);
        vly_buffer_add(&list, "alpha.m", VLY_BUFFER_OPTIMIZER, VLY_F32, 1, a->alpha.m, true);
        vly_buffer_add(&list, "alpha.v", VLY_BUFFER_OPTIMIZER, VLY_F32, 1, a->alpha.v, true);
        vly_buffer_add(&list, "alpha.step", VLY_BUFFER_OPTIMIZER, VLY_I64, 1, a->alpha.step, true);
    }
    vly_buffer_add(&list, "rng", VLY_BUFFER_STATE, VLY_U64, 2 * (a->G + 2), a->rng, true);
    vly_buffer_add(&list, "counters", VLY_BUFFER_STATE, VLY_I64, sizeof *a->pace / sizeof(int64_t),
                   a->pace, false);
    vly_moments_buffers(&a->running, &list);
    vly_replay_recent_buffers(a->replay, &list);
    vly_replay_buffers(a->replay, &list);
    return list.n;
}

static vly_status prepare_all(vly_offpolicy *a, vly_queue *q) {
    const vly_real *policy = a->policy_learner.params.param;
    VLY_TRY(vly_exec_prepare(a->acting, q, policy));
    if (a->eval) return VLY_OK;
    VLY_TRY(vly_exec_prepare(a->policy, q, policy));
    VLY_TRY(vly_exec_prepare(a->critics, q, a->critic_learner.params.param));
    VLY_TRY(vly_exec_prepare(a->targets, q, a->target_param));
    return a->target_policy ? vly_exec_prepare(a->target_policy, q, a->target_policy_param)
                            : VLY_OK;
}

static vly_status offpolicy_restored(vly_algo *pub, vly_queue *q) {
    vly_offpolicy *a = (vly_offpolicy *)pub;
    vly_pace *k = a->pace;
    VLY_TRY(prepare_all(a, q));
    if (a->eval) return VLY_OK;
    if (!vly_pace_is_sane(k))
        return vly_fail(VLY_ECORRUPT, "the counters of the saved %s are out of range", pub->name);
    pub->version = k->updates;
    VLY_TRY(vly_pace_restored(k, a->replay, q));
    return a->c->queue_sync(q);
}

/* ---- creation ---- */

static void offpolicy_destroy(vly_algo *pub) {
    vly_offpolicy *a = (vly_offpolicy *)pub;
    for (int i = 0; a->act_graph && i < 2 * a->G; i++)
        if (a->act_graph[i]) a->c->graph_destroy(a->act_graph[i]);
    for (int i = 0; i < 2; i++)
        if (a->graph[i]) a->c->graph_destroy(a->graph[i]);
    vly_exec *const execs[] = {a->acting, a->policy, a->target_policy, a->critics, a->targets};
    for (int i = 0; i < 5; i++) vly_exec_destroy(execs[i]);
    vly_learner_destroy(&a->policy_learner);
    vly_learner_destroy(&a->critic_learner);
    vly_net_destroy(a->net);
    vly_net_destroy(a->critic_net);
    vly_replay_destroy(a->replay);
    vly_memories_give_back(&a->memories);
    free(a->act_graph);
    free(a->pace);
    free(a);
}

vly_net_desc vly_offpolicy_net(const vly_algo_args *args, const vly_offpolicy_method *method) {
    const vly_space *space = &args->env->action;
    vly_net_desc d = vly_learner_describe(args, method->head);
    d.kind = VLY_NET_MLP; /* of images too */
    if (d.layers > 0) d.hidden[0] = args->config->net.hidden.v[0];
    d.bf16 = false;
    d.bf16_products = args->config->run.precision == VLY_RUN_PRECISION_BF16;
    if (space->kind == VLY_SPACE_BOX) d.actions = method->head_numbers * space->count;
    return d;
}

static vly_status create_nets(vly_offpolicy *a, const vly_algo_args *args) {
    const vly_net_desc d = vly_offpolicy_net(args, a->method);
    VLY_TRY(vly_net_create(&a->net, &d));
    a->width = (int)vly_net_view(a->net).values[0].size;
    vly_net_desc critic = d;
    critic.head = VLY_HEAD_TWIN;
    critic.actions = a->actions;
    critic.normalize = false;
    if (!a->choices) {
        const int all = a->width + a->parts;
        critic.obs = (vly_obs_spec){.dtype = VLY_F32,
                                    .ndim = 1,
                                    .shape = {all},
                                    .stack = 1,
                                    .scale = 1,
                                    .bytes = (size_t)all * sizeof(float)};
        critic.input_grads = true;
    }
    return vly_net_create(&a->critic_net, &critic);
}

static vly_status offpolicy_acting(vly_offpolicy *a, const vly_algo_args *args) {
    vly_memories *m = &a->memories;
    const int64_t numbers = (int64_t)a->N * a->parts;
    vly_status s = VLY_OK;
    a->rng = vly_memories_take(m, false, a->G + 2, sizeof *a->rng, "random counters", &s);
    a->drawn = vly_memories_take(m, false, numbers, sizeof *a->drawn, "actions", &s);
    a->sent = vly_memories_take(m, false, numbers, sizeof *a->sent, "actions", &s);
    a->sent_host = vly_memories_take(m, true, numbers, sizeof(int32_t), "actions", &s);
    VLY_TRY(s);
    a->sent_shown = vly_mapped(a->c, a->sent_host);
    VLY_TRY(vly_head_bounds(&a->bounds, m, args));
    VLY_TRY(vly_learner_seed(args, a->rng, a->G + 2));
    return vly_exec_create(&a->acting, a->c, a->net, a->M, false, "acting");
}

static vly_status create_temperature(vly_offpolicy *a, vly_queue *q) {
    vly_memories *m = &a->memories;
    vly_status s = VLY_OK;
    vly_real **const arrays[] = {&a->alpha.param, &a->alpha.grad, &a->alpha.m, &a->alpha.v};
    a->alpha.n = 1;
    for (int i = 0; i < 4; i++)
        *arrays[i] = vly_memories_take(m, false, 16, sizeof(vly_real), "the temperature", &s);
    a->alpha.step = vly_memories_take(m, false, 1, sizeof(int64_t), "the temperature", &s);
    a->alpha_norm = vly_memories_take(m, false, 2, sizeof(vly_real), "the temperature", &s);
    a->alpha_stats = vly_memories_take(m, false, VLY_STATS, sizeof(vly_real), "the temperature",
                                       &s);
    a->alpha_shown = vly_memories_take(m, true, 1, sizeof(vly_real), "the temperature", &s);
    VLY_TRY(s);
    const vly_real first = (vly_real)log((double)a->o.alpha);
    VLY_TRY(a->c->upload(q, a->alpha.param, &first, sizeof first));
    return a->c->queue_sync(q);
}

static vly_status create_batch_arrays(vly_offpolicy *a) {
    vly_memories *m = &a->memories;
    const int64_t batch = a->o.batch;
    vly_status s = VLY_OK;
    a->raw = vly_memories_take(m, false, batch * a->parts, sizeof(vly_real), "a sample", &s);
    a->action = vly_memories_take(m, false, batch * a->parts, sizeof(vly_real), "a sample", &s);
    a->logp = vly_memories_take(m, false, batch, sizeof(vly_real), "a sample", &s);
    a->value = vly_memories_take(m, false, batch, sizeof(vly_real), "a sample", &s);
    if (a->config->net.normalize)
        a->normal = vly_memories_take(m, false, batch * a->width, sizeof(vly_real), "a sample", &s);
    VLY_TRY(s);
    return vly_moments_take(&a->running, m, a->net, false);
}

static vly_status take_target(vly_offpolicy *a, vly_queue *q, const vly_params *p, vly_real **out) {
    vly_status s = VLY_OK;
    *out = vly_memories_take(&a->memories, false, p->n, sizeof(vly_real), "a target network", &s);
    VLY_TRY(s);
    return a->c->copy(q, *out, p->param, (size_t)p->n * sizeof(vly_real));
}

static vly_status offpolicy_learning(vly_offpolicy *a, const vly_algo_args *args) {
    const int batch = a->o.batch;
    vly_algo_args other = *args; /* critics start from other numbers than the policy */
    other.seed = args->seed ^ 0x9e3779b97f4a7c15u;
    VLY_TRY(vly_learner_create(&a->critic_learner, &other, a->critic_net));
    a->policy_learner.hyper->max_grad_norm = a->config->optim.max_grad_norm;
    a->critic_learner.hyper->max_grad_norm = a->config->optim.max_grad_norm;
    VLY_TRY(take_target(a, args->queue, &a->critic_learner.params, &a->target_param));
    VLY_TRY(create_batch_arrays(a));
    if (a->o.alpha > 0) VLY_TRY(create_temperature(a, args->queue));
    VLY_TRY(vly_exec_create(&a->policy, a->c, a->net, batch, true, "learning"));
    VLY_TRY(vly_exec_create(&a->critics, a->c, a->critic_net, batch, true, "the critics"));
    VLY_TRY(vly_exec_create(&a->targets, a->c, a->critic_net, batch, false, "target critics"));
    if (!a->method->delays_targets) return VLY_OK;
    VLY_TRY(take_target(a, args->queue, &a->policy_learner.params, &a->target_policy_param));
    return vly_exec_create(&a->target_policy, a->c, a->net, batch, false, "the target policy");
}

static vly_status offpolicy_fill(vly_offpolicy *a, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const bool learns = !a->eval;
    a->pace = calloc(1, sizeof *a->pace);
    a->act_graph = calloc(2 * (size_t)a->G, sizeof *a->act_graph);
    if (!a->pace || !a->act_graph) return vly_fail(VLY_ENOMEM, "no memory for %s", a->pub.name);
    a->pace->start_steps = -1;
    a->pub.made = &a->pace->updates;
    VLY_TRY(create_nets(a, args));
    VLY_TRY(vly_learner_create(&a->policy_learner, args, a->net));
    a->pub.params = vly_net_weights(a->net) + (learns ? vly_net_weights(a->critic_net) : 0);
    const vly_replay_options o = {.obs = args->env->obs,
                                  .actors = a->N,
                                  .groups = a->G,
                                  .capacity = learns ? c->replay.capacity : 1,
                                  .bytes = learns ? c->replay.bytes : 0,
                                  .n_step = learns ? a->o.n_step : 1,
                                  .batch = learns ? a->o.batch : 0,
                                  .numbers = a->choices ? 0 : a->parts,
                                  .choices = args->env->masked ? a->actions : 0,
                                  .prioritized = learns && c->replay.prioritized};
    VLY_TRY(vly_replay_create(&a->replay, a->c, &o));
    VLY_TRY(offpolicy_acting(a, args));
    if (learns) VLY_TRY(offpolicy_learning(a, args));
    VLY_TRY(prepare_all(a, args->queue));
    return a->c->queue_sync(args->queue);
}

static vly_status check_offpolicy(const vly_algo_args *args, const vly_offpolicy_method *m,
                                  const vly_offpolicy_options *o) {
    const vly_config *c = args->config;
    if (args->actors < 1 || args->groups < 1 || args->actors % args->groups)
        return vly_fail(VLY_EINVAL, "%d environments do not divide into %d groups", args->actors,
                        args->groups);
    if (args->sync)
        return vly_fail(VLY_EUNSUPPORTED, "%s learns in one process: leave out --sync and --store",
                        m->name);
    if (c->net.lstm > 0)
        return vly_fail(VLY_EINVAL,
                        "--net.lstm %d: %s samples single transitions and has no recurrent network",
                        c->net.lstm, m->name);
    if (!args->eval && c->net.kind != VLY_NET_KIND_AUTO && c->net.kind != VLY_NET_KIND_MLP)
        return vly_fail(VLY_EINVAL, "--net.kind: %s has MLPs alone, of images too: auto or mlp",
                        m->name);
    if (!args->eval && c->replay.capacity < o->batch)
        return vly_fail(VLY_EINVAL, "--replay.capacity %lld is less than a batch of %d",
                        (long long)c->replay.capacity, o->batch);
    return VLY_OK;
}

vly_status vly_offpolicy_create(vly_algo **out, const vly_algo_args *args,
                                const vly_offpolicy_method *method,
                                const vly_offpolicy_options *options) {
    *out = NULL;
    VLY_TRY(check_offpolicy(args, method, options));
    vly_offpolicy *a = calloc(1, sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory for %s", method->name);
    a->pub = (vly_algo){.schedule = VLY_SCHEDULE_SYNC,
                        .destroy = offpolicy_destroy,
                        .place = vly_offpolicy_place,
                        .arrived = vly_offpolicy_arrived,
                        .act = vly_offpolicy_act,
                        .action = vly_offpolicy_action,
                        .learn = vly_offpolicy_learn,
                        .discard = vly_offpolicy_discard,
                        .metrics = vly_offpolicy_metrics,
                        .buffers = offpolicy_buffers,
                        .restored = offpolicy_restored};
    snprintf(a->pub.name, sizeof a->pub.name, "%s", method->name);
    a->c = args->compute;
    a->config = args->config;
    a->method = method;
    a->o = *options;
    a->memories = (vly_memories){.c = a->c, .option = "--run.envs or --net.hidden"};
    a->choices = args->env->action.kind == VLY_SPACE_DISCRETE;
    a->parts = args->env->action.count;
    a->actions = a->choices ? args->env->action.n : 1;
    a->bounds = (vly_dist){.kind = a->choices ? VLY_DIST_CHOICES : VLY_DIST_UNIT,
                           .parts = a->parts,
                           .width = a->choices ? a->actions : a->parts};
    a->N = args->actors, a->G = args->groups, a->M = args->actors / args->groups;
    a->eval = args->eval;
    a->greedy = args->eval && args->greedy;
    a->pub.cuts = !a->eval;
    a->pub.phase_steps = a->eval ? 1 : vly_pace_phase(a->config->replay.ratio, a->o.batch, a->N);
    const vly_status status = offpolicy_fill(a, args);
    if (status != VLY_OK) {
        offpolicy_destroy(&a->pub);
        return status;
    }
    *out = &a->pub;
    return VLY_OK;
}
