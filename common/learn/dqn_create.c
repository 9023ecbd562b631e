#include "common/learn/dqn_impl.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_MAX = 16 };

/* ---- saving ---- */

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
    vly_moments_buffers(&a->running, &list);
    if (a->feed) return list.n; /* nothing was acted here, and the memory is elsewhere */
    vly_replay_recent_buffers(a->replay, &list);
    vly_replay_buffers(a->replay, &list);
    return list.n;
}

/* Ranks make each update together, and each by how much its own memory holds: one that has the
 * saved memory and others that have none would wait for each other. */
static vly_status check_memories(const dqn *a) {
    if (a->eval || !a->sync || !a->sync->agree || a->sync->world < 2) return VLY_OK;
    return vly_fail(VLY_EUNSUPPORTED,
                    "dqn: the memories of several ranks are not saved, but the first's: resume the "
                    "run in one process, or train anew");
}

static vly_status dqn_restored(vly_algo *pub, vly_queue *q) {
    dqn *a = (dqn *)pub;
    VLY_TRY(check_memories(a));
    VLY_TRY(vly_exec_prepare(a->acting, q, a->learner.params.param));
    if (a->eval) return VLY_OK;
    VLY_TRY(vly_exec_prepare(a->learning, q, a->learner.params.param));
    VLY_TRY(vly_exec_prepare(a->target, q, a->target_param));
    if (!vly_pace_is_sane(a->k))
        return vly_fail(VLY_ECORRUPT, "the counters of the saved dqn are out of range");
    pub->version = a->k->updates;
    if (a->feed) return a->c->queue_sync(q);
    VLY_TRY(vly_pace_restored(a->k, a->replay, q));
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
    a->action_shown = vly_mapped(a->c, a->action_host);
    if (args->env->masked)
        a->act_allowed = vly_memories_take(m, false, a->N, (size_t)a->actions, "actions", &s);
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
    /* A GPU's plans are for one number of rows. */
    a->one_pass = a->config->dqn.double_q && a->c->info.is_host;
    const int rows = a->one_pass ? 2 * a->batch : a->batch;
    VLY_TRY(vly_exec_create(&a->learning, a->c, a->net, rows, true, "learning"));
    vly_learner_overlap(&a->learner, a->learning);
    VLY_TRY(vly_learner_share(&a->learner, a->learning));
    VLY_TRY(vly_exec_create(&a->target, a->c, a->net, a->batch, false, "the target network"));
    VLY_TRY(vly_exec_prepare(a->learning, args->queue, p->param));
    VLY_TRY(vly_exec_prepare(a->target, args->queue, a->target_param));
    const int64_t values = (int64_t)a->batch * a->actions;
    if (a->one_pass)
        a->chosen_by = a->learning->logits + values;
    else if (a->config->dqn.double_q)
        a->chosen_by = vly_memories_take(&a->memories, false, values, sizeof(vly_real),
                                         "values of actions", &s);
    VLY_TRY(s);
    return vly_moments_take(&a->running, &a->memories, a->net, false);
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
                                  .choices = args->env->masked ? a->actions : 0,
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
    VLY_TRY(vly_moments_check(args, false));
    if (args->actors < 1 || args->groups < 1 || args->actors % args->groups)
        return vly_fail(VLY_EINVAL, "%d environments do not divide into %d groups", args->actors,
                        args->groups);
    if (c->net.lstm > 0)
        return vly_fail(
            VLY_EINVAL,
            "--net.lstm %d: dqn samples single transitions and has no recurrent network",
            c->net.lstm);
    if (args->env->masked && vly_dqn_in_store(c))
        return vly_fail(
            VLY_EUNSUPPORTED,
            "a replay memory in a store keeps no masks of actions: --apex.replay local");
    if (args->env->obs.stack > STACK_MAX)
        return vly_fail(VLY_EINVAL, "a stack of %d frames; dqn keeps at most %d",
                        args->env->obs.stack, STACK_MAX);
    if (!args->eval && c->replay.capacity < c->dqn.batch)
        return vly_fail(VLY_EINVAL, "--replay.capacity %lld is less than a batch of %d",
                        (long long)c->replay.capacity, c->dqn.batch);
    return VLY_OK;
}

static vly_net_desc dqn_network(const vly_algo_args *args) {
    return vly_learner_describe(args, args->config->dqn.dueling ? VLY_HEAD_DUELING : VLY_HEAD_Q);
}

