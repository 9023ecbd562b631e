#include "cpu/fleet/scheme.h"
#include "common/learn/dqn.h"

/* --workers alone sets the number of threads and changes no result. Only options that name a
 * scheme make workers processes. */
vly_fleet_scheme vly_fleet_scheme_of(const vly_config *k) {
    const vly_algo_traits algo = vly_algo_traits_of(k);
    if (k->run.sync != VLY_RUN_SYNC_NONE) return VLY_FLEET_RANKS;
    if (algo.tabular) {
        const bool asked = k->run.store[0] || k->run.sharding != VLY_RUN_SHARDING_NONE ||
                           k->run.merge != VLY_RUN_MERGE_NONE ||
                           k->dist.tables != VLY_DIST_TABLES_AUTO;
        return asked ? VLY_FLEET_TABLES : VLY_FLEET_ALONE;
    }
    const bool update = k->dist.update != VLY_DIST_UPDATE_AUTO;
    if (algo.unrolls && !update) {
        const bool asked = k->run.store[0] || k->run.role == VLY_RUN_ROLE_LEARNER ||
                           k->dist.processes;
        return asked ? VLY_FLEET_UNROLLS : VLY_FLEET_ALONE;
    }
    if (vly_dqn_in_store(k)) return VLY_FLEET_EXPERIENCE;
    return algo.server || update ? VLY_FLEET_GRADIENTS : VLY_FLEET_ALONE;
}
