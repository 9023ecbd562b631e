/* plugin.h -- environments from shared objects, and what is checked while they run.
 *
 *   VLY_TRY(vly_plugin_open(&env, "./my_env.so", &args));
 *   vly_plugin_actor(first);               // this thread's next call is of actors first, first + 1 ...
 *   env.step(&env, states, n, vly_actions_of_ints(action), rows);
 *   VLY_TRY(vly_plugin_check(&env));       // the first fault of all calls so far
 *
 * A plugin steps into rows of its own with guard bytes around them; they are copied to the caller's
 * rows when the guard bytes are whole. Rewards and observations have to be finite numbers. (Flags
 * are written in place: the pool's watchdog reads them.) While a thread is inside a plugin,
 * vly_plugin_here() says where, so that a signal handler or an exit handler can name it.
 *
 * This catches mistakes. It is no protection against a plugin that means harm.
 */
#ifndef VLY_ENVS_PLUGIN_H
#define VLY_ENVS_PLUGIN_H
#include "common/base/env.h"
#include "common/base/plugin_call.h"
#ifdef __cplusplus
extern "C" {
#endif

/* On success the caller owns *env, as with vly_env_open. */
vly_status vly_plugin_open(vly_env *env, const char *path, const vly_env_args *args);

#ifdef __cplusplus
}
#endif
#endif
