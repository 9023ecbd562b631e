#include "common/base/plugin_call.h"

static _Thread_local vly_plugin_call here;

vly_plugin_call *vly_plugin_here(void) {
    return &here;
}

int vly_plugin_at(const vly_plugin_call *call) {
    const volatile uint8_t *flags = call->flags;
    const int players = call->env ? call->env->players : 1, last = call->n * players - 1;
    int i = 0;
    while (i < last && flags[i] != VLY_PLUGIN_UNWRITTEN) i++;
    return i / players;
}

void vly_plugin_actor(int first) {
    here.next = first;
}

vly_status vly_plugin_check(const vly_env *env) {
    const vly_plugin_fault *fault = env->plugin;
    if (!fault || !__atomic_load_n(&fault->failed, __ATOMIC_ACQUIRE)) return VLY_OK;
    return vly_fail(fault->status, "%s", fault->words);
}
