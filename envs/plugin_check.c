#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "envs/plugin_impl.h"

static size_t dtype_bytes(vly_dtype dtype) {
    return dtype == VLY_F32 ? 4 : dtype == VLY_U8 ? 1 : 0;
}

/* name: "obs" or "shared". */
static vly_status check_frame(const char *path, const char *name, const vly_obs_spec *obs) {
    size_t bytes = dtype_bytes(obs->dtype);
    if (!bytes)
        return vly_fail(VLY_EINVAL, "%s: %s.dtype is %d, it must be VLY_F32 or VLY_U8", path, name,
                        (int)obs->dtype);
    if (obs->ndim != 1 && obs->ndim != 3)
        return vly_fail(VLY_EINVAL, "%s: %s.ndim is %d, it must be 1 or 3", path, name, obs->ndim);
    for (int i = 0; i < obs->ndim; i++) {
        if (obs->shape[i] < 1 || obs->shape[i] > 1 << 16)
            return vly_fail(VLY_EINVAL, "%s: %s.shape[%d] is %d, it must be in [1, 65536]", path,
                            name, i, obs->shape[i]);
        bytes *= (size_t)obs->shape[i];
    }
    if (obs->bytes != bytes)
        return vly_fail(VLY_EINVAL, "%s: %s.bytes is %zu, its shape needs %zu", path, name,
                        obs->bytes, bytes);
    if (obs->stack < 1 || obs->stack > 64)
        return vly_fail(VLY_EINVAL, "%s: %s.stack is %d, it must be in [1, 64]", path, name,
                        obs->stack);
    if (!(isfinite(obs->scale) && obs->scale > 0))
        return vly_fail(VLY_EINVAL,
                        "%s: %s.scale is %g, it must be a positive number, by which networks "
                        "multiply observations: 1, or 1.0f / 255 for pixels",
                        path, name, (double)obs->scale);
    return VLY_OK;
}

static vly_status check_sizes(const char *path, const vly_space *a) {
    int64_t all = 0;
    for (int i = 0; i < a->count; i++) {
        if (!a->sizes || a->sizes[i] < 1)
            return vly_fail(VLY_EINVAL, "%s: action.sizes[%d] must be at least 1", path, i);
        all += a->sizes[i];
    }
    if (all != a->n)
        return vly_fail(VLY_EINVAL, "%s: action.n is %d, its sizes add up to %lld", path, a->n,
                        (long long)all);
    return VLY_OK;
}

static vly_status check_box(const char *path, const vly_space *a) {
    for (int i = 0; i < a->count; i++) {
        const vly_bounds b = a->bounds ? a->bounds[i] : (vly_bounds){0, 0};
        if (!(isfinite(b.low) && isfinite(b.high) && b.low < b.high))
            return vly_fail(VLY_EINVAL,
                            "%s: action.bounds[%d] is [%g, %g], it must be finite, low < high",
                            path, i, b.low, b.high);
    }
    return VLY_OK;
}

static vly_status check_action(const char *path, const vly_env *env) {
    const vly_space *a = &env->action;
    const bool box = a->kind == VLY_SPACE_BOX;
    if ((int)a->kind < VLY_SPACE_DISCRETE || a->kind > VLY_SPACE_BOX)
        return vly_fail(VLY_EINVAL, "%s: action.kind is %d, there is no such kind", path,
                        (int)a->kind);
    if (a->dtype != (box ? VLY_F32 : VLY_I32))
        return vly_fail(VLY_EINVAL, "%s: action.dtype is %d, it must be %s", path, (int)a->dtype,
                        box ? "VLY_F32" : "VLY_I32");
    if (a->count < 1 || a->count > VLY_SPACE_COUNT_MAX ||
        (a->kind == VLY_SPACE_DISCRETE && a->count != 1))
        return vly_fail(VLY_EINVAL, "%s: action.count is %d, it must be %s", path, a->count,
                        a->kind == VLY_SPACE_DISCRETE ? "1" : "in [1, 1024]");
    if (a->bytes != 4 * (size_t)a->count)
        return vly_fail(VLY_EINVAL, "%s: action.bytes is %zu, it must be %zu", path, a->bytes,
                        4 * (size_t)a->count);
    if (box ? a->n != 0 : a->n < 1 || a->n > VLY_SPACE_CHOICES_MAX)
        return vly_fail(VLY_EINVAL, "%s: action.n is %d, it must be %s", path, a->n,
                        box ? "0" : "in [1, 4096]");
    if (env->masked && box)
        return vly_fail(VLY_EINVAL, "%s: masked is set, but a box has no mask", path);
    if (a->kind == VLY_SPACE_MULTI) VLY_TRY(check_sizes(path, a));
    return box ? check_box(path, a) : VLY_OK;
}

