/* Every state of play is valid; bits of it turned over are refused or can be played on. */
#include <stdlib.h>
#include "common/base/philox.h"
#include "envs/registry.h"
#include "tests/envs/turned_bits.h"
#include "tests/kit/check.h"

static void an_environment(const char *name, const char *extra) {
    const vly_env_args args = {.extra = extra};
    vly_env env;
    CHECK_OK(vly_env_open(&env, name, &args));
    CHECK(env.valid != NULL);
    every_state_of_play_is_valid(&env, 5000);
    turned_bits_are_refused_or_played_on(&env, 20000);
    env.close(&env);
}

static void a_cell_outside_the_maze_is_named(void) {
    vly_env env;
    CHECK_OK(vly_env_open(&env, "gridworld", NULL));
    int32_t *cell = aligned_alloc(64, env.state_bytes);
    vly_rows row;
    uint8_t obs[25 * 4], flags;
    float reward, score;
    row = vly_rows_plain(obs, sizeof obs, &reward, &score, &flags);
    env.reset(&env, cell, 1, row);
    *cell = 1 << 20;
    CHECK_EQ(env.valid(&env, cell), VLY_ECORRUPT);
    CHECK(strstr(vly_error_text(), "cell is 1.04858e+06, outside [0, 24]") != NULL);
    free(cell);
    env.close(&env);
}

int main(void) {
    for (int i = 0; vly_env_list(i); i++)
        if (!vly_env_needs(vly_env_list(i))) an_environment(vly_env_list(i)->name, NULL);
    an_environment("gridworld", "map=S.P/.#./..G,slip=0.2");
    an_environment("cliffwalking", "slippery=1");
    a_cell_outside_the_maze_is_named();
    return TEST_PASS;
}
