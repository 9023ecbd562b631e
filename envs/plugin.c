#include "envs/plugin_impl.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/base/finite.h"

enum { GUARD = 64, GUARD_BYTE = 0xA5, BATCH_MAX = 256, BATCH_BYTES = 1 << 18 };

/* Bytes that the plugin writes for each row or actor, `used` of them: guard bytes, then `stride`
 * bytes each, of which those after `used` are guard bytes, and GUARD more. */
typedef struct {
    size_t used, stride; /* used 0: there are none */
    const char *what;
} lane;

/* Rows for one call. */
typedef struct rows_block {
    struct rows_block *next;
    uint8_t *obs, *mask, *shared; /* of the first row or actor; mask, shared: NULL for none */
    float *reward, *score;        /* of the first row; GUARD bytes before and after */
} rows_block;

typedef struct {
    vly_plugin_fault fault; /* first: vly_plugin_check reads it; set once, under the lock */
    vly_env own;            /* as the plugin filled it */
    void *library;
    lane obs, mask, shared;
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

static int rows_of_batch(const plugin *p) {
    return p->batch * p->own.players;
}

static size_t lane_bytes(const lane *l, int n) {
    return l->used ? (size_t)n * l->stride + (size_t)2 * GUARD : 0;
}

/* The lane's place behind *at, which moves on. Guard bytes are there already. */
static uint8_t *lay_lane(const lane *l, int n, uint8_t **at) {
    uint8_t *first = *at + GUARD;
    if (!l->used) return NULL;
    for (int i = 0; i < n; i++) memset(first + (size_t)i * l->stride, 0, l->used);
    *at += lane_bytes(l, n);
    return first;
}

static rows_block *new_block(const plugin *p) {
    const int rows = rows_of_batch(p);
    const size_t numbers = 2 * GUARD + (size_t)rows * sizeof(float);
    const size_t head = (sizeof(rows_block) + 63) / 64 * 64;
    const size_t lanes = lane_bytes(&p->obs, rows) + lane_bytes(&p->mask, rows) +
                         lane_bytes(&p->shared, p->batch);
    const size_t bytes = (head + lanes + 2 * numbers + 63) / 64 * 64;
    uint8_t *at = aligned_alloc(64, bytes);
    if (!at) return NULL;
    memset(at, GUARD_BYTE, bytes);
    rows_block *b = (rows_block *)(void *)at;
    at += head;
    b->obs = lay_lane(&p->obs, rows, &at);
    b->mask = lay_lane(&p->mask, rows, &at);
    b->shared = lay_lane(&p->shared, p->batch, &at);
    b->reward = (float *)(void *)(at + GUARD);
    b->score = (float *)(void *)(at + numbers + GUARD);
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

/* What lies after the last of n is guarded too, when the block has room for more. */
static void guard_behind(const lane *l, uint8_t *first, int n) {
    if (first) memset(first + (size_t)n * l->stride, GUARD_BYTE, GUARD);
}

static void prepare_block(const plugin *p, rows_block *b, int n) {
    const int rows = n * p->own.players;
    guard_behind(&p->obs, b->obs, rows);
    guard_behind(&p->mask, b->mask, rows);
    guard_behind(&p->shared, b->shared, n);
    memset(b->reward, 0, (size_t)rows * sizeof(float));
    memset(b->score, 0, (size_t)rows * sizeof(float));
    memset(b->reward + rows, GUARD_BYTE, GUARD);
    memset(b->score + rows, GUARD_BYTE, GUARD);
}

/* ---- faults ---- */

/* i: the row of this call. */
static void keep_fault(plugin *p, vly_status status, int i, const char *what) {
    const vly_plugin_call *here = vly_plugin_here();
    char last[64] = "its reset", action[48];
    if (here->action.data) {
        vly_action_text(&p->own.action, vly_actions_at(here->action, (size_t)i), action,
                        sizeof action);
        snprintf(last, sizeof last, "action %s", action);
    }
    pthread_mutex_lock(&p->lock);
    if (!p->fault.failed) {
        p->fault.status = status;
        snprintf(p->fault.words, sizeof p->fault.words,
                 "%.200s: environment %s %s: actor %d, after %s; the fault is the plugin's",
                 p->path, p->own.name, what, here->actor + i / p->own.players, last);
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

/* Of n rows or actors. *row: the one that wrote, for which `players` rows count as one. */
static bool check_lane(plugin *p, const lane *l, const uint8_t *first, int n, int rows_each) {
    char what[96];
    int at = -1;
    if (!first) return true;
    if (!is_guard_intact(first - GUARD, GUARD)) {
        snprintf(what, sizeof what, "wrote before the %ss", l->what);
        at = 0;
    }
    for (int i = 0; i < n && at < 0; i++)
        if (!is_guard_intact(first + (size_t)i * l->stride + l->used, l->stride - l->used)) {
            snprintf(what, sizeof what, "wrote past the end of its %s", l->what);
            at = i;
        }
    if (at < 0 && !is_guard_intact(first + (size_t)n * l->stride, GUARD)) {
        snprintf(what, sizeof what, "wrote a %s past the last actor's", l->what);
        at = n - 1;
    }
    if (at >= 0) keep_fault(p, VLY_EPEER, at * rows_each, what);
    return at < 0;
}

static bool check_guards(plugin *p, const rows_block *b, int n) {
    const int k = p->own.players, rows = n * k;
    const char *what = NULL;
    int row = 0;
    if (!check_lane(p, &p->obs, b->obs, rows, 1) || !check_lane(p, &p->mask, b->mask, rows, 1) ||
        !check_lane(p, &p->shared, b->shared, n, k))
        return false;
    if (!is_guard_intact(b->reward + rows, GUARD) || !is_guard_intact(b->score + rows, GUARD))
        what = "wrote a reward or score past the last actor's", row = rows - 1;
    else if (!is_guard_intact((uint8_t *)b->reward - GUARD, GUARD) ||
             !is_guard_intact((uint8_t *)b->score - GUARD, GUARD))
        what = "wrote a reward or score before the first actor's";
    if (what) keep_fault(p, VLY_EPEER, row, what);
    return !what;
}

/* Of flags that two players of a state do not share. */
static const char *name_flag(uint8_t flags) {
    static const struct {
        uint8_t flag;
        const char *name;
    } names[] = {{VLY_ROW_RESET, "RESET"},
                 {VLY_ROW_TERMINATED, "TERMINATED"},
                 {VLY_ROW_TRUNCATED, "TRUNCATED"},
                 {VLY_ROW_GAME_OVER, "GAME_OVER"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag) return names[i].name;
    return "FAILED";
}

/* The players of a state begin and end an episode together. */
static bool check_shared_flags(plugin *p, const uint8_t *flags, int n) {
    const uint8_t shared = VLY_ROW_RESET | VLY_ROW_TERMINATED | VLY_ROW_TRUNCATED |
                           VLY_ROW_GAME_OVER | VLY_ROW_FAILED;
    const int k = p->own.players;
    char what[128];
    for (int i = 0; k > 1 && i < n * k; i++) {
        const uint8_t differ = (flags[i] ^ flags[i - i % k]) & shared;
        if (!differ) continue;
        const bool set = (flags[i] & differ) != 0;
        if (flags[i] == VLY_PLUGIN_UNWRITTEN)
            snprintf(what, sizeof what, "wrote no flags for player %d", i % k);
        else
            snprintf(what, sizeof what,
                     "set %s for player %d and not for player %d (who is out early is IDLE)",
                     name_flag(differ), set ? i % k : 0, set ? 0 : i % k);
        keep_fault(p, VLY_EPEER, i, what);
        return false;
    }
    return true;
}

static bool check_numbers(plugin *p, const rows_block *b, int i) {
    char what[96] = "";
    const size_t n = p->own.obs.dtype == VLY_F32 ? p->own.obs.bytes / sizeof(float) : 0;
    const float *obs = (const float *)(const void *)(b->obs + (size_t)i * p->obs.stride);
    if (vly_plugin_here()->flags[i] & VLY_ROW_FAILED) return true; /* nobody reads the row */
    if (!vly_all_finite(b->reward + i, 1))
        snprintf(what, sizeof what, "gave a reward of %g", (double)b->reward[i]);
    else if (!vly_all_finite(b->score + i, 1))
        snprintf(what, sizeof what, "gave a score of %g", (double)b->score[i]);
    else if (!vly_all_finite(obs, n)) {
        size_t at = 0;
        while (vly_all_finite(obs + at, 1)) at++;
        snprintf(what, sizeof what, "gave an observation with number %zu = %g", at,
                 (double)obs[at]);
    }
    if (*what) keep_fault(p, VLY_ENUMERIC, i, what);
    return !*what;
}

/* ---- calls ---- */

static void copy_lane(const lane *l, const uint8_t *from, uint8_t *to, size_t to_stride, int n) {
    for (int i = 0; from && to && i < n; i++)
        memcpy(to + (size_t)i * to_stride, from + (size_t)i * l->stride, l->used);
}

/* Rows that were not checked are not used: their actors have failed. */
static void copy_plugin_rows(plugin *p, const rows_block *b, int n, vly_rows out) {
    const bool whole = check_guards(p, b, n) && check_shared_flags(p, vly_plugin_here()->flags, n);
    const int rows = n * p->own.players;
    for (int i = 0; i < rows; i++) {
        const bool good = whole && check_numbers(p, b, i);
        uint8_t *obs = out.obs + (size_t)i * out.obs_stride;
        if (good)
            memcpy(obs, b->obs + (size_t)i * p->obs.stride, p->obs.used);
        else
            memset(obs, 0, p->obs.used);
        out.reward[i] = good ? b->reward[i] : 0.0f;
        out.score[i] = good ? b->score[i] : 0.0f;
    }
    copy_lane(&p->mask, b->mask, out.mask, out.mask_stride, rows);
    copy_lane(&p->shared, b->shared, out.shared, out.shared_stride, n);
}

static void no_rows(plugin *p, int n, vly_rows out) {
    memset(out.flags, VLY_ROW_FAILED, (size_t)(n * p->own.players));
    keep_fault(p, VLY_ENOMEM, 0, "has no memory for its rows");
}

typedef struct {
    enum { STEP, RESET, RESTART } what;
    void *states;
    int n;
    vly_actions action; /* of a step */
    uint64_t seed;      /* of a reset */
} request;

static void ask_plugin(plugin *p, const request *r, vly_rows rows) {
    if (r->what == STEP)
        p->own.step(&p->own, r->states, r->n, r->action, rows);
    else if (r->what == RESET)
        p->own.reset(&p->own, r->states, r->seed, rows);
    else
        p->own.restart(&p->own, r->states, rows);
}

static void call_plugin(plugin *p, const request *r, vly_rows out) {
    static const char *const doing[] = {[STEP] = "step", [RESET] = "reset", [RESTART] = "restart"};
    const vly_plugin_call before = enter_plugin(p->path, doing[r->what]);
    vly_plugin_call *here = vly_plugin_here();
    rows_block *b = take_block(p);
    here->actor = here->next = before.next;
    here->env = &p->own, here->n = r->n, here->action = r->action, here->flags = out.flags;
    if (!b) {
        no_rows(p, r->n, out);
    } else {
        memset(out.flags, VLY_PLUGIN_UNWRITTEN, (size_t)(r->n * p->own.players));
        prepare_block(p, b, r->n);
        const vly_rows rows = {.obs = b->obs,
                               .obs_stride = p->obs.stride,
                               .reward = b->reward,
                               .score = b->score,
                               .flags = out.flags,
                               .mask = b->mask,
                               .mask_stride = p->mask.stride,
                               .shared = out.shared ? b->shared : NULL,
                               .shared_stride = p->shared.stride};
        ask_plugin(p, r, rows);
        copy_plugin_rows(p, b, r->n, out);
    }
    return_block(p, b);
    *vly_plugin_here() = before;
}

static void plugin_reset(const vly_env *env, void *state, uint64_t seed, vly_rows at) {
    const request r = {.what = RESET, .states = state, .n = 1, .seed = seed};
    call_plugin(env->plugin, &r, at);
}

static void plugin_restart(const vly_env *env, void *state, vly_rows at) {
    const request r = {.what = RESTART, .states = state, .n = 1};
    call_plugin(env->plugin, &r, at);
}

static void plugin_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    plugin *p = env->plugin;
    const int first = vly_plugin_here()->next;
    for (int i = 0; i < n; i += p->batch, vly_plugin_actor(first + i)) {
        const request r = {.what = STEP,
                           .states = (char *)states + (size_t)i * env->state_bytes,
                           .n = n - i < p->batch ? n - i : p->batch,
                           .action = vly_actions_at(action, (size_t)i * (size_t)p->own.players)};
        call_plugin(p, &r, vly_rows_of(out, (size_t)i, p->own.players));
    }
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
    const vly_status good = vly_plugin_checked(path, &made.env);
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

static lane lane_of(const char *what, size_t used) {
    return (lane){used, (used + 63) / 64 * 64 + GUARD, what};
}

static vly_status wrap_plugin(vly_env *env, const char *path, void *library) {
    plugin *p = calloc(1, sizeof *p + strlen(path) + 1);
    if (!p) return vly_fail(VLY_ENOMEM, "%s: no memory for the plugin", path);
    p->own = *env, p->library = library;
    p->obs = lane_of("observation", env->obs.bytes);
    p->mask = lane_of("mask", env->masked ? (size_t)env->action.n : 0);
    p->shared = lane_of("shared state", env->shared.bytes);
    const size_t room = BATCH_BYTES / (p->obs.stride * (size_t)env->players);
    p->batch = room > BATCH_MAX ? BATCH_MAX : room ? (int)room : 1;
    strcpy(p->path, path);
    if (!(p->unused = new_block(p))) {
        free(p);
        return vly_fail(VLY_ENOMEM, "%s: no memory for rows of %zu bytes", path, env->obs.bytes);
    }
    p->unused->next = NULL;
    pthread_mutex_init(&p->lock, NULL);
    env->plugin = p, env->plugin_close = env->close;
    if (env->restart) env->restart = plugin_restart;
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
    if (vly_file_is_odd(path)) /* the loader would wait for a pipe's writer */
        return vly_fail(VLY_EINVAL, "cannot load the plugin: %s is not a file", path);
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
