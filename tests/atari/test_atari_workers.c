/* The same seed gives the same pictures, rewards and ends whatever the number of worker threads. */
#include "tests/kit/check.h"
#include "common/base/crc32.h"
#include "common/base/philox.h"
#include "cpu/actors/pool.h"
#include "envs/atari/atari.h"
#include "envs/registry.h"
#include "tests/kit/sanitized.h"

enum { ACTORS = 16, GROUPS = 2, HALF = ACTORS / GROUPS };

static uint32_t crc_of(uint32_t crc, const void *bytes, size_t n) {
    return vly_crc32(crc, bytes, n);
}

static uint32_t play(const char *game, int workers, int steps) {
    vly_env env;
    if (vly_atari_open(&env, game, NULL) != VLY_OK)
        SKIP("Atari ROMs are not here: `make roms` fetches them");
    vly_pool *pool = NULL;
    const vly_pool_options options = {
        .actors = ACTORS, .groups = GROUPS, .workers = workers, .seed = 11};
    uint8_t *obs = malloc(ACTORS * env.obs.bytes), flags[ACTORS];
    float reward[ACTORS], score[ACTORS];
    int32_t actions[ACTORS];
    const vly_rows rows = vly_rows_plain(obs, env.obs.bytes, reward, score, flags);
    uint32_t crc = 0;
    CHECK(obs != NULL);
    CHECK_OK(vly_pool_create(&pool, NULL, &env, &options));
    for (int g = 0; g < GROUPS; g++)
        CHECK_OK(vly_pool_reset_group(pool, g, vly_rows_at(rows, (size_t)(g * HALF))));
    for (int t = 0; t < steps; t++)
        for (int g = 0; g < GROUPS; g++) {
            const int first = g * HALF;
            vly_pool_wait_group(pool, g, -1);
            crc = crc_of(crc, obs + (size_t)first * env.obs.bytes, HALF * env.obs.bytes);
            crc = crc_of(crc, reward + first, HALF * sizeof *reward);
            crc = crc_of(crc, flags + first, HALF);
            for (int i = first; i < first + HALF; i++)
                actions[i] = (int32_t)vly_below(
                    vly_philox(3, VLY_STREAM_TEST, (uint64_t)(t * ACTORS + i), 0).v[0],
                    (uint32_t)env.action.n);
            vly_pool_submit_group(pool, g, vly_actions_of_ints(actions + first),
                                  vly_rows_at(rows, (size_t)first));
        }
    for (int g = 0; g < GROUPS; g++) vly_pool_wait_group(pool, g, -1);
    vly_pool_destroy(pool);
    env.close(&env);
    free(obs);
    return crc;
}

int main(void) {
    static const char *const games[] = {"pong", "seaquest"};
    const int steps = SANITIZED_MEMORY || SANITIZED_THREADS ? 40 : 200;
    for (int i = 0; i < 2; i++) {
        const uint32_t one = play(games[i], 1, steps);
        CHECK_EQ(play(games[i], 2, steps), one);
        CHECK_EQ(play(games[i], 8, steps), one);
    }
    return TEST_PASS;
}
