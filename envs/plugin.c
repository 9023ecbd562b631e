#include "envs/plugin.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GUARD = 64, GUARD_BYTE = 0xA5, BATCH_MAX = 256, BATCH_BYTES = 1 << 18 };

/* Rows for one call: a guarded row, then `stride` bytes for each actor, of which those after the
 * observation are guard bytes, then a guarded row. */
typedef struct rows_block {
    struct rows_block *next;
    uint8_t *obs;          /* of the first actor */
    float *reward, *score; /* of the first actor; GUARD bytes before and after */
} rows_block;

typedef struct {
    vly_plugin_fault fault; /* first: vly_plugin_check reads it; set once, under the lock */
    vly_env own;            /* as the plugin filled it */
    void *library;
    size_t stride;
    int batch; /* actors of one block */
    pthread_mutex_t lock;
    rows_block *unused;
    int in_use;
    char path[];
} plugin;

/* ---- where the thread is ---- */

/* A handler needs a stack of its own when the plugin has used up the thread's. */
static void give_signal_stack(void) {
    static _Thread_local char stack[32768];
    static _Thread_local bool given;
    stack_t now;
    if (given) return;
    given = true;
    if (sigaltstack(NULL, &now) || !(now.ss_flags & SS_DISABLE)) return;
    const stack_t ours = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&ours, NULL);
}

static vly_plugin_call enter_plugin(const char *path, const char *doing) {
    const vly_plugin_call before = *vly_plugin_here();
    give_signal_stack();
    *vly_plugin_here() = (vly_plugin_call){.path = path, .doing = doing};
    return before;
}

/* ---- rows ---- */

static void free_blocks(plugin *p) {
    for (rows_block *next; p->unused; p->unused = next) {
        next = p->unused->next;
        free(p->unused);
    }
}

static rows_block *new_block(const plugin *p) {
    const size_t obs = (size_t)(p->batch + 2) * p->stride;
    const size_t numbers = 2 * GUARD + (size_t)p->batch * sizeof(float);
    const size_t head = (sizeof(rows_block) + 63) / 64 * 64;
    const size_t bytes = (head + obs + 2 * numbers + 63) / 64 * 64;
    uint8_t *at = aligned_alloc(64, bytes);
    if (!at) return NULL;
    memset(at, GUARD_BYTE, bytes);
    rows_block *b = (rows_block *)(void *)at;
    b->obs = at + head + p->stride;
    b->reward = (float *)(void *)(at + head + obs + GUARD);
    b->score = (float *)(void *)(at + head + obs + numbers + GUARD);
    for (int i = 0; i < p->batch; i++) memset(b->obs + (size_t)i * p->stride, 0, p->own.obs.bytes);
    return b;
}

/* As many as threads step at once: after the first calls nothing is allocated. */
static rows_block *take_block(plugin *p) {
    pthread_mutex_lock(&p->lock);
    rows_block *b = p->unused;
    if (b) p->unused = b->next;
    p->in_use++;
    pthread_mutex_unlock(&p->lock);
    return b ? b : new_block(p);
}

static void return_block(plugin *p, rows_block *b) {
    pthread_mutex_lock(&p->lock);
    p->in_use--;
    if (b) b->next = p->unused, p->unused = b;
    pthread_mutex_unlock(&p->lock);
}

/* What lies after the last of n actors is guarded too, when the block has room for more. */
static void prepare_block(const plugin *p, rows_block *b, int n) {
    memset(b->obs + (size_t)n * p->stride, GUARD_BYTE, GUARD);
    memset(b->reward, 0, (size_t)n * sizeof(float));
    memset(b->score, 0, (size_t)n * sizeof(float));
    memset(b->reward + n, GUARD_BYTE, GUARD);
    memset(b->score + n, GUARD_BYTE, GUARD);
}

/* ---- faults ---- */

