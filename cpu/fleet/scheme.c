#include "cpu/fleet/scheme.h"
#include "common/learn/dqn.h"

/* --workers alone are threads, and change no bit; a scheme by name makes them processes. */
vly_dist_kind vly_dist_kind_of(const vly_config *k) {
    const vly_algo_traits algo = vly_algo_traits_of(k);
    if (k->run.sync != VLY_RUN_SYNC_NONE) return VLY_DIST_RANKS;
    if (algo.tabular) {
        const bool asked = k->run.store[0] || k->run.sharding != VLY_RUN_SHARDING_NONE ||
                           k->run.merge != VLY_RUN_MERGE_NONE ||
                           k->dist.tables != VLY_DIST_TABLES_AUTO;
        return asked ? VLY_DIST_TABULAR : VLY_DIST_NONE;
    }
    const bool update = k->dist.update != VLY_DIST_UPDATE_AUTO;
    if (algo.unrolls && !update) {
        const bool asked = k->run.store[0] || k->run.role == VLY_RUN_ROLE_LEARNER ||
                           k->dist.processes;
        return asked ? VLY_DIST_UNROLLS : VLY_DIST_NONE;
    }
    if (vly_dqn_in_store(k)) return VLY_DIST_APEX;
    return algo.server || update ? VLY_DIST_PS : VLY_DIST_NONE;
}
