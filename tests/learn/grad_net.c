/* Every network with every loss, compiled with VLY_REAL=double: backward is the derivative of
 * forward. Each tensor is probed along random coordinates by central differences. */
#include "common/learn/net.h"
#include "common/base/philox.h"
#include "cpu/ops/compute_cpu.h"
#include "tests/kit/check.h"
#include "tests/kit/sanitized.h"

enum {
    ROWS = 6,
    ACTIONS = 5,
    FRAMES = 24,
    PROBES = SANITIZED ? 1 : 6 /* numbers of every tensor */
};
typedef enum {
    LOSS_PPO,
    LOSS_PPO_CLIPPED_VALUE,
    LOSS_PLAIN,
    LOSS_PLAIN_SUM,
    LOSS_VTRACE,
    LOSS_DQN,
    LOSS_DQN_SQUARED
} loss_kind;
static const char *const loss_names[] = {
    "ppo", "ppo with clipped values", "plain", "plain sum", "v-trace", "dqn", "dqn squared"};

typedef struct {
    vly_compute *c;
    vly_queue *q;
    vly_net *net;
    vly_exec *exec;
    loss_kind loss;
    int n, steps;
    vly_frames frames;
    int32_t row[ROWS], action[FRAMES];
    uint8_t flags[FRAMES];
    vly_real logp_old[FRAMES], value_old[FRAMES], advantage[FRAMES], target[FRAMES], mask[FRAMES],
        moments[3];
    vly_real q_next[ROWS * ACTIONS], n_return[ROWS], discount[ROWS], weight[ROWS], td_abs[ROWS],
        reward[FRAMES];
    vly_real logp_target[ROWS], stats[VLY_STATS];
    vly_real h0[ROWS * 64], c0[ROWS * 64];
    vly_hyper hyper;
} problem;

static uint64_t draws;
static double uniform(void) {
    return (double)vly_unit(vly_philox(99, VLY_STREAM_TEST, draws++, 0).v[0]);
}
static double spread(double scale) {
    return scale * (2 * uniform() - 1);
}

static void run_vtrace(problem *p) { /* advantage and target are constants to the loss: made once,
                                        before */
    const int n = p->n / p->steps;
    CHECK_OK(
        p->c->action_logp(p->q, p->n - n, ACTIONS, p->exec->logits, p->action, p->logp_target));
    const vly_vtrace_args args = {.T = p->steps - 1,
                                  .N = n,
                                  .reward = p->reward,
                                  .value = p->exec->value,
                                  .flags = p->flags + n,
                                  .logp_behaviour = p->logp_old,
                                  .logp_target = p->logp_target,
                                  .hyper = &p->hyper,
                                  .advantage = p->advantage,
                                  .target = p->target,
                                  .mask = p->mask,
                                  .stats = p->stats};
    CHECK_OK(p->c->vtrace(p->q, &args));
}

static int loss_rows(const problem *p) {
    return p->loss == LOSS_VTRACE ? p->n - p->n / p->steps : p->n;
}

