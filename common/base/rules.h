/* rules.h -- what an operation of common/base/compute.h does to one row, written once for every
 * back end.
 *
 *   for (int i = 0; i < n; i++)                                          // cpu/ops/sample.c
 *       action[i] = vly_rule_sample(A, logits + i * A, u, &logp[i]);
 *   ... one thread per row ...                                           // kernels/sample.cu
 *
 * The CPU loops over rows, a kernel gives each thread a row: same function, same bits. So the
 * same actions are drawn, the same rows replayed and the same order shuffled on every machine.
 * Sums over rows are each back end's own (a fixed order per device), hence equal to a tolerance.
 */
#ifndef VLY_COMMON_BASE_RULES_H
#define VLY_COMMON_BASE_RULES_H
#include "common/base/actions.h"
#include "common/base/exact.h"
#include "common/base/philox.h"

/* ---- acting ---- */

/* Inverse CDF: the first action whose cumulated weight exceeds u * total; u in (0, 1). */
VLY_HD int vly_rule_sample(int actions, const vly_real *logits, float u, vly_real *logp) {
    vly_real max = logits[0], total = 0, sum = 0;
    for (int a = 1; a < actions; a++) max = logits[a] > max ? logits[a] : max;
    for (int a = 0; a < actions; a++) total += vly_exp(logits[a] - max);
    const vly_real at = (vly_real)u * total;
    int pick = 0; /* the last action of weight > 0, should rounding leave `at` beyond the end */
    for (int a = 0; a < actions; a++) {
        const vly_real p = vly_exp(logits[a] - max);
        sum += p;
        if (p > 0) pick = a;
        if (sum > at) break;
    }
    *logp = (logits[pick] - max) - vly_log(total);
    return pick;
}

VLY_HD vly_real vly_rule_logp(int actions, const vly_real *logits, int action) {
    vly_real max = logits[0], total = 0;
    for (int a = 1; a < actions; a++) max = logits[a] > max ? logits[a] : max;
    for (int a = 0; a < actions; a++) total += vly_exp(logits[a] - max);
    return (logits[action] - max) - vly_log(total);
}

/* First of the largest; NaN never wins. */
VLY_HD int vly_rule_argmax(int n, const vly_real *x) {
    int best = 0;
    for (int i = 1; i < n; i++) best = x[i] > x[best] ? i : best;
    return best;
}

/* At random: uniform over the actions, or over those that are not masked. */
VLY_HD int vly_rule_greedy(int actions, const vly_real *values, vly_real epsilon, vly_u32x4 r) {
    if (!((vly_real)vly_unit(r.v[0]) < epsilon)) return vly_rule_argmax(actions, values);
    const int any = (int)vly_below(r.v[1], (uint32_t)actions);
    if (!(values[any] <= (vly_real)VLY_MASKED)) return any;
    int allowed = 0;
    for (int a = 0; a < actions; a++) allowed += !(values[a] <= (vly_real)VLY_MASKED);
    int left = (int)vly_below(r.v[2], (uint32_t)(allowed > 0 ? allowed : 1));
    for (int a = 0; a < actions; a++)
        if (!(values[a] <= (vly_real)VLY_MASKED) && left-- == 0) return a;
    return any;
}

/* ---- frames ---- */

/* r modulo rows; r is nearly always in range, and a division is as slow as a small frame's copy. */
VLY_HD int64_t vly_rule_wrap(int64_t r, int64_t rows) {
    if (r >= 0 && r < rows) return r;
    r %= rows;
    return r < 0 ? r + rows : r;
}

/* Where frame `k` of a stack (0: the oldest) of row r lies: a byte offset into frames, or -1:
 * zeros. */
VLY_HD int64_t vly_rule_frame(const vly_frames *f, int64_t row, int k) {
    const int back = f->obs.stack - 1 - k;
    row = vly_rule_wrap(row, f->rows);
    if (back == 0) return row * (int64_t)f->obs.bytes;
    if (back > (int)f->age[row]) return -1;
    return vly_rule_wrap(row - back * f->row_step, f->rows) * (int64_t)f->obs.bytes;
}

