/* exact_body.h -- the code of exact_simd.h; included by exact_*.c, nowhere else. Plain loops for
 * the compiler to vectorise. */
#include <math.h>
#include <string.h>
#include "cpu/ops/bf16.h"
#include "cpu/ops/exact_simd.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static double squares(int64_t n, const float *x) {
    double part[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) part[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < n; i++) part[i % 8] += (double)x[i] * (double)x[i];
    for (int j = 0; j < 8; j++) sum += part[j];
    return sum;
}

/* ---- optimizers: the kind is a constant in each loop ---- */

static inline __attribute__((always_inline)) bool
optimize_all(vly_optimizer o, vly_optimizer_kind kind, vly_step_scalars s, int64_t n,
             const float *restrict grad, float *restrict p, float *restrict m, float *restrict v) {
    int bad = 0;
    o.kind = kind;
    for (int64_t i = 0; i < n; i++) {
        float w = p[i], first = m[i], second = kind == VLY_SGD ? 0 : v[i];
        vly_rule_optimize(&o, s, grad[i], &w, &first, &second);
        p[i] = w, m[i] = first;
        if (kind != VLY_SGD) v[i] = second;
        bad |= !vly_finite(w);
        bad |= !vly_finite(first);
        bad |= !vly_finite(second);
    }
    return !bad;
}

static bool optimize(const vly_optimizer *o, const vly_step_scalars *s, int64_t n,
                     const float *grad, float *p, float *m, float *v) {
    switch (o->kind) {
    case VLY_SGD: return optimize_all(*o, VLY_SGD, *s, n, grad, p, m, v);
    case VLY_ADAM: return optimize_all(*o, VLY_ADAM, *s, n, grad, p, m, v);
    case VLY_RMSPROP: return optimize_all(*o, VLY_RMSPROP, *s, n, grad, p, m, v);
    case VLY_RMSPROP_TF: return optimize_all(*o, VLY_RMSPROP_TF, *s, n, grad, p, m, v);
    case VLY_RMSPROP_CENTERED: return optimize_all(*o, VLY_RMSPROP_CENTERED, *s, n, grad, p, m, v);
    }
    return false;
}

static void polyak(int64_t n, float *restrict target, const float *restrict online, float tau) {
    const float keep = 1 - tau;
    for (int64_t i = 0; i < n; i++) target[i] = keep * target[i] + tau * online[i];
}

/* ---- the policy loss, VLY_LOSS_ROWS rows side by side ---- */

enum { R = VLY_LOSS_ROWS };
typedef struct {
    float v[R];
} lanes;
#define EACH for (int r = 0; r < R; r++)

/* Numbers gathered from the rows of a block. */
typedef struct {
    lanes z[VLY_LOSS_ACTIONS]; /* logits, action-major */
    lanes valid, advantage, logp_old, value, value_old, target;
    int32_t action[R];
} loss_block;

static void load_block(const vly_policy_loss_args *p, int first, int count, loss_block *b) {
    for (int r = 0; r < R; r++) {
        const int i = first + (r < count ? r : count - 1);
        const int64_t at = p->row ? p->row[i] : i;
        const int action = p->action[at], fits = action >= 0 && action < p->actions;
        b->valid.v[r] = r < count && fits && (!p->mask || p->mask[at] != 0) ? 1.0f : 0.0f;
        b->action[r] = fits ? action : 0;
        b->advantage.v[r] = p->advantage[at];
        b->logp_old.v[r] = p->logp_old ? p->logp_old[at] : 0;
        b->value.v[r] = p->value ? p->value[i] : 0;
        b->target.v[r] = p->value ? p->target[at] : 0;
        b->value_old.v[r] = p->value && p->value_old ? p->value_old[at] : 0;
        for (int a = 0; a < p->actions; a++) b->z[a].v[r] = p->logits[(int64_t)i * p->actions + a];
    }
}

/* As vly_rule_value_loss; slope goes to dv. */
static void value_block(const vly_policy_loss_args *p, const loss_block *b, float scale,
                        lanes *loss, lanes *dv) {
    const float c = p->hyper->value_clip, factor = scale * p->hyper->value_coef;
    const bool clipped = c > 0 && p->value_old && !p->plain;
    EACH {
        const float value = b->value.v[r], error = value - b->target.v[r], old = b->value_old.v[r],
                    move = value - old;
        const float kept = move < -c  ? -c
                           : move > c ? c
                                      : move,
                    bounded = old + kept - b->target.v[r];
        const float whole = error * error, other = bounded * bounded;
        const bool take = clipped & (other > whole);
        const float outside = ((move < -c) | (move > c)) ? 0.0f : bounded;
        loss->v[r] = 0.5f * (take ? other : whole);
        dv->v[r] = factor * (take ? outside : error);
    }
}

