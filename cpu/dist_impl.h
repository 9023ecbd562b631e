/* dist_impl.h -- what learner and actors of a distributed run must read alike from a configuration. */
#ifndef VLY_CPU_DIST_IMPL_H
#define VLY_CPU_DIST_IMPL_H
#include "cpu/dist.h"
#include "cpu/dist_ps.h"
#include "cpu/dist_tabular.h"
#include "cpu/dist_wire.h"

/* How many workers the learner starts, and among how many a table is divided. */
int vly_dist_workers(const vly_config *config);
vly_ps_policy vly_dist_policy(const vly_config *config);
vly_tab_scheme vly_dist_tables(const vly_config *config);

#endif