static void keep_fault(plugin *p, vly_status status, int i, const char *what) {
    const vly_plugin_call *here = vly_plugin_here();
    char last[64] = "its reset";
    if (here->action) snprintf(last, sizeof last, "action %d", (int)here->action[i]);
    pthread_mutex_lock(&p->lock);
    if (!p->fault.failed) {
        p->fault.status = status;
        snprintf(p->fault.words, sizeof p->fault.words,
                 "%.200s: environment %s %s: actor %d, after %s; the fault is the plugin's",
                 p->path, p->own.name, what, here->actor + i, last);
        __atomic_store_n(&p->fault.failed, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&p->lock);
}

static bool is_guard_intact(const void *guard, size_t bytes) {
    const uint8_t *at = guard;
    unsigned wrong = 0;
    for (size_t i = 0; i < bytes; i++) wrong |= at[i] ^ GUARD_BYTE;
    return wrong == 0;
}

static bool check_guards(plugin *p, const rows_block *b, int n) {
    const size_t used = p->own.obs.bytes;
    const char *what = NULL;
    int actor = 0;
    if (!is_guard_intact(b->obs - GUARD, GUARD)) what = "wrote before the observations";
    for (int i = 0; i < n && !what; i++)
        if (!is_guard_intact(b->obs + (size_t)i * p->stride + used, p->stride - used))
            what = "wrote past the end of its observation", actor = i;
    if (!what && !is_guard_intact(b->obs + (size_t)n * p->stride, GUARD))
        what = "wrote an observation past the last actor's", actor = n - 1;
    if (!what && (!is_guard_intact(b->reward + n, GUARD) || !is_guard_intact(b->score + n, GUARD)))
        what = "wrote a reward or score past the last actor's", actor = n - 1;
    if (!what && (!is_guard_intact((uint8_t *)b->reward - GUARD, GUARD) ||
                  !is_guard_intact((uint8_t *)b->score - GUARD, GUARD)))
        what = "wrote a reward or score before the first actor's";
    if (what) keep_fault(p, VLY_EPEER, actor, what);
    return !what;
}

/* By the bits: a loop without branches. */
static bool all_finite(const float *v, size_t n) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, v + i, sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

static bool check_numbers(plugin *p, const rows_block *b, int i) {
    char what[96] = "";
    const size_t n = p->own.obs.dtype == VLY_F32 ? p->own.obs.bytes / sizeof(float) : 0;
    const float *obs = (const float *)(const void *)(b->obs + (size_t)i * p->stride);
    if (vly_plugin_here()->flags[i] & VLY_ROW_FAILED) return true; /* nobody reads the row */
    if (!all_finite(b->reward + i, 1))
        snprintf(what, sizeof what, "gave a reward of %g", (double)b->reward[i]);
    else if (!all_finite(b->score + i, 1))
        snprintf(what, sizeof what, "gave a score of %g", (double)b->score[i]);
    else if (!all_finite(obs, n)) {
        size_t at = 0;
        while (all_finite(obs + at, 1)) at++;
        snprintf(what, sizeof what, "gave an observation with number %zu = %g", at,
                 (double)obs[at]);
    }
    if (*what) keep_fault(p, VLY_ENUMERIC, i, what);
    return !*what;
}

/* ---- calls ---- */

/* Rows that were not checked are not used: their actors have failed. */
static void copy_plugin_rows(plugin *p, const rows_block *b, int n, vly_rows out) {
    const bool whole = check_guards(p, b, n);
    for (int i = 0; i < n; i++) {
        if (!whole || !check_numbers(p, b, i)) {
            memset(out.obs + (size_t)i * out.obs_stride, 0, p->own.obs.bytes);
            out.reward[i] = out.score[i] = 0.0f;
            continue;
        }
        memcpy(out.obs + (size_t)i * out.obs_stride, b->obs + (size_t)i * p->stride,
               p->own.obs.bytes);
        out.reward[i] = b->reward[i];
        out.score[i] = b->score[i];
    }
}

static void no_rows(plugin *p, int n, vly_rows out) {
    memset(out.flags, VLY_ROW_FAILED, (size_t)n);
    keep_fault(p, VLY_ENOMEM, 0, "has no memory for its rows");
}

/* action NULL: resets one actor with `seed`. */
static void call_plugin(plugin *p, void *states, int n, const int32_t *action, uint64_t seed,
                        vly_rows out) {
    const vly_plugin_call before = enter_plugin(p->path, action ? "step" : "reset");
    vly_plugin_call *here = vly_plugin_here();
    rows_block *b = take_block(p);
    here->actor = here->next = before.next;
    here->n = n, here->action = action, here->flags = out.flags;
    if (!b) {
        no_rows(p, n, out);
    } else {
        memset(out.flags, VLY_PLUGIN_UNWRITTEN, (size_t)n);
        prepare_block(p, b, n);
        const vly_rows rows = {b->obs, p->stride, b->reward, b->score, out.flags};
        if (action)
            p->own.step(&p->own, states, n, action, rows);
        else
            p->own.reset(&p->own, states, seed, rows);
        copy_plugin_rows(p, b, n, out);
    }
    return_block(p, b);
    *vly_plugin_here() = before;
}

static void plugin_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    call_plugin(env->plugin, state, 1, NULL, seed, at);
}