typedef struct {
    lanes max, log_total, entropy, logp, g, policy, kl, clipped;
} loss_work;

static void softmax_block(const loss_block *b, int A, loss_work *w) {
    lanes total, dot, at;
    EACH w->max.v[r] = b->z[0].v[r], total.v[r] = 0, dot.v[r] = 0, at.v[r] = 0;
    for (int a = 1; a < A; a++)
        EACH w->max.v[r] = b->z[a].v[r] > w->max.v[r] ? b->z[a].v[r] : w->max.v[r];
    for (int a = 0; a < A; a++) EACH {
            const float d = b->z[a].v[r] - w->max.v[r], e = vly_expf(d);
            total.v[r] += e;
            dot.v[r] += e * d;
            at.v[r] = b->action[r] == a ? d : at.v[r];
        }
    EACH {
        const float log_total = vly_logf(total.v[r]), inv_total = 1 / total.v[r];
        w->log_total.v[r] = log_total;
        w->entropy.v[r] = log_total - dot.v[r] * inv_total;
        w->logp.v[r] = at.v[r] - log_total;
    }
}

static void ratio_block(const vly_policy_loss_args *p, const loss_block *b, float mean,
                        float inv_std, loss_work *w) {
    const float lo = 1 - p->hyper->clip, hi = 1 + p->hyper->clip;
    const bool plain = p->plain, old = p->logp_old != NULL;
    EACH {
        const float advantage = (b->advantage.v[r] - mean) * inv_std, logp = w->logp.v[r];
        const float log_ratio = logp - b->logp_old.v[r], ratio = vly_expf(log_ratio);
        const float bounded = ratio < lo   ? lo
                              : ratio > hi ? hi
                                           : ratio,
                    x = ratio * advantage, y = bounded * advantage;
        const float policy = -(x < y ? ratio : bounded) * advantage,
                    g = x <= y ? -advantage * ratio : 0.0f;
        w->kl.v[r] = old ? (ratio - 1) - log_ratio : 0.0f;
        w->clipped.v[r] = (plain == 0) & ((ratio < lo) | (ratio > hi)) ? 1.0f : 0.0f;
        w->policy.v[r] = plain ? -logp * advantage : policy;
        w->g.v[r] = plain ? -advantage : g;
    }
}

static void store_block(const vly_policy_loss_args *p, int first, int count, const loss_block *b,
                        const loss_work *w, float scale) {
    const float ce = p->hyper->entropy_coef;
    lanes dz[VLY_LOSS_ACTIONS];
    for (int a = 0; a < p->actions; a++) EACH {
            const float lp = (b->z[a].v[r] - w->max.v[r]) - w->log_total.v[r], q = vly_expf(lp),
                        one = b->action[r] == a ? 1.0f : 0.0f;
            const float d = scale * (w->g.v[r] * (one - q) + ce * q * (lp + w->entropy.v[r]));
            dz[a].v[r] = b->valid.v[r] != 0 ? d : 0.0f;
        }
    for (int r = 0; r < count; r++)
        for (int a = 0; a < p->actions; a++)
            p->dlogits[(int64_t)(first + r) * p->actions + a] = dz[a].v[r];
}

static void policy_loss_block(const vly_policy_loss_args *p, int first, int count, float mean,
                              float inv_std, float scale, vly_row_stats *sum) {
    loss_block b;
    loss_work w;
    lanes value = {{0}}, dv = {{0}};
    load_block(p, first, count, &b);
    softmax_block(&b, p->actions, &w);
    ratio_block(p, &b, mean, inv_std, &w);
    if (p->value) value_block(p, &b, scale, &value, &dv);
    store_block(p, first, count, &b, &w, scale);
    for (int r = 0; r < count; r++) {
        const bool valid = b.valid.v[r] != 0;
        if (p->dvalue) p->dvalue[first + r] = valid ? dv.v[r] : 0.0f;
        if (!valid) continue;
        sum->count += 1;
        sum->policy_loss += w.policy.v[r], sum->value_loss += value.v[r],
            sum->entropy += w.entropy.v[r];
        sum->kl += w.kl.v[r], sum->clipped += w.clipped.v[r];
        sum->nonfinite += !vly_finite(w.policy.v[r] + value.v[r] + w.entropy.v[r]);
    }
}