/* The total loss, and with `backward` its gradient. */
static double evaluate(problem *p, const vly_real *param, vly_real *grad) {
    const bool dqn = p->loss >= LOSS_DQN, sum = p->loss == LOSS_PLAIN_SUM;
    memset(p->stats, 0, sizeof p->stats);
    CHECK_OK(vly_exec_prepare(p->exec, p->q, param));
    CHECK_OK(vly_exec_gather(p->exec, p->q, &p->frames, p->n, p->row, 0));
    if (vly_net_description(p->net)->lstm > 0) {
        const size_t bytes = (size_t)(p->n / p->steps * vly_net_description(p->net)->lstm) *
                             sizeof(vly_real);
        memcpy(p->exec->state_h, p->h0, bytes);
        memcpy(p->exec->state_c, p->c0, bytes);
        CHECK_OK(vly_exec_sequence(p->exec, p->steps, p->flags));
    }
    CHECK_OK(vly_exec_forward(p->exec, p->q, p->n, param));
    const int n = loss_rows(p);
    if (dqn) {
        const vly_dqn_loss_args d = {.n = n,
                                     .actions = ACTIONS,
                                     .q = p->exec->logits,
                                     .q_next = p->q_next,
                                     .action = p->action,
                                     .n_return = p->n_return,
                                     .discount = p->discount,
                                     .weight = p->weight,
                                     .hyper = &p->hyper,
                                     .dq = p->exec->dlogits,
                                     .td_abs = p->td_abs,
                                     .stats = p->stats};
        CHECK_OK(p->c->dqn_loss(p->q, &d));
    } else {
        const bool plain = p->loss == LOSS_PLAIN || sum || p->loss == LOSS_VTRACE;
        const vly_policy_loss_args a = {.n = n,
                                        .actions = ACTIONS,
                                        .plain = plain,
                                        .sum = sum,
                                        .normalize = !plain,
                                        .logits = p->exec->logits,
                                        .value = p->exec->value,
                                        .action = p->action,
                                        .logp_old = p->logp_old,
                                        .value_old = p->value_old,
                                        .advantage = p->advantage,
                                        .target = p->target,
                                        .mask = p->mask,
                                        .moments = plain ? NULL : p->moments,
                                        .hyper = &p->hyper,
                                        .dlogits = p->exec->dlogits,
                                        .dvalue = p->exec->dvalue,
                                        .stats = p->stats};
        CHECK_OK(p->c->policy_loss(p->q, &a));
        for (int i = n; i < p->n; i++) { /* rows that only bootstrap */
            memset(p->exec->dlogits + i * ACTIONS, 0, ACTIONS * sizeof(vly_real));
            p->exec->dvalue[i] = 0;
        }
    }
    if (grad) CHECK_OK(vly_exec_backward(p->exec, p->q, p->n, param, grad));
    const double scale = sum ? 1 : 1 / (dqn ? (double)n : p->stats[VLY_STAT_COUNT]);
    return scale * (p->stats[VLY_STAT_POLICY_LOSS] +
                    (dqn ? 1 : (double)p->hyper.value_coef) * p->stats[VLY_STAT_VALUE_LOSS] -
                    (dqn ? 0 : (double)p->hyper.entropy_coef) * p->stats[VLY_STAT_ENTROPY]);
}

static void make_rows(problem *p, const vly_obs_spec *obs, uint8_t *frames, uint8_t *age) {
    for (int i = 0; i < FRAMES; i++) {
        for (size_t k = 0; k < obs->bytes; k++)
            frames[(size_t)i * obs->bytes + k] = (uint8_t)(256 * uniform());
        if (obs->dtype == VLY_F32)
            for (int k = 0; k < obs->shape[0]; k++) {
                const float v = (float)spread(1.5);
                memcpy(frames + (size_t)i * obs->bytes + (size_t)k * sizeof v, &v, sizeof v);
            }
        age[i] = (uint8_t)(6 * uniform());
        p->action[i] = (int32_t)(ACTIONS * uniform());
        p->flags[i] = uniform() < 0.3 ? VLY_ROW_RESET : uniform() < 0.2 ? VLY_ROW_TERMINATED : 0;
        p->logp_old[i] = -1.6 + spread(0.15);
        p->value_old[i] = spread(0.5);
        p->advantage[i] = spread(2);
        p->target[i] = spread(1);
        p->mask[i] = uniform() < 0.8;
        p->reward[i] = spread(1);
    }
    p->mask[0] = p->mask[1] = 1;
    p->frames = (vly_frames){frames, age, FRAMES, 3, *obs};
}

static void fill(problem *p) {
    for (int i = 0; i < ROWS; i++) {
        p->row[i] = (int32_t)(FRAMES * uniform());
        p->n_return[i] = spread(1);
        p->discount[i] = i % 3 ? 0.97 : 0;
        p->weight[i] = 0.3 + uniform();
    }
    for (int i = 0; i < ROWS * ACTIONS; i++) p->q_next[i] = spread(1);
    for (int i = 0; i < ROWS * 64; i++) p->h0[i] = spread(0.7), p->c0[i] = spread(0.7);
    p->hyper = (vly_hyper){.clip = 0.2f,
                           .value_clip = p->loss == LOSS_PPO_CLIPPED_VALUE ? 0.2f : 0,
                           .value_coef = 0.6f,
                           .entropy_coef = 0.03f,
                           .gamma = 0.97f,
                           .lambda = 0.9f,
                           .rho_bar = 1,
                           .c_bar = 1,
                           .reward_scale = 1,
                           .alpha = 0.6f,
                           .huber_delta = p->loss == LOSS_DQN ? 0.5f : 0,
                           .priority_eps = 1e-6f};
}