static vly_status check_info_name(const char *path, const vly_env *env, int i) {
    const char *const *names = env->info_names;
    if (!names[i] || !names[i][0])
        return vly_fail(VLY_EINVAL, "%s: info_names[%d] is missing, each number needs a name", path,
                        i);
    for (int k = 0; k < i; k++)
        if (!strcmp(names[k], names[i]))
            return vly_fail(VLY_EINVAL,
                            "%s: info_names[%d] and info_names[%d] are both '%.64s', names must "
                            "differ",
                            path, k, i, names[i]);
    return VLY_OK;
}

static vly_status check_info(const char *path, const vly_env *env) {
    if (env->info_count < 0 || env->info_count > VLY_ENV_INFO_MAX)
        return vly_fail(VLY_EINVAL, "%s: info_count is %d, it must be in [0, %d]", path,
                        env->info_count, VLY_ENV_INFO_MAX);
    if (env->info_count == 0) return VLY_OK;
    if (!env->info_names || !env->info)
        return vly_fail(VLY_EINVAL, "%s: info_count is %d, but %s is missing", path,
                        env->info_count, env->info_names ? "info" : "info_names");
    for (int i = 0; i < env->info_count; i++) VLY_TRY(check_info_name(path, env, i));
    return VLY_OK;
}

/* Of one actor: its product with the number of actors fits a size_t. */
#define STATE_MOST ((size_t)1 << 32)
enum { PLAYERS_MOST = 64 };

vly_status vly_plugin_checked(const char *path, vly_env *env) {
    if (env->abi != VLY_ENV_ABI)
        return vly_fail(
            VLY_EVERSION,
            "%s: built for environment ABI %u, this program has ABI %d: fill env->action "
            "= vly_space_discrete(n) and env->players = env->tasks = 1, let step() take "
            "vly_actions (vly_action_ints(action)[i] is actor i's), and rebuild it with "
            "this program's common/base/env.h",
            path, (unsigned)env->abi, (int)VLY_ENV_ABI);
    if (env->struct_bytes != sizeof *env)
        return vly_fail(VLY_EVERSION,
                        "%s: its vly_env has %u bytes, this program's has %zu: rebuild the plugin "
                        "with this program's common/base/env.h",
                        path, (unsigned)env->struct_bytes, sizeof *env);
    env->name[sizeof env->name - 1] = '\0';
    if (!env->name[0]) return vly_fail(VLY_EINVAL, "%s: it gave no name", path);
    if (!env->reset || !env->step)
        return vly_fail(VLY_EINVAL, "%s: reset or step is missing", path);
    VLY_TRY(check_action(path, env));
    if (env->players < 1 || env->players > PLAYERS_MOST)
        return vly_fail(VLY_EINVAL, "%s: players is %d, it must be in [1, %d]", path, env->players,
                        PLAYERS_MOST);
    if (env->tasks != 1)
        return vly_fail(VLY_EINVAL, "%s: tasks is %d, it must be 1 in a plugin", path, env->tasks);
    if (env->states < 0 || (env->states > 0 && !env->state_index))
        return vly_fail(VLY_EINVAL, "%s: states is %d, but state_index is missing", path,
                        env->states);
    if (env->state_bytes == 0 || env->state_bytes % 64 || env->state_bytes > STATE_MOST)
        return vly_fail(VLY_EINVAL,
                        "%s: state_bytes is %zu, it must be a multiple of 64 and at most %zu", path,
                        env->state_bytes, STATE_MOST);
    if (env->frames_per_step < 1)
        return vly_fail(VLY_EINVAL, "%s: frames_per_step is %d, it must be at least 1", path,
                        env->frames_per_step);
    if (!(env->step_s >= 0 && env->step_s < INFINITY))
        return vly_fail(VLY_EINVAL, "%s: step_s is %g, it must be seconds, or 0", path,
                        env->step_s);
    VLY_TRY(check_info(path, env));
    if (env->shared.bytes) VLY_TRY(check_frame(path, "shared", &env->shared));
    return check_frame(path, "obs", &env->obs);
}
