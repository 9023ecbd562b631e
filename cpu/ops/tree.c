/* tree.c -- prioritized replay: an exact sum tree of radix 16 (one node's children are two cache
 * lines). */
#include "common/base/rules.h"
#include "cpu/ops/ops.h"

static bool tree_ok(const vly_tree *t) {
    if (!t || t->capacity < 1 || t->levels < 1 || t->levels > VLY_TREE_LEVELS_MAX || !t->total)
        return false;
    for (int l = 0; l < t->levels; l++)
        if (!t->sum[l]) return false;
    return t->width[0] >= t->capacity && t->width[t->levels - 1] == VLY_TREE_RADIX;
}

static void set_leaf(const vly_tree *t, int64_t row, uint64_t value) {
    const uint64_t change = value - t->sum[0][row]; /* modulo 2^64: exact downwards too */
    if (change == 0) return;
    for (int l = 0; l < t->levels; l++, row /= VLY_TREE_RADIX) t->sum[l][row] += change;
    t->total[0] += change;
}

vly_status vly_cpu_tree_set(vly_queue *q, const vly_tree *t, int n, const int32_t *row,
                            const vly_real *priority, const vly_hyper *hyper, bool raw) {
    (void)q;
    VLY_NEED("tree_set", tree_ok(t) && n >= 0 && row && priority && (hyper || raw));
    for (int i = 0; i < n; i++) {
        if (row[i] < 0 || row[i] >= t->capacity) continue;
        if (t->sum[0][row[i]] == 0) continue; /* removed since it was sampled */
        const uint64_t value = vly_rule_priority(priority[i], hyper, raw);
        set_leaf(t, row[i], value);
        if (value > t->total[1]) t->total[1] = value;
    }
    return VLY_OK;
}

vly_status vly_cpu_tree_insert(vly_queue *q, const vly_tree *t, int64_t first, int n,
                               const uint8_t *flags) {
    (void)q;
    VLY_NEED("tree_insert", tree_ok(t) && n >= 0);
    const uint64_t one = (uint64_t)VLY_PRIORITY_ONE, fresh = t->total[1] > one ? t->total[1] : one;
    if (flags) t->total[1] = fresh;
    for (int i = 0; i < n; i++) {
        if (first + i < 0 || first + i >= t->capacity) continue;
        set_leaf(t, first + i, flags && !(flags[i] & VLY_ROW_IGNORED) ? fresh : 0);
    }
    return VLY_OK;
}

static void divide_by_largest(int n, vly_real *weight) {
    vly_real largest = 0;
    for (int i = 0; i < n; i++) largest = weight[i] > largest ? weight[i] : largest;
    const vly_real scale = largest > 0 ? 1 / largest : 0;
    for (int i = 0; i < n; i++) weight[i] *= scale;
}

enum { SIDE_BY_SIDE = 32 }; /* descents interleaved, so that their cache misses overlap */

/* Samples i .. i + m - 1, level by level, so that one descent proceeds while another waits for
 * memory. */
static void descend(const vly_tree *t, int n, int i, int m, const vly_rng *rng, uint64_t total,
                    int32_t *row) {
    uint64_t position[SIDE_BY_SIDE];
    int64_t node[SIDE_BY_SIDE] = {0};
    for (int k = 0; k < m; k++) position[k] = vly_rule_stratum(rng, i + k, n, total);
    for (int level = t->levels - 1; level >= 0; level--)
        for (int k = 0; k < m; k++) {
            node[k] = node[k] * VLY_TREE_RADIX +
                      vly_rule_child(t->sum[level] + node[k] * VLY_TREE_RADIX, &position[k]);
            if (level == 0) continue;
            const uint64_t *next = t->sum[level - 1] + node[k] * VLY_TREE_RADIX;
            __builtin_prefetch(next);
            __builtin_prefetch(next + 8);
        }
    for (int k = 0; k < m; k++)
        row[i + k] = (int32_t)(node[k] < t->capacity ? node[k] : t->capacity - 1);
}

vly_status vly_cpu_tree_sample(vly_queue *q, const vly_tree *t, int n, const vly_rng *rng,
                               const vly_hyper *hyper, int32_t *row, vly_real *weight) {
    (void)q;
    VLY_NEED("tree_sample", tree_ok(t) && n >= 0 && rng && row && (hyper || !weight));
    const uint64_t total = t->total[0];
    for (int i = 0; i < n && total; i += SIDE_BY_SIDE)
        descend(t, n, i, n - i < SIDE_BY_SIDE ? n - i : SIDE_BY_SIDE, rng, total, row);
    for (int i = 0; i < n && !total; i++) row[i] = -1;
    if (!weight) return VLY_OK;
    for (int i = 0; i < n; i++)
        weight[i] = row[i] < 0 ? 0
                               : vly_rule_weight(t->sum[0][row[i]], total, (vly_real)hyper->beta);
    divide_by_largest(n, weight);
    return VLY_OK;
}
