#include "common/learn/algo.h"
#include <string.h>
#include "common/learn/dqn.h"
#include "common/learn/impala.h"
#include "common/learn/onpolicy.h"
#include "common/learn/tabular.h"

static const vly_algo_entry entries[] = {
    {"ppo", "proximal policy optimisation: clipped updates over several passes", "ppo",
     VLY_SCHEDULE_SYNC, vly_ppo_create},
    {"a2c", "advantage actor-critic, synchronous: one update per rollout", "a2c", VLY_SCHEDULE_SYNC,
     vly_a2c_create},
    {"impala", "asynchronous actor-critic corrected by V-trace", "impala", VLY_SCHEDULE_ASYNC,
     vly_impala_create},
    {"dqn", "deep Q-learning: double, dueling, n-step and prioritized replay as switches", "dqn",
     VLY_SCHEDULE_SYNC, vly_dqn_create},
    {"a3c",
     "asynchronous advantage actor-critic (Mnih et al. 2016): workers push gradients to a "
     "parameter server",
     "a2c", VLY_SCHEDULE_SYNC, vly_a2c_create},
    {"gorila", "DQN with local replay and a parameter server (Nair et al. 2015)", "dqn",
     VLY_SCHEDULE_SYNC, vly_dqn_create},
    {"apex",
     "DQN with many actors and prioritized replay, in memory or in Redis (Horgan et al. 2018)",
     "apex", VLY_SCHEDULE_SYNC, vly_dqn_create},
    {"qlearning",
     "Q-learning on a table (Watkins 1989); distributed by merging, sharding or sharing", "tabular",
     VLY_SCHEDULE_SYNC, vly_tabular_create_qlearning},
    {"sarsa", "SARSA on a table (Rummery & Niranjan 1994)", "tabular", VLY_SCHEDULE_SYNC,
     vly_tabular_create_sarsa},
    {NULL, NULL, NULL, VLY_SCHEDULE_SYNC, NULL},
};
enum { ENTRIES = sizeof entries / sizeof entries[0] - 1 };

const vly_algo_entry *vly_algo_list(int i) {
    return i >= 0 && i < ENTRIES ? &entries[i] : NULL;
}

const vly_algo_entry *vly_algo_find(const char *name) {
    const vly_algo_entry *entry;
    for (int i = 0; (entry = vly_algo_list(i)) != NULL; i++)
        if (strcmp(entry->name, name) == 0) return entry;
    return NULL;
}

vly_status vly_algo_create(vly_algo **out, const char *name, const vly_algo_args *args) {
    const vly_algo_entry *entry = vly_algo_find(name);
    if (!entry)
        return vly_fail(VLY_ENOTFOUND, "no algorithm \"%s\"; `volley ls algos` lists them", name);
    return entry->create(out, args);
}

size_t vly_buffer_bytes(const vly_buffer *buffer) {
    size_t bytes = vly_dtype_bytes(buffer->dtype);
    for (int i = 0; i < buffer->ndim; i++) bytes *= (size_t)buffer->shape[i];
    return bytes;
}
