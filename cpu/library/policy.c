/* A trained network, run on observations that the caller brings. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/config/option.h"
#include "cpu/library/policy_impl.h"
#include "cpu/library/words.h"
#include "cpu/run/agent.h"
#include "cpu/run/device.h"
#include "envs/registry.h"

#define AT(k) offsetof(policy_options, k), sizeof(((policy_options *)0)->k)
static const vly_option options_table[] = {
    {"policy", "best", VLY_OPTION_BOOL, AT(best), "false", 0, 0, NULL, ""},
    {"policy", "accept_config", VLY_OPTION_BOOL, AT(accept_config), "false", 0, 0, NULL, ""},
    {"policy", "seed", VLY_OPTION_INT, AT(seed), "0", 0, 9e15, NULL, ""},
    {"policy", "num_threads", VLY_OPTION_INT, AT(num_threads), "1", 0, 4096, NULL, ""},
};

/* ---- opening ---- */

static vly_status set_policy_option(void *arg, const char *key, const char *value) {
    for (size_t i = 0; i < sizeof options_table / sizeof *options_table; i++)
        if (strcmp(options_table[i].key, key) == 0)
            return vly_option_set(arg, &options_table[i], key, value);
    return vly_fail(VLY_EINVAL,
                    "a policy has no option '%s': it has best, accept_config, seed, num_threads",
                    key);
}

static vly_algo_args policy_args(vly_policy *p) {
    return (vly_algo_args){.compute = p->compute,
                           .env = &p->env,
                           .config = p->config,
                           .seed = (uint64_t)p->o.seed,
                           .queue = p->queue};
}

static vly_status open_policy_net(vly_policy *p) {
    const vly_algo_args args = policy_args(p);
    VLY_TRY(vly_algo_net(&p->net, &args));
    const vly_head_kind head = vly_net_description(p->net)->head;
    p->q_head = head == VLY_HEAD_DUELING || head == VLY_HEAD_Q;
    p->deterministic = head == VLY_HEAD_ACTION;
    return VLY_OK;
}

static vly_status open_policy_dist(vly_policy *p) {
    const vly_algo_args args = policy_args(p);
    vly_status status = VLY_OK;
    if (p->env.action.kind == VLY_SPACE_DISCRETE) return VLY_OK;
    p->memories = (vly_memories){.c = p->compute, .option = "a smaller action"};
    VLY_TRY(vly_head_dist(&p->dist, &p->memories, &args));
    const int64_t numbers = (int64_t)POLICY_PIECE * p->dist.parts;
    p->rng = vly_memories_take(&p->memories, false, 1, sizeof *p->rng, "random counters", &status);
    p->raw = vly_memories_take(&p->memories, false, numbers, sizeof *p->raw, "actions", &status);
    p->drawn = vly_memories_take(&p->memories, false, numbers, sizeof *p->drawn, "actions",
                                 &status);
    VLY_TRY(status);
    return vly_learner_seed(&args, p->rng, 1);
}

static vly_status read_policy_weights(vly_policy *p) {
    const vly_tensor *t;
    p->param = calloc((size_t)vly_net_params(p->net), sizeof *p->param);
    if (!p->param) return vly_fail(VLY_ENOMEM, "no memory for the weights");
    for (int i = 0; (t = vly_net_tensor(p->net, i)) != NULL; i++)
        VLY_TRY(vly_checkpoint_read(p->checkpoint, t->name, VLY_F32, p->param + t->offset,
                                    (size_t)t->n * sizeof *p->param));
    vly_net_absorb_centre(p->net, p->param);
    return VLY_OK;
}

