#include "common/base/rules.h"
#include "cpu/ops/ops.h"

vly_status vly_cpu_fingerprint(vly_queue *q, int64_t n, const vly_real *x, uint64_t *out) {
    uint64_t sum = 0;
    (void)q;
    VLY_NEED("fingerprint", n >= 0 && (x || n == 0) && out);
    for (int64_t i = 0; i < n; i++) sum += vly_rule_fingerprint((float)x[i], (uint64_t)i);
    *out = sum;
    return VLY_OK;
}