/* ---- scans ---- */

/* Rows that are no transition: the action was ignored. */
#define VLY_ROW_IGNORED (VLY_ROW_RESET | VLY_ROW_FAILED)

/* What a scan makes of one row. */
typedef struct {
    vly_real advantage, target, mask;
} vly_scan_row;

/* One row, t = T-1 first. value_next: V of t + 1. *next: 0 at the end, then what the row after left
 * there. */
VLY_HD vly_scan_row vly_rule_gae_row(const vly_hyper *h, uint8_t flags, vly_real reward,
                                     vly_real value, vly_real value_next, vly_real *next) {
    const vly_real gamma = h->gamma, lambda = h->lambda, scale = h->reward_scale;
    const vly_real bootstrap = flags & VLY_ROW_TERMINATED ? (vly_real)0 : value_next;
    const vly_real chain = flags & VLY_ROW_ENDED ? (vly_real)0 : *next;
    const vly_real advantage = (scale * reward + gamma * bootstrap - value) +
                               gamma * lambda * chain;
    const int ignored = flags & VLY_ROW_IGNORED;
    *next = ignored ? (vly_real)0 : advantage;
    const vly_scan_row row = {*next, *next + value, ignored ? (vly_real)0 : (vly_real)1};
    return row;
}

/* One environment's column, t = T-1 .. 0. */
VLY_HD void vly_rule_gae(const vly_gae_args *a, int n) {
    vly_real next = 0; /* advantage of t + 1 */
    for (int t = a->T - 1; t >= 0; t--) {
        const int64_t i = (int64_t)t * a->N + n;
        const vly_scan_row row = vly_rule_gae_row(a->hyper, a->flags[i], a->reward[i], a->value[i],
                                                  a->value[i + a->N], &next);
        a->advantage[i] = row.advantage, a->target[i] = row.target, a->mask[i] = row.mask;
    }
}

/* One player's column of a game with turns, see vly_gae_args. */
VLY_HD void vly_rule_gae_turns(const vly_gae_args *a, int n) {
    const vly_hyper *h = a->hyper;
    const vly_real gamma = h->gamma, scale = h->reward_scale;
    const int64_t last = (int64_t)a->T * a->N + n;
    vly_real next = 0, after = a->value[last];
    int open = a->own[last] & VLY_ROW_IDLE; /* what follows is not known */
    for (int t = a->T - 1; t >= 0; t--) {
        const int64_t i = (int64_t)t * a->N + n;
        const uint8_t flags = a->flags[i];
        const int unknown = open && !(flags & VLY_ROW_TERMINATED), ended = flags & VLY_ROW_ENDED;
        vly_scan_row row = {0, a->value[i], 0};
        if (a->own[i] & VLY_ROW_IDLE) {
            const int ignored = flags & VLY_ROW_IGNORED;
            after = scale * a->reward[i] + (flags & VLY_ROW_TERMINATED ? 0 : gamma * after);
            next = ignored || ended ? 0 : gamma * next;
            open = ignored || unknown;
        } else {
            row = vly_rule_gae_row(h, flags, a->reward[i], a->value[i], after, &next);
            if (unknown) next = row.advantage = row.mask = 0;
            after = a->value[i];
            open = 0;
        }
        a->advantage[i] = row.advantage, a->target[i] = row.target, a->mask[i] = row.mask;
    }
}

/* The same for V-trace; *next: vs - V of t + 1; *ratios gains min(rho_bar, ratio) of a valid row.
 */
