/* A trained network, run on observations that the caller brings. */
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/philox.h"
#include "common/config/option.h"
#include "common/learn/learner.h"
#include "cpu/library/words.h"
#include "cpu/run/agent.h"
#include "cpu/run/device.h"
#include "cpu/run/run_folder.h"
#include "envs/registry.h"
#include "include/volley.h"

enum { PIECE = 256 }; /* observations of one pass through the network */

typedef struct {
    bool best;
    int64_t seed;
    int num_threads;
} policy_options;

#define AT(k) offsetof(policy_options, k), sizeof(((policy_options *)0)->k)
static const vly_option options_table[] = {
    {"policy", "best", VLY_OPTION_BOOL, AT(best), "false", 0, 0, NULL, ""},
    {"policy", "seed", VLY_OPTION_INT, AT(seed), "0", 0, 9e15, NULL, ""},
    {"policy", "num_threads", VLY_OPTION_INT, AT(num_threads), "1", 0, 4096, NULL, ""},
};

struct vly_policy {
    policy_options o;
    char run[VLY_PATH];
    vly_config *config;
    vly_env env;
    bool env_open, q_head;
    vly_compute *compute;
    vly_queue *queue;
    vly_net *net;
    vly_exec *exec;
    float *param;
    uint8_t *frames, *ages, *flags; /* of one piece: its stacks, oldest frame first */
    size_t obs_bytes;
    uint64_t acted; /* observations so far, for the random numbers */
    atomic_flag busy;
};

/* ---- opening ---- */

static vly_status set_policy_option(void *arg, const char *key, const char *value) {
    for (size_t i = 0; i < sizeof options_table / sizeof *options_table; i++)
        if (strcmp(options_table[i].key, key) == 0)
            return vly_option_set(arg, &options_table[i], key, value);
    return vly_fail(VLY_EINVAL, "a policy has no option '%s': it has best, seed, num_threads", key);
}

static vly_status open_policy_net(vly_policy *p) {
    const vly_algo_args args = {.compute = p->compute, .env = &p->env, .config = p->config};
    VLY_TRY(vly_algo_net(&p->net, &args));
    const vly_head_kind head = vly_net_description(p->net)->head;
    p->q_head = head == VLY_HEAD_DUELING || head == VLY_HEAD_Q;
    return VLY_OK;
}

static vly_status read_policy_weights(vly_policy *p, vly_checkpoint *c) {
    const vly_tensor *t;
    p->param = calloc((size_t)vly_net_params(p->net), sizeof *p->param);
    if (!p->param) return vly_fail(VLY_ENOMEM, "no memory for the weights");
    for (int i = 0; (t = vly_net_tensor(p->net, i)) != NULL; i++)
        VLY_TRY(vly_checkpoint_read(c, t->name, VLY_F32, p->param + t->offset,
                                    (size_t)t->n * sizeof *p->param));
    return VLY_OK;
}

static vly_status open_policy_exec(vly_policy *p) {
    const int stack = p->env.obs.stack > 0 ? p->env.obs.stack : 1;
    p->obs_bytes = p->env.obs.bytes * (size_t)stack;
    p->frames = malloc(PIECE * p->obs_bytes);
    p->ages = malloc((size_t)PIECE * (size_t)stack);
    p->flags = calloc(PIECE, 1);
    if (!p->frames || !p->ages || !p->flags)
        return vly_fail(VLY_ENOMEM, "no memory for %d observations", PIECE);
    memset(p->ages, 255, (size_t)PIECE * (size_t)stack); /* a stack is whole as it is given */
    VLY_TRY(p->compute->queue_create(p->compute, VLY_QUEUE_ACT, &p->queue));
    VLY_TRY(vly_exec_create(&p->exec, p->compute, p->net, PIECE, false, "acting"));
    return vly_exec_prepare(p->exec, p->queue, p->param);
}

