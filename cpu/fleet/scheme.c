#include <string.h>
#include "common/learn/dqn.h"
#include "cpu/fleet/scheme.h"

/* --workers alone are threads, and change no bit; a scheme by name makes them processes. */
static bool is_tabular(const vly_config *k) {
    return strcmp(k->run.algo, "qlearning") == 0 || strcmp(k->run.algo, "sarsa") == 0;
}

vly_dist_kind vly_dist_kind_of(const vly_config *k) {
    if (k->run.sync) return VLY_DIST_RANKS;
    if (is_tabular(k)) {
        const bool asked = k->run.store[0] || k->run.sharding || k->run.merge || k->dist.tables;
        return asked ? VLY_DIST_TABULAR : VLY_DIST_NONE;
    }
    if (strcmp(k->run.algo, "impala") == 0 && !k->dist.update)
        return k->run.store[0] || k->run.role || k->dist.processes ? VLY_DIST_UNROLLS
                                                                   : VLY_DIST_NONE;
    if (vly_dqn_in_store(k)) return VLY_DIST_APEX;
    const bool server = strcmp(k->run.algo, "a3c") == 0 || strcmp(k->run.algo, "gorila") == 0 ||
                        k->dist.update;
    return server ? VLY_DIST_PS : VLY_DIST_NONE;
}