/* ---- scans: VLY_SCAN_COLUMNS environments side by side ---- */

enum { C = VLY_SCAN_COLUMNS };
typedef struct {
    float advantage[C], target[C], mask[C];
} scan_rows; /* copies, so that the compiler knows that they do not overlap what is read */

static void store_scan(const scan_rows *rows, float *advantage, float *target, float *mask) {
    memcpy(advantage, rows->advantage, sizeof rows->advantage);
    memcpy(target, rows->target, sizeof rows->target);
    memcpy(mask, rows->mask, sizeof rows->mask);
}

static void gae(const vly_gae_args *a, int first) {
    const vly_hyper h = *a->hyper;
    float next[C] = {0};
    scan_rows out;
    for (int t = a->T - 1; t >= 0; t--) {
        const int64_t at = (int64_t)t * a->N + first;
        const uint8_t *flags = a->flags + at;
        const float *reward = a->reward + at, *value = a->value + at, *after = value + a->N;
        for (int i = 0; i < C; i++) {
            const vly_scan_row row = vly_rule_gae_row(&h, flags[i], reward[i], value[i], after[i],
                                                      &next[i]);
            out.advantage[i] = row.advantage, out.target[i] = row.target, out.mask[i] = row.mask;
        }
        store_scan(&out, a->advantage + at, a->target + at, a->mask + at);
    }
}

static void vtrace(const vly_vtrace_args *a, int first, float *sums) {
    const vly_hyper h = *a->hyper;
    float next[C] = {0}, ratios[C] = {0};
    scan_rows out;
    for (int t = a->T - 1; t >= 0; t--) {
        const int64_t at = (int64_t)t * a->N + first;
        const uint8_t *flags = a->flags + at;
        const float *reward = a->reward + at, *value = a->value + at, *after = value + a->N,
                    *now = a->logp_target + at, *then = a->logp_behaviour + at;
        for (int i = 0; i < C; i++) {
            const vly_scan_row row = vly_rule_vtrace_row(
                &h, flags[i], reward[i], value[i], after[i], now[i], then[i], &next[i], &ratios[i]);
            out.advantage[i] = row.advantage, out.target[i] = row.target, out.mask[i] = row.mask;
        }
        store_scan(&out, a->advantage + at, a->target + at, a->mask + at);
    }
    memcpy(sums, ratios, sizeof ratios);
}

/* ---- LSTM, a row: U side by side, in copies that cannot overlap ---- */

enum { U = 64 };
typedef struct {
    float in[U], forget[U], cell[U], out[U], c[U], h[U];
} lstm_units;

static void lstm_units_load(lstm_units *u, int n, int H, const float *g, const float *c) {
    float *to[] = {u->in, u->forget, u->cell, u->out};
    for (int k = 0; k < 4; k++) memcpy(to[k], g + (int64_t)k * H, (size_t)n * sizeof *g);
    if (c)
        memcpy(u->c, c, (size_t)n * sizeof *c);
    else
        memset(u->c, 0, sizeof u->c);
}

static void lstm_units_store(const lstm_units *u, int n, int H, float *g) {
    const float *from[] = {u->in, u->forget, u->cell, u->out};
    for (int k = 0; k < 4; k++) memcpy(g + (int64_t)k * H, from[k], (size_t)n * sizeof *g);
}

/* vly_rule_lstm, one function at a time: the compiler vectorises no loop with all of them. */
static void lstm_activate(lstm_units *u) {
    for (int i = 0; i < U; i++) u->in[i] = vly_sigmoid(u->in[i]);
    for (int i = 0; i < U; i++) u->forget[i] = vly_sigmoid(u->forget[i]);
    for (int i = 0; i < U; i++) u->out[i] = vly_sigmoid(u->out[i]);
    for (int i = 0; i < U; i++) u->cell[i] = vly_tanh(u->cell[i]);
    for (int i = 0; i < U; i++) u->c[i] = u->forget[i] * u->c[i] + u->in[i] * u->cell[i];
    for (int i = 0; i < U; i++) u->h[i] = u->out[i] * vly_tanh(u->c[i]);
}

static void lstm(int H, float *g, const float *c0, float *c1, float *h1) {
    lstm_units u = {.in = {0}};
    for (int j = 0; j < H; j += U) {
        const int n = H - j < U ? H - j : U;
        lstm_units_load(&u, n, H, g + j, c0 ? c0 + j : NULL);
        lstm_activate(&u);
        lstm_units_store(&u, n, H, g + j);
        memcpy(c1 + j, u.c, (size_t)n * sizeof *c1);
        memcpy(h1 + j, u.h, (size_t)n * sizeof *h1);
    }
}

