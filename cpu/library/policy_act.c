/* What a trained agent decides about the observations of a call. */
#include <float.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include "common/base/philox.h"
#include "cpu/library/policy_impl.h"

/* ---- the network ---- */

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

/* One choice; d->action may be NULL. */
static vly_status answer_choices(vly_policy *p, int first, int n, const vly_decision *d,
                                 float *numbers) {
    const int actions = p->env.action.n;
    for (int i = 0; i < n; i++) {
        float *logits = numbers + (size_t)i * (size_t)actions;
        const size_t row = (size_t)(first + i);
        if (d->mask) VLY_TRY(forbid(logits, d->mask + row * (size_t)actions, actions));
        const bool greedy = d->greedy || p->q_head;
        if (d->logits)
            memcpy(d->logits + row * (size_t)actions, logits, (size_t)actions * sizeof *logits);
        if (d->action)
            d->action[row] = greedy ? best_of(logits, actions)
                                    : sample_of(p, logits, actions, p->acted + row);
        if (d->value)
            d->value[row] = p->exec && p->exec->value ? p->exec->value[i]
                            : p->q_head               ? logits[best_of(logits, actions)]
                                                      : NAN;
    }
    return VLY_OK;
}

/* ---- several choices, and numbers ---- */

static vly_status mask_piece(const vly_policy *p, int n, const uint8_t *mask) {
    const vly_space *space = &p->env.action;
    for (int i = 0; i < n; i++)
        if (vly_mask_blocks(space, mask + (size_t)i * (size_t)space->n))
            return vly_fail(VLY_EINVAL, "a mask allows no action");
    return p->compute->mask_actions(p->queue, (int64_t)n * space->n, mask, p->exec->logits);
}

static vly_status draw_piece(vly_policy *p, int n, bool greedy) {
    const void *raw = p->deterministic ? (const void *)p->exec->logits : p->raw;
    if (!p->deterministic) {
        VLY_TRY(p->compute->dist_sample(p->queue, &p->dist, n, p->exec->logits,
                                        greedy ? NULL : p->rng, VLY_STREAM_ACT, NULL, 0, p->raw,
                                        NULL));
        VLY_TRY(p->compute->rng_advance(p->queue, p->rng));
    }
    VLY_TRY(p->compute->dist_action(p->queue, &p->dist, n, raw, p->drawn));
    return p->compute->queue_sync(p->queue);
}

static void write_parts(const vly_policy *p, int first, int n, const vly_decision *d) {
    const size_t parts = (size_t)p->dist.parts, all = (size_t)n * parts;
    const bool box = p->env.action.kind == VLY_SPACE_BOX;
    if (box && d->numbers)
        memcpy(d->numbers + (size_t)first * parts, p->drawn, all * sizeof *d->numbers);
    for (size_t i = 0; !box && d->action && i < all; i++)
        d->action[(size_t)first * parts + i] = p->drawn[i];
}

static vly_status answer_parts(vly_policy *p, int first, int n, const vly_decision *d) {
    const size_t width = (size_t)policy_width(p), choices = (size_t)p->env.action.n;
    if (d->mask) VLY_TRY(mask_piece(p, n, d->mask + (size_t)first * choices));
    VLY_TRY(draw_piece(p, n, d->greedy != 0));
    write_parts(p, first, n, d);
    if (d->logits)
        memcpy(d->logits + (size_t)first * width, p->exec->logits,
               (size_t)n * width * sizeof *d->logits);
    for (int i = 0; d->value && i < n; i++)
        d->value[first + i] = p->exec->value ? p->exec->value[i] : NAN;
    return VLY_OK;
}

static vly_status answer_piece(vly_policy *p, int first, int n, const vly_decision *d) {
    return p->env.action.kind == VLY_SPACE_DISCRETE
               ? answer_choices(p, first, n, d, p->exec->logits)
               : answer_parts(p, first, n, d);
}

/* ---- a table ---- */

static vly_status act_by_table(vly_policy *p, int n, const vly_decision *d) {
    const uint8_t *observation = d->observation;
    const size_t actions = (size_t)p->env.action.n;
    float row[VLY_SPACE_CHOICES_MAX];
    for (int i = 0; i < n; i++) {
        const int state = vly_discretizer_state(&p->cells, observation + (size_t)i * p->obs_bytes);
        memcpy(row, p->param + (size_t)state * actions, actions * sizeof *row);
        VLY_TRY(answer_choices(p, i, 1, d, row));
    }
    return VLY_OK;
}

bool policy_lost_threads(const vly_policy *p) {
    return p->o.num_threads != 1 && p->process != getpid();
}

int policy_width(const vly_policy *p) {
    return p->net ? vly_net_width(p->net) : p->env.action.n;
}

static vly_status check_decision(const vly_policy *p, int n, const vly_decision *d) {
    if (!d || d->bytes < sizeof *d)
        return vly_fail(VLY_EINVAL, "vly_decision needs its size in `bytes`");
    if (n < 1 || !d->observation) return vly_fail(VLY_EINVAL, "%d observations", n);
    if (d->mask && p->env.action.kind == VLY_SPACE_BOX)
        return vly_fail(VLY_EINVAL, "a box has no mask");
    if ((p->config->net.lstm > 0 && p->net) != (d->state != NULL))
        return vly_fail(VLY_EINVAL, !d->state ? "the network is recurrent: it needs a state"
                                              : "the network is not recurrent: it takes no state");
    return VLY_OK;
}

static vly_status act_on(vly_policy *p, int n, const vly_decision *d) {
    VLY_TRY(check_decision(p, n, d));
    if (!p->net) return act_by_table(p, n, d);
    for (int first = 0; first < n; first += POLICY_PIECE) {
        const int m = n - first < POLICY_PIECE ? n - first : POLICY_PIECE;
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
    if (policy_lost_threads(p))
        return vly_fail(VLY_EINVAL,
                        "this policy's threads belong to process %d, which forked: open another "
                        "here, or one with num_threads=1",
                        (int)p->process);
    if (atomic_flag_test_and_set(&p->busy))
        return vly_fail(VLY_EINVAL, "another thread is in a call with this policy: one at a time");
    const vly_status status = act_on(p, n, decision);
    atomic_flag_clear(&p->busy);
    return status;
}
