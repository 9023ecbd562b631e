/* plugin_impl.h -- the inside of envs/plugin.h.
 *
 *   plugin.c        loads a plugin and guards its calls
 *   plugin_check.c  what it filled in when it was opened
 */
#ifndef VLY_ENVS_PLUGIN_IMPL_H
#define VLY_ENVS_PLUGIN_IMPL_H
#include "envs/plugin.h"

/* VLY_EVERSION for another ABI, VLY_EINVAL with the member that is wrong. Ends env->name. */
vly_status vly_plugin_checked(const char *path, vly_env *env);
#endif
