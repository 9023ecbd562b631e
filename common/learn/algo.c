#include "common/learn/algo.h"
#include <stdio.h>
#include <string.h>

/* Every algorithm, in the order of `volley ls algos`. */
#define ALGORITHMS(X) \
    X(ppo)            \
    X(a2c)            \
    X(reinforce)      \
    X(impala)         \
    X(dqn)            \
    X(a3c)            \
    X(gorila)         \
    X(apex)           \
    X(sac)            \
    X(td3)            \
    X(qlearning)      \
    X(sarsa)

#define DECLARE(name) extern const vly_algo_entry vly_algo_##name;
#define POINT(name) &vly_algo_##name,
ALGORITHMS(DECLARE)
static const vly_algo_entry *const entries[] = {ALGORITHMS(POINT)};
enum { ENTRIES = sizeof entries / sizeof entries[0] };

const vly_algo_entry *vly_algo_list(int i) {
    return i >= 0 && i < ENTRIES ? entries[i] : NULL;
}

const vly_algo_entry *vly_algo_find(const char *name) {
    for (int i = 0; i < ENTRIES; i++)
        if (strcmp(entries[i]->name, name) == 0) return entries[i];
    return NULL;
}

vly_algo_traits vly_algo_traits_of(const vly_config *config) {
    const vly_algo_entry *entry = vly_algo_find(config->run.algo);
    return entry ? entry->traits : (vly_algo_traits){0};
}

static const char *algo_name(int i) {
    return i < ENTRIES ? entries[i]->name : NULL;
}

static vly_status find_or(vly_status missing, const char *name, const vly_algo_entry **out) {
    char near[256];
    *out = vly_algo_find(name);
    if (*out) return VLY_OK;
    vly_nearest(name, algo_name, near, sizeof near);
    return vly_fail(missing, "no algorithm '%s'%s%s; `volley ls algos` lists them", name,
                    *near ? "; nearest: " : "", near);
}

static unsigned acts_needed(const vly_env *env) {
    unsigned needed = 0;
    if (env->action.kind == VLY_SPACE_MULTI) needed |= VLY_ACTS_MULTI;
    if (env->action.kind == VLY_SPACE_BOX) needed |= VLY_ACTS_BOX;
    if (env->masked) needed |= VLY_ACTS_MASKED;
    if (env->players > 1) needed |= VLY_ACTS_PLAYERS;
    return needed;
}

static bool can_act(const vly_algo_entry *entry, const vly_env *env) {
    if (env->action.kind != VLY_SPACE_BOX && (entry->traits.acts & VLY_ACTS_NO_DISCRETE))
        return false;
    return (acts_needed(env) & ~entry->traits.acts) == 0;
}

static bool can_read(const vly_algo_entry *entry, const vly_env *env) {
    return !entry->reads || entry->reads(env);
}

static void list_able(const vly_env *env, char *names, size_t bytes) {
    size_t at = 0;
    names[0] = '\0';
    for (int i = 0; i < ENTRIES && at < bytes; i++)
        if (can_act(entries[i], env) && can_read(entries[i], env))
            at += (size_t)snprintf(names + at, bytes - at, "%s%s", at ? ", " : "",
                                   entries[i]->name);
}

static vly_status check_env(const vly_algo_entry *entry, const vly_env *env) {
    static const char *const kinds[] = {"one discrete action", "several discrete actions",
                                        "continuous actions"};
    char able[256];
    const bool acts = can_act(entry, env);
    if (acts && can_read(entry, env)) return VLY_OK;
    list_able(env, able, sizeof able);
    if (acts)
        return vly_fail(VLY_EINVAL, "%s does not learn in %s: it needs %s; use --algo %s",
                        entry->name, env->name, entry->needs, able);
    return vly_fail(VLY_EINVAL, "%s does not learn in %s, which has %s%s%s: %s%s", entry->name,
                    env->name, kinds[env->action.kind], env->masked ? " with masks" : "",
                    env->players > 1 ? " of several players" : "",
                    *able ? "use --algo " : "no algorithm does", able);
}

