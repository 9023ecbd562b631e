/* tree.c -- prioritized replay: an exact sum tree of radix 16 (one node's children are two cache lines). */
#include "common/rules.h"
#include "cpu/ops.h"

static bool tree_ok(const vly_tree *t) {
    if (!t || t->capacity < 1 || t->levels < 1 || t->levels > VLY_TREE_LEVELS_MAX || !t->total) return false;
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

vly_status vly_cpu_tree_set(vly_queue *q, const vly_tree *t, int n, const int32_t *row, const vly_real *priority,
                            const vly_hyper *hyper, bool raw) {
    (void)q;
    VLY_NEED("tree_set", tree_ok(t) && n >= 0 && row && priority && (hyper || raw));
    for (int i = 0; i < n; i++) {
        if (row[i] < 0 || row[i] >= t->capacity) continue;
        const uint64_t value = vly_rule_priority(priority[i], hyper, raw);
        set_leaf(t, row[i], value);
        if (value > t->total[1]) t->total[1] = value;
    }
    return VLY_OK;
}

vly_status vly_cpu_tree_insert(vly_queue *q, const vly_tree *t, int64_t first, int n, bool valid) {
    (void)q;
    VLY_NEED("tree_insert", tree_ok(t) && n >= 0);
    const uint64_t one = (uint64_t)VLY_PRIORITY_ONE, value = !valid ? 0 : t->total[1] > one ? t->total[1] : one;
    const int64_t from = first < 0 ? 0 : first, to = first + n < t->capacity ? first + n : t->capacity;
    for (int64_t r = from; r < to; r++) set_leaf(t, r, value);
    if (from < to && value > t->total[1]) t->total[1] = value;
    return VLY_OK;
}

vly_status vly_cpu_uniform_sample(vly_queue *q, int n, const vly_rng *rng, int64_t used, int32_t *row) {
    (void)q;
    VLY_NEED("uniform_sample", n >= 0 && rng && used >= 1 && used <= INT32_MAX && row);
    for (int i = 0; i < n; i++) row[i] = vly_rule_uniform(rng, i, used);
    return VLY_OK;
}

static void divide_by_largest(int n, vly_real *weight) {
    vly_real largest = 0;
    for (int i = 0; i < n; i++) largest = weight[i] > largest ? weight[i] : largest;
    const vly_real scale = largest > 0 ? 1 / largest : 0;
    for (int i = 0; i < n; i++) weight[i] *= scale;
}

vly_status vly_cpu_tree_sample(vly_queue *q, const vly_tree *t, int n, const vly_rng *rng, int64_t used,
                               const vly_hyper *hyper, int32_t *row, vly_real *weight) {
    VLY_NEED("tree_sample", tree_ok(t) && n >= 0 && rng && used >= 1 && used <= t->capacity && row);
    VLY_NEED("tree_sample", hyper || !weight);
    const uint64_t total = t->total[0];
    if (total == 0) {
        for (int i = 0; weight && i < n; i++) weight[i] = 1;
        return vly_cpu_uniform_sample(q, n, rng, used, row);
    }
    for (int i = 0; i < n; i++) row[i] = (int32_t)vly_rule_descend(t, vly_rule_stratum(rng, i, n, total));
    if (!weight) return VLY_OK;
    for (int i = 0; i < n; i++) weight[i] = vly_rule_weight(t->sum[0][row[i]], total, used, (vly_real)hyper->beta);
    divide_by_largest(n, weight);
    return VLY_OK;
}
