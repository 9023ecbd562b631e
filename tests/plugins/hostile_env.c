/* hostile_env.c -- a plugin that works for 200 steps of each actor, then does what args->extra says:
 * "step-segv", "open-exit" ...; in its constructor what HOSTILE_LOAD says. */
#include <signal.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/base/env.h"

enum { GOOD_STEPS = 200 };
typedef struct {
    int32_t steps;
    char unused[60];
} hostile;

static char wish[64]; /* "step-nan": its place is "step-", what is done there "nan" */

static int endless(volatile char *before) {
    volatile char here[4096];
    here[0] = before ? before[0] : 1;
    return here[0] ? endless(here) + here[0] : 0;
}

static void misbehave(const char *what) {
    if (!strcmp(what, "segv")) {
        volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        page[0] = 1;
    }
    if (!strcmp(what, "stack")) endless(NULL);
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "fpe")) raise(SIGFPE);
    if (!strcmp(what, "ill")) raise(SIGILL);
    if (!strcmp(what, "bus")) raise(SIGBUS);
    if (!strcmp(what, "exit")) exit(0);
    if (!strcmp(what, "quick")) quick_exit(0);
    if (!strcmp(what, "chdir") && chdir("/")) abort();
}

static void at(const char *place) {
    const size_t n = strlen(place);
    if (!strncmp(wish, place, n)) misbehave(wish + n);
}

__attribute__((constructor)) static void on_load(void) {
    const char *what = getenv("HOSTILE_LOAD");
    if (what) misbehave(what);
}

/* The last of the n rows of one call is spoiled. */
static void spoil(vly_rows out, int n) {
    float *obs = (float *)(void *)(out.obs + (size_t)(n - 1) * out.obs_stride);
    if (!strcmp(wish, "step-nan")) obs[1] = NAN;
    if (!strcmp(wish, "step-infinite")) out.reward[n - 1] = INFINITY;
    if (!strcmp(wish, "step-past")) obs[2] = 1.0f;
    if (!strcmp(wish, "step-before")) ((float *)(void *)out.obs)[-1] = 1.0f;
    if (!strcmp(wish, "step-row")) memset(out.obs + (size_t)n * out.obs_stride, 1, 8);
    if (!strcmp(wish, "step-reward")) out.reward[n] = 1.0f;
    if (!strcmp(wish, "step-score")) out.score[-1] = 1.0f;
}

static void write_row(vly_rows row, int flags) {
    const float obs[2] = {0.5f, -0.5f};
    memcpy(row.obs, obs, sizeof obs);
    *row.reward = *row.score = 1.0f;
    *row.flags = (uint8_t)flags;
}

static void hostile_reset(const vly_env *env, void *state, uint64_t seed, vly_rows row) {
    (void)env, (void)seed;
    memset(state, 0, sizeof(hostile));
    at("reset-");
    write_row(row, VLY_ROW_RESET);
}

static void hostile_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    hostile *s = states;
    (void)env, (void)actions;
    for (int i = 0; i < n; i++) {
        const int32_t at_step = ++s[i].steps;
        if (at_step > GOOD_STEPS) at("step-");
        const int phase = at_step % 20;
        write_row(vly_rows_at(out, (size_t)i), phase == 0 ? VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER
                                               : phase == 1 && at_step > 1 ? VLY_ROW_RESET
                                                                           : 0);
        if (at_step > GOOD_STEPS && i == n - 1) spoil(out, n);
    }
}

static void hostile_close(vly_env *env) {
    (void)env;
    at("close-");
}

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    strcpy(env->name, "hostile");
    strncpy(wish, args->extra ? args->extra : "", sizeof wish - 1);
    at("open-");
    env->obs = (vly_obs_spec){VLY_F32, 1, {2, 0, 0}, 1, 1.0f, 2 * sizeof(float)};
    env->action = vly_space_discrete(2), env->frames_per_step = 1;
    env->players = env->tasks = 1;
    env->state_bytes = sizeof(hostile);
    env->return_target = NAN;
    env->reset = hostile_reset, env->step = hostile_step, env->close = hostile_close;
    return VLY_OK;
}