static vly_status open_policy_exec(vly_policy *p) {
    const int stack = p->env.obs.stack > 0 ? p->env.obs.stack : 1;
    p->obs_bytes = p->env.obs.bytes * (size_t)stack;
    p->frames = malloc(POLICY_PIECE * p->obs_bytes);
    p->ages = malloc((size_t)POLICY_PIECE * (size_t)stack);
    p->flags = calloc(POLICY_PIECE, 1);
    if (!p->frames || !p->ages || !p->flags)
        return vly_fail(VLY_ENOMEM, "no memory for %d observations", POLICY_PIECE);
    memset(p->ages, 255,
           (size_t)POLICY_PIECE * (size_t)stack); /* a stack is whole as it is given */
    VLY_TRY(vly_exec_create(&p->exec, p->compute, p->net, POLICY_PIECE, false, "acting"));
    return vly_exec_prepare(p->exec, p->queue, p->param);
}

static vly_status open_table(vly_policy *p) {
    VLY_TRY(vly_discretizer_init(&p->cells, &p->env, p->config->tabular.bins));
    const size_t n = (size_t)p->cells.states * (size_t)p->env.action.n;
    p->obs_bytes = p->env.obs.bytes;
    p->q_head = true;
    p->param = calloc(n, sizeof *p->param);
    if (!p->param) return vly_fail(VLY_ENOMEM, "no memory for the table");
    return vly_checkpoint_read(p->checkpoint, "table.q", VLY_F32, p->param, n * sizeof *p->param);
}

static vly_status open_policy(vly_policy *p, const char *run) {
    p->config = malloc(sizeof *p->config);
    if (!p->config) return vly_fail(VLY_ENOMEM, "no memory for a configuration");
    VLY_TRY(vly_run_load_config(run, p->config));
    VLY_TRY(vly_run_open_checkpoint(run, p->o.best, NULL, NULL, &p->checkpoint));
    if (!p->o.accept_config)
        VLY_TRY(vly_run_check_config(run, p->config, p->checkpoint, NULL, NULL));
    p->precision = p->config->run.precision;
    p->config->run.precision = VLY_RUN_PRECISION_FP32;
    const vly_env_args args = vly_config_env_args(p->config);
    VLY_TRY(vly_env_open(&p->env, p->config->run.env, &args));
    p->env_open = true;
    if (vly_algo_traits_of(p->config).tabular) return open_table(p);
    VLY_TRY(vly_device_open(&p->compute, "cpu", p->o.num_threads, NULL, 0));
    VLY_TRY(p->compute->queue_create(p->compute, VLY_QUEUE_ACT, &p->queue));
    VLY_TRY(open_policy_net(p));
    VLY_TRY(open_policy_dist(p));
    VLY_TRY(read_policy_weights(p));
    return open_policy_exec(p);
}

int vly_policy_open(vly_policy **out, const char *run, const char *options) {
    if (!out || !run) return vly_fail(VLY_EINVAL, "a policy needs the folder of a run");
    *out = NULL;
    vly_policy *p = calloc(1, sizeof *p);
    if (!p) return vly_fail(VLY_ENOMEM, "no memory for a policy");
    p->process = getpid();
    atomic_flag_clear(&p->busy);
    vly_status status = VLY_OK;
    for (size_t i = 0; i < sizeof options_table / sizeof *options_table && status == VLY_OK; i++)
        status = vly_option_set(&p->o, &options_table[i], "policy", options_table[i].def);
    if (status == VLY_OK) status = vly_words_read(options, set_policy_option, &p->o);
    if (status == VLY_OK) status = open_policy(p, run);
    if (status != VLY_OK) {
        vly_policy_close(p);
        return status;
    }
    *out = p;
    return VLY_OK;
}

void vly_policy_close(vly_policy *p) {
    if (!p || policy_lost_threads(p)) return;
    if (p->exec) vly_exec_destroy(p->exec);
    if (p->memories.c) vly_memories_give_back(&p->memories);
    if (p->queue) p->compute->queue_destroy(p->queue);
    if (p->net) vly_net_destroy(p->net);
    if (p->compute) p->compute->destroy(p->compute);
    if (p->env_open) p->env.close(&p->env);
    vly_checkpoint_close(p->checkpoint);
    free(p->param), free(p->frames), free(p->ages), free(p->flags), free(p->config), free(p);
}