static vly_status open_policy(vly_policy *p, const char *run, vly_checkpoint **checkpoint) {
    p->config = malloc(sizeof *p->config);
    if (!p->config) return vly_fail(VLY_ENOMEM, "no memory for a configuration");
    VLY_TRY(vly_run_load_config(run, p->config));
    if (vly_algo_traits_of(p->config).tabular)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s has a table and no network: it acts on states, not on observations",
                        run);
    p->config->run.precision = VLY_RUN_PRECISION_FP32;
    VLY_TRY(vly_run_open_checkpoint(run, p->o.best, NULL, NULL, checkpoint));
    const vly_env_args args = vly_config_env_args(p->config);
    VLY_TRY(vly_env_open(&p->env, p->config->run.env, &args));
    p->env_open = true;
    if (p->env.action.kind != VLY_SPACE_DISCRETE)
        return vly_fail(VLY_EUNSUPPORTED,
                        "%s: policies of boxes and of several choices are not "
                        "offered here yet",
                        p->env.name);
    VLY_TRY(vly_device_open(&p->compute, "cpu", p->o.num_threads, NULL, 0));
    VLY_TRY(open_policy_net(p));
    VLY_TRY(read_policy_weights(p, *checkpoint));
    return open_policy_exec(p);
}

int vly_policy_open(vly_policy **out, const char *run, const char *options) {
    if (!out || !run) return vly_fail(VLY_EINVAL, "a policy needs the folder of a run");
    *out = NULL;
    vly_checkpoint *checkpoint = NULL;
    vly_policy *p = calloc(1, sizeof *p);
    if (!p) return vly_fail(VLY_ENOMEM, "no memory for a policy");
    atomic_flag_clear(&p->busy);
    snprintf(p->run, sizeof p->run, "%s", run);
    vly_status status = VLY_OK;
    for (size_t i = 0; i < sizeof options_table / sizeof *options_table && status == VLY_OK; i++)
        status = vly_option_set(&p->o, &options_table[i], "policy", options_table[i].def);
    if (status == VLY_OK) status = vly_words_read(options, set_policy_option, &p->o);
    if (status == VLY_OK) status = open_policy(p, run, &checkpoint);
    vly_checkpoint_close(checkpoint);
    if (status != VLY_OK) {
        vly_policy_close(p);
        return status;
    }
    *out = p;
    return VLY_OK;
}

void vly_policy_close(vly_policy *p) {
    if (!p) return;
    if (p->exec) vly_exec_destroy(p->exec);
    if (p->queue) p->compute->queue_destroy(p->queue);
    if (p->net) vly_net_destroy(p->net);
    if (p->compute) p->compute->destroy(p->compute);
    if (p->env_open) p->env.close(&p->env);
    free(p->param), free(p->frames), free(p->ages), free(p->flags), free(p->config), free(p);
}

/* ---- acting ---- */

/* (n, stack, frame) of the caller becomes (stack, n, frame): one row of all for each frame. */
static void take_stacks(vly_policy *p, int n, const uint8_t *observation) {
    const int stack = p->env.obs.stack > 0 ? p->env.obs.stack : 1;
    const size_t bytes = p->env.obs.bytes;
    for (int s = 0; s < stack; s++)
        for (int i = 0; i < n; i++)
            memcpy(p->frames + ((size_t)s * (size_t)n + (size_t)i) * bytes,
                   observation + ((size_t)i * (size_t)stack + (size_t)s) * bytes, bytes);
}

/* The caller's state of row i: h, then c. */
static void move_recurrent(vly_policy *p, int n, float *state, bool in) {
    const size_t h = (size_t)p->config->net.lstm;
    const size_t at = in ? 0 : (size_t)n * h; /* [0]: before, [1]: after */
    for (int i = 0; i < n; i++) {
        float *mine = state + (size_t)i * 2 * h;
        float *net_h = p->exec->state_h + at + (size_t)i * h;
        float *net_c = p->exec->state_c + at + (size_t)i * h;
        memcpy(in ? net_h : mine, in ? mine : net_h, h * sizeof *mine);
        memcpy(in ? net_c : mine + h, in ? mine + h : net_c, h * sizeof *mine);
    }
}

