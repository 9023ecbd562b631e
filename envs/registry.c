#include "envs/registry.h"

const vly_env_entry *vly_env_list(int i) {
    (void)i;
    return NULL;
}

vly_status vly_env_open(vly_env *env, const char *name, const vly_env_args *args) {
    (void)env;
    (void)args;
    return vly_fail(VLY_ENOTFOUND, "no environment named '%s'", name);
}