/* A kink (relu, clip, pool) inside the interval spoils a difference: a coordinate counts as wrong
 * only when three widths disagree with the gradient. Kinks are rare at these widths, wrong
 * gradients are wrong at all. */
static bool agrees(problem *p, vly_real *param, int64_t k, double slope) {
    static const double widths[] = {1e-5, 1e-6, 3e-7};
    const vly_real at = param[k];
    bool good = false;
    for (int i = 0; i < 3 && !good; i++) {
        param[k] = at + widths[i];
        const double up = evaluate(p, param, NULL);
        param[k] = at - widths[i];
        const double down = evaluate(p, param, NULL), measured = (up - down) / (2 * widths[i]);
        good = fabs(measured - slope) <= 1e-6 * (fabs(measured) + fabs(slope)) + 3e-9;
        param[k] = at;
        if (!good && i == 2)
            fprintf(stderr, "measured %.12g, backward says %.12g\n", measured, slope);
    }
    return good;
}

static void probe(problem *p, const char *what) {
    const int64_t n = vly_net_params(p->net);
    vly_real *param = calloc((size_t)n, sizeof *param), *grad = calloc((size_t)n, sizeof *grad);
    CHECK_OK(vly_net_init(p->net, 5, param));
    const vly_tensor *t;
    for (int i = 0; (t = vly_net_tensor(p->net, i)) != NULL; i++) /* nothing may stay at 0, heads at
                                                                     0.01 */
        for (int64_t k = 0; k < t->n; k++)
            param[t->offset + k] += spread(t->ndim == 1 ? 0.2 : 0.05);
    evaluate(p, param, NULL);
    if (p->loss == LOSS_VTRACE) run_vtrace(p);
    if (p->loss <= LOSS_PPO_CLIPPED_VALUE)
        CHECK_OK(p->c->moments(p->q, p->n, p->advantage, NULL, p->mask, p->moments));
    for (int64_t k = 0; k < n; k++) grad[k] = 1e30;               /* poison */
    for (int i = 0; (t = vly_net_tensor(p->net, i)) != NULL; i++) /* the gaps between tensors are
                                                                     never written */
        for (int64_t k = 0; k < t->n; k++) grad[t->offset + k] = NAN;
    evaluate(p, param, grad);
    int moved = 0;
    const int64_t centre = vly_net_centre(p->net);
    CHECK((centre >= 0) == (vly_net_description(p->net)->centre != 0));
    for (int i = 0; (t = vly_net_tensor(p->net, i)) != NULL; i++) {
        if (t->offset == centre) CHECK(t->constant && grad[centre] == 0); /* not trained */
        for (int j = 0; j < PROBES && t->offset != centre; j++) {
            const int64_t k = t->offset + (int64_t)((double)t->n * uniform());
            moved += fabs(grad[k]) > 1e-7;
            if (agrees(p, param, k, grad[k])) continue;
            fprintf(stderr, "%s, %s: the gradient of %s[%lld] is wrong\n", what,
                    loss_names[p->loss], t->name, (long long)(k - t->offset));
            exit(TEST_FAIL);
        }
        if (t->offset + t->n < n && i + 1 < n) {
            const vly_tensor *next = vly_net_tensor(p->net, i + 1);
            for (int64_t k = t->offset + t->n; next && k < next->offset; k++)
                CHECK(grad[k] == 1e30);
        }
    }
    CHECK(moved >= PROBES); /* the probes are not all of dead units */
    free(param);
    free(grad);
}