/* What was asked of a network that has another form. */
static vly_status check_form(const vly_algo_entry *entry, const vly_config *config,
                             const vly_net_desc *d) {
    const bool image = d->kind != VLY_NET_MLP;
    if (config->given.separate && config->net.separate && d->shared)
        return vly_fail(VLY_EINVAL,
                        "--net.separate: %s has one torso here; two are for a policy and a value "
                        "function that are MLPs without an LSTM",
                        entry->name);
    if (config->given.hidden && image && config->net.hidden.n != 1)
        return vly_fail(VLY_EINVAL,
                        "--net.hidden has %d numbers, and network \"%s\" one layer after its "
                        "convolutions: give its units alone",
                        config->net.hidden.n, vly_net_kind_name(d->kind));
    if (config->given.activation && image && config->net.activation == VLY_NET_ACTIVATION_TANH)
        return vly_fail(
            VLY_EINVAL,
            "--net.activation tanh: network \"%s\" has rectified units; tanh is for MLPs",
            vly_net_kind_name(d->kind));
    return VLY_OK;
}

/* The same of a policy for numbers, which others do not have, or have by definition. */
static vly_status check_policy(const vly_algo_entry *entry, const vly_algo_args *args) {
    const vly_config *c = args->config;
    const char *given = NULL;
    if (c->given.squash && c->net.squash) given = "squash";
    if (c->given.deviation && c->net.deviation != VLY_NET_DEVIATION_SHARED) given = "deviation";
    if (!given || (args->env->action.kind == VLY_SPACE_BOX && !entry->dist)) return VLY_OK;
    return vly_fail(VLY_EINVAL, "--net.%s changes nothing of %s in %s: %s", given, entry->name,
                    args->env->name,
                    entry->dist ? "its policy has a form of its own"
                                : "it is for policies of continuous actions");
}

static vly_status check_network(const vly_algo_entry *entry, const vly_algo_args *args) {
    const vly_config *c = args->config;
    vly_net *net;
    VLY_TRY(check_policy(entry, args));
    if (!entry->network || !(c->given.separate || c->given.hidden || c->given.activation))
        return VLY_OK;
    VLY_TRY(vly_algo_net(&net, args));
    const vly_status s = check_form(entry, c, vly_net_description(net));
    vly_net_destroy(net);
    return s;
}

vly_status vly_algo_create(vly_algo **out, const char *name, const vly_algo_args *args) {
    const vly_algo_entry *entry;
    VLY_TRY(find_or(VLY_ENOTFOUND, name, &entry));
    VLY_TRY(check_env(entry, args->env));
    VLY_TRY(check_network(entry, args));
    return entry->create(out, args);
}

vly_status vly_algo_net(vly_net **out, const vly_algo_args *args) {
    const vly_algo_entry *entry;
    *out = NULL;
    VLY_TRY(find_or(VLY_EINVAL, args->config->run.algo, &entry));
    if (!entry->network)
        return vly_fail(VLY_EUNSUPPORTED, "%s has a table and no network", entry->name);
    const vly_net_desc d = entry->network(args);
    return vly_net_create(out, &d);
}

static vly_status check_for_algo(const vly_config *config) {
    const vly_algo_entry *entry;
    VLY_TRY(find_or(VLY_EINVAL, config->run.algo, &entry));
    return entry->check ? entry->check(config) : VLY_OK;
}

vly_status vly_algo_resolve(vly_config *config, const vly_assignments *given, const char *canonical,
                            const char *family) {
    VLY_TRY(vly_config_layers(config, given, canonical, family));
    return check_for_algo(config);
}

void vly_algo_settle(vly_config *config, const vly_env *env, const vly_compute_info *device,
                     bool alone) {
    const vly_algo_entry *entry = vly_algo_find(config->run.algo);
    if (entry && entry->settle) entry->settle(config, env, device, alone);
}

vly_status vly_algo_restore(vly_config *config, const char *path) {
    VLY_TRY(vly_config_read(config, path));
    if (!strcmp(config->run.algo, "auto"))
        return vly_fail(VLY_EINVAL, "%s names no algorithm: it is empty or truncated", path);
    return check_for_algo(config);
}

static const char *const *sections_of(const vly_config *config) {
    static const char *const none[] = {NULL};
    const vly_algo_entry *entry = vly_algo_find(config->run.algo);
    return entry ? entry->sections : none;
}

uint64_t vly_algo_config_hash(const vly_config *config) {
    return vly_config_hash(config, sections_of(config));
}

int vly_algo_config_differences(const vly_config *a, const vly_config *b, char *names,
                                size_t bytes) {
    return vly_config_differences(a, b, sections_of(b), names, bytes);
}

size_t vly_buffer_bytes(const vly_buffer *buffer) {
    size_t bytes = vly_dtype_bytes(buffer->dtype);
    for (int i = 0; i < buffer->ndim; i++) bytes *= (size_t)buffer->shape[i];
    return bytes;
}
