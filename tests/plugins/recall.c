/* recall.c -- a task for memory: a cue of -1 or 1 is seen once, then nothing for DELAY steps, then
 * the signal to answer. The right answer earns 1, the wrong one -1, so that an agent without memory
 * earns 0 on average whatever it does. */
#include <string.h>
#include "common/base/env.h"
#include "common/base/philox.h"

enum { DELAY = 6 };

typedef struct {
    uint64_t seed, episode;
    int32_t cue, step, ended;
    char unused[36]; /* states are multiples of 64 bytes */
} recall;

static void write_row(const recall *s, vly_rows row, float reward, int flags) {
    const float obs[2] = {s->step == 0 ? (float)(2 * s->cue - 1) : 0.0f,
                          s->step == DELAY ? 1.0f : 0.0f};
    memcpy(row.obs, obs, sizeof obs);
    *row.reward = *row.score = reward;
    *row.flags = (uint8_t)flags;
}

static void recall_start(recall *s, vly_rows row) {
    s->cue = (int32_t)vly_below(vly_philox(s->seed, VLY_STREAM_ENV, s->episode++, 0).v[0], 2);
    s->step = s->ended = 0;
    write_row(s, row, 0.0f, VLY_ROW_RESET);
}

static void recall_reset(const vly_env *env, void *state, uint64_t seed, vly_rows row) {
    memset(state, 0, env->state_bytes);
    ((recall *)state)->seed = seed;
    recall_start(state, row);
}

static void recall_step(const vly_env *env, void *states, int n, vly_actions actions,
                        vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    (void)env;
    recall *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows row = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            recall_start(s, row);
            continue;
        }
        s->ended = s->step++ == DELAY;
        const float reward = !s->ended ? 0.0f : action[i] == s->cue ? 1.0f : -1.0f;
        write_row(s, row, reward, s->ended ? VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER : 0);
    }
}

static void recall_close(vly_env *env) {
    (void)env;
}

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    (void)args;
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    strcpy(env->name, "recall");
    env->obs = (vly_obs_spec){VLY_F32, 1, {2, 0, 0}, 1, 1.0f, 2 * sizeof(float)};
    env->action = vly_space_discrete(2), env->frames_per_step = 1;
    env->players = env->tasks = 1;
    env->state_bytes = sizeof(recall);
    env->return_target = 0.95f;
    env->reset = recall_reset, env->step = recall_step, env->close = recall_close;
    return VLY_OK;
}