static vly_status dqn_fill(dqn *a, const vly_algo_args *args) {
    a->k = calloc(1, sizeof *a->k);
    a->act_graph = calloc((size_t)a->G, sizeof *a->act_graph);
    if (!a->k || !a->act_graph) return vly_fail(VLY_ENOMEM, "no memory for dqn");
    a->k->start_steps = -1;
    a->pub.made = &a->k->updates;
    const vly_net_desc d = dqn_network(args);
    VLY_TRY(vly_net_create(&a->net, &d));
    VLY_TRY(vly_learner_create(&a->learner, args, a->net));
    a->pub.params = vly_net_weights(a->net);
    a->pub.arena = &a->learner.params, a->pub.optimizer = &a->learner.optimizer;
    if (!a->eval && !a->sends && vly_dqn_in_store(a->config))
        VLY_TRY(vly_feed_create(&a->feed, a->c, &args->env->obs, a->batch, a->config->dqn.n_step));
    VLY_TRY(create_replay(a, args));
    VLY_TRY(create_acting(a, args));
    VLY_TRY(vly_learner_seed(args, a->rng, a->G + 1));
    if (!a->eval && !a->sends) VLY_TRY(create_learning(a, args));
    VLY_TRY(vly_dqn_explore(a, args->queue, 0));
    return a->c->queue_sync(args->queue);
}

static vly_status create_dqn(vly_algo **out, const vly_algo_args *args) {
    *out = NULL;
    VLY_TRY(dqn_check(args));
    dqn *a = calloc(1, sizeof *a);
    if (!a) return vly_fail(VLY_ENOMEM, "no memory for dqn");
    a->pub = vly_dqn_methods;
    snprintf(a->pub.name, sizeof a->pub.name, "dqn");
    a->pub.schedule = VLY_SCHEDULE_SYNC;
    a->pub.destroy = dqn_destroy, a->pub.buffers = dqn_buffers, a->pub.restored = dqn_restored;
    a->c = args->compute;
    a->memories = (vly_memories){.c = a->c, .option = "--run.envs or --net.hidden"};
    a->config = args->config;
    a->actions = args->env->action.n;
    a->N = args->actors, a->G = args->groups, a->M = args->actors / args->groups;
    a->batch = a->config->dqn.batch;
    a->sync = args->sync;
    a->eval = args->eval;
    a->sends = !a->eval && args->sync && args->sync->experience;
    a->greedy = args->eval && args->greedy;
    a->pub.cuts = !a->eval && !a->sends;
    a->pub.phase_steps = a->eval    ? 1
                         : a->sends ? a->config->apex.block
                                    : vly_pace_phase(a->config->replay.ratio, a->batch, a->N);
    const vly_status status = dqn_fill(a, args);
    if (status != VLY_OK) {
        dqn_destroy(&a->pub);
        return status;
    }
    *out = &a->pub;
    return VLY_OK;
}

static vly_status check_dqn(const vly_config *c) {
    if (c->net.normalize && (vly_algo_traits_of(c).server || vly_dqn_in_store(c)))
        return vly_fail(VLY_EUNSUPPORTED,
                        "--net.normalize: the processes of %s would keep moments of their own; one "
                        "process of dqn or of another algorithm keeps them",
                        c->run.algo);
    if (c->dqn.batch <= c->replay.capacity) return VLY_OK;
    return vly_fail(VLY_EINVAL, "--dqn.batch %d is more than --replay.capacity %lld", c->dqn.batch,
                    (long long)c->replay.capacity);
}

const vly_algo_entry vly_algo_dqn = {
    .name = "dqn",
    .summary = "deep Q-learning: double, dueling, n-step and prioritized replay as switches",
    .sections = {"dqn"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_MASKED | VLY_ACTS_PLAYERS},
    .check = check_dqn,
    .create = create_dqn,
    .network = dqn_network,
};

const vly_algo_entry vly_algo_gorila = {
    .name = "gorila",
    .summary = "DQN with local replay and a parameter server (Nair et al. 2015)",
    .sections = {"dqn"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_MASKED, .server = true},
    .check = check_dqn,
    .create = create_dqn,
    .network = dqn_network,
};

const vly_algo_entry vly_algo_apex = {
    .name = "apex",
    .summary = "DQN with many actors and prioritized replay, in memory or in Redis (Horgan et al. "
               "2018)",
    .sections = {"apex", "dqn"},
    .schedule = VLY_SCHEDULE_SYNC,
    .traits = {.acts = VLY_ACTS_MASKED, .in_store = true},
    .check = check_dqn,
    .create = create_dqn,
    .network = dqn_network,
};
