/* rules_action.h -- common/base/rules.h for the operations of common/base/actions.h: one row of
 * each, for every back end. */
#ifndef VLY_COMMON_BASE_RULES_ACTION_H
#define VLY_COMMON_BASE_RULES_ACTION_H
#include "common/base/actions.h"
#include "common/base/rules.h"

/* ---- random numbers ---- */

/* The normal number below which a share p of all lie, 0 < p < 1; relative error about 1e-7
 * (Wichura 1988, AS 241, PPND7). */
VLY_HD float vly_normal_at(float p) {
    const float q = p - 0.5f, a = q < 0 ? -q : q;
    if (a <= 0.425f) {
        const float r = 0.180625f - q * q;
        return q *
               (((5.9109374720e+1f * r + 1.5929113202e+2f) * r + 5.0434271938e+1f) * r +
                3.3871327179f) /
               (((6.7187563600e+1f * r + 7.8757757664e+1f) * r + 1.7895169469e+1f) * r + 1.0f);
    }
    float r = sqrtf(-vly_logf(q < 0 ? p : 1.0f - p)), x;
    if (r <= 5.0f) {
        r -= 1.6f;
        x = (((1.7023821103e-1f * r + 1.3067284816f) * r + 2.7568153900f) * r + 1.4234372777f) /
            ((1.2021132975e-1f * r + 7.3700164250e-1f) * r + 1.0f);
    } else {
        r -= 5.0f;
        x = (((1.7337203997e-2f * r + 4.2868294337e-1f) * r + 3.0812263860f) * r + 6.6579051150f) /
            ((1.2258202635e-2f * r + 2.4197894225e-1f) * r + 1.0f);
    }
    return q < 0 ? -x : x;
}

/* For part k of a row: four parts a call, so that parts do not share numbers. */
VLY_HD vly_u32x4 vly_rule_draw(const vly_rng *rng, uint32_t stream, int lane, int k) {
    return vly_philox(rng->seed, stream | (uint32_t)(k >> 2) << 8, rng->step, (uint32_t)lane);
}

/* Part k's of them, in (0, 1). r.v[k & 3] would put r into a GPU's local memory. */
VLY_HD float vly_rule_unit_of(vly_u32x4 r, int k) {
    const uint32_t low = k & 1 ? r.v[1] : r.v[0], high = k & 1 ? r.v[3] : r.v[2];
    return vly_unit(k & 2 ? high : low);
}

VLY_HD float vly_rule_uniform(const vly_rng *rng, uint32_t stream, int lane, int k) {
    return vly_rule_unit_of(vly_rule_draw(rng, stream, lane, k), k);
}

VLY_HD vly_real vly_clamp(vly_real x, vly_real low, vly_real high) {
    return x < low ? low : x > high ? high : x;
}

VLY_HD vly_real vly_rule_noise(const vly_noise_args *a, int i, int k) {
    if (!a->mean) return 2 * (vly_real)vly_rule_uniform(a->rng, a->stream, a->lane0 + i, k) - 1;
    vly_real noise = 0;
    if (a->deviation > 0) {
        const float u = vly_rule_uniform(a->rng, a->stream, a->lane0 + i, k);
        noise = (vly_real)a->deviation * (vly_real)vly_normal_at(u);
    }
    if (a->limit > 0) noise = vly_clamp(noise, -(vly_real)a->limit, (vly_real)a->limit);
    return vly_clamp(a->mean[(int64_t)i * a->parts + k] + noise, -1, 1);
}

/* ---- distributions ---- */

#define VLY_HALF_LOG_2PI ((vly_real)0.91893853320467274178)
#define VLY_LOG_2 ((vly_real)0.69314718055994530942)

#define VLY_TANH_HALF \
    ((vly_real)0.5 * ((vly_real)VLY_LOG_STD_HIGH - (vly_real)VLY_LOG_STD_TANH_LOW))