VLY_HD vly_scan_row vly_rule_vtrace_row(const vly_hyper *h, uint8_t flags, vly_real reward,
                                        vly_real value, vly_real value_next, vly_real logp_target,
                                        vly_real logp_behaviour, vly_real *next, vly_real *ratios) {
    const vly_real gamma = h->gamma, lambda = h->lambda, scale = h->reward_scale,
                   rho_bar = h->rho_bar, c_bar = h->c_bar;
    const vly_real after = flags & VLY_ROW_TERMINATED ? (vly_real)0 : value_next;
    const vly_real chain = flags & VLY_ROW_ENDED ? (vly_real)0 : *next;
    const vly_real ratio = vly_exp(logp_target - logp_behaviour);
    const vly_real rho = ratio < rho_bar ? ratio : rho_bar, c = ratio < c_bar ? ratio : c_bar;
    const vly_real scaled = scale * reward, delta = rho * (scaled + gamma * after - value);
    const vly_real advantage = rho * (scaled + gamma * (after + chain) - value),
                   step = delta + gamma * lambda * c * chain;
    const int ignored = flags & VLY_ROW_IGNORED;
    *next = ignored ? (vly_real)0 : step;
    *ratios += ignored ? (vly_real)0 : rho;
    const vly_scan_row row = {ignored ? (vly_real)0 : advantage, *next + value,
                              ignored ? (vly_real)0 : (vly_real)1};
    return row;
}

/* One column; returns the sum of min(rho_bar, ratio) over its valid rows. */
VLY_HD vly_real vly_rule_vtrace(const vly_vtrace_args *a, int n) {
    vly_real next = 0, ratios = 0;
    for (int t = a->T - 1; t >= 0; t--) {
        const int64_t i = (int64_t)t * a->N + n;
        const vly_scan_row row = vly_rule_vtrace_row(
            a->hyper, a->flags[i], a->reward[i], a->value[i], a->value[i + a->N], a->logp_target[i],
            a->logp_behaviour[i], &next, &ratios);
        a->advantage[i] = row.advantage, a->target[i] = row.target, a->mask[i] = row.mask;
    }
    return ratios;
}

/* ---- LSTM ---- */

/* One unit of one row: gates come as sums and leave activated. *c: the cell, before and after.
 * Returns the output. */
VLY_HD vly_real vly_rule_lstm(vly_real *in, vly_real *forget, vly_real *cell, vly_real *out,
                              vly_real *c) {
    *in = vly_sigmoid(*in), *forget = vly_sigmoid(*forget), *cell = vly_tanh(*cell),
    *out = vly_sigmoid(*out);
    *c = *forget * *c + *in * *cell;
    return *out * vly_tanh(*c);
}

/* Gradients of the four sums; dh: of the output; *dc: of the cell, after and before. c0, c1: the
 * cell before and after. */
VLY_HD void vly_rule_lstm_backward(vly_real in, vly_real forget, vly_real cell, vly_real out,
                                   vly_real c0, vly_real c1, vly_real dh, vly_real *d_in,
                                   vly_real *d_forget, vly_real *d_cell, vly_real *d_out,
                                   vly_real *dc) {
    const vly_real tc = vly_tanh(c1), d = *dc + dh * out * (1 - tc * tc);
    *d_in = d * cell * in * (1 - in);
    *d_forget = d * c0 * forget * (1 - forget);
    *d_cell = d * in * (1 - cell * cell);
    *d_out = dh * tc * out * (1 - out);
    *dc = d * forget;
}

/* ---- losses ---- */

/* What one row adds to stats. */
typedef struct {
    vly_real count, policy_loss, value_loss, entropy, kl, clipped, td_abs, q, nonfinite, weight;
} vly_row_stats;

typedef struct {
    vly_real mean, inv_std; /* of the advantages; 0 and 1 when they are not normalized */
    vly_real scale;         /* 1 / valid rows, or 1 when summing */
} vly_loss_scales;

/* moments: mean, deviation and count; not read when the loss is summed and not normalized. */
VLY_HD vly_loss_scales vly_rule_loss_scales(const vly_policy_loss_args *p,
                                            const vly_real *moments) {
    vly_loss_scales s = {0, 1, 1};
    if (p->normalize) s.mean = moments[0], s.inv_std = 1 / (moments[1] + (vly_real)1e-8);
    if (!p->sum) s.scale = 1 / (moments[2] > 1 ? moments[2] : 1);
    return s;
}