static void lstm_backward(int H, const float *g, const float *c0, const float *c1, const float *dh,
                          float *dg, float *dc) {
    lstm_units u = {.in = {0}}, d = {.in = {0}};
    float after[U] = {0};
    for (int j = 0; j < H; j += U) {
        const int n = H - j < U ? H - j : U;
        lstm_units_load(&u, n, H, g + j, c0 ? c0 + j : NULL);
        memcpy(after, c1 + j, (size_t)n * sizeof *c1);
        memcpy(d.h, dh + j, (size_t)n * sizeof *dh);
        memcpy(d.c, dc + j, (size_t)n * sizeof *dc);
        for (int i = 0; i < U; i++)
            vly_rule_lstm_backward(u.in[i], u.forget[i], u.cell[i], u.out[i], u.c[i], after[i],
                                   d.h[i], &d.in[i], &d.forget[i], &d.cell[i], &d.out[i], &d.c[i]);
        lstm_units_store(&d, n, H, dg + j);
        if (c0)
            memcpy(dc + j, d.c, (size_t)n * sizeof *dc);
        else
            memset(dc + j, 0, (size_t)n * sizeof *dc);
    }
}

/* ---- element-wise ---- */

static void to_bf16(int64_t n, const float *restrict x, uint16_t *restrict y) {
    for (int64_t i = 0; i < n; i++) y[i] = vly_bf16_from_f32(x[i]);
}

static void from_bf16(int64_t n, const uint16_t *restrict x, float *restrict y) {
    for (int64_t i = 0; i < n; i++) y[i] = vly_bf16_to_f32(x[i]);
}

static void relu16(int64_t n, const uint16_t *x, uint16_t *y) {
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] & 0x8000) && (x[i] & 0x7fff) <= 0x7f80 ? 0 : x[i];
}

static void relu16_backward(int64_t n, const uint16_t *y, const uint16_t *dy, uint16_t *dx,
                            bool accumulate) {
    if (!accumulate) {
        for (int64_t i = 0; i < n; i++) dx[i] = vly_bf16_to_f32(y[i]) > 0 ? dy[i] : 0;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const float g = vly_bf16_to_f32(y[i]) > 0 ? vly_bf16_to_f32(dy[i]) : 0;
        dx[i] = vly_bf16_from_f32(vly_bf16_to_f32(dx[i]) + g);
    }
}

static void add16(int64_t n, const uint16_t *x, uint16_t *y) {
    for (int64_t i = 0; i < n; i++)
        y[i] = vly_bf16_from_f32(vly_bf16_to_f32(y[i]) + vly_bf16_to_f32(x[i]));
}

static void relu(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] <= 0 ? 0 : x[i]; /* a NaN is not hidden */
}