VLY_HD vly_real vly_log_std(int spread, vly_real x) {
    if (spread == VLY_SPREAD_TANH)
        return (vly_real)VLY_LOG_STD_TANH_LOW + VLY_TANH_HALF * (vly_tanh(x) + 1);
    return vly_clamp(x, (vly_real)VLY_LOG_STD_LOW, (vly_real)VLY_LOG_STD_HIGH);
}
/* d log deviation / dx */
VLY_HD vly_real vly_log_std_slope(int spread, vly_real x) {
    if (spread == VLY_SPREAD_TANH) {
        const vly_real t = vly_tanh(x);
        return VLY_TANH_HALF * (1 - t * t);
    }
    return x > (vly_real)VLY_LOG_STD_LOW && x < (vly_real)VLY_LOG_STD_HIGH ? (vly_real)1
                                                                           : (vly_real)0;
}

/* log(1 - tanh(u)^2), also where tanh rounds to 1. */
VLY_HD vly_real vly_log_slope(vly_real u) {
    const vly_real a = u < 0 ? -u : u;
    return 2 * (VLY_LOG_2 - a - vly_log(1 + vly_exp(-2 * a)));
}

/* max, sum and the entropy of one softmax. */
typedef struct {
    vly_real max, log_total, entropy;
} vly_softmax;

VLY_HD vly_softmax vly_rule_softmax(int n, const vly_real *z) {
    vly_softmax s = {z[0], 0, 0};
    vly_real total = 0, dot = 0;
    for (int a = 1; a < n; a++) s.max = z[a] > s.max ? z[a] : s.max;
    for (int a = 0; a < n; a++) {
        const vly_real d = z[a] - s.max, e = vly_exp(d);
        total += e;
        dot += e * d;
    }
    s.log_total = vly_log(total);
    s.entropy = s.log_total - dot / total;
    return s;
}

/* Draws row i's parts into raw (of that row); greedy (rng NULL): the likeliest. Returns logp. */
VLY_HD vly_real vly_rule_dist_sample(const vly_dist *d, const vly_real *z, const vly_rng *rng,
                                     uint32_t stream, int lane, void *raw) {
    vly_real logp = 0;
    if (d->kind == VLY_DIST_CHOICES) {
        for (int k = 0; k < d->parts; z += d->choices[k++]) {
            vly_real one = 0;
            int pick;
            if (rng) {
                pick = vly_rule_sample(d->choices[k], z, vly_rule_uniform(rng, stream, lane, k),
                                       &one);
            } else {
                pick = vly_rule_argmax(d->choices[k], z);
                one = vly_rule_logp(d->choices[k], z, pick);
            }
            ((int32_t *)raw)[k] = pick;
            logp += one;
        }
        return logp;
    }
    vly_u32x4 r = {{0, 0, 0, 0}};
    for (int k = 0; k < d->parts; k++) {
        const vly_real log_std = vly_log_std(d->spread, z[d->parts + k]);
        if (rng && (k & 3) == 0) r = vly_rule_draw(rng, stream, lane, k);
        const vly_real e = rng ? (vly_real)vly_normal_at(vly_rule_unit_of(r, k)) : (vly_real)0;
        const vly_real u = z[k] + vly_exp(log_std) * e;
        ((vly_real *)raw)[k] = u;
        logp += (vly_real)-0.5 * e * e - log_std - VLY_HALF_LOG_2PI;
        if (d->kind == VLY_DIST_SQUASHED) logp -= vly_log_slope(u);
    }
    return logp;
}

typedef struct {
    vly_real logp, entropy;
    int possible; /* 0: a choice is out of range */
} vly_dist_row;

/* The entropy of a squashed distribution is its normal numbers': there is no closed form. */
VLY_HD vly_dist_row vly_rule_dist_logp(const vly_dist *d, const vly_real *z, const void *raw) {
    vly_dist_row row = {0, 0, 1};
    if (d->kind == VLY_DIST_CHOICES) {
        const int32_t *pick = (const int32_t *)raw;
        for (int k = 0; k < d->parts; z += d->choices[k++]) {
            if (pick[k] < 0 || pick[k] >= d->choices[k]) {
                row.possible = 0;
                continue;
            }
            const vly_softmax s = vly_rule_softmax(d->choices[k], z);
            row.logp += (z[pick[k]] - s.max) - s.log_total;
            row.entropy += s.entropy;
        }
        return row;
    }
    for (int k = 0; k < d->parts; k++) {
        const vly_real u = ((const vly_real *)raw)[k],
                       log_std = vly_log_std(d->spread, z[d->parts + k]);
        const vly_real e = (u - z[k]) * vly_exp(-log_std);
        row.logp += (vly_real)-0.5 * e * e - log_std - VLY_HALF_LOG_2PI;
        if (d->kind == VLY_DIST_SQUASHED) row.logp -= vly_log_slope(u);
        row.entropy += (vly_real)0.5 + VLY_HALF_LOG_2PI + log_std;
    }
    return row;
}