/* ---- what it is ---- */

int vly_policy_info(const vly_policy *p, vly_policy_facts *out) {
    if (!p || !out || out->bytes < sizeof *out)
        return vly_fail(VLY_EINVAL, "vly_policy_facts needs its size in `bytes`");
    const vly_obs_spec *o = &p->env.obs;
    const vly_net_desc *d = p->net ? vly_net_description(p->net) : NULL;
    const vly_space *a = &p->env.action;
    int k = 0;
    *out = (vly_policy_facts){.bytes = out->bytes,
                              .type = o->dtype == VLY_U8 ? VLY_TYPE_U8 : VLY_TYPE_F32,
                              .actions = a->n,
                              .recurrent = d ? p->config->net.lstm : 0,
                              .q_values = p->q_head,
                              .scale = o->scale,
                              .environment = p->config->run.env,
                              .algorithm = p->config->run.algo,
                              .network = d ? vly_net_kind_name(d->kind) : "table",
                              .activation = !d                       ? ""
                                            : d->act == VLY_ACT_RELU ? "relu"
                                                                     : "tanh",
                              .parts = a->count,
                              .box = a->kind == VLY_SPACE_BOX,
                              .width = policy_width(p),
                              .deterministic = p->deterministic,
                              .choices = a->kind == VLY_SPACE_MULTI ? a->sizes
                                         : a->kind == VLY_SPACE_BOX ? NULL
                                                                    : &a->n};
    if (o->stack > 1) out->shape[k++] = o->stack;
    for (int i = 0; i < o->ndim; i++)
        if (!(o->stack > 1 && i == 2 && o->shape[i] == 1)) out->shape[k++] = o->shape[i];
    out->ndim = k;
    return VLY_OK;
}

int vly_policy_tensor(const vly_policy *p, int i, vly_weight *out) {
    if (!p || !out || out->bytes < sizeof *out)
        return vly_fail(VLY_EINVAL, "vly_weight needs its size in `bytes`");
    if (!p->net && i == 0) {
        *out = (vly_weight){.bytes = out->bytes, .name = "table.q", .data = p->param, .ndim = 2};
        out->shape[0] = p->cells.states, out->shape[1] = p->env.action.n;
        return VLY_OK;
    }
    const vly_tensor *t = p->net && i >= 0 ? vly_net_tensor(p->net, i) : NULL;
    if (!t) return vly_fail(VLY_ENOTFOUND, "no weight number %d", i);
    *out = (vly_weight){
        .bytes = out->bytes, .name = t->name, .data = p->param + t->offset, .ndim = t->ndim};
    for (int k = 0; k < t->ndim; k++) out->shape[k] = t->shape[k];
    return VLY_OK;
}

static vly_status give_precision(void *arg, vly_config *config) {
    config->run.precision = ((const vly_policy *)arg)->precision;
    return VLY_OK;
}

int vly_policy_evaluate(const vly_policy *p, int episodes, int64_t seed, int greedy,
                        double *returns, int32_t *lengths) {
    vly_agent *a;
    if (!p || !returns || seed < 0)
        return vly_fail(VLY_EINVAL, "an evaluation needs a policy, a seed and room for returns");
    if (!(a = malloc(sizeof *a))) return vly_fail(VLY_ENOMEM, "no memory for an agent");
    const vly_agent_options o = {.greedy = greedy != 0,
                                 .seed = (uint64_t)seed,
                                 .config = p->config,
                                 .checkpoint = p->checkpoint,
                                 .device = "cpu",
                                 .arg = (void *)(uintptr_t)p,
                                 .adapt = give_precision};
    vly_status status = vly_agent_open(a, NULL, &o);
    if (status == VLY_OK) status = vly_train_evaluate(a->train, episodes, returns, lengths);
    vly_agent_close(a);
    free(a);
    return status;
}