/* 1/2 (v - target)^2, or the larger of that and its clipped form; *slope: its derivative by v. */
VLY_HD vly_real vly_rule_value_loss(const vly_policy_loss_args *p, int i, int64_t r,
                                    vly_real *slope) {
    const vly_real value = p->value[i], error = value - p->target[r],
                   c = (vly_real)p->hyper->value_clip;
    vly_real loss = error * error;
    *slope = error;
    if (c > 0 && p->value_old && !p->plain) {
        const vly_real old = p->value_old[r], move = value - old;
        const vly_real bounded = old + (move < -c ? -c : move > c ? c : move) - p->target[r];
        if (bounded * bounded > loss) {
            loss = bounded * bounded;
            *slope = move < -c || move > c ? 0 : bounded;
        }
    }
    return (vly_real)0.5 * loss;
}

/* The policy's part for any distribution: fills kl, clipped and policy_loss, returns d policy loss /
 * d logp. */
VLY_HD vly_real vly_rule_surrogate(const vly_policy_loss_args *p, int64_t r, vly_real logp,
                                   vly_real advantage, vly_row_stats *s) {
    vly_real g = 0;
    if (p->logp_old) {
        const vly_real log_ratio = logp - p->logp_old[r], ratio = vly_exp(log_ratio);
        const vly_real lo = 1 - (vly_real)p->hyper->clip, hi = 1 + (vly_real)p->hyper->clip;
        const vly_real bounded = ratio < lo ? lo : ratio > hi ? hi : ratio;
        s->kl = (ratio - 1) - log_ratio;
        s->clipped = ratio < lo || ratio > hi;
        s->policy_loss = -(ratio * advantage < bounded * advantage ? ratio : bounded) * advantage;
        g = ratio * advantage <= bounded * advantage ? -advantage * ratio : 0;
    }
    if (p->plain) {
        s->clipped = 0;
        s->policy_loss = -logp * advantage;
        g = -advantage;
    }
    return g;
}

VLY_HD void vly_rule_value_gradient(const vly_policy_loss_args *p, int i, int64_t r, vly_real scale,
                                    vly_row_stats *s) {
    vly_real dv;
    if (!p->value) return;
    s->value_loss = vly_rule_value_loss(p, i, r, &dv);
    if (p->dvalue) p->dvalue[i] = scale * (vly_real)p->hyper->value_coef * dv;
}

/* Row i of a minibatch. z, dz: its logits and their gradient (may be the arrays of args, or copies
 * in fast memory). mean, inv_std: of the advantages, 0 and 1 when not normalized. scale: 1 / valid
 * rows, or 1 when summing. Rows with mask 0 or an impossible action get zero gradients and add
 * nothing. */
VLY_HD vly_row_stats vly_rule_policy_loss(const vly_policy_loss_args *p, int i, const vly_real *z,
                                          vly_real *dz, vly_real mean, vly_real inv_std,
                                          vly_real scale) {
    const vly_hyper *h = p->hyper;
    const int64_t r = p->row ? p->row[i] : i;
    const int A = p->actions, action = p->action[r];
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if ((p->mask && p->mask[r] == 0) || action < 0 || action >= A) {
        for (int a = 0; a < A; a++) dz[a] = 0;
        if (p->dvalue) p->dvalue[i] = 0;
        return s;
    }
    vly_real max = z[0], total = 0, dot = 0;
    for (int a = 1; a < A; a++) max = z[a] > max ? z[a] : max;
    for (int a = 0; a < A; a++) {
        const vly_real d = z[a] - max, e = vly_exp(d);
        total += e;
        dot += e * d;
    }
    const vly_real log_total = vly_log(total), inv_total = 1 / total;
    const vly_real entropy = log_total - dot * inv_total;
    const vly_real logp = (z[action] - max) - log_total;
    const vly_real g = vly_rule_surrogate(p, r, logp, (p->advantage[r] - mean) * inv_std, &s);
    vly_rule_value_gradient(p, i, r, scale, &s);
    const vly_real ce = (vly_real)h->entropy_coef;
    for (int a = 0; a < A; a++) {
        const vly_real lp = (z[a] - max) - log_total, q = vly_exp(lp);
        dz[a] = scale * (g * ((a == action ? 1 : 0) - q) + ce * q * (lp + entropy));
    }
    s.count = 1;
    s.entropy = entropy;
    s.nonfinite = !vly_finite(s.policy_loss + s.value_loss + entropy);
    return s;
}