/* dz of a loss with d loss / d logp = g and -ce times the entropy in it. z and dz may be one. */
VLY_HD void vly_rule_dist_backward(const vly_dist *d, const vly_real *z, const void *raw,
                                   vly_real g, vly_real ce, vly_real *dz) {
    if (d->kind == VLY_DIST_CHOICES) {
        for (int k = 0; k < d->parts; z += d->choices[k], dz += d->choices[k], k++) {
            const vly_softmax s = vly_rule_softmax(d->choices[k], z);
            const int pick = ((const int32_t *)raw)[k];
            for (int a = 0; a < d->choices[k]; a++) {
                const vly_real lp = (z[a] - s.max) - s.log_total, p = vly_exp(lp);
                dz[a] = g * ((a == pick ? 1 : 0) - p) + ce * p * (lp + s.entropy);
            }
        }
        return;
    }
    for (int k = 0; k < d->parts; k++) {
        const vly_real at = z[d->parts + k], inv = vly_exp(-vly_log_std(d->spread, at));
        const vly_real e = (((const vly_real *)raw)[k] - z[k]) * inv;
        dz[d->parts + k] = vly_log_std_slope(d->spread, at) * (g * (e * e - 1) - ce);
        dz[k] = g * e * inv;
    }
}

/* Part k of an action as the environment takes it. */
VLY_HD vly_real vly_rule_dist_number(const vly_dist *d, vly_real raw, int k) {
    const vly_real x = d->kind == VLY_DIST_SQUASHED ? vly_tanh(raw) : raw;
    if (!d->low) return x;
    if (d->kind == VLY_DIST_NORMAL) return vly_clamp(x, d->low[k], d->high[k]);
    return vly_clamp(d->low[k] + (vly_real)0.5 * (x + 1) * (d->high[k] - d->low[k]), d->low[k],
                     d->high[k]);
}

VLY_HD vly_row_stats vly_rule_dist_loss(const vly_dist_loss_args *a, int i, const vly_real *z,
                                        vly_real *dz, vly_real mean, vly_real inv_std,
                                        vly_real scale) {
    const vly_policy_loss_args *p = &a->p;
    const int64_t r = p->row ? p->row[i] : i;
    const char *raw = (const char *)a->raw +
                      (size_t)r * (size_t)a->dist.parts *
                          (a->dist.kind == VLY_DIST_CHOICES ? sizeof(int32_t) : sizeof(vly_real));
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    vly_dist_row d = {0, 0, 0};
    if (!(p->mask && p->mask[r] == 0)) d = vly_rule_dist_logp(&a->dist, z, raw);
    if (!d.possible) {
        for (int k = 0; k < a->dist.width; k++) dz[k] = 0;
        if (p->dvalue) p->dvalue[i] = 0;
        return s;
    }
    const vly_real g = vly_rule_surrogate(p, r, d.logp, (p->advantage[r] - mean) * inv_std, &s);
    vly_rule_value_gradient(p, i, r, scale, &s);
    vly_rule_dist_backward(&a->dist, z, raw, scale * g, scale * (vly_real)p->hyper->entropy_coef,
                           dz);
    s.count = 1;
    s.entropy = d.entropy;
    s.nonfinite = !vly_finite(s.policy_loss + s.value_loss + d.entropy);
    return s;
}

/* ---- soft actor-critic and TD3 ---- */

