/* factors.c -- three choices at once, of 2, 3 and 4: the observation says which is right in each,
 * and each that is right earns 1. With "masked=1" a wrong choice in the last factor is masked where
 * the observation does not tell: only the mask does. */
#include <string.h>
#include "common/base/env.h"
#include "common/base/philox.h"

enum { FACTORS = 3, CHOICES = 9, STEPS = 10 };
static const int32_t sizes[FACTORS] = {2, 3, 4};

typedef struct {
    uint64_t seed, drawn;
    int32_t right[FACTORS], step, ended, masked;
    char unused[24]; /* states are multiples of 64 bytes */
} factors;

static void write_row(const factors *s, vly_rows row, float reward, int flags) {
    float obs[CHOICES] = {0};
    for (int k = 0, at = 0; k < FACTORS; at += sizes[k++])
        if (!s->masked || k < FACTORS - 1) obs[at + s->right[k]] = 1;
    memcpy(row.obs, obs, sizeof obs);
    if (row.mask) {
        memset(row.mask, 1, CHOICES - sizes[FACTORS - 1]);
        memset(row.mask + CHOICES - sizes[FACTORS - 1], 0, (size_t)sizes[FACTORS - 1]);
        row.mask[CHOICES - sizes[FACTORS - 1] + s->right[FACTORS - 1]] = 1;
    }
    *row.reward = *row.score = reward;
    *row.flags = (uint8_t)flags;
}

static void ask(factors *s) {
    const vly_u32x4 r = vly_philox(s->seed, VLY_STREAM_ENV, s->drawn++, 0);
    for (int k = 0; k < FACTORS; k++) s->right[k] = (int32_t)vly_below(r.v[k], (uint32_t)sizes[k]);
}

static void begin(factors *s, vly_rows row) {
    s->step = s->ended = 0;
    ask(s);
    write_row(s, row, 0, VLY_ROW_RESET);
}

static void factors_reset(const vly_env *env, void *state, uint64_t seed, vly_rows row) {
    memset(state, 0, env->state_bytes);
    ((factors *)state)->seed = seed;
    ((factors *)state)->masked = env->masked;
    begin(state, row);
}

static void factors_step(const vly_env *env, void *states, int n, vly_actions actions,
                         vly_rows out) {
    (void)env;
    factors *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows row = vly_rows_at(out, (size_t)i);
        const int32_t *choice = vly_action_ints(vly_actions_at(actions, (size_t)i));
        if (s->ended) {
            begin(s, row);
            continue;
        }
        float reward = 0;
        for (int k = 0; k < FACTORS; k++) reward += choice[k] == s->right[k];
        s->ended = ++s->step == STEPS;
        ask(s);
        write_row(s, row, reward, s->ended ? VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER : 0);
    }
}

static void factors_close(vly_env *env) {
    (void)env;
}

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    strcpy(env->name, "factors");
    env->obs = (vly_obs_spec){VLY_F32, 1, {CHOICES, 0, 0}, 1, 1.0f, CHOICES * sizeof(float)};
    env->action = vly_space_multi(FACTORS, sizes);
    env->masked = args && args->extra && strstr(args->extra, "masked=1");
    env->players = env->tasks = env->frames_per_step = 1;
    env->state_bytes = sizeof(factors);
    env->return_target = 29;
    env->reset = factors_reset, env->step = factors_step, env->close = factors_close;
    return VLY_OK;
}
