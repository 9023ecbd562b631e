/* two_player_env.c -- two rows of one state: Nim. Players take 1, 2 or 3 matches in turn; who takes the
 * last one wins.
 *
 *   cc -O2 -shared -fPIC -I. -o two_player_env.so examples/two_player_env.c
 *   volley trace ./two_player_env.so --random 10
 *   volley train ./two_player_env.so --algo ppo          // both players learn one policy
 *
 * Who leaves a multiple of four wins against any play.
 *
 * What differs from my_env.c: env->players, so state i has rows and actions 2 i and 2 i + 1, which
 * vly_rows_of gives; both rows begin and end an episode together; the row of who does not move next
 * is IDLE, and its action is ignored. `shared` is what a critic that sees all of the state is given,
 * `info` is for who asks by name.
 */
#include <string.h>
#include "common/base/env.h"
#include "common/base/philox.h"

enum { PLAYERS = 2, MATCHES_MOST = 20, NUMBERS = MATCHES_MOST + 1 };

typedef struct {
    uint64_t seed, episode;
    int32_t matches, turn, ended; /* turn: the player who moves next */
    char unused[36];              /* states are multiples of 64 bytes */
} nim;

/* One 1 at the number of matches: whoever moves, the position is the same. */
static void write_rows(const nim *s, vly_rows rows, int winner, int flags) {
    for (int p = 0; p < PLAYERS; p++) {
        float obs[NUMBERS] = {0};
        obs[s->matches] = 1;
        memcpy(rows.obs + (size_t)p * rows.obs_stride, obs, sizeof obs);
        rows.reward[p] = rows.score[p] = winner < 0 ? 0.0f : winner == p ? 1.0f : -1.0f;
        rows.flags[p] = (uint8_t)(flags | (p == s->turn ? 0 : VLY_ROW_IDLE));
    }
    if (!rows.shared) return;
    const float all[2] = {(float)s->matches, (float)s->turn};
    memcpy(rows.shared, all, sizeof all);
}

static void start(nim *s, vly_rows rows) {
    const vly_u32x4 random = vly_philox(s->seed, VLY_STREAM_ENV, s->episode++, 0);
    s->matches = 5 + (int32_t)vly_below(random.v[0], MATCHES_MOST - 4);
    s->turn = (int32_t)vly_below(random.v[1], PLAYERS);
    s->ended = 0;
    write_rows(s, rows, -1, VLY_ROW_RESET);
}

static void nim_reset(const vly_env *env, void *state, uint64_t seed, vly_rows rows) {
    memset(state, 0, env->state_bytes);
    ((nim *)state)->seed = seed;
    start(state, rows);
}

static void nim_step(const vly_env *env, void *states, int n, vly_actions actions, vly_rows out) {
    const int32_t *action = vly_action_ints(actions);
    (void)env;
    nim *s = states;
    for (int i = 0; i < n; i++, s++) {
        const vly_rows rows = vly_rows_of(out, (size_t)i, PLAYERS);
        if (s->ended) {
            start(s, rows);
            continue;
        }
        const int player = s->turn, take = action[i * PLAYERS + player] + 1;
        s->matches -= take < s->matches ? take : s->matches;
        s->turn = 1 - player;
        s->ended = s->matches == 0;
        write_rows(s, rows, s->ended ? player : -1,
                   s->ended ? VLY_ROW_TERMINATED | VLY_ROW_GAME_OVER : 0);
    }
}

static void nim_info(const vly_env *env, const void *state, double *out) {
    const nim *s = state;
    (void)env;
    out[0] = s->matches;
    out[1] = s->turn;
}

static void nim_close(vly_env *env) {
    (void)env;
}

static const char *const info_names[] = {"matches", "turn"};
static const char *const takes[] = {"take 1", "take 2", "take 3"};

vly_status vly_env_plugin(vly_env *env, const vly_env_args *args);
vly_status vly_env_plugin(vly_env *env, const vly_env_args *args) {
    (void)args;
    memset(env, 0, sizeof *env);
    env->abi = VLY_ENV_ABI, env->struct_bytes = sizeof *env;
    strcpy(env->name, "two_player_env");
    env->obs = (vly_obs_spec){VLY_F32, 1, {NUMBERS, 0, 0}, 1, 1.0f, NUMBERS * sizeof(float)};
    env->shared = (vly_obs_spec){VLY_F32, 1, {2, 0, 0}, 1, 1.0f, 2 * sizeof(float)};
    env->action = vly_space_discrete(3);
    env->action.names = takes;
    env->players = PLAYERS, env->tasks = env->frames_per_step = 1;
    env->state_bytes = sizeof(nim);
    env->return_target = 0.0f;
    env->info_count = 2, env->info_names = info_names, env->info = nim_info;
    env->reset = nim_reset, env->step = nim_step, env->close = nim_close;
    return VLY_OK;
}
