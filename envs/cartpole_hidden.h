/* cartpole_hidden.h -- CartPole of which only position and angle are seen: the speeds have to be
 * remembered from one step to the next. The rules, states and options are envs/cartpole.h's, and so
 * is the reference: its rows without their second and fourth number.
 */
#ifndef VLY_ENVS_CARTPOLE_HIDDEN_H
#define VLY_ENVS_CARTPOLE_HIDDEN_H
#include "common/base/env.h"

vly_status vly_cartpole_hidden_open(vly_env *env, const vly_env_args *args);
#endif
