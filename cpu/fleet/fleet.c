#include "cpu/fleet/fleet.h"
#include <stdlib.h>
#include <string.h>
#include "cpu/fleet/leader.h"
#include "cpu/fleet/scheme.h"
#include "cpu/fleet/gpus.h"
#include "cpu/fleet/ranks.h"

struct vly_fleet {
    vly_gpus *gpus;
    vly_ranks *ranks;
    vly_leader *leader;
};

/* What names a part of a fleet does nothing in a run of one process. */
static vly_status refuse_unused(const vly_config *k) {
    const char *option = k->run.store[0]                            ? "--store"
                         : k->run.role == VLY_RUN_ROLE_LEARNER      ? "--role learner"
                         : k->run.sharding != VLY_RUN_SHARDING_NONE ? "--sharding"
                         : k->run.merge != VLY_RUN_MERGE_NONE       ? "--merge"
                         : k->dist.processes                        ? "--dist.processes"
                         : k->dist.update != VLY_DIST_UPDATE_AUTO   ? "--dist.update"
                         : k->dist.tables != VLY_DIST_TABLES_AUTO   ? "--dist.tables"
                                                                    : NULL;
    if (!option) return VLY_OK;
    return vly_fail(
        VLY_EINVAL,
        "%s: %s with these options trains in one process. --dist.update makes workers of "
        "any network, --sharding and --merge of tables; impala takes --dist.processes, "
        "apex --apex.replay store",
        option, k->run.algo);
}

static vly_status connect_fleet(vly_fleet *f, const vly_config *config, vly_compute *compute,
                                const char *folder, void (*say)(void *arg, const char *text),
                                void *arg) {
    const vly_fleet_scheme kind = vly_fleet_scheme_of(config);
    if (vly_gpus_wanted(config, compute)) {
        if (kind != VLY_FLEET_ALONE && kind != VLY_FLEET_RANKS)
            return vly_fail(VLY_EINVAL,
                            "--device %s: several GPUs train one network in step, %s works through "
                            "a store: give one GPU, or an algorithm and options without a store",
                            config->run.device, config->run.algo);
        return vly_gpus_open(&f->gpus, config, compute);
    }
    if (kind == VLY_FLEET_RANKS)
        return vly_ranks_open(&f->ranks, config->run.sync == VLY_RUN_SYNC_GOSSIP
                                             ? VLY_RANKS_GOSSIP
                                             : VLY_RANKS_ALLREDUCE);
    if (vly_ranks_launched() && getenv("OMPI_COMM_WORLD_SIZE") &&
        strcmp(getenv("OMPI_COMM_WORLD_SIZE"), "1") != 0)
        return vly_fail(VLY_EINVAL, "started by mpirun with several ranks, but nothing says how "
                                    "they work together: give --sync allreduce or --sync gossip");
    if (kind == VLY_FLEET_ALONE) return refuse_unused(config);
#ifdef VLY_HAVE_REDIS
    return vly_leader_create(&f->leader, config, folder, say, arg);
#else
    (void)folder, (void)say, (void)arg;
    return vly_fail(VLY_EUNSUPPORTED,
                    "%s over workers needs Redis, and this build has no client for it: apt-get "
                    "install libhiredis-dev liblz4-dev redis-server, then build again",
                    config->run.algo);
#endif
}

vly_status vly_fleet_open(vly_fleet **out, const vly_config *config, vly_compute *compute,
                          const char *folder, void (*say)(void *arg, const char *text), void *arg) {
    vly_fleet *f = calloc(1, sizeof *f);
    if (!f) return vly_fail(VLY_ENOMEM, "fleet: out of memory");
    const vly_status status = connect_fleet(f, config, compute, folder, say, arg);
    if (status != VLY_OK) {
        free(f);
        return status;
    }
    *out = f;
    return VLY_OK;
}

void vly_fleet_join(vly_fleet *f, vly_train_options *options) {
    if (f->gpus) options->sync = vly_gpus_sync(f->gpus);
    if (f->ranks) options->sync = vly_ranks_sync(f->ranks);
#ifdef VLY_HAVE_REDIS
    if (f->leader) options->lead = vly_leader_lead, options->lead_arg = f->leader;
#endif
}

int vly_fleet_rank(const vly_fleet *f) {
    if (f && f->gpus) return vly_gpus_sync(f->gpus)->rank;
    return f && f->ranks ? vly_ranks_sync(f->ranks)->rank : 0;
}

void vly_fleet_close(vly_fleet *f, bool failed) {
    if (!f) return;
#ifdef VLY_HAVE_REDIS
    vly_leader_destroy(f->leader);
#endif
    vly_ranks_close(f->ranks, failed);
    vly_gpus_close(f->gpus, failed);
    free(f);
}