/* Row i: dq (actions) is written. A row whose action is out of range (nstep marks rows that cannot
 * be learned from with -1) gets zero gradients. scale: 1 / n. */
VLY_HD vly_row_stats vly_rule_dqn_loss(const vly_dqn_loss_args *d, int i, vly_real scale) {
    const int A = d->actions, action = d->action[i];
    const int64_t at = (int64_t)i * A;
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (int a = 0; a < A; a++) d->dq[at + a] = 0;
    if (d->td_abs) d->td_abs[i] = 0;
    if (action < 0 || action >= A) return s;
    const int best = vly_rule_argmax(A, (d->q_next_online ? d->q_next_online : d->q_next) + at);
    /* not 0 * q_next: an unused bootstrap must not spread a NaN */
    const vly_real after = d->discount[i] != 0 ? d->discount[i] * d->q_next[at + best] : 0;
    const vly_real td = d->q[at + action] - (d->n_return[i] + after), size = td < 0 ? -td : td;
    const vly_real w = d->weight ? d->weight[i] : 1, delta = (vly_real)d->hyper->huber_delta;
    const int linear = delta > 0 && size > delta;
    const vly_real loss = linear ? delta * (size - (vly_real)0.5 * delta) : (vly_real)0.5 * td * td;
    const vly_real slope = linear ? (td < 0 ? -delta : delta) : td;
    d->dq[at + action] = scale * w * slope;
    if (d->td_abs) d->td_abs[i] = size;
    s.count = 1;
    s.value_loss = w * loss;
    s.td_abs = size;
    s.q = d->q[at + action];
    s.weight = w;
    s.nonfinite = !vly_finite(loss);
    return s;
}

/* ---- optimizers ---- */

/* Numbers common to all elements of one step; made once per step. */
typedef struct {
    vly_real lr, clip;     /* clip: what gradients are multiplied by */
    vly_real bias1, bias2; /* ADAM: 1 / (1 - beta^t) */
} vly_step_scalars;

/* t: the number of this step, from 1. */
VLY_HD vly_step_scalars vly_rule_step(const vly_optimizer *o, const vly_hyper *h, vly_real norm,
                                      int64_t t) {
    vly_step_scalars s;
    s.lr = (vly_real)h->lr;
    s.clip = h->max_grad_norm > 0 && norm > (vly_real)h->max_grad_norm
                 ? (vly_real)h->max_grad_norm / norm
                 : 1;
    s.bias1 = o->kind == VLY_ADAM ? (vly_real)(1.0 / (1.0 - vly_powi((double)o->beta1, t))) : 1;
    s.bias2 = o->kind == VLY_ADAM ? (vly_real)(1.0 / (1.0 - vly_powi((double)o->beta2, t))) : 1;
    return s;
}

/* What parameter i is multiplied by before it is rounded into vly_params.low. */
VLY_HD float vly_low_scale(const vly_low_range *scaled, int64_t i) {
    float scale = 1.0f;
    for (int r = 0; r < VLY_LOW_RANGES; r++)
        if (i >= scaled[r].from && i < scaled[r].to) scale = scaled[r].scale;
    return scale;
}

/* A moment nearer to 0 than 2^-110 is 0. Where the gradient is 0 for good (a unit that never fires)
 * moments decay into the subnormal numbers, stay there, and cost an Intel processor a hundred cycles
 * each; no step is moved by what is left of them. NaN stays. */
VLY_HD vly_real vly_rule_moment(vly_real x) {
    const vly_real size = x < 0 ? -x : x;
    return x * (vly_real)(size >= (vly_real)0x1p-110f);
}

