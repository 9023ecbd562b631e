#include "cpu/fleet/scheme.h"
#include "common/learn/dqn.h"

/* --workers alone are threads, and change no bit; a scheme by name makes them processes. */
vly_dist_kind vly_dist_kind_of(const vly_config *k) {
    const vly_algo_traits algo = vly_algo_traits_of(k);
    if (k->run.sync) return VLY_DIST_RANKS;
    if (algo.tabular) {
        const bool asked = k->run.store[0] || k->run.sharding || k->run.merge || k->dist.tables;
        return asked ? VLY_DIST_TABULAR : VLY_DIST_NONE;
    }
    if (algo.unrolls && !k->dist.update)
        return k->run.store[0] || k->run.role || k->dist.processes ? VLY_DIST_UNROLLS
                                                                   : VLY_DIST_NONE;
    if (vly_dqn_in_store(k)) return VLY_DIST_APEX;
    return algo.server || k->dist.update ? VLY_DIST_PS : VLY_DIST_NONE;
}