VLY_HD vly_real vly_rule_soft_value(const vly_soft_value_args *a, int i) {
    const vly_real alpha = a->log_alpha ? vly_exp(*a->log_alpha) : (vly_real)0;
    const int64_t at = (int64_t)i * a->actions;
    if (!a->logits) {
        const vly_real least = a->q1[at] < a->q2[at] ? a->q1[at] : a->q2[at];
        return a->logp ? least - alpha * a->logp[i] : least;
    }
    const vly_real *z = a->logits + at;
    const vly_softmax s = vly_rule_softmax(a->actions, z);
    vly_real sum = 0;
    for (int k = 0; k < a->actions; k++) {
        const vly_real lp = (z[k] - s.max) - s.log_total, q1 = a->q1[at + k], q2 = a->q2[at + k];
        const vly_real p = vly_exp(lp);
        if (p > 0) sum += p * ((q1 < q2 ? q1 : q2) - alpha * lp);
    }
    return sum;
}

VLY_HD vly_row_stats vly_rule_twin_loss(const vly_twin_loss_args *a, int i, vly_real scale) {
    const int64_t at = (int64_t)i * a->actions;
    const int action = a->action[i];
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (int k = 0; k < a->actions; k++) a->dq1[at + k] = a->dq2[at + k] = 0;
    if (a->td_abs) a->td_abs[i] = 0;
    if (action < 0 || action >= a->actions) return s;
    /* not 0 * value: an unused bootstrap must not spread a NaN */
    const vly_real after = a->discount[i] != 0 ? a->discount[i] * a->value[i] : 0;
    const vly_real y = a->n_return[i] + after, w = a->weight ? a->weight[i] : 1;
    const vly_real e1 = a->q1[at + action] - y, e2 = a->q2[at + action] - y;
    a->dq1[at + action] = scale * w * e1;
    a->dq2[at + action] = scale * w * e2;
    s.count = 1;
    s.value_loss = (vly_real)0.5 * w * (e1 * e1 + e2 * e2);
    s.td_abs = (vly_real)0.5 * ((e1 < 0 ? -e1 : e1) + (e2 < 0 ? -e2 : e2));
    s.q = (vly_real)0.5 * (a->q1[at + action] + a->q2[at + action]);
    s.nonfinite = !vly_finite(s.value_loss);
    if (a->td_abs) a->td_abs[i] = s.td_abs;
    return s;
}

/* Gradient of -min(q1, q2) / n; of -q1 / n where q2 is NULL. */
VLY_HD void vly_rule_ascend(int i, vly_real scale, const vly_real *q1, const vly_real *q2,
                            vly_real *dq1, vly_real *dq2) {
    const int first = !q2 || q1[i] <= q2[i];
    dq1[i] = first ? -scale : 0;
    dq2[i] = first ? 0 : -scale;
}

/* *dlog_alpha: what this row adds to the temperature's gradient. With u = mean + deviation e:
 * d logp / d mean = 2 tanh u, d logp / d log deviation = -1 + 2 tanh(u) deviation e. */
VLY_HD vly_row_stats vly_rule_soft_policy(const vly_soft_policy_args *a, int i, vly_real scale,
                                          vly_real *dlog_alpha) {
    const vly_real alpha = vly_exp(*a->log_alpha),
                   least = a->q1[i] < a->q2[i] ? a->q1[i] : a->q2[i];
    const vly_real *z = a->z + (int64_t)i * 2 * a->parts, *raw = a->raw + (int64_t)i * a->parts;
    const vly_real *da = a->daction + (int64_t)i * a->parts;
    vly_real *dz = a->dz + (int64_t)i * 2 * a->parts;
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (int k = 0; k < a->parts; k++) {
        const vly_real t = vly_tanh(raw[k]);
        const vly_real du = scale * alpha * 2 * t + da[k] * (1 - t * t);
        dz[k] = du;
        dz[a->parts + k] = vly_log_std_slope(a->spread, z[a->parts + k]) *
                           (du * (raw[k] - z[k]) - scale * alpha);
    }
    s.count = 1;
    s.entropy = -a->logp[i];
    s.policy_loss = alpha * a->logp[i] - least;
    s.nonfinite = !vly_finite(s.policy_loss);
    *dlog_alpha = -scale * alpha * (a->logp[i] + (vly_real)a->target_entropy);
    return s;
}

