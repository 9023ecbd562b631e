/* tabular.h -- Q-learning and SARSA on a table, as algorithms like any other ("qlearning",
 * "sarsa").
 *
 *   VLY_TRY(vly_algo_create(&a, "qlearning", &args));
 *   VLY_TRY(vly_tabular_solve(&env, 0.99, q));    // the optimum, where the environment has a model
 *
 * Step size: alpha / (1 + visits)^alpha_power, never below alpha_end. Discrete environments use
 * their state number; a vector of up to 6 numbers is cut into tabular.bins cells per number, over
 * the environment's bounds. Several learners: vly_sync_tables, cpu/fleet/tables.c. The table lives
 * in host memory: a GPU would not make it faster.
 */
#ifndef VLY_COMMON_LEARN_TABULAR_H
#define VLY_COMMON_LEARN_TABULAR_H
#include "common/learn/algo.h"
#ifdef __cplusplus
extern "C" {
#endif

/* The optimal table q (states, actions) by value iteration to 1e-10; VLY_EUNSUPPORTED when the
 * environment has no model. */
vly_status vly_tabular_solve(const vly_env *env, double gamma, double *q);

/* Which cell of the table an observation belongs to. */
enum { VLY_DISCRETIZER_DIMS = 6 };
typedef struct {
    int states, dims, bins; /* bins: cells of each number; 0: the states are numbered */
    vly_bounds range[VLY_DISCRETIZER_DIMS];
} vly_discretizer;
vly_status vly_discretizer_init(vly_discretizer *d, const vly_env *env, int bins);
int vly_discretizer_state(const vly_discretizer *d, const void *obs);

#ifdef __cplusplus
}
#endif
#endif