static vly_status forward_piece(vly_policy *p, int n, const uint8_t *observation, float *state) {
    const int stack = p->env.obs.stack > 0 ? p->env.obs.stack : 1;
    const vly_frames frames = {p->frames, stack > 1 ? p->ages : NULL, (int64_t)stack * n, n,
                               p->env.obs};
    take_stacks(p, n, observation);
    VLY_TRY(vly_exec_gather(p->exec, p->queue, &frames, n, NULL, (int64_t)(stack - 1) * n));
    if (state) {
        move_recurrent(p, n, state, true);
        VLY_TRY(vly_exec_sequence(p->exec, 1, p->flags));
    }
    VLY_TRY(vly_exec_forward(p->exec, p->queue, n, p->param));
    VLY_TRY(p->compute->queue_sync(p->queue));
    if (state) move_recurrent(p, n, state, false);
    return VLY_OK;
}

static int best_of(const float *logits, int n) {
    int best = 0;
    for (int a = 1; a < n; a++)
        if (logits[a] > logits[best]) best = a;
    return best;
}

static int sample_of(const vly_policy *p, const float *logits, int n, uint64_t number) {
    const vly_u32x4 r = vly_philox((uint64_t)p->o.seed, VLY_STREAM_ACT, number, 0);
    const float most = logits[best_of(logits, n)];
    double sum = 0, passed = 0;
    for (int a = 0; a < n; a++) sum += exp((double)(logits[a] - most));
    const double aim = (double)vly_unit(r.v[0]) * sum;
    for (int a = 0; a < n; a++)
        if ((passed += exp((double)(logits[a] - most))) > aim) return a;
    return best_of(logits, n);
}

/* Actions that a mask forbids have the least logit. */
static vly_status forbid(float *logits, const uint8_t *mask, int n) {
    bool any = false;
    for (int a = 0; a < n; a++) {
        any |= mask[a] != 0;
        if (!mask[a]) logits[a] = -FLT_MAX;
    }
    return any ? VLY_OK : vly_fail(VLY_EINVAL, "a mask allows no action");
}

static vly_status answer_piece(vly_policy *p, int first, int n, const vly_decision *d) {
    const int actions = p->env.action.n;
    for (int i = 0; i < n; i++) {
        float *logits = p->exec->logits + (size_t)i * (size_t)actions;
        const size_t row = (size_t)(first + i);
        if (d->mask) VLY_TRY(forbid(logits, d->mask + row * (size_t)actions, actions));
        const bool greedy = d->greedy || p->q_head;
        if (d->logits)
            memcpy(d->logits + row * (size_t)actions, logits, (size_t)actions * sizeof *logits);
        if (d->action)
            d->action[row] = greedy ? best_of(logits, actions)
                                    : sample_of(p, logits, actions, p->acted + row);
        if (d->value)
            d->value[row] = p->exec->value ? p->exec->value[i]
                            : p->q_head    ? logits[best_of(logits, actions)]
                                           : NAN;
    }
    return VLY_OK;
}

static vly_status check_decision(const vly_policy *p, int n, const vly_decision *d) {
    if (!d || d->bytes < sizeof *d)
        return vly_fail(VLY_EINVAL, "vly_decision needs its size in `bytes`");
    if (n < 1 || !d->observation) return vly_fail(VLY_EINVAL, "%d observations", n);
    if ((p->config->net.lstm > 0) != (d->state != NULL))
        return vly_fail(VLY_EINVAL, p->config->net.lstm > 0
                                        ? "the network is recurrent: it needs a state"
                                        : "the network is not recurrent: it takes no state");
    return VLY_OK;
}

