/* masked_env.c -- not every action is allowed: rooms with eight doors, some of them open.
 *
 *   cc -O2 -shared -fPIC -I. -o masked_env.so examples/masked_env.c
 *   volley trace ./masked_env.so --random 5              # open doors alone
 *   volley train ./masked_env.so --env.args masked=0     # the same without masks
 *
 * An open door leads on and earns what is behind it, which is written on it; a closed one ends the
 * game. Which doors are open is not in the observation, only in the mask.
 *
 * What differs from my_env.c: env->masked, and each row writes a mask for the action that follows it,
 * also the last row of an episode, in which at least one action has to be allowed.
 */
#include <string.h>
#include "common/base/env.h"
#include "common/base/philox.h"

enum { DOORS = 8, ROOMS = 20 };

typedef struct {
    uint64_t seed, drawn;
    int32_t room, ended;
    float prize[DOORS];
    uint8_t open[DOORS];
} house; /* 64 bytes */

/* A new room: two or more doors are open. */
static void enter(house *s) {
    const vly_u32x4 doors = vly_philox(s->seed, VLY_STREAM_ENV, s->drawn, 0);
    for (int i = 0; i < DOORS; i++) {
        const vly_u32x4 random = vly_philox(s->seed, VLY_STREAM_ENV, s->drawn, (uint32_t)i + 1);
        s->prize[i] = vly_unit(random.v[0]);
        s->open[i] = random.v[1] % 4 == 0;
    }
    const uint32_t one = vly_below(doors.v[0], DOORS);
    s->open[one] = s->open[(one + 1 + vly_below(doors.v[1], DOORS - 1)) % DOORS] = 1;
    s->drawn++;
}

static void write_row(const house *s, vly_rows row, float reward, int flags) {
    memcpy(row.obs, s->prize, sizeof s->prize);
    if (row.mask) memcpy(row.mask, s->open, sizeof s->open);
    *row.reward = *row.score = reward;
    *row.flags = (uint8_t)flags;
}

static void start(house *s, vly_rows row) {
    s->room = s->ended = 0;
    enter(s);
    write_row(s, row, 0, VLY_ROW_RESET);
}

static void house_reset(const vly_env *env, void *state, uint64_t seed, vly_rows row) {
    memset(state, 0, env->state_bytes);
    ((house *)state)->seed = seed;
    start(state, row);
}

static void house_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    (void)env;
    house *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows row = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start(s, row);
            continue;
        }
        const int closed = !s->open[action[i]];
        const float reward = closed ? -1.0f : s->prize[action[i]];
        s->ended = ++s->room == ROOMS || closed;
        enter(s);
        write_row(s, row, reward, s->ended ? VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER : 0);
    }
}

static void house_close(vly_env *env) {
    (void)env;
}

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    strcpy(env->name, "masked_env");
    env->obs = (vly_obs_spec){VLY_F32, 1, {DOORS, 0, 0}, 1, 1.0f, DOORS * sizeof(float)};
    env->action = vly_space_discrete(DOORS);
    env->masked = !(args->extra && strstr(args->extra, "masked=0"));
    env->players = env->tasks = env->frames_per_step = 1;
    env->state_bytes = sizeof(house);
    env->return_target = 13.0f;
    env->reset = house_reset, env->step = house_step, env->close = house_close;
    return VLY_OK;
}