VLY_HD void vly_rule_optimize(const vly_optimizer *o, vly_step_scalars s, vly_real gradient,
                              vly_real *p, vly_real *m, vly_real *v) {
    const vly_real g = gradient * s.clip, b1 = (vly_real)o->beta1, b2 = (vly_real)o->beta2,
                   eps = (vly_real)o->eps;
    const vly_real momentum = (vly_real)o->momentum;
    switch (o->kind) {
    case VLY_SGD:
        *m = vly_rule_moment(momentum * *m + g);
        *p -= s.lr * *m;
        break;
    case VLY_ADAM:
        *m = vly_rule_moment(b1 * *m + (1 - b1) * g);
        *v = vly_rule_moment(b2 * *v + (1 - b2) * (g * g));
        *p -= s.lr * (*m * s.bias1) / (vly_sqrt(*v * s.bias2) + eps);
        break;
    case VLY_RMSPROP:
    case VLY_RMSPROP_TF:
        *v = vly_rule_moment(b2 * *v + (1 - b2) * (g * g));
        *m = vly_rule_moment(
            momentum * *m + g / (o->kind == VLY_RMSPROP ? vly_sqrt(*v) + eps : vly_sqrt(*v + eps)));
        *p -= s.lr * *m;
        break;
    case VLY_RMSPROP_CENTERED: {
        *v = vly_rule_moment(b2 * *v + (1 - b2) * (g * g));
        *m = vly_rule_moment(b2 * *m + (1 - b2) * g);
        /* Rounding can make the variance of equal gradients negative, by more than a small eps. */
        const vly_real variance = *v - *m * *m;
        *p -= s.lr * g / vly_sqrt((variance < 0 ? 0 : variance) + eps);
        break;
    }
    }
}

/* ---- orders and replay ---- */