static vly_status act_on(vly_policy *p, int n, const vly_decision *d) {
    VLY_TRY(check_decision(p, n, d));
    for (int first = 0; first < n; first += PIECE) {
        const int m = n - first < PIECE ? n - first : PIECE;
        float *state = d->state ? d->state + (size_t)first * 2 * (size_t)p->config->net.lstm : NULL;
        VLY_TRY(forward_piece(p, m, (const uint8_t *)d->observation + (size_t)first * p->obs_bytes,
                              state));
        VLY_TRY(answer_piece(p, first, m, d));
    }
    p->acted += (uint64_t)n;
    return VLY_OK;
}

int vly_policy_act(vly_policy *p, int n, const vly_decision *decision) {
    if (!p) return vly_fail(VLY_EINVAL, "no policy: it was closed, or never opened");
    if (atomic_flag_test_and_set(&p->busy))
        return vly_fail(VLY_EINVAL, "another thread is in a call with this policy: one at a time");
    const vly_status status = act_on(p, n, decision);
    atomic_flag_clear(&p->busy);
    return status;
}

/* ---- what it is ---- */

int vly_policy_info(const vly_policy *p, vly_policy_facts *out) {
    if (!p || !out || out->bytes < sizeof *out)
        return vly_fail(VLY_EINVAL, "vly_policy_facts needs its size in `bytes`");
    const vly_obs_spec *o = &p->env.obs;
    const vly_net_desc *d = vly_net_description(p->net);
    int k = 0;
    *out = (vly_policy_facts){.bytes = out->bytes,
                              .type = o->dtype == VLY_U8 ? VLY_TYPE_U8 : VLY_TYPE_F32,
                              .actions = p->env.action.n,
                              .recurrent = p->config->net.lstm,
                              .q_values = p->q_head,
                              .scale = o->scale,
                              .environment = p->config->run.env,
                              .algorithm = p->config->run.algo,
                              .network = vly_net_kind_name(d->kind),
                              .activation = d->act == VLY_ACT_RELU ? "relu" : "tanh"};
    if (o->stack > 1) out->shape[k++] = o->stack;
    for (int i = 0; i < o->ndim; i++)
        if (!(o->stack > 1 && i == 2 && o->shape[i] == 1)) out->shape[k++] = o->shape[i];
    out->ndim = k;
    return VLY_OK;
}

int vly_policy_tensor(const vly_policy *p, int i, vly_weight *out) {
    if (!p || !out || out->bytes < sizeof *out)
        return vly_fail(VLY_EINVAL, "vly_weight needs its size in `bytes`");
    const vly_tensor *t = i >= 0 ? vly_net_tensor(p->net, i) : NULL;
    if (!t) return vly_fail(VLY_ENOTFOUND, "no weight number %d", i);
    *out = (vly_weight){
        .bytes = out->bytes, .name = t->name, .data = p->param + t->offset, .ndim = t->ndim};
    for (int k = 0; k < t->ndim; k++) out->shape[k] = t->shape[k];
    return VLY_OK;
}

int vly_policy_evaluate(const vly_policy *p, int episodes, int64_t seed, int greedy,
                        double *returns, int32_t *lengths) {
    vly_agent *a;
    if (!p || !returns || seed < 0)
        return vly_fail(VLY_EINVAL, "an evaluation needs a policy, a seed and room for returns");
    if (!(a = malloc(sizeof *a))) return vly_fail(VLY_ENOMEM, "no memory for an agent");
    const vly_agent_options o = {
        .greedy = greedy != 0, .best = p->o.best, .seed = (uint64_t)seed, .device = "cpu"};
    vly_status status = vly_agent_open(a, p->run, &o);
    if (status == VLY_OK) status = vly_train_evaluate(a->train, episodes, returns, lengths);
    vly_agent_close(a);
    free(a);
    return status;
}
