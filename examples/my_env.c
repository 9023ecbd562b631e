/* my_env.c -- an environment of your own, in one file: catch a falling ball with a paddle.
 *
 *   cc -O2 -shared -fPIC -I. -o my_env.so examples/my_env.c
 *   volley train ./my_env.so --algo ppo
 *
 * Others of this folder: continuous_env.c (actions in a box), masked_env.c (not every action is
 * allowed), two_player_env.c (two rows of one state).
 *
 * The contract is common/base/env.h. In short: all that changes lives in the state, plain memory
 * that is copied and saved as it is; step() serves many actors; the step after an end starts anew.
 */
#include <string.h>
#include "common/base/env.h"
#include "common/base/philox.h"

enum { WIDTH = 7, HEIGHT = 9 };

typedef struct {
    uint64_t seed, episode;
    int32_t ball_x, ball_y, paddle, ended;
    char unused[32]; /* states are multiples of 64 bytes */
} my_state;

static void write_row(const my_state *s, vly_rows row, float reward, int flags) {
    const float obs[3] = {(float)(s->ball_x - WIDTH / 2), (float)(s->ball_y - HEIGHT / 2),
                          (float)(s->paddle - WIDTH / 2)}; /* around 0: networks like that */
    memcpy(row.obs, obs, sizeof obs);
    *row.reward = *row.score = reward;
    *row.flags = (uint8_t)flags;
}

static void start(my_state *s, vly_rows row) {
    const vly_u32x4 random = vly_philox(s->seed, VLY_STREAM_ENV, s->episode++, 0);
    s->ball_x = (int32_t)vly_below(random.v[0], WIDTH);
    s->paddle = (int32_t)vly_below(random.v[1], WIDTH);
    s->ball_y = s->ended = 0;
    write_row(s, row, 0.0f, VLY_ROW_RESET);
}

static void my_reset(const vly_env *env, void *state, uint64_t seed, vly_rows row) {
    memset(state, 0, env->state_bytes);
    ((my_state *)state)->seed = seed;
    start(state, row);
}

/* Optional: leaves an episode without reseeding, for who drives the environment from outside. */
static void my_restart(const vly_env *env, void *state, vly_rows row) {
    (void)env;
    start(state, row);
}

static void my_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    const int32_t *action = vly_action_ints(actions); /* one number for each of the n states */
    (void)env;
    my_state *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows row = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start(s, row);
            continue;
        }
        const int32_t to = s->paddle + action[i] - 1; /* 0 left, 1 stay, 2 right */
        if (to >= 0 && to < WIDTH) s->paddle = to;
        s->ended = ++s->ball_y == HEIGHT - 1;
        const float reward = !s->ended ? 0.0f : s->paddle == s->ball_x ? 1.0f : -1.0f;
        write_row(s, row, reward, s->ended ? VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER : 0);
    }
}

static void my_close(vly_env *env) {
    (void)env;
}

static const char *const moves[] = {"left", "stay", "right"};

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    (void)args; /* max_steps, and "key=value" options in args->extra */
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    strcpy(env->name, "my_env");
    env->obs = (vly_obs_spec){VLY_F32, 1, {3, 0, 0}, 1, 1.0f, 3 * sizeof(float)};
    env->action = vly_space_discrete(3);
    env->action.names = moves;
    env->players = env->tasks = env->frames_per_step = 1;
    env->state_bytes = sizeof(my_state);
    env->return_target = 0.9f;
    env->reset = my_reset, env->step = my_step, env->close = my_close;
    env->restart = my_restart;
    return VLY_OK;
}