/* The entropy that a row of choices should have. */
VLY_HD vly_real vly_rule_target_entropy(const vly_soft_choice_args *a, const vly_real *z) {
    if (!(a->target_share > 0)) return (vly_real)a->target_entropy;
    int allowed = 0;
    for (int k = 0; k < a->actions; k++) allowed += !(z[k] <= (vly_real)VLY_MASKED);
    return allowed > 0 ? (vly_real)a->target_share * vly_log((vly_real)allowed) : 0;
}

VLY_HD vly_row_stats vly_rule_soft_choice(const vly_soft_choice_args *a, int i, vly_real scale,
                                          vly_real *dlog_alpha) {
    const vly_real alpha = vly_exp(*a->log_alpha);
    const int64_t at = (int64_t)i * a->actions;
    const vly_real *z = a->logits + at;
    const vly_softmax m = vly_rule_softmax(a->actions, z);
    vly_row_stats s = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (int pass = 0; pass < 2; pass++) /* the mean, then each choice against it */
        for (int k = 0; k < a->actions; k++) {
            const vly_real lp = (z[k] - m.max) - m.log_total, q1 = a->q1[at + k],
                           q2 = a->q2[at + k];
            const vly_real p = vly_exp(lp), loss = p > 0 ? alpha * lp - (q1 < q2 ? q1 : q2) : 0;
            if (pass == 0)
                s.policy_loss += p * loss;
            else
                a->dlogits[at + k] = scale * p * (loss - s.policy_loss);
        }
    s.count = 1;
    s.entropy = m.entropy;
    s.nonfinite = !vly_finite(s.policy_loss);
    *dlog_alpha = -scale * alpha * (vly_rule_target_entropy(a, z) - m.entropy);
    return s;
}

/* ---- normalisation ---- */

VLY_HD vly_real vly_rule_normalize(vly_real x, vly_real mean, vly_real scale, vly_real limit) {
    return vly_clamp((x - mean) * scale, -limit, limit);
}

/* sum: of the weights that lead from the input to this number. */
VLY_HD vly_real vly_rule_centred_bias(vly_real bias, vly_real centre, double sum) {
    return (vly_real)((double)bias - (double)centre * sum);
}

/* Of a layer with weights w (rows, k). */
VLY_HD void vly_rule_centre_biases(int rows, int64_t k, vly_real centre, const vly_real *w,
                                   vly_real *bias) {
    for (int o = 0; o < rows; o++) {
        double sum = 0;
        for (int64_t i = 0; i < k; i++) sum += w[o * k + i];
        bias[o] = vly_rule_centred_bias(bias[o], centre, sum);
    }
}

/* One actor's column. */
VLY_HD void vly_rule_discounted(const vly_discounted_args *a, int n) {
    const vly_real gamma = (vly_real)a->hyper->gamma;
    vly_real sum = a->carry[n];
    for (int t = 0; t < a->T; t++) {
        const int64_t i = (int64_t)t * a->N + n;
        const int ignored = a->flags[i] & VLY_ROW_IGNORED;
        sum = ignored ? (vly_real)0 : gamma * sum + a->reward[i];
        a->out[i] = sum;
        a->mask[i] = ignored ? (vly_real)0 : (vly_real)1;
        if (a->flags[i] & VLY_ROW_ENDED) sum = 0;
    }
    a->carry[n] = sum;
}

/* Moments of a batch (count, mean, squares), multiplied by the factor, join those of a column. */
VLY_HD void vly_rule_running(const vly_running_args *a, int column, double count, double mean,
                             double squares) {
    double *at = a->state + column;
    const int w = a->width;
    if (a->factor != 0) {
        const double factor = (double)a->factor;
        mean *= factor, squares *= factor * factor;
    }
    if (count > 0) {
        const double all = at[0] + count, delta = mean - at[w];
        at[2 * w] += squares + delta * delta * (at[0] * count / all);
        at[w] += delta * (count / all);
        at[0] = all;
    }
    if (!(at[0] > 0)) return;
    const double variance = at[2 * w] / at[0];
    if (a->mean) a->mean[column] = (vly_real)at[w];
    a->scale[column] = (vly_real)(1.0 / sqrt(variance + 1e-8));
}
#endif