VLY_HD uint32_t vly_rule_mix(uint32_t x) { /* a bijection of 32 bits (Wellons' lowbias32) */
    x ^= x >> 16, x *= 0x7feb352du;
    x ^= x >> 15, x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

/* Element i of the permutation of 0..n-1: a Feistel network on the next even number of bits, walked
 * until it lands below n (fewer than four steps on average). */
VLY_HD int32_t vly_rule_permute(uint32_t n, const vly_rng *rng, uint32_t i) {
    if (n < 2) return 0;
    int half = 1;
    while (half < 16 && (1ull << (2 * half)) < n) half++;
    const uint32_t mask = (1u << half) - 1;
    const vly_u32x4 k0 = vly_philox(rng->seed, VLY_STREAM_SHUFFLE, rng->step, 0),
                    k1 = vly_philox(rng->seed, VLY_STREAM_SHUFFLE, rng->step, 1);
    do {
        uint32_t left = i >> half, right = i & mask;
        for (int round = 0; round < 8; round++) {
            const uint32_t key = round < 4 ? k0.v[round & 3] : k1.v[round & 3];
            const uint32_t mixed = left ^ (vly_rule_mix(right + key) & mask);
            left = right, right = mixed;
        }
        i = left << half | right;
    } while (i >= n);
    return (int32_t)i;
}

/* floor(bits * n / 2^64) */
VLY_HD uint64_t vly_rule_scale(uint64_t bits, uint64_t n) {
    const uint64_t a = bits >> 32, b = bits & 0xffffffffu, c = n >> 32, d = n & 0xffffffffu;
    const uint64_t mid = ((b * d) >> 32) + (a * d & 0xffffffffu) + (b * c & 0xffffffffu);
    return a * c + ((a * d) >> 32) + ((b * c) >> 32) + (mid >> 32);
}

/* A priority as a leaf's fixed-point number. NaN and negative numbers count as 0 before eps. */
VLY_HD uint64_t vly_rule_priority(vly_real p, const vly_hyper *h, int raw) {
    vly_real x = p > 0 ? p : 0;
    if (!raw) x = vly_pow(x + (vly_real)h->priority_eps, (vly_real)h->alpha);
    if (!(x > 0)) return 0;
    const double scaled = (double)x * VLY_PRIORITY_ONE;
    return scaled >= (double)VLY_PRIORITY_MOST ? VLY_PRIORITY_MOST
           : scaled < 1.0                      ? 1u
                                               : (uint64_t)scaled;
}

/* Stratum i of n over [0, total): a fixed-point position, below total. */
VLY_HD uint64_t vly_rule_stratum(const vly_rng *rng, int i, int n, uint64_t total) {
    const uint64_t q = total / (uint64_t)n, r = total % (uint64_t)n, k = (uint64_t)i;
    const uint64_t from = q * k + r * k / (uint64_t)n, to = q * (k + 1) + r * (k + 1) / (uint64_t)n;
    const vly_u32x4 x = vly_philox(rng->seed, VLY_STREAM_REPLAY, rng->step, (uint32_t)i);
    return from + vly_rule_scale((uint64_t)x.v[1] << 32 | x.v[0], to - from);
}

/* The leaf that holds `position`. Counts without branches: where the search ends cannot be
 * predicted. */
VLY_HD int vly_rule_child(const uint64_t *child, uint64_t *position) {
    uint64_t sum = 0, before = 0;
    int k = 0;
    for (int i = 0; i < VLY_TREE_RADIX - 1; i++) {
        sum += child[i];
        const int past = *position >= sum;
        k += past;
        before = past ? sum : before;
    }
    *position -= before;
    return k;
}

VLY_HD int64_t vly_rule_descend(const vly_tree *tree, uint64_t position) {
    int64_t node = 0;
    for (int level = tree->levels - 1; level >= 0; level--)
        node = node * VLY_TREE_RADIX +
               vly_rule_child(tree->sum[level] + node * VLY_TREE_RADIX, &position);
    return node < tree->capacity ? node : tree->capacity - 1;
}

/* P^-beta, before the division by the batch's maximum. */
VLY_HD vly_real vly_rule_weight(uint64_t leaf, uint64_t total, vly_real beta) {
    const double x = (double)leaf / (double)total;
    return x > 0 ? vly_exp(-beta * vly_log((vly_real)x)) : 0;
}

/* Sample i of an n-step batch; an ignored row gets action -1. The sum ends with a TERMINATED row
 * (discount 0) or a TRUNCATED one (bootstrap from the row after it), and before an ignored one. */
VLY_HD void vly_rule_nstep(const vly_nstep_args *a, int i) {
    const int64_t rows = a->rows.T * a->rows.N, first = a->row[i];
    vly_real sum = 0, power = 1;
    int64_t r = first;
    a->action[i] = -1, a->n_return[i] = 0, a->discount[i] = 0, a->bootstrap_row[i] = 0;
    if (first < 0 || first >= rows) return;
    a->bootstrap_row[i] = (int32_t)first;
    if (a->rows.flags[r] & VLY_ROW_IGNORED) return;
    for (int k = 0; k < a->steps; k++) {
        const uint8_t flags = a->rows.flags[r];
        if (flags & VLY_ROW_IGNORED) break;
        sum += power * ((vly_real)a->hyper->reward_scale * a->rows.reward[r]);
        power *= (vly_real)a->hyper->gamma;
        if (flags & VLY_ROW_TERMINATED)
            power = 0;
        else
            r = vly_rule_wrap(r + a->rows.N, rows);
        if (flags & VLY_ROW_ENDED) break;
    }
    a->action[i] = a->rows.action[first];
    a->n_return[i] = sum;
    a->discount[i] = power;
    a->bootstrap_row[i] = (int32_t)r;
}
/* ---- ranks ---- */

/* What number i adds to the fingerprint of an array: its bits and its place, mixed (the finaliser
 * of SplitMix64). */
VLY_HD uint64_t vly_rule_fingerprint(float x, uint64_t i) {
    union {
        float f;
        uint32_t bits;
    } word = {x};
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)word.bits << 17;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
#endif