static void plugin_step(const vly_env *env, void *states, int n, const int32_t *action,
                        vly_rows out) {
    plugin *p = env->plugin;
    const int first = vly_plugin_here()->next;
    for (int i = 0; i < n; i += p->batch, vly_plugin_actor(first + i))
        call_plugin(p, (char *)states + (size_t)i * env->state_bytes,
                    n - i < p->batch ? n - i : p->batch, action + i, 0,
                    vly_rows_at(out, (size_t)i));
    vly_plugin_actor(first);
}

/* ---- opening ---- */

static void free_plugin(plugin *p) {
    free_blocks(p);
    pthread_mutex_destroy(&p->lock);
    dlclose(p->library);
    free(p);
}

/* A thread that has not come back from a step still needs its code and its rows. */
static void close_plugin(vly_env *env) {
    plugin *p = env->plugin;
    pthread_mutex_lock(&p->lock);
    const bool busy = p->in_use > 0;
    pthread_mutex_unlock(&p->lock);
    if (busy) return;
    const vly_plugin_call before = enter_plugin(p->path, "close");
    if (env->plugin_close) env->plugin_close(&p->own);
    free_plugin(p);
    *vly_plugin_here() = before;
}

static size_t dtype_bytes(vly_dtype dtype) {
    return dtype == VLY_F32 ? 4 : dtype == VLY_U8 ? 1 : 0;
}

static vly_status check_observation(const char *path, const vly_obs_spec *obs) {
    size_t bytes = dtype_bytes(obs->dtype);
    if (!bytes)
        return vly_fail(VLY_EINVAL, "%s: obs.dtype is %d, it must be VLY_F32 or VLY_U8", path,
                        (int)obs->dtype);
    if (obs->ndim != 1 && obs->ndim != 3)
        return vly_fail(VLY_EINVAL, "%s: obs.ndim is %d, it must be 1 or 3", path, obs->ndim);
    for (int i = 0; i < obs->ndim; i++) {
        if (obs->shape[i] < 1 || obs->shape[i] > 1 << 16)
            return vly_fail(VLY_EINVAL, "%s: obs.shape[%d] is %d, it must be in [1, 65536]", path,
                            i, obs->shape[i]);
        bytes *= (size_t)obs->shape[i];
    }
    if (obs->bytes != bytes)
        return vly_fail(VLY_EINVAL, "%s: obs.bytes is %zu, its shape needs %zu", path, obs->bytes,
                        bytes);
    if (obs->stack < 1 || obs->stack > 64)
        return vly_fail(VLY_EINVAL, "%s: obs.stack is %d, it must be in [1, 64]", path, obs->stack);
    return VLY_OK;
}

/* Of one actor: its product with the number of actors fits a size_t. */
#define STATE_MOST ((size_t)1 << 32)

