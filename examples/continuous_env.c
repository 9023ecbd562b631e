/* continuous_env.c -- actions in a box: push a point along a line to a target, with little force.
 *
 *   cc -O2 -shared -fPIC -I. -o continuous_env.so examples/continuous_env.c
 *   volley trace ./continuous_env.so --random 5
 *
 * What differs from my_env.c: the action is a box, whose numbers arrive as float32, here one.
 */
#include <math.h>
#include <string.h>
#include "common/base/env.h"
#include "common/base/philox.h"

enum { STEPS = 100 };

typedef struct {
    uint64_t seed, episode;
    double position, velocity, target;
    int32_t step, ended;
    char unused[16]; /* states are multiples of 64 bytes */
} point;

static void write_row(const point *s, vly_rows row, double reward, int flags) {
    const float obs[3] = {(float)s->position, (float)s->velocity, (float)s->target};
    memcpy(row.obs, obs, sizeof obs);
    *row.reward = *row.score = (float)reward;
    *row.flags = (uint8_t)flags;
}

static void start(point *s, vly_rows row) {
    const vly_u32x4 random = vly_philox(s->seed, VLY_STREAM_ENV, s->episode++, 0);
    s->position = 2 * (double)vly_unit(random.v[0]) - 1;
    s->target = 2 * (double)vly_unit(random.v[1]) - 1;
    s->velocity = 0;
    s->step = s->ended = 0;
    write_row(s, row, 0, VLY_ROW_RESET);
}

static void point_reset(const vly_env *env, void *state, uint64_t seed, vly_rows row) {
    memset(state, 0, env->state_bytes);
    ((point *)state)->seed = seed;
    start(state, row);
}

static void point_step(const vly_env *env, void *states, int n, vly_actions action, vly_rows out) {
    (void)env;
    point *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows row = vly_rows_at(out, (size_t)i);
        if (s->ended) {
            start(s, row);
            continue;
        }
        const float *push = vly_action_floats(vly_actions_at(action, (size_t)i));
        const double force = fmin(fmax((double)push[0], -1), 1);
        s->velocity = 0.95 * s->velocity + 0.02 * force;
        s->position = fmin(fmax(s->position + s->velocity, -1.5), 1.5);
        s->ended = ++s->step == STEPS;
        const double away = s->position - s->target;
        write_row(s, row, -away * away - 0.01 * force * force,
                  s->ended ? VLY_ROW_TRUNCATED | VLY_ROW_GAME_OVER : 0);
    }
}

static void point_close(vly_env *env) {
    (void)env;
}

static const vly_bounds push[] = {{-1, 1}};
static const char *const names[] = {"force"};

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    (void)args;
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    strcpy(env->name, "continuous_env");
    env->obs = (vly_obs_spec){VLY_F32, 1, {3, 0, 0}, 1, 1.0f, 3 * sizeof(float)};
    env->action = vly_space_box(1, push);
    env->action.names = names;
    env->players = env->tasks = env->frames_per_step = 1;
    env->state_bytes = sizeof(point);
    env->return_target = -8.0f;
    env->reset = point_reset, env->step = point_step, env->close = point_close;
    return VLY_OK;
}