static void backward_is_the_derivative(const char *what, vly_net_desc desc, loss_kind loss,
                                       int steps) {
    problem p = {.loss = loss, .n = ROWS, .steps = steps};
    uint8_t *frames = malloc(FRAMES * desc.obs.bytes), age[FRAMES];
    CHECK(frames);
    draws = (uint64_t)loss * 1000003 + (uint64_t)desc.kind * 7919;
    desc.actions = ACTIONS;
    CHECK_OK(vly_compute_create_cpu(&p.c, 2));
    CHECK_OK(p.c->queue_create(p.c, VLY_QUEUE_LEARN, &p.q));
    CHECK_OK(vly_net_create(&p.net, &desc));
    CHECK_OK(vly_exec_create(&p.exec, p.c, p.net, ROWS, true, "gradient check"));
    make_rows(&p, &desc.obs, frames, age);
    fill(&p);
    probe(&p, what);
    vly_exec_destroy(p.exec);
    vly_net_destroy(p.net);
    p.c->queue_destroy(p.q);
    p.c->destroy(p.c);
    free(frames);
}

int main(void) {
    const vly_obs_spec vector = {
        .dtype = VLY_F32, .ndim = 1, .shape = {7}, .stack = 1, .scale = 1, .bytes = 28};
    const vly_obs_spec stacked = {
        .dtype = VLY_F32, .ndim = 1, .shape = {3}, .stack = 3, .scale = 0.5f, .bytes = 12};
    const vly_obs_spec small = {.dtype = VLY_U8,
                                .ndim = 3,
                                .shape = {10, 9, 4},
                                .stack = 1,
                                .scale = 1 / 255.0f,
                                .bytes = 360};
    const vly_obs_spec screen = {.dtype = VLY_U8,
                                 .ndim = 3,
                                 .shape = {44, 40, 1},
                                 .stack = 4,
                                 .scale = 1 / 255.0f,
                                 .bytes = 1760};
    const vly_net_desc mlp = {
        .kind = VLY_NET_MLP, .obs = vector, .layers = 2, .hidden = {13, 9}, .act = VLY_ACT_TANH};
    for (int loss = LOSS_PPO; loss <= LOSS_DQN_SQUARED; loss++) {
        vly_net_desc d = mlp;
        d.head = loss >= LOSS_DQN ? VLY_HEAD_Q : VLY_HEAD_POLICY_VALUE;
        backward_is_the_derivative("mlp with towers", d, (loss_kind)loss, 3);
        d.shared = true;
        d.act = VLY_ACT_RELU;
        d.obs = stacked;
        backward_is_the_derivative("shared mlp on stacked frames", d, (loss_kind)loss, 3);
        d.obs = small;
        backward_is_the_derivative("mlp on an image", d, (loss_kind)loss, 3);
        d.head = loss >= LOSS_DQN ? VLY_HEAD_DUELING : VLY_HEAD_POLICY_VALUE;
        d.hidden[0] = 0;
        d.kind = VLY_NET_MINATAR;
        backward_is_the_derivative("minatar", d, (loss_kind)loss, 2);
        d.centre = 0.3f;
        backward_is_the_derivative("minatar, centred", d, (loss_kind)loss, 2);
    }
    vly_net_desc d = mlp;
    d.lstm = 11;
    d.head = VLY_HEAD_POLICY_VALUE;
    backward_is_the_derivative("lstm", d, LOSS_PLAIN, 3);
    backward_is_the_derivative("lstm", d, LOSS_VTRACE, 3);
    backward_is_the_derivative("lstm of one step", d, LOSS_PPO, 1);
    backward_is_the_derivative("lstm of one row", d, LOSS_PPO_CLIPPED_VALUE, 6);
    d = (vly_net_desc){.kind = VLY_NET_NATURE, .obs = screen};
    backward_is_the_derivative("nature", d, LOSS_PPO, 1);
    d.head = VLY_HEAD_DUELING;
    backward_is_the_derivative("nature dueling", d, LOSS_DQN, 1);
    d = (vly_net_desc){.kind = VLY_NET_A3C, .obs = screen, .hidden = {20}};
    backward_is_the_derivative("a3c", d, LOSS_PLAIN, 1);
    d = (vly_net_desc){.kind = VLY_NET_IMPALA, .obs = screen, .lstm = 12};
    backward_is_the_derivative("impala with lstm", d, LOSS_VTRACE, 2);
    return TEST_PASS;
}