static void relu_backward(int64_t n, const float *y, const float *dy, float *dx, bool accumulate) {
    if (accumulate)
        for (int64_t i = 0; i < n; i++) dx[i] = dx[i] + (y[i] > 0 ? dy[i] : 0);
    else
        for (int64_t i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : 0;
}

static void add_f32(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void max(int64_t n, const float *restrict x, float *restrict best) {
    for (int64_t i = 0; i < n; i++) best[i] = x[i] > best[i] ? x[i] : best[i];
}

static void max16(int64_t n, const uint16_t *restrict x, uint16_t *restrict best) {
    for (int64_t i = 0; i < n; i++)
        best[i] = vly_bf16_to_f32(x[i]) > vly_bf16_to_f32(best[i]) ? x[i] : best[i];
}

/* ---- the gradient of max-pooling ---- */

enum { P = 16 }; /* channels side by side */
typedef struct {
    float best[P];
    int32_t tap[P];
} pool_winner;

typedef float pool_vec __attribute__((vector_size(4 * P), aligned(4), may_alias));
typedef int32_t pool_mask __attribute__((vector_size(4 * P)));

#define CHOOSE(m, yes, no) \
    ((pool_vec)(((pool_mask)(yes) & (m)) | ((pool_mask)(no) & ~(m)))) /* no function: vectors    \
                                                                         wider than the target's \
                                                                       */

static void pool_backward(const vly_pool_window *w, int n, const float *x, const float *dy,
                          float *dx) {
    for (; n >= P; n -= P, x += P, dy += P, dx += P) {
        pool_vec best = *(const pool_vec *)x;
        pool_mask winner = {0};
        for (int y = 0, tap = 0; y < w->rows; y++)
            for (int k = 0; k < w->cols; k++, tap++) {
                const pool_vec v = *(const pool_vec *)(x + y * w->row + k * w->col);
                const pool_mask larger = v > best;
                best = CHOOSE(larger, v, best);
                winner = (larger & tap) | (winner & ~larger);
            }
        for (int y = 0, tap = 0; y < w->rows; y++)
            for (int k = 0; k < w->cols; k++, tap++) {
                pool_vec *to = (pool_vec *)(dx + y * w->row + k * w->col);
                *to = CHOOSE(winner == tap, *to + *(const pool_vec *)dy, *to);
            }
    }
    for (int i = 0; i < n; i++) { /* fewer than P */
        int64_t at = i;
        for (int tap = 1; tap < w->rows * w->cols; tap++) {
            const int64_t here = i + tap / w->cols * w->row + tap % w->cols * w->col;
            if (x[here] > x[at]) at = here;
        }
        dx[at] += dy[i];
    }
}

/* Of P channels: which tap of the window is the largest, the first of equals. */
static inline void winner16(const vly_pool_window *w, const uint16_t *x, pool_winner *to) {
    from_bf16(P, x, to->best);
    memset(to->tap, 0, sizeof to->tap);
    for (int y = 0, tap = 0; y < w->rows; y++)
        for (int k = 0; k < w->cols; k++, tap++) {
            const uint16_t *in = x + y * w->row + k * w->col;
            for (int i = 0; i < P; i++) {
                const float v = vly_bf16_to_f32(in[i]);
                const bool larger = v > to->best[i];
                to->best[i] = larger ? v : to->best[i];
                to->tap[i] = larger ? tap : to->tap[i];
            }
        }
}

static uint16_t bf16_sum(uint16_t a, uint16_t b) {
    return vly_bf16_from_f32(vly_bf16_to_f32(a) + vly_bf16_to_f32(b));
}

static void pool_backward16(const vly_pool_window *w, int n, const uint16_t *x, const uint16_t *dy,
                            uint16_t *dx) {
    pool_winner found;
    for (; n >= P; n -= P, x += P, dy += P, dx += P) {
        winner16(w, x, &found);
        for (int tap = 0; tap < w->rows * w->cols; tap++) {
            uint16_t *to = dx + tap / w->cols * w->row + tap % w->cols * w->col, sum[P];
            for (int i = 0; i < P; i++)
                sum[i] = found.tap[i] == tap ? bf16_sum(to[i], dy[i]) : to[i];
            memcpy(to, sum, sizeof sum);
        }
    }
    for (int i = 0; i < n; i++) {
        int64_t at = i;
        for (int tap = 1; tap < w->rows * w->cols; tap++) {
            const int64_t here = i + tap / w->cols * w->row + tap % w->cols * w->col;
            if (vly_bf16_to_f32(x[here]) > vly_bf16_to_f32(x[at])) at = here;
        }
        dx[at] = bf16_sum(dx[at], dy[i]);
    }
}

static void interleave4(int64_t n, const uint8_t *x0, const uint8_t *x1, const uint8_t *x2,
                        const uint8_t *x3, uint8_t *y) {
    int64_t i = 0;
#if defined(__SSE2__) /* sixteen pixels are four 16-byte stores */
    for (; i + 16 <= n; i += 16) {
        const __m128i a = _mm_loadu_si128((const __m128i *)(x0 + i)),
                      b = _mm_loadu_si128((const __m128i *)(x1 + i));
        const __m128i c = _mm_loadu_si128((const __m128i *)(x2 + i)),
                      d = _mm_loadu_si128((const __m128i *)(x3 + i));
        const __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d),
                      AB = _mm_unpackhi_epi8(a, b), CD = _mm_unpackhi_epi8(c, d);
        __m128i *to = (__m128i *)(y + 4 * i);
        _mm_storeu_si128(to, _mm_unpacklo_epi16(ab, cd));
        _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(ab, cd));
        _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(AB, CD));
        _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(AB, CD));
    }
#endif
    for (; i < n; i++)
        y[4 * i] = x0[i], y[4 * i + 1] = x1[i], y[4 * i + 2] = x2[i], y[4 * i + 3] = x3[i];
}

const vly_exact VLY_EXACT = {squares,    optimize,  polyak,        policy_loss_block,
                             gae,        vtrace,    lstm,          lstm_backward,
                             to_bf16,    from_bf16, relu16,        relu16_backward,
                             add16,      relu,      relu_backward, add_f32,
                             max,        max16,     pool_backward, pool_backward16,
                             interleave4};