static vly_status check_plugin(const char *path, vly_env *env) {
    if (env->abi != VLY_ENV_ABI)
        return vly_fail(VLY_EVERSION,
                        "%s: built for environment ABI %u, this program has ABI %d: rebuild the "
                        "plugin with this program's common/base/env.h",
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
    if (env->actions < 1 || env->actions > 4096)
        return vly_fail(VLY_EINVAL, "%s: actions is %d, it must be in [1, 4096]", path,
                        env->actions);
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
    return check_observation(path, &env->obs);
}

/* A plugin built for another ABI may write a larger struct: there is room for it, then its ABI
 * is checked. */
static vly_status fill_from_plugin(vly_env *env, const char *path, void *library,
                                   const vly_env_args *args) {
    vly_env_plugin_fn fill = NULL;
    void *symbol = dlsym(library, VLY_ENV_PLUGIN_SYMBOL);
    if (!symbol)
        return vly_fail(VLY_EINVAL, "%s: not an environment plugin: it exports no '%s'", path,
                        VLY_ENV_PLUGIN_SYMBOL);
    memcpy(&fill, &symbol, sizeof fill);
    union {
        vly_env env;
        char room[4096];
    } made;
    memset(&made, 0, sizeof made);
    const vly_env_args none = {0};
    const vly_status status = fill(&made.env, args ? args : &none);
    if (status != VLY_OK) {
        char why[512];
        snprintf(why, sizeof why, "%s", vly_error_text());
        return vly_fail(status, "%s: %s", path, why[0] ? why : "the plugin refused to open");
    }
    const vly_status good = check_plugin(path, &made.env);
    if (good != VLY_OK) {
        if (made.env.abi == VLY_ENV_ABI && made.env.struct_bytes == sizeof *env && made.env.close)
            made.env.close(&made.env);
        return good;
    }
    *env = made.env;
    return VLY_OK;
}

static void *load_plugin(const char *path, char *local, size_t bytes) {
    const char *slash = strchr(path, '/') ? ""
                                          : "./"; /* else dlopen searches the system's folders */
    snprintf(local, bytes, "%s%s", slash, path);
    return dlopen(local, RTLD_NOW | RTLD_LOCAL);
}

static size_t row_stride(const vly_env *env) {
    return (env->obs.bytes + 63) / 64 * 64 + GUARD;
}

static vly_status wrap_plugin(vly_env *env, const char *path, void *library) {
    const size_t room = BATCH_BYTES / row_stride(env);
    plugin *p = calloc(1, sizeof *p + strlen(path) + 1);
    if (!p) return vly_fail(VLY_ENOMEM, "%s: no memory for the plugin", path);
    p->own = *env, p->library = library;
    p->stride = row_stride(env);
    p->batch = room > BATCH_MAX ? BATCH_MAX : room ? (int)room : 1;
    strcpy(p->path, path);
    if (!(p->unused = new_block(p))) {
        free(p);
        return vly_fail(VLY_ENOMEM, "%s: no memory for rows of %zu bytes", path, env->obs.bytes);
    }
    p->unused->next = NULL;
    pthread_mutex_init(&p->lock, NULL);
    env->plugin = p, env->plugin_close = env->close;
    env->reset = plugin_reset, env->step = plugin_step, env->close = close_plugin;
    return VLY_OK;
}

static vly_status load(vly_env *env, const char *path, const vly_env_args *args) {
    char local[4096];
    void *library = load_plugin(path, local, sizeof local);
    if (!library) return vly_fail(VLY_ENOTFOUND, "cannot load the plugin: %s", dlerror());
    vly_status status = fill_from_plugin(env, path, library, args);
    if (status == VLY_OK) {
        vly_env made = *env;
        status = wrap_plugin(env, path, library);
        if (status != VLY_OK && made.close) made.close(&made);
    }
    if (status != VLY_OK) dlclose(library);
    return status;
}

/* Relative paths stay what they were, wherever the plugin goes. */
vly_status vly_plugin_open(vly_env *env, const char *path, const vly_env_args *args) {
    vly_env made;
    if (strlen(path) > 4000)
        return vly_fail(VLY_EINVAL, "the plugin's path is longer than 4000 characters");
    vly_error_clear();
    const int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const vly_plugin_call before = enter_plugin(path, "open");
    vly_status status = load(&made, path, args);
    *vly_plugin_here() = before;
    if (home >= 0) {
        if (fchdir(home) && status == VLY_OK) {
            made.close(&made);
            status = vly_fail(VLY_EIO, "%s: the plugin left the working directory", path);
        }
        close(home);
    }
    if (status == VLY_OK) *env = made;
    return status;
}
